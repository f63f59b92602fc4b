"""GoogLeNet as *Dive into Deep Learning* builds it: section 8.4, "Multi-Branch Networks
(GoogLeNet)".

The network of arXiv:1409.4842 without local response normalisation, dropout and auxiliary heads;
every strided layer is padded. The book's text trains at 96×96 although its code shows 224×224;
96×96 is the default here. `googlenet_bn` is the book's first exercise: batch normalisation after
each convolution, which then needs no bias (arXiv:1502.03167, section 3.2). The book's code is two
functions, see `DIALECTS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from ..spec.blocks import PaddingLike, batch_norm, conv, inception, max_pool, sequential
from ..spec.layers import SAME, BatchNorm, Dense, GlobalAvgPool, Network, Sequential, Shape

# Columns: #1×1, #3×3 reduce, #3×3, #5×5 reduce, #5×5, pool proj (arXiv:1409.4842, table 1).
INCEPTION = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}

SOURCE = "Dive into Deep Learning, section 8.4"


@dataclass(frozen=True)
class Dialect:
    """How the strided layers are padded. The defaults are those of the book in PyTorch, MXNet and
    PaddlePaddle.
    """

    stem_padding: PaddingLike = 3
    pool_padding: PaddingLike = 1


DIALECTS: Mapping[str, Dialect] = {
    # The book in TensorFlow, and in JAX: another function where a side is even
    "d2l_tensorflow": Dialect(SAME, SAME),
}


def _layers(num_classes: int, norm: BatchNorm | None, d: Dialect = Dialect()) -> Sequential:
    unit, block = partial(conv, norm=norm), partial(inception, norm=norm)
    pool = max_pool(3, stride=2, padding=d.pool_padding)
    return sequential(
        b1=sequential(conv=unit(64, 7, stride=2, padding=d.stem_padding), pool=pool),
        b2=sequential(
            reduce=unit(64, 1),
            conv=unit(192, 3, padding=1),
            pool=pool,
        ),
        b3=sequential(
            inception_3a=block(*INCEPTION["3a"]),
            inception_3b=block(*INCEPTION["3b"]),
            pool=pool,
        ),
        b4=sequential(
            inception_4a=block(*INCEPTION["4a"]),
            inception_4b=block(*INCEPTION["4b"]),
            inception_4c=block(*INCEPTION["4c"]),
            inception_4d=block(*INCEPTION["4d"]),
            inception_4e=block(*INCEPTION["4e"]),
            pool=pool,
        ),
        b5=sequential(
            inception_5a=block(*INCEPTION["5a"]),
            inception_5b=block(*INCEPTION["5b"]),
            pool=GlobalAvgPool(),
        ),
        head=sequential(dense=Dense(num_classes, bias=True)),
    )


def googlenet(
    *, num_classes: int = 10, input_shape: Shape = (1, 96, 96), dialect: str | None = None
) -> Network:
    """The book's network: (C, H, W) images to (num_classes,) logits; 5,977,530 parameters as it
    stands.

    `dialect` is a key of `DIALECTS`. Raises `SpecError` if num_classes or input_shape is not
    positive, `KeyError` for another dialect.
    """
    d = Dialect() if dialect is None else DIALECTS[dialect]
    return Network("googlenet", _layers(num_classes, None, d), input_shape, SOURCE)


def googlenet_bn(*, num_classes: int = 10, input_shape: Shape = (1, 96, 96)) -> Network:
    """The book's network with batch norm: (C, H, W) images to (num_classes,) logits; 5,984,810
    parameters as it stands.

    Raises `SpecError` if num_classes or input_shape is not positive.
    """
    return Network(
        "googlenet_bn", _layers(num_classes, batch_norm()), input_shape, f"{SOURCE}, exercise 1"
    )
