"""What happens to an image before a network sees it: the zoos' own preprocessing, by name, written
only with Pillow and numpy.

The image is scaled until it covers the input's height and width with some margin, its centre is
cropped, values are scaled to [0, 1], and then `(x − mean) / std` is computed for each channel.
Weights only work well with the preprocessing that they were trained with.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..errors import UnknownNameError
from ..spec.layers import Shape
from .resizing import Filter, fit

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes an input (C, H, W). `source` says where the numbers are from.

    With `resize` = (scaled, cropped) the shorter side becomes `scaled` pixels for an input of
    `cropped`, or in proportion for other inputs, and the centre is cropped; without it, the image
    is stretched to the input's height and width. `mean` and `std` are those of red, green and blue
    in [0, 1]; a network with one channel takes the same grey as in training, without them. With
    `reverse` the network takes blue, green and red, in this order.
    """

    source: str
    resize: tuple[int, int] | None = None
    filter: Filter = "bilinear"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    reverse: bool = False


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


def _slim(resize: tuple[int, int]) -> Preprocessing:
    # The central 87.5 % of each side; here of the shorter one, so that nothing is stretched.
    return Preprocessing(
        "TensorFlow-Slim, preprocessing/inception_preprocessing.py", resize, mean=HALF, std=HALF
    )


# Values from 0 to 255, less the mean of each channel, in the order blue, green, red.
_CAFFE = Preprocessing(
    "Caffe's bvlc_googlenet: mean_value 104, 117, 123",
    (256, 224),
    mean=(123 / 255, 117 / 255, 104 / 255),
    std=(1 / 255, 1 / 255, 1 / 255),
    reverse=True,
)
_GLUON = "gluon-cv 0.10, ImageNet evaluation"
_MINDCV = "mindcv 0.3, transforms_imagenet_eval"
_PADDLE = "PaddleClas, ImageNet evaluation"

_D2L = Preprocessing("Dive into Deep Learning, load_data_fashion_mnist")
_CADENE = "pretrainedmodels 0.7, utils.TransformImage"
# Caffe's: 0 to 255, blue first, with the means 104, 117 and 128 taken away.
_CADENE_CAFFE = Preprocessing(
    _CADENE,
    (256, 224),
    mean=(128 / 255, 117 / 255, 104 / 255),
    std=(1 / 255, 1 / 255, 1 / 255),
    reverse=True,
)
# Faces, cut out beforehand: (x − 127.5) / 128 of bytes.
_FACENET = Preprocessing(
    "facenet-pytorch 2.6, fixed_image_standardization", mean=HALF, std=(128 / 255,) * 3
)

PREPROCESSINGS: dict[str, Preprocessing] = {
    "unit": Preprocessing("this project: stretched to the input, values in [0, 1]"),
    "torchvision:googlenet": _torchvision((256, 224), ported=True),
    "torchvision:inception_v3": _torchvision((342, 299), ported=True),
    "torchvision:googlenet-untransformed": _torchvision((256, 224)),
    "torchvision:inception_v3-untransformed": _torchvision((342, 299)),
    "torchvision:alexnet": _torchvision((256, 224)),
    "torchvision:vgg11": _torchvision((256, 224)),
    "torchvision:vgg16": _torchvision((256, 224)),
    "timm:inception_v3": _timm((341, 299)),
    "timm:inception_v3.tv_in1k": _timm((341, 299)),
    "timm:inception_v3.tf_in1k": _timm((341, 299)),
    "timm:inception_v3.tf_adv_in1k": _timm((341, 299)),
    # timm ported Gluon's weights, which take ImageNet's mean and deviation.
    "timm:inception_v3.gluon_in1k": Preprocessing(
        "timm 1.0, default_cfgs", (341, 299), "bicubic", IMAGENET_MEAN, IMAGENET_STD
    ),
    "timm:inception_v4.tf_in1k": _timm((341, 299)),
    "timm:inception_resnet_v2.tf_in1k": _timm((333, 299)),
    "timm:inception_resnet_v2.tf_ens_adv_in1k": _timm((333, 299)),
    "timm:inception_v4": _timm((341, 299)),
    "timm:inception_resnet_v2": _timm((333, 299)),
    "keras:inception_v3": _KERAS,
    "keras:inception_resnet_v2": _KERAS,
    "pytorch_fid:inception_v3": Preprocessing(
        "pytorch-fid 0.3, normalize_input; the image is stretched", mean=HALF, std=HALF
    ),
    "slim:googlenet": _slim((256, 224)),
    "slim:inception_v3": _slim((342, 299)),
    "slim:inception_v4": _slim((342, 299)),
    "slim:inception_resnet_v2": _slim((342, 299)),
    "caffe:googlenet": _CAFFE,
    "paddle:googlenet": _imagenet(_PADDLE, (256, 224)),
    "paddle:inception_v3": _imagenet(_PADDLE, (320, 299)),
    "paddle:alexnet": _imagenet(_PADDLE, (256, 224)),
    "paddleclas:googlenet": _imagenet(_PADDLE, (256, 224)),
    "paddleclas:inception_v3": _imagenet(_PADDLE, (320, 299)),
    "paddleclas:inception_v4": _imagenet(_PADDLE, (320, 299)),
    "pretrainedmodels:bn_inception": _CADENE_CAFFE,
    "pretrainedmodels:inception_v4": Preprocessing(_CADENE, (341, 299), mean=HALF, std=HALF),
    "pretrainedmodels:inception_resnet_v2": Preprocessing(_CADENE, (341, 299), mean=HALF, std=HALF),
    "facenet_pytorch:inception_resnet_v1": _FACENET,
    "d2l:googlenet": _D2L,
    "d2l_tensorflow:googlenet": _D2L,
    "d2l_tensorflow:googlenet_padded": _D2L,
    "gluon:inception_v3": _imagenet(_GLUON, (342, 299)),
    "gluoncv:googlenet": _imagenet(_GLUON, (256, 224)),
    "gluoncv:inception_v3": _imagenet(_GLUON, (342, 299)),
    "mindcv:googlenet": _imagenet(_MINDCV, (256, 224)),
    "mindcv:inception_v3": _imagenet(_MINDCV, (341, 299)),
    "mindcv:inception_v4": _imagenet(_MINDCV, (341, 299)),
}


