"""What only moves numbers about: flattened, reshaped and transposed maps, in a lifted graph."""

from dataclasses import replace

import numpy as np
import pytest

from googlenet import TraceError, spec
from googlenet.tracing.evaluate import evaluate
from googlenet.tracing.foreign import KNOWN
from googlenet.tracing.network import as_traced, foreign, kind_of
from googlenet.tracing.tree import Fork, steps

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
            case "multiply":
                x = inputs[0] * inputs[1]
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


def mean_of_all(before):
    return op("m", "mean", before, shape=(2, 3), axes=(2, 3), keepdims=False)


def unfolded(kernel, stride, padding, dilation, count):
    """Windows as columns, and a dense layer of each."""
    size = 3 * kernel[0] * kernel[1]
    found = {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    return [
        op("w", "unfold", "images", shape=(2, size, count), **found),
        moved("t", "w", (0, 2, 1), (2, size, count)),
        dense("t", size, (2, count, 5)),
        moved("u", "d", (0, 2, 1), (2, count, 5)),
    ]


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
    "a dense layer of channels, pixels in a row": (
        [
            op("p", "reshape", "images", shape=(2, 3, 42)),
            moved("t", "p", (0, 2, 1), (2, 3, 42)),
            dense("t", 3, (2, 42, 5)),
            moved("u", "d", (0, 2, 1), (2, 42, 5)),
            affine("u", (2, 5, 42), array(5, 1)),
            op("b", "reshape", "a", shape=(2, 5, 7, 6)),
        ],
        ["Conv"],
    ),
    "a dense layer of a row": (
        [
            mean_of_all("images"),
            op("r", "reshape", "m", shape=(2, 1, 3)),
            dense("r", 3, (2, 1, 5)),
            op("b", "reshape", "d", shape=(2, 5)),
        ],
        ["GlobalAvgPool", "Dense"],
    ),
    "windows as columns": (
        [
            *unfolded((3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 42),
            op("b", "reshape", "u", shape=(2, 5, 7, 6)),
        ],
        ["Conv"],
    ),
    "windows with gaps as columns": (
        [
            *unfolded((2, 3), (2, 1), ((0, 1), (2, 0)), (1, 2), 16),
            op("b", "reshape", "u", shape=(2, 5, 4, 4)),
        ],
        ["conv"],
    ),
    "windows as columns, of which nothing is made": (
        unfolded((2, 3), (2, 1), ((0, 1), (2, 0)), (1, 2), 16)[:1],
        ["unfold"],
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


def mean(before="images", *, keepdims=False, axes=(2, 3)):
    shape = (2, 1, 1, 3) if axes == (1, 2) else (2, 3, 1, 1)
    return op(
        "m", "mean", before, shape=shape if keepdims else (2, 3), axes=axes, keepdims=keepdims
    )


def squeezed(before, name="e"):
    weight = {"weight": array(3, 3), "bias": array(3)}
    return [op("d", "dense", before, shape=(2, 3), arrays=weight), gate("d", (2, 3), name)]


def gate(before, shape, name="e"):
    return op(name, "sigmoid", before, shape=shape)


def reshaped(before, shape, name="v"):
    return replace(op(name, "reshape", before, shape=shape), attributes={"shape": shape[1:]})


def times(*before, shape=SHAPE):
    return op("j", "multiply", *before, shape=shape)


NHWC = (2, 7, 6, 3)
GATES = [
    # A vector as a map of one pixel, before and behind the map; a pool that stays a map.
    ([mean(), *squeezed("m"), reshaped("e", (2, 3, 1, 1)), times("images", "v")], True),
    ([mean(), *squeezed("m"), reshaped("e", (2, 3, 1, 1)), times("v", "images")], True),
    ([mean(keepdims=True), gate("m", (2, 3, 1, 1)), times("images", "e")], True),
    # The same with the channels last.
    (
        [
            last(),
            mean("t", axes=(1, 2)),
            *squeezed("m"),
            reshaped("e", (2, 1, 1, 3)),
            times("t", "v", shape=NHWC),
        ],
        True,
    ),
    (
        [
            last(),
            mean("t", axes=(1, 2), keepdims=True),
            gate("m", (2, 1, 1, 3)),
            times("e", "t", shape=NHWC),
        ],
        True,
    ),
    # Channels last, and first, for one and the other.
    (
        [
            last(),
            gate("images", SHAPE),
            moved("u", "e", (0, 2, 3, 1)),
            op("l", "tanh", "t", shape=NHWC),
            times("l", "u", shape=NHWC),
        ],
        True,
    ),
    (
        [
            last(),
            reshaped("images", NHWC, "u"),
            op("l", "tanh", "t", shape=NHWC),
            times("l", "u", shape=NHWC),
        ],
        False,
    ),
    # Neither is of the whole's size.
    (
        [
            replace(mean(keepdims=True), name="a"),
            op("b", "mean", "images", shape=(2, 1, 7, 6), axes=(1,), keepdims=True),
            times("a", "b"),
        ],
        True,
    ),
    # A value times itself, flattened values, vectors.
    ([times("images", "images")], True),
    (
        [
            flat("images"),
            gate("images", SHAPE),
            op("s", "relu", "e", shape=SHAPE),
            flat("s", "g"),
            times("f", "g", shape=(2, 126)),
        ],
        True,
    ),
    ([mean(), *squeezed("m"), times("m", "e", shape=(2, 3))], True),
    # Sums may be of one value for all pixels as well.
    ([mean(keepdims=True), op("j", "add", "images", "m", shape=SHAPE)], True),
    ([mean(keepdims=True), op("j", "add", "m", "images", shape=SHAPE, factor=1.0)], True),
]


@pytest.mark.parametrize(("ops", "is_direct"), GATES, ids=range(len(GATES)))
def test_a_product_is_a_fork_whatever_the_order_of_axes(ops, is_direct):
    """Where the axes are the value's own, nothing has to be moved."""
    tree, images = lifted(*ops), array(*SHAPE)
    (found,) = evaluate(tree, images)
    exact = computed(ops, images.astype(np.float64))
    assert near(found.reshape(exact.shape), exact)
    (fork,) = [item for item in tree if isinstance(item, Fork)]
    assert fork.join == ("sum" if ops[-1].kind == "add" else "product")
    kinds = [kind_of(step) for step in steps((fork,))]
    assert ("reshape" not in kinds and "transpose" not in kinds) == is_direct
    told = [kind_of(step) for step in foreign(tree)]
    assert told.count("multiply") == (fork.join == "product")


def test_a_value_times_its_own_sigmoid_is_one_activation():
    ops = [gate("images", SHAPE), times("images", "e")]
    (step,) = lifted(*ops)
    assert step.layer.kind == "silu"


def test_values_of_other_axes_are_an_error():
    ops = [
        op("m", "mean", "images", shape=(2,), axes=(1, 2, 3), keepdims=False),
        times("images", "m", shape=(2, 3, 2, 2)),
    ]
    with pytest.raises(TraceError, match="'multiply' of values with 4 and 1 axes"):
        lifted(*ops)


def part(before, axis, start, stop, step=1, shape=SHAPE, name="p"):
    size = list(shape)
    size[axis] = len(range(start, stop, step))
    given = {"axis": axis, "start": start, "stop": stop, "step": step}
    return op(name, "slice", before, shape=tuple(size), **given)


@pytest.mark.parametrize(
    ("ops", "kinds"),
    [
        ([part("images", 1, 1, 3)], ["slice"]),
        ([part("images", -3, 0, 3, 2)], ["slice"]),
        ([part("images", 1, 0, 3)], []),
        ([part("images", 2, 1, 6)], ["pad"]),
        ([part("images", 3, 0, 5, 2)], ["slice"]),
        ([last(), part("t", 3, 1, 3, shape=NHWC)], ["slice", "transpose"]),
        ([last(), part("t", 1, 1, 4, shape=NHWC)], ["slice", "transpose"]),
        ([flat("images"), part("f", 1, 5, 100, 3, shape=(2, 126))], ["reshape", "slice"]),
        (
            [
                part("images", 1, 0, 1, name="p"),
                part("images", 1, 1, 3, name="q"),
                op("j", "concat", "q", "p", shape=SHAPE, axis=1),
            ],
            ["slice", "slice"],
        ),
    ],
)
def test_a_slice_is_of_the_values_own_axis(ops, kinds):
    tree, images = lifted(*ops), array(*SHAPE)
    assert [kind_of(step) for step in steps(tree)] == kinds
    (found,) = evaluate(tree, images)
    exact = computed(ops, images.astype(np.float64))
    np.testing.assert_array_equal(found.reshape(exact.shape), exact)


def fused(*more, size=4):
    """A convolution with a norm and a ReLU, whose channels are taken apart."""
    statistics = {"weight": array(size), "running_mean": array(size), "bias": array(size)}
    statistics["running_var"] = np.abs(array(size)) + 1
    return [
        conv("a", "images", size),
        op("n", "batch_norm", "a", arrays=statistics, eps=1e-3, train=False),
        op("r", "relu", "n"),
        *more,
    ]


FOUR = (2, 4, 7, 6)
FUSED = [
    (
        fused(
            part("r", 1, 0, 1, shape=FOUR, name="p"),
            part("r", 1, 1, 4, shape=FOUR, name="q"),
            op("j", "concat", "q", "p", shape=FOUR, axis=1),
        ),
        [],
    ),
    (fused(part("r", 1, 1, 3, shape=FOUR)), []),
    # Something takes the whole, two have a channel in common, or take each second one.
    (
        fused(
            part("r", 1, 0, 2, shape=FOUR, name="p"),
            op("j", "concat", "r", "p", shape=(2, 6, 7, 6), axis=1),
        ),
        ["slice"],
    ),
    (
        fused(
            part("r", 1, 0, 3, shape=FOUR, name="p"),
            part("r", 1, 2, 4, shape=FOUR, name="q"),
            op("j", "concat", "q", "p", shape=(2, 5, 7, 6), axis=1),
        ),
        ["slice", "slice"],
    ),
    (
        fused(
            part("r", 1, 0, 2, shape=FOUR, name="p"),
            part("n", 1, 0, 2, shape=FOUR, name="q"),
            op("j", "concat", "q", "p", shape=FOUR, axis=1),
        ),
        ["slice", "slice"],
    ),
    (fused(part("r", 1, 0, 4, 2, shape=FOUR)), ["slice"]),
    ([op("r", "relu", "images", shape=SHAPE), part("r", 1, 0, 2)], ["slice"]),
]


@pytest.mark.parametrize(("ops", "kinds"), FUSED, ids=range(len(FUSED)))
def test_the_parts_of_a_convolution_are_convolutions(ops, kinds):
    tree, images = lifted(*ops), array(*SHAPE)
    assert [kind_of(step) for step in foreign(tree)] == kinds
    found = {"images": images.astype(np.float64)}
    with_conv = []
    for each in ops:  # `computed` knows no convolutions
        if each.kind == "conv":
            weight = each.arrays["weight"][:, :, 0, 0].astype(np.float64)
            found["images"] = np.einsum("nchw,oc->nohw", found["images"], weight)
            with_conv = [replace(ops[1], inputs=("images",)), *ops[2:]]
    exact = computed(with_conv or ops, found["images"])
    assert near(evaluate(tree, images)[0], exact)


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
