"""The digits that come with scikit-learn: split, resized, and known by a digest."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from googlenet.data.sets import load_data
from googlenet.errors import ShapeError


def test_digits(digits):
    from sklearn.datasets import load_digits

    bunch = load_digits()
    assert (digits.train.images.shape, digits.test.images.shape) == (
        (1438, 1, 8, 8),
        (359, 1, 8, 8),
    )
    assert digits.classes == tuple("0123456789")
    for split, chosen in (
        (digits.test, range(4, 1797, 5)),
        (digits.train, [i for i in range(1797) if i % 5 != 4]),
    ):
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int64)
        assert np.array_equal(split.labels, bunch.target[chosen])
        # Its size is the digits' own, so nothing is resized: 0 to 16 in sixteenths of 255.
        assert np.array_equal(split.images[:, 0], np.floor(bunch.images[chosen] * 255 / 16 + 0.5))
    assert digits.train.images.max() == 255


def test_digits_are_resized_as_pillow_does(digits):
    resized = load_data("digits", (1, 20, 13)).train.images
    for index in (0, 700, 1437):
        expected = Image.fromarray(digits.train.images[index, 0]).resize(
            (13, 20), Image.Resampling.BILINEAR
        )
        assert np.array_equal(resized[index, 0], np.asarray(expected))


def test_grey_is_repeated_where_three_channels_are_wanted(digits):
    three = load_data("digits", (3, 8, 8)).train.images
    assert all(np.array_equal(three[:, c], digits.train.images[:, 0]) for c in range(3))


@pytest.mark.parametrize("channels", [2, 4])
def test_other_numbers_of_channels(channels):
    with pytest.raises(ShapeError, match=f"1 or 3 channels, but the network expects {channels}"):
        load_data("digits", (channels, 8, 8))


def test_what_is_reported_goes_through_the_whole_set():
    heard = []
    load_data("digits", (1, 8, 8), report=lambda *values: heard.append(values))
    assert {what for what, _, _ in heard} == {"resizing"}
    assert [done for _, done, _ in heard] == [*range(64, 1797, 64), 1797]
    assert {total for _, _, total in heard} == {1797}


def test_the_digest_tells_bytes_labels_and_shapes_apart(digits):
    assert load_data("digits", (1, 8, 8)).digest == digits.digest
    images = digits.train.images.copy()
    images[1437, 0, 7, 7] ^= 1
    labels = digits.test.labels.copy()
    labels[0] += 1
    others = [
        replace(digits, train=replace(digits.train, images=images)),
        replace(digits, test=replace(digits.test, labels=labels)),
        replace(
            digits, train=replace(digits.train, images=digits.train.images.reshape(1438, 1, 4, 16))
        ),
        replace(digits, train=digits.test, test=digits.train),
    ]
    assert len({data.digest for data in (digits, *others)}) == 5
    # Names and words are no part of it.
    assert (
        replace(digits, name="other", description="other", classes=tuple("abcdefghij")).digest
        == digits.digest
    )


def test_the_core_imports_nothing_for_it_but_numpy():
    code = (
        "import sys, googlenet.data.sets; print(*{name.partition('.')[0] for name in sys.modules})"
    )
    names = set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )
    assert not names & {"pooch", "PIL", "sklearn", "requests"}
