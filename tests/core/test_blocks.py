"""What the papers call their blocks: a label, and no part of what a network is."""

import json
from collections import Counter

import pytest

import googlenet
from googlenet import spec
from googlenet.spec.blocks import called, concat, conv_layer, inception, residual, sequential


def labels(network):
    found = Counter()

    def compose(site, children):
        if site.layer.block and not isinstance(site.layer, spec.Aux):
            found[site.layer.block] += 1

    spec.fold(network, lambda site: None, compose)
    return found


@pytest.mark.parametrize(
    ("name", "aux", "expected"),
    [
        # arXiv:1409.4842, table 1
        ("googlenet", False, {"Inception": 9}),
        ("googlenet_paper", True, {"Inception": 9, "AuxiliaryHead": 2}),
        # arXiv:1502.03167, figure 5: 3c and 4e halve the map
        ("bn_inception", False, {"Inception": 8, "Reduction": 2}),
        # arXiv:1512.00567, table 1: 3, 4 and 2 of figures 5, 6 and 7
        (
            "inception_v3",
            True,
            {"InceptionA": 3, "InceptionB": 4, "InceptionC": 2, "AuxiliaryHead": 1},
        ),
        # arXiv:1602.07261, figure 9
        (
            "inception_v4",
            False,
            {"Stem": 1, "InceptionA": 4, "ReductionA": 1, "InceptionB": 7, "ReductionB": 1},
        ),
        # arXiv:1602.07261, figure 15
        (
            "inception_resnet_v1",
            False,
            {"InceptionResNetA": 5, "InceptionResNetB": 10, "InceptionResNetC": 5},
        ),
        # arXiv:1409.1556, table 1
        ("vgg16", False, {"VGGBlock": 5}),
    ],
)
def test_blocks_have_the_papers_names(name, aux, expected):
    found = labels(googlenet.get_network(name, aux=aux))
    assert {label: found[label] for label in expected} == expected


@pytest.mark.parametrize(
    "layer",
    [
        sequential(conv=conv_layer(3, 1)),
        concat(branch=conv_layer(3, 1)),
        residual(conv_layer(3, 1)),
    ],
)
def test_a_label_is_no_part_of_equality_json_or_weights(layer):
    named = called("Block")(lambda: layer)()
    assert named.block == "Block"
    assert named == layer
    assert hash(named) == hash(layer)
    assert spec.to_json(named) == spec.to_json(layer)
    assert "Block" not in json.dumps(spec.to_json(named))
    plain, labelled = (
        spec.Network("n", sequential(inside=each), (3, 5, 7), "test") for each in (layer, named)
    )
    weights = googlenet.init_params(labelled)
    for path, array in googlenet.init_params(plain).items():
        assert weights[path].tobytes() == array.tobytes()


def test_rewriting_a_network_keeps_the_labels():
    network = googlenet.get_network("googlenet_paper", aux=True)
    assert labels(spec.resolve(network)) == labels(network)
    assert labels(spec.with_dropout_rate(network, 0.0)) == labels(network)


def test_with_children_exchanges_children_and_nothing_else():
    block = inception(5, 3, 6, 2, 4, 3)
    changed = spec.with_children(block, dict(reversed(block.children)))
    assert changed.children == block.children[::-1]
    assert changed.block == "Inception"
    body = residual(conv_layer(3, 1), scale=0.3)
    assert spec.with_children(body, dict(body.children)) == body
    head = spec.Aux(sequential(dense=spec.Dense(5, bias=True)), 0.3)
    assert spec.with_children(head, dict(head.children)) == head
    with pytest.raises(TypeError, match="expected a Sequential, got ReLU"):
        spec.with_children(head, {"head": spec.ReLU()})


@pytest.mark.parametrize("label", ["Inception A", "3a", None])
def test_a_label_is_a_name(label):
    with pytest.raises(googlenet.SpecError, match=r"Sequential\.block: expected a name such as"):
        spec.Sequential((), block=label)
