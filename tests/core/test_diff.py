"""How two networks differ: every field in words, nothing said twice or of one side alone, and how
far the logits move.
"""

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from googlenet import Network, get_network, nodes, spec
from googlenet.architectures import DIALECTS
from googlenet.proof.conformance.networks import CLASSES, composites, probe
from googlenet.proof.movement import Movement, movement
from googlenet.spec import blocks
from googlenet.spec.diff import Difference, differences
from googlenet.spec.rewrite import map_leaves
from googlenet.weights.samples import random_images

from .networks import networks


def _network(input_shape=(4, 12, 12), **layers):
    return Network("n", blocks.sequential(**layers), input_shape, "tests")


def _words(before, after, input_shape=(4, 12, 12)):
    """What is said of the one leaf `layer` as `before` and as `after`."""
    found = differences(_network(input_shape, layer=before), _network(input_shape, layer=after))
    assert {difference.path for difference in found} == {"layer"}
    return [(difference.words, difference.training_alone) for difference in found]


CONV, POOL, AVERAGE = (
    blocks.conv_layer(4, 3, 1, 1),
    blocks.max_pool(3, 2, 1),
    blocks.avg_pool(3, 2, 1),
)
NORM, LRN = blocks.batch_norm(), blocks.local_response_norm()


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (CONV, dataclasses.replace(CONV, out_channels=8), "channels 4 → 8"),
        (CONV, dataclasses.replace(CONV, kernel_size=(3, 5)), "kernel 3×3 → 3×5"),
        (CONV, dataclasses.replace(CONV, stride=(2, 2)), "stride 1 → 2"),
        (CONV, dataclasses.replace(CONV, stride=(2, 1)), "stride 1 → 2×1"),
        (CONV, dataclasses.replace(CONV, padding=((2, 2), (2, 2))), "padding 1 → 2"),
        (CONV, dataclasses.replace(CONV, padding=((0, 0), (1, 1))), "padding 1 → 0×1"),
        (
            CONV,
            dataclasses.replace(CONV, padding=((0, 1), (1, 0))),
            "padding 1 → top 0 bottom 1 left 1 right 0",
        ),
        (CONV, dataclasses.replace(CONV, groups=2), "groups 1 → 2"),
        (CONV, dataclasses.replace(CONV, bias=False), "bias → no bias"),
        (dataclasses.replace(CONV, bias=False), CONV, "no bias → bias"),
        (POOL, dataclasses.replace(POOL, kernel_size=(2, 2)), "kernel 3×3 → 2×2"),
        (POOL, dataclasses.replace(POOL, ceil_mode=True), "rounds down → rounds up"),
        (dataclasses.replace(POOL, ceil_mode=True), POOL, "rounds up → rounds down"),
        (
            AVERAGE,
            dataclasses.replace(AVERAGE, count_include_pad=False),
            "counts padding → ignores padding",
        ),
        (spec.AdaptiveAvgPool((4, 4)), spec.AdaptiveAvgPool((3, 5)), "grid 4×4 → 3×5"),
        (NORM, dataclasses.replace(NORM, eps=1e-3), "eps 1e-05 → 0.001"),
        (NORM, dataclasses.replace(NORM, scale=False), "gamma → no gamma"),
        (LRN, dataclasses.replace(LRN, size=3), "size 5 → 3"),
        (LRN, dataclasses.replace(LRN, alpha=5e-4), "alpha 0.0001 → 0.0005"),
        (LRN, dataclasses.replace(LRN, beta=0.5), "beta 0.75 → 0.5"),
        (LRN, dataclasses.replace(LRN, k=2.0), "k 1 → 2"),
        (spec.Dense(10, bias=True), spec.Dense(12, bias=True), "outputs 10 → 12"),
        (spec.Dense(10, bias=True), spec.Dense(10, bias=False), "bias → no bias"),
        (spec.Scale(0.5, "always"), spec.Scale(0.6, "always"), "factor 0.5 → 0.6"),
        (spec.Scale(0.5, "always"), spec.Scale(0.5, "eval"), "when always → eval"),
        (POOL, AVERAGE, "MaxPool → AvgPool"),
        (spec.ReLU(), spec.Dropout(0.25), "ReLU → Dropout 0.25"),
        (CONV, blocks.conv(4, 3, 1, 1), "Conv → layers (conv, relu)"),
        (CONV, blocks.concat(a=CONV), "Conv → branches"),
        (CONV, blocks.residual(CONV), "Conv → residual block"),
    ],
)
def test_every_field_in_words(before, after, words):
    assert _words(before, after) == [(words, False)]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (spec.Dropout(0.5), spec.Dropout(0.2), "rate 0.5 → 0.2"),
        (NORM, dataclasses.replace(NORM, momentum=0.01), "momentum 0.1 → 0.01"),
    ],
)
def test_what_differs_in_training_alone(before, after, words):
    assert _words(before, after) == [(words, True)]


