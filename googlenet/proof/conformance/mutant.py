"""Mutants: sabotaged adapters, each of which must be rejected, with what was broken named.

A mutant changes one thing; among them are the bugs that published GoogLeNets shipped.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from types import ModuleType

from ...backend.protocols import Backend
from ...spec.loss import Loss
from ..parity.compare import Yardsticks, compare
from ..parity.problem import Problem, random_problem
from ..parity.rows import Comparison
from .answers import measured
from .case import AnyCase, ConformanceError
from .networks import probe
from .sabotage import Sabotage
from .suite import cases


@dataclass(frozen=True)
class Mutant:
    """A sabotage, and what the report of it must say.

    Without a `case`, it is found by the comparison of one small network with everything in it, and
    `divergence`, "what of path", begins the first divergence. With one, it is found by that case of
    the suite, and `divergence` is part of its message.
    """

    name: str
    divergence: str
    sabotage: Sabotage
    case: str | None = None
    #: What the comparison needs to come as far as the divergence.
    needs: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return self.name

    @property
    def capabilities(self) -> frozenset[str]:
        """What a backend must be able to do: keys of `googlenet.backend.protocols.CAPABILITIES`."""
        asked = frozenset() if self.case is None else _case(self.case).capabilities
        return self.needs | self.sabotage.capabilities | asked

    def missing(self, backend: Backend) -> tuple[str, ...]:
        """The names in a backend's module that are replaced and are not there, as in one that is
        not laid out like ours.
        """
        return self.sabotage.missing(backend)

    def report(self, backend: Backend) -> str | None:
        """What the proof says of a sabotaged `backend`: the first divergence, or None if it passes.
        The backend is restored afterwards.

        Raises `TypeError` for a backend that is not a module, `ConformanceError` if the sabotage
        finds nothing to replace or is never reached, and what the spoilt backend raises.
        """
        if self.case is None:
            with self.sabotage(_module(backend)):
                return _compare(backend, self.capabilities).first_divergence
        with self.sabotage(_module(backend)):
            try:
                _case(self.case).check(backend)
            except ConformanceError as error:
                return str(error)
        return None

    def compare(self, backend: Backend) -> Comparison:
        """The whole comparison of a sabotaged `backend` on one small network; `report` goes only as
        far as the divergence. Raises as `report` does.
        """
        with self.sabotage(_module(backend)):
            return _compare(backend)

    def check(self, backend: Backend) -> None:
        """Raises `ConformanceError` unless the proof rejects the sabotaged `backend` and names what
        was broken. Raises `TypeError` for a backend that is not a module.
        """
        module = _module(backend)
        try:
            found = self.report(module)
        except ConformanceError as error:
            raise ConformanceError(f"mutant '{self}': {error}") from error
        except Exception as error:  # a spoilt adapter may raise anything
            raise ConformanceError(
                f"mutant '{self}': {backend.name} stopped with {type(error).__name__}: {error}"
                f" before the proof could name '{self.divergence}'"
            ) from error
        if found is None:
            raise ConformanceError(
                f"mutant '{self}' survived: {backend.name} was spoilt, and the proof passed;"
                f" expected '{self.divergence}'"
            )
        named = self.divergence in found if self.case else found.startswith(self.divergence)
        if not named:
            raise ConformanceError(
                f"mutant '{self}' was caught, but as '{found}'; expected '{self.divergence}'"
            )


def honest(backend: Backend) -> Comparison:
    """The comparison of a backend without sabotage, which must pass."""
    return _compare(backend)


def _module(backend: Backend) -> ModuleType:
    if not isinstance(backend, ModuleType):
        raise TypeError(f"backend: only a module can be sabotaged, got {backend!r}")
    return backend


@cache
def _cases() -> dict[str, AnyCase]:
    return {str(case): case for case in cases()}


def _case(name: str) -> AnyCase:
    return _cases()[name]


def _compare(
    backend: Backend, capabilities: Collection[str] = ("gradients", "trainer")
) -> Comparison:
    """As much of the proof as is for backends with `capabilities`."""
    every = _yardsticks()
    step = every.step if "gradients" in capabilities else None
    trajectory = every.trajectory if "trainer" in capabilities else []
    return compare(backend, _problem(), Yardsticks(every.forward, step, trajectory))


def _problem() -> Problem:
    return random_problem(probe(), loss=Loss(label_smoothing=0.1))


@cache
def _yardsticks() -> Yardsticks:
    return measured(_problem(), train_steps=3)
