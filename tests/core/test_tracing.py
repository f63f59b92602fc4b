"""Graphs lifted to trees and networks, and trees computed: without any framework."""

import math

import numpy as np
import pytest

from googlenet import TraceError, spec
from googlenet.reference import build
from googlenet.reference.network import Pass
from googlenet.spec.blocks import batch_norm, conv_layer, max_pool
from googlenet.tracing.evaluate import evaluate, is_known
from googlenet.tracing.foreign import KNOWN
from googlenet.tracing.network import as_traced, foreign
from googlenet.tracing.tree import Fork, Head, Step, steps

from .graphs import SHAPE, array, conv, layers, lifted, near, op


def test_a_bias_that_is_added_belongs_to_the_convolution():
    bias = array(1, 4, 1, 1)
    (step,) = lifted(
        conv("a", "images"), op("b", "affine", "a", arrays={"other": bias}, product=False)
    )
    assert step.layer == conv_layer(4, 1)
    np.testing.assert_array_equal(step.arrays["bias"], bias.reshape(4))
    assert step.place == "net.a"


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


@pytest.mark.parametrize(
    ("value", "positive", "merges"),
    [(0.0, True, True), (0.0, False, False), (-math.inf, False, True)],
)
def test_zeros_around_a_max_pool_win_unless_nothing_is_negative(value, positive, merges):
    first = [conv("r", "images", out=3, shape=SHAPE)]  # of both signs
    if positive:
        first.append(op("p0", "relu", "r", shape=SHAPE))
    before = first[-1].name
    pad = op("p", "pad", before, shape=(2, 3, 9, 8), padding=((1, 1), (1, 1)), value=value)
    window = {"kernel_size": (3, 3), "stride": (1, 1), "padding": ((0, 0), (0, 0))}
    pool = op("m", "max_pool", "p", shape=SHAPE, ceil_mode=False, dilation=(1, 1), **window)
    found = layers(lifted(*first, pad, pool))[len(first) :]
    if merges:
        assert found == [max_pool(3, 1, 1)]
    else:
        assert [found[0].kind, found[1]] == ["pad", max_pool(3, 1)]


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


def test_what_no_output_needs_is_left_out():
    assert len(lifted(conv("a", "images"), conv("b", "images"), outputs=("b",))) == 1


@pytest.mark.parametrize(
    ("ops", "message"),
    [
        (
            [op("t", "transpose", "images", shape=(3, 2, 7, 6), axes=(1, 0, 2, 3))],
            "net.t: 'transpose' gives .* its first axis is not the batch",
        ),
        (
            [
                conv("a", "images"),
                conv("b", "a", inside=4),
                conv("c", "b", inside=4),
                op("j", "add", "b", "a"),
                op("k", "add", "j", "c"),
            ],
            "begin and end at different places",
        ),
        (
            [conv("a", "images"), op("j", "concat", "images", "a", axis=2)],
            "net.j: concatenates along axis 2, expected the channels",
        ),
    ],
)
def test_what_is_no_tree_is_said_with_its_place(ops, message):
    with pytest.raises(TraceError, match=message):
        lifted(*ops)


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


@pytest.mark.parametrize("kind", sorted(KNOWN))
def test_every_foreign_layer_keeps_its_dtype(kind):
    attributes = {"slope": 0.1, "alpha": 1.0, "low": 0, "high": 6, "axis": 1, "axes": (2, 3)}
    attributes |= {"padding": ((1, 0), (0, 2)), "value": 1.0, "product": True, "keepdims": True}
    attributes |= {"shape": (126,), "factor": 0.5, "eps": 1e-3, "train": True}
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


def test_a_layer_that_nobody_knows_is_named():
    tree = lifted(op("x", "warp", "images", shape=SHAPE))
    (step,) = foreign(tree)
    assert isinstance(step, Step)
    assert not is_known(step)
    with pytest.raises(TraceError, match=r"net\.x: 'warp' is an unknown operation"):
        evaluate(tree, array(*SHAPE))
