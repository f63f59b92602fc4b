"""One layer that is computed as the sum of several, each of some channels."""

import pytest

from googlenet.spec.layers import Conv
from googlenet.tracing.evaluate import evaluate
from googlenet.tracing.tree import Step

from .graphs import SHAPE, array, conv, layers, lifted, near, op


def part(name, before, start, stop):
    ends = {"axis": 1, "start": start, "stop": stop, "step": 1}
    return op(name, "slice", before, shape=(2, stop - start, 7, 6), **ends)


def halves(*ends, size=3, **more):
    """A convolution of 6 channels as a sum of those of the parts between `ends`."""
    ops = [conv("first", "images", out=6)]
    before = None
    for start, stop in ends:
        ops.append(part(f"s{start}", "first", start, stop))
        ops.append(conv(f"c{start}", f"s{start}", inside=stop - start, size=size, **more))
        if before is not None:
            ops.append(op(f"a{start}", "add", before, f"c{start}"))
        before = ops[-1].name
    return ops


@pytest.mark.parametrize(
    "ends", [[(0, 3), (3, 6)], [(2, 6), (0, 2)], [(0, 1), (1, 4), (4, 6)]], ids=str
)
@pytest.mark.parametrize("biases", [(), (1,), (0, 1)], ids=str)
def test_a_sum_over_parts_of_the_channels_is_one_convolution(ends, biases):
    ops = halves(*ends)
    convs = [each for each in ops if each.kind == "conv"][1:]
    for number in biases:
        convs[number].arrays["bias"] = array(4)
    tree = lifted(*ops)
    padding = ((1, 1), (1, 1))
    assert layers(tree)[1:] == [Conv(4, (3, 3), (1, 1), padding, 1, bool(biases))]
    images = array(*SHAPE)
    first = evaluate(tree[:1], images)[0]
    right = 0
    for (start, stop), each in zip(ends, convs, strict=True):
        layer = Conv(4, (3, 3), (1, 1), padding, 1, "bias" in each.arrays)
        step = Step(layer, each.arrays, (4, 7, 6), "")
        right = right + evaluate((step,), first[:, start:stop])[0]
    assert near(evaluate(tree, images)[0], right)


def wide(tree):
    """How many convolutions are no 1×1."""
    return sum(isinstance(each, Conv) and each.kernel_size == (3, 3) for each in layers(tree))


@pytest.mark.parametrize(
    "ops",
    [
        halves((0, 3), (2, 6)),  # a channel twice
        halves((0, 3), (4, 6)),  # one of them not at all
        [*halves((0, 3), (3, 6)), op("b", "add", "a3", "c0")],  # a part elsewhere, too
        [
            *halves((0, 2), (2, 4))[:-1],
            op("r", "relu", "c2"),
            op("b", "add", "c0", "r"),
        ],
    ],
    ids=["twice", "not at all", "elsewhere", "behind a ReLU"],
)
def test_other_sums_are_none(ops):
    assert wide(lifted(*ops)) > 1


def test_what_is_shared_stays_so():
    """The same weight for both halves is no convolution of any weight."""
    ops = halves((0, 3), (3, 6))
    first, second = [each for each in ops if each.kind == "conv"][1:]
    second.arrays["weight"] = first.arrays["weight"]
    tree = lifted(*ops)
    assert wide(tree) == 2
