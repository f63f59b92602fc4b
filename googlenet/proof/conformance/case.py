"""One check of the suite, what it needs, and how it fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...backend.protocols import Backend, capabilities
from ...errors import GoogLeNetError
from ...spec.layers import Network
from ..parity.rows import Row

FORWARD = frozenset[str]()
GRADIENTS = frozenset({"gradients"})
TRAINER = frozenset({"gradients", "trainer"})


class ConformanceError(AssertionError):
    """A backend is not the function that the spec says; the message names the first layer that
    differs.
    """


@dataclass(frozen=True)
class Case:
    """One check: `check(backend)` returns None or raises `ConformanceError`. Needs all of
    `capabilities`.
    """

    name: str
    capabilities: frozenset[str]
    run: Callable[[Any], None]

    def __str__(self) -> str:
        return self.name

    def check(self, backend: Backend) -> None:
        """Run this case. A backend that lacks a capability the case needs raises too: select with
        `cases(capabilities)`.
        """
        missing = self.capabilities - capabilities(backend)
        if missing:
            raise ConformanceError(
                f"{self.name}: backend '{backend.name}' lacks the capability"
                f" {', '.join(sorted(missing))}"
            )
        self.run(backend)


def check_rows(backend: Backend, network: Network, rows: list[Row]) -> None:
    """Raises `ConformanceError`, naming the first of `rows` that is beyond its limit."""
    for row in rows:
        if not row.passed:
            raise ConformanceError(
                f"{network.name}: '{row.name}' of {backend.name} is {row.error:.2g} from float64"
                f" (relative L2), limit {row.limit:.2g}; it is the first that differs"
            )


def expect(condition: bool, message: str) -> None:
    """Raises `ConformanceError` with `message` unless `condition` holds."""
    if not condition:
        raise ConformanceError(message)


def expect_errors(
    broken: list[tuple[str, type[GoogLeNetError], Callable[[], object]]], where: str
) -> None:
    """Raises `ConformanceError` unless each call, (what it is given, the error, the call), raises
    its error.
    """
    for what, expected, call in broken:
        try:
            call()
        except expected:
            continue
        raise ConformanceError(
            f"{where}: {what} must raise {expected.__name__}; call googlenet.backend.checks and"
            " check_params at the door"
        )
