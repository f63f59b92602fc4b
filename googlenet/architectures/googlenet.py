"""GoogLeNet as *Dive into Deep Learning* builds it: section 8.4, "Multi-Branch Networks
(GoogLeNet)".

The network of arXiv:1409.4842 without local response normalisation, dropout and auxiliary heads;
every strided layer is padded. The book's text trains at 96×96 although its code shows 224×224;
96×96 is the default here. `googlenet_bn` is the book's first exercise: batch normalisation after
each convolution, which then needs no bias (arXiv:1502.03167, section 3.2).
"""

from functools import partial

from ..spec.blocks import batch_norm, conv, inception, max_pool, sequential
from ..spec.layers import BatchNorm, Dense, GlobalAvgPool, Network, Sequential, Shape

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


def _layers(num_classes: int, norm: BatchNorm | None) -> Sequential:
    unit, block = partial(conv, norm=norm), partial(inception, norm=norm)
    return sequential(
        b1=sequential(conv=unit(64, 7, stride=2, padding=3), pool=max_pool(3, stride=2, padding=1)),
        b2=sequential(
            reduce=unit(64, 1),
            conv=unit(192, 3, padding=1),
            pool=max_pool(3, stride=2, padding=1),
        ),
        b3=sequential(
            inception_3a=block(*INCEPTION["3a"]),
            inception_3b=block(*INCEPTION["3b"]),
            pool=max_pool(3, stride=2, padding=1),
        ),
        b4=sequential(
            inception_4a=block(*INCEPTION["4a"]),
            inception_4b=block(*INCEPTION["4b"]),
            inception_4c=block(*INCEPTION["4c"]),
            inception_4d=block(*INCEPTION["4d"]),
            inception_4e=block(*INCEPTION["4e"]),
            pool=max_pool(3, stride=2, padding=1),
        ),
        b5=sequential(
            inception_5a=block(*INCEPTION["5a"]),
            inception_5b=block(*INCEPTION["5b"]),
            pool=GlobalAvgPool(),
        ),
        head=sequential(dense=Dense(num_classes, bias=True)),
    )


def googlenet(*, num_classes: int = 10, input_shape: Shape = (1, 96, 96)) -> Network:
    """The book's network: (C, H, W) images to (num_classes,) logits; 5,977,530 parameters as it
    stands.

    Raises `SpecError` if num_classes or input_shape is not positive.
    """
    return Network("googlenet", _layers(num_classes, None), input_shape, SOURCE)


def googlenet_bn(*, num_classes: int = 10, input_shape: Shape = (1, 96, 96)) -> Network:
    """The book's network with batch norm: (C, H, W) images to (num_classes,) logits; 5,984,810
    parameters as it stands.

    Raises `SpecError` if num_classes or input_shape is not positive.
    """
    return Network(
        "googlenet_bn", _layers(num_classes, batch_norm()), input_shape, f"{SOURCE}, exercise 1"
    )
