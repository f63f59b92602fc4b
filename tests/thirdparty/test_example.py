"""What docs/adding-a-backend.md asks a third party to write."""

import pytest

from googlenet import get_backend
from googlenet.backend.protocols import capabilities
from googlenet.proof.conformance import cases


@pytest.mark.parametrize("case", cases(capabilities(get_backend("example"))), ids=str)
def test_conformance(case):
    case.check(get_backend("example"))
