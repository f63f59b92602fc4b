"""Values whose first axis is not the batch for a while, in a lifted graph."""

import pytest

from googlenet import TraceError
from googlenet.tracing.evaluate import evaluate
from googlenet.tracing.network import kind_of
from googlenet.tracing.tree import Fork, steps

from .graphs import RNG, SHAPE, array, conv, lifted, near, op
from .test_tracing_views import affine, computed, last, mean, moved, part, reshaped

FRONT = (3, 2, 7, 6)


def front(name="t", before="images", shape=SHAPE):
    """The channels first, then the batch; or back."""
    return moved(name, before, (1, 0, 2, 3), shape)


def dense(before, out, inside, shape):
    return op("d", "dense", before, shape=shape, arrays={"weight": array(out, inside)})


#: Operations, and the layers that they are.
BATCHES = {
    "nothing": ([front(), front("b", "t", FRONT)], []),
    "a layer": ([front(), op("e", "relu", "t", shape=FRONT), front("b", "e", FRONT)], ["ReLU"]),
    "a concatenation": (
        [
            front(),
            op("s", "relu", "images", shape=SHAPE),
            front("u", "s"),
            op("j", "concat", "t", "u", shape=(6, 2, 7, 6), axis=0),
            front("b", "j", (6, 2, 7, 6)),
        ],
        ["ReLU"],
    ),
    "a sum, and a constant of channels": (
        [
            front(),
            op("e", "tanh", "t", shape=FRONT),
            op("j", "add", "t", "e", shape=FRONT),
            affine("j", FRONT, array(3, 1, 1, 1), product=True),
            front("b", "a", FRONT),
        ],
        ["tanh", "affine"],
    ),
    "a part of the channels": (
        [front(), part("t", 0, 1, 3, shape=FRONT), front("b", "p", (2, 2, 7, 6))],
        ["slice"],
    ),
    "the mean of pixels": (
        [
            front(),
            op("m", "mean", "t", shape=(3, 2), axes=(-2, -1), keepdims=False),
            moved("b", "m", (1, 0), (3, 2)),
        ],
        ["GlobalAvgPool"],
    ),
    "all pixels as rows": (
        [
            last(),
            reshaped("t", (84, 3), "r"),
            dense("r", 5, 3, (84, 5)),
            affine("d", (84, 5), array(5)),
            reshaped("a", (2, 7, 6, 5), "q"),
            moved("b", "q", (0, 3, 1, 2), (2, 7, 6, 5)),
        ],
        ["Conv"],
    ),
    "a matrix from the left": (
        [
            mean(),
            moved("t", "m", (1, 0), (2, 3)),
            moved("u", "t", (1, 0), (3, 2)),
            dense("u", 5, 3, (2, 5)),
            moved("v", "d", (1, 0), (2, 5)),
            moved("b", "v", (1, 0), (5, 2)),
        ],
        ["GlobalAvgPool", "Dense"],
    ),
}


@pytest.mark.parametrize(("ops", "kinds"), BATCHES.values(), ids=BATCHES)
def test_a_batch_that_is_moved_and_moved_back(ops, kinds):
    tree, images = lifted(*ops), RNG.standard_normal(SHAPE)
    (found,) = evaluate(tree, images)
    assert near(found, computed(ops, images))
    assert list(map(kind_of, steps(tree))) == kinds


def test_a_concatenation_in_front_is_one_of_channels():
    (fork,) = lifted(*BATCHES["a concatenation"][0])
    assert isinstance(fork, Fork)
    assert (fork.join, fork.out_shape) == ("concat", (6, 7, 6))


@pytest.mark.parametrize(
    "ops",
    [
        [front()],
        [front(), op("s", "softmax", "t", shape=FRONT, axis=0), front("b", "s", FRONT)],
        [front(), conv("c", "t", inside=2, shape=(3, 4, 7, 6)), front("b", "c", (3, 4, 7, 6))],
        [front(), part("t", 1, 0, 1, shape=FRONT), front("b", "p", (3, 1, 7, 6))],
        [front(), op("m", "mean", "t", shape=(3, 7, 6), axes=(1,), keepdims=False)],
        [
            moved("t", "images", (1, 2, 3, 0)),
            dense("t", 2, 2, (3, 7, 6, 2)),
            moved("b", "d", (3, 0, 1, 2), (3, 7, 6, 2)),
        ],
        [front(), reshaped("t", (6, 42), "r"), reshaped("r", (2, 126), "b")],
        [front(), affine("t", FRONT, array(3, 2, 7, 6)), front("b", "a", FRONT)],
    ],
    ids=range(8),
)
def test_a_batch_that_is_not_alone_is_an_error(ops):
    with pytest.raises(TraceError, match=r"net\.[ta]: .*(not the batch|batches of other sizes)"):
        lifted(*ops)


def test_a_concatenation_of_images_is_an_error():
    ops = [front(), op("j", "concat", "t", "t", shape=(3, 4, 7, 6), axis=1)]
    with pytest.raises(TraceError, match=r"net\.j: concatenates along the batch"):
        lifted(*ops)


def test_what_is_shared_stays_so():
    weight, bias = {"weight": array(3, 3)}, {"other": array(3)}
    ops = [last(), reshaped("t", (84, 3), "r")]
    for number in (1, 2):
        ops.append(op(f"d{number}", "dense", ops[-1].name, shape=(84, 3), arrays=weight))
        made = op(f"a{number}", "affine", f"d{number}", shape=(84, 3), arrays=bias, product=False)
        ops.append(made)
    first, second = steps(
        lifted(*ops, reshaped("a2", (2, 7, 6, 3), "q"), moved("b", "q", (0, 3, 1, 2), (2, 7, 6, 3)))
    )
    assert first.arrays["weight"] is second.arrays["weight"]
    assert first.arrays["bias"] is second.arrays["bias"]
