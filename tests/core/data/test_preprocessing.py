"""Preprocessing: the libraries' rules of resizing, cropping and scaling, written out here once
more, on images small enough to follow.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from googlenet import DataError, UnknownNameError
from googlenet.architectures import get_network
from googlenet.data.preprocessing import (
    ALTERNATIVES,
    PREPROCESSINGS,
    Preprocessing,
    find_preprocessing,
    preprocess,
    preprocessing_of,
)
from googlenet.weights.zoo import find_model, network_of, zoo_models

RNG = np.random.default_rng(0)
IMAGENET = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def _image(height, width):
    """A colour image whose every pixel says where it is: red the row, green the column."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, RNG.integers(0, 256, (height, width))], -1).astype(np.uint8)


def _values(array):
    """(C, H, W) in [0, 1] as (H, W, C) in 0 to 255."""
    return np.rint(255 * array.transpose(1, 2, 0))


# By hand ------------------------------------------------------------------------------------------


def test_at_its_own_size_an_image_is_only_scaled():
    pixels = _image(5, 7)
    found = preprocess(pixels, PREPROCESSINGS["unit"], (3, 5, 7))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, (pixels.astype(np.float32) / 255).transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("image", "crop", "top", "left"),
    [
        ((12, 12), (10, 10), 1, 1),
        ((11, 16), (10, 10), 0, 3),  # (11 − 10) / 2 = 0.5 rounds to the even 0
        ((15, 13), (10, 10), 2, 2),  # 2.5 rounds to 2, 1.5 to 2
        ((13, 15), (10, 10), 2, 2),
        ((16, 11), (10, 10), 3, 0),
        ((10, 10), (10, 10), 0, 0),
    ],
)
def test_the_middle_is_taken_as_python_rounds(image, crop, top, left):
    """An image whose shorter side is already `scaled` is not resized: each pixel says where it
    comes from.
    """
    shorter = min(image)
    pixels = _image(*image)
    found = preprocess(pixels, Preprocessing("test", (shorter, crop[0])), (3, *crop))
    np.testing.assert_array_equal(
        _values(found), pixels[top : top + crop[0], left : left + crop[1]]
    )


@pytest.mark.parametrize("size", [(10, 20), (20, 10), (10, 10)])
def test_landscape_and_portrait_keep_their_proportions(size):
    """Doubled, red and green still grow by one for every two pixels, in both directions, and the
    middle is the image's.
    """
    middle = preprocess(_image(*size), Preprocessing("test", (20, 16)), (3, 16, 16))
    rows, columns = 255 * middle[0, 2:-2, 8], 255 * middle[1, 8, 2:-2]
    np.testing.assert_array_equal(np.rint(np.diff(rows[::2])), 1)
    np.testing.assert_array_equal(np.rint(np.diff(columns[::2])), 1)
    assert abs(rows.mean() - (size[0] - 1) / 2) < 0.6
    assert abs(columns.mean() - (size[1] - 1) / 2) < 0.6


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("unit", lambda x: x),
        ("torchvision:googlenet", lambda x: 2 * x - 1),
        ("torchvision:inception_v3", lambda x: 2 * x - 1),
        ("torchvision:alexnet", lambda x: (x - IMAGENET[0]) / IMAGENET[1]),
        ("timm:inception_v4", lambda x: 2 * x - 1),
        ("keras:inception_v3", lambda x: x * 255 / 127.5 - 1),
        ("keras:inception_resnet_v2", lambda x: x * 255 / 127.5 - 1),
        ("paddle:googlenet", lambda x: (x - IMAGENET[0]) / IMAGENET[1]),
        ("gluoncv:inception_v3", lambda x: (x - IMAGENET[0]) / IMAGENET[1]),
        ("mindcv:inception_v4", lambda x: (x - IMAGENET[0]) / IMAGENET[1]),
    ],
)
def test_mean_and_deviation_of_each_recipe(name, expected):
    """One colour everywhere, so that no resizing changes it; against the library's own formula in
    float64.
    """
    colour = np.uint8([10, 128, 250])
    pixels = np.broadcast_to(colour, (9, 9, 3)).copy()
    found = preprocess(pixels, PREPROCESSINGS[name], (3, 6, 6))
    values = expected(colour / 255)
    off = np.abs(found - values[:, None, None]).max((1, 2))
    assert (off <= rounding(colour / 255, PREPROCESSINGS[name])).all()


