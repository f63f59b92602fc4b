"""Rewrites for evaluation compute the same, on networks of every kind."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from googlenet import NETWORKS, Network, get_network, param_specs, spec
from googlenet.reference.network import Model, Pass
from googlenet.spec import blocks, simplify
from googlenet.spec.analysis import count_multiply_adds, fits
from googlenet.spec.traversal import composites, walk

from .networks import MAP_LEAVES, networks, pairs, pools

EACH = (
    simplify.without_idle,
    simplify.scales_folded,
    simplify.norms_folded,
    simplify.projections_first,
    simplify.simplified,
)


def drawn(network, seed=0):
    """Weights in float64 whose batch norms do something."""
    random = np.random.default_rng(seed)
    return {
        path: random.uniform(0.5, 1.5, each.shape)
        if path.endswith("running_var")
        else random.standard_normal(each.shape) / math.sqrt(math.prod(each.shape[1:]))
        for path, each in param_specs(network).items()
    }


def outputs(network, params, images):
    run = Pass()
    model = Model(network, params, dtype=np.float64)
    model.run(images, run)
    return run.outputs


def check_same(rewrite, network, params):
    """Returns the network that `rewrite` makes."""
    images = np.random.default_rng(1).standard_normal((2, *network.input_shape))
    changed, new = rewrite(network, params)
    assert new.keys() == param_specs(changed).keys()
    expected = outputs(network, params, images)
    found = outputs(changed, new, images)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        scale = np.abs(array).max() or 1.0
        np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-11 * scale)
    return changed


#: What the rewrites look for, in any order.
rewritten = st.one_of(
    MAP_LEAVES,
    pools(),
    st.builds(
        lambda kernel, pad, counted: spec.AvgPool((3, 3), (1, 1), pad, False, counted),
        pairs,
        st.sampled_from([((1, 1), (1, 1)), ((0, 0), (0, 0)), ((1, 0), (0, 1)), spec.SAME]),
        st.booleans(),
    ),
    st.builds(
        lambda out, bias: spec.Conv(out, (1, 1), (1, 1), ((0, 0), (0, 0)), 1, bias),
        st.integers(1, 4),
        st.booleans(),
    ),
    st.builds(lambda scale: spec.BatchNorm(1e-3, 0.1, scale), st.booleans()),
    st.builds(
        lambda factor, when: spec.Scale(factor, when),
        st.sampled_from([1.0, 0.5, -2.0, 0.0]),
        st.sampled_from(["always", "train", "eval"]),
    ),
    st.just(spec.Dropout(0.4)),
)


@st.composite
def chained(draw, depth=2):
    """Networks of what the rewrites look for, in sequences within sequences, branches, sums and
    auxiliary heads.
    """
    shape = draw(st.tuples(st.integers(1, 4), st.integers(3, 7), st.integers(3, 7)))
    chosen = {}

    def inner(depth):
        count = draw(st.integers(1, 3))
        made = [
            inner(depth - 1) if depth and draw(st.integers(0, 2)) == 0 else draw(rewritten)
            for _ in range(count)
        ]
        sequence = blocks.sequential(**{f"layer{i}": layer for i, layer in enumerate(made)})
        kind = draw(st.sampled_from(["sequence", "sequence", "branches", "sum"]))
        if kind == "branches":
            return blocks.concat(a=sequence, b=draw(rewritten))
        if kind == "sum":
            return blocks.residual(sequence, sequence, scale=draw(st.sampled_from([1.0, 0.3])))
        return sequence

    def longer(name, layer):
        found = {**chosen, name: layer}
        if fits(Network("random", blocks.sequential(**found), shape, "hypothesis")):
            chosen[name] = layer

    for index in range(draw(st.integers(1, 4))):
        longer(f"layer{index}", inner(depth) if draw(st.booleans()) else draw(rewritten))
        if draw(st.integers(0, 4)) == 0:
            head = blocks.sequential(
                norm=spec.BatchNorm(1e-3, 0.1, True),
                pool=spec.GlobalAvgPool(),
                dense=spec.Dense(2, bias=draw(st.booleans())),
            )
            longer(f"aux{index}", spec.Aux(head, 0.3))
    longer("pool", spec.GlobalAvgPool())
    longer("scale", spec.Scale(0.5, "eval"))
    longer("dense", spec.Dense(3, bias=draw(st.booleans())))
    return Network("random", blocks.sequential(**chosen), shape, "hypothesis")


@pytest.mark.parametrize("rewrite", EACH, ids=lambda each: each.__name__)
@given(network=st.one_of(chained(), networks()), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_computes_the_same(rewrite, network, seed):
    check_same(rewrite, network, drawn(network, seed))


def test_a_scale_of_training_alone_is_folded_into_nothing():
    layers = blocks.sequential(
        conv=spec.Conv(1, (1, 1), (1, 1), ((0, 0), (0, 0)), 1, False),
        scale=spec.Scale(0.5, "train"),
    )
    network = Network("random", layers, (1, 3, 3), "hypothesis")
    assert simplify.scales_folded(network, drawn(network))[0] == network


def kinds(network):
    return [type(site.layer) for site in walk(network)]


@pytest.mark.parametrize(
    ("name", "size"),
    [("googlenet_bn", 64), ("inception_v3", 107), ("inception_resnet_v1", 107), ("nin", 67)],
)
def test_networks_lose_what_is_idle_and_their_norms(name, size):
    network = get_network(name, input_shape=(NETWORKS[name]().input_shape[0], size, size))
    changed = check_same(simplify.simplified, network, drawn(network))
    assert not {spec.BatchNorm, spec.Dropout, spec.Scale} & set(kinds(changed))
    assert all(layer.layer.bias for layer in walk(changed) if isinstance(layer.layer, spec.Conv))
    sums = [found for found in composites(changed) if isinstance(found.layer, spec.Residual)]
    assert all(each.layer.scale == 1 for each in sums)
    assert count_multiply_adds(changed) <= count_multiply_adds(network)
