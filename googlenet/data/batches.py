"""Batches in the recipe's order, prepared ahead: each process gets its part of each batch."""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..errors import DataError, ShapeError
from ..spec.analysis import norm_of_one_value
from ..spec.layers import Network
from ..spec.memory import check_fits
from ..spec.recipe import Recipe
from .dataset import DataSet, Split
from .resizing import scaled

#: The number of batches that are prepared ahead.
AHEAD = 2


@dataclass(frozen=True)
class Batch:
    """`images` (N, C, H, W) float32 in [0, 1], `labels` (N,) int64, and the weight of this
    process's loss: see `Trainer.step`.
    """

    images: Array
    labels: Array
    share: float


def check_batch_size(
    recipe: Recipe, data: DataSet, network: Network, *, processes: int = 1
) -> None:
    """Raises `DataError` if a batch is larger than the set, or one has fewer images than there are
    processes; `ShapeError` if one leaves a process with a single image, and `network` has a batch
    norm that would see one value a channel there; `SpecError` if it takes more memory than the
    machine has.
    """
    count = len(data.train.labels)
    if recipe.batch_size > count:
        raise DataError(
            f"`batch_size`: {recipe.batch_size} is larger than the number of images to train on,"
            f" {count}; give at most {count}"
        )
    check_fits(network, -(-recipe.batch_size // processes), training=True)
    if (norm := norm_of_one_value(network)) is not None:
        _check_norm(norm, count, recipe.batch_size, processes)
    _check_parts(count, recipe.batch_size, processes)


def _check_parts(count: int, batch_size: int, processes: int) -> None:
    """Raises `DataError` if one of the batches of `count` images has fewer images than there are
    processes.
    """
    if _smallest(count, batch_size) >= processes:
        return
    if count < processes:
        raise DataError(
            f"fewer images to train on ({count}) than processes ({processes}); start at most"
            f" {_processes(count)}"
        )
    number, held = _first_below(count, batch_size, processes)
    raise DataError(
        f"`batch_size`: with {batch_size}, batch {number} would hold only {held} of the {count}"
        f" images, fewer than the {processes} processes; give `batch_size`"
        f" {_nearest(count, batch_size, processes)}"
    )


def _check_norm(norm: str, count: int, batch_size: int, processes: int) -> None:
    """Raises `ShapeError` if one of the batches of `count` images leaves a process with one image,
    on which the batch norm at `norm` cannot train, because its map is 1×1.
    """
    least = 2 * processes
    if _smallest(count, batch_size) >= least:
        return
    each = f" in each of {processes} processes" if processes > 1 else ""
    needs = f"batch norm '{norm}' needs at least 2 images{each} (its map is 1×1)"
    if count < least:
        fewer = f"start at most {_processes(count // 2)}, or " if count > 1 else ""
        images = f"{count} images to train on are" if count > 1 else "one image to train on is"
        raise ShapeError(
            f"{images} too few: {needs}; {fewer}give more images or a larger `input_shape`"
        )
    number, held = _first_below(count, batch_size, least)
    raise ShapeError(
        f"`batch_size`: with {batch_size}, batch {number} would hold only {held} of the {count}"
        f" images, but {needs}; give `batch_size` {_nearest(count, batch_size, least)}, or a larger"
        " `input_shape`"
    )


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"


def _smallest(count: int, batch_size: int) -> int:
    """The number of images in the smallest batch of `count`."""
    return count % batch_size or batch_size


def _first_below(count: int, batch_size: int, least: int) -> tuple[int, int]:
    """The number, from 1, of the first batch of `count` images with fewer than `least`, and how
    many it has; there is one.
    """
    if batch_size < least:
        return 1, batch_size
    return math.ceil(count / batch_size), _smallest(count, batch_size)


def _nearest(count: int, batch_size: int, least: int) -> str:
    """The nearest sizes below and above `batch_size`, none of whose batches of `count` images, at
    least `least`, has fewer than `least`: "2 or 4".
    """
    fitting = [size for size in range(least, count + 1) if _smallest(count, size) >= least]
    below = [size for size in fitting if size < batch_size][-1:]
    above = [size for size in fitting if size > batch_size][:1]
    return " or ".join(map(str, below + above))


def training_batches(
    split: Split, recipe: Recipe, epoch: int, *, first: int = 0, rank: int = 0, processes: int = 1
) -> Generator[Batch, None, None]:
    """The batches of an epoch in the recipe's order, from number `first`, each image once: this
    process's part of each.

    They are prepared ahead in a thread, which ends with the iterator. Raises `DataError` if a batch
    has fewer images than there are processes.
    """
    _check_parts(len(split.labels), recipe.batch_size, processes)
    order = recipe.order(epoch, len(split.labels))
    starts = range(first * recipe.batch_size, len(order), recipe.batch_size)
    return _ahead(
        _part(split, order[start : start + recipe.batch_size], rank, processes) for start in starts
    )


def evaluation_batches(
    split: Split, batch_size: int, *, rank: int = 0, processes: int = 1
) -> Generator[Batch, None, None]:
    """All images in their stored order, in batches: this process's part of each, which may be
    empty.
    """
    index = np.arange(len(split.labels))
    return _ahead(
        _part(split, index[start : start + batch_size], rank, processes)
        for start in range(0, len(index), batch_size)
    )


def _part(split: Split, index: Array, rank: int, processes: int) -> Batch:
    own = np.array_split(index, processes)[rank]
    return Batch(
        scaled(np.ascontiguousarray(split.images[own])),
        np.asarray(split.labels[own], np.int64),
        processes * len(own) / len(index),
    )


def _ahead(batches: Iterator[Batch]) -> Generator[Batch, None, None]:
    ready: queue.Queue[Batch | BaseException | None] = queue.Queue(AHEAD)
    ended = threading.Event()

    def put(item: Batch | BaseException | None) -> bool:
        while not ended.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def prepare() -> None:
        try:
            for batch in batches:
                if not put(batch):
                    return
            put(None)
        except BaseException as error:  # raised where the batch is wanted
            put(error)

    thread = threading.Thread(target=prepare, name="batches", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        ended.set()
        thread.join()
