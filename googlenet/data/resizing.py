"""The one resize and the one conversion to grey: Pillow's, on bytes. Training, parity, prediction
and comparison all take their pixels from here, so that one file gives the same pixels everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from ..arrays import Array
from ..budget import limited
from ..errors import DataError, ShapeError
from ..spec.layers import Shape
from .pictures import ROW

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

#: How pixels are weighted.
Filter: TypeAlias = Literal["bilinear", "bicubic"]
#: No scaled image is larger than this: only a very thin one would be, before it is cropped.
MOST_PIXELS = 1 << 26
#: How many pixels on each side of one that is made are weighted, per pixel's width.
_REACH: dict[Filter, int] = {"bilinear": 1, "bicubic": 2}
_UNCHARGED = 1 << 20  # bytes: most images take less, and need not be looked at


def check_channels(input_shape: Shape) -> None:
    """Raises `ShapeError` unless `input_shape` (C, H, W) has 1 or 3 channels."""
    if input_shape[0] not in (1, 3):
        raise ShapeError(
            f"images have 1 or 3 channels, but the network expects {input_shape[0]}; build the"
            " network for 1 or 3 channels"
        )


def resize(
    image: Array,
    input_shape: Shape,
    *,
    crop: tuple[int, int] | None = None,
    filter: Filter = "bilinear",
    name: str = "image",
) -> Array:
    """An image uint8 (H, W) or (H, W, 3) as uint8 (C, H, W) of `input_shape`.

    Colour becomes grey where one channel is wanted (ITU-R 601-2 luma), and grey is repeated where
    three are. Then the image is stretched to the input's height and width, or with `crop` =
    (scaled, cropped) scaled in proportion until its shorter side is `scaled` pixels for an input of
    `cropped`, and cropped to its centre. Raises `DataError`, naming the image as `name`, if its
    longer side would be too long, or this takes more memory than a file may.
    """
    from PIL import Image

    channels, height, width = input_shape
    size = (width, height) if crop is None else _covering(image, height, width, crop, name)
    _charge(name, image.nbytes + _held(image, channels, size, _REACH[filter]))
    picture = Image.fromarray(image)
    if channels == 1 and picture.mode != "L":
        picture = picture.convert("L")
    resampling = Image.Resampling.BICUBIC if filter == "bicubic" else Image.Resampling.BILINEAR
    picture = picture.resize(size, resampling)
    if crop is not None:
        picture = _middle(picture, height, width)
    if channels == 3 and picture.mode != "RGB":  # last, since three equal planes resize alike
        picture = picture.convert("RGB")
    pixels = np.asarray(picture)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _charge(name: str, count: int) -> None:
    """Charge what becomes of the image `name` to the budget of its file."""
    if count > _UNCHARGED:
        with limited(name, DataError) as taken:
            taken.take_bytes(count)


def _held(image: Array, channels: int, size: tuple[int, int], reach: int) -> int:
    """How many bytes Pillow takes to resize `image` to `size` (width, height), beside its array: it
    and maybe its grey, what is as wide as the result and as high as the image, the result, and 8
    bytes for the weight of each pixel of a row and a column in each that is made of it.
    """
    height, width = map(int, image.shape[:2])
    depth = 4 if image.ndim == 3 and channels == 3 else 1
    picture = height * width * (1 if image.ndim == 2 else 4 if channels == 3 else 5)
    weights = sum(
        8 * made * (2 * reach * max(1, -(-given // max(1, made))) + 1)
        for made, given in zip(size, (width, height), strict=True)
    )
    return picture + depth * size[0] * (height + size[1]) + weights + 2 * ROW * height


def _covering(
    image: Array, height: int, width: int, crop: tuple[int, int], name: str
) -> tuple[int, int]:
    """The width and height that an image is scaled to, in proportion, before it is cropped."""
    scaled, cropped = crop
    high_given, wide_given = image.shape[:2]
    # The sides that the image must cover, and the one that it only just covers.
    wide, high = scaled * width // cropped, scaled * height // cropped
    if wide * high_given >= high * wide_given:
        size = (wide, wide * high_given // wide_given)
    else:
        size = (high * wide_given // high_given, high)
    if size[0] * size[1] > MOST_PIXELS:
        raise DataError(
            f"{name}: an image of {high_given}×{wide_given} (height×width) is too elongated"
            " for this preprocessing; crop it, or give `preprocessing` unit"
        )
    return size


def _middle(picture: Picture, height: int, width: int) -> Picture:
    """The central `height` by `width` pixels of a picture."""
    left, top = round((picture.width - width) / 2), round((picture.height - height) / 2)
    return picture.crop((left, top, left + width, top + height))


def scaled(pixels: Array) -> Array:
    """uint8 of any shape as float32 in [0, 1]."""
    return np.divide(pixels, np.float32(255), dtype=np.float32)


def fit(
    image: Array,
    input_shape: Shape,
    *,
    crop: tuple[int, int] | None = None,
    filter: Filter = "bilinear",
    name: str = "image",
) -> Array:
    """An image (H, W) or (H, W, 3) as float32 in [0, 1], (C, H, W) of `input_shape`: `resize`, then
    `scaled`.

    An image of floats in [0, 1] keeps them if at most its grey has to be repeated. One that has to
    be resized or turned grey is rounded to bytes first: there is only one resize, and it works on
    bytes.
    """
    channels, height, width = input_shape
    if image.dtype.kind == "f":
        if crop is None and image.shape in ((height, width), (height, width, channels)):
            planes = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
            return np.broadcast_to(planes, input_shape).astype(np.float32)
        _charge(name, image.nbytes + 9 * image.size)  # twice as floats, then as bytes
        image = np.rint(image * np.float32(255)).astype(np.uint8)
    return scaled(resize(image, input_shape, crop=crop, filter=filter, name=name))
