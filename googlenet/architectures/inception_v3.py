"""Inception-v3: "Rethinking the Inception Architecture for Computer Vision", arXiv:1512.00567,
table 1 and figures 5 to 10.

The paper's table leaves details to its release (TensorFlow-Slim), whose names the blocks have: the
stem's sixth row is a 1×1 with 80 channels and a 3×3 with 192, average pools do not count padding,
eps is 1e-3. Gamma and momentum 0.1 are this project's choice. Libraries differ from it and from
each other, see `DIALECTS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from ..spec.blocks import (
    PaddingLike,
    PairLike,
    avg_pool,
    batch_norm,
    called,
    concat,
    conv,
    dropout,
    max_pool,
    sequential,
)
from ..spec.layers import (
    Aux,
    AvgPool,
    BatchNorm,
    Concat,
    Dense,
    GlobalAvgPool,
    Layer,
    MaxPool,
    Network,
    Sequential,
    Shape,
)

AUX_LOSS_WEIGHT = 0.4  # TensorFlow-Slim; the paper gives none


@dataclass(frozen=True)
class Dialect:
    """What defines an Inception-v3 besides its table of channels. The defaults are ours, after the
    release.
    """

    norm: BatchNorm = batch_norm(1e-3, 0.1)
    #: Whether the average pools of the blocks count the padding as zeros.
    count_include_pad: bool = False
    head_pool: Layer = GlobalAvgPool()
    dropout: float = 0.2
    #: Whether the last block takes the maximum of each window where the others take the mean.
    max_pool_last: bool = False
    #: Whether dropout divides by 1 − rate in training, or multiplies by it in evaluation.
    dropout_upscales: bool = True


# Its dense layer takes only one window of 8×8: a larger image, which Gluon refuses, is averaged
# over all windows here.
_GLUON: Final = Dialect(
    count_include_pad=True,
    head_pool=sequential(window=avg_pool(8, stride=8), mean=GlobalAvgPool()),
    dropout=0.5,
)

DIALECTS: Mapping[str, Dialect] = {
    # torchvision.models.inception_v3, 0.28
    "torchvision": Dialect(count_include_pad=True, dropout=0.5),
    # timm.models.inception_v3, 1.0: the same names and values
    "timm": Dialect(count_include_pad=True, dropout=0.0),
    # mxnet.gluon.model_zoo and gluoncv.model_zoo: a fixed window in the head
    "gluon": _GLUON,
    "gluoncv": _GLUON,
    # keras.applications.InceptionV3: batch norm has no gamma
    "keras": Dialect(norm=batch_norm(1e-3, 0.01, scale=False), dropout=0.0),
    # TensorFlow-Slim, the release: batch norm has no gamma
    "slim": Dialect(norm=batch_norm(1e-3, 1 - 0.9997, scale=False)),
    # pytorch_fid.inception, 0.3: what the Fréchet inception distance is computed with, TensorFlow's
    # release of December 2015 on torchvision's classes with other pools
    "pytorch_fid": Dialect(dropout=0.5, max_pool_last=True),
    # mindcv.models.inceptionv3, 0.3
    "mindcv": Dialect(norm=batch_norm(1e-3, 1 - 0.9997)),
    # paddle.vision.models.inceptionv3, 3.3: eps is the framework's default, dropout that of its
    # first version
    "paddle": Dialect(norm=batch_norm(1e-5, 0.1), count_include_pad=True, dropout_upscales=False),
}


class Unit(Protocol):
    """A convolution with batch norm and ReLU: `conv` with the norm filled in."""

    def __call__(
        self,
        out_channels: int,
        kernel_size: PairLike,
        stride: PairLike = 1,
        padding: PaddingLike = 0,
    ) -> Sequential:
        """(C, H, W) → (out_channels, H', W')."""


@called("Stem")
def stem_rows(unit: Unit) -> Sequential:
    """The first seven rows of table 1: (3, 299, 299) → (192, 35, 35). Inception-ResNet-v2 has them
    too.
    """
    return sequential(
        conv_1a=unit(32, 3, stride=2),
        conv_2a=unit(32, 3),
        conv_2b=unit(64, 3, padding=1),
        pool_3a=max_pool(3, stride=2),
        conv_3b=unit(80, 1),
        conv_4a=unit(192, 3),
        pool_5a=max_pool(3, stride=2),
    )


@called("InceptionA")
def block_35(unit: Unit, pool: AvgPool, pool_proj: int, *, conv_1x1: int = 64) -> Concat:
    """Figure 5, on the 35×35 grid: (C, H, W) → (conv_1x1 + 64 + 96 + pool_proj, H, W)."""
    return concat(
        branch_1x1=unit(conv_1x1, 1),
        branch_5x5=sequential(reduce=unit(48, 1), conv=unit(64, 5, padding=2)),
        branch_double_3x3=sequential(
            reduce=unit(64, 1), first=unit(96, 3, padding=1), second=unit(96, 3, padding=1)
        ),
        branch_pool=sequential(pool=pool, project=unit(pool_proj, 1)),
    )


@called("ReductionA")
def reduction_35(unit: Unit) -> Concat:
    """Figure 10, from 35×35 to 17×17: (C, H, W) → (384 + 96 + C, ⌊(H − 1) / 2⌋, ⌊(W − 1) / 2⌋)."""
    return concat(
        branch_3x3=sequential(conv=unit(384, 3, stride=2)),
        branch_double_3x3=sequential(
            reduce=unit(64, 1), first=unit(96, 3, padding=1), second=unit(96, 3, stride=2)
        ),
        branch_pool=sequential(pool=max_pool(3, stride=2)),
    )


@called("InceptionB")
def block_17(unit: Unit, pool: AvgPool, channels_7x7: int) -> Concat:
    """Figure 6 with n = 7, on the 17×17 grid: (C, H, W) → (768, H, W)."""
    row, column = (
        {"kernel_size": (1, 7), "padding": (0, 3)},
        {"kernel_size": (7, 1), "padding": (3, 0)},
    )
    n = channels_7x7
    return concat(
        branch_1x1=unit(192, 1),
        branch_7x7=sequential(
            reduce=unit(n, 1), conv_1x7=unit(n, **row), conv_7x1=unit(192, **column)
        ),
        branch_double_7x7=sequential(
            reduce=unit(n, 1),
            first_7x1=unit(n, **column),
            first_1x7=unit(n, **row),
            second_7x1=unit(n, **column),
            second_1x7=unit(192, **row),
        ),
        branch_pool=sequential(pool=pool, project=unit(192, 1)),
    )


@called("ReductionB")
def reduction_17(unit: Unit) -> Concat:
    """From 17×17 to 8×8: (C, H, W) → (320 + 192 + C, ⌊(H − 1) / 2⌋, ⌊(W − 1) / 2⌋)."""
    return concat(
        branch_3x3=sequential(reduce=unit(192, 1), conv=unit(320, 3, stride=2)),
        branch_7x7=sequential(
            reduce=unit(192, 1),
            conv_1x7=unit(192, (1, 7), padding=(0, 3)),
            conv_7x1=unit(192, (7, 1), padding=(3, 0)),
            conv=unit(192, 3, stride=2),
        ),
        branch_pool=sequential(pool=max_pool(3, stride=2)),
    )


@called("InceptionC")
def block_8(unit: Unit, pool: AvgPool | MaxPool) -> Concat:
    """Figure 7, on the 8×8 grid, where the branches fan out: (C, H, W) → (2048, H, W)."""

    def split() -> Concat:
        return concat(
            conv_1x3=unit(384, (1, 3), padding=(0, 1)), conv_3x1=unit(384, (3, 1), padding=(1, 0))
        )

    return concat(
        branch_1x1=unit(320, 1),
        branch_3x3=sequential(reduce=unit(384, 1), split=split()),
        branch_double_3x3=sequential(
            reduce=unit(448, 1), conv=unit(384, 3, padding=1), split=split()
        ),
        branch_pool=sequential(pool=pool, project=unit(192, 1)),
    )


@called("AuxiliaryHead")
def auxiliary_head(unit: Unit, num_classes: int) -> Sequential:
    """The side classifier of section 4 on the last 17×17 grid, as released."""
    return sequential(
        pool=avg_pool(5, stride=3),
        reduce=unit(128, 1),
        conv=unit(768, 5),
        mean=GlobalAvgPool(),
        dense=Dense(num_classes, bias=True),
    )


def inception_v3(
    *,
    num_classes: int = 1000,
    input_shape: Shape = (3, 299, 299),
    aux: bool = False,
    dialect: str | None = None,
) -> Network:
    """(C, H, W) images to (num_classes,) logits; 23,834,568 parameters, with `aux` 27,161,264.

    `aux` adds the output `aux` after the 17×17 grid. `dialect` is the library whose Inception-v3 to
    build, a key of `DIALECTS`. Raises `SpecError` if num_classes or input_shape is not positive,
    `KeyError` for another dialect.
    """
    d = Dialect() if dialect is None else DIALECTS[dialect]
    unit = partial(conv, norm=d.norm)
    pool = avg_pool(3, stride=1, padding=1, count_include_pad=d.count_include_pad)
    last = max_pool(3, stride=1, padding=1) if d.max_pool_last else pool
    head: dict[str, Layer] = (
        {"aux": Aux(auxiliary_head(unit, num_classes), AUX_LOSS_WEIGHT)} if aux else {}
    )
    layers = sequential(
        stem=stem_rows(unit),
        mixed_5=sequential(
            mixed_5b=block_35(unit, pool, pool_proj=32),
            mixed_5c=block_35(unit, pool, pool_proj=64),
            mixed_5d=block_35(unit, pool, pool_proj=64),
        ),
        mixed_6=sequential(
            mixed_6a=reduction_35(unit),
            mixed_6b=block_17(unit, pool, channels_7x7=128),
            mixed_6c=block_17(unit, pool, channels_7x7=160),
            mixed_6d=block_17(unit, pool, channels_7x7=160),
            mixed_6e=block_17(unit, pool, channels_7x7=192),
            **head,
        ),
        mixed_7=sequential(
            mixed_7a=reduction_17(unit),
            mixed_7b=block_8(unit, pool),
            mixed_7c=block_8(unit, last),
            pool=d.head_pool,
        ),
        head=sequential(
            **dropout(d.dropout, upscales=d.dropout_upscales), dense=Dense(num_classes, bias=True)
        ),
    )
    return Network("inception_v3", layers, input_shape, "arXiv:1512.00567, table 1")