def test_no_field_of_the_spec_is_passed_over():
    """A leaf that differs in all of its fields has a difference for each."""
    pairs = [
        (
            spec.Conv(4, (3, 3), (1, 1), ((1, 1), (1, 1)), 1, True),
            spec.Conv(8, (5, 5), (2, 2), ((2, 2), (2, 2)), 2, False),
        ),
        (
            spec.MaxPool((3, 3), (2, 2), ((1, 1), (1, 1)), False),
            spec.MaxPool((2, 2), (1, 1), ((0, 0), (0, 0)), True),
        ),
        (
            spec.AvgPool((3, 3), (2, 2), ((1, 1), (1, 1)), False, True),
            spec.AvgPool((2, 2), (1, 1), ((0, 0), (0, 0)), True, False),
        ),
        (spec.BatchNorm(1e-5, 0.1, True), spec.BatchNorm(1e-3, 0.2, False)),
        (spec.LocalResponseNorm(5, 1e-4, 0.75, 1.0), spec.LocalResponseNorm(3, 1e-3, 0.5, 2.0)),
        (spec.AdaptiveAvgPool((2, 2)), spec.AdaptiveAvgPool((3, 3))),
        (spec.Dropout(0.1), spec.Dropout(0.2)),
        (spec.Scale(0.1, "always"), spec.Scale(0.2, "eval")),
        (spec.Dense(3, True), spec.Dense(4, False)),
    ]
    for before, after in pairs:
        assert len(_words(before, after)) == len(dataclasses.fields(before)), before


def test_same_padding_is_said_as_it_comes_out():
    """SAME at stride 2 pads an even side after the input alone, an odd one all round."""
    same, plain = blocks.conv_layer(4, 3, 2, spec.SAME), blocks.conv_layer(4, 3, 2, 1)
    assert _words(plain, same) == [("padding 1 → top 0 bottom 1 left 0 right 1", False)]
    assert differences(_network((4, 13, 13), layer=plain), _network((4, 13, 13), layer=same)) == ()


def test_left_out_and_added_are_named_once_with_all_below():
    a = _network(first=CONV, block=blocks.conv(4, 1), drop=spec.Dropout(0.5))
    b = _network(first=CONV, more=spec.Scale(0.6, "always"), last=blocks.concat(one=CONV, two=CONV))
    assert differences(a, b) == (
        Difference("more", "Scale by 0.6 (always) added"),
        Difference("last", "branches added"),
        Difference("block", "layers (conv, relu) left out"),
        Difference("drop", "Dropout 0.5 left out", training_alone=True),
    )
    assert differences(b, a)[-1] == Difference("last", "branches left out")
    assert Difference("drop", "Dropout 0.5 added", training_alone=True) in differences(b, a)


