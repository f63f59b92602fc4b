"""Servers that trickle, never end, lie, or send us elsewhere: each is given up, and the next one is
asked; and what others put into the cache folder stays as it is.
"""

import hashlib
import os
import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from googlenet.data import download as downloads
from googlenet.data.fetch import Patience, fetched
from googlenet.errors import DataError

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
    assert sorted(os.listdir(small)) == [".lock", NAME]
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


def test_a_lock_is_not_emptied(small, monkeypatch):
    (small / ".lock").write_text("notes")
    with server(good) as right:
        monkeypatch.setattr(downloads, "MIRRORS", (right,))
        downloads.download()
    assert (small / ".lock").read_text() == "notes"
