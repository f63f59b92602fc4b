"""Sets and recipes that do not belong together, and batches in order, prepared ahead."""

import hashlib
import math
import re
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from googlenet.data.batches import AHEAD, check_batch_size, evaluation_batches, training_batches
from googlenet.data.prepared import save_data
from googlenet.data.sets import Split, check_classes, load_data
from googlenet.errors import DataError, ShapeError
from googlenet.spec.blocks import batch_norm, sequential
from googlenet.spec.layers import AdaptiveAvgPool, Dense, Network
from googlenet.training import Recipe

from .helpers import data_set, numbered, numbers

# Checks -------------------------------------------------------------------------------------------


def test_more_classes_than_the_network_has():
    check_classes(data_set(classes=3), 3)
    check_classes(data_set(classes=3), 5)
    with pytest.raises(
        DataError,
        match="numbered images: has 3 classes, but the network has 2; give `num_classes` 3",
    ):
        check_classes(data_set(classes=3), 2)


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_out_of_range(part, label):
    data = data_set()
    getattr(data, part).labels[5] = label
    what = {"train": "training", "test": "test"}[part]
    with pytest.raises(
        DataError, match=f"numbered images: a {what} label is {label}, out of range for 3 classes"
    ):
        check_classes(data, 3)


def norm_on(side):
    """A network whose second batch norm is on a map of `side` × 1."""
    norm = batch_norm(1e-3, 0.1)
    layers = sequential(
        first=norm, pool=AdaptiveAvgPool((side, 1)), second=norm, dense=Dense(3, bias=True)
    )
    return Network("normed", layers, (1, 2, 3), "this test")


PLAIN, NORMED = norm_on(2), norm_on(1)


def test_a_batch_larger_than_the_set():
    check_batch_size(Recipe(batch_size=13), data_set(train=13), PLAIN)
    with pytest.raises(
        DataError,
        match="`batch_size`: 14 is larger than the number of images to train on, 13; give at most",
    ):
        check_batch_size(Recipe(batch_size=14), data_set(train=13), PLAIN)


@pytest.mark.parametrize(
    ("batch_size", "processes", "message"),
    [
        (
            4,
            2,
            (
                r"`batch_size`: with 4, batch 4 would hold only 1 of the 13 images, fewer than"
                r" the 2 processes;"
                r" give `batch_size` 5"
            ),
        ),
        (
            2,
            3,
            (
                r"`batch_size`: with 2, batch 1 would hold only 2 of the 13 images, fewer than"
                r" the 3 processes;"
                r" give `batch_size` 5"
            ),
        ),
        (
            5,
            14,
            r"fewer images to train on \(13\) than processes \(14\); start at most 13 processes",
        ),
    ],
)
def test_more_processes_than_images_in_a_batch(batch_size, processes, message):
    with pytest.raises(DataError, match=message):
        check_batch_size(
            Recipe(batch_size=batch_size), data_set(train=13), PLAIN, processes=processes
        )
    with pytest.raises(DataError, match=message):  # before the first batch is asked for
        training_batches(numbered(13), Recipe(batch_size=batch_size), 0, processes=processes)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 8), st.sampled_from([PLAIN, NORMED]))
def test_the_batch_sizes_that_are_advised_will_do(count, batch_size, processes, network):
    data, least = data_set(train=count), 2 if network is NORMED else 1

    def advice(size):
        """The sizes that are advised instead of `size`, None if it will do."""
        shares = [
            len(part)
            for start in range(0, count, size)
            for part in np.array_split(np.arange(count)[start : start + size], processes)
        ]
        try:
            check_batch_size(Recipe(batch_size=size), data, network, processes=processes)
        except (DataError, ShapeError) as error:
            assert size > count or min(shares) < least
            found = re.search(r"at most (\d+)$|`batch_size` (\d+)(?: or (\d+))?", str(error))
            return [int(each) for each in found.groups() if each] if found else []
        assert size <= count
        assert min(shares) >= least
        return None

    for size in advice(batch_size) or []:
        assert size <= count
        if batch_size <= count:
            assert advice(size) is None