def test_order_residual_and_auxiliary_heads():
    aux = spec.Aux(
        blocks.sequential(pool=spec.GlobalAvgPool(), dense=spec.Dense(3, bias=True)), 0.3
    )
    other = spec.Aux(
        blocks.sequential(pool=spec.GlobalAvgPool(), dense=spec.Dense(3, bias=False)), 0.4
    )
    mixed = blocks.concat(one=CONV, two=blocks.max_pool(3, 1, 1), three=CONV)
    same = blocks.residual(blocks.conv_layer(12, 1), scale=0.17)
    a = _network(aux1=aux, mixed=mixed, add=same)
    b = _network(
        aux1=other,
        mixed=blocks.concat(two=blocks.max_pool(3, 1, 1), one=CONV, three=CONV),
        add=dataclasses.replace(same, scale=0.2),
    )
    assert differences(a, b) == (
        Difference("aux1", "loss weight 0.3 → 0.4", training_alone=True),
        Difference("aux1.dense", "bias → no bias"),
        Difference("mixed", "order one, two, three → two, one, three"),
        Difference("add", "scale of the residual 0.17 → 0.2"),
    )
    without = _network(mixed=mixed, add=same)
    assert differences(a, without) == (
        Difference("aux1", "auxiliary head left out", training_alone=True),
    )


def test_another_input_is_said_first():
    found = differences(get_network(input_shape=(1, 64, 64)), get_network(input_shape=(3, 32, 48)))
    assert found == (Difference("input", "1×64×64 → 3×32×48"),)


def test_two_inception_v3():
    """SEMANTICS 1b: Keras has no gamma, and leaves padding out of nine average pools; momentum and
    dropout belong to training.
    """
    found = differences(get_network("torchvision:inception_v3"), get_network("keras:inception_v3"))
    counts = {}
    for each in found:
        counts[each.words, each.training_alone] = (
            counts.get((each.words, each.training_alone), 0) + 1
        )
    assert counts == {
        ("momentum 0.1 → 0.01", True): 94,
        ("gamma → no gamma", False): 94,
        ("counts padding → ignores padding", False): 9,
        ("Dropout 0.5 left out", True): 1,
    }
    assert all(
        each.training_alone
        for each in differences(
            get_network("torchvision:inception_v3"), get_network("timm:inception_v3")
        )
    )


# Any two ------------------------------------------------------------------------------------------


@given(networks(), networks())
@settings(max_examples=60)
def test_both_directions_name_the_same_paths(a, b):
    forth, back = differences(a, b), differences(b, a)
    assert sorted(each.path for each in forth) == sorted(each.path for each in back)
    assert sorted((each.path, each.training_alone) for each in forth) == sorted(
        (each.path, each.training_alone) for each in back
    )


@given(networks())
@settings(max_examples=60)
def test_a_network_does_not_differ_from_itself(network):
    assert differences(network, network) == ()


@given(
    st.sampled_from(
        [
            (name, one, two)
            for name, known in DIALECTS.items()
            for one in (None, *known)
            for two in (None, *known)
        ]
    )
)
@settings(max_examples=25)
def test_both_directions_of_dialects(which):
    name, one, two = which
    shape = get_network(name).input_shape
    a, b = (
        get_network(name, dialect=each, num_classes=7, input_shape=(3, *shape[1:]))
        for each in (one, two)
    )
    forth, back = differences(a, b), differences(b, a)
    assert sorted(each.path for each in forth) == sorted(each.path for each in back)
    assert (forth == ()) == (a.layers == b.layers)


# On the same weights ------------------------------------------------------------------------------


def test_a_network_does_not_move_from_itself():
    network = probe()
    assert movement(network, network, random_images(network)) == Movement(0.0, None, None)


def test_dropout_and_momentum_move_nothing():
    network = probe()

    def other(leaf):
        if isinstance(leaf, spec.Dropout):
            return spec.Dropout(0.1)
        return dataclasses.replace(leaf, momentum=0.9) if isinstance(leaf, spec.BatchNorm) else leaf

    changed = map_leaves(network, other)
    found = differences(network, changed)
    assert len(found) == 2
    assert all(each.training_alone for each in found)
    assert movement(network, changed, random_images(network)) == Movement(0.0, None, None)


