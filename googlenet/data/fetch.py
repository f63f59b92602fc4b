"""An answer of a server that may do anything: send a byte a minute, send for ever, or send us to a
file of this machine.
"""

from __future__ import annotations

import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any, Final

#: Answers that send us elsewhere, and how often one may.
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS: Final = 5


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for: `silence` seconds without a byte, `window` seconds in which
    it sends fewer than `slowest` bytes a second, `longest` seconds in all.
    """

    silence: float = 30.0
    window: float = 30.0
    slowest: float = 1024.0
    longest: float = 3600.0


class Answer:
    """What a server answers, read in pieces; ends with `OSError` once it is too slow."""

    def __init__(self, response: HTTPResponse, watch: _Watch) -> None:
        self.status = response.status
        self.length = response.headers.get("Content-Length")
        self._response, self._watch = response, watch

    def read(self, most: int) -> bytes:
        """Up to `most` bytes, as soon as there are some; none at the end. Raises `OSError` if the
        server does not send them in time.
        """
        with self._watch.watched():
            block = self._response.read1(most)
        self._watch.received += len(block)
        self._watch.check()
        return block


@contextmanager
def fetched(
    url: str, headers: Mapping[str, str], patience: Patience = Patience()
) -> Iterator[Answer]:
    """The answer to GET `url`, which redirects may lead to another server, but to nothing else.

    Raises `OSError`, of which `urllib.error.HTTPError` is one, or `http.client.HTTPException`.
    """
    watch = _Watch(patience)
    try:
        with watch.watched():
            response = _opened(url, headers, watch, patience.silence)
        with response:
            yield Answer(response, watch)
    finally:
        watch.end()


def _opened(url: str, headers: Mapping[str, str], watch: _Watch, silence: float) -> HTTPResponse:
    # Neither files nor FTP, which urllib's own opener has too.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _handler(watch, urllib.request.HTTPHandler, HTTPConnection),
        _handler(watch, urllib.request.HTTPSHandler, HTTPSConnection),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    for _ in range(MOST_REDIRECTS):
        request = urllib.request.Request(url, headers=dict(headers))
        try:
            response: HTTPResponse = opener.open(request, timeout=silence)
            return response
        except urllib.error.HTTPError as error:
            error.close()  # without what else it sends, which may be without end
            target = error.headers.get("Location")
            if error.code not in REDIRECTS or target is None:
                raise
        url = urllib.parse.urljoin(url, target)
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise OSError(f"the server redirects to {url}, which is not on the web")
    raise OSError(f"the server redirects more than {MOST_REDIRECTS} times")


def _handler(watch: _Watch, kind: type[Any], connection: type[HTTPConnection]) -> Any:
    """A handler of `kind` whose connections are watched from the first byte."""

    class Watched(connection):  # type: ignore[valid-type, misc]
        def connect(self) -> None:
            watch.connection = self
            super().connect()
            watch.socket = self.sock

    class Handler(kind):  # type: ignore[misc]
        def do_open(self, http_class: Any, req: Any, **settings: Any) -> Any:
            return super().do_open(Watched, req, **settings)

    return Handler()


class _Watch:
    """Ends the connection of a server that is too slow: from a thread of its own, since whoever
    sends the lines of a header byte by byte is never silent.
    """

    def __init__(self, patience: Patience) -> None:
        self.connection: HTTPConnection | None = None
        self.socket: socket.socket | None = None
        self.received = 0
        self._patience = patience
        self._begun = self._since = time.monotonic()
        self._before = 0
        self._why = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Says why the connection was ended, whatever that made of it."""
        try:
            yield
        except Exception as error:  # of any kind: what is read of half a header, for example
            if self._why:
                raise OSError(self._why) from error
            raise
        if self._why:
            raise OSError(self._why)

    def check(self) -> None:
        """Raises `OSError` if the server was too slow so far."""
        why = self._slow()
        if why:
            raise OSError(why)

    def _slow(self) -> str:
        now, patience = time.monotonic(), self._patience
        if now - self._begun > patience.longest:
            return f"the server took more than {patience.longest:g} s; gave up"
        if now - self._since > patience.window:
            took, got = now - self._since, self.received - self._before
            if got < patience.slowest * took:
                return (
                    f"the server sent only {got} bytes in {took:.3g} s, fewer than"
                    f" {patience.slowest:g} bytes a second; gave up"
                )
            self._since, self._before = now, self.received
        return ""

    def _run(self) -> None:
        patience = self._patience
        while not self._over.wait(min(1.0, patience.window / 4, patience.longest / 4)):
            self._why = self._why or self._slow()
            if self._why:
                self._hang_up()

    def _hang_up(self) -> None:
        sock = self.socket or getattr(self.connection, "sock", None)
        if sock is not None:
            with suppress(OSError):  # it has gone already
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def end(self) -> None:
        """Stop watching."""
        self._over.set()
        self._thread.join()
