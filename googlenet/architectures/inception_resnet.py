"""Inception-ResNet-v1 and -v2: "Inception-v4, Inception-ResNet and the Impact of Residual
Connections ...", arXiv:1602.07261.

Figures 10 to 19. A residual block adds its input to a linear 1×1 convolution with bias and no batch
norm of its branches, scaled down (section 3.3), and then has the ReLU. Version 2 is the authors'
release (TensorFlow-Slim), which all libraries follow: the stem of Inception-v3 and one Inception
block more in place of figure 3's stem, ten, twenty and ten blocks, the last of them without scale
and ReLU, and a 1×1 convolution before the head.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from ..spec.blocks import (
    avg_pool,
    batch_norm,
    called,
    concat,
    conv,
    conv_layer,
    dropout,
    max_pool,
    residual,
    sequential,
)
from ..spec.layers import (
    AdaptiveAvgPool,
    BatchNorm,
    Concat,
    Dense,
    GlobalAvgPool,
    Layer,
    Network,
    ReLU,
    Sequential,
    Shape,
)
from .inception_v3 import Unit, block_35, stem_rows
from .inception_v4 import COLUMN_3, COLUMN_7, ROW_3, ROW_7, reduction_a, repeat

SCALE_35, SCALE_17, SCALE_8 = 0.17, 0.10, 0.20  # the release; section 3.3: "between 0.1 and 0.3"


def residual_block(
    block: str, branches: Concat, channels: int, scale: float, *, relu: bool = True
) -> Sequential:
    """`relu(x + scale · up(branches(x)))`: (channels, H, W) unchanged; without `relu`, the sum
    itself. `block` is what the figure calls it.
    """
    add = residual(sequential(branches=branches, up=conv_layer(channels, 1)), scale=scale)
    layers = sequential(add=add, relu=ReLU()) if relu else sequential(add=add)
    return replace(layers, block=block)


# Version 1 ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DialectV1:
    """What defines an Inception-ResNet-v1 besides its figures. The defaults are the paper's."""

    #: Whether a further block on the 8×8 grid, without scale and ReLU, ends it.
    linear_block: bool = False
    #: The width of a dense layer with batch norm before the classifier, FaceNet's embedding; 0 for
    #: none.
    embedding: int = 0


DIALECTS_V1: Mapping[str, DialectV1] = {
    # github.com/davidsandberg/facenet, models/inception_resnet_v1.py; osmr/imgclsmob has the same
    "facenet": DialectV1(linear_block=True, embedding=512),
}


@called("Stem")
def _stem_v1(unit: Unit) -> Sequential:
    """Figure 14: (3, 299, 299) → (256, 35, 35)."""
    return sequential(
        conv_1a=unit(32, 3, stride=2),
        conv_2a=unit(32, 3),
        conv_2b=unit(64, 3, padding=1),
        pool_3a=max_pool(3, stride=2),
        conv_3b=unit(80, 1),
        conv_4a=unit(192, 3),
        conv_4b=unit(256, 3, stride=2),
    )


def _branches_v1(unit: Unit) -> tuple[Concat, Concat, Concat]:
    """Figures 10, 11 and 13: the branches on the 35×35, 17×17 and 8×8 grid."""
    grid_35 = concat(
        branch_1x1=unit(32, 1),
        branch_3x3=sequential(reduce=unit(32, 1), conv=unit(32, 3, padding=1)),
        branch_double_3x3=sequential(
            reduce=unit(32, 1), first=unit(32, 3, padding=1), second=unit(32, 3, padding=1)
        ),
    )
    grid_17 = concat(
        branch_1x1=unit(128, 1),
        branch_7x7=sequential(
            reduce=unit(128, 1), conv_1x7=unit(128, **ROW_7), conv_7x1=unit(128, **COLUMN_7)
        ),
    )
    grid_8 = concat(
        branch_1x1=unit(192, 1),
        branch_3x3=sequential(
            reduce=unit(192, 1), conv_1x3=unit(192, **ROW_3), conv_3x1=unit(192, **COLUMN_3)
        ),
    )
    return grid_35, grid_17, grid_8


@called("ReductionB")
def _reduction_b(unit: Unit, channels: tuple[int, int, int, int]) -> Concat:
    """Figures 12 and 18, from 17×17 to 8×8; channels of the four 3×3 convolutions,
    in their order.
    """
    plain, other, first, second = channels
    return concat(
        branch_3x3=sequential(reduce=unit(256, 1), conv=unit(plain, 3, stride=2)),
        branch_3x3_narrow=sequential(reduce=unit(256, 1), conv=unit(other, 3, stride=2)),
        branch_double_3x3=sequential(
            reduce=unit(256, 1), first=unit(first, 3, padding=1), second=unit(second, 3, stride=2)
        ),
        branch_pool=sequential(pool=max_pool(3, stride=2)),
    )