def rounding(x, preprocessing):
    """The most by which `(x − mean) / std` in float32 is off: by half a unit in the last place of
    each of x, mean, their difference, std and the quotient.
    """
    mean, std = np.array(preprocessing.mean), np.array(preprocessing.std)
    parts = x + mean + 3 * np.abs(x - mean)
    return np.finfo(np.float32).eps / 2 * parts / std


def test_transform_input_undoes_imagenets_mean():
    """torchvision's `transform_input`: x · (std / 0.5) + (mean − 0.5) / 0.5 after (y − mean) / std
    leaves 2y − 1. Six of these operations round, each by half a unit in the last place of a number
    of at most 4.
    """
    mean, std = IMAGENET
    y = np.array([0.1, 0.5, 0.9])
    normal = (y - mean) / std * (std / 0.5) + (mean - 0.5) / 0.5
    preprocessing = PREPROCESSINGS["torchvision:inception_v3"]
    np.testing.assert_allclose(
        (y - np.array(preprocessing.mean)) / np.array(preprocessing.std),
        normal,
        rtol=0,
        atol=6 * 4 * np.finfo(np.float64).eps / 2,
    )


@pytest.mark.parametrize(
    ("name", "sizes", "kernel"),
    [
        ("torchvision:googlenet", (256, 224), "bilinear"),
        ("torchvision:inception_v3", (342, 299), "bilinear"),
        ("torchvision:vgg16", (256, 224), "bilinear"),
        ("timm:inception_v3", (int(299 / 0.875), 299), "bicubic"),
        ("timm:inception_v4", (int(299 / 0.875), 299), "bicubic"),
        ("timm:inception_resnet_v2", (int(299 / 0.8975), 299), "bicubic"),
        ("keras:inception_v3", None, "bilinear"),
        ("unit", None, "bilinear"),
    ],
)
def test_sizes_and_filters_of_the_libraries(name, sizes, kernel):
    assert (PREPROCESSINGS[name].resize, PREPROCESSINGS[name].filter) == (sizes, kernel)


def test_bicubic_is_not_bilinear():
    pixels = _image(21, 21)
    found = {
        kernel: preprocess(pixels, Preprocessing("test", (12, 10), kernel), (3, 10, 10))
        for kernel in ("bilinear", "bicubic")
    }
    for kernel, resampling in (
        ("bilinear", Image.Resampling.BILINEAR),
        ("bicubic", Image.Resampling.BICUBIC),
    ):
        expected = np.asarray(Image.fromarray(pixels).resize((12, 12), resampling))[1:11, 1:11]
        np.testing.assert_array_equal(_values(found[kernel]), expected)
    assert np.abs(found["bilinear"] - found["bicubic"]).max() > 0.05


def test_one_channel_is_pillows_grey_without_mean_and_deviation():
    pixels = _image(6, 8)
    grey = np.asarray(Image.fromarray(pixels).convert("L"))[None]
    for name in ("unit", "keras:inception_v3"):
        found = preprocess(pixels, PREPROCESSINGS[name], (1, 6, 8))
        np.testing.assert_array_equal(found, grey.astype(np.float32) / np.float32(255))
    cropped = [
        preprocess(pixels, each, (1, 6, 8))
        for each in (PREPROCESSINGS["torchvision:alexnet"], Preprocessing("test", (256, 224)))
    ]
    np.testing.assert_array_equal(*cropped)


def test_grey_is_repeated():
    grey = RNG.integers(0, 256, (5, 6), dtype=np.uint8)
    found = preprocess(grey, PREPROCESSINGS["unit"], (3, 5, 6))
    np.testing.assert_array_equal(_values(found), np.repeat(grey[..., None], 3, 2))


def test_floats_keep_their_values_under_mean_and_deviation():
    image = RNG.random((5, 6, 3), dtype=np.float32)
    found = preprocess(image, PREPROCESSINGS["keras:inception_v3"], (3, 5, 6))
    np.testing.assert_array_equal(found, ((image - 0.5) / 0.5).transpose(2, 0, 1))


# The rules ----------------------------------------------------------------------------------------


def _torchvision(image, resize, crop):
    """torchvision.transforms: Resize(resize) of the shorter side, CenterCrop(crop) with offsets
    int(round(· / 2.0)).
    """
    width, height = image.size
    short, long = min(width, height), max(width, height)
    scaled = int(resize * long / short)
    image = image.resize(
        (resize, scaled) if width <= height else (scaled, resize), Image.Resampling.BILINEAR
    )
    top, left = round((image.height - crop) / 2.0), round((image.width - crop) / 2.0)
    return np.asarray(image)[top : top + crop, left : left + crop]


