"""A model beside a network of the spec: what is otherwise is found, named, and tried."""

from dataclasses import replace

import numpy as np
import pytest

import googlenet
from googlenet.checking.align import align
from googlenet.checking.causes import Cause
from googlenet.checking.features import differing
from googlenet.checking.report import DIFFERENT, SAME, UNCLEAR
from googlenet.checking.specified import specified
from googlenet.checking.verdict import Checked
from googlenet.spec.layers import (
    NO_PADDING,
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    GlobalAvgPool,
    MaxPool,
    ReLU,
    Scale,
)
from googlenet.tracing.evaluate import evaluate
from googlenet.tracing.tree import Foreign, Fork, Head, Knot, Step, Tangle, steps
from googlenet.weights.samples import random_images, random_params

SHAPE = (1, 32, 32)
NETWORK = googlenet.get_network("googlenet", input_shape=SHAPE)
BLOCK = "b4.inception_4b"


def tree(network=NETWORK, seed=5):
    """A user's model that is the network, with weights and places of its own."""

    def renamed(chain):
        found = []
        for item in chain:
            match item:
                case Step():
                    found.append(replace(item, place=f"net.{item.place}"))
                case Fork():
                    branches = tuple(map(renamed, item.branches))
                    found.append(replace(item, branches=branches, place=f"net.{item.place}"))
                case Head():
                    found.append(replace(item, chain=renamed(item.chain)))
        return tuple(found)

    return renamed(specified(network, random_params(network, seed)))


def edited(chain, place, change):
    """`chain` with the items that `change` gives for the one at `place`."""
    found = []
    for item in chain:
        if not isinstance(item, Head) and item.place == f"net.{place}":
            found += change(item)
        elif isinstance(item, Fork):
            branches = tuple(edited(branch, place, change) for branch in item.branches)
            found.append(replace(item, branches=branches))
        elif isinstance(item, Head):
            found.append(replace(item, chain=edited(item.chain, place, change)))
        else:
            found.append(item)
    return tuple(found)


def given(**fields):
    """The layer with other fields."""
    return lambda step: [replace(step, layer=replace(step.layer, **fields))]


def instead(layer):
    return lambda step: [replace(step, layer=layer)]


def followed(layer, place="net.more"):
    return lambda step: [step, Step(layer, {}, step.out_shape, place)]