def inception_resnet_v1(
    *,
    num_classes: int = 1000,
    input_shape: Shape = (3, 299, 299),
    dialect: str | None = None,
    blocks: tuple[int, int, int] = (5, 10, 5),
) -> Network:
    """(C, H, W) images to (num_classes,) logits; figures 14 and 15; 22,756,328 parameters, in the
    dialect `facenet` 23,995,624.

    `blocks` is how many residual blocks each grid has. Raises `SpecError` if num_classes or
    input_shape is not positive, `KeyError` for another dialect.
    """
    d = DialectV1() if dialect is None else DIALECTS_V1[dialect]
    unit = partial(conv, norm=batch_norm(1e-3, 0.1))
    grid_35, grid_17, grid_8 = _branches_v1(unit)
    last: dict[str, Layer] = (
        {"linear": residual_block("InceptionResNetC", grid_8, 1792, 1.0, relu=False)}
        if d.linear_block
        else {}
    )
    classifier = Dense(num_classes, bias=True)
    if d.embedding:
        # A dense layer is a 1×1 convolution on a 1×1 map, which batch norm can follow.
        embedding = sequential(
            conv=conv_layer(d.embedding, 1, bias=False), norm=batch_norm(1e-3, 0.1)
        )
        end: dict[str, Layer] = {"pool": AdaptiveAvgPool((1, 1))}
        head = sequential(
            **dropout(0.2), embedding=embedding, flat=GlobalAvgPool(), dense=classifier
        )
    else:
        end = {"pool": GlobalAvgPool()}
        head = sequential(**dropout(0.2), dense=classifier)
    layers = sequential(
        stem=_stem_v1(unit),
        resnet_a=repeat(
            blocks[0], lambda: residual_block("InceptionResNetA", grid_35, 256, SCALE_35)
        ),
        reduction_a=reduction_a(unit, 192, 192, 256, 384),
        resnet_b=repeat(
            blocks[1], lambda: residual_block("InceptionResNetB", grid_17, 896, SCALE_17)
        ),
        reduction_b=_reduction_b(unit, (384, 256, 256, 256)),
        resnet_c=repeat(
            blocks[2],
            lambda: residual_block("InceptionResNetC", grid_8, 1792, SCALE_8),
            **last,
            **end,
        ),
        head=head,
    )
    return Network("inception_resnet_v1", layers, input_shape, "arXiv:1602.07261, figure 15")


# Version 2 ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DialectV2:
    """What defines an Inception-ResNet-v2 besides its table of channels. The defaults are ours,
    after the release.
    """

    norm: BatchNorm = batch_norm(1e-3, 0.1)
    dropout: float = 0.2  # the paper keeps 0.8


DIALECTS_V2: Mapping[str, DialectV2] = {
    # timm.models.inception_resnet_v2, 1.0
    "timm": DialectV2(dropout=0.0),
    # TensorFlow-Slim, the release: batch norm has no gamma
    "slim": DialectV2(norm=batch_norm(1e-3, 1 - 0.9997, scale=False)),
    # keras.applications.InceptionResNetV2: batch norm has no gamma
    "keras": DialectV2(norm=batch_norm(1e-3, 0.01, scale=False), dropout=0.0),
}


def _branches_v2(unit: Unit) -> tuple[Concat, Concat, Concat]:
    """Figures 16, 17 and 19: the branches on the 35×35, 17×17 and 8×8 grid."""
    grid_35 = concat(
        branch_1x1=unit(32, 1),
        branch_3x3=sequential(reduce=unit(32, 1), conv=unit(32, 3, padding=1)),
        branch_double_3x3=sequential(
            reduce=unit(32, 1), first=unit(48, 3, padding=1), second=unit(64, 3, padding=1)
        ),
    )
    grid_17 = concat(
        branch_1x1=unit(192, 1),
        branch_7x7=sequential(
            reduce=unit(128, 1), conv_1x7=unit(160, **ROW_7), conv_7x1=unit(192, **COLUMN_7)
        ),
    )
    grid_8 = concat(
        branch_1x1=unit(192, 1),
        branch_3x3=sequential(
            reduce=unit(192, 1), conv_1x3=unit(224, **ROW_3), conv_3x1=unit(256, **COLUMN_3)
        ),
    )
    return grid_35, grid_17, grid_8


def inception_resnet_v2(
    *,
    num_classes: int = 1000,
    input_shape: Shape = (3, 299, 299),
    dialect: str | None = None,
    blocks: tuple[int, int, int] = (10, 20, 9),
) -> Network:
    """(C, H, W) images to (num_classes,) logits; 55,843,464 parameters, in the dialect `keras`
    55,813,192.

    `blocks` is how many scaled residual blocks each grid has; a linear one follows the last.
    `dialect` is the library whose network to build, a key of `DIALECTS_V2`. Raises `SpecError` if
    num_classes or input_shape is not positive, `KeyError` for another dialect.
    """
    d = DialectV2() if dialect is None else DIALECTS_V2[dialect]
    unit = partial(conv, norm=d.norm)
    average = avg_pool(3, stride=1, padding=1, count_include_pad=False)
    grid_35, grid_17, grid_8 = _branches_v2(unit)
    layers = sequential(
        stem=stem_rows(unit),
        mixed_5b=block_35(unit, average, pool_proj=64, conv_1x1=96),
        resnet_a=repeat(
            blocks[0], lambda: residual_block("InceptionResNetA", grid_35, 320, SCALE_35)
        ),
        reduction_a=reduction_a(unit, 256, 256, 384, 384),
        resnet_b=repeat(
            blocks[1], lambda: residual_block("InceptionResNetB", grid_17, 1088, SCALE_17)
        ),
        reduction_b=_reduction_b(unit, (384, 288, 288, 320)),
        resnet_c=repeat(
            blocks[2],
            lambda: residual_block("InceptionResNetC", grid_8, 2080, SCALE_8),
            linear=residual_block("InceptionResNetC", grid_8, 2080, 1.0, relu=False),
            conv_7b=unit(1536, 1),
            pool=GlobalAvgPool(),
        ),
        head=sequential(**dropout(d.dropout), dense=Dense(num_classes, bias=True)),
    )
    return Network(
        "inception_resnet_v2", layers, input_shape, "arXiv:1602.07261, figure 15; stem as released"
    )
