"""The one traversal: its shapes are those that the reference really gives, its paths are unique,
its errors name the layer.
"""

import json

import numpy as np
import pytest
from hypothesis import given, settings

import googlenet.reference as reference
from googlenet import Network, ShapeError, SpecError, nodes, param_specs, spec, walk
from googlenet.architectures import get_network
from googlenet.proof.conformance.networks import composites, probe
from googlenet.spec import blocks
from googlenet.spec.rewrite import map_leaves, resolve, with_dropout_rate
from googlenet.spec.traversal import inputs, num_classes, output_shapes
from googlenet.weights.samples import random_images, random_params

from .networks import networks


@given(networks())
@settings(max_examples=200)
def test_shapes_are_those_of_the_reference(network):
    taps = {site.path: site.out_shape for site in nodes(network)}
    outputs = reference.forward(
        reference.build(network, random_params(network)), random_images(network), taps=taps
    )
    assert {path: outputs[path].shape[1:] for path in taps} == taps


@given(networks())
@settings(max_examples=100)
def test_resolving_same_padding_changes_no_shape_and_leaves_none(network):
    resolved = resolve(network)
    assert [site.out_shape for site in walk(resolved)] == [site.out_shape for site in walk(network)]
    assert all(getattr(site.layer, "padding", ()) != spec.SAME for site in walk(resolved))
    assert resolve(resolved) == resolved


@given(networks())
@settings(max_examples=100)
def test_paths_are_unique(network):
    paths = [site.path for site in nodes(network)]
    assert len(paths) == len(set(paths))
    assert len(param_specs(network)) == len({path.lower() for path in param_specs(network)})


@given(networks())
@settings(max_examples=100)
def test_json_gives_back_the_network(network):
    assert spec.from_json(json.loads(json.dumps(spec.to_json(network)))) == network


def test_json_of_a_published_network_and_of_nonsense():
    network = get_network("googlenet_paper", aux=True)
    assert spec.from_json(json.loads(json.dumps(spec.to_json(network)))) == network
    with pytest.raises(
        SpecError, match=r"from_json\.kind: expected one of Conv, .*, got 'Convolution'"
    ):
        spec.from_json({"kind": "Convolution"})


def test_outputs_are_vectors_of_one_length():
    aux = spec.Aux(
        blocks.sequential(pool=spec.GlobalAvgPool(), dense=spec.Dense(3, bias=True)), 0.3
    )
    head = {"pool": spec.GlobalAvgPool(), "dense": spec.Dense(3, bias=True)}
    assert num_classes(Network("n", blocks.sequential(aux1=aux, **head), (2, 5, 7), "")) == 3
    assert (
        num_classes(
            Network(
                "n",
                blocks.sequential(
                    trunk=blocks.sequential(**head, aux1=spec.Aux(blocks.sequential(), 0.3))
                ),
                (2, 5, 7),
                "",
            )
        )
        == 3
    )
    for wrong, message in (
        (
            {"aux1": aux, "pool": spec.GlobalAvgPool(), "dense": spec.Dense(4, bias=True)},
            "output 'aux1' has 3 classes, but the logits have 4",
        ),
        ({"conv": blocks.conv(3, 1)}, "output 'logits' is a map"),
    ):
        with pytest.raises(ShapeError, match=message):
            num_classes(Network("n", blocks.sequential(**wrong), (2, 5, 7), ""))


def test_paths_have_the_papers_names():
    paths = [site.path for site in walk(get_network("googlenet_paper", aux=True))]
    assert "b3.inception_3a.branch_3x3.reduce.conv" in paths
    assert (
        paths.index("b4.aux1.dense")
        < paths.index("b4.inception_4b.branch_1x1.conv")
        < paths.index("b4.aux2.dense")
    )


