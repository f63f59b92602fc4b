"""All mutants, or those that a backend can be shown to survive or not."""

from __future__ import annotations

from collections.abc import Collection

from ...backend.protocols import CAPABILITIES
from .dropout_mutants import dropout_mutants
from .function_mutants import function_mutants
from .layer_mutants import pool_mutants, tie_mutants
from .loss_mutants import loss_mutants
from .mutant import Mutant
from .state_mutants import state_mutants
from .trace_mutants import trace_mutants
from .trainer_mutants import trainer_mutants


def mutants(capabilities: Collection[str] = tuple(CAPABILITIES)) -> list[Mutant]:
    """The mutants that need no more than `capabilities`, which
    `googlenet.backend.protocols.capabilities(backend)` tells of a backend; by default all.
    """
    every = [
        *function_mutants(),
        *pool_mutants(),
        *dropout_mutants(),
        *trainer_mutants(),
        *loss_mutants(),
        *tie_mutants(),
        *state_mutants(),
        *trace_mutants(),
    ]
    return [mutant for mutant in every if mutant.capabilities <= set(capabilities)]
