"""Every case of the suite, on the framework named by `GOOGLENET_FRAMEWORK`."""

import pytest

from googlenet.backend.protocols import capabilities
from googlenet.proof.conformance import cases

from ..named import skip_if_lacking

# Keras 3.15 on numpy 2 warns of itself when it saves (convert_to_numpy), and PyTorch 2.13 when it
# compiles.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",
    "ignore:`torch.jit.script_method` is deprecated:DeprecationWarning",
)


@pytest.mark.parametrize("case", cases(), ids=str)
def test_conformance(case, backend, framework):
    skip_if_lacking(framework, case.capabilities - capabilities(backend))
    case.check(backend)
