"""GoogLeNet as published: "Going Deeper with Convolutions", arXiv:1409.4842, table 1 and section 5.

The paper leaves open how local response normalisation is parameterised and how the pools round; the authors' own settings are
those of the Caffe release (BVLC GoogLeNet): size 5, alpha 1e-4, beta 0.75, k 1, and pools that round up without padding.
"""

from ..blocks import avg_pool, conv, inception, local_response_norm, max_pool, sequential
from ..spec import Aux, Dense, Dropout, GlobalAvgPool, Layer, Network, ReLU, Sequential, Shape
from .googlenet import INCEPTION

AUX_LOSS_WEIGHT = 0.3  # section 5


def auxiliary_head(num_classes: int) -> Sequential:
    """The side classifier of section 5; its dense layer follows the size of the map (2048 inputs at 224×224)."""
    return sequential(
        pool=avg_pool(5, stride=3),
        conv=conv(128, 1),
        hidden=Dense(1024, bias=True),
        relu=ReLU(),
        dropout=Dropout(0.7),
        dense=Dense(num_classes, bias=True),
    )


def googlenet_paper(*, num_classes: int = 1000, input_shape: Shape = (3, 224, 224), aux: bool = False) -> Network:
    """The paper's network: (C, H, W) images to (num_classes,) logits; 6,998,552 parameters, with `aux` 13,378,280 at 224×224.

    `aux` adds the outputs `aux1` (after 4a) and `aux2` (after 4d). Raises `SpecError` if num_classes or input_shape is not
    positive.
    """

    def head(name: str) -> dict[str, Layer]:
        return {name: Aux(auxiliary_head(num_classes), AUX_LOSS_WEIGHT)} if aux else {}

    layers = sequential(
        b1=sequential(
            conv=conv(64, 7, stride=2, padding=3),
            pool=max_pool(3, stride=2, ceil_mode=True),
            norm=local_response_norm(),
        ),
        b2=sequential(
            reduce=conv(64, 1),
            conv=conv(192, 3, padding=1),
            norm=local_response_norm(),
            pool=max_pool(3, stride=2, ceil_mode=True),
        ),
        b3=sequential(
            inception_3a=inception(*INCEPTION["3a"]),
            inception_3b=inception(*INCEPTION["3b"]),
            pool=max_pool(3, stride=2, ceil_mode=True),
        ),
        b4=sequential(
            inception_4a=inception(*INCEPTION["4a"]),
            **head("aux1"),
            inception_4b=inception(*INCEPTION["4b"]),
            inception_4c=inception(*INCEPTION["4c"]),
            inception_4d=inception(*INCEPTION["4d"]),
            **head("aux2"),
            inception_4e=inception(*INCEPTION["4e"]),
            pool=max_pool(3, stride=2, ceil_mode=True),
        ),
        b5=sequential(
            inception_5a=inception(*INCEPTION["5a"]),
            inception_5b=inception(*INCEPTION["5b"]),
            pool=GlobalAvgPool(),
        ),
        head=sequential(dropout=Dropout(0.4), dense=Dense(num_classes, bias=True)),
    )
    return Network("googlenet_paper", layers, input_shape, "arXiv:1409.4842, table 1")
