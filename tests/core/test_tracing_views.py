"""What only moves numbers about: flattened, reshaped and transposed maps, in a lifted graph."""

from dataclasses import replace

import numpy as np
import pytest

from googlenet import TraceError, spec
from googlenet.tracing.evaluate import evaluate
from googlenet.tracing.foreign import KNOWN
from googlenet.tracing.network import as_traced, kind_of
from googlenet.tracing.tree import steps

from .graphs import RNG, SHAPE, array, conv, layers, lifted, near, op


def computed(ops, images):
    """What the operations give, in the user's own order of axes."""
    found = {"images": images}
    for each in ops:
        inputs = [found[name] for name in each.inputs]
        x = inputs[0]
        match each.kind:
            case "flatten" | "reshape":
                x = x.reshape(each.shape)
            case "relu":
                x = np.maximum(x, 0)
            case "concat":
                x = np.concatenate(inputs, each.attributes["axis"])
            case "add":
                x = inputs[0] + inputs[1]
            case _:
                x = KNOWN[each.kind](x, each.attributes, each.arrays)
        assert x.shape == each.shape
        found[each.name] = x
    return x


def moved(name, before, axes, shape=SHAPE):
    return op(
        name, "transpose", before, shape=tuple(shape[axis] for axis in axes), axes=tuple(axes)
    )


def last(name="t", before="images"):
    """The channels last."""
    return moved(name, before, (0, 2, 3, 1))


def flat(before, name="f"):
    return op(name, "flatten", before, shape=(2, 126), start=1)


def dense(before, size=126, shape=(2, 5)):
    return op("d", "dense", before, shape=shape, arrays={"weight": array(5, size)})


def norm(before, shape, channels):
    arrays = {"weight": array(channels), "running_mean": array(channels)}
    arrays["running_var"] = np.abs(array(channels)) + 1
    return op("n", "batch_norm", before, shape=shape, arrays=arrays, eps=1e-3, train=False)


def affine(before, shape, other, product=False):
    return op("a", "affine", before, shape=shape, arrays={"other": other}, product=product)


BACK = op("b", "transpose", "t", shape=SHAPE, axes=(0, -1, 1, 2))
LAST = (2, 7, 6, 3)
ROWS = op("r", "reshape", "images", shape=(2, 6, 21))
MOVES = {
    "flattened": ([flat("images"), dense("f")], ["Dense"]),
    "flattened, channels last": ([last(), flat("t"), dense("f")], ["Dense"]),
    "with a layer between": (
        [last(), op("e", "relu", "t", shape=LAST), flat("e"), dense("f")],
        ["ReLU", "Dense"],
    ),
    "columns first": ([moved("t", "images", (0, 3, 1, 2)), flat("t"), dense("f")], ["Dense"]),
    "moved and moved back": ([last(), BACK, flat("b"), dense("f")], ["Dense"]),
    "nothing": ([last(), BACK], []),
    "an output, channels last": ([last()], ["transpose"]),
    "an output, flattened": ([last(), flat("t")], ["transpose", "reshape"]),
    "softmax": (
        [flat("images"), op("s", "softmax", "f", shape=(2, 126), axis=1)],
        ["reshape", "softmax"],
    ),
    "log softmax": (
        [flat("images"), op("s", "log_softmax", "f", shape=(2, 126), axis=-1)],
        ["reshape", "log_softmax"],
    ),
    "the mean of all": (
        [flat("images"), op("m", "mean", "f", shape=(2, 1), axes=(1,), keepdims=True)],
        ["reshape", "mean"],
    ),
    "batch norm of a vector": (
        [flat("images"), norm("f", (2, 126), 126), dense("n")],
        ["reshape", "batch_norm", "Dense"],
    ),
    "batch norm of pixels in a row": (
        [op("p", "reshape", "images", shape=(2, 3, 42)), norm("p", (2, 3, 42), 3)],
        ["BatchNorm", "reshape"],
    ),
    "a constant of each element": (
        [flat("images"), affine("f", (2, 126), array(126)), dense("a")],
        ["affine", "Dense"],
    ),
    "a constant, channels last": (
        [last(), affine("t", LAST, array(6, 3), product=True), flat("a"), dense("f")],
        ["affine", "Dense"],
    ),
    "the mean of pixels in a row": (
        [
            op("p", "reshape", "images", shape=(2, 3, 42)),
            op("m", "mean", "p", shape=(2, 3), axes=(2,), keepdims=False),
        ],
        ["GlobalAvgPool"],
    ),
    "the mean of pixels, channels last": (
        [last(), op("m", "mean", "t", shape=(2, 3), axes=(1, 2), keepdims=False)],
        ["GlobalAvgPool"],
    ),
    "the mean of rows": (
        [op("m", "mean", "images", shape=(2, 3, 6), axes=(2,), keepdims=False)],
        ["mean"],
    ),
    "a dense layer of rows": ([ROWS, dense("r", 21, (2, 6, 5))], ["reshape", "dense"]),
    "a dense layer of channels": (
        [last(), dense("t", 3, (2, 7, 6, 5))],
        ["Conv", "transpose"],
    ),
    "axes that were not the map's": (
        [ROWS, moved("t", "r", (0, 2, 1), (2, 6, 21)), flat("t"), dense("f")],
        ["reshape", "transpose", "reshape", "Dense"],
    ),
    "flattened and concatenated": (
        [
            op("e", "relu", "images", shape=SHAPE),
            flat("images"),
            flat("e", "g"),
            op("j", "concat", "f", "g", shape=(2, 252), axis=1),
            dense("j", 252),
        ],
        ["ReLU", "Dense"],
    ),
    "concatenated, channels last": (
        [
            last(),
            op("e", "relu", "t", shape=LAST),
            op("j", "concat", "t", "e", shape=(2, 7, 6, 6), axis=-1),
            op("b", "transpose", "j", shape=(2, 6, 7, 6), axes=(0, 3, 1, 2)),
        ],
        ["ReLU"],
    ),
    "concatenated in different orders": (
        [
            last(),
            flat("images"),
            flat("t", "g"),
            op("j", "concat", "f", "g", shape=(2, 252), axis=1),
            dense("j", 252),
        ],
        ["reshape", "transpose", "reshape", "Dense"],
    ),
    "added, channels last": (
        [
            last(),
            op("e", "relu", "t", shape=LAST),
            op("j", "add", "t", "e", shape=LAST),
            flat("j"),
            dense("f"),
        ],
        ["ReLU", "Dense"],
    ),
}


