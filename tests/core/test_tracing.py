"""Graphs lifted to trees and networks, and trees computed: without any framework."""

import math
from dataclasses import replace

import numpy as np
import pytest

from googlenet import TraceError, spec
from googlenet.backend.graph import Graph, faults
from googlenet.reference import build
from googlenet.reference.network import Pass
from googlenet.spec.blocks import avg_pool, batch_norm, conv_layer, max_pool
from googlenet.tracing.evaluate import evaluate, is_known
from googlenet.tracing.foreign import KNOWN
from googlenet.tracing.lift import lift
from googlenet.tracing.network import as_traced, foreign, kind_of
from googlenet.tracing.tree import Fork, Head, Step, steps

from .graphs import RNG, SHAPE, array, conv, layers, lifted, near, op


def test_a_bias_that_is_added_belongs_to_the_convolution():
    bias = array(1, 4, 1, 1)
    (step,) = lifted(
        conv("a", "images"), op("b", "affine", "a", arrays={"other": bias}, product=False)
    )
    assert step.layer == conv_layer(4, 1)
    np.testing.assert_array_equal(step.arrays["bias"], bias.reshape(4))
    assert step.place == "net.a"


def test_a_bias_stands_alone_where_the_convolution_is_used_without_it():
    bias = {"other": array(4, 1, 1)}
    ops = [
        conv("a", "images"),
        op("i", "identity", "a"),
        op("b", "affine", "i", arrays=bias, product=False),
        op("j", "concat", "b", "i", shape=(2, 8, 7, 6), axis=1),
    ]
    found = layers(lifted(*ops))
    assert found[0] == conv_layer(4, 1, bias=False)
    assert found[1].kind == "affine"
    unused = [*ops[:3], op("u", "relu", "a"), op("k", "identity", "b")]
    assert layers(lifted(*unused)) == [conv_layer(4, 1)]


@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1, 1)])
def test_one_number_for_all_channels_is_a_bias(shape):
    ops = [
        conv("a", "images"),
        op("b", "affine", "a", arrays={"other": np.full(shape, 0.5, np.float32)}, product=False),
    ]
    (step,) = lifted(*ops)
    np.testing.assert_array_equal(step.arrays["bias"], np.full(4, 0.5, np.float32))


@pytest.mark.parametrize("shape", [(6,), (7, 1), (4, 1, 6)])
def test_a_constant_along_pixels_is_no_bias(shape):
    ops = [
        conv("a", "images"),
        op("b", "affine", "a", arrays={"other": array(*shape)}, product=False),
    ]
    assert [kind_of(step) for step in steps(lifted(*ops))] == ["Conv", "affine"]


def test_the_product_with_one_number_is_a_scale():
    ops = [
        op("a", "affine", "images", shape=SHAPE, arrays={"other": np.float32(0.17)}, product=True),
        op("m", "mul", "a", shape=SHAPE, factor=float(np.float32(0.3))),
        op("n", "mul", "m", shape=SHAPE, factor=1 / 3),
    ]
    ops[0].arrays["other"] = np.asarray(np.float32(0.17))
    assert layers(lifted(*ops)) == [spec.Scale(f, "always") for f in (0.17, 0.3, 1 / 3)]


@pytest.mark.parametrize("count", [42, 49, 957])
def test_a_factor_that_takes_back_the_one_before_is_nothing(count):
    """A sum is told as a mean times a number."""
    total = op("s", "mul", "images", shape=SHAPE, factor=float(count))
    divided = op("d", "mul", "s", shape=SHAPE, factor=float(np.float32(1 / count)))
    assert lifted(total, divided) == ()
    assert layers(lifted(total, replace(divided, attributes={"factor": 1 / (count + 1)})))
    assert layers(lifted(total, divided, outputs=("d", "s")))
    trained = op("s", "affine", "images", shape=SHAPE, arrays={"other": array(1)}, product=True)
    trained.arrays["other"][:] = count
    assert len(layers(lifted(trained, divided))) == 2


