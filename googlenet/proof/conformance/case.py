"""One check of the suite, what it needs, and how it fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeAlias, TypeGuard, TypeVar, runtime_checkable

from ...backend.protocols import (
    Backend,
    Compiles,
    Differentiates,
    HasForms,
    Quantises,
    Saves,
    Traces,
    Trains,
    TrainsInParallel,
    capabilities,
)
from ...errors import GoogLeNetError
from ...spec.layers import Network
from ..parity.rows import Row


@runtime_checkable
class Learns(Differentiates, Trains, Protocol):
    """A backend with gradients and a trainer: where ReLUs and max pools decide, a step is compared
    with passes in training mode, which only a backend with gradients is asked for.
    """


Needed = TypeVar("Needed", bound=Backend)


@dataclass(frozen=True)
class Need(Generic[Needed]):
    """What a case asks of a backend: the names of its capabilities, keys of
    `googlenet.backend.protocols.CAPABILITIES`, and whether a backend has them.
    """

    capabilities: frozenset[str]
    met: Callable[[object], TypeGuard[Needed]]


def _is_backend(backend: object) -> TypeGuard[Backend]:
    return isinstance(backend, Backend)


def _differentiates(backend: object) -> TypeGuard[Differentiates]:
    return isinstance(backend, Differentiates)


def _saves(backend: object) -> TypeGuard[Saves]:
    return isinstance(backend, Saves)


def _trains(backend: object) -> TypeGuard[Trains]:
    return isinstance(backend, Trains)


def _learns(backend: object) -> TypeGuard[Learns]:
    return isinstance(backend, Learns)


def _trains_in_parallel(backend: object) -> TypeGuard[TrainsInParallel]:
    return isinstance(backend, TrainsInParallel)


def _compiles(backend: object) -> TypeGuard[Compiles]:
    return isinstance(backend, Compiles)


def _quantises(backend: object) -> TypeGuard[Quantises]:
    return isinstance(backend, Quantises)


def _has_forms(backend: object) -> TypeGuard[HasForms]:
    return isinstance(backend, HasForms)


def _traces(backend: object) -> TypeGuard[Traces]:
    return isinstance(backend, Traces)


FORWARD: Final = Need(frozenset[str](), _is_backend)
SAVE: Final = Need(frozenset({"save"}), _saves)
GRADIENTS: Final = Need(frozenset({"gradients"}), _differentiates)
TRAINER: Final = Need(frozenset({"trainer"}), _trains)
LEARNER: Final = Need(frozenset({"gradients", "trainer"}), _learns)
PARALLEL: Final = Need(frozenset({"parallel"}), _trains_in_parallel)
COMPILES: Final = Need(frozenset({"compile"}), _compiles)
QUANTISES: Final = Need(frozenset({"compile", "quantise"}), _quantises)
FORMS: Final = Need(frozenset({"compiled"}), _has_forms)
TRACE: Final = Need(frozenset({"trace"}), _traces)


class ConformanceError(AssertionError):
    """A backend is not the function that the spec says; the message names the first layer that
    differs.
    """


@dataclass(frozen=True)
class Case(Generic[Needed]):
    """One check: `check(backend)` returns None or raises `ConformanceError`. `needs` is the
    protocol that a backend must have for it.
    """

    name: str
    needs: Need[Needed]
    run: Callable[[Needed], None]

    def __str__(self) -> str:
        return self.name

    @property
    def capabilities(self) -> frozenset[str]:
        """What a backend must be able to do: keys of `googlenet.backend.protocols.CAPABILITIES`."""
        return self.needs.capabilities

    def check(self, backend: Backend) -> None:
        """Run this case. It also raises if the backend lacks a capability that the case needs:
        select cases with `cases(capabilities(backend))`.
        """
        if not self.needs.met(backend):
            missing = sorted(self.capabilities - capabilities(backend)) or ["to be a Backend"]
            raise ConformanceError(
                f"{self.name}: backend '{backend.name}' lacks"
                f" {'a capability' if len(missing) == 1 else 'capabilities'}: {', '.join(missing)}"
            )
        self.run(backend)


#: A case of the suite, whatever it needs.
AnyCase: TypeAlias = (
    Case[Backend]
    | Case[Saves]
    | Case[Differentiates]
    | Case[Trains]
    | Case[Learns]
    | Case[TrainsInParallel]
    | Case[Compiles]
    | Case[Quantises]
    | Case[HasForms]
    | Case[Traces]
)


def check_rows(backend: Backend, network: Network, rows: list[Row]) -> None:
    """Raises `ConformanceError`, naming the first of `rows` that exceeds its limit."""
    for row in rows:
        if not row.passed:
            raise ConformanceError(
                f"{network.name}: '{row.name}' of {backend.name} is {row.error:.2g} away from"
                f" float64 (relative L2), limit {row.limit:.2g}; it is the first that differs"
            )


def expect(condition: bool, message: str) -> None:
    """Raises `ConformanceError` with `message` unless `condition` holds."""
    if not condition:
        raise ConformanceError(message)


def expect_errors(
    broken: list[tuple[str, type[GoogLeNetError], Callable[[], object]]],
    where: str,
    naming: str = "",
    *,
    advice: str = "call the functions of googlenet.backend.checks, and check_params, first",
) -> None:
    """Raises `ConformanceError`, with `advice`, unless each call, given as (what it is given, the
    error, the call), raises its error, with a message that has `naming` in it.
    """
    for what, expected, call in broken:
        try:
            call()
        except expected as error:
            expect(naming in str(error), f"{where}: the error for {what} must name '{naming}'")
            continue
        raise ConformanceError(f"{where}: {what} must raise {expected.__name__}; {advice}")
