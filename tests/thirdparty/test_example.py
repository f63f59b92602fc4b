"""What docs/adding-a-backend.md asks a third party to write."""

import pytest

from googlenet import get_backend
from googlenet.backend.protocols import capabilities
from googlenet.proof.conformance import cases, mutants

CAPABILITIES = capabilities(get_backend("example"))


@pytest.mark.parametrize("case", cases(CAPABILITIES), ids=str)
def test_conformance(case):
    case.check(get_backend("example"))


@pytest.mark.parametrize("mutant", mutants(CAPABILITIES), ids=str)
def test_mutant(mutant):
    mutant.check(get_backend("example"))
