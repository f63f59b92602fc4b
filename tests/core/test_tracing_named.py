"""A traced network has the names of the user's code, as far as that has any."""

from dataclasses import replace

import numpy as np
import pytest

from googlenet.backend.graph import Graph
from googlenet.proof.conformance.tracing import outline
from googlenet.spec.layers import Aux, Concat, Sequential
from googlenet.spec.traversal import composites
from googlenet.tracing.lift import lift
from googlenet.tracing.named import as_named, legal, parts_of, renamed
from googlenet.tracing.network import as_traced

from .graphs import SHAPE, conv, op


def at(place, each):
    return replace(each, place=place)


#: A user's `net` with a stem in a sequence, a block of their own, a head beside it, and functions.
OPS = (
    at("net.Stem[0]", conv("c", "images")),
    at("net.Stem[1]", op("r", "relu", "c")),
    at("net._mixed.p1", conv("p1", "r", 2, 4, shape=(2, 2, 7, 6))),
    at("net._mixed.way[0]", conv("p2", "r", 3, 4, shape=(2, 3, 7, 6))),
    at("net._mixed.way[1]", op("p2r", "relu", "p2", shape=(2, 3, 7, 6))),
    at("net._mixed", op("k", "concat", "p1", "p2r", shape=(2, 5, 7, 6), axis=1)),
    at("net._mixed", op("kr", "relu", "k", shape=(2, 5, 7, 6))),
    at("net.aux.pool", op("ag", "mean", "kr", shape=(2, 5), axes=(2, 3), keepdims=False)),
    at("net.aux.lambda", op("ar", "relu", "ag", shape=(2, 5))),
    at("net", op("g", "mean", "kr", shape=(2, 5), axes=(2, 3), keepdims=False)),
    at("net.logits", op("l", "relu", "g", shape=(2, 5))),
)
CLASSES = {"net": "Net", "net._mixed": "_MixedBlock", "net.aux": "Head"}


def traced(as_network=as_named):
    graph = Graph("images", SHAPE, OPS, ("l", "ar"), classes=CLASSES)
    tree = lift(graph)
    if as_network is as_traced:
        return as_traced(tree, "net", SHAPE[1:], "a test")
    return as_named(tree, graph, "net", SHAPE[1:], "a test")


def test_layers_and_blocks_are_called_as_in_the_users_code():
    found = traced()
    assert found.places == {
        "stem.conv_0": "net.Stem[0]",
        "stem.relu_1": "net.Stem[1]",
        "mixed.concat": "net._mixed",
        "mixed.concat.branch_1.p1": "net._mixed.p1",
        "mixed.concat.way.conv_0": "net._mixed.way[0]",
        "mixed.concat.way.relu_1": "net._mixed.way[1]",
        "mixed.relu": "net._mixed",
        "aux.pool": "net.aux.pool",
        "aux.lambda_layer": "net.aux.lambda",
        "global_pool": "net",
        "logits_layer": "net.logits",
    }
    assert found.outputs == ("logits", "aux")
    blocks = {site.path: site.layer.block for site in composites(found.network) if site.path}
    assert (blocks["mixed"], blocks["aux"], blocks["stem"]) == ("MixedBlock", "Head", "")


def test_it_is_the_same_network_by_other_names():
    named, counted = traced(), traced(as_traced)
    given, expected = (
        [each for each in outline(one.network) if not isinstance(each, tuple) or each]
        for one in (named, counted)
    )
    assert given == expected
    arrays = [[*map(np.sum, one.params.values())] for one in (named, counted)]
    assert arrays[0] == arrays[1]


def test_layers_whose_names_a_framework_needs_get_others():
    found = renamed(traced(), frozenset({"stem", "p1", "pool"}))
    assert {"stem_.conv_0.weight", "mixed.concat.branch_1.p1_.weight"} <= set(found.params)
    assert found.places["aux.pool_"] == "net.aux.pool"
    assert found.network.outputs == ("logits", "aux")
    assert renamed(traced(), frozenset()).network == traced().network


def test_a_name_that_is_free_is_not_taken_twice():
    found = traced()
    (stem, *rest) = found.network.layers.children
    twice = Sequential((stem, ("stem_", stem[1]), *rest))
    network = replace(found.network, layers=twice)
    params = found.params | {
        f"stem_.{k[5:]}": v for k, v in found.params.items() if k[:5] == "stem."
    }
    other = renamed(replace(found, network=network, params=params), frozenset({"stem"}))
    assert [name for name, _ in other.network.layers.children][:2] == ["stem__", "stem_"]


def test_the_activation_of_a_layer_has_the_layers_name_and_its_kind():
    ops = (at("net.a", conv("c", "images")), at("net.a", op("r", "relu", "c")))
    graph = Graph("images", SHAPE, ops, ("r",))
    found = as_named(lift(graph), graph, "net", SHAPE[1:], "a test")
    assert [*found.places] == ["a", "a_relu"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("branch5x5", "branch5x5"),
        ("Conv2d_1a_3x3", "conv2d_1a_3x3"),
        ("_private", "private"),
        ("GoogLeNet", "goog_le_net"),
        ("1", "layer_1"),
        ("ändern", "ndern"),
        ("层", "layer"),
        ("class", "class_layer"),
        ("logits", "logits_layer"),
    ],
)
def test_any_name_becomes_one_of_the_spec(text, name):
    assert legal(text) == name
    Sequential(((name, Sequential(())),))


@pytest.mark.parametrize(
    ("place", "parts"),
    [
        ("net", ()),
        ("net.b3[0].p1", ("b3", "0", "p1")),
        ("net[2][0]", ("2", "0")),
        ("net['stem'].conv", ("stem", "conv")),
        ("net.layers[1].layers[0]", ("1", "0")),
        ("net.layers.conv", ("layers", "conv")),
    ],
)
def test_a_place_has_parts(place, parts):
    assert parts_of(place) == parts


def test_branches_and_heads_are_of_the_spec():
    kinds = {type(site.layer) for site in composites(traced().network)}
    assert {Concat, Aux, Sequential} <= kinds
