"""The suite that every backend must pass, ours or anyone's. A test file needs no more than:

import pytest
from googlenet import load
from googlenet.proof.conformance import cases

@pytest.mark.parametrize("case", cases(), ids=str)
def test_conformance(case):
    case.check(load("my_framework"))
"""

from .case import Case, ConformanceError
from .cases import cases
from .mutants import Mutant, mutants

__all__ = ["Case", "ConformanceError", "Mutant", "cases", "mutants"]