@pytest.mark.parametrize(
    ("count", "batch_size", "processes", "message"),
    [
        (
            1438,
            3,
            1,
            "`batch_size`: with 3, batch 480 would hold only 1 of the 1438 images, but batch"
            " norm 'second' needs at least 2 images"
            " (its map is 1×1); give `batch_size` 2 or 4, or a larger `input_shape`",
        ),
        (
            60,
            59,
            1,
            "`batch_size`: with 59, batch 2 would hold only 1 of the 60 images, but batch norm"
            " 'second' needs at least 2 images"
            " (its map is 1×1); give `batch_size` 58 or 60, or a larger `input_shape`",
        ),
        (
            60,
            1,
            1,
            "`batch_size`: with 1, batch 1 would hold only 1 of the 60 images, but batch norm"
            " 'second' needs at least 2 images"
            " (its map is 1×1); give `batch_size` 2, or a larger `input_shape`",
        ),
        (
            23,
            10,
            2,
            "`batch_size`: with 10, batch 3 would hold only 3 of the 23 images, but batch norm"
            " 'second' needs at least 2 images in"
            " each of 2 processes (its map is 1×1); give `batch_size` 9 or 12, or a larger"
            " `input_shape`",
        ),
        (
            1,
            1,
            1,
            "one image to train on is too few: batch norm 'second' needs at least 2 images"
            " (its map is 1×1); give"
            " more images or a larger `input_shape`",
        ),
        (
            5,
            5,
            3,
            "5 images to train on are too few: batch norm 'second' needs at least 2 images in"
            " each of 3 processes"
            " (its map is 1×1); start at most 2 processes, or give more images or a larger"
            " `input_shape`",
        ),
    ],
)
def test_a_batch_norm_of_one_value(count, batch_size, processes, message):
    recipe, data = Recipe(batch_size=batch_size), data_set(train=count)
    with pytest.raises(ShapeError) as refusal:
        check_batch_size(recipe, data, NORMED, processes=processes)
    assert str(refusal.value) == message
    check_batch_size(recipe, data, PLAIN, processes=processes)


# Batches ------------------------------------------------------------------------------------------

settings_of_batches = {
    "count": st.integers(1, 50),
    "batch_size": st.integers(1, 20),
    "seed": st.integers(0, 9),
    "epoch": st.integers(0, 3),
}


