"""BN-Inception: "Batch Normalization: Accelerating Deep Network Training ...", arXiv:1502.03167,
figure 5.

A convolution before batch norm needs no bias (section 3.2) and has none here; the Caffe release has
biases anyway: dialect `caffe`. The table's output size 576 after 4c is a slip: its columns add up
to 608. Eps, and pools that round up, are from the release too: the branches only meet on even maps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from ..spec.blocks import avg_pool, batch_norm, called, concat, conv, max_pool, sequential
from ..spec.layers import Concat, Dense, GlobalAvgPool, Layer, Network, Sequential, Shape

# Columns: #1×1, #3×3 reduce, #3×3, double #3×3 reduce, double #3×3, pool proj; the pool is an
# average except in 5b.
INCEPTION = {
    "3a": (64, 64, 64, 64, 96, 32),
    "3b": (64, 64, 96, 64, 96, 64),
    "4a": (224, 64, 96, 96, 128, 128),
    "4b": (192, 96, 128, 96, 128, 128),
    "4c": (160, 128, 160, 128, 160, 128),
    "4d": (96, 128, 192, 160, 192, 128),
    "5a": (352, 192, 320, 160, 224, 128),
    "5b": (352, 192, 320, 192, 224, 128),
}
# Stride 2; columns: #3×3 reduce, #3×3, double #3×3 reduce, double #3×3. The pool passes its input's
# channels through.
REDUCTION = {
    "3c": (128, 160, 64, 96),
    "4e": (128, 192, 192, 256),
}


@dataclass(frozen=True)
class Dialect:
    """What defines a BN-Inception besides its table of channels. The default is the paper's."""

    bias: bool = False


DIALECTS: Mapping[str, Dialect] = {
    # The authors' and third parties' Caffe models: convolutions with bias.
    "caffe": Dialect(bias=True),
}


def bn_inception(
    *, num_classes: int = 1000, input_shape: Shape = (3, 224, 224), dialect: str | None = None
) -> Network:
    """(C, H, W) images to (num_classes,) logits; 11,285,224 parameters, in the dialect `caffe`
    11,295,240.

    Raises `SpecError` if num_classes or input_shape is not positive, `KeyError` for another
    dialect.
    """
    unit = partial(
        conv, norm=batch_norm(), bias=(Dialect() if dialect is None else DIALECTS[dialect]).bias
    )

    def double(reduce: int, channels: int, stride: int) -> Sequential:
        return sequential(
            reduce=unit(reduce, 1),
            first=unit(channels, 3, padding=1),
            second=unit(channels, 3, stride, 1),
        )

    @called("Inception")
    def block(name: str, pool: Layer = avg_pool(3, stride=1, padding=1)) -> Concat:
        conv_1x1, reduce_3x3, conv_3x3, reduce_double, conv_double, pool_proj = INCEPTION[name]
        return concat(
            branch_1x1=unit(conv_1x1, 1),
            branch_3x3=sequential(reduce=unit(reduce_3x3, 1), conv=unit(conv_3x3, 3, padding=1)),
            branch_double_3x3=double(reduce_double, conv_double, 1),
            branch_pool=sequential(pool=pool, project=unit(pool_proj, 1)),
        )

    @called("Reduction")
    def reduction(name: str) -> Concat:
        reduce_3x3, conv_3x3, reduce_double, conv_double = REDUCTION[name]
        return concat(
            branch_3x3=sequential(reduce=unit(reduce_3x3, 1), conv=unit(conv_3x3, 3, 2, 1)),
            branch_double_3x3=double(reduce_double, conv_double, 2),
            branch_pool=sequential(pool=max_pool(3, stride=2, ceil_mode=True)),
        )

    layers = sequential(
        b1=sequential(
            conv=unit(64, 7, stride=2, padding=3), pool=max_pool(3, stride=2, ceil_mode=True)
        ),
        b2=sequential(
            reduce=unit(64, 1),
            conv=unit(192, 3, padding=1),
            pool=max_pool(3, stride=2, ceil_mode=True),
        ),
        b3=sequential(
            inception_3a=block("3a"),
            inception_3b=block("3b"),
            inception_3c=reduction("3c"),
        ),
        b4=sequential(
            inception_4a=block("4a"),
            inception_4b=block("4b"),
            inception_4c=block("4c"),
            inception_4d=block("4d"),
            inception_4e=reduction("4e"),
        ),
        b5=sequential(
            inception_5a=block("5a"),
            inception_5b=block("5b", pool=max_pool(3, stride=1, padding=1)),
            pool=GlobalAvgPool(),
        ),
        head=sequential(dense=Dense(num_classes, bias=True)),
    )
    return Network("bn_inception", layers, input_shape, "arXiv:1502.03167, figure 5")
