"""AlexNet as *Dive into Deep Learning* builds it (section 8.1), and the narrower one of the
libraries (arXiv:1404.5997).

The book's first convolution pads by 1, as its PyTorch, PaddlePaddle and MindSpore tabs have it; its
MXNet and TensorFlow tabs do not pad.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from ..spec.blocks import conv, dropout, max_pool, sequential
from ..spec.layers import AdaptiveAvgPool, Dense, Layer, Network, ReLU, Sequential, Shape


@dataclass(frozen=True)
class Dialect:
    """What defines an AlexNet besides its order of layers. The defaults are the book's."""

    channels: tuple[int, int, int, int, int] = (96, 256, 384, 384, 256)
    stem_padding: int = 1
    #: Whether the last map is averaged to 6×6, so that images of every size fit the dense layers.
    adaptive_pool: bool = False
    dropout_first: bool = False
    #: Whether dropout divides by 1 − rate in training, or multiplies by it in evaluation.
    dropout_upscales: bool = True
    num_classes: int = 10
    input_shape: Shape = (1, 224, 224)


_NARROW: Final = Dialect(
    channels=(64, 192, 384, 256, 256),
    stem_padding=2,
    dropout_first=True,
    num_classes=1000,
    input_shape=(3, 224, 224),
)

DIALECTS: Mapping[str, Dialect] = {
    # torchvision.models.alexnet, 0.28
    "torchvision": replace(_NARROW, adaptive_pool=True),
    # paddle.vision.models.alexnet, 3.3: no adaptive pool, and the features are halved twice in
    # evaluation
    "paddle": replace(_NARROW, dropout_upscales=False),
}


def alexnet(
    *,
    num_classes: int | None = None,
    input_shape: Shape | None = None,
    dialect: str | None = None,
    hidden_features: int = 4096,
) -> Network:
    """(C, H, W) images to (num_classes,) logits; 46,764,746 parameters for the book's 10 classes
    and 1×224×224.

    `dialect` is the library whose AlexNet to build, a key of `DIALECTS`: 61,100,840 parameters for
    1000 classes and 3×224×224. `hidden_features` is the width of the two hidden dense layers.
    Raises `SpecError` if a number or input_shape is not positive, `KeyError` for another dialect.
    """
    d = Dialect() if dialect is None else DIALECTS[dialect]
    first, second, third, fourth, fifth = d.channels

    def hidden() -> Sequential:
        drop = dropout(0.5, upscales=d.dropout_upscales)
        before, after = (drop, {}) if d.dropout_first else ({}, drop)
        return sequential(**before, dense=Dense(hidden_features, bias=True), relu=ReLU(), **after)

    last: dict[str, Layer] = {"average": AdaptiveAvgPool((6, 6))} if d.adaptive_pool else {}
    layers = sequential(
        b1=sequential(
            conv=conv(first, 11, stride=4, padding=d.stem_padding), pool=max_pool(3, stride=2)
        ),
        b2=sequential(conv=conv(second, 5, padding=2), pool=max_pool(3, stride=2)),
        b3=sequential(
            first=conv(third, 3, padding=1),
            second=conv(fourth, 3, padding=1),
            third=conv(fifth, 3, padding=1),
            pool=max_pool(3, stride=2),
            **last,
        ),
        head=sequential(
            fc6=hidden(),
            fc7=hidden(),
            fc8=Dense(d.num_classes if num_classes is None else num_classes, bias=True),
        ),
    )
    return Network(
        "alexnet",
        layers,
        d.input_shape if input_shape is None else input_shape,
        "Dive into Deep Learning, section 8.1",
    )