def test_a_concatenation_of_one_is_nothing_and_one_with_a_constant_foreign():
    one = op("j", "concat", "images", shape=SHAPE, axis=2)
    assert lifted(one) == ()
    more = op("j", "concat", "images", shape=(2, 4, 7, 6), axis=1, arrays={"0": array(2, 1, 7, 6)})
    (step,) = lifted(more)
    assert step.layer.kind == "concat"
    assert not is_known(step)


def test_a_constant_that_is_no_bias_is_foreign():
    one, two = lifted(
        conv("a", "images"),
        op("b", "affine", "a", arrays={"other": array(1, 4, 7, 6)}, product=False),
    )
    assert one.layer == conv_layer(4, 1, bias=False)
    assert two.layer.kind == "affine"


def test_a_padding_apart_goes_into_the_convolution():
    pad = op("p", "pad", "images", shape=(2, 3, 10, 9), padding=((1, 2), (3, 0)), value=0.0)
    (step,) = lifted(pad, conv("a", "p", size=3, padding=((0, 0), (0, 1)), shape=(2, 4, 8, 8)))
    assert step.layer.padding == ((1, 2), (3, 1))


def window(kind, before, shape, kernel=3, stride=1, padding=((0, 0), (0, 0)), **more):
    attributes = {"kernel_size": (kernel, kernel), "stride": (stride, stride), "padding": padding}
    attributes["ceil_mode"] = more.pop("ceil_mode", False)
    more |= {"dilation": (1, 1)} if kind == "max_pool" else {}
    return op("w", kind, before, shape=(2, 3, *shape), **attributes, **more)


def padded(before, padding, value=0.0, name="p"):
    (top, bottom), (left, right) = padding
    shape = (2, 3, 7 + top + bottom, 6 + left + right)
    return op(name, "pad", before, shape=shape, padding=padding, value=value)


ONE = ((1, 1), (1, 1))


@pytest.mark.parametrize(
    ("value", "positive", "merges"),
    [(0.0, True, True), (0.0, False, False), (-math.inf, False, True), (1.0, True, False)],
)
def test_zeros_around_a_max_pool_win_unless_nothing_is_negative(value, positive, merges):
    first = [conv("r", "images", out=3, shape=SHAPE)]  # of both signs
    if positive:
        first.append(op("p0", "relu", "r", shape=SHAPE))
    ops = [padded(first[-1].name, ONE, value), window("max_pool", "p", (7, 6))]
    found = layers(lifted(*first, *ops))[len(first) :]
    if merges:
        assert found == [max_pool(3, 1, 1)]
    else:
        assert [found[0].kind, found[1]] == ["pad", max_pool(3, 1)]


