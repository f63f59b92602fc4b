"""Inception-v4: "Inception-v4, Inception-ResNet and the Impact of Residual Connections on
Learning", arXiv:1602.07261.

Figures 3 to 9. What the figures do not say is as in the authors' release (TensorFlow-Slim): batch
norm with eps 1e-3 after each convolution, average pools that do not count padding; gamma and
momentum 0.1 are this project's. Where the figures and the release order 1×7 and 7×1 otherwise, the
release is right by most libraries, the figures by PaddleClas, see `DIALECTS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from ..spec.blocks import avg_pool, batch_norm, called, concat, conv, dropout, max_pool, sequential
from ..spec.layers import BatchNorm, Concat, Dense, GlobalAvgPool, Layer, Network, Sequential, Shape
from .inception_v3 import Unit

ROW_7, COLUMN_7 = (
    {"kernel_size": (1, 7), "padding": (0, 3)},
    {"kernel_size": (7, 1), "padding": (3, 0)},
)
ROW_3, COLUMN_3 = (
    {"kernel_size": (1, 3), "padding": (0, 1)},
    {"kernel_size": (3, 1), "padding": (1, 0)},
)
AVERAGE = avg_pool(3, stride=1, padding=1, count_include_pad=False)


@dataclass(frozen=True)
class Dialect:
    """What defines an Inception-v4 besides its figures. The defaults are the paper's."""

    norm: BatchNorm = batch_norm(1e-3, 0.1)
    dropout: float = 0.2  # the paper keeps 0.8
    #: Whether dropout divides by 1 − rate in training, or multiplies by it in evaluation.
    dropout_upscales: bool = True
    #: Whether branches, and kernels of 1×n and n×1, are in the order of the figures, in which the
    #: pool's branch comes first, or in that of the release.
    as_drawn: bool = False


DIALECTS: Mapping[str, Dialect] = {
    # timm.models.inception_v4, 1.0
    "timm": Dialect(dropout=0.0),
    # TensorFlow-Slim, the release: batch norm has no gamma
    "slim": Dialect(norm=batch_norm(1e-3, 1 - 0.9997, scale=False)),
    # mindcv.models.inceptionv4, 0.3
    "mindcv": Dialect(norm=batch_norm(1e-3, 1 - 0.9997)),
    # ppcls.arch.backbone.model_zoo.inception_v4, 2.6: eps is the framework's default, dropout that
    # of its first version
    "paddleclas": Dialect(norm=batch_norm(1e-5, 0.1), dropout_upscales=False, as_drawn=True),
}


def repeat(count: int, block: Callable[[], Layer], **after: Layer) -> Sequential:
    """`count` blocks in sequence, `block_1` and so on, then `after`."""
    return sequential(**{f"block_{i}": block() for i in range(1, count + 1)}, **after)


def _ordered(as_drawn: bool, branch_pool: Layer, **others: Layer) -> Concat:
    """The pool's branch before the others, as the figures have it, or behind them."""
    if as_drawn:
        return concat(branch_pool=branch_pool, **others)
    return concat(**others, branch_pool=branch_pool)


@called("Stem")
def stem(unit: Unit, as_drawn: bool = False) -> Sequential:
    """Figure 3: (3, 299, 299) → (384, 35, 35)."""
    long = {"conv_1x7": unit(64, **ROW_7), "conv_7x1": unit(64, **COLUMN_7)}
    return sequential(
        conv_1a=unit(32, 3, stride=2),
        conv_2a=unit(32, 3),
        conv_2b=unit(64, 3, padding=1),
        mixed_3a=concat(
            branch_pool=sequential(pool=max_pool(3, stride=2)),
            branch_3x3=sequential(conv=unit(96, 3, stride=2)),
        ),
        mixed_4a=concat(
            branch_3x3=sequential(reduce=unit(64, 1), conv=unit(96, 3)),
            branch_7x7=sequential(
                reduce=unit(64, 1),
                # The figure has 7×1 first; the release, and most libraries, 1×7.
                **(dict(reversed(long.items())) if as_drawn else long),
                conv=unit(96, 3),
            ),
        ),
        mixed_5a=concat(
            branch_3x3=sequential(conv=unit(192, 3, stride=2)),
            branch_pool=sequential(pool=max_pool(3, stride=2)),
        ),
    )


@called("InceptionA")
def inception_a(unit: Unit, as_drawn: bool = False) -> Concat:
    """Figure 4, on the 35×35 grid: (384, H, W) → (384, H, W)."""
    return _ordered(
        as_drawn,
        branch_1x1=unit(96, 1),
        branch_3x3=sequential(reduce=unit(64, 1), conv=unit(96, 3, padding=1)),
        branch_double_3x3=sequential(
            reduce=unit(64, 1), first=unit(96, 3, padding=1), second=unit(96, 3, padding=1)
        ),
        branch_pool=sequential(pool=AVERAGE, project=unit(96, 1)),
    )


