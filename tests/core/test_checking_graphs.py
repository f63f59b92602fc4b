"""Small graphs beside small networks: what outputs alone do not show is found all the same."""

from dataclasses import replace

import numpy as np
import pytest

import googlenet
from googlenet.actions import check as action
from googlenet.backend.graph import Graph, Op
from googlenet.checking.align import align
from googlenet.checking.causes import Cause
from googlenet.checking.names import with_article
from googlenet.checking.report import DIFFERENT, SAME, UNCLEAR
from googlenet.checking.specified import specified
from googlenet.checking.verdict import Checked
from googlenet.spec.layers import (
    NO_PADDING,
    Aux,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    Dropout,
    GlobalAvgPool,
    MaxPool,
    Network,
    ReLU,
    Scale,
    Sequential,
)
from googlenet.spec.traversal import output_shapes
from googlenet.tracing.lift import lift
from googlenet.tracing.tree import Foreign, Fork, Knot, Step, steps
from googlenet.weights.samples import random_params

from .graphs import array, conv, op
from .test_checking import BLOCK, checked, edited, tangled, tree

SHAPE = (3, 7, 6)
POINT = Conv(4, (1, 1), (1, 1), NO_PADDING, 1, False)
BIASED = Conv(4, (1, 1), (1, 1), NO_PADDING, 1, True)


def network(*children):
    return Network("small", Sequential(children), SHAPE, "a test")


def judged(against, *ops, outputs=None):
    graph = Graph("images", (2, *SHAPE), ops, outputs or (ops[-1].name,))
    return Checked(lift(graph, ones=True), against, 0).check("torch")


def norm(gamma, origin):
    arrays = {
        "weight": gamma,
        "bias": array(4),
        "running_mean": array(4),
        "running_var": np.abs(array(4)) + 1,
    }
    origins = {"weight": origin, "bias": "weight"}
    shape = (2, 4, 7, 6)
    attributes = {"eps": 1e-3, "train": False}
    return Op("b", "batch_norm", ("c",), shape, attributes, arrays, "net.b", origins)


ONES = np.ones(4, np.float32)


@pytest.mark.parametrize(
    ("gamma", "origin", "verdict"),
    [
        (ONES, "constant", SAME),
        (ONES, "weight", DIFFERENT),
        (2 * ONES, "constant", DIFFERENT),
        (array(4), "weight", DIFFERENT),
        (ONES, "free", DIFFERENT),
        (ONES, "tied", DIFFERENT),
    ],
    ids=["ones", "trained ones", "twos", "trained", "normalised ones", "tied ones"],
)
def test_a_batch_norm_that_multiplies_is_not_one_that_does_not(gamma, origin, verdict):
    against = network(("c", POINT), ("b", BatchNorm(1e-3, 0.1, False)), ("r", ReLU()))
    found = judged(against, conv("c", "images"), norm(gamma, origin), op("r", "relu", "b"))
    assert found.verdict == verdict
    causes = [] if verdict == SAME else [Cause.SCALE]
    assert [each.cause for each in found.differences] == causes
    assert found.proved


def test_what_is_shared_is_not_taken_apart():
    """Half of a convolution's channels, beside a second call of all of it."""
    branches = (
        ("a", Sequential((("c", BIASED),))),
        ("b", Sequential((("r", ReLU()), ("c", Conv(6, (1, 1), (1, 1), NO_PADDING, 1, True))))),
    )
    arrays = {"weight": array(6, 3, 1, 1), "bias": array(6)}
    one, other = (
        Op(name, "conv", (given,), (2, 6, 7, 6), conv("", "").attributes, arrays, f"net.{name}")
        for name, given in (("c1", "images"), ("c2", "r"))
    )
    ends = {"axis": 1, "start": 0, "stop": 4, "step": 1}
    found = judged(
        network(("k", Concat(branches))),
        one,
        op("s", "slice", "c1", shape=(2, 4, 7, 6), **ends),
        op("r", "relu", "images", shape=(2, 3, 7, 6)),
        other,
        op("k", "concat", "s", "c2", shape=(2, 10, 7, 6), axis=1),
    )
    assert found.verdict == DIFFERENT
    assert Cause.SHARED in {each.cause for each in found.differences}