@pytest.mark.parametrize(
    ("ops", "expected"),
    [
        (
            [padded("images", ONE), window("avg_pool", "p", (7, 6), count_include_pad=False)],
            avg_pool(3, 1, 1),
        ),
        (
            [
                padded("images", ONE),
                window("avg_pool", "p", (7, 6), 5, 1, ONE, count_include_pad=True),
            ],
            avg_pool(5, 1, 2),
        ),
        # Its own padding is not counted, what stands before it is.
        (
            [
                padded("images", ONE),
                window("avg_pool", "p", (7, 6), 5, 1, ONE, count_include_pad=False),
            ],
            avg_pool(5, 1, 1, count_include_pad=False),
        ),
        # A last window that begins in the padding is there in the user's code, and not in a layer.
        (
            [
                padded("images", ((0, 1), (0, 1))),
                window("avg_pool", "p", (4, 4), 2, 2, ceil_mode=True, count_include_pad=False),
            ],
            avg_pool(2, 2, ceil_mode=True, count_include_pad=False),
        ),
        (
            [
                padded("images", ONE),
                window("avg_pool", "p", (4, 4), 3, 2, ceil_mode=True, count_include_pad=False),
            ],
            avg_pool(3, 2, 1, ceil_mode=True),
        ),
        (
            [
                padded("images", ((1, 1), (1, 2))),
                window("avg_pool", "p", (3, 3), 3, 3, ceil_mode=True, count_include_pad=False),
            ],
            avg_pool(3, 3, ceil_mode=True, count_include_pad=False),
        ),
        (
            [
                padded("images", ((-1, 0), (0, -2))),
                window("avg_pool", "p", (6, 4), 1, 1, count_include_pad=False),
            ],
            avg_pool(1, 1, count_include_pad=False),
        ),
        (
            [padded("images", ((-1, 1), (1, -1))), conv("w", "p", size=3)],
            conv_layer(4, 3, 1, 1, bias=False),
        ),
        (
            [
                padded("images", ((1, 0), (0, 1)), name="q"),
                replace(padded("q", ONE), shape=(2, 3, 10, 9)),
                conv("w", "p", size=3, padding=((0, 0), (0, 0)), shape=(2, 4, 8, 7)),
            ],
            conv_layer(4, 3, 1, ((2, 1), (1, 2)), bias=False),
        ),
        # What no window reads is cut off before, or not.
        (
            [
                padded("images", ((1, 0), (0, -1))),
                window("avg_pool", "p", (3, 2), 2, 3, count_include_pad=False),
            ],
            avg_pool(2, 3, ((1, 0), (0, 0))),
        ),
        (
            [
                padded("images", ((0, -1), (0, 0))),
                window("max_pool", "p", (3, 3), 2, 2, ceil_mode=True),
            ],
            max_pool(2, 2, ceil_mode=True),
        ),
        (
            [
                padded("images", ((0, -1), (0, 0))),
                window("avg_pool", "p", (3, 3), 3, 2, ONE, count_include_pad=True),
            ],
            avg_pool(3, 2, 1),
        ),
        ([padded("images", ((0, 0), (0, 0)), 5.0), conv("w", "p")], conv_layer(4, 1, bias=False)),
    ],
)
def test_a_padding_is_taken_only_where_the_layer_stays_the_same(ops, expected):
    tree = lifted(*ops)
    assert layers(tree)[-1] == expected
    images = RNG.standard_normal(SHAPE)
    (found,) = evaluate(tree, images)
    alone = ops[-1]
    given = images
    for each in ops[:-1]:
        given = KNOWN["pad"](given, each.attributes, {})
    single = replace(alone, inputs=("images",))
    (right,) = evaluate(lift(Graph("images", given.shape, (single,), (single.name,))), given)
    assert found.shape == alone.shape
    assert near(found, right)


def test_a_negative_padding_takes_away():
    found = KNOWN["pad"](
        np.arange(42.0).reshape(1, 1, 7, 6), {"padding": ((-1, 1), (2, -3)), "value": 9.0}, {}
    )
    assert found.shape == (1, 1, 7, 5)
    np.testing.assert_array_equal(found[0, 0, 0], [9, 9, 6, 7, 8])
    np.testing.assert_array_equal(found[0, 0, -1], 9)


@pytest.mark.parametrize("shape", [(7, 6), (1, 1, 7, 6), (1, 3, 7, 6)])
@pytest.mark.parametrize("included", [False, True])
def test_sums_over_windows_that_are_divided_are_an_average_pool(shape, included):
    counts = (
        np.outer([2, 3, 3, 3, 3, 3, 2], [2, 3, 3, 3, 3, 2]) if not included else np.full((7, 6), 9)
    )
    other = np.broadcast_to((1 / counts), shape)
    ops = [
        padded("images", ONE),
        window("sum_pool", "p", (7, 6)),
        op("a", "affine", "w", shape=SHAPE, product=True, arrays={"other": other}),
    ]
    assert layers(lifted(*ops)) == [avg_pool(3, 1, 1, count_include_pad=included)]
    wrong = replace(ops[-1], arrays={"other": other * (1 + np.finfo(np.float32).eps)})
    assert [layer.kind for layer in layers(lifted(*ops[:-1], wrong))] == [
        "pad",
        "sum_pool",
        "affine",
    ]


def test_a_flattened_map_gives_the_dense_layer_its_axes():
    weight = array(5, 3 * 7 * 6)
    (step,) = lifted(
        op("f", "flatten", "images", shape=(2, 126), start=1),
        op("d", "dense", "f", shape=(2, 5), arrays={"weight": weight}),
    )
    assert step.layer == spec.Dense(5, bias=False)
    np.testing.assert_array_equal(step.arrays["weight"], weight.reshape(5, 3, 7, 6))


