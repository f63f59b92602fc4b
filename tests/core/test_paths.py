"""Whatever a path is, what takes it says so in one line, and waits for nothing."""

import ast
import errno
import json
import os
import re
import shutil
import socket
import threading
from pathlib import Path

import numpy as np
import pytest

from googlenet import errors
from googlenet.actions.arguments import path_of
from googlenet.actions.convert import convert
from googlenet.actions.draw import draw
from googlenet.actions.predict import check_output, predict
from googlenet.data.decoding import decode, find_images, map_npy
from googlenet.data.prepared import read_prepared
from googlenet.data.sets import load_data
from googlenet.errors import DataError, GoogLeNetError, WeightsError
from googlenet.files import native_file, write_atomically
from googlenet.jobs.own import own_of
from googlenet.paths import check_path, kind_at, open_file, open_own, read_file
from googlenet.weights.files import read_safetensors
from googlenet.weights.formats import read_weights_file

SHAPE = (1, 8, 8)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder with one of everything that a file system has, in which paths are relative."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
    os.symlink("loop", "loop")
    os.symlink("nowhere", "dangling")
    os.mkdir("folder")
    Path("file").write_bytes(b"some text")
    return tmp_path


MISSING = "does not exist|a path that exists|No such file|Not a directory"
#: A path, and what is said of it where a file is expected.
PATHS = {
    "pipe": "pipe",
    "socket": "socket",
    "/dev/zero": "device",
    "loop": "symbolic links",
    "dangling": MISSING,
    "folder": "folder",
    "file/below": MISSING,
    "x/" * 2100 + "x": "too long",
    "n" * 256: "too long",
    "a\0b": "null",
    "\ud800": "cannot be in the name",
}
#: What reads a file, and names it in an error.
READERS = {
    "weights": read_weights_file,
    "safetensors": read_safetensors,
    "npy": lambda path: map_npy(Path(path)),
    "images": lambda path: find_images(Path(path)) or decode(Path(path)),
    "image": lambda path: decode(Path(path)),
    "own": lambda path: own_of(f"{path}.py:net"),
    "set": lambda path: load_data(path, SHAPE),
    "source": lambda path: convert(path, "out.safetensors"),
    "classes": lambda path: convert("w.safetensors", "out.safetensors", classes=path),
}


def in_time(function, *arguments):
    """What `function` raises; it must not wait."""
    found = []

    def call():
        try:
            function(*arguments)
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "it waits"
    return found[0]


@pytest.mark.parametrize("path", PATHS, ids=[each[:12] for each in PATHS])
@pytest.mark.parametrize("reader", READERS)
def test_a_reader_says_what_it_is_in_one_line(reader, path):
    if reader == "set" and path == "folder":
        pytest.skip("is what it reads")
    error = in_time(READERS[reader], path)
    assert isinstance(error, GoogLeNetError)
    assert "\n" not in str(error)
    assert len(str(error)) < 1000
    if reader not in ("own", "classes") and path not in ("folder", "\ud800"):
        assert re.search(PATHS[path], str(error))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("pipe", "pipe"),
        ("socket", "socket"),
        ("/dev/null", "device"),
        ("folder", "folder"),
        ("file", "file"),
        ("dangling", ""),
        ("nothing", ""),
        ("file/below", ""),
    ],
)
def test_what_is_at_a_path(path, kind):
    assert kind_at(path) == kind


def test_a_folder_that_may_not_be_read(monkeypatch):
    """As it is for a user who is not root."""

    def refused(*args, **settings):
        raise PermissionError(errno.EACCES, "Permission denied", "file")

    monkeypatch.setattr(os, "stat", refused)
    for reader in ("weights", "safetensors", "images", "set"):
        with pytest.raises(GoogLeNetError, match=r"file: cannot be read \(Permission denied\)"):
            READERS[reader]("file")
    with pytest.raises(errors.ModelFileError, match="Permission denied"):
        own_of("file.py:net")
    with pytest.raises(DataError, match="Permission denied"):
        check_output("folder/x.npy")


def test_a_file_that_may_not_be_read(monkeypatch):
    def refused(*args, **settings):
        raise PermissionError(errno.EACCES, "Permission denied", "file")

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(WeightsError, match=r"file: cannot be read \(Permission denied\)"):
        read_weights_file("file")
    with pytest.raises(DataError, match=r"file: cannot be read \(Permission denied\)"):
        map_npy(Path("file"))


def test_a_file_that_becomes_a_pipe_is_not_waited_for(monkeypatch):
    real = os.stat("file")
    monkeypatch.setattr(os, "stat", lambda path: real)
    assert in_time(open_file, "pipe").strerror == "it is a pipe, not a file"


@pytest.mark.parametrize("path", ["x" * 5000, "a\0b", "\ud800"], ids=["long", "NUL", "half"])
def test_what_cannot_be_a_path_is_refused_as_an_argument(path):
    for take in (lambda: path_of("out", path), lambda: check_path(path)):
        with pytest.raises(DataError, match="cannot be a path") as caught:
            take()
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize("path", ["x" * 5000, "n" * 300, "n" * 300 + "/x", "file/x", "folder"])
def test_what_is_written_is_refused_first(path):
    for ending, write in {
        ".npy": lambda out: check_output(out),
        ".safetensors": lambda out: convert("file", out),
        ".svg": lambda out: draw("googlenet", block="inception_3a").save(out),
    }.items():
        out = path if path == "folder" else path + ending
        with pytest.raises(GoogLeNetError) as caught:
            write(out)
        assert "\n" not in str(caught.value)


