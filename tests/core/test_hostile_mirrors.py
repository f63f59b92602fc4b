"""Servers that trickle, never end, lie, or send us elsewhere: each is given up, and the next one is
asked; and what others put into the cache folder stays as it is.
"""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress

import pytest

from googlenet.data import download as downloads
from googlenet.data.fetch import Patience, fetched
from googlenet.errors import DataError
from googlenet.locks import held

CONTENT = b"the whole file" * 100
NAME = "a.gz"


@contextmanager
def server(answer):
    """A server on this machine that lets `answer(connection)` do as it likes, for each caller."""
    stopped = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)

        def serve():
            while not stopped.is_set():
                with suppress(TimeoutError), suppress(OSError):
                    connection, _ = listening.accept()
                    connection.settimeout(5)
                    with connection:
                        connection.recv(1 << 16)
                        answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            stopped.set()
            thread.join()


def head(*lines, status="200 OK"):
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("latin-1")


def good(connection):
    connection.sendall(head(f"Content-Length: {len(CONTENT)}", "Connection: close") + CONTENT)


def trickle(data):
    def answer(connection):
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(0.03)

    return answer


def endless(connection):
    connection.sendall(head("Connection: close"))
    while True:
        connection.sendall(bytes(1 << 16))


def endless_header(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        connection.sendall(b"x" * (1 << 16))


def redirect(target):
    return lambda connection: connection.sendall(
        head(f"Location: {target}", "Connection: close", status="302 Found")
    )


def endless_redirect(connection):
    connection.sendall(head("Location: /again", status="302 Found"))
    while True:
        connection.sendall(bytes(1 << 16))


def says(*lines, status):
    return lambda connection: connection.sendall(
        head(*lines, "Content-Length: 0", "Connection: close", status=status)
    )


@pytest.fixture
def small(monkeypatch, tmp_path):
    """One small file in place of Fashion-MNIST's, and little patience."""
    files = {NAME: (hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))}
    monkeypatch.setattr(downloads, "FILES", files)
    monkeypatch.setattr(downloads, "PATIENCE", Patience(window=0.3, slowest=1000, longest=3))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("GOOGLENET_CACHE_DIR", str(tmp_path))
    folder = tmp_path / downloads.FASHION_MNIST
    folder.mkdir()
    return folder


