"""Products and sums that are written with letters, in neutral terms."""

import numpy as np
import pytest

from googlenet.backend.contractions import (
    matrix_product,
    product,
    terms_of,
    total,
    untransposed,
)

from .graphs import near

RNG = np.random.default_rng(0)
SIZES = dict(zip("nchwoij", (2, 3, 4, 5, 6, 7, 8), strict=True))


def shape_of(letters):
    return tuple(SIZES[each] for each in letters)


def computed(found, x, weight=None):
    """What the stages of a contraction give."""
    for stage in found.stages:
        match stage.kind:
            case "transpose":
                x = x.transpose(stage.attributes["axes"])
            case "reshape":
                x = x.reshape(len(x), *stage.attributes["shape"])
            case "dense":
                x = x @ found.matrix(weight).T
            case "mean":
                x = x.mean(stage.attributes["axes"])
            case "mul":
                x = x * stage.attributes["factor"]
        assert x.shape == stage.shape
    return x


@pytest.mark.parametrize(
    ("given", "weight", "result"),
    [
        ("nc", "oc", "no"),
        ("nc", "co", "no"),
        ("nchw", "oc", "nohw"),
        ("nchw", "co", "nhwo"),
        ("nchw", "ohwc", "no"),
        ("nchw", "chij", "njwi"),
        ("nchw", "c", "nhw"),
    ],
)
def test_a_product_is_a_dense_layer(given, weight, result):
    found = product(given, weight, result, SIZES)
    x, y = (RNG.standard_normal(shape_of(each)) for each in (given, weight))
    assert near(computed(found, x, y), np.einsum(f"{given},{weight}->{result}", x, y))


@pytest.mark.parametrize(
    ("given", "weight", "result"),
    [
        ("nchw", "nc", "nchw"),
        ("nchw", "c", "nchw"),
        ("nchw", "oc", "noh"),
        ("nc", "ocj", "no"),
        ("nc", "oc", "noc"),
        ("nc", "o", "nco"),
    ],
)
def test_any_other_product_is_none(given, weight, result):
    assert product(given, weight, result, SIZES) is None


def test_a_weight_that_is_not_moved_is_itself():
    weight = RNG.standard_normal(shape_of("oc"))
    assert product("nc", "oc", "no", SIZES).matrix(weight) is weight


@pytest.mark.parametrize("result", ["nc", "nwc", "nchw", "nhcw"])
def test_a_sum_is_a_mean_times_a_number(result):
    x = RNG.standard_normal(shape_of("nchw"))
    assert near(computed(total("nchw", result, SIZES), x), np.einsum(f"nchw->{result}", x))


@pytest.mark.parametrize("rank", [2, 3, 4])
@pytest.mark.parametrize("flipped", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_product_of_matrices(rank, flipped, is_first):
    given, weight, result = matrix_product(rank, 2, flipped, is_first=is_first)
    sizes = dict(zip(result, (2, 3, 4, 5), strict=False)) | {"Y": 6}
    x, y = (RNG.standard_normal([sizes[each] for each in part]) for part in (given, weight))
    first, second = (
        each.swapaxes(-1, -2) if flip else each
        for each, flip in zip((x, y) if is_first else (y, x), flipped, strict=True)
    )
    assert near(computed(product(given, weight, result, sizes), x, y), first @ second)


@pytest.mark.parametrize(
    ("equation", "ranks", "expected"),
    [
        ("nc , oc -> no", (2, 2), (["nc", "oc"], "no")),
        ("nc,oc", (2, 2), (["nc", "oc"], "no")),
        ("...c,oc->...o", (4, 2), (["ZYXc", "oc"], "ZYXo")),
        ("...c,...->...c", (3, 1), (["ZYc", "Y"], "ZYc")),
        ("...c,oc", (3, 2), (["ZYc", "oc"], "ZYo")),
        ("nn->n", (2,), None),
        ("nc->n", (2, 2), None),
    ],
)
def test_the_letters_of_an_equation(equation, ranks, expected):
    assert terms_of(equation, ranks) == expected


@pytest.mark.parametrize("groups", [1, 3])
def test_a_transposed_convolution_of_pixels(groups):
    weight = RNG.standard_normal((6, 2, 1, 1))
    found = untransposed(weight, groups)
    assert found.shape == (2 * groups, 6 // groups, 1, 1)
    for group in range(groups):
        inside = slice(group * 6 // groups, (group + 1) * 6 // groups)
        np.testing.assert_array_equal(
            found[2 * group : 2 * group + 2, :, 0, 0], weight[inside, :, 0, 0].T
        )
