"""The one resize: Pillow's on bytes, whatever the image came as."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from googlenet.data.resizing import fit, resize, scaled
from googlenet.errors import DataError

sides = st.integers(1, 24)
grey_or_colour = st.sampled_from([(), (3,)])


def image(height, width, planes):
    seed = 100 * height + width
    return np.random.default_rng(seed).integers(0, 256, (height, width, *planes), dtype=np.uint8)


@given(sides, sides, grey_or_colour, sides, sides)
def test_bytes_are_resized_as_pillow_does(height, width, planes, rows, columns):
    pixels = image(height, width, planes)
    for channels, mode in ((1, "L"), (3, "RGB")):
        expected = np.asarray(
            Image.fromarray(pixels).convert(mode).resize((columns, rows), Image.Resampling.BILINEAR)
        ).reshape(rows, columns, channels)
        found = resize(pixels, (channels, rows, columns))
        assert found.dtype == np.uint8
        assert np.array_equal(found, expected.transpose(2, 0, 1))


# Pillow's bilinear filter weights a pixel by 1 − d / s, where d is the distance of its centre from
# the new pixel's, and s is 1, or the factor by which the image shrinks; the weights of what is in
# the image are divided by their sum.
@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([7], [7, 7, 7]),
        ([0, 100], [0, 25, 75, 100]),  # centres −1/4, 1/4, 3/4 and 5/4
        ([0, 70, 140, 210], [50, 160]),  # weights 3/4, 3/4, 1/4, over 7/4
        ([40, 80, 120], [40, 80, 120]),
    ],
)
def test_values_worked_out_by_hand(row, expected):
    """In width and in height, whatever Pillow is installed."""
    pixels = np.array([row], np.uint8)
    assert resize(pixels, (1, 1, len(expected))).tolist() == [[expected]]
    assert resize(pixels.T, (1, len(expected), 1)).tolist() == [[[each] for each in expected]]
    found = fit(pixels, (1, 1, len(expected)))
    assert np.array_equal(found, np.float32([[expected]]) / np.float32(255))


def test_grey_is_luma_worked_out_by_hand():
    """(299 · red + 587 · green + 114 · blue) / 1000, rounded."""
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]]], np.uint8)
    assert resize(colours, (1, 1, 4)).tolist() == [[[76, 150, 29, 18]]]


@given(sides, sides, sides, sides)
def test_grey_for_three_channels_is_the_one_channel_three_times(height, width, rows, columns):
    pixels = image(height, width, ())
    one, three = (resize(pixels, (channels, rows, columns)) for channels in (1, 3))
    assert np.array_equal(three, np.repeat(one, 3, axis=0))


@given(sides, sides, grey_or_colour, sides, sides, st.sampled_from([1, 3]))
def test_floats_that_are_bytes_give_what_the_bytes_give(
    height, width, planes, rows, columns, channels
):
    pixels = image(height, width, planes)
    shape = (channels, rows, columns)
    assert np.array_equal(fit(scaled(pixels), shape), fit(pixels, shape))
    assert np.array_equal(
        fit(scaled(pixels), (channels, height, width)), fit(pixels, (channels, height, width))
    )


@pytest.mark.parametrize(
    ("planes", "input_shape", "crop", "kept"),
    [
        ((), (1, 5, 7), None, True),
        ((), (3, 5, 7), None, True),
        ((3,), (3, 5, 7), None, True),
        ((3,), (1, 5, 7), None, False),  # turned grey
        ((), (1, 7, 5), None, False),
        ((3,), (3, 5, 8), None, False),
        ((3,), (3, 5, 7), (8, 7), False),  # scaled, before its middle is taken
    ],
)
def test_floats_are_kept_only_where_nothing_is_to_be_done(planes, input_shape, crop, kept):
    """Others become bytes: a value between two of them is rounded to the nearer."""
    floats = np.full((5, 7, *planes), 99.6 / 255, np.float32)
    expected = np.float32(99.6 / 255) if kept else np.float32(100) / np.float32(255)
    found = fit(floats, input_shape, crop=crop)
    assert (found.dtype, found.shape) == (np.float32, input_shape)
    assert (found == expected).all()


def test_bytes_are_divided_by_255():
    every = np.arange(256, dtype=np.uint8)
    found = scaled(every)
    assert found.dtype == np.float32
    assert np.array_equal(found, every.astype(np.float32) / np.float32(255))
    assert np.array_equal(np.rint(found * 255), every)


@pytest.mark.parametrize("shape", [(1, 10**6), (10**6, 1), (700, 700, 3)])
def test_what_resizing_takes_is_charged(monkeypatch, shape):
    """A row of a million pixels needs a million weights, and a column as many rows of results."""
    image = np.zeros(shape, np.uint8)
    fit(image, (1, 32, 32), name="x")
    monkeypatch.setenv("GOOGLENET_BUDGET", "bytes=2M")
    with pytest.raises(DataError, match=r"^x: asks for .* of memory, expected at most 2\.1 MB"):
        fit(image, (1, 32, 32), name="x")


def test_floats_that_become_bytes_are_charged(monkeypatch):
    image = np.zeros((500, 500), np.float32)
    monkeypatch.setenv("GOOGLENET_BUDGET", "bytes=3M")
    with pytest.raises(DataError, match=r"^x: asks for 3\.2 MB of memory"):
        fit(image, (1, 32, 32), name="x")


def test_grey_is_repeated_after_it_is_resized_and_has_the_same_pixels():
    image = np.random.default_rng(0).integers(0, 256, (50, 40), dtype=np.uint8)
    colour = np.repeat(image[..., None], 3, 2)
    for filter in ("bilinear", "bicubic"):
        grey = resize(image, (3, 9, 7), filter=filter)
        assert np.array_equal(grey, resize(colour, (3, 9, 7), filter=filter))
