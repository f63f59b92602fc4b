"""GoogLeNet as published: "Going Deeper with Convolutions", arXiv:1409.4842, table 1 and section 5;
and as in four libraries.

The paper does not say how local response normalisation is parameterised or how the pools round; the
authors' own settings are those of the Caffe release (BVLC GoogLeNet): size 5, alpha 1e-4, beta
0.75, k 1, and pools that round up without padding.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from ..spec.blocks import (
    PaddingLike,
    avg_pool,
    batch_norm,
    called,
    conv,
    dropout,
    inception,
    local_response_norm,
    max_pool,
    sequential,
)
from ..spec.layers import (
    SAME,
    AdaptiveAvgPool,
    Aux,
    BatchNorm,
    Dense,
    GlobalAvgPool,
    Layer,
    MaxPool,
    Network,
    ReLU,
    Sequential,
    Shape,
)
from .googlenet import INCEPTION

AUX_LOSS_WEIGHT = 0.3  # section 5


@dataclass(frozen=True)
class Dialect:
    """What defines a GoogLeNet besides its table of channels. The defaults are the paper's."""

    bias: bool = True
    norm: BatchNorm | None = None
    local_response_norm: bool = True
    #: Whether a ReLU follows every convolution, or only the last one of each branch, as if it
    #: followed the concatenation.
    relu_everywhere: bool = True
    kernel_5x5: int = 5
    stem_padding: PaddingLike = 3
    pool: MaxPool = max_pool(3, stride=2, ceil_mode=True)
    last_pool: MaxPool = max_pool(3, stride=2, ceil_mode=True)
    head_pool: Layer = GlobalAvgPool()
    dropout: float = 0.4
    #: Whether dropout divides by 1 − rate in training, or multiplies by it in evaluation.
    dropout_upscales: bool = True
    aux_pool: Layer = avg_pool(5, stride=3)
    #: Whether the second auxiliary head has a ReLU after its hidden layer, as the first has.
    aux2_relu: bool = True


# The third branch has 3×3 for 5×5: https://github.com/pytorch/vision/issues/906. The last pool is
# 2×2.
_TORCHVISION: Final = Dialect(
    bias=False,
    norm=batch_norm(1e-3, 0.1),
    local_response_norm=False,
    kernel_5x5=3,
    last_pool=max_pool(2, stride=2, ceil_mode=True),
    dropout=0.2,
    aux_pool=AdaptiveAvgPool((4, 4)),
)

DIALECTS: Mapping[str, Dialect] = {
    # torchvision.models.googlenet, 0.28
    "torchvision": _TORCHVISION,
    # gluoncv.model_zoo.googlenet, 0.10.5: torchvision's, but the last pool rounds down and the
    # head's window is fixed. Its dense layer takes only one window: a larger image, which it
    # refuses, is averaged over all windows here.
    "gluoncv": Dialect(
        bias=False,
        norm=batch_norm(1e-3, 0.1),
        local_response_norm=False,
        kernel_5x5=3,
        last_pool=max_pool(2, stride=2),
        head_pool=sequential(window=avg_pool(7, stride=7), mean=GlobalAvgPool()),
    ),
    # TensorFlow-Slim's InceptionV1: everything pads as SAME, batch norm has no gamma, and there are
    # no auxiliary heads.
    "slim": Dialect(
        bias=False,
        norm=batch_norm(1e-3, 1 - 0.9997, scale=False),
        local_response_norm=False,
        kernel_5x5=3,
        stem_padding=SAME,
        pool=max_pool(3, stride=2, padding=SAME),
        last_pool=max_pool(2, stride=2, padding=SAME),
        dropout=0.2,
    ),
    # mindcv.models.googlenet, 0.3: MindSpore's convolutions have no bias and pad as SAME by
    # default.
    "mindcv": Dialect(
        bias=False,
        local_response_norm=False,
        stem_padding=SAME,
        pool=max_pool(3, stride=2, padding=SAME),
        last_pool=max_pool(2, stride=2, padding=SAME),
        dropout=0.2,
    ),
    # paddle.vision.models.googlenet, 3.3: ReLU only after the concatenations; the second head has
    # none at all.
    "paddle": Dialect(
        bias=False,
        local_response_norm=False,
        relu_everywhere=False,
        pool=max_pool(3, stride=2),
        last_pool=max_pool(3, stride=2),
        dropout_upscales=False,
        aux2_relu=False,
    ),
}


