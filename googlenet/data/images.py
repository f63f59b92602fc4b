"""Images for a network from any source: those that parity and diff compare networks on, and those
to predict.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..arrays import Array, uniform
from ..budget import limited
from ..errors import DataError
from ..paths import kind_at
from ..room import check_memory
from ..spec.layers import Shape
from ..spec.shapes import size_text
from .decoding import decode, kind_of, named_images, read_labels
from .digits import DESCRIPTION, DIGITS, read_digits
from .places import labels_of
from .preprocessing import Preprocessing, preprocess
from .resizing import check_channels, fit


@dataclass(frozen=True)
class ImageSet:
    """`images` (N, C, H, W) float32 in [0, 1], `labels` (N,) int64, and a description of where both
    come from.
    """

    images: Array
    labels: Array
    description: str


def load_image_set(
    source: Path | None,
    input_shape: Shape,
    num_classes: int,
    *,
    count: int | None = None,
    seed: int = 0,
) -> ImageSet:
    """The first `count` images of `source`, stretched to `input_shape` (C, H, W), with labels; the
    pixels are the same as in training, bytes / 255.

    `source` is an IDX file (also .gz), a folder or file of PNG or JPEG, or an .npy array of bytes
    or of floats in [0, 1] (`resizing.fit` says what becomes of these); None takes scikit-learn's
    handwritten digits. Labels come from the IDX file of labels beside it, or else from `seed`. Grey
    is repeated where three channels are wanted, and colour turned to grey where one is.

    Raises `DataError`, naming the file, if it is missing, unreadable, empty, truncated or not an
    image, or if labels do not fit; `ShapeError` for a number of channels other than 1 or 3.
    """
    check_channels(input_shape)
    if count is not None and count < 1:
        raise DataError(f"`count`: expected an integer of at least 1, got {count}")
    raw, labels, origin = _digits() if source is None else _named(source)
    if count is not None and count > len(raw):
        holder = origin if source is None else source
        raise DataError(
            f"{holder}: holds {_images(len(raw))}, but `count` is {count}; give at most {len(raw)}"
        )
    chosen = raw[:count]
    check_memory(
        f"{len(chosen):,} images of {size_text(input_shape)}",
        4 * len(chosen) * math.prod(input_shape),
        "give a smaller `count` or `input_shape`",
        DataError,
    )
    images = np.stack([fit(decode(image, name), input_shape) for name, image in chosen])
    if labels is None:
        labels = (uniform(seed, "labels")(len(images)) * num_classes).astype(np.int64)
        origin += f", labels drawn from seed {seed}"
    labels = labels[: len(images)]
    if labels.max() >= num_classes:
        raise DataError(
            f"{origin}: label {labels.max()} is out of range, expected 0 to {num_classes - 1}; give"
            f" `num_classes` {labels.max() + 1}"
        )
    return ImageSet(images, labels, origin)


#: Images by name, labels if there are any, and a description of where they come from.
_Named = tuple[Sequence[tuple[str, Path | Array]], Array | None, str]


def _digits() -> _Named:
    images, labels = read_digits()
    return [(DIGITS, image) for image in images], labels, DESCRIPTION


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def _named(source: Path) -> _Named:
    found = named_images(source)
    if kind_at(source) == "folder":
        return found, None, f"{source} ({_images(len(found))})"
    labels_path = labels_of(source) if kind_of(source) == "idx" else None
    if labels_path is None:
        return found, None, str(source)
    labels = read_labels(labels_path, source, len(found))
    return found, labels, f"{source}, labels from {labels_path.name}"


@dataclass(frozen=True)
class Inputs:
    """Images as a network takes them. `names` has one for each: its file, or `FILE[3]`, counted
    from 0, if a file holds several.

    They are decoded when they are asked for: `chunks` never has more than one chunk in memory.
    """

    names: tuple[str, ...]
    input_shape: Shape
    preprocessing: Preprocessing
    sources: tuple[Path | Array, ...]

    def chunks(self, size: int) -> Iterator[Array]:
        """All images in order, as arrays (N, C, H, W) float32 of `size` images; the last one may
        have fewer. Raises `DataError`, naming the image, if one cannot be read.
        """
        for start in range(0, len(self.names), size):
            chosen = slice(start, start + size)
            yield np.stack(
                [
                    preprocess(decode(source, name), self.preprocessing, self.input_shape, name)
                    for name, source in zip(self.names[chosen], self.sources[chosen], strict=True)
                ]
            )

    @property
    def images(self) -> Array:
        """All of them at once, (N, C, H, W) float32. Raises `DataError` as `chunks` does."""
        (images,) = self.chunks(len(self.names))
        return images


def load_inputs(images: Sequence[Path], input_shape: Shape, preprocessing: Preprocessing) -> Inputs:
    """All images of the paths `images`, in order, by `preprocessing` at `input_shape` (C, H, W).

    Each path is of any kind that `load_image_set` accepts. Raises `DataError`, naming the path, if
    one is missing, empty, truncated or holds no images, or if there are none; `ShapeError` for a
    number of channels other than 1 or 3.
    """
    check_channels(input_shape)
    names: list[str] = []
    sources: list[Path | Array] = []
    for path in images:
        found = named_images(path)
        with limited(path, DataError) as taken:
            taken.take_bytes(_PER_IMAGE * len(found))
        for name, source in found:
            names.append(name)
            sources.append(source)
    if not names:
        raise DataError("`images`: expected at least one file or folder of images, got none")
    return Inputs(tuple(names), input_shape, preprocessing, tuple(sources))


#: Bytes of an image's name, and of where its pixels are, however few it has.
_PER_IMAGE = 512
