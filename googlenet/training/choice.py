"""Which frameworks train, if none is named: any installed backend may, whoever wrote it.

Whether one does is known only by importing it, and no process imports two frameworks; so each is
asked in its own process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..backend.discovery import REFERENCE, backends, get_backend, install_command
from ..backend.protocols import Trains
from ..backend.threads import importing_quietly
from ..errors import BackendError
from ..jobs.probe import TIMEOUT, probe


def default_trainer(
    *, tell: Callable[[str], None] = lambda line: None, timeout: float = TIMEOUT
) -> str:
    """The alphabetically first installed backend that trains; the reference if no other does.

    A single candidate is imported in this process, so the environment must be prepared
    (`googlenet.backend.threads.prepare_process`); several are asked in their own processes, with
    `timeout` seconds each. `tell` is called with a line about each one that cannot be imported, and
    with one that says that the reference is slow, if it has to train.
    """
    candidates = [name for name in backends() if name != REFERENCE]
    for name in candidates:
        try:
            if len(candidates) == 1:
                with importing_quietly():
                    trains = isinstance(get_backend(name), Trains)
            else:
                trains = "trainer" in probe(name, timeout=timeout)
        except BackendError as error:
            tell(f"skipped: {error}")
            continue
        if trains:
            return name
    tell(
        "no framework that can train is installed, so the NumPy reference is used, which is slow;"
        f" to install one from a checkout: {install_command('torch')}"
    )
    return REFERENCE


def entrants(
    named: Sequence[str] | None,
    *,
    interpreters: Mapping[str, str] | None = None,
    tell: Callable[[str], None] = lambda line: None,
    timeout: float = TIMEOUT,
) -> list[str]:
    """The frameworks of a race: of those `named`, the ones that train.

    By default these are all that are installed or have an interpreter, except the reference, which
    is slow; if none of them trains, the reference runs by itself. `tell` is called with a line
    about each one without a trainer. One that cannot be imported stays: its runs fail, and the race
    says why. Raises `BackendError` if none of those named trains.
    """
    found = interpreters or {}
    chosen = sorted({*backends(), *found} - {REFERENCE}) if named is None else list(named)
    running = []
    for name in chosen:
        try:
            trains = "trainer" in probe(name, interpreter=found.get(name), timeout=timeout)
        except BackendError:
            trains = True
        if trains:
            running.append(name)
        else:
            tell(f"skipped: framework '{name}': its backend has no trainer")
    if running or named is None:
        return running or [REFERENCE]
    raise BackendError(
        f"frameworks: no backend with a trainer among {', '.join(chosen)}; name a framework that"
        f" can train, such as {REFERENCE}"
    )
