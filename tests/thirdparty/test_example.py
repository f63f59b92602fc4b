"""What docs/adding-a-backend.md asks a third party to write."""

import pytest

from googlenet import load
from googlenet.proof.conformance import cases


@pytest.mark.parametrize("case", cases(load("example").capabilities), ids=str)
def test_conformance(case):
    case.check(load("example"))