@called("ReductionA")
# The paper's letters.
def reduction_a(
    unit: Unit,
    k: int,
    l: int,  # noqa: E741
    m: int,
    n: int,
    as_drawn: bool = False,
) -> Concat:
    """Figure 7, from 35×35 to 17×17: (C, H, W) → (n + m + C, ⌊(H − 1) / 2⌋, ⌊(W − 1) / 2⌋); k, l,
    m, n from table 1.
    """
    return _ordered(
        as_drawn,
        branch_3x3=sequential(conv=unit(n, 3, stride=2)),
        branch_double_3x3=sequential(
            reduce=unit(k, 1), first=unit(l, 3, padding=1), second=unit(m, 3, stride=2)
        ),
        branch_pool=sequential(pool=max_pool(3, stride=2)),
    )


@called("InceptionB")
def inception_b(unit: Unit, as_drawn: bool = False) -> Concat:
    """Figure 5, on the 17×17 grid: (1024, H, W) → (1024, H, W)."""
    # The figure has 1×7 first; the release, and most libraries, 7×1.
    double = (
        sequential(
            reduce=unit(192, 1),
            first_1x7=unit(192, **ROW_7),
            first_7x1=unit(224, **COLUMN_7),
            second_1x7=unit(224, **ROW_7),
            second_7x1=unit(256, **COLUMN_7),
        )
        if as_drawn
        else sequential(
            reduce=unit(192, 1),
            first_7x1=unit(192, **COLUMN_7),
            first_1x7=unit(224, **ROW_7),
            second_7x1=unit(224, **COLUMN_7),
            second_1x7=unit(256, **ROW_7),
        )
    )
    return _ordered(
        as_drawn,
        branch_1x1=unit(384, 1),
        branch_7x7=sequential(
            reduce=unit(192, 1), conv_1x7=unit(224, **ROW_7), conv_7x1=unit(256, **COLUMN_7)
        ),
        branch_double_7x7=double,
        branch_pool=sequential(pool=AVERAGE, project=unit(128, 1)),
    )


@called("ReductionB")
def reduction_b(unit: Unit, as_drawn: bool = False) -> Concat:
    """Figure 8, from 17×17 to 8×8: (1024, H, W) → (1536, ⌊(H − 1) / 2⌋, ⌊(W − 1) / 2⌋)."""
    return _ordered(
        as_drawn,
        branch_3x3=sequential(reduce=unit(192, 1), conv=unit(192, 3, stride=2)),
        branch_7x7=sequential(
            reduce=unit(256, 1),
            conv_1x7=unit(256, **ROW_7),
            conv_7x1=unit(320, **COLUMN_7),
            conv=unit(320, 3, stride=2),
        ),
        branch_pool=sequential(pool=max_pool(3, stride=2)),
    )


@called("InceptionC")
def inception_c(unit: Unit, as_drawn: bool = False) -> Concat:
    """Figure 6, on the 8×8 grid: (1536, H, W) → (1536, H, W)."""

    def split() -> Concat:
        return concat(conv_1x3=unit(256, **ROW_3), conv_3x1=unit(256, **COLUMN_3))

    # The figure has 1×3 first; the release, and most libraries, 3×1.
    double = (
        sequential(
            reduce=unit(384, 1),
            conv_1x3=unit(448, **ROW_3),
            conv_3x1=unit(512, **COLUMN_3),
            split=split(),
        )
        if as_drawn
        else sequential(
            reduce=unit(384, 1),
            conv_3x1=unit(448, **COLUMN_3),
            conv_1x3=unit(512, **ROW_3),
            split=split(),
        )
    )
    return _ordered(
        as_drawn,
        branch_1x1=unit(256, 1),
        branch_3x3=sequential(reduce=unit(384, 1), split=split()),
        branch_double_3x3=double,
        branch_pool=sequential(pool=AVERAGE, project=unit(256, 1)),
    )


def inception_v4(
    *,
    num_classes: int = 1000,
    input_shape: Shape = (3, 299, 299),
    dialect: str | None = None,
    blocks: tuple[int, int, int] = (4, 7, 3),
) -> Network:
    """(C, H, W) images to (num_classes,) logits; figure 9; 42,679,816 parameters.

    `dialect` is the library whose Inception-v4 to build, a key of `DIALECTS`; `blocks` is how many
    of figures 4, 5 and 6 follow each other. Raises `SpecError` if num_classes or input_shape is not
    positive, `KeyError` for another dialect.
    """
    d = Dialect() if dialect is None else DIALECTS[dialect]
    unit = partial(conv, norm=d.norm)
    drawn = d.as_drawn
    layers = sequential(
        stem=stem(unit, drawn),
        inception_a=repeat(blocks[0], lambda: inception_a(unit, drawn)),
        reduction_a=reduction_a(unit, 192, 224, 256, 384, drawn),
        inception_b=repeat(blocks[1], lambda: inception_b(unit, drawn)),
        reduction_b=reduction_b(unit, drawn),
        inception_c=repeat(blocks[2], lambda: inception_c(unit, drawn), pool=GlobalAvgPool()),
        head=sequential(
            **dropout(d.dropout, upscales=d.dropout_upscales), dense=Dense(num_classes, bias=True)
        ),
    )
    return Network("inception_v4", layers, input_shape, "arXiv:1602.07261, figure 9")
