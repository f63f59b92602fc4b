"""Every case of the suite, on the framework named by `GOOGLENET_FRAMEWORK`."""

import pytest

from googlenet.proof.conformance import cases


@pytest.mark.parametrize("case", cases(), ids=str)
def test_conformance(case, backend):
    case.check(backend)