def test_padding_in_the_average_moves_the_logits_from_that_layer_on():
    network = probe()
    changed = map_leaves(
        network,
        lambda leaf: (
            dataclasses.replace(leaf, count_include_pad=False)
            if isinstance(leaf, spec.AvgPool)
            else leaf
        ),
    )
    moved = movement(network, changed, random_images(network))
    assert moved.unfit is None
    assert moved.logits > 1e-2
    assert moved.first_divergence == "average"
    assert movement(network, changed, random_images(network), seed=1).logits != moved.logits


def test_the_distance_is_the_second_ones_from_the_first():
    """Twice the logits are as far off as the logits are long; half of them half."""
    network = _network(pool=spec.GlobalAvgPool(), scale=spec.Scale(1.0, "always"))
    images = random_images(network)
    for factor, distance in ((2.0, 1.0), (0.5, 0.5), (0.0, 1.0), (-1.0, 2.0)):
        changed = _network(pool=spec.GlobalAvgPool(), scale=spec.Scale(factor, "always"))
        assert movement(network, changed, images).logits == pytest.approx(distance, rel=1e-6)


@pytest.mark.parametrize("name", ["bias", "gamma"])
def test_what_one_of_them_alone_has_is_neutral(name):
    with_it, without = (
        _network(
            conv=blocks.conv_layer(6, 3, bias=name == "bias" and full),
            norm=blocks.batch_norm(scale=name == "gamma" and full),
            relu=spec.ReLU(),
            dense=spec.Dense(CLASSES, bias=True),
        )
        for full in (True, False)
    )
    images = random_images(with_it)
    assert [each.path for each in differences(with_it, without)] == [
        "conv" if name == "bias" else "norm"
    ]
    assert (
        movement(with_it, without, images)
        == movement(without, with_it, images)
        == Movement(0.0, None, None)
    )


def test_a_batch_norm_that_one_of_them_alone_has_is_the_identity_but_for_eps():
    layers = {"conv": blocks.conv_layer(6, 3), "dense": spec.Dense(CLASSES, bias=False)}
    plain = _network(**layers)
    normed = _network(conv=layers["conv"], norm=blocks.batch_norm(1e-5), dense=layers["dense"])
    moved = movement(plain, normed, random_images(plain))
    assert moved.logits == pytest.approx(1 - 1 / math.sqrt(1 + 1e-5), rel=0.1)
    assert moved.first_divergence is None
    assert movement(
        plain,
        _network(conv=layers["conv"], norm=blocks.batch_norm(0.1), dense=layers["dense"]),
        random_images(plain),
    ) == (Movement(pytest.approx(1 - 1 / math.sqrt(1.1), rel=1e-5), "dense", None))


def test_the_first_divergence_is_the_first_in_the_order_of_execution():
    network = composites()["nested"]

    def shift(leaf):
        return (
            dataclasses.replace(leaf, padding=((2, 0), (1, 1)))
            if isinstance(leaf, spec.Conv) and leaf.kernel_size == (3, 3)
            else leaf
        )

    moved = movement(network, map_leaves(network, shift), random_images(network))
    paths = [site.path for site in nodes(network)]
    assert paths.index("block.left.other.conv") < paths.index("block.left") < paths.index("block")
    assert moved.first_divergence == "block.left.other.conv"


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (_network((4, 12, 13), conv=CONV), "the networks' inputs differ, 4×12×12 and 4×12×13"),
        (
            _network(conv=blocks.conv_layer(4, 5, 1, 2)),
            "the weights do not fit: conv.weight is 4×4×3×3 in one, 4×4×5×5 in the other",
        ),
        (
            _network(conv=CONV, more=blocks.conv_layer(2, 1)),
            "the weights do not fit: only one network has more.weight",
        ),
        (_network(other=CONV), "the weights do not fit: only one network has other.weight"),
    ],
)
def test_weights_that_do_not_fit_are_not_compared(other, words):
    network = _network(conv=CONV)
    moved = movement(network, other, random_images(network))
    assert (moved.logits, moved.first_divergence) == (None, None)
    assert moved.unfit == words