@pytest.mark.parametrize("keeps", [True, False])
def test_a_mean_over_the_map_that_is_flattened_is_a_global_pool(keeps):
    shape = (2, 3, 1, 1) if keeps else (2, 3)
    ops = [op("m", "mean", "images", shape=shape, axes=(2, -1), keepdims=keeps)]
    if keeps:
        ops.append(op("f", "flatten", "m", shape=(2, 3), start=1))
    assert layers(lifted(*ops)) == [spec.GlobalAvgPool()]


def test_a_mean_that_stays_a_map_is_none():
    (pool,) = layers(
        lifted(op("m", "mean", "images", shape=(2, 3, 1, 1), axes=(2, 3), keepdims=True))
    )
    assert pool == spec.AdaptiveAvgPool((1, 1))


def test_branches_and_those_that_first_go_the_same_way():
    ops = [
        conv("a", "images"),
        conv("b", "images"),
        conv("c", "b", inside=4),
        conv("d", "b", inside=4),
        op("j", "concat", "a", "c", "d", shape=(2, 12, 7, 6), axis=1),
    ]
    (fork,) = lifted(*ops)
    assert isinstance(fork, Fork)
    assert fork.out_shape == (12, 7, 6)
    first, second = fork.branches
    assert [step.place for step in steps(first)] == ["net.a"]
    shared, inner = second
    assert shared.place == "net.b"
    assert inner.out_shape == (8, 7, 6)
    assert [[step.place for step in steps(each)] for each in inner.branches] == [
        ["net.c"],
        ["net.d"],
    ]


def test_a_sum_is_a_residual_with_its_scale():
    ops = [
        conv("a", "images", out=3),
        op("s", "mul", "a", shape=SHAPE, factor=0.17),
        op("j", "add", "images", "s", shape=SHAPE, factor=1.0),
    ]
    traced = as_traced(lifted(*ops), "mine", SHAPE[1:], "a test")
    ((_, residual),) = traced.network.layers.children
    assert residual.scale == 0.17
    assert residual.shortcut == spec.Sequential(())
    assert traced.places == {"sum_1": "net.j", "sum_1.body.conv_1": "net.a"}


def test_a_sum_of_three_is_one_of_two_and_one():
    ops = [conv(name, "images", out=3) for name in "abc"]
    ops = [replace(each, shape=SHAPE) for each in ops]
    tree = lifted(*ops, op("j", "add", *"abc", shape=SHAPE))
    found = as_traced(tree, "mine", SHAPE[1:], "a test")
    run, images = Pass(), array(*SHAPE)
    build(found.network, found.params, dtype=np.float64).run(images, run)
    assert near(run.outputs["logits"], evaluate(tree, images)[0])


def test_weights_in_double_precision_stay_what_they_are():
    step = conv("a", "images")
    exact, other = step.arrays["weight"].astype(np.float64), np.full((4, 3, 1, 1), 0.1)
    for weight, dtype in ((exact, np.float32), (other, np.float64)):
        tree = lifted(replace(step, arrays={"weight": weight}))
        params = as_traced(tree, "mine", SHAPE[1:], "a test").params
        assert params["conv_1.weight"].dtype == dtype
        np.testing.assert_array_equal(params["conv_1.weight"], weight)
        (found,) = evaluate(tree, np.ones(SHAPE))
        assert near(found[0, :, 0, 0], weight.sum((1, 2, 3)))


def test_the_faults_of_a_graph_are_told():
    right = conv("a", "images")
    assert faults(Graph("images", SHAPE, (right,), ("a",))) == []
    wrong = replace(right, attributes={"stride": (1, 1), "pad": 0}, arrays={}, inputs=("b",))
    told = faults(Graph("images", SHAPE, (wrong, op("a", "warp", "a")), ("z",)))
    assert told == [
        "a: 'b' does not come before it",
        "a: 'conv' lacks the attribute 'dilation'",
        "a: 'conv' lacks the attribute 'groups'",
        "a: 'conv' lacks the attribute 'padding'",
        "a: 'conv' has no attribute 'pad'",
        "a: 'conv' lacks the array 'weight'",
        "a: the name is taken",
        "a: 'warp' is not a known kind, and has no prefix",
        "no operation gives the output 'z'",
    ]


