"""What happens to an image before a network sees it: the zoos' own preprocessing by name, in
neutral code (Pillow and numpy).

The image is scaled until it covers the input's height and width by some margin, its middle is
taken, values are scaled to [0, 1], and then `(x − mean) / std` is computed for each channel.
Weights are only right with the preprocessing that they were trained with.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..arrays import Array
from ..errors import DataError, ShapeError, UnknownNameError
from ..spec.layers import Shape
from .images import SUFFIXES, open_image

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
#: No scaled image is larger than this: only a very thin one would be, before its middle is taken.
MOST_PIXELS = 1 << 26


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes an input (C, H, W). `source` says where the numbers are from.

    With `resize` = (scaled, cropped) the shorter side becomes `scaled` pixels for an input of
    `cropped`, in proportion for another, and the middle is taken; without, the image is stretched
    to the input's height and width. `mean` and `std` are those of red, green and blue in [0, 1]; a
    network of one channel takes the luma without them.
    """

    source: str
    resize: tuple[int, int] | None = None
    filter: Literal["bilinear", "bicubic"] = "bilinear"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)


def _torchvision(resize: tuple[int, int], *, ported: bool = False) -> Preprocessing:
    # The two networks that were ported from TensorFlow get x·2 − 1 in the end: `transform_input`
    # undoes ImageNet's mean and deviation.
    mean, std = (HALF, HALF) if ported else (IMAGENET_MEAN, IMAGENET_STD)
    return Preprocessing(
        "torchvision 0.28, ImageClassification" + (" and transform_input" if ported else ""),
        resize,
        mean=mean,
        std=std,
    )


def _imagenet(source: str, resize: tuple[int, int]) -> Preprocessing:
    return Preprocessing(source, resize, mean=IMAGENET_MEAN, std=IMAGENET_STD)


def _timm(resize: tuple[int, int]) -> Preprocessing:
    return Preprocessing("timm 1.0, default_cfgs", resize, "bicubic", HALF, HALF)


_KERAS = Preprocessing(
    "keras 3, applications.imagenet_utils mode 'tf'; the image is stretched", mean=HALF, std=HALF
)
_GLUON = "gluon-cv 0.10, ImageNet evaluation"
_MINDCV = "mindcv 0.3, transforms_imagenet_eval"
_PADDLE = "PaddleClas, ImageNet evaluation"

PREPROCESSINGS: dict[str, Preprocessing] = {
    "unit": Preprocessing("this project: stretched to the input, values in [0, 1]"),
    "torchvision:googlenet": _torchvision((256, 224), ported=True),
    "torchvision:inception_v3": _torchvision((342, 299), ported=True),
    "torchvision:alexnet": _torchvision((256, 224)),
    "torchvision:vgg11": _torchvision((256, 224)),
    "torchvision:vgg16": _torchvision((256, 224)),
    "timm:inception_v3": _timm((341, 299)),
    "timm:inception_v4": _timm((341, 299)),
    "timm:inception_resnet_v2": _timm((333, 299)),
    "keras:inception_v3": _KERAS,
    "keras:inception_resnet_v2": _KERAS,
    "paddle:googlenet": _imagenet(_PADDLE, (256, 224)),
    "paddle:inception_v3": _imagenet(_PADDLE, (320, 299)),
    "paddle:alexnet": _imagenet(_PADDLE, (256, 224)),
    "gluon:inception_v3": _imagenet(_GLUON, (342, 299)),
    "gluoncv:googlenet": _imagenet(_GLUON, (256, 224)),
    "gluoncv:inception_v3": _imagenet(_GLUON, (342, 299)),
    "mindcv:googlenet": _imagenet(_MINDCV, (256, 224)),
    "mindcv:inception_v3": _imagenet(_MINDCV, (341, 299)),
    "mindcv:inception_v4": _imagenet(_MINDCV, (341, 299)),
}


def find_preprocessing(name: str) -> Preprocessing:
    """The preprocessing called `name`. Raises `UnknownNameError`, which lists them all."""
    if name not in PREPROCESSINGS:
        close = difflib.get_close_matches(name, PREPROCESSINGS, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise UnknownNameError(
            f"preprocessing: expected one of {', '.join(PREPROCESSINGS)}, got '{name}'{hint}"
        )
    return PREPROCESSINGS[name]


def image_files(paths: list[Path]) -> list[Path]:
    """The image files that `paths` mean, folders searched. Raises `DataError` for a path without
    any.
    """
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise DataError(f"{path}: does not exist; give PNG or JPEG images, or a folder of them")
        found = (
            sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
            if path.is_dir()
            else [path]
        )
        if not found:
            raise DataError(f"{path}: holds no PNG or JPEG image")
        files.extend(found)
    return files


def load_image(path: Path, preprocessing: Preprocessing, input_shape: Shape) -> Array:
    """One image file as float32 (C, H, W) of `input_shape`, by `preprocessing`.

    Raises `DataError` if it is no readable image, `ShapeError` for an input of other than 1 or 3
    channels.
    """
    channels, height, width = input_shape
    if channels not in (1, 3):
        raise ShapeError(
            f"images: have 1 or 3 channels, and the network takes {channels}; give it arrays with"
            " --npy"
        )
    image = open_image(path).convert("RGB")
    pixels = np.asarray(_framed(path, image, preprocessing, height, width), np.float32) / 255
    if channels == 1:
        return (pixels @ np.array([0.299, 0.587, 0.114], np.float32))[None]  # ITU-R 601-2 luma
    normal: Array = (pixels - np.array(preprocessing.mean, np.float32)) / np.array(
        preprocessing.std, np.float32
    )
    return np.ascontiguousarray(normal.transpose(2, 0, 1))


def _framed(path: Path, image: Any, preprocessing: Preprocessing, height: int, width: int) -> Any:
    """A Pillow image of `height` by `width`: stretched, or scaled in proportion and its middle."""
    from PIL import Image

    resampling = (
        Image.Resampling.BICUBIC if preprocessing.filter == "bicubic" else Image.Resampling.BILINEAR
    )
    if preprocessing.resize is None:
        return image.resize((width, height), resampling)
    scaled, cropped = preprocessing.resize
    # The sides that the image must cover, and the one that it just covers.
    wide, high = scaled * width // cropped, scaled * height // cropped
    if wide * image.height >= high * image.width:
        size = (wide, wide * image.height // image.width)
    else:
        size = (high * image.width // image.height, high)
    if size[0] * size[1] > MOST_PIXELS:
        raise DataError(
            f"{path}: {image.width}×{image.height} is too narrow for this preprocessing; crop it,"
            " or give --preprocessing unit"
        )
    image = image.resize(size, resampling)
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))
