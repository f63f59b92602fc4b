"""The suite itself: which cases and mutants a backend is given, how far those that can do less are
tested, and where mutants reach into an adapter.
"""

from types import ModuleType

import numpy as np
import pytest

import googlenet.reference as reference
from googlenet import get_backend
from googlenet.backend.protocols import capabilities
from googlenet.proof.conformance import ConformanceError, Mutant, cases, mutants
from googlenet.proof.conformance.dropout import VISIBLE
from googlenet.proof.conformance.loss import extreme_problem
from googlenet.proof.conformance.networks import probe
from googlenet.proof.conformance.sabotage import Sabotage, instead
from googlenet.proof.conformance.ties import LARGE, TIES, large_problem, tied_problem
from googlenet.reference.network import Pass
from googlenet.spec.layers import ReLU
from googlenet.spec.loss import Loss
from googlenet.spec.traversal import fold, inputs, nodes, walk
from googlenet.weights.samples import random_labels

FUNCTIONS = ("build", "params_of", "forward", "name", "unbiased_running_variance")
EXTRA = {
    "gradients": ("gradients",),
    "save": ("save", "file_suffix"),
    "trainer": ("trainer",),
    "parallel": ("start_parallel",),
}


def backend_with(*names):
    """The reference with these capabilities and no others."""
    module = ModuleType("some_of_the_reference")
    for name in (*FUNCTIONS, *(name for each in names for name in EXTRA[each])):
        setattr(module, name, getattr(reference, name))
    assert capabilities(module) == set(names)
    return module


# Cases and mutants by capability ------------------------------------------------------------------


def test_a_backend_is_given_the_cases_that_it_can_pass():
    every, example = cases(), cases(capabilities(get_backend("example")))
    assert {
        case.capabilities for case in every if not case.capabilities <= capabilities(reference)
    } == {frozenset({"parallel"}), frozenset({"compiled"}), frozenset({"trace"})}
    assert 0 < len(example) < len(cases({"gradients"})) < len(every)
    assert {case.capabilities for case in example} == {frozenset(), frozenset({"save"})}
    assert {case.capabilities for case in every} == {
        frozenset(),
        frozenset({"save"}),
        frozenset({"gradients"}),
        frozenset({"trainer"}),
        frozenset({"gradients", "trainer"}),
        frozenset({"parallel"}),
        frozenset({"compile"}),
        frozenset({"compile", "quantise"}),
        frozenset({"compiled"}),
        frozenset({"trace"}),
    }


def test_a_backend_is_given_the_mutants_that_it_can_be_spoilt_with():
    every, example = mutants(), mutants(capabilities(get_backend("example")))
    assert 0 < len(mutants(())) < len(example) < len(mutants({"gradients", "save"})) < len(every)
    for mutant in example:
        assert mutant.capabilities <= {"save"}
        assert not mutant.missing(get_backend("example"))


#: One of each kind for all that a backend can do: the reference passes every one elsewhere.
SMALL = {
    (str(case).partition("-")[0], case.capabilities): case
    for case in cases()
    if not str(case).startswith(("network-", "forward-", "pool-", "leaf-", "composite-"))
}.values()


@pytest.mark.parametrize("names", [(), ("gradients",), ("trainer",), ("gradients", "trainer")])
def test_backends_that_can_do_less_are_tested_as_far_as_they_go(names):
    module = backend_with(*names)
    given = [case for case in SMALL if case.capabilities <= set(names)]
    for case in given:
        case.check(module)
    assert any(case.capabilities == set(names) for case in given)


@pytest.mark.parametrize("names", [("save",), ("gradients",), ("gradients", "trainer")])
def test_mutants_need_no_layout_where_they_replace_functions_of_the_protocol(names):
    """The reference has no `leaves`, `model` and `layout` as adapters have them."""
    module = backend_with(*names)
    given = [mutant for mutant in mutants(names) if not mutant.missing(module)]
    assert any(mutant.capabilities == set(names) for mutant in given)
    for mutant in given:
        mutant.check(module)


def test_no_two_cases_and_no_two_mutants_have_one_name():
    for every in (cases(), mutants()):
        assert len({str(each) for each in every}) == len(every)


def test_every_mutant_with_a_case_names_one_of_the_suite():
    assert {mutant.case for mutant in mutants()} - {None} <= {str(case) for case in cases()}


def test_a_case_says_what_a_backend_lacks():
    case = next(case for case in cases() if case.capabilities == {"gradients", "trainer"})
    with pytest.raises(ConformanceError, match="'example' lacks capabilities: gradients, trainer"):
        case.check(get_backend("example"))


