"""The networks of ours, built natively and as they are printed, are traced as a user's own models:
they come back with the same layers, branches and weights. Models in the framework's own styles are
in `test_trace_torch.py` and its like.
"""

import inspect
import os
from dataclasses import replace

import numpy as np
import pytest

import googlenet
from googlenet.architectures import NETWORKS, designators, get_network
from googlenet.backend.protocols import capabilities
from googlenet.proof.conformance.networks import composites
from googlenet.proof.conformance.tracing import outline, same_arrays
from googlenet.source.write import write
from googlenet.spec.analysis import smallest_input
from googlenet.spec.layers import BatchNorm, Dropout
from googlenet.spec.rewrite import map_leaves, resolve
from googlenet.spec.traversal import walk
from googlenet.weights.samples import random_params

from ..frameworks import written
from ..frameworks.native import LOADERS
from .networks import OWN_LAYERS, ending

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    # Keras 3.15 on numpy 2 warns of itself when it saves (convert_to_numpy).
    pytest.mark.filterwarnings(
        "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
    ),
]


def with_aux(name):
    return "aux" in inspect.signature(NETWORKS[name]).parameters


#: With `GOOGLENET_WHOLE=1` every network and dialect is traced, which takes a quarter of an hour in
#: the slowest framework; without, those below so many parameters, built natively and as they are
#: printed, and one dialect of each network: larger ones are the same blocks more often, and
#: dialects differ in a layer or two.
WHOLE = os.environ.get("GOOGLENET_WHOLE") == "1"
MOST_NATIVE, MOST_PRINTED = 12_000_000, 30_000_000


def is_below(most):
    """Whether a network has fewer parameters."""
    return lambda name: WHOLE or googlenet.count_parameters(get_network(name)) < most


def one_of_each(names):
    """The first dialect of every network."""
    return list({name.rpartition(":")[2]: name for name in reversed(names)}.values())[::-1]


#: Built natively: each network, and once more with its auxiliary heads.
CASES = [
    (name, aux)
    for name in filter(is_below(MOST_NATIVE), NETWORKS)
    for aux in (False, True)
    if not aux or with_aux(name)
]
DIALECTS = [name for name in filter(is_below(MOST_PRINTED), designators()) if name not in NETWORKS]
#: As they are printed.
PRINTED = ["googlenet", *(DIALECTS if WHOLE else one_of_each(DIALECTS)), "own layers"]


def small(name, aux):
    """A network on the smallest images that it takes, not square where it can be."""
    network = get_network(name, num_classes=7, **({"aux": True} if aux else {}))
    channels, side = network.input_shape[0], smallest_input(network)
    for shape in ((channels, side + 3, side), (channels, side, side)):
        try:
            resolve(network.at(shape))
        except googlenet.ShapeError:
            continue
        return network.at(shape)
    raise AssertionError(name)


def check(framework, model, network, params):
    """A model is `network` with `params` to a trace, and gives its outputs in the same order."""
    found = googlenet.trace(model, framework, network.input_shape)
    assert outline(found.network) == outline(network)
    assert same_arrays(found.params, params)
    assert len(found.errors) == len(network.outputs)
    assert found.outputs == ("logits", *found.network.outputs[1:])
    assert found.places.keys() >= {site.path for site in walk(found.network)}
    assert all(found.places.values())
    return found


def test_the_backend_traces(backend):
    assert "trace" in capabilities(backend)


@pytest.mark.parametrize(("name", "aux"), CASES)
def test_a_network_of_ours_comes_back(framework, backend, name, aux):
    network = small(name, aux)
    params = random_params(network)
    check(framework, backend.build(network, params), network, params)


@pytest.mark.parametrize("name", [*composites(), "own layers"])
def test_every_composite_comes_back(framework, backend, name):
    network = OWN_LAYERS if name == "own layers" else composites()[name]
    params = random_params(network)
    check(framework, backend.build(network, params), network, params)


@pytest.mark.parametrize("name", PRINTED)
def test_a_printed_network_comes_back(framework, backend, tmp_path, name):
    network = OWN_LAYERS if name == "own layers" else small(name, False)
    params = random_params(network)
    source = write(network, backend)
    file, weights = tmp_path / "written.py", tmp_path / f"weights{ending(backend)}"
    file.write_text(source.text, encoding="utf-8")
    backend.save(backend.build(network, params), weights)
    model = getattr(written.imported(file), source.name)()
    LOADERS[framework](model, str(weights))
    found = check(framework, model, network, params)
    rates = [site.layer.rate for site in walk(network) if isinstance(site.layer, Dropout)]
    back = [site.layer.rate for site in walk(found.network) if isinstance(site.layer, Dropout)]
    assert back == rates


def test_other_weights_are_seen(framework, backend):
    """The comparison of weights can fail."""
    network = composites()["inception"]
    params = random_params(network)
    found = googlenet.trace(backend.build(network, params), framework, network.input_shape)
    assert not same_arrays(found.params, random_params(network, seed=1))


@pytest.mark.parametrize("momentum", [0.1, 0.375])
def test_momentum_comes_back(framework, backend, momentum):
    """The share of the batch in a statistic, which evaluation does not show."""
    network = map_leaves(
        composites()["norm_residual"],
        lambda leaf: replace(leaf, momentum=momentum) if isinstance(leaf, BatchNorm) else leaf,
    )
    model = backend.build(network, random_params(network))
    found = googlenet.trace(model, framework, network.input_shape).network
    norms = [site.layer for site in walk(found) if isinstance(site.layer, BatchNorm)]
    assert norms
    assert {each.momentum for each in norms} == {momentum}


def test_the_same_weights_give_the_same_function(framework, backend):
    """In the reference, a traced network and its weights give what the network itself gives."""
    network = composites()["auxiliary"]
    params = random_params(network)
    found = googlenet.trace(backend.build(network, params), framework, network.input_shape)
    images = np.ones((2, *network.input_shape), np.float32)
    reference = googlenet.get_backend("numpy")
    right, ours = (
        reference.forward(reference.build(*pair, dtype=np.float64), images)
        for pair in ((network, params), (found.network, found.params))
    )
    for name, other in zip(network.outputs, found.outputs, strict=True):
        np.testing.assert_array_equal(ours[other], right[name])
