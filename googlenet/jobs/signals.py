"""Ctrl-C, SIGTERM and a closed terminal as a request to stop, not an immediate end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

#: What a terminal sends as it closes; None where there is no such signal.
HANGUP: Final[int | None] = getattr(signal, "SIGHUP", None)


@contextmanager
def stopping() -> Iterator[list[int]]:
    """Collects the signals Ctrl-C, SIGTERM and SIGHUP, so that the current step can end; a second
    one raises `KeyboardInterrupt`. Use it in the main thread, the only one that receives signals.
    """
    heard: list[int] = []

    def hear(number: int) -> None:
        if heard:
            raise KeyboardInterrupt
        heard.append(number)

    with _handled(hear, signal.SIGINT, *_ending()):
        yield heard


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP as Ctrl-C for a while, so that workers are ended too."""

    def interrupt(number: int) -> None:
        raise KeyboardInterrupt

    with _handled(interrupt, *_ending()):
        yield


def _ending() -> tuple[int, ...]:
    """The signals that end a process: SIGHUP is not one if it is ignored, as under nohup."""
    if HANGUP is None or signal.getsignal(HANGUP) is signal.SIG_IGN:
        return (signal.SIGTERM,)
    return (signal.SIGTERM, HANGUP)


@contextmanager
def _handled(handler: Callable[[int], None], *numbers: int) -> Iterator[None]:
    """Call `handler` with each signal of `numbers`; with SIGHUP only once, since a terminal and its
    shell both send it, and the second must not disturb what the first began.
    """
    came: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if number == HANGUP and number in came:
            return
        came.append(number)
        handler(number)

    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
