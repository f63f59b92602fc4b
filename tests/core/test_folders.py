"""The folder of a run is one process's at a time; the second is told who runs there. Names lead to
no other folder.
"""

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

from googlenet import DataError, Recipe, TrainingError, get_network
from googlenet.actions.race import race
from googlenet.data.dataset import DataSet, Split, name_of
from googlenet.data.prepared import save_data
from googlenet.data.sets import load_data
from googlenet.training.folders import LOCK, default_folder, locked
from googlenet.training.log import LOG
from googlenet.training.loop import CHECKPOINT

from .test_training import data, run

SHAPE = (1, 4, 5)

#: A process that has a folder, and says so.
HOLD = """
import sys, time
from pathlib import Path
from googlenet.training.folders import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("resume", [False, True])
def test_the_second_run_is_told_who_runs_there(holder, tmp_path, resume):
    folder = tmp_path / "run"
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(TrainingError) as caught:
        run(folder, resume=resume).train()
    message = str(caught.value)
    assert message.startswith(f"{folder}: another process is training here; wait for it to finish")
    assert f"(process {holder.pid} since 20" in message
    assert message.endswith("-c " + str(folder) + "), or give another `out`")
    assert "\n" not in message
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_the_lock_ends_with_its_process(holder, tmp_path):
    holder.kill()
    holder.wait()
    folder = tmp_path / "run"
    assert (folder / LOCK).exists()
    assert run(folder, resume=True).train().finished
    assert not (folder / LOCK).exists()


def test_one_who_waits_has_it_next(holder, tmp_path):
    threading.Timer(0.5, holder.kill).start()
    with locked(tmp_path / "run", wait=60):
        assert json.loads((tmp_path / "run" / LOCK).read_text())["pid"] == os.getpid()


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b"\xff", b'{"pid": "1"}', b"[" * 5000, b'{"pid": 1, "command": 1}']
)
def test_a_lock_that_says_nothing_is_one_all_the_same(holder, tmp_path, text):
    (tmp_path / "run" / LOCK).write_bytes(text)
    with (
        pytest.raises(TrainingError, match="another process is training here; wait for it to f"),
        locked(tmp_path / "run"),
    ):
        pass


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / LOCK).symlink_to(tmp_path / "mine")
    with pytest.raises(TrainingError, match="cannot be written"), locked(tmp_path):
        pass
    assert (tmp_path / "mine").read_text() == "mine"


def test_two_threads_do_not_share_a_folder(tmp_path):
    with locked(tmp_path), pytest.raises(TrainingError, match="another process is training"):
        run(tmp_path).train()


def test_of_many_that_come_at_once_one_has_it(tmp_path):
    """Whoever leaves removes the file: no two may hold different ones of that name."""
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from googlenet.training.folders import locked\n"
        "folder = Path(sys.argv[1])\n"
        "for _ in range(60):\n"
        "    with locked(folder, wait=60):\n"
        "        (folder / 'mine').mkdir()\n"  # which fails if somebody else is here
        "        (folder / 'mine').rmdir()\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(3)]
    assert [process.wait(120) for process in processes] == [0, 0, 0]
    assert os.listdir(tmp_path) == []


def test_a_checkpoint_that_was_half_written_is_removed(tmp_path):
    """As by a process that was killed then."""
    half = tmp_path / ".googlenet-write-0123456789abcdef.tmp"
    half.mkdir()
    (half / CHECKPOINT).write_bytes(b"x" * 1000)
    with locked(tmp_path):
        assert not half.exists()


# Names --------------------------------------------------------------------------------------------


def test_the_default_folder_tells_runs_apart_and_finds_them_again():
    network = get_network("googlenet", input_shape=(1, 32, 32))

    def folder(recipe=Recipe(), name="digits", **settings):
        return default_folder((network.name, name, "torch", "seed0"), network, recipe, settings)

    book = folder(digest=1)
    assert book.name.startswith("googlenet-digits-torch-seed0-1x32x32-")
    assert book == folder(digest=1)
    others = [
        *(Recipe(learning_rate=0.01), Recipe(epochs=2), Recipe(momentum=0.9)),
        *(Recipe(schedule="cosine"), Recipe(aux_weights=(0.3, 0.2)), Recipe(batch_size=8)),
    ]
    assert len({book, folder(digest=2), *(folder(each, digest=1) for each in others)}) == 8
    assert "rate0.01" in folder(others[0]).name
    assert "cosine" in folder(others[3]).name


@pytest.mark.parametrize(
    "name", ["/../../x", "..", "../x", "a/b", "\\x", "a\nb", "\x1b[31m", "x" * 5000, "", "é" * 300]
)
def test_no_name_leads_out_of_the_folder(name):
    network = get_network("googlenet")
    found = default_folder((name, name, name, name), network, Recipe(), {})
    assert found.parent.name == "runs"
    assert found.name.isprintable()
    assert len(found.name.encode()) < 255
    assert found.name not in (".", "..")
    assert not found.name.startswith(".")


@pytest.fixture
def prepared(tmp_path):
    save_data(tmp_path / "set", data(shape=SHAPE))
    return tmp_path / "set"


@pytest.mark.parametrize(
    "change",
    [
        {"name": "/../../x"},
        {"name": ".."},
        {"name": "a\\b"},
        {"name": "a\nb"},
        {"name": "\x1b[31mred"},
        {"name": ""},
        {"name": "x" * 101},
        {"name": 1},
        {"name": None},
        {"name": ["a"]},
        {"description": 1},
        {"classes": "abc"},
        {"classes": [1, 2]},
        {"classes": {"a": 1}},
        {"classes": []},
        {"digest": None},
    ],
)
def test_a_description_that_cannot_be_is_refused(prepared, change):
    path = prepared / "data.json"
    assert load_data(str(prepared), SHAPE).name == "noise"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError) as caught:
        load_data(str(prepared), SHAPE)
    assert str(caught.value).startswith(f"{path}: does not describe a prepared set (")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [b"\xff", b"[]", b"null", b"\0"])
def test_a_description_that_is_none_is_refused(prepared, text):
    (prepared / "data.json").write_bytes(text)
    with pytest.raises(DataError, match="does not describe a prepared set"):
        load_data(str(prepared), SHAPE)


def test_a_description_that_is_nested_too_deep_is_refused(prepared):
    (prepared / "data.json").write_bytes(b"[" * 100_000)
    with pytest.raises(DataError, match=r"data\.json: asks for objects nested 65 deep"):
        load_data(str(prepared), SHAPE)


def test_a_set_whose_name_leads_elsewhere_is_not_written(tmp_path):
    with pytest.raises(DataError, match=r"its name is '/\.\./x', expected words without"):
        save_data(tmp_path / "set", replace(data(), name="/../x"))
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(("name", "called"), [("a\nb", "a-b"), ("a\\b", "a-b"), ("x y", "x y")])
def test_a_set_is_called_as_its_folder_as_far_as_that_is_a_name(tmp_path, name, called):
    assert name_of(tmp_path / name) == called


# Races --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    """A race of two frameworks that has finished."""
    return begin(tmp_path_factory.mktemp("raced") / "race")


def begin(folder, **more):
    rng = np.random.default_rng(0)

    def split(count):
        labels = np.arange(count) % 2
        return Split(rng.integers(0, 256, (count, 1, 8, 8), dtype=np.uint8), labels)

    shades = DataSet("shades", "two shades", ("dark", "bright"), split(16), split(6))
    recipe = Recipe(learning_rate=0.01, epochs=1, batch_size=8)
    return race(
        "googlenet",
        shades,
        recipe,
        frameworks=["numpy", "faulty"],
        input_shape=(1, 8, 8),
        out=folder,
        **more,
    )


def with_line(number, line):
    def change(run):
        lines = (run / LOG).read_bytes().split(b"\n")
        lines[number] = line
        (run / LOG).write_bytes(b"\n".join(lines))

    return change


def flip(run):
    data = bytearray((run / CHECKPOINT).read_bytes())
    data[-5] ^= 1
    (run / CHECKPOINT).write_bytes(data)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (with_line(0, b"{}"), "line 1 is not an event"),
        (with_line(1, b"\xff\xfe"), "line 2 is not an event"),
        (lambda run: (run / LOG).write_bytes(b"\0" * (run / LOG).stat().st_size), "is not the log"),
        (flip, "does not match its digest"),
    ],
)
def test_a_damaged_run_is_one_failed_row(raced, tmp_path, change, error):
    folder = tmp_path / "race"
    subprocess.run(["cp", "-r", raced.folder, folder], check=True)
    change(folder / "numpy-seed0")
    again = begin(folder)
    numpy, faulty = again.runs
    assert not again.passed
    assert numpy.error is not None
    assert error in numpy.error
    assert faulty.error is None
    assert json.loads(json.dumps(again.to_json()))
    assert json.loads(again.results.read_text())[0]["runs"][0]["error"] == numpy.error


def test_zeros_behind_a_log_are_no_reason_to_refuse_a_race(raced, tmp_path):
    folder = tmp_path / "race"
    subprocess.run(["cp", "-r", raced.folder, folder], check=True)
    with (folder / "numpy-seed0" / LOG).open("ab") as log:
        log.write(b"\0" * 4096)
    assert begin(folder).passed


@pytest.mark.parametrize(
    "answer",
    ["", "[" * 100_000],
    ids=["nothing", "deep"],
)
def test_a_worker_of_a_race_that_answers_what_it_likes_fails_alone(tmp_path, answer):
    fake, text = tmp_path / "python", tmp_path / "text"
    text.write_text(answer)
    fake.write_text(f'#!/bin/sh\n[ "$1" = -m ] && cp {text} "$3/$4.json"\nexit 0\n')
    fake.chmod(0o755)
    numpy, faulty = begin(tmp_path / "race", interpreters={"numpy": str(fake)}).runs
    assert numpy.error is not None
    assert "\n" not in numpy.error
    assert faulty.error is None


def test_a_race_with_a_worker_that_says_it_has_finished_has_its_epochs(tmp_path, monkeypatch):
    """Which are in its log, and not in its answer."""
    from googlenet.jobs.job import Answer

    monkeypatch.setattr(
        "googlenet.training.race.run_job",
        lambda *_, **__: Answer({"finished": True, "step": 2}, versions={"numpy": "2"}),
    )
    for each in begin(tmp_path / "race").runs:
        assert "has 0 epochs of 1, though the worker says that it has finished" in each.error