def test_a_constant_bias_of_zero_is_none():
    with_bias = conv("c", "images")
    for bias, verdict in ((np.zeros(4, np.float32), SAME), (array(4), DIFFERENT)):
        arrays = {**with_bias.arrays, "bias": bias}
        origins = {"weight": "weight", "bias": "constant"}
        own = replace(with_bias, arrays=arrays, origins=origins)
        found = judged(network(("c", POINT), ("r", ReLU())), own, op("r", "relu", "c"))
        assert found.verdict == verdict
        told = found.mentions if verdict == SAME else found.differences
        assert [each.cause for each in told] == [Cause.BIAS]
        assert told[0].explanation == ""


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [("leaky_relu", {"slope": 0.0}), ("clip", {"low": 0.0, "high": np.inf})],
)
def test_what_is_a_relu_is_called_one(kind, attributes):
    against = network(("c", POINT), ("r", ReLU()))
    found = judged(against, conv("c", "images"), op("r", kind, "c", **attributes))
    assert found.verdict == SAME
    assert not found.mentions


@pytest.mark.parametrize("factor", [0.0, 1.0])
def test_outputs_that_do_not_depend_on_the_images_prove_nothing(factor):
    against = network(("c", POINT), ("r", ReLU()), ("s", Scale(factor, "always")))
    ops = [conv("c", "images"), op("r", "relu", "c"), op("s", "mul", "r", factor=factor)]
    found = judged(against, *ops)
    assert found.verdict == (SAME if factor else UNCLEAR)
    assert ("one and the same for all images" in found.reason) is (factor == 0)


def heads(first, second):
    """An auxiliary head and the main one, each of a mean and a dense layer, after two values."""
    found = []
    for name, given in (("a", first), ("m", second)):
        arrays = {"weight": array(3, 4), "bias": array(3)}
        found += [
            op(f"{name}g", "mean", given, shape=(2, 4), axes=(2, 3), keepdims=False),
            Op(f"{name}d", "dense", (f"{name}g",), (2, 3), {}, arrays, f"net.{name}d"),
        ]
    return found


HEADED = network(
    ("c", POINT),
    ("aux1", Aux(Sequential((("g", GlobalAvgPool()), ("d", Dense(3, True)))), 0.3)),
    ("drop", Dropout(0.5)),
    ("g", GlobalAvgPool()),
    ("d", Dense(3, True)),
)


@pytest.mark.parametrize("given", ["c", "drop"])
def test_dropout_before_an_auxiliary_head_is_not_after_it(given):
    drop = op("drop", "dropout", "c", rate=0.5, active=False)
    ops = [conv("c", "images"), drop, *heads(given, "drop")]
    found = judged(HEADED, *ops, outputs=("md", "ad"))
    assert found.verdict == (SAME if given == "c" else DIFFERENT)
    causes = [] if given == "c" else [Cause.DROPOUT]
    assert [each.cause for each in found.differences] == causes


def test_what_follows_a_head_in_the_trunk_does_not_follow_the_head():
    more = op("t", "tanh", "c")
    ops = [conv("c", "images"), more, op("drop", "dropout", "t", rate=0.5, active=False)]
    found = judged(HEADED, *ops, *heads("c", "drop"), outputs=("md", "ad"))
    (difference,) = found.differences
    assert difference.path == "c"
    assert difference.words.startswith("after c: a tanh")
    assert found.first_divergence.path == "c"


def test_a_softmax_in_a_branch_is_not_before_the_loss():
    relu = f"{BLOCK}.branch_1x1.relu"
    softmax = Foreign("softmax", {"axis": 1})
    found = checked(
        edited(tree(), relu, lambda step: [step, Step(softmax, {}, step.out_shape, "net.more")])
    )
    (difference,) = found.differences
    assert difference.words == f"after {relu}: a softmax, which the spec does not have there"


def bounded(step):
    return Step(Foreign("clip", {"low": 0.0, "high": 600.0}), {}, step.out_shape, step.place)


def fixed(step):
    return Step(step.layer, step.arrays, step.out_shape, step.place, {"weight": "constant"})