@pytest.mark.parametrize("size", [1, 4, 5, 96, 97])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (7, 2), (2, 3)])
def test_same_padding_is_tensorflows(size, kernel, stride):
    network = Network(
        "same",
        blocks.sequential(conv=blocks.conv_layer(1, kernel, stride, spec.SAME)),
        (1, size, size),
        "",
    )
    (site,) = walk(network)
    before, after = site.layer.padding[0]
    assert site.out_shape[1] == -(-size // stride)
    assert 0 <= after - before <= 1


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (blocks.conv_layer(4, 7), "layer: the kernel of size 7 does not fit the height 5"),
        (
            blocks.conv_layer(4, 3, groups=2),
            "layer: groups 2 must divide the number of input channels, 3",
        ),
        (
            blocks.concat(a=blocks.conv_layer(2, 1), b=blocks.conv_layer(2, 3)),
            "layer: branches must end in maps of the same height and width",
        ),
        (
            blocks.residual(blocks.conv_layer(2, 1)),
            "layer: body .* and shortcut .* must have the same shape",
        ),
        (
            blocks.sequential(pool=spec.GlobalAvgPool(), conv=blocks.conv_layer(2, 1)),
            r"layer\.conv: Conv needs a \(C, H, W\) input",
        ),
    ],
)
def test_errors_name_the_layer(layer, message):
    with pytest.raises(ShapeError, match=message):
        list(walk(Network("n", blocks.sequential(layer=layer), (3, 5, 6), "")))


def test_a_window_that_would_start_beyond_the_input_is_left_out():
    """The clip rule of ceil_mode: MXNet and Paddle keep such windows, PyTorch, MindSpore and ONNX
    do not.
    """
    pool = blocks.max_pool(2, 3, 1, ceil_mode=True)
    (site,) = walk(Network("clip", blocks.sequential(pool=pool), (1, 5, 6), ""))
    # Height 5: starts at 0, 3 of 7 padded rows; a third at 6 would begin in the trailing padding.
    # Width 6: starts 0, 3, 6 of 8.
    assert site.out_shape == (1, 2, 3)


def test_inputs_of_the_reference_are_canonical():
    network = Network("n", blocks.sequential(conv=blocks.conv_layer(2, (1, 2))), (3, 4, 5), "")
    weight = np.zeros((2, 3, 1, 2), np.float32)
    weight[1, 2, 0, 1] = 1
    images = random_images(network)
    outputs = reference.forward(
        reference.build(network, {"conv.weight": weight, "conv.bias": np.zeros(2, np.float32)}),
        images,
    )
    np.testing.assert_array_equal(outputs["logits"][:, 1], images[:, 2, :, 1:])


def _check_inputs(network):
    shapes = {None: network.input_shape, **{site.path: site.out_shape for site in nodes(network)}}
    sources = inputs(network)
    for site in nodes(network):
        assert shapes[sources[site.path]] == site.in_shape, site.path


@pytest.mark.parametrize(
    ("name", "aux"),
    [
        ("googlenet_paper", True),
        ("gluoncv:googlenet", True),
        ("inception_v3", True),
        ("inception_v4", False),
        ("facenet:inception_resnet_v1", False),
        ("inception_resnet_v2", False),
        ("paddle:alexnet", False),
    ],
)
def test_inputs_have_the_shape_that_each_layer_takes(name, aux):
    _check_inputs(get_network(name, aux=aux))


@given(networks())
@settings(max_examples=100)
def test_inputs_of_any_network(network):
    _check_inputs(network)


@pytest.mark.parametrize(
    "network", [probe(), *composites().values()], ids=lambda network: network.name
)
def test_inputs_are_what_a_layer_is_really_given(network):
    """A ReLU's output is the positive part of its input, wherever that comes from."""
    sources = inputs(network)
    relus = [site.path for site in walk(network) if isinstance(site.layer, spec.ReLU)]
    images = random_images(network)
    model = reference.build(network, random_params(network))
    outputs = {
        None: images,
        **reference.forward(model, images, taps=[site.path for site in nodes(network)]),
    }
    for path in relus:
        np.testing.assert_array_equal(outputs[path], np.maximum(outputs[sources[path]], 0))


