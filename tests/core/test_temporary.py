"""Temporary files and folders of processes that were killed are removed by the next; those of
others, and whatever is no such folder, stay.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from googlenet import DataError
from googlenet.files import native_file, replacing, write_atomically
from googlenet.jobs.probe import probe
from googlenet.temporary import remove_leftovers, temporary_folder

from .test_jobs import gone

#: A process that is within a file or folder, and says so.
WITHIN = """
import sys, time
from pathlib import Path
from googlenet.files import native_file, replacing
from googlenet.temporary import temporary_folder
path = Path(sys.argv[2])
held = {"replacing": lambda: replacing(path), "native": lambda: native_file(path, ".bin"),
        "folder": lambda: temporary_folder("work")}[sys.argv[1]]
with held() as made:
    if sys.argv[1] == "folder":
        made = made / "large"
    Path(made).write_bytes(b"x" * 1000)
    print(made, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The system's folder for temporary files, for this process and those that it starts."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def within(kind, path):
    """A process within one, and the file that it writes."""
    process = subprocess.Popen(
        [sys.executable, "-c", WITHIN, kind, str(path)], stdout=subprocess.PIPE, text=True
    )
    return process, Path(process.stdout.readline().strip())


@pytest.mark.parametrize("kind", ["replacing", "native", "folder"])
def test_what_a_killed_process_left_is_removed_by_the_next(place, tmp_path, kind):
    path = tmp_path / "out" / "file.bin"
    path.parent.mkdir()
    process, written = within(kind, path)
    assert written.read_bytes() == b"x" * 1000
    with temporary_folder("work"):
        write_atomically(path, b"whole")
    assert written.exists()  # it is still at work
    process.kill()
    process.wait()
    process.stdout.close()
    assert written.exists()
    if kind == "folder":
        with temporary_folder("other"):
            pass
    else:
        write_atomically(path.with_name("another"), b"")
    assert not written.parent.exists()
    assert path.read_bytes() == b"whole"
    assert os.listdir(place) == []


def test_nothing_else_is_removed(tmp_path):
    """Not what is called otherwise, a file, or a link and what it leads to."""
    for name in ("googlenet-work", ".googlenet-work-0.tmp", "googlenet-x-0123456789abcdef.tmp.d"):
        (tmp_path / name).mkdir()
    (tmp_path / "googlenet-file-0123456789abcdef.tmp").write_text("a file")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("kept")
    (tmp_path / "googlenet-link-0123456789abcdef.tmp").symlink_to(tmp_path / "kept")
    (tmp_path / "googlenet-old-0123456789abcdef.tmp").mkdir()
    within_it = tmp_path / "googlenet-old-0123456789abcdef.tmp" / "link"
    within_it.symlink_to(tmp_path / "kept")
    before = sorted(os.listdir(tmp_path))
    remove_leftovers(tmp_path)
    assert set(before) - set(os.listdir(tmp_path)) == {"googlenet-old-0123456789abcdef.tmp"}
    assert (tmp_path / "kept" / "file").read_text() == "kept"


def test_a_folder_that_is_moved_or_removed_is_no_error(tmp_path):
    with temporary_folder("work", tmp_path) as folder:
        (folder / "file").write_text("a")
        folder.rename(tmp_path / "there")
    assert (tmp_path / "there" / "file").read_text() == "a"
    with temporary_folder("work", tmp_path) as folder:
        folder.rmdir()
    assert os.listdir(tmp_path) == ["there"]


def test_a_block_that_raises_leaves_nothing(tmp_path):

    def interrupted(held):
        with held as name:
            Path(name).write_text("half")
            raise KeyboardInterrupt

    for held in (replacing(tmp_path / "file"), native_file(tmp_path / "a.pt", ".pt")):
        with pytest.raises(KeyboardInterrupt):
            interrupted(held)
    assert os.listdir(tmp_path) == []


def test_a_folder_for_temporary_files_that_is_not_there_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(DataError, match=r"none.*: cannot be written .*TMPDIR"):
        probe("numpy")


def test_many_at_once_do_not_take_each_others(place):
    """A folder that is being made is not taken for one that was left."""
    code = (
        "from googlenet.temporary import temporary_folder\n"
        "for n in range(150):\n"
        "    with temporary_folder('work') as made:\n"
        "        (made / 'file').write_text(str(n))\n"
        "        assert (made / 'file').read_text() == str(n)\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait(120) for process in processes] == [0, 0, 0]
    assert os.listdir(place) == []


# Workers ------------------------------------------------------------------------------------------

#: A parent whose worker hangs, deaf to SIGTERM, with a child in another session.
PARENT = """
import sys
from pathlib import Path
from googlenet.jobs.job import Job, run_job
from googlenet.jobs.signals import terminated_as_interrupted
from googlenet.temporary import temporary_folder
with terminated_as_interrupted(), temporary_folder("work") as folder:
    run_job(Job("deaf_tasks:hang", "numpy"), folder, timeout=600)
"""
TASKS = """
import signal, subprocess, sys, time

def hang(framework, values, folder, report):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    wait = [sys.executable, "-c", "import time; time.sleep(600)"]
    child = subprocess.Popen(wait, start_new_session=True)
    report(f"child {child.pid}", 0, 0)
    sum(range(10**11))  # which lets no other thread of Python run for long
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_no_worker_and_no_child_of_its_outlives_who_started_it(place, tmp_path, number):
    (tmp_path / "deaf_tasks.py").write_text(TASKS)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    told, deadline = "", time.monotonic() + 60
    while "child" not in told:
        assert parent.poll() is None
        assert time.monotonic() < deadline
        told = next((each.read_text() for each in place.glob("*/numpy.progress.json")), "")
        time.sleep(0.05)
    child = int(told.split('"')[1].split()[1])
    worker = int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1])
    parent.send_signal(number)
    parent.wait(30)
    assert gone(worker)
    assert gone(child)
    if number == signal.SIGKILL:  # the next removes what it left
        assert len(os.listdir(place)) == 1
        with temporary_folder("next"):
            pass
    assert os.listdir(place) == []
