"""Every sabotage of the adapter is rejected, with what was spoilt named; the adapter as it is
passes the same proof.
"""

import pytest

from googlenet.backend.protocols import capabilities
from googlenet.proof.conformance import honest, mutants

from ..named import skip_if_lacking

# Keras 3.15 on numpy 2 warns of itself when it saves (convert_to_numpy), and PyTorch 2.13 when it
# compiles.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",
    "ignore:`torch.jit.script_method` is deprecated:DeprecationWarning",
)


@pytest.fixture(autouse=True)
def adapter(framework):
    if framework == "numpy":
        pytest.skip("the reference is the arbiter: its own tests are tests/core/test_reference.py")


def test_the_adapter_itself_passes(backend):
    comparison = honest(backend)
    assert comparison.passed, comparison.first_divergence


@pytest.mark.parametrize("mutant", mutants(), ids=str)
def test_mutant_is_caught_in_its_layer(mutant, backend, framework):
    skip_if_lacking(framework, mutant.capabilities - capabilities(backend))
    mutant.check(backend)
