"""GoogLeNet as *Dive into Deep Learning* builds it: section 8.4, "Multi-Branch Networks (GoogLeNet)".

The network of arXiv:1409.4842 without local response normalisation, dropout and auxiliary heads; every strided layer is padded.
The book's text trains at 96×96 although its code shows 224×224; 96×96 is the default here.
"""

from ..blocks import conv, inception, max_pool, sequential
from ..spec import Dense, GlobalAvgPool, Network, Shape

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


def googlenet(*, num_classes: int = 10, input_shape: Shape = (1, 96, 96)) -> Network:
    """The book's network: (C, H, W) images to (num_classes,) logits; 5,977,530 parameters as it stands.

    Raises `SpecError` if num_classes or input_shape is not positive.
    """
    layers = sequential(
        b1=sequential(conv=conv(64, 7, stride=2, padding=3), pool=max_pool(3, stride=2, padding=1)),
        b2=sequential(
            reduce=conv(64, 1),
            conv=conv(192, 3, padding=1),
            pool=max_pool(3, stride=2, padding=1),
        ),
        b3=sequential(
            inception_3a=inception(*INCEPTION["3a"]),
            inception_3b=inception(*INCEPTION["3b"]),
            pool=max_pool(3, stride=2, padding=1),
        ),
        b4=sequential(
            inception_4a=inception(*INCEPTION["4a"]),
            inception_4b=inception(*INCEPTION["4b"]),
            inception_4c=inception(*INCEPTION["4c"]),
            inception_4d=inception(*INCEPTION["4d"]),
            inception_4e=inception(*INCEPTION["4e"]),
            pool=max_pool(3, stride=2, padding=1),
        ),
        b5=sequential(
            inception_5a=inception(*INCEPTION["5a"]),
            inception_5b=inception(*INCEPTION["5b"]),
            pool=GlobalAvgPool(),
        ),
        head=sequential(dense=Dense(num_classes, bias=True)),
    )
    return Network("googlenet", layers, input_shape, "Dive into Deep Learning, section 8.4")