def test_a_link_is_not_written_through():
    os.symlink("file", "link")
    for mode in ("ab", "r+b", "wb"):
        for path in ("link", "dangling", "pipe", "folder"):
            assert isinstance(in_time(open_own, path, mode), OSError)
    assert read_file("file") == b"some text"
    assert not os.path.exists("nowhere")
    with open_own("new", "wb") as file:
        file.write(b"x")
    with open_own("new", "r+b"):
        pass
    assert read_file("new") == b"x"


def described(**values):
    right = {"name": "a", "description": "", "digest": "", "classes": ["a"]}
    return json.dumps({**right, **values})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (described(name="/../../x"), "its name is"),
        (described(name=".."), "its name is"),
        (described(name="a\nb"), "its name is"),
        (described(name=""), "its name is"),
        (described(name=3), "does not describe"),
        (described(classes=[3]), "does not describe"),
        (described(digest=None), "does not describe"),
        ("[" * 100_000, "nested"),
        ("\udcff", "does not describe"),
        ("7", "does not describe"),
    ],
)
def test_a_prepared_set_that_lies_about_itself(text, words):
    Path("folder/data.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=words) as caught:
        read_prepared(Path("folder"), SHAPE)
    assert "\n" not in str(caught.value)


def test_a_run_of_a_set_with_a_hostile_name_stays_in_its_folder():
    from googlenet.actions.race import race
    from googlenet.actions.train import train
    from googlenet.data.dataset import DataSet, Split
    from googlenet.spec import Recipe

    half = Split(np.zeros((2, 1, 8, 8), np.uint8), np.arange(2))
    data = DataSet("/../../../x\n", "two", ("a", "b"), half, half)
    folders = []

    class Enough(Exception):
        pass

    def begins(run):
        folders.append(run.folder)
        raise Enough

    asked = {"input_shape": SHAPE, "begins": begins}
    for call, named in ((train, {"framework": "numpy"}), (race, {"frameworks": "numpy"})):
        with pytest.raises(Enough):
            call("googlenet", data, Recipe(epochs=1, batch_size=2), **named, **asked)
    assert [folder.parent for folder in folders] == [Path("runs")] * 2
    assert all(folder.name.isprintable() for folder in folders)


def test_a_full_disk_is_said_before_a_framework_writes(monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with (
        pytest.raises(WeightsError, match=r"\(No space left on device\); the old file"),
        native_file("folder/x.pt", ".pt", 100),
    ):
        raise AssertionError("nothing is written")
    assert os.listdir("folder") == []


def test_room_that_was_found_is_given_back(place):
    with native_file("folder/x.pt", ".pt", 10**6) as name:
        assert not os.path.exists(name)
        Path(name).write_bytes(b"new")
    assert read_file("folder/x.pt") == b"new"
    with pytest.raises(WeightsError, match=r"cannot be written \(File too large\)"):
        _limited()
    shutil.rmtree("folder")


def _limited():
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with native_file("folder/y.pt", ".pt", 10**6):
            raise AssertionError("nothing is written")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_of_a_frameworks_traceback_the_last_line_is_said():
    with (
        pytest.raises(WeightsError, match=r"cannot be written \(MXNetError: Write incomplete\)"),
        native_file("folder/x.params", ".params"),
    ):
        raise RuntimeError(
            'Traceback (most recent call last):\n  File "x"\nMXNetError: Write incomplete'
        )


def test_a_pipe_is_not_replaced_by_what_is_written():
    with pytest.raises(OSError, match="it is a pipe, not a file"):
        write_atomically("pipe", b"x")


def test_predict_refuses_a_pipe_for_an_array():
    error = in_time(lambda: predict("pipe", "pipe"))
    assert isinstance(error, WeightsError)


def test_what_is_at_a_path_is_asked_at_the_door_alone():
    """`Path.exists` and its like raise for a path that is too long or may not be looked at. Jobs,
    runs and proofs ask of folders of their own.
    """
    root = Path(errors.__file__).parent
    own = {root / name for name in ("jobs", "training", "proof")}
    asked = [
        f"{path.relative_to(root)}: {node.func.attr}"
        for path in root.rglob("*.py")
        if path.name != "paths.py" and not own & {*path.parents}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("exists", "is_file", "is_dir", "is_symlink", "lexists", "isdir")
    ]
    assert asked == []


@pytest.mark.parametrize("content", [b"\xff\xfe\n", b"{\n", b"[" * 3000 + b"\n"])
def test_a_log_that_is_none(content):
    from googlenet.training.loop import read_log

    Path("log.jsonl").write_bytes(content)
    with pytest.raises(
        errors.TrainingError, match="line 1 is not an event of a training run"
    ) as caught:
        read_log(Path("log.jsonl"))
    assert "\n" not in str(caught.value)
    assert isinstance(in_time(read_log, Path("pipe")), errors.TrainingError)