def test_inputs_by_hand():
    aux = spec.Aux(
        blocks.sequential(pool=spec.GlobalAvgPool(), dense=spec.Dense(3, bias=True)), 0.3
    )
    layers = blocks.sequential(
        stem=blocks.conv(4, 1),
        mixed=blocks.concat(
            one=blocks.conv_layer(2, 1),
            two=blocks.sequential(a=spec.ReLU(), b=blocks.conv_layer(2, 1)),
        ),
        aux1=aux,
        add=blocks.residual(blocks.conv(4, 1), scale=0.5),
        nothing=blocks.sequential(),
        end=blocks.sequential(pool=spec.GlobalAvgPool(), dense=spec.Dense(3, bias=True)),
    )
    found = inputs(Network("n", layers, (2, 5, 7), ""))
    assert {path: source for path, source in found.items() if path} == {
        "stem": None,
        "stem.conv": None,
        "stem.relu": "stem.conv",
        "mixed": "stem",
        "mixed.one": "stem",
        "mixed.two": "stem",
        "mixed.two.a": "stem",
        "mixed.two.b": "mixed.two.a",
        "aux1": "mixed",
        "aux1.pool": "mixed",
        "aux1.dense": "aux1.pool",
        "add": "mixed",
        "add.body": "mixed",
        "add.body.conv": "mixed",
        "add.body.relu": "add.body.conv",
        "add.shortcut": "mixed",
        "nothing": "add",
        "end": "add",
        "end.pool": "add",
        "end.dense": "end.pool",
    }


@given(networks())
@settings(max_examples=50)
def test_leaves_that_stay_are_the_same_network(network):
    assert map_leaves(network, lambda leaf: leaf) == network


def test_every_leaf_is_changed_once_and_nothing_else():
    network = get_network("inception_v3", aux=True)
    seen = []

    def change(leaf):
        seen.append(leaf)
        return (
            spec.BatchNorm(0.5, leaf.momentum, leaf.scale)
            if isinstance(leaf, spec.BatchNorm)
            else leaf
        )

    changed = map_leaves(network, change)
    before, after = list(walk(network)), list(walk(changed))
    assert len(seen) == len(before)
    assert [site.path for site in after] == [site.path for site in before]
    for old, new in zip(before, after, strict=True):
        assert new.layer == (
            spec.BatchNorm(0.5, 0.1, True) if isinstance(old.layer, spec.BatchNorm) else old.layer
        )
    assert output_shapes(changed) == output_shapes(network)
    assert changed.outputs == network.outputs


def test_what_stands_around_the_leaves_stays():
    """The scale of a residual, the weight of an auxiliary loss, the name, the input shape and the
    source.
    """
    network = probe()
    doubled = map_leaves(
        network,
        lambda leaf: (
            spec.Conv(2 * leaf.out_channels, *_fields(leaf))
            if isinstance(leaf, spec.Conv)
            else leaf
        ),
    )
    assert (doubled.name, doubled.input_shape, doubled.source) == (
        network.name,
        network.input_shape,
        network.source,
    )
    for old, new in zip(network.layers.children, doubled.layers.children, strict=True):
        assert type(old[1]) is type(new[1])
        assert getattr(old[1], "scale", None) == getattr(new[1], "scale", None)
        assert getattr(old[1], "loss_weight", None) == getattr(new[1], "loss_weight", None)
    assert (
        sum(
            site.out_shape[0] for site in walk(doubled) if site.path == "mixed.branch_5x5.conv.conv"
        )
        == 10
    )


def _fields(conv):
    return conv.kernel_size, conv.stride, conv.padding, conv.groups, conv.bias


def test_the_rate_of_every_dropout():
    network = get_network("paddle:googlenet", aux=True)
    rates = [
        site.layer.rate
        for site in walk(with_dropout_rate(network, 0.0))
        if isinstance(site.layer, spec.Dropout)
    ]
    assert rates == [0.0, 0.0, 0.0]
    assert with_dropout_rate(with_dropout_rate(network, 0.0), 0.0) == with_dropout_rate(
        network, 0.0
    )