def test_a_further_output_is_a_head_where_it_leaves_the_path():
    ops = [
        conv("a", "images"),
        op("h", "mean", "a", shape=(2, 4), axes=(2, 3), keepdims=False),
        op("g", "mean", "a", shape=(2, 4), axes=(2, 3), keepdims=False),
    ]
    first, head, last = lifted(*ops, outputs=("h", "g"))
    assert isinstance(head, Head)
    assert first.place == "net.a"
    assert [step.place for step in steps(head.chain)] == ["net.g"]
    assert last.place == "net.h"


@pytest.mark.parametrize("outputs", [("z", "h2", "h1"), ("z", "h1", "h2")])
def test_heads_come_in_the_order_in_which_the_model_returns_them(outputs):
    ops = [
        conv("a", "images"),
        op("h1", "mean", "a", shape=(2, 4), axes=(2, 3), keepdims=False),
        conv("b", "a", inside=4, out=5, shape=(2, 5, 7, 6)),
        op("h2", "mean", "b", shape=(2, 5), axes=(2, 3), keepdims=False),
        conv("z", "b", inside=5, out=6, shape=(2, 6, 7, 6)),
    ]
    tree = lifted(*ops, outputs=outputs)
    sizes = {"z": 6, "h1": 4, "h2": 5}
    assert [each.shape[1] for each in evaluate(tree, array(*SHAPE))] == [
        sizes[name] for name in outputs
    ]
    found = as_traced(tree, "mine", SHAPE[1:], "a test")
    names = {"h1": "aux_1", "h2": "aux_2", "z": "logits"}
    assert found.outputs == tuple(names[name] for name in outputs)


def test_what_no_output_needs_is_left_out():
    assert len(lifted(conv("a", "images"), conv("b", "images"), outputs=("b",))) == 1


def test_what_mixes_the_batch_is_said_with_its_place():
    with pytest.raises(
        TraceError, match=r"net\.t: 'transpose' gives .* first axis is not the batch"
    ):
        lifted(op("t", "transpose", "images", shape=(3, 2, 7, 6), axes=(1, 0, 2, 3)))


def test_a_network_of_a_tree_is_the_same_function():
    norm = {name: array(4) for name in ("weight", "bias", "running_mean")}
    norm["running_var"] = np.abs(array(4)) + 0.5
    ops = [
        conv("a", "images", size=3),
        op("n", "batch_norm", "a", arrays=norm, eps=1e-3, train=False),
        op("r", "relu", "n"),
        conv("b", "r", inside=4),
        op("d", "dropout", "r", rate=0.4, active=False),
        op("j", "concat", "b", "d", shape=(2, 8, 7, 6), axis=-3),
        op("m", "adaptive_avg_pool", "j", shape=(2, 8, 1, 1), output_size=(1, 1)),
        op("f", "reshape", "m", shape=(2, 8)),
        op("e", "dense", "f", shape=(2, 5), arrays={"weight": array(5, 8), "bias": array(5)}),
    ]
    tree = lifted(*ops)
    traced = as_traced(tree, "mine", SHAPE[1:], "a test")
    images = array(*SHAPE)
    run = Pass()
    build(traced.network, traced.params, dtype=np.float64).run(images, run)
    (logits,) = evaluate(tree, images)
    assert near(run.outputs["logits"], logits)
    assert batch_norm(1e-3) in layers(tree)


def test_a_norm_without_a_bias_has_one_that_is_not_trained():
    """As PyTorch's with `affine=False`: it is the spec's function at a bias of 0 alone."""
    norm = {role: array(3) ** 2 for role in ("weight", "running_mean", "running_var")}
    ops = [op("n", "batch_norm", "x", arrays=norm, shape=(2, 3, 9, 7), eps=1e-3, train=False)]
    (step,) = lift(Graph("x", (2, 3, 9, 7), tuple(ops), ("n",)))
    assert step.origins["bias"] == "constant"
    assert not step.arrays["bias"].any()
    assert "weight" not in step.origins


