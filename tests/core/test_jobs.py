"""Jobs in other processes: the answer, the error, the end of a worker and of all its children."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from googlenet.jobs.job import Job, run_job
from googlenet.jobs.workers import LONGEST

TASKS = """
import os, signal, subprocess, sys, time

def add(framework, values, folder, report):
    report("adding", 1, 2)
    return {"sum": values["a"] + values["b"]}

def fail(framework, values, folder, report):
    raise ZeroDivisionError("by\\nzero")

def no_memory(framework, values, folder, report):
    raise MemoryError

def leave(framework, values, folder, report):
    print("on its way", flush=True)
    os._exit(3)

def child(folder):
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (folder / "child").write_text(str(process.pid))

def hang(framework, values, folder, report):
    child(folder)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("waiting", flush=True)
    time.sleep(600)

def forget(framework, values, folder, report):
    child(folder)
    return {}

def patient(framework, values, folder, report):
    for step in range(40):
        report("steps", step, 40)
        time.sleep(0.3)
    return {"steps": 40}

def prints(framework, values, folder, report):
    for number in range(300):
        print("x" * 100_000)
        time.sleep(0.002)
    print("the end", flush=True)
    return {}

def strays(framework, values, folder, report):
    wait = [sys.executable, "-c", "import time; time.sleep(600)"]
    process = subprocess.Popen(wait, start_new_session=True)
    (folder / "child").write_text(str(process.pid))
    return {}

def refuse(framework, values, folder, report):
    from googlenet.errors import TraceError
    raise TraceError("no", details="line by line")

def closes(framework, values, folder, report):
    sys.stdout.close()
    return {"closed": True}

def saves(framework, values, folder, report):
    heard = []
    signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
    report("steps", 1, 2)
    while not heard:
        time.sleep(0.01)
    return {"saved": True}
"""


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    """A module of tasks that workers can import."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "tasks_of_tests.py").write_text(TASKS)
    path = [str(tmp_path / "lib"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))

    def run(name, timeout=60.0, **arguments):
        job = Job(f"tasks_of_tests:{name}", "numpy", {"a": 2, "b": 3}, memory_hint="ask for less")
        return run_job(job, tmp_path, timeout=timeout, **arguments)

    run.folder = tmp_path
    return run


def gone(process):
    """Whether a process ends within a while, or is only waited for by nobody."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_the_answer_has_values_and_what_made_them(tasks):
    heard = []
    answer = tasks("add", report=lambda *told: heard.append(told))
    assert (answer.values, answer.error) == ({"sum": 5}, None)
    assert answer.versions.keys() == {"googlenet", "numpy", "python"}
    assert answer.peak_memory_bytes > 10_000_000
    assert answer.seconds > 0
    assert heard[0] == ("starting", 0, 0)
    assert heard[-1] == ("adding", 1, 2)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("fail", "ZeroDivisionError: by"),
        ("no_memory", "ran out of memory; ask for less"),
        ("leave", "exited with code 3; last output: on its way"),
        ("missing", "AttributeError: module 'tasks_of_tests' has no attribute 'missing'"),
    ],
)
def test_what_goes_wrong_is_one_line(tasks, name, error):
    answer = tasks(name)
    assert answer.error == error
    assert answer.values == {}


def test_a_worker_that_hangs_is_killed_with_its_children(tasks):
    """Though it does not listen to SIGTERM."""
    answer = tasks("hang", timeout=4.0)
    assert answer.error == (
        "stopped responding and was killed after 4 s without progress; if it only needs"
        " longer, give a larger `timeout`; last output: waiting"
    )
    assert gone(int((tasks.folder / "child").read_text()))


def test_children_of_a_worker_that_ended_are_ended_too(tasks):
    assert tasks("forget").error is None
    assert gone(int((tasks.folder / "child").read_text()))


def test_children_in_other_sessions_are_ended_too(tasks):
    assert tasks("strays").error is None
    assert gone(int((tasks.folder / "child").read_text()))


def test_of_a_long_log_the_end_is_kept(tasks):
    assert tasks("prints").error is None
    log = tasks.folder / "numpy.log"
    assert log.stat().st_size <= LONGEST
    assert log.read_text().endswith("x\nthe end\n")


def test_an_error_of_ours_keeps_its_class_and_its_details(tasks):
    answer = tasks("refuse")
    assert (answer.error, answer.raised, answer.details) == ("no", "TraceError", "line by line")


def test_an_answer_needs_no_standard_output(tasks):
    assert tasks("closes").values == {"closed": True}


def test_a_worker_does_not_import_from_the_folder_it_is_started_in(tasks, monkeypatch, tmp_path):
    """In which a user may have a numpy.py."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "numpy.py").write_text("raise ValueError")
    monkeypatch.chdir(tmp_path / "here")
    assert tasks("add").values == {"sum": 5}


def test_a_file_in_the_way_is_an_error_not_a_traceback(tasks):
    (tasks.folder / "numpy.json").mkdir()
    assert "numpy.json: cannot be written (" in tasks("add").error


def test_a_python_that_is_none(tasks):
    answer = tasks("add", interpreter="/bin/echo")
    assert answer.error.startswith("exited with code 0; last output: -m googlenet.jobs.worker")


def test_progress_is_a_sign_of_life(tasks):
    """Twelve seconds of work with a limit of eight, in which a busy machine starts a process: it is
    silence that counts.
    """
    assert tasks("patient", timeout=8.0).values == {"steps": 40}


def test_a_stop_gives_time_to_save(tasks):
    stop = threading.Event()
    answer = tasks(
        "saves", stop=stop, gentle=True, report=lambda stage, *_: stage == "steps" and stop.set()
    )
    assert answer.values == {"saved": True}


def test_an_answer_of_before_is_not_taken_for_a_new_one(tasks):
    assert tasks("add").error is None
    assert tasks("leave").error.startswith("exited with code 3")


def test_a_worker_ends_when_who_started_it_is_killed(tasks):
    code = (
        "from pathlib import Path; from googlenet.jobs.job import Job, run_job;"
        f"run_job(Job('tasks_of_tests:saves', 'numpy'), Path({str(tasks.folder)!r}), timeout=600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    progress = tasks.folder / "numpy.progress.json"
    while not progress.exists() or "steps" not in progress.read_text():
        assert parent.poll() is None
        time.sleep(0.05)
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert len(children) == 1
    assert gone(int(children[0]))
    # It was asked to stop, not only killed: the task had time to end by itself.
    assert "saved" in (tasks.folder / "numpy.json").read_text()
