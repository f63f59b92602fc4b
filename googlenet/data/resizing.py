"""The one resize and the one conversion to grey: Pillow's, on bytes. Training, parity, prediction
and comparison all take their pixels from here, so that one file gives the same pixels everywhere.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from ..arrays import Array
from ..errors import DataError, ShapeError
from ..spec.layers import Shape

#: How pixels are weighted.
Filter: TypeAlias = Literal["bilinear", "bicubic"]
#: No scaled image is larger than this: only a very thin one would be, before it is cropped.
MOST_PIXELS = 1 << 26


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
    longer side would be too long.
    """
    from PIL import Image

    channels, height, width = input_shape
    picture = Image.fromarray(image).convert("L" if channels == 1 else "RGB")
    resampling = Image.Resampling.BICUBIC if filter == "bicubic" else Image.Resampling.BILINEAR
    if crop is None:
        picture = picture.resize((width, height), resampling)
    else:
        picture = _middle(picture, height, width, crop, resampling, name)
    pixels = np.asarray(picture)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _middle(
    picture: Any, height: int, width: int, crop: tuple[int, int], resampling: Any, name: str
) -> Any:
    """The central `height` by `width` pixels of a Pillow image that was scaled in proportion."""
    scaled, cropped = crop
    # The sides that the image must cover, and the one that it only just covers.
    wide, high = scaled * width // cropped, scaled * height // cropped
    if wide * picture.height >= high * picture.width:
        size = (wide, wide * picture.height // picture.width)
    else:
        size = (high * picture.width // picture.height, high)
    if size[0] * size[1] > MOST_PIXELS:
        raise DataError(
            f"{name}: an image of {picture.height}×{picture.width} (height×width) is too elongated"
            " for this preprocessing; crop it, or give `preprocessing` unit"
        )
    picture = picture.resize(size, resampling)
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
        image = np.rint(image * np.float32(255)).astype(np.uint8)
    return scaled(resize(image, input_shape, crop=crop, filter=filter, name=name))