@called("AuxiliaryHead")
def _aux_head(num_classes: int, dialect: Dialect, *, relu: bool) -> Sequential:
    """The side classifier of section 5; its dense layer depends on the size of the map (2048 inputs
    at 224×224).
    """
    layers: dict[str, Layer] = {
        "pool": dialect.aux_pool,
        "conv": conv(128, 1, norm=dialect.norm, bias=dialect.bias, relu=dialect.relu_everywhere),
        "hidden": Dense(1024, bias=True),
    }
    if relu:
        layers["relu"] = ReLU()
    return sequential(
        **layers,
        **dropout(0.7, upscales=dialect.dropout_upscales),
        dense=Dense(num_classes, bias=True),
    )


def googlenet_paper(
    *,
    num_classes: int = 1000,
    input_shape: Shape = (3, 224, 224),
    aux: bool = False,
    dialect: str | None = None,
) -> Network:
    """The paper's network: (C, H, W) images to (num_classes,) logits; 6,998,552 parameters, with
    `aux` 13,378,280 at 224×224.

    `aux` adds the outputs `aux1` (after 4a) and `aux2` (after 4d). `dialect` is the library whose
    GoogLeNet to build, a key of `DIALECTS`. Raises `SpecError` if num_classes or input_shape is not
    positive, `KeyError` for another dialect.
    """
    d = Dialect() if dialect is None else DIALECTS[dialect]
    unit = partial(conv, norm=d.norm, bias=d.bias)
    block = partial(
        inception,
        norm=d.norm,
        bias=d.bias,
        relu_after_reduce=d.relu_everywhere,
        kernel_5x5=d.kernel_5x5,
    )
    norm: dict[str, Layer] = {"norm": local_response_norm()} if d.local_response_norm else {}

    def head(name: str, *, relu: bool = True) -> dict[str, Layer]:
        return {name: Aux(_aux_head(num_classes, d, relu=relu), AUX_LOSS_WEIGHT)} if aux else {}

    layers = sequential(
        b1=sequential(
            conv=unit(64, 7, stride=2, padding=d.stem_padding, relu=d.relu_everywhere),
            pool=d.pool,
            **norm,
        ),
        b2=sequential(
            reduce=unit(64, 1, relu=d.relu_everywhere),
            conv=unit(192, 3, padding=1, relu=d.relu_everywhere),
            **norm,
            pool=d.pool,
        ),
        b3=sequential(
            inception_3a=block(*INCEPTION["3a"]),
            inception_3b=block(*INCEPTION["3b"]),
            pool=d.pool,
        ),
        b4=sequential(
            inception_4a=block(*INCEPTION["4a"]),
            **head("aux1"),
            inception_4b=block(*INCEPTION["4b"]),
            inception_4c=block(*INCEPTION["4c"]),
            inception_4d=block(*INCEPTION["4d"]),
            **head("aux2", relu=d.aux2_relu),
            inception_4e=block(*INCEPTION["4e"]),
            pool=d.last_pool,
        ),
        b5=sequential(
            inception_5a=block(*INCEPTION["5a"]),
            inception_5b=block(*INCEPTION["5b"]),
            pool=d.head_pool,
        ),
        head=sequential(
            **dropout(d.dropout, upscales=d.dropout_upscales), dense=Dense(num_classes, bias=True)
        ),
    )
    return Network("googlenet_paper", layers, input_shape, "arXiv:1409.4842, table 1")