#: Preprocessings of which a file of weights does not tell which is meant: the other one, and when
#: it is.
ALTERNATIVES: dict[str, tuple[str, str]] = {
    **{
        f"torchvision:{name}": (
            f"torchvision:{name}-untransformed",
            "of a model that was built with transform_input=False, as without weights=",
        )
        for name in ("googlenet", "inception_v3")
    },
    "timm:inception_v3": ("timm:inception_v3.gluon_in1k", "of that checkpoint"),
}


@dataclass(frozen=True)
class Choice:
    """A preprocessing that was chosen for weights: its name, why, and what else may be meant."""

    name: str
    why: str
    alternative: str = ""


def preprocessing_of(model: str, transforms: bool | None = None) -> Choice:
    """The preprocessing of weights of the zoo model `model`. `transforms` is whether the file says
    that the model changes its images first, as torchvision's `transform_input` does; None if it
    does not say.
    """
    other, when = ALTERNATIVES.get(model, ("", ""))
    if not other.endswith("-untransformed"):
        return Choice(model, "the library's own", f"{other}, {when}" if other else "")
    if transforms is None:
        why = "as with weights=, which sets transform_input=True; the file does not say"
        return Choice(model, why, f"{other}, {when}")
    if transforms:
        return Choice(model, "its graph has transform_input")
    return Choice(other, "its graph has no transform_input")


def find_preprocessing(name: str) -> Preprocessing:
    """The preprocessing called `name`. Raises `UnknownNameError`, which lists them all."""
    if not isinstance(name, str) or name not in PREPROCESSINGS:
        close = difflib.get_close_matches(str(name), PREPROCESSINGS, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise UnknownNameError(
            f"`preprocessing`: expected one of {', '.join(PREPROCESSINGS)}, got '{name}'{hint}"
        )
    return PREPROCESSINGS[name]


def preprocess(
    image: Array, preprocessing: Preprocessing, input_shape: Shape, name: str = "image"
) -> Array:
    """An image (H, W) or (H, W, 3), of bytes or of floats in [0, 1], as float32 (C, H, W) of
    `input_shape`.

    Raises `DataError`, naming the image as `name`, if it is too narrow for `preprocessing`.
    """
    pixels = fit(
        image,
        input_shape,
        crop=preprocessing.resize,
        filter=preprocessing.filter,
        name=name,
    )
    if input_shape[0] == 1:
        return pixels
    mean, std = (
        np.array(each, np.float32)[:, None, None]
        for each in (preprocessing.mean, preprocessing.std)
    )
    normal: Array = (pixels - mean) / std
    return np.ascontiguousarray(normal[::-1]) if preprocessing.reverse else normal
