"""The suite itself: which cases a backend is given, and where mutants reach into an adapter."""

from types import ModuleType

import pytest

import googlenet.reference as reference
from googlenet import get_backend
from googlenet.backend.protocols import capabilities
from googlenet.proof.conformance import ConformanceError, cases, mutants
from googlenet.proof.conformance.networks import probe
from googlenet.spec.traversal import fold


def test_a_backend_is_given_the_cases_that_it_can_pass():
    every, example = cases(), cases(capabilities(get_backend("example")))
    assert list(map(str, cases(capabilities(reference)))) == list(map(str, every))
    assert 0 < len(example) < len(cases({"gradients"})) < len(every)
    assert {case.capabilities for case in example} == {frozenset()}
    assert {case.capabilities for case in every} == {
        frozenset(),
        frozenset({"gradients"}),
        frozenset({"gradients", "trainer"}),
    }


def test_no_two_cases_and_no_two_mutants_have_one_name():
    for every in (cases(), mutants()):
        assert len({str(each) for each in every}) == len(every)


def test_a_case_says_what_a_backend_lacks():
    case = next(case for case in cases() if "trainer" in case.capabilities)
    with pytest.raises(ConformanceError, match="'example' lacks the capability gradients, trainer"):
        case.check(get_backend("example"))


def adapter() -> ModuleType:
    """What mutants look into; its `built()` is all that its leaves and composites are made of."""
    module = ModuleType("adapter")
    module.leaves, module.model = leaves, model = ModuleType("leaves"), ModuleType("model")
    leaves.leaf = lambda site: (site.layer,)
    model.compose = lambda site, children: (getattr(site.layer, "scale", None), *children.values())
    module.built = lambda: fold(probe(), leaves.leaf, model.compose)
    return module


@pytest.mark.parametrize(
    "name", ["ReLU left out", "LRN's k 2", "branches reordered", "residual's scale forgotten"]
)
def test_mutants_reach_leaves_and_composites(name):
    module = adapter()
    whole = module.built()
    (mutant,) = [mutant for mutant in mutants() if mutant.name == name]
    with mutant.sabotage(module):
        assert module.built() != whole
    assert module.built() == whole


def test_only_a_module_can_be_sabotaged():
    class Backend:
        name = "no module"

    with pytest.raises(TypeError, match="only a module can be sabotaged"):
        mutants()[0].compare(Backend())
