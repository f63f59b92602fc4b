"""Fashion-MNIST downloaded: mirrors, downloads that were cut, checksums, and no network."""

import gzip
import hashlib
import json
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from googlenet.data import download as downloads
from googlenet.data.sets import load_data

from .helpers import NAMES, SHAPE, idx_set, refused


class Mirror:
    """A server of `files` that can go on with a file, cut it, give another or none; it remembers
    what it was asked for.
    """

    def __init__(self, files):
        self.files = files
        self.asked = []
        self.cut_after = None  # bytes that it sends before it hangs up
        self.ranges = True
        self.lengths = True  # whether it says how long an answer is
        self.status = 200

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler):
                self.answer(handler)

            def log_message(handler, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def answer(self, handler):
        name, wanted = handler.path.removeprefix("/"), handler.headers.get("Range")
        self.asked.append((name, wanted))
        content, status, start = (
            self.files.get(name, b""),
            self.status if name in self.files else 404,
            0,
        )
        if wanted and self.ranges and status == 200:
            status, start = 206, int(wanted.removeprefix("bytes=").removesuffix("-"))
        body = content[start:]
        handler.send_response(status)
        if self.lengths:
            handler.send_header("Content-Length", str(len(body)))
        if status == 206:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        handler.end_headers()
        handler.wfile.write(body[: self.cut_after])


@contextmanager
def serving(*mirrors):
    threads = [
        threading.Thread(target=mirror.server.serve_forever, kwargs={"poll_interval": 0.01})
        for mirror in mirrors
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for mirror, thread in zip(mirrors, threads, strict=True):
            mirror.server.shutdown()
            mirror.server.server_close()
            thread.join()


@pytest.fixture
def files(monkeypatch):
    """A small set in place of Fashion-MNIST, with its own checksums."""
    contents = {
        f"{name}.gz": gzip.compress(content, mtime=0)
        for name, content in idx_set(train=200, test=50)[0].items()
    }
    monkeypatch.setattr(
        downloads,
        "FILES",
        {name: (hashlib.sha256(data).hexdigest(), len(data)) for name, data in contents.items()},
    )
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return contents


@pytest.fixture
def mirrors(files, monkeypatch):
    first, second = Mirror(files), Mirror(files)
    monkeypatch.setattr(downloads, "MIRRORS", (first.url, second.url))
    with serving(first, second):
        yield first, second


FIRST = NAMES[0]


def downloaded(cache):
    return {
        path.name: path.read_bytes()
        for path in (cache / "fashion-mnist").iterdir()
        if not path.name.startswith(".")
    }


def test_the_table_of_files():
    assert [size for _, size in downloads.FILES.values()] == [26421880, 29515, 4422102, 5148]
    assert all(len(digest) == 64 and int(digest, 16) for digest, _ in downloads.FILES.values())
    assert len(downloads.MIRRORS) == 2


def test_a_fresh_download(mirrors, files, cache):
    heard = []
    data = load_data("fashion-mnist", SHAPE, report=lambda *values: heard.append(values))
    assert (data.name, data.description) == ("fashion-mnist", "Fashion-MNIST")
    assert len(data.classes) == 10
    assert (len(data.train.labels), len(data.test.labels)) == (200, 50)
    assert downloaded(cache) == files
    assert [name for name, _ in mirrors[0].asked] == list(NAMES)
    assert not mirrors[1].asked
    for name, content in files.items():
        assert (f"downloading {name}", len(content), len(content)) in heard


def test_what_is_there_is_not_downloaded_again(mirrors, files):
    first = load_data("fashion-mnist", SHAPE)
    asked = len(mirrors[0].asked)
    assert load_data("fashion-mnist", SHAPE).digest == first.digest
    assert len(mirrors[0].asked) == asked


def test_a_file_that_was_damaged_later_is_downloaded_again(mirrors, files, cache):
    load_data("fashion-mnist", SHAPE)
    (cache / "fashion-mnist" / FIRST).write_bytes(b"x")
    load_data("fashion-mnist", SHAPE)
    assert downloaded(cache) == files
    assert [name for name, _ in mirrors[0].asked] == [*NAMES, FIRST]


def test_a_download_that_was_cut_goes_on(mirrors, files, cache):
    for mirror in mirrors:
        mirror.cut_after = 1000
    # The first mirror gives 1000 bytes, the second the next 1000, and both hang up.
    size = len(files[FIRST])
    refused(
        FIRST,
        f"after 1000 of {size} bytes",
        f"after 2000 of {size} bytes",
        "`data_dir`",
        source="fashion-mnist",
    )
    assert (cache / "fashion-mnist" / f"{FIRST}.part").read_bytes() == files[FIRST][:2000]
    mirrors[0].cut_after = None
    heard = []
    load_data("fashion-mnist", SHAPE, report=lambda what, done, total: heard.append((what, done)))
    assert downloaded(cache) == files
    assert mirrors[0].asked[:2] == [(FIRST, None), (FIRST, "bytes=2000-")]
    assert mirrors[1].asked == [(FIRST, "bytes=1000-")]
    assert min(done for what, done in heard if FIRST in what) > 2000


def test_a_server_that_cannot_go_on_begins_again(mirrors, files, cache):
    mirrors[0].cut_after, mirrors[1].ranges = 1000, False
    load_data("fashion-mnist", SHAPE)
    assert downloaded(cache) == files
    assert mirrors[1].asked[0] == (FIRST, "bytes=1000-")


@pytest.mark.parametrize("kept", ["whole", "too long"])
def test_a_part_with_nothing_left_to_ask_for(mirrors, files, cache, kept):
    (cache / "fashion-mnist").mkdir(parents=True)
    (cache / "fashion-mnist" / f"{FIRST}.part").write_bytes(
        files[FIRST] + b"x" * (kept == "too long")
    )
    load_data("fashion-mnist", SHAPE)
    assert downloaded(cache) == files
    assert mirrors[0].asked[0] == (FIRST, None)


@pytest.mark.parametrize("status", [404, 500, 503])
def test_the_second_mirror(mirrors, files, cache, status):
    mirrors[0].status = status
    load_data("fashion-mnist", SHAPE)
    assert downloaded(cache) == files
    assert [name for name, _ in mirrors[1].asked] == list(NAMES)


@pytest.mark.parametrize("lengths", [True, False])
def test_a_page_that_says_sorry_is_no_part_of_the_file(mirrors, files, cache, lengths):
    mirrors[0].files, mirrors[0].lengths = dict.fromkeys(NAMES, b"<html>sorry</html>"), lengths
    load_data("fashion-mnist", SHAPE)
    assert downloaded(cache) == files
    assert mirrors[1].asked[0] == (FIRST, None)


def test_an_answer_without_its_length(mirrors, files, cache):
    mirrors[0].lengths = False
    load_data("fashion-mnist", SHAPE)
    assert downloaded(cache) == files
    assert not mirrors[1].asked


def test_an_answer_that_does_not_end(mirrors, files, cache):
    mirrors[0].files, mirrors[0].lengths = dict.fromkeys(NAMES, bytes(10 * 2**20)), False
    heard = []
    load_data("fashion-mnist", SHAPE, report=lambda what, done, total: heard.append(done))
    assert downloaded(cache) == files
    assert max(heard) < 2**20


def test_a_wrong_checksum(mirrors, files, cache):
    wrong = bytes(len(files[FIRST]))
    mirrors[0].files = {**files, FIRST: wrong}
    load_data("fashion-mnist", SHAPE)  # from the second mirror, from its beginning
    assert downloaded(cache) == files
    assert mirrors[1].asked == [(FIRST, None)]


def test_a_wrong_checksum_everywhere(mirrors, files, cache):
    wrong = bytes(len(files[FIRST]))
    for mirror in mirrors:
        mirror.files = {**files, FIRST: wrong}
    words = (
        FIRST,
        mirrors[0].url,
        mirrors[1].url,
        downloads.FILES[FIRST][0],
        hashlib.sha256(wrong).hexdigest(),
        "`data_dir`",
    )
    refused(*words, source="fashion-mnist")
    assert downloaded(cache) == {}


def test_no_network(files, cache, monkeypatch):
    closed = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as server:
            closed.append(f"http://127.0.0.1:{server.getsockname()[1]}/")
    monkeypatch.setattr(downloads, "MIRRORS", tuple(closed))
    refused(FIRST, *closed, "refused", "`data_dir`", source="fashion-mnist")
    monkeypatch.setattr(downloads, "MIRRORS", ("http://mirror.invalid/",))
    refused(FIRST, "http://mirror.invalid/", "`data_dir`", source="fashion-mnist")


def test_a_server_that_says_nothing(files, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(downloads, "MIRRORS", (f"http://127.0.0.1:{silent.getsockname()[1]}/",))
        refused(FIRST, "timed out", source="fashion-mnist")


def test_a_server_that_speaks_something_else(files, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak():
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"220 mail.example ESMTP\r\n")

        thread = threading.Thread(target=speak)
        thread.start()
        monkeypatch.setattr(downloads, "MIRRORS", (f"http://127.0.0.1:{server.getsockname()[1]}/",))
        refused(FIRST, "220 mail.example", source="fashion-mnist")
        thread.join()


DOWNLOADS = """
import json, sys
from pathlib import Path
from googlenet.data import download, places, sets
places.SYSTEM = Path("/nowhere")
values = json.loads(sys.argv[1])
download.MIRRORS, download.FILES = values["mirrors"], values["files"]
print(sets.load_data("fashion-mnist", (1, 9, 7)).digest)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs file locks")
def test_processes_that_train_together_download_once(mirrors, files, cache):
    """Each in a process of its own, at the same time."""
    values = json.dumps({"mirrors": downloads.MIRRORS, "files": downloads.FILES})
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", DOWNLOADS, values], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    digests = {process.communicate(timeout=120)[0] for process in processes}
    assert digests == {load_data("fashion-mnist", SHAPE).digest + "\n"}
    assert [name for name, _ in mirrors[0].asked] == list(NAMES)