# What the cases are made of -----------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 2, 3, 8])
def test_labels_name_the_first_class_and_the_last(batch):
    labels = random_labels(batch=batch, classes=7)
    assert labels.shape == (batch,)
    assert list(labels[:2]) == [0, 6][:batch]
    assert labels.min() == 0
    assert labels.max() < 7


def activations(problem):
    """The input of each ReLU, by path."""
    run = Pass(taps=frozenset(site.path for site in nodes(problem.network)))
    reference.build(problem.network, problem.params, dtype=np.float64).run(problem.images, run)
    sources = inputs(problem.network)
    return run.outputs, {
        site.path: run.outputs[sources[site.path]]
        for site in walk(problem.network)
        if isinstance(site.layer, ReLU)
    }


def test_logits_go_beyond_100_and_labels_name_the_least_likely_class():
    problem = extreme_problem(Loss())
    outputs, _ = activations(problem)
    for name in ("logits", "aux1"):
        assert outputs[name].min() < -100
        assert outputs[name].max() > 100
        picked = outputs[name][np.arange(len(problem.labels)), problem.labels]
        assert (picked == outputs[name].min(1)).any()
        assert (picked == outputs[name].max(1)).any()
        assert (outputs[name].max(1) - picked).max() > 300


def test_many_sums_are_exactly_0_and_many_activations_above_6():
    for path, x in activations(tied_problem(TIES["relu"]))[1].items():
        assert np.mean(x == 0) > 0.05, path
    for path, x in activations(large_problem())[1].items():
        assert np.mean(x > 6) > 0.2, path
        assert np.mean(x < -6) > 0.2, path
    assert large_problem().network is LARGE


@pytest.mark.parametrize("visible", VISIBLE.values(), ids=VISIBLE)
def test_masks_are_read_from_logits(visible):
    rng = np.random.default_rng(0)
    images = visible.images(3)
    kept = rng.integers(0, 2, (3, 1000, visible.points)).astype(np.float64)
    _, logits, _ = visible.step(images, np.zeros(3, np.int64), kept)
    assert np.array_equal(visible.masks(images, logits), kept)


# Where mutants reach ------------------------------------------------------------------------------


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

    for call in (mutants()[0].compare, mutants()[0].report, mutants()[0].check):
        with pytest.raises(TypeError, match="only a module can be sabotaged"):
            call(Backend())


def test_a_backend_with_another_layout_is_told_so():
    mutant = next(mutant for mutant in mutants() if mutant.name == "ReLU left out")
    assert mutant.missing(reference) == ("leaves.leaf",)
    with pytest.raises(ConformanceError, match=r"'ReLU left out': .* replaces leaves\.leaf, which"):
        mutant.check(reference)


def test_a_function_that_was_imported_early_is_told_so():
    """`from .leaves import leaf`: what is replaced later is never called."""
    module = adapter()
    early = module.leaves.leaf
    module.built = lambda: fold(probe(), early, module.model.compose)
    mutant = next(mutant for mutant in mutants() if mutant.name == "ReLU left out")
    with (
        pytest.raises(ConformanceError, match=r"leaves\.leaf of adapter was never called"),
        mutant.sabotage(module),
    ):
        module.built()


def harmless(name="forward"):
    return instead(name, lambda module, right: right)


@pytest.mark.parametrize("case", [None, "model-has-its-network"])
def test_a_survivor_is_reported_as_such(case):
    mutant = Mutant("harmless", "output of pool", harmless("build"), case)
    assert mutant.report(reference) is None
    with pytest.raises(ConformanceError, match="mutant 'harmless' survived: numpy was spoilt"):
        mutant.check(reference)


def test_what_was_named_in_place_of_the_spoilt_layer_is_reported():
    mutant = next(mutant for mutant in mutants() if mutant.name == "softmax in the head")
    other = Mutant("softmax", "output of pool", mutant.sabotage)
    with pytest.raises(ConformanceError, match="was caught, but as 'output of logits'; expected"):
        other.check(reference)


def test_a_spoilt_adapter_that_stops_is_reported():
    def make(module, right):
        def wrong(*args, **kwargs):
            raise RuntimeError("shapes do not match")

        return wrong

    mutant = Mutant("stops", "output of pool", instead("forward", make))
    with pytest.raises(ConformanceError, match="numpy stopped with RuntimeError: shapes do not"):
        mutant.check(reference)


def test_a_backend_is_right_again_after_a_mutant():
    before = dict(vars(reference))
    for mutant in mutants(capabilities(reference)):
        assert isinstance(mutant.sabotage, Sabotage)
        if not mutant.missing(reference) and mutant.case in ("save", "model-has-its-network"):
            mutant.report(reference)
    assert vars(reference) == before