def kernel(side):
    """A square kernel, padded by half, with weights of that size."""

    def change(step):
        weight = np.ones((*step.arrays["weight"].shape[:2], side, side), np.float32)
        half = (side // 2, side // 2)
        layer = replace(step.layer, kernel_size=(side, side), padding=(half, half))
        return [replace(step, layer=layer, arrays={**step.arrays, "weight": weight})]

    return change


def without_bias(step):
    weights = {"weight": step.arrays["weight"]}
    return [replace(step, layer=replace(step.layer, bias=False), arrays=weights)]


def checked(user, network=NETWORK):
    return Checked(user, network, 0).check("torch")


FIRST, LAST = "b1.conv.conv", "b2.conv.conv"
LATER = "b5.inception_5b.branch_1x1.conv"
CONV, RELU = f"{BLOCK}.branch_5x5.conv.conv", "b2.reduce.relu"
EDITS = {
    "kernel": (CONV, kernel(3), Cause.KERNEL),
    "stride": ("b1.conv.conv", given(stride=(1, 1)), Cause.STRIDE),
    "padding": ("b1.conv.conv", given(padding=((2, 2), (2, 2))), Cause.PADDING),
    "same": ("b1.conv.conv", given(padding=((2, 3), (2, 3))), Cause.SAME_PADDING),
    "bias": (CONV, without_bias, Cause.BIAS),
    "no activation": (RELU, lambda step: [], Cause.MISSING_ACTIVATION),
    "other activation": (RELU, instead(Foreign("leaky_relu", {"slope": 0.1})), Cause.ACTIVATION),
    "ReLU6": (RELU, instead(Foreign("clip", {"low": 0, "high": 6})), Cause.ACTIVATION),
    "further activation": (CONV, followed(Foreign("tanh")), Cause.EXTRA_ACTIVATION),
    "softmax": ("head.dense", followed(Foreign("softmax", {"axis": 1})), Cause.SOFTMAX),
    "average pool": (
        "b3.pool",
        instead(AvgPool((3, 3), (2, 2), ((1, 1), (1, 1)), False, False)),
        Cause.POOL,
    ),
    "no pool": (f"{BLOCK}.branch_pool.pool", lambda step: [], Cause.MISSING_POOL),
    "residual": (
        f"{BLOCK}.branch_5x5.conv.relu",
        lambda step: [Fork("sum", ((), (step,)), step.out_shape, "net.more")],
        Cause.RESIDUAL,
    ),
    "order of branches": (
        BLOCK,
        lambda fork: [replace(fork, branches=fork.branches[1:] + fork.branches[:1])],
        Cause.BRANCH_ORDER,
    ),
    "no block": ("b5.inception_5a", lambda fork: [], Cause.MISSING_BLOCK),
    "no branch": (
        BLOCK,
        lambda fork: [replace(fork, branches=fork.branches[:3])],
        Cause.BRANCH,
    ),
}


@pytest.mark.parametrize(("place", "change", "cause"), EDITS.values(), ids=EDITS)
def test_an_edit_is_found_named_and_tried(place, change, cause):
    found = checked(edited(tree(), place, change))
    assert found.verdict == DIFFERENT
    assert [each.cause for each in found.differences] == [cause]
    (difference,) = found.differences
    assert difference.path == place
    assert found.proved
    assert found.first_divergence.path == place
    assert found.to_json()["verdict"] == "different"


def test_the_same_is_the_same():
    found = checked(tree())
    assert found
    assert found.verdict == SAME
    assert found.proved
    assert (found.differences, found.mentions, found.first_divergence) == ((), (), None)
    assert found.parameters == (5_977_530, 5_977_530)


def test_written_otherwise_is_a_mention():
    """A window of the map's size for a global pool, the dense layer as a convolution, the ReLU
    behind the max pool.
    """
    user = edited(tree(), "b5.pool", instead(AvgPool((1, 1), (1, 1), NO_PADDING, False, True)))
    (dense,) = (step for step in steps(user) if isinstance(step.layer, Dense))
    weight = dense.arrays["weight"].reshape(10, 1024, 1, 1)
    conv = replace(
        dense,
        layer=Conv(10, (1, 1), (1, 1), NO_PADDING, 1, True),
        arrays={**dense.arrays, "weight": weight},
        out_shape=(10, 1, 1),
    )
    user = edited(user, "head.dense", lambda step: [conv])
    *rest, relu, pool = user[:3]
    assert isinstance(relu.layer, ReLU)
    assert isinstance(pool.layer, MaxPool)
    user = (*rest, pool, replace(relu, out_shape=pool.out_shape), *user[3:])
    found = checked(user)
    assert found.verdict == SAME, str(found)
    assert not found.differences
    assert {each.cause for each in found.mentions} >= {Cause.ORDER, Cause.KIND}


def test_a_layer_that_is_the_same_only_at_zero_is_another():
    user = edited(
        tree(googlenet.get_network("googlenet_bn", input_shape=SHAPE)),
        CONV,
        lambda step: [
            replace(
                step,
                layer=replace(step.layer, bias=not step.layer.bias),
                arrays={"weight": step.arrays["weight"]}
                if step.layer.bias
                else {**step.arrays, "bias": np.zeros(step.layer.out_channels, np.float32)},
            )
        ],
    )
    found = checked(user, googlenet.get_network("googlenet_bn", input_shape=SHAPE))
    assert [each.cause for each in found.differences] == [Cause.BIAS]
    assert found.verdict == DIFFERENT


def test_everywhere_is_one_entry_at_the_first():
    user = tree()
    for step in list(steps(user)):
        if isinstance(step.layer, Conv):
            user = edited(user, step.place.removeprefix("net."), without_bias)
    (difference,) = checked(user).differences
    assert difference.words == "all 57 convolutions: no bias"
    assert difference.path == "b1.conv.conv"
    assert len(difference.paths) == 57


def test_the_same_in_every_block_is_one_entry():
    """As in torchvision's model, whose 5×5 branches have kernels of 3×3."""
    user = tree()
    for step in list(steps(user)):
        if step.place.endswith("branch_5x5.conv.conv"):
            user = edited(user, step.place.removeprefix("net."), kernel(3))
    (difference,) = checked(user).differences
    assert difference.words == (
        "in all 9 blocks, branch_5x5.conv.conv: kernel 3×3 where the spec has 5×5"
    )
    assert difference.path == "b3.inception_3a.branch_5x5.conv.conv"


def test_swapped_blocks_are_told_as_that():
    user = list(tree())
    (at,) = (n for n, item in enumerate(user) if item.place == f"net.{BLOCK}")
    user[at : at + 2] = user[at : at + 2][::-1]
    found = checked(tuple(user))
    assert {each.cause for each in found.differences} == {Cause.BLOCK_ORDER}
    assert {each.path for each in found.differences} == {BLOCK, "b4.inception_4c"}
    assert found.proved


def test_a_shared_block_is_told_as_that():
    user = list(tree())
    (at,) = (n for n, item in enumerate(user) if item.place == f"net.{BLOCK}")
    user[at + 1] = user[at]
    (difference,) = checked(tuple(user)).differences
    assert (difference.path, difference.cause) == ("b4.inception_4c", Cause.SHARED)


def test_the_row_of_another_block():
    """The student's file that lists 4e with 112 and 24 channels, as 4b has them."""
    rows = {"branch_3x3": 112, "branch_5x5": 24}
    user = tree()
    for branch, wrong in rows.items():

        def fewer(step, wrong=wrong):
            arrays = {role: array[:wrong] for role, array in step.arrays.items()}
            shape = (wrong, *step.out_shape[1:])
            layer = replace(step.layer, out_channels=wrong)
            return [replace(step, layer=layer, arrays=arrays, out_shape=shape)]

        def narrow(step, wrong=wrong):
            arrays = {**step.arrays, "weight": step.arrays["weight"][:, :wrong]}
            return [replace(step, arrays=arrays)]

        user = edited(user, f"b4.inception_4e.{branch}.reduce.conv", fewer)
        user = edited(user, f"b4.inception_4e.{branch}.conv.conv", narrow)
    found = checked(user)
    assert found.parameters == (5_784_066, 5_977_530)
    assert [each.words for each in found.differences] == [
        "net.b4.inception_4e.branch_3x3.reduce.conv = b4.inception_4e.branch_3x3.reduce.conv:"
        " 112 channels, expected 160: the row of b4.inception_4b",
        "net.b4.inception_4e.branch_5x5.reduce.conv = b4.inception_4e.branch_5x5.reduce.conv:"
        " 24 channels, expected 32: the row of b4.inception_4b",
    ]
    assert found.proved


def gate(channels, place="net.se"):
    """Squeeze and excitation: what a value is multiplied by."""
    weights = {"weight": np.ones((channels, channels), np.float32)}
    layers = [GlobalAvgPool(), Dense(channels, False), Foreign("sigmoid")]
    return tuple(
        Step(layer, weights if isinstance(layer, Dense) else {}, (channels,), place)
        for layer in layers
    )


def excited(*inside, fork):
    branches = (inside, gate(fork.out_shape[0]))
    return Fork("product", branches, fork.out_shape, "net.se")


SE = {
    "after a block": (
        lambda fork: [fork, excited(fork=fork)],
        f"after {BLOCK}: squeeze and excitation, which the spec does not have",
    ),
    "around a block": (
        lambda fork: [excited(fork, fork=fork)],
        f"net.se = {BLOCK}: squeeze and excitation around it, which the spec does not have",
    ),
}


@pytest.mark.parametrize(("change", "words"), SE.values(), ids=SE)
def test_squeeze_and_excitation_is_named_and_what_is_beside_compared(change, words):
    """Also what is otherwise inside the block, and further on."""
    user = edited(edited(edited(tree(), CONV, without_bias), BLOCK, change), LATER, without_bias)
    found = checked(user)
    assert found.verdict == DIFFERENT
    assert {each.words: each.cause for each in found.differences} == {
        words: Cause.PRODUCT,
        f"net.{CONV} = {CONV}: no bias": Cause.BIAS,
        f"net.{LATER} = {LATER}: no bias": Cause.BIAS,
    }
    assert found.proved
    assert found.first_divergence.path == CONV


@pytest.mark.parametrize("missing", ["", "b2.reduce.relu"])
def test_a_residual_around_several_layers_says_from_where_to_where(missing):
    """Of the whole stem, too, and if one of its layers is missing."""
    user = list(tree())
    (start,) = (n for n, item in enumerate(user) if item.place == f"net.{FIRST}")
    (stop,) = (n for n, item in enumerate(user) if item.place == f"net.{LAST}")
    inside = tuple(each for each in user[start : stop + 1] if each.place != f"net.{missing}")
    point = Conv(192, (1, 1), (4, 4), NO_PADDING, 1, False)
    weight = {"weight": np.ones((192, 1, 1, 1), np.float32)}
    shortcut = (Step(point, weight, inside[-1].out_shape, "net.short"),)
    around = Fork("sum", (inside, shortcut), inside[-1].out_shape, "net")
    found = checked((*user[:start], around, *user[stop + 1 :]))
    words = [each.words for each in found.differences]
    assert words[0] == (
        f"net = {FIRST}: a sum with other layers around {FIRST} to {LAST}, which the spec does not"
        " have"
    )
    assert words[1:] == (["after b2.reduce.conv: no ReLU"] if missing else [])
    assert found.proved
    assert found.first_divergence.path == (missing or FIRST)


def tangled(fork):
    """A block as if its branches could not be told apart."""
    knots, ends = [], []
    for branch in fork.branches:
        number = 0
        for step in branch:
            knots.append(Knot(replace(step), (number,)))
            number = len(knots)
        ends.append(number)
    return Tangle((*knots, Knot(replace(fork, branches=()), tuple(ends))), fork.out_shape, "net.t")


def other(fork):
    """The same, and a ReLU less."""
    tangle = tangled(fork)
    *knots, last = tangle.knots
    left = [number for number in last.inputs if number != len(knots)] + [len(knots) - 1]
    return replace(tangle, knots=(*knots, replace(last, inputs=tuple(left))))


WORDS = f"net.t = {BLOCK}: in its place 13 layers whose branches do not fork and join as a whole"


def test_a_tangle_that_is_the_block_is_the_same():
    found = checked(edited(tree(), BLOCK, lambda fork: [tangled(fork)]))
    assert found.verdict == SAME
    assert [(each.words, each.cause) for each in found.mentions] == [(WORDS, Cause.TANGLE)]
    assert found.parameters == (5_977_530, 5_977_530)


def test_a_tangle_is_unclear_and_what_is_beside_compared():
    user = edited(tree(), BLOCK, lambda fork: [other(fork)])
    found = checked(user)
    assert found.verdict == UNCLEAR, found
    (difference,) = found.differences
    assert difference.path == BLOCK
    assert difference.words == (
        f"{WORDS} (the results of net.{BLOCK}.branch_pool.project.conv are used in several places)"
    )
    assert found.first_divergence.path == BLOCK
    found = checked(edited(user, LATER, without_bias))
    assert found.verdict == DIFFERENT
    assert [each.cause for each in found.differences] == [Cause.TANGLE, Cause.BIAS]
    assert found.proved


def test_a_tangle_that_the_spec_has_not_is_named():
    """What two of its layers give is used in several places."""
    block = next(item for item in tree() if item.place == f"net.{BLOCK}")
    relu = [Step(ReLU(), {}, block.out_shape, f"net.r{n}") for n in range(3)]
    total = Fork("sum", (), block.out_shape, "net.sum")
    knots = [(relu[0], 0), (relu[1], 1), (relu[2], 2), (total, 3, 1), (total, 4, 2)]
    tangle = Tangle(
        tuple(Knot(replace(item), tuple(inputs)) for item, *inputs in knots),
        block.out_shape,
        "net.sum",
    )
    found = checked(edited(tree(), BLOCK, lambda fork: [fork, tangle]))
    assert found.verdict == UNCLEAR
    assert [each.words for each in found.differences] == [
        f"after {BLOCK}: 3 layers whose branches do not fork and join as a whole (the results of"
        " net.r0 and net.r1 are used in several places), which the spec does not have"
    ]


def test_an_operation_of_several_values_around_a_block_is_named():
    def around(fork):
        by = Step(Foreign("aten.maximum"), {}, fork.out_shape, "net.max")
        relu = Step(ReLU(), {}, fork.out_shape, "net.relu")
        return [Fork("other", ((fork,), (fork, relu)), fork.out_shape, "net.max", by)]

    found = checked(edited(tree(), BLOCK, around))
    assert found.verdict == UNCLEAR
    assert "net.max" in found.reason
    assert [(each.path, each.cause) for each in found.differences] == [(BLOCK, Cause.UNKNOWN)]


def test_an_unknown_operation_is_never_the_same():
    found = checked(edited(tree(), "b3.pool", followed(Foreign("aten.mystery"))))
    assert found.verdict == UNCLEAR
    assert "net.more" in found.reason
    assert [each.cause for each in found.differences] == [Cause.UNKNOWN]


def test_says_what_another_network_looks_like():
    alexnet = googlenet.get_network("alexnet", input_shape=(1, 67, 67))
    other = googlenet.get_network("googlenet", input_shape=(1, 67, 67), num_classes=1000)
    found = checked(tree(alexnet), other)
    assert found.verdict == DIFFERENT
    assert "'alexnet'" in found.reason


@pytest.mark.parametrize("name", ["googlenet_paper", "inception_v3", "inception_resnet_v1", "nin"])
def test_the_spec_aligns_with_itself(name):
    network = googlenet.get_network(name)
    _, nodes = align(tree(network), specified(network, random_params(network)))
    assert {type(node).__name__ for node in nodes} <= {"Pair", "ForkPair", "HeadPair"}


def test_the_tree_of_a_network_is_the_network():
    network = googlenet.get_network("googlenet_paper", input_shape=(3, 80, 80), aux=True)
    params = random_params(network)
    images = random_images(network, batch=2)
    found = evaluate(specified(network, params), images, np.float32)
    backend = googlenet.get_backend("numpy")
    expected = backend.forward(backend.build(network, params), images)
    for name, array in zip(network.outputs, found, strict=True):
        np.testing.assert_array_equal(array, expected[name])


def test_a_global_pool_may_be_adaptive():
    found = checked(edited(tree(), "b5.pool", instead(AdaptiveAvgPool((1, 1)))))
    assert found.verdict == SAME


@pytest.mark.parametrize(("rate", "verdict"), [(0.0, SAME), (0.4, DIFFERENT)])
def test_dropout_that_drops_nothing_is_a_mention(rate, verdict):
    found = checked(edited(tree(), "b5.pool", followed(Dropout(rate))))
    assert found.verdict == verdict
    told = found.mentions if verdict == SAME else found.differences
    assert [(each.cause, each.path) for each in told] == [(Cause.DROPOUT, "b5.pool")]


@pytest.mark.parametrize("layer", [Scale(0.3, "eval"), BatchNorm(1e-3, 0.2, False)])
def test_what_no_evaluation_shows_is_no_difference(layer):
    """When a factor applies, and batch norm's momentum."""
    other = Scale(0.3, "always") if isinstance(layer, Scale) else replace(layer, momentum=0.1)
    mine, theirs = (Step(each, {}, (1, 2, 3), "net") for each in (other, layer))
    assert not differing(mine, theirs)
    changed = replace(other, factor=0.4) if isinstance(other, Scale) else replace(other, eps=1e-5)
    assert differing(replace(mine, layer=changed), theirs)


def test_padding_that_is_none_is_not_counted_either_way():
    mine, theirs = (
        Step(AvgPool((3, 3), (2, 2), NO_PADDING, False, counted), {}, (1, 2, 2), "net")
        for counted in (False, True)
    )
    assert not differing(mine, theirs)
    around = replace(mine.layer, padding=((1, 1), (1, 1)))
    further = replace(theirs.layer, padding=((1, 1), (1, 1)))
    assert differing(replace(mine, layer=around), replace(theirs, layer=further))


def test_a_factor_rounded_otherwise_is_no_difference():
    mine, theirs = (Step(Scale(each, "always"), {}, (1, 2, 2), "net") for each in (0.3, 1 - 0.7))
    assert not differing(mine, theirs)
    assert differing(mine, replace(theirs, layer=Scale(0.3000001, "always")))