LENGTH = f"Content-Length: {len(CONTENT)}"
HOSTILE = {
    "a trickling body": (trickle(head(LENGTH) + CONTENT), "gave up"),
    "a trickling header": (trickle(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200), "gave up"),
    "a trickling status": (trickle(b"HTTP/1.1 200 " + b"O" * 900), "gave up"),
    "trickling chunks": (
        trickle(head("Transfer-Encoding: chunked") + b"1;" + b"x" * 900),
        "gave up",
    ),
    "an endless body": (endless, f"expected {len(CONTENT)} bytes, but the server sent"),
    "an endless header": (endless_header, "line"),
    "an endless redirect": (endless_redirect, "redirects more than 5 times"),
    "a redirect to a file": (redirect("file:///etc/passwd"), "file:///etc/passwd, which is not on"),
    "a redirect to FTP": (redirect("ftp://127.0.0.1/x"), "is not on the web"),
    "a length in words": (says(f"Content-Length: {'9' * 5000}", status="200 OK"), "expected"),
    "a hostile reason": (says(status="404 \x1b[31mNot\x07 here"), "404"),
    "another file": (
        lambda connection: connection.sendall(head(LENGTH, "Connection: close") + CONTENT[::-1]),
        "SHA256",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_the_second_mirror_is_asked(kind, small, monkeypatch):
    answer, words = HOSTILE[kind]
    with server(answer) as bad, server(good) as right:
        monkeypatch.setattr(downloads, "MIRRORS", (bad,))
        begun = time.monotonic()
        with pytest.raises(DataError, match=f"(?i){words}") as caught:
            downloads.download()
        assert bad in str(caught.value)
        assert "\n" not in str(caught.value)
        monkeypatch.setattr(downloads, "MIRRORS", (bad, right))
        downloads.download()
        assert time.monotonic() - begun < 20
    assert os.listdir(small) == [NAME]
    assert (small / NAME).read_bytes() == CONTENT


def test_a_server_that_is_quick_enough_but_never_done(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    patience = Patience(window=0.2, slowest=10, longest=0.5)

    def answer(connection):
        connection.sendall(head())
        trickle(bytes(3000))(connection)

    def read_all(url):
        with fetched(url, {}, patience) as found:
            while found.read(1 << 16):
                pass

    with server(answer) as url, pytest.raises(OSError, match=r"took more than 0\.5 s"):
        read_all(url)


def test_a_redirect_to_another_server_is_followed(small, monkeypatch):
    with server(good) as right, server(redirect(f"{right}x")) as first:
        monkeypatch.setattr(downloads, "MIRRORS", (first,))
        downloads.download()
    assert (small / NAME).read_bytes() == CONTENT


@pytest.mark.parametrize("name", [".lock", f"{NAME}.part"])
@pytest.mark.parametrize("dangling", [False, True])
def test_what_a_link_links_to_is_not_written(name, dangling, small, tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    if not dangling:
        victim.write_text("precious")
    (small / name).symlink_to(victim)
    with server(good) as right:
        monkeypatch.setattr(downloads, "MIRRORS", (right,))
        with pytest.raises(DataError, match="it is a link, and not ours; delete it"):
            downloads.download()
    assert victim.exists() is not dangling
    assert dangling or victim.read_text() == "precious"


@pytest.mark.parametrize("name", [".lock", f"{NAME}.part", NAME])
def test_a_pipe_in_the_cache_is_not_waited_for(name, small, monkeypatch):
    os.mkfifo(small / name)
    with server(good) as right:
        monkeypatch.setattr(downloads, "MIRRORS", (right,))
        with pytest.raises(DataError, match="not a file"):
            downloads.download()


def test_who_downloads_without_getting_further_is_named(small, monkeypatch):
    monkeypatch.setattr(downloads, "WAIT", 0.3)
    heard = []
    with (
        held(small / downloads.LOCK, wait=0, busy=lambda handle: AssertionError()),
        pytest.raises(DataError, match=rf"got no further for 0\.3 s \(process {os.getpid()} "),
    ):
        downloads.download(lambda *told: heard.append(told))
    assert heard[0][0].startswith(f"waiting for process {os.getpid()} since ")
    assert os.listdir(small) == []


def test_who_downloads_and_gets_further_is_waited_for(small, monkeypatch):
    monkeypatch.setattr(downloads, "WAIT", 0.4)
    waited = []

    def report(what, done, total):
        if what.startswith("waiting"):
            waited.append(what)
            (small / f"{NAME}.part").write_bytes(b"x" * len(waited))
            if len(waited) == 8:  # after twice as long
                (small / f"{NAME}.part").write_bytes(CONTENT[:10])
                lock.close()

    lock = ExitStack()
    lock.enter_context(held(small / downloads.LOCK, wait=0, busy=lambda handle: AssertionError()))
    with server(good) as right:
        monkeypatch.setattr(downloads, "MIRRORS", (right,))
        downloads.download(report)
    assert len(waited) == 8
    assert (small / NAME).read_bytes() == CONTENT


def test_what_is_killed_while_it_downloads_leaves_only_what_goes_on(small, tmp_path):
    """SIGTERM ends it at once, though the server is silent."""

    def answer(connection):
        connection.sendall(head(LENGTH) + CONTENT[:10])
        asked.set()
        ended.wait(30)

    asked, ended = threading.Event(), threading.Event()
    code = (
        "import sys; from pathlib import Path; from googlenet.data import download as d, places;"
        "from googlenet.cli import main; places.SYSTEM = Path('none');"  # else it is not downloaded
        f"d.MIRRORS = (sys.argv.pop(),); d.FILES = {downloads.FILES!r}; main()"
    )
    with server(answer) as url:
        for number, left in ((signal.SIGTERM, []), (signal.SIGKILL, [downloads.LOCK])):
            asked.clear()
            ended.clear()
            process = subprocess.Popen(
                [sys.executable, "-c", code, "train", "--data", "fashion-mnist", url],
                cwd=tmp_path,
                stderr=subprocess.PIPE,
                text=True,
            )
            assert asked.wait(60)
            time.sleep(0.3)
            begun = time.monotonic()
            process.send_signal(number)
            _, said = process.communicate(timeout=20)
            ended.set()
            assert time.monotonic() - begun < 8
            assert number == signal.SIGKILL or said == "googlenet: interrupted\n"
            assert sorted(os.listdir(small)) == sorted([*left, f"{NAME}.part"])


def test_a_lock_is_not_emptied(small, monkeypatch):
    (small / ".lock").write_text("notes")
    with server(good) as right:
        monkeypatch.setattr(downloads, "MIRRORS", (right,))
        downloads.download()
    assert (small / ".lock").read_text() == "notes"
