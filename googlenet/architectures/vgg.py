"""VGG as *Dive into Deep Learning* builds it (section 8.2), and as torchvision does; configurations
A and D of arXiv:1409.1556, table 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ..spec.blocks import called, conv, dropout, max_pool, sequential
from ..spec.layers import AdaptiveAvgPool, Dense, Layer, Network, ReLU, Sequential, Shape

# Rows: (number of 3×3 convolutions, channels) of each block.
VGG_11 = ((1, 64), (1, 128), (2, 256), (2, 512), (2, 512))
VGG_16 = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
#: The book trains VGG-11 on Fashion-MNIST with a quarter of the channels.
SMALL_RATIO = 4

ORDINALS = ("first", "second", "third")


@dataclass(frozen=True)
class Dialect:
    """What defines a VGG besides its table. The defaults are the book's."""

    #: Whether the last map is averaged to 7×7, so that images of every size fit the dense layers.
    adaptive_pool: bool = False
    num_classes: int = 10
    input_shape: Shape = (1, 224, 224)


DIALECTS: Mapping[str, Dialect] = {
    # torchvision.models.vgg, 0.28
    "torchvision": Dialect(adaptive_pool=True, num_classes=1000, input_shape=(3, 224, 224)),
}


def _vgg(
    name: str,
    table: tuple[tuple[int, int], ...],
    num_classes: int | None,
    input_shape: Shape | None,
    dialect: str | None,
    hidden: int,
) -> Network:
    d = Dialect() if dialect is None else DIALECTS[dialect]

    @called("VGGBlock")
    def block(row: tuple[int, int], **last: Layer) -> Sequential:
        convolutions, channels = row
        layers = {name: conv(channels, 3, padding=1) for name in ORDINALS[:convolutions]}
        return sequential(**layers, pool=max_pool(2, stride=2), **last)

    def dense_unit() -> Sequential:
        return sequential(dense=Dense(hidden, bias=True), relu=ReLU(), **dropout(0.5))

    last: dict[str, Layer] = {"average": AdaptiveAvgPool((7, 7))} if d.adaptive_pool else {}
    layers = sequential(
        b1=block(table[0]),
        b2=block(table[1]),
        b3=block(table[2]),
        b4=block(table[3]),
        b5=block(table[4], **last),
        head=sequential(
            fc6=dense_unit(),
            fc7=dense_unit(),
            fc8=Dense(d.num_classes if num_classes is None else num_classes, bias=True),
        ),
    )
    source = "Dive into Deep Learning, section 8.2; arXiv:1409.1556, table 1"
    return Network(name, layers, d.input_shape if input_shape is None else input_shape, source)


def vgg11(
    *,
    num_classes: int | None = None,
    input_shape: Shape | None = None,
    dialect: str | None = None,
    hidden_features: int = 4096,
) -> Network:
    """Configuration A: (C, H, W) images to (num_classes,) logits; 128,806,154 parameters for the
    book's 10 classes and 1×224×224.

    `dialect` is the library whose VGG to build, a key of `DIALECTS`: 132,863,336 parameters for
    1000 classes and 3×224×224. `hidden_features` is the width of the two hidden dense layers.
    Raises `SpecError` if a number or input_shape is not positive, `KeyError` for another dialect.
    """
    return _vgg("vgg11", VGG_11, num_classes, input_shape, dialect, hidden_features)


def vgg11_small(
    *, num_classes: int | None = None, input_shape: Shape | None = None, hidden_features: int = 4096
) -> Network:
    """VGG-11 with a quarter of the channels, as the book trains it: 43,093,322 parameters for 10
    classes and 1×224×224.

    Raises `SpecError` if num_classes or input_shape is not positive.
    """
    table = tuple((convolutions, channels // SMALL_RATIO) for convolutions, channels in VGG_11)
    return _vgg("vgg11_small", table, num_classes, input_shape, None, hidden_features)


def vgg16(
    *,
    num_classes: int | None = None,
    input_shape: Shape | None = None,
    dialect: str | None = None,
    hidden_features: int = 4096,
) -> Network:
    """Configuration D: (C, H, W) images to (num_classes,) logits; 138,357,544 parameters for 1000
    classes and 3×224×224.

    Arguments as for `vgg11`. Raises `SpecError` if num_classes or input_shape is not positive,
    `KeyError` for another dialect.
    """
    return _vgg("vgg16", VGG_16, num_classes, input_shape, dialect, hidden_features)