@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.sampled_from([(256, 224), (342, 299), (341, 299), (333, 299), (32, 28), (9, 8)]),
)
@settings(max_examples=60)
@example(37, 50, (256, 224))
@example(50, 37, (342, 299))
def test_resizing_and_cropping_are_torchvisions(height, width, sizes):
    pixels = np.random.default_rng(height * 100 + width).integers(
        0, 256, (height, width, 3), dtype=np.uint8
    )
    resize, crop = sizes
    found = preprocess(pixels, Preprocessing("test", sizes), (3, crop, crop))
    np.testing.assert_array_equal(
        _values(found), _torchvision(Image.fromarray(pixels), resize, crop)
    )


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=60)
def test_any_image_covers_any_input(height, width, rows, columns):
    """Nothing black from beyond the edge: a white image stays white at every size and margin."""
    white = np.full((height, width, 3), 255, np.uint8)
    for preprocessing in (
        Preprocessing("test", (256, 224)),
        Preprocessing("test", (224, 224), "bicubic"),
        PREPROCESSINGS["unit"],
    ):
        found = preprocess(white, preprocessing, (3, rows, columns))
        assert found.shape == (3, rows, columns)
        assert (found == 1).all()


def test_an_image_that_would_become_too_long_is_named():
    with pytest.raises(
        DataError,
        match=r"^thin\.png: an image of 2000×1 \(height×width\) is too elongated .*; crop it, or"
        r" give `preprocessing` unit$",
    ):
        preprocess(
            np.zeros((2000, 1), np.uint8),
            Preprocessing("test", (256, 224)),
            (3, 224, 224),
            "thin.png",
        )


def test_a_smaller_input_is_scaled_in_proportion():
    """256 for 224 is 32 for 28: at another size of the input the margin stays the same
    share of it.
    """
    pixels = _image(40, 56)
    found = preprocess(pixels, Preprocessing("test", (256, 224)), (3, 28, 28))
    np.testing.assert_array_equal(_values(found), _torchvision(Image.fromarray(pixels), 32, 28))


# Names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", zoo_models())
def test_every_model_of_a_zoo_has_a_recipe(name):
    preprocessing = find_preprocessing(name)
    assert preprocessing.source
    if preprocessing.resize is not None:
        assert preprocessing.resize[1] == network_of(find_model(name)).input_shape[1]
        assert preprocessing.resize[0] > preprocessing.resize[1]


def test_no_recipe_is_of_a_model_that_there_is_not():
    checkpoints = {f"{name}.{tag}" for name in zoo_models() for tag in find_model(name).tags}
    others = {other for other, _ in ALTERNATIVES.values()} - checkpoints
    assert set(PREPROCESSINGS) - {"unit"} == {*zoo_models(), *checkpoints, *others}
    for name in zoo_models():
        get_network(find_model(name).network)


def test_a_network_that_takes_blue_first():
    image = _image(6, 5)
    plain = Preprocessing("test", mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))
    found = preprocess(image, replace(plain, reverse=True), (3, 6, 5))
    np.testing.assert_array_equal(found, preprocess(image, plain, (3, 6, 5))[::-1])
    caffe = preprocess(image, PREPROCESSINGS["caffe:googlenet"], (3, 224, 224))
    assert -123.01 <= caffe.min() <= caffe.max() <= 255 - 104


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_what_a_graph_says_of_torchvisions_transform(name):
    model = f"torchvision:{name}"
    unknown, yes, no = (preprocessing_of(model, each) for each in (None, True, False))
    assert unknown.name == yes.name == model
    assert "does not say" in unknown.why
    assert unknown.alternative.startswith(f"{model}-untransformed")
    assert (no.name, yes.alternative, no.alternative) == (f"{model}-untransformed", "", "")
    np.testing.assert_allclose(PREPROCESSINGS[no.name].mean, IMAGENET[0])


def test_unknown_recipes():
    with pytest.raises(
        UnknownNameError,
        match=(
            r"`preprocessing`: expected one of unit, .*, got 'torchvision:inception'; did you mean"
        ),
    ):
        find_preprocessing("torchvision:inception")
    with pytest.raises(UnknownNameError, match=r"got ''$"):
        find_preprocessing("")