@pytest.mark.parametrize(("ops", "kinds"), MOVES.values(), ids=MOVES)
def test_what_is_moved_gives_the_same_numbers(ops, kinds):
    tree = lifted(*ops)
    images = RNG.standard_normal(SHAPE)
    (found,) = evaluate(tree, images)
    expected = computed(ops, images)
    assert found.shape == expected.shape
    assert near(found, expected)
    assert list(map(kind_of, steps(tree))) == kinds


def test_a_dense_layer_takes_the_map_whatever_its_order():
    ops = [last(), flat("t"), dense("f")]
    (step,) = lifted(*ops)
    weight = ops[-1].arrays["weight"]
    expected = weight.reshape(5, 7, 6, 3).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(step.arrays["weight"], expected)


def test_an_array_that_two_layers_share_stays_one():
    shared = {"weight": array(3, 3)}
    ops = [
        op("m", "mean", "images", shape=(2, 3), axes=(2, 3), keepdims=False),
        op("a", "dense", "m", shape=(2, 3), arrays=shared),
        op("b", "dense", "a", shape=(2, 3), arrays=shared),
        op("c", "dense", "b", shape=(2, 3), arrays=shared),
    ]
    _, one, two, three = lifted(*ops)
    assert two.arrays["weight"] is three.arrays["weight"]
    np.testing.assert_array_equal(one.arrays["weight"], shared["weight"])


POOL = op("p", "adaptive_avg_pool", "images", shape=(2, 3, 1, 1), output_size=(1, 1))


@pytest.mark.parametrize(
    ("ops", "is_vector"),
    [
        ([flat3 := op("f", "flatten", "p", shape=(2, 3), start=1)], True),
        ([op("f", "identity", "p", shape=(2, 3, 1, 1))], False),
        ([flat3, op("s", "softmax", "f", shape=(2, 3), axis=1)], True),
        ([flat3, op("g", "gelu", "f", shape=(2, 3), approximate="none"), dense("g", 3)], True),
        ([flat3, affine("f", (2, 3), array(3)), dense("a", 3)], True),
        ([op("r", "relu", "p", shape=(2, 3, 1, 1)), dense("r", 1, (2, 3, 1, 5))], False),
        ([flat3, norm("f", (2, 3), 3), dense("n", 3)], False),
        ([conv("c", "p", shape=(2, 4, 1, 1))], False),
        (
            [op("m", "reshape", "f", shape=(2, 3, 1, 1)), conv("c", "m", shape=(2, 4, 1, 1))],
            False,
        ),
    ],
)
def test_a_pool_to_one_pixel_is_global_where_only_vectors_come_of_it(ops, is_vector):
    if ops[0].inputs == ("f",):
        ops = [flat3, *ops]
    ops = [POOL, *ops]
    tree = lifted(*ops)
    first, *rest = layers(tree)
    expected = spec.GlobalAvgPool() if is_vector else spec.AdaptiveAvgPool((1, 1))
    assert first == expected
    assert not [each for each in rest if getattr(each, "kind", "") == "reshape"]
    evaluate(tree, array(*SHAPE))


def test_vectors_are_no_maps_to_a_concatenation():
    ops = [
        op("m", "mean", "images", shape=(2, 3), axes=(2, 3), keepdims=False),
        replace(dense("m", 3), name="a"),
        replace(dense("m", 3), name="b"),
        op("j", "concat", "a", "b", shape=(2, 10), axis=1),
    ]
    tree = lifted(*ops)
    images = array(*SHAPE)
    assert near(evaluate(tree, images)[0], computed(ops, images.astype(np.float64)))
    with pytest.raises(TraceError, match=r"net\.j: each layer is one of the spec's, but .* maps"):
        as_traced(tree, "mine", SHAPE[1:], "a test")


@pytest.mark.parametrize(
    ("ops", "message"),
    [
        ([moved("t", "images", (1, 0, 2, 3), (2, 2, 7, 6))], "moves the batch to another axis"),
        ([op("s", "softmax", "images", shape=SHAPE, axis=-4)], "works across the images"),
        (
            [affine("images", SHAPE, array(2, 3, 7, 6))],
            "takes a constant for 2 images, which does not fit batches of other sizes",
        ),
    ],
)
def test_what_mixes_images_is_an_error(ops, message):
    with pytest.raises(TraceError, match=message):
        lifted(*ops)
