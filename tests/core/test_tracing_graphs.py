"""Graphs whose branches do not fork and join as a whole, in trees."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from googlenet import TraceError
from googlenet.backend.graph import Graph, parameters_of
from googlenet.tracing import structure
from googlenet.tracing.evaluate import evaluate, is_known
from googlenet.tracing.lift import lift
from googlenet.tracing.network import as_traced, foreign, kind_of
from googlenet.tracing.tree import Fork, Head, Tangle, steps

from .graphs import ROUNDING, SHAPE, array, conv, lifted, near, op


def results(ops, images):
    """What each operation gives in float64: a 1×1 convolution, and NumPy's own functions."""
    found = {"images": images.astype(np.float64)}
    for each in ops:
        given = [found[name] for name in each.inputs]
        match each.kind:
            case "conv":
                weight = each.arrays["weight"][:, :, 0, 0].astype(np.float64)
                made = np.einsum("nchw,oc->nohw", given[0], weight)
            case "relu":
                made = np.maximum(given[0], 0)
            case "tanh":
                made = np.tanh(given[0])
            case "add":
                made = given[0] + given[1]
            case "multiply":
                made = given[0] * given[1]
            case "concat":
                made = np.concatenate(given, each.attributes["axis"])
            case "slice":
                made = given[0][:, each.attributes["start"] : each.attributes["stop"]]
            case "mean":
                made = given[0].mean((2, 3), keepdims=True)
        assert made.shape == each.shape, each
        found[each.name] = made
    return found


@st.composite
def graphs(draw):
    """Operations on maps of any number of channels, each of which may take any that is before."""
    shapes = {"images": SHAPE}
    ops = []
    for number in range(draw(st.integers(1, 14))):
        name = f"v{number}"
        names = list(shapes)
        first = draw(st.sampled_from(names[-3:]))
        shape = shapes[first]
        alike = [each for each in names if shapes[each] == shape]
        kind = draw(
            st.sampled_from(["conv", "relu", "tanh", "add", "multiply", "concat", "gate", "slice"])
        )
        if kind == "conv":
            out = draw(st.integers(2, 4))
            ops.append(conv(name, first, out, shape[1]))
        elif kind == "slice":
            start = draw(st.integers(0, shape[1] - 1))
            stop = draw(st.integers(start + 1, shape[1]))
            size = (2, stop - start, 7, 6)
            ends = {"axis": 1, "start": start, "stop": stop, "step": 1}
            ops.append(op(name, "slice", first, shape=size, **ends))
        elif kind in ("add", "multiply"):
            ops.append(op(name, kind, first, draw(st.sampled_from(alike)), shape=shape))
        elif kind == "gate":
            mean = (*shape[:2], 1, 1)
            ops.append(op(f"{name} mean", "mean", first, shape=mean, axes=(2, 3), keepdims=True))
            ops.append(op(name, "multiply", f"{name} mean", first, shape=shape))
        elif kind == "concat":
            others = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3))
            size = shape[1] + sum(shapes[each][1] for each in others)
            ops.append(op(name, "concat", first, *others, shape=(2, size, 7, 6), axis=1))
        else:
            ops.append(op(name, kind, first, shape=shape))
        shapes[name] = ops[-1].shape
    names = list(shapes)[1:]
    more = draw(st.lists(st.sampled_from(names), max_size=2))
    return ops, (names[-1], *more)


@pytest.mark.parametrize("copies", [0, 2, structure.MOST_COPIES])
@settings(max_examples=60, deadline=None)
@given(drawn=graphs())
def test_every_graph_is_a_tree_of_the_same_function(copies, drawn):
    """Whether what two branches have in common is copied or all of it a tangle."""
    ops, outputs = drawn
    kept = structure.MOST_COPIES
    structure.MOST_COPIES = copies
    try:
        tree = lift(Graph("images", SHAPE, tuple(ops), outputs))
    finally:
        structure.MOST_COPIES = kept
    images = array(*SHAPE)
    right = results(ops, images)
    found = evaluate(tree, images)
    assert len(found) == len(outputs)
    for name, each in zip(outputs, found, strict=True):
        # Sums of large values may be small: rounding is that of the largest, in each operation.
        scale = len(ops) * max(np.abs(array).max() for array in right.values())
        assert np.abs(each - right[name]).max() <= ROUNDING * scale
    every = list(steps(tree))
    assert len(set(map(id, every))) == len(every)  # a layer of the tree is in it once


def ladder(count):
    """Each layer takes all before it, as in a dense block."""
    ops, before = [], ["images"]
    for number in range(count):
        channels = 3 + 4 * number
        name = before[0]
        if len(before) > 1:
            name = f"j{number}"
            ops.append(op(name, "concat", *before, shape=(2, channels, 7, 6), axis=1))
        ops.append(conv(f"c{number}", name, 4, channels))
        before.append(f"c{number}")
    return ops


def test_a_layer_in_two_branches_is_in_both_with_its_weights():
    ops = [
        conv("a", "images"),
        conv("b", "a", inside=4),
        conv("c", "a", inside=4),
        op("j", "add", "b", "images", shape=SHAPE),
        op("k", "concat", "b", "c", "a", shape=(2, 12, 7, 6), axis=1),
        op("l", "add", "k", "k", shape=(2, 12, 7, 6)),
        conv("d", "l", inside=12),
        op("m", "add", "d", "b"),
    ]
    tree = lifted(*ops)
    (fork,) = tree[1:]
    assert fork.place == "net.m"
    weights = [id(s.arrays["weight"]) for s in steps(tree) if s.place == "net.b"]
    assert len(weights) > 1
    assert len(set(weights)) == 1


