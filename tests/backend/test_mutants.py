"""Every sabotage of the adapter is rejected, with the spoilt layer named; the adapter as it is
passes the same proof.
"""

import pytest

from googlenet.proof.conformance import honest, mutants


@pytest.fixture(autouse=True)
def adapter(framework):
    if framework == "numpy":
        pytest.skip("the reference is the arbiter: its own tests are tests/core/test_reference.py")


def test_the_adapter_itself_passes(backend):
    comparison = honest(backend)
    assert comparison.passed, comparison.first_divergence


@pytest.mark.parametrize("mutant", mutants(), ids=str)
def test_mutant_is_caught_in_its_layer(mutant, backend):
    divergence = mutant.compare(backend).first_divergence
    assert divergence is not None, "the mutant was not caught"
    assert divergence.startswith(mutant.divergence)
