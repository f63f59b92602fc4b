"""All mutants, or those that a backend can be shown to survive or not."""

from __future__ import annotations

from collections.abc import Collection

from ...backend.protocols import CAPABILITIES
from .case_mutants import case_mutants
from .function_mutants import function_mutants
from .mutant import Mutant


def mutants(capabilities: Collection[str] = tuple(CAPABILITIES)) -> list[Mutant]:
    """The mutants that need no more than `capabilities`, which
    `googlenet.backend.protocols.capabilities(backend)` tells of a backend; by default all.
    """
    every = [*function_mutants(), *case_mutants()]
    return [mutant for mutant in every if mutant.capabilities <= set(capabilities)]