def test_what_would_be_copied_too_often_is_one_tangle():
    ops = [conv("s", "images", 3), *ladder(8), op("r", "relu", "c7")]
    ops[1] = conv("c0", "s")
    ops = [
        each
        if each.kind != "concat"
        else op(
            each.name,
            "concat",
            *(name.replace("images", "s") for name in each.inputs),
            shape=each.shape,
            axis=1,
        )
        for each in ops
    ]
    tree = lifted(*ops)
    first, tangle, conv_, relu = tree
    assert [each.place for each in (first, tangle, conv_, relu)] == [
        *("net.s", "net.j7", "net.c7", "net.r")
    ]
    assert isinstance(tangle, Tangle)
    assert len(list(steps((tangle,)))) == 7
    assert [kind_of(step) for step in foreign(tree)] == ["tangle"]
    assert all(map(is_known, foreign(tree)))
    images = array(*SHAPE)
    assert near(evaluate(tree, images)[0], results(ops, images)["r"])


def test_an_output_may_share_layers_with_the_path_and_leave_a_branch():
    ops = [
        conv("a", "images"),
        conv("b", "a", inside=4),
        conv("c", "a", inside=4),
        op("j", "concat", "b", "c", shape=(2, 8, 7, 6), axis=1),
        op("h", "relu", "c"),
        op("g", "add", "h", "b"),
    ]
    tree = lifted(*ops, outputs=("j", "h", "g"))
    _, head, fork = tree
    assert (head.number, [s.place for s in steps((head,))]) == (2, ["net.c", "net.h", "net.b"])
    assert isinstance(fork.branches[1][1], Head)
    images = array(*SHAPE)
    right = results(ops, images)
    for name, found in zip("jhg", evaluate(tree, images), strict=True):
        assert near(found, right[name])


def test_an_operation_of_several_values_is_a_join_by_that():
    ops = [conv("a", "images"), conv("b", "images"), op("m", "aten.maximum", "a", "b")]
    (fork,) = lifted(*ops)
    assert isinstance(fork, Fork)
    assert [step.place for step in steps((fork,))] == ["net.a", "net.b", "net.m"]
    assert [is_known(step) for step in steps((fork,))] == [True, True, False]
    assert [kind_of(step) for step in foreign((fork,))] == ["aten.maximum"]
    with pytest.raises(TraceError, match=r"net\.m: 'aten.maximum' is an operation that is unknown"):
        evaluate((fork,), array(*SHAPE))


def test_a_concatenation_along_rows_is_foreign_and_computed():
    ops = [conv("a", "images"), op("j", "concat", "a", "a", shape=(2, 4, 14, 6), axis=-2)]
    tree, images = lifted(*ops), array(*SHAPE)
    assert near(evaluate(tree, images)[0], results(ops, images)["j"])
    assert [kind_of(step) for step in foreign(tree)] == ["concat"]
    with pytest.raises(TraceError, match="first axis is not the batch"):
        lifted(conv("a", "images"), op("j", "concat", "a", "a", shape=(4, 4, 7, 6), axis=0))


def test_a_network_of_copies_is_the_same_function():
    ops = [
        conv("a", "images"),
        conv("b", "a", inside=4),
        op("j", "add", "b", "a"),
        conv("c", "j", inside=4),
        op("k", "add", "c", "b"),
    ]
    tree = lifted(*ops)
    traced = as_traced(tree, "mine", SHAPE[1:], "a test")
    assert len(traced.params) == 4  # b is in two branches


@pytest.mark.parametrize(("axes", "axis"), [((0, 2, 1, 3), 2), ((0, 3, 2, 1), 3)])
def test_a_batch_norm_along_another_axis_says_along_which(axes, axis):
    turned = tuple(SHAPE[each] for each in axes)
    roles = ("weight", "bias", "running_mean", "running_var")
    arrays = {role: np.abs(array(turned[1])) + 1 for role in roles}
    ops = [
        op("t", "transpose", "images", shape=turned, axes=axes),
        op("b", "batch_norm", "t", shape=turned, arrays=arrays, eps=1e-3, train=False),
        op("u", "transpose", "b", shape=SHAPE, axes=axes),
    ]
    (step,) = steps(lifted(*ops))
    assert (step.layer.kind, step.layer.attributes["axis"]) == ("batch_norm", axis)
    images = array(*SHAPE)
    wide = [1 if each != axis else -1 for each in range(4)]
    weight, bias, mean, var = (each.reshape(wide).astype(np.float64) for each in arrays.values())
    right = (images - mean) / np.sqrt(var + 1e-3) * weight + bias
    assert near(evaluate((step,), images)[0], right)


def test_each_trained_number_that_an_output_needs_counts_once():
    first = replace(conv("a", "images"), trained={"x": 5, "y": 7})
    ops = (
        first,
        replace(op("b", "relu", "a"), trained={"y": 7, "z": 1}),
        replace(op("c", "tanh", "a"), trained={"unused": 100}),
    )
    assert parameters_of(Graph("images", SHAPE, ops, ("b",))) == 5 + 7 + 1
