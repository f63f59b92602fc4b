"""The suite that every backend must pass, ours or anyone's. A test file needs no more than:

import pytest
from googlenet import get_backend
from googlenet.proof.conformance import cases

@pytest.mark.parametrize("case", cases(), ids=str)
def test_conformance(case):
    case.check(get_backend("my_framework"))
"""

from .all_mutants import mutants
from .case import AnyCase, Case, ConformanceError
from .mutant import Mutant, honest
from .suite import cases

__all__ = ["AnyCase", "Case", "ConformanceError", "Mutant", "cases", "honest", "mutants"]