@pytest.mark.parametrize("kind", sorted(KNOWN))
def test_every_foreign_layer_keeps_its_dtype(kind):
    attributes = {"slope": 0.1, "alpha": 1.0, "low": 0, "high": 6, "axis": 1, "axes": (2, 3)}
    attributes |= {"padding": ((1, 0), (0, 2)), "value": 1.0, "product": True, "keepdims": True}
    attributes |= {"shape": (126,), "factor": 0.5, "eps": 1e-3, "train": True}
    attributes |= {"output_size": (2, 3), "start": 0, "stop": 2, "step": 1}
    attributes |= {"number": 0.0, "kernel_size": (2, 3), "stride": (2, 1), "dilation": (1, 2)}
    if kind == "transpose":
        attributes["axes"] = (0, 2, 3, 1)
    arrays = {"other": array(3, 1, 1), "weight": array(*((3,) if kind == "batch_norm" else (2, 6)))}
    images = array(*SHAPE)
    for dtype in (np.float32, np.float64):
        found = KNOWN[kind](images.astype(dtype), attributes, arrays)
        assert found.dtype == dtype
        assert len(found) == len(images)


def test_a_dilated_convolution_is_foreign_and_computed():
    more = {"dilation": (2, 1), "padding": ((2, 2), (1, 1))}
    (step,) = lifted(conv("a", "images", size=3, **more))
    assert step.layer.kind == "conv"
    assert is_known(step)
    images = array(*SHAPE)
    (found,) = evaluate((step,), images)
    weight = step.arrays["weight"].astype(np.float64)
    padded = np.pad(images.astype(np.float64), ((0, 0), (0, 0), (2, 2), (1, 1)))
    expected = sum(
        np.einsum("oc,nchw->nohw", weight[:, :, i, j], padded[:, :, 2 * i : 2 * i + 7, j : j + 6])
        for i in range(3)
        for j in range(3)
    )
    assert near(found, expected)


def test_a_dilated_convolution_takes_the_padding_before_it_and_the_bias_behind():
    bias, shape = array(4, 1, 1), (2, 4, 8, 7)
    inner, gaps = ((2, 2), (2, 2)), {"size": 3, "dilation": (2, 2)}
    (step,) = lifted(
        padded("images", ((0, 1), (1, 0))),
        conv("a", "p", shape=shape, padding=inner, **gaps),
        op("b", "affine", "a", shape=shape, product=False, arrays={"other": bias}),
    )
    assert step.layer.kind == "conv"
    assert step.layer.attributes["padding"] == ((2, 3), (3, 2))
    np.testing.assert_array_equal(step.arrays["bias"], bias.reshape(-1))


def test_a_layer_that_nobody_knows_is_named():
    tree = lifted(op("x", "warp", "images", shape=SHAPE))
    (step,) = foreign(tree)
    assert isinstance(step, Step)
    assert not is_known(step)
    with pytest.raises(TraceError, match=r"net\.x: 'warp' is an operation that is unknown"):
        evaluate(tree, array(*SHAPE))


@pytest.mark.parametrize(("start", "apart"), [(2, True), (1, False)])
def test_parts_are_layers_only_where_they_have_no_channel_in_common(start, apart):
    """Two parts with a channel in common would be trained apart."""
    part = {"axis": 1, "step": 1}
    shape = (2, 4 - start, *SHAPE[2:])
    tree = lifted(
        conv("a", "images", size=3),
        op("s", "slice", "a", shape=(2, 2, *SHAPE[2:]), start=0, stop=2, **part),
        op("t", "slice", "a", shape=shape, start=start, stop=4, **part),
        op("r", "relu", "t", shape=shape),
        op("j", "concat", "s", "r", shape=(2, 6 - start, *SHAPE[2:]), axis=1),
    )
    assert any(getattr(layer, "kind", "") == "slice" for layer in layers(tree)) is not apart