@given(**settings_of_batches)
def test_an_epoch_takes_every_image_once_in_the_recipes_order(count, batch_size, seed, epoch):
    split, recipe = numbered(count), Recipe(batch_size=batch_size, seed=seed)
    batches = list(training_batches(split, recipe, epoch))
    assert [number for batch in batches for number in numbers(batch)] == recipe.order(
        epoch, count
    ).tolist()
    assert [len(batch.labels) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert len(batches) == recipe.steps_per_epoch(count)
    for batch in batches:
        assert batch.labels.tolist() == [number % 3 for number in numbers(batch)]
        assert batch.share == 1


def test_a_batch_is_bytes_divided_by_255():
    images = np.arange(256, dtype=np.uint8).reshape(2, 1, 8, 16)
    (batch,) = evaluation_batches(Split(images, np.array([1, 0])), 2)
    assert batch.images.dtype == np.float32
    assert batch.labels.dtype == np.int64
    assert batch.images.flags["C_CONTIGUOUS"]
    assert np.array_equal(batch.images, images.astype(np.float32) / np.float32(255))
    assert (batch.images.min(), batch.images.max()) == (0, 1)


def test_same_seed_same_bytes_and_another_order_each_epoch(digits):
    def epoch_bytes(seed, epoch):
        found = hashlib.sha256()
        for batch in training_batches(digits.train, Recipe(batch_size=100, seed=seed), epoch):
            found.update(batch.images.tobytes() + batch.labels.tobytes())
        return found.hexdigest()

    assert epoch_bytes(0, 0) == epoch_bytes(0, 0)
    assert len({epoch_bytes(seed, epoch) for seed in (0, 1) for epoch in (0, 1, 2)}) == 6


@pytest.mark.parametrize(
    ("seed", "epoch", "labels"),
    [
        (0, 0, [9, 9, 9, 2, 6, 9, 0, 3, 8, 8, 2, 3, 9, 7, 6, 9]),
        (7, 3, [4, 0, 5, 9, 2, 0, 7, 6, 0, 1, 1, 8, 7, 2, 2, 1]),
    ],
)
def test_the_first_batch_of_the_digits_is_the_same_for_good(digits, seed, epoch, labels):
    batches = training_batches(digits.train, Recipe(batch_size=16, seed=seed), epoch)
    assert next(batches).labels.tolist() == labels
    batches.close()


@given(**settings_of_batches, first=st.integers(0, 60))
def test_the_rest_of_an_epoch(count, batch_size, seed, epoch, first):
    split, recipe = numbered(count), Recipe(batch_size=batch_size, seed=seed)
    whole = [numbers(batch) for batch in training_batches(split, recipe, epoch)]
    assert [
        numbers(batch) for batch in training_batches(split, recipe, epoch, first=first)
    ] == whole[first:]


@given(**settings_of_batches, processes=st.integers(1, 7))
def test_the_parts_of_all_processes_are_the_batch(count, batch_size, seed, epoch, processes):
    split, recipe = numbered(count), Recipe(batch_size=batch_size, seed=seed)
    whole = list(training_batches(split, recipe, epoch))
    if min(len(batch.labels) for batch in whole) < processes:
        with pytest.raises(DataError, match="processes"):
            training_batches(split, recipe, epoch, processes=processes)
        return
    ranks = [
        list(training_batches(split, recipe, epoch, rank=rank, processes=processes))
        for rank in range(processes)
    ]
    check_parts(whole, ranks, processes)
    assert all(len(batch.labels) for own in ranks for batch in own)


@given(count=st.integers(1, 50), batch_size=st.integers(1, 20), processes=st.integers(1, 7))
def test_the_parts_of_a_test(count, batch_size, processes):
    whole = list(evaluation_batches(numbered(count), batch_size))
    assert [number for batch in whole for number in numbers(batch)] == list(range(count))
    ranks = [
        list(evaluation_batches(numbered(count), batch_size, rank=rank, processes=processes))
        for rank in range(processes)
    ]
    check_parts(whole, ranks, processes)


def check_parts(whole, ranks, processes):
    for batch, parts in zip(whole, zip(*ranks, strict=True), strict=True):
        assert np.array_equal(np.concatenate([part.images for part in parts]), batch.images)
        assert np.array_equal(np.concatenate([part.labels for part in parts]), batch.labels)
        sizes = [len(part.labels) for part in parts]
        assert max(sizes) - min(sizes) <= 1
        assert math.isclose(sum(part.share for part in parts), processes)
        # What a loss counts by makes the mean over processes the mean over images.
        assert all(
            math.isclose(part.share, processes * size / sum(sizes))
            for part, size in zip(parts, sizes, strict=True)
        )


def test_batches_from_a_file(tmp_path):
    save_data(tmp_path, data_set(train=40))
    mapped = load_data(str(tmp_path), (1, 2, 3)).train
    recipe = Recipe(batch_size=8)
    for batch, expected in zip(
        training_batches(mapped, recipe, 0), training_batches(numbered(40), recipe, 0), strict=True
    ):
        assert np.array_equal(batch.images, expected.images)
        assert not isinstance(batch.images, np.memmap)


# The thread that prepares them --------------------------------------------------------------------


def preparing():
    return [thread for thread in threading.enumerate() if thread.name == "batches"]


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


class Watched(np.ndarray):
    """An array that counts how often something is taken out of it, and fails at a chosen time."""

    taken = 0
    fails_at = None

    def __getitem__(self, index):
        self.taken += 1
        if self.taken == self.fails_at:
            raise OSError("the disk is gone")
        return super().__getitem__(index)


def watched(count, **attributes):
    split = numbered(count)
    images = split.images.view(Watched)
    for name, value in attributes.items():
        setattr(images, name, value)
    return replace(split, images=images)


def test_batches_are_prepared_ahead_but_not_all():
    split = watched(50)
    batches = training_batches(split, Recipe(batch_size=2), 0)
    assert split.images.taken == 0
    next(batches)
    # One was taken; AHEAD wait in the queue, and one is held by the thread.
    until(lambda: split.images.taken == 1 + AHEAD + 1)
    time.sleep(0.05)
    assert split.images.taken == 1 + AHEAD + 1
    (thread,) = preparing()
    assert thread.daemon
    batches.close()


def test_the_thread_ends_with_the_epoch():
    assert len(list(training_batches(numbered(20), Recipe(batch_size=3), 0))) == 7
    assert not preparing()


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_the_thread_ends_when_nobody_wants_more(taken):
    split = watched(100)
    batches = training_batches(split, Recipe(batch_size=2), 0)
    for _ in range(taken):
        next(batches)
    batches.close()
    assert not preparing()
    assert split.images.taken <= taken + AHEAD + 2  # not the rest of the epoch
    assert list(batches) == []


def test_the_thread_ends_with_a_loop_that_fails():
    def loop():
        for _ in training_batches(numbered(50), Recipe(batch_size=2), 0):
            raise KeyError("in the loop")

    with pytest.raises(KeyError):
        loop()
    until(lambda: not preparing())


def test_what_goes_wrong_in_the_thread_is_raised_where_the_batch_is_wanted():
    batches = training_batches(watched(50, fails_at=3), Recipe(batch_size=2), 0)
    next(batches)
    next(batches)
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)
    assert not preparing()