@pytest.mark.parametrize(
    ("layer", "change", "words"),
    [
        (ReLU, bounded, "a clip to [0, 600]"),
        (Conv, fixed, "a convolution whose weight is no parameter of its own"),
    ],
    ids=["bounds", "no parameter"],
)
def test_what_a_tangle_hides_is_unclear(layer, change, words):
    def hidden(fork):
        tangle = tangled(fork)
        knots = tuple(
            Knot(change(each.item), each.inputs)
            if isinstance(each.item, Step) and isinstance(each.item.layer, layer)
            else each
            for each in tangle.knots
        )
        return [type(tangle)(knots, tangle.out_shape, tangle.place)]

    found = checked(edited(tree(), BLOCK, hidden))
    assert found.verdict == UNCLEAR
    assert words in found.reason


def pooled(padding, before=None):
    """A max pool behind a padding of zeros of its own, after a ReLU or not."""
    size = tuple(n + sum(sides) for n, sides in zip(SHAPE[1:], padding, strict=True))
    out = tuple((n - 3) // 2 + 1 for n in size)
    window = {
        "kernel_size": (3, 3),
        "stride": (2, 2),
        "padding": NO_PADDING,
        "dilation": (1, 1),
        "ceil_mode": False,
    }
    first = conv("c", "images")
    return [
        replace(first, arrays={**first.arrays, "bias": array(4)}),
        *([op("r", "relu", "c")] if before == "relu" else []),
        op("p", "pad", "r" if before else "c", shape=(2, 4, *size), padding=padding, value=0.0),
        op("m", "max_pool", "p", shape=(2, 4, *out), **window),
    ]


POOLED = MaxPool((3, 3), (2, 2), ((1, 1), (1, 1)), False)


def test_zeros_before_a_max_pool_are_no_difference_once_the_relu_is_there():
    against = network(("c", BIASED), ("r", ReLU()), ("m", POOLED))
    found = judged(against, *pooled(POOLED.padding))
    assert [each.cause for each in found.differences] == [Cause.MISSING_ACTIVATION]
    assert [each.path for each in found.mentions] == ["m"]
    assert found.proved
    assert judged(against, *pooled(POOLED.padding, "relu")).verdict == SAME


def test_what_is_harmless_with_some_weights_only_is_a_difference_beside_another_too():
    """In windows of 5×5 some number is nearly always above 0, so that zeros around do not show."""
    wide = MaxPool((5, 5), (2, 2), ((2, 2), (2, 2)), False)
    ops = pooled(wide.padding)
    *ops, pad, pool = ops
    pool = replace(pool, attributes={**pool.attributes, "kernel_size": (5, 5)}, shape=(2, 4, 4, 3))
    ops += [pad, pool, op("s", "mul", "m", shape=pool.shape, factor=0.25)]
    against = network(("c", BIASED), ("m", wide), ("s", Scale(0.5, "always")))
    found = judged(against, *ops)
    assert [each.path for each in found.differences] == ["m", "s"]
    assert not found.mentions
    assert found.proved


def test_a_layer_that_is_called_once_more_is_no_input_of_a_branch():
    point = conv("c", "images", 3, 3)
    again = replace(point, name="e", inputs=("r",))
    against = network(("c", Conv(3, (1, 1), (1, 1), NO_PADDING, 1, False)), ("r", ReLU()))
    shape = {"shape": (2, 3, 7, 6)}
    found = judged(
        against, replace(point, shape=(2, 3, 7, 6)), op("r", "relu", "c", **shape), again
    )
    assert [(each.words, each.cause) for each in found.differences] == [
        ("after r: c is called once more, which the spec does not do", Cause.SHARED)
    ]


@pytest.mark.parametrize(("factor", "cause"), [(42.0, Cause.POOL), (2.0, Cause.EXTRA)])
def test_only_the_number_of_pixels_is_that_of_a_sum(factor, cause):
    against = network(("c", POINT), ("g", GlobalAvgPool()))
    mean = op("g", "mean", "c", shape=(2, 4), axes=(2, 3), keepdims=False)
    times = op("s", "mul", "g", shape=(2, 4), factor=factor)
    found = judged(against, conv("c", "images"), mean, times)
    (difference,) = found.differences
    assert (difference.path, difference.cause, difference.explanation) == ("g", cause, "")
    assert ("sum of the pixels" in difference.words) is (cause is Cause.POOL)


def test_zeros_that_may_be_the_maximum_are_one_difference():
    found = judged(network(("c", BIASED), ("m", POOLED)), *pooled(POOLED.padding))
    (difference,) = found.differences
    assert difference.path == "m"
    assert difference.cause is Cause.PADDING
    assert difference.words == (
        "net.m = m: padded with 0 by a layer before it, which wins over lower values; the spec's"
        " padding never wins"
    )
    assert found.proved


@pytest.mark.parametrize("more", [1, 2, 5])
def test_padding_behind_a_max_pool_only_rounds_its_size_up(more):
    """However much it is: 7×6 pixels give 4×4 windows of 3 at a stride of 2 rounded up."""
    above = MaxPool((3, 3), (2, 2), NO_PADDING, True)
    against = network(("c", BIASED), ("r", ReLU()), ("m", above))
    ops = pooled(((0, 0), (0, more)), "relu")
    tree = lift(Graph("images", (2, *SHAPE), tuple(ops), ("m",)))
    layer = list(steps(tree))[-1].layer
    if more == 5:  # a window of zeros alone
        assert layer == replace(above, ceil_mode=False)
        assert judged(against, *ops).verdict == DIFFERENT
        return
    asked = replace(above, padding=((0, 0), (0, 1)), ceil_mode=False)
    assert layer == (asked if more == 1 else above)
    assert judged(against, *ops).verdict == SAME


def test_of_much_padding_behind_a_max_pool_only_what_gives_a_window_is_kept():
    """Of 7 rows rounding up gives 3 windows, and 4 with one row more."""
    ops = pooled(((0, 2), (0, 2)), "relu")
    tree = lift(Graph("images", (2, *SHAPE), tuple(ops), ("m",)))
    layer = MaxPool((3, 3), (2, 2), ((0, 1), (0, 1)), True)
    assert list(steps(tree))[-1].layer == layer
    against = network(("c", BIASED), ("r", ReLU()), ("m", layer))
    assert judged(against, *ops).verdict == SAME


def test_many_branches_are_matched_in_time():
    """The number of ways to match them is not what counts: 32! would be."""
    branches = tuple(
        (f"b{n}", Sequential((("c", Conv(n + 1, (1, 1), (1, 1), NO_PADDING, 1, True)),)))
        for n in range(32)
    )
    against = network(("k", Concat(branches)))
    spec = specified(against, random_params(against, 0))
    share, nodes = align(spec, spec)
    assert share == 0
    (fork,) = nodes
    assert [(mine, theirs) for mine, theirs, _ in fork.branches] == [(n, n) for n in range(32)]
    assert fork.more == fork.without == ()


def test_a_network_that_does_not_exist_one_pixel_larger():
    branches = (
        ("a", Sequential((("c", Conv(4, (3, 3), (2, 2), ((1, 1), (1, 1)), 1, True)),))),
        ("b", Sequential((("p", MaxPool((2, 2), (2, 2), NO_PADDING, False)),))),
    )
    small = Network("small", Sequential((("k", Concat(branches)),)), (3, 8, 8), "a test")
    with pytest.raises(googlenet.GoogLeNetError):
        output_shapes(small.at((3, 9, 9)))
    assert action.other_size(small) is None


def regrouped(fork):
    """Branches concatenated two by two, and both."""
    pairs = [Fork("concat", fork.branches[n : n + 2], fork.out_shape, "net.in") for n in (0, 2)]
    return [replace(fork, branches=tuple((pair,) for pair in pairs))]


def nested(fork):
    """A branch after the other."""
    inner = Fork("concat", fork.branches[:2], fork.out_shape, "net.in")
    outer = Fork("concat", ((inner,), fork.branches[2]), fork.out_shape, "net.out")
    return [replace(fork, branches=((outer,), fork.branches[3]))]


@pytest.mark.parametrize("change", [regrouped, nested])
def test_concatenations_of_concatenations_are_one(change):
    found = checked(edited(tree(), BLOCK, change))
    assert found.verdict == SAME
    assert not found.mentions
    swapped = edited(
        tree(), BLOCK, lambda fork: change(replace(fork, branches=fork.branches[::-1]))
    )
    assert [each.cause for each in checked(swapped).differences] == [Cause.BRANCH_ORDER]


def test_a_norm_that_turns_the_order_round_stands_not_before_a_max_pool():
    """With factors above 0 alone both orders are one."""
    against = network(("c", POINT), ("b", BatchNorm(1e-3, 0.1, True)), ("m", POOLED))
    window = {"kernel_size": (3, 3), "stride": (2, 2), "padding": POOLED.padding}
    window |= {"dilation": (1, 1), "ceil_mode": False}
    pool = op("m", "max_pool", "c", shape=(2, 4, 4, 3), **window)
    last = replace(norm(array(4), "weight"), inputs=("m",), shape=(2, 4, 4, 3))
    found = judged(against, conv("c", "images"), pool, last)
    assert found.verdict == DIFFERENT
    assert {each.cause for each in found.differences} == {Cause.ORDER}
    assert found.proved


def test_two_things_that_are_only_the_same_together_are_mentions():
    """A size that is rounded down and a padding behind, where a pool rounds up: beside another
    mistake, too.
    """
    above = MaxPool((3, 3), (2, 2), ((0, 0), (0, 0)), True)
    against = network(("c", BIASED), ("r", ReLU()), ("m", above), ("s", Scale(0.5, "always")))
    ops = pooled(((0, 1), (0, 1)), "relu")
    *_, last = ops
    ops.append(op("s", "mul", "m", shape=last.shape, factor=0.25))
    found = judged(against, *ops)
    assert [each.cause for each in found.differences] == [Cause.FACTOR]
    assert {each.path for each in found.mentions} == {"m"}
    assert found.proved


def test_they_are_mentions_beside_what_might_be_harmless_and_is_not():
    above = MaxPool((3, 3), (2, 2), ((0, 0), (0, 0)), True)
    around = ((1, 1), (1, 1))
    mean = AvgPool((3, 3), (1, 1), around, False, False)
    against = network(("c", BIASED), ("r", ReLU()), ("m", above), ("a", mean))
    ops = pooled(((0, 1), (0, 1)), "relu")
    window = {"kernel_size": (3, 3), "stride": (1, 1), "padding": around, "ceil_mode": False}
    shape = ops[-1].shape
    ops.append(op("a", "avg_pool", "m", shape=shape, count_include_pad=True, **window))
    found = judged(against, *ops)
    assert [each.path for each in found.differences] == ["a"]
    assert {each.path for each in found.mentions} == {"m"}
    assert found.proved


def test_a_clip_at_zero_turned_round_is_a_relu():
    against = network(("c", POINT), ("r", ReLU()))
    ops = [conv("c", "images"), op("t", "mul", "c", factor=-1.0)]
    ops += [op("r", "clip", "t", low=-np.inf, high=0.0), op("u", "mul", "r", factor=-1.0)]
    found = judged(against, *ops)
    assert found.verdict == SAME, str(found)


def fed(fork):
    """The pool's branch takes what the 1×1 branch gives."""
    first, pool = fork.branches[0], fork.branches[3]
    copies = tuple(map(replace, first))
    channels = first[-1].out_shape[0]

    def given(step):
        weight = step.arrays["weight"][:, :channels]
        return replace(step, arrays={**step.arrays, "weight": weight})

    window = replace(pool[0], out_shape=(channels, *pool[0].out_shape[1:]))
    rest = tuple(given(step) if step.arrays else step for step in pool[1:])
    return [replace(fork, branches=(*fork.branches[:3], (*copies, window, *rest)))]


def test_a_branch_that_takes_the_result_of_another_is_told_as_that():
    found = checked(edited(tree(), BLOCK, fed))
    (difference,) = found.differences
    assert (difference.path, difference.cause) == (f"{BLOCK}.branch_pool.pool", Cause.INPUT)
    assert difference.words == (
        f"{BLOCK}.branch_pool.pool: takes the result of {BLOCK}.branch_1x1.conv, where the spec has"
        " that of b4.inception_4a"
    )
    assert not found.mentions  # of the other branch's ReLU, which is computed with it
    assert found.proved


def test_branches_that_take_the_result_of_another_are_told_one_by_one():
    """Also one that takes it from within a branch of several layers."""

    def deep(fork):
        reduce, relu = fork.branches[1][:2]
        first, *rest = fork.branches[2]
        weight = array(len(first.arrays["weight"]), reduce.out_shape[0], 1, 1)
        given = replace(first, arrays={**first.arrays, "weight": weight})
        branch = (replace(reduce), replace(relu), given, *rest)
        return [replace(fork, branches=(*fork.branches[:2], branch, fork.branches[3]))]

    later = "b4.inception_4c"
    found = checked(edited(edited(tree(), BLOCK, deep), later, fed))
    assert [(each.path, each.cause) for each in found.differences] == [
        (f"{BLOCK}.branch_5x5.reduce.conv", Cause.INPUT),
        (f"{later}.branch_pool.pool", Cause.INPUT),
    ]
    assert not found.mentions
    assert found.proved


def test_a_further_convolution_is_not_the_one_before_it():
    """Told apart by the channels that they take."""

    def more(fork):
        *_, (pool, project, relu) = fork.branches
        weight = array(64, 64, 1, 1)
        again = replace(project, arrays={**project.arrays, "weight": weight}, place="net.more")
        branch = (pool, project, relu, again, replace(relu, place="net.relu"))
        return [replace(fork, branches=(*fork.branches[:3], branch))]

    found = checked(edited(tree(), BLOCK, more))
    assert [each.place for each in found.differences] == ["net.more"]
    assert found.proved


def test_padding_by_what_nobody_knows_is_told_at_its_convolution():
    conv_place = f"{BLOCK}.branch_3x3.conv.conv"

    def padded(step):
        shape = (step.arrays["weight"].shape[1], *(n + 2 for n in step.out_shape[1:]))
        pad = Step(Foreign("aten.pad"), {}, shape, step.place)
        return [pad, replace(step, layer=replace(step.layer, padding=NO_PADDING))]

    found = checked(edited(tree(), conv_place, padded))
    assert [(each.path, each.words) for each in found.differences] == [
        (
            conv_place,
            f"net.{conv_place} = {conv_place}: padded by 'aten.pad' before it, where the spec pads"
            " with zeros",
        )
    ]


def test_an_operation_that_nobody_knows_is_no_activation_that_is_missing():
    def strange(step):
        return [Step(Foreign("tf.Exp"), {}, step.out_shape, "net.exp")]

    found = checked(edited(tree(), "b2.reduce.relu", strange))
    assert found.verdict == UNCLEAR
    assert [(each.words, each.cause) for each in found.differences] == [
        ("net.exp = b2.reduce.relu: a 'tf.Exp' where the spec has a ReLU", Cause.UNKNOWN)
    ]


def test_what_nobody_knows_around_a_layer_may_be_that_layer():
    """(x + |x|) / 2 is a ReLU, whatever |x| is called."""

    def written(step):
        strange = Step(Foreign("lib.strange"), {}, step.out_shape, "net.strange")
        total = Fork("sum", ((), (strange,)), step.out_shape, "net.sum")
        return [total, Step(Scale(0.5, "always"), {}, step.out_shape, "net.half")]

    found = checked(edited(tree(), "b2.reduce.relu", written))
    assert found.verdict == UNCLEAR, str(found)


def test_a_sum_for_a_concatenation_is_told_as_that():
    branches = [(name, Sequential((("c", BIASED), ("r", ReLU())))) for name in "ab"]
    head = (("g", GlobalAvgPool()), ("d", Dense(3, True)))
    against = network(("k", Concat(tuple(branches))), *head)
    ops = []
    for name in "ab":
        first = conv(f"{name}c", "images")
        ops.append(replace(first, arrays={**first.arrays, "bias": array(4)}))
        ops.append(op(f"{name}r", "relu", f"{name}c"))
    arrays = {"weight": array(3, 4), "bias": array(3)}
    found = judged(
        against,
        *ops,
        op("k", "add", "ar", "br"),
        op("g", "mean", "k", shape=(2, 4), axes=(2, 3), keepdims=False),
        Op("d", "dense", ("g",), (2, 3), {}, arrays, "net.d"),
    )
    assert [(each.path, each.cause, each.words) for each in found.differences] == [
        ("k", Cause.KIND, "net.k = k: adds its branches, where the spec concatenates them")
    ]
    assert found.proved


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("RMS norm", "an RMS norm"),
        ("ReLU", "a ReLU"),
        ("ELU", "an ELU"),
        ("SELU", "a SELU"),
        ("max pool", "a max pool"),
    ],
)
def test_articles_are_as_names_are_read(name, words):
    assert with_article(name) == words
