"""The traps, one row each: what goes wrong, why, who says what is right, and what is measured.

What each framework's users write is in the plugins (`traps.py`); no number stands here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from difflib import get_close_matches
from typing import Final

from ...errors import UnknownNameError
from ...spec.blocks import avg_pool, batch_norm, conv_layer, local_response_norm, max_pool
from ...spec.layers import Dense, Dropout, GlobalAvgPool
from .question import Question, on_batches, on_draws, on_dropout, on_layer, on_loss

BOOK = "Dive into Deep Learning, section 8.4"
NORM = "arXiv:1502.03167"
V3 = "arXiv:1512.00567"
LRN = "Krizhevsky et al. 2012, section 3.3"


@dataclass(frozen=True)
class Trap:
    """One trap: `wrong` is what happens, `why` how it comes about, `source` the paper or book whose
    function is the right one, and `measured` what an answer is. `ask` makes the question.
    """

    name: str
    title: str
    _: KW_ONLY
    wrong: str
    why: str
    source: str
    measured: str = "output"
    ask: Callable[[], Question]


_PADDING = (
    Trap(
        "same-convolution",
        "SAME padding of a convolution at stride 2",
        wrong="The convolution looks at other pixels: it begins one pixel later.",
        why="On an even input SAME pads less before it than after it, 2 and 3 rows for a 7×7 kernel"
        " at stride 2; the book's other tabs and the papers' code pad 3 and 3. Shapes and counts"
        " are the same. Measured here on two handwritten digits.",
        source=BOOK,
        ask=lambda: on_layer(conv_layer(64, 7, 2, 3), (1, 96, 96), digits=True),
    ),
    Trap(
        "same-pooling",
        "SAME padding of a max pool at stride 2",
        wrong="Every window begins one pixel later.",
        why="SAME pads a 3×3 window at stride 2 by 0 rows before an even input and 1 after it, not"
        " by 1 and 1.",
        source=BOOK,
        ask=lambda: on_layer(max_pool(3, 2, 1), (64, 48, 48)),
    ),
    Trap(
        "zero-padding",
        "Zeros around the input of a max pool",
        wrong="At the border, 0 wins over negative values.",
        why="A max pool's padding is −∞. Zeros before an unpadded pool give the same only after a"
        " ReLU; a pool on the output of a convolution or batch norm differs.",
        source="docs/spec.md",
        ask=lambda: on_layer(max_pool(3, 2, 1), (64, 48, 48)),
    ),
    Trap(
        "default-padding",
        "A convolution whose padding is not given",
        wrong="The map keeps its size where all others lose the border.",
        why="No padding means none in most frameworks, and SAME in some.",
        source=BOOK,
        ask=lambda: on_layer(conv_layer(16, 3), (8, 12, 12)),
    ),
)

_POOLING = (
    Trap(
        "ceil-mode",
        "Pools that round their size down",
        wrong="The map is one row and one column smaller: 55×55 after the first pool, not 56×56.",
        why="Caffe rounds a pool's size up, and GoogLeNet's 224, 112, 56, 28, 14, 7 need it. Most"
        " frameworks round down unless told otherwise.",
        source="arXiv:1409.4842, table 1",
        ask=lambda: on_layer(max_pool(3, 2, ceil_mode=True), (8, 112, 112)),
    ),
    Trap(
        "ceil-window",
        "A window that sees only padding",
        wrong="The map has a further row and column, with a maximum of −3.4e38.",
        why="When sizes round up, a last window that would begin beyond the input and its leading"
        " padding is left out (Caffe, PyTorch); some frameworks keep it.",
        source="docs/spec.md",
        ask=lambda: on_layer(max_pool(2, 3, 1, ceil_mode=True), (8, 5, 5)),
    ),
    Trap(
        "pool-stride",
        "A pool whose stride is not given",
        wrong="Windows overlap, and the map is not halved.",
        why="The default stride is the kernel in most frameworks, and 1 in some.",
        source="arXiv:1409.1556",
        ask=lambda: on_layer(max_pool(2, 2), (8, 12, 12)),
    ),
    Trap(
        "average-border",
        "An average pool that must count its padding",
        wrong="Values at the border are too large: they are divided by 4 or 6, not by 9.",
        why="Inception-v3 as torchvision and timm have it divides by the whole window at the"
        " border; frameworks disagree on the default.",
        source="torchvision's inception_v3",
        ask=lambda: on_layer(avg_pool(3, 1, 1), (16, 35, 35)),
    ),
    Trap(
        "average-border-excluded",
        "An average pool that must not count its padding",
        wrong="Values at the border are too small: they are divided by 9, not by 4 or 6.",
        why="Inception-v3 as Keras has it, Inception-v4 and Inception-ResNet divide by what is in"
        " the input; frameworks disagree on the default.",
        source="arXiv:1602.07261, as its authors' code has it",
        ask=lambda: on_layer(avg_pool(3, 1, 1, count_include_pad=False), (16, 35, 35)),
    ),
    Trap(
        "auxiliary-pool",
        "The pool of an auxiliary head: windows, or an output size",
        wrong="Windows are 4×4, not 5×5, and lie elsewhere; shapes are the same at 224×224.",
        why="The paper's head has 5×5 windows at stride 3, which give 4×4 of a 14×14 map;"
        " torchvision asks for an output of 4×4.",
        source="arXiv:1409.4842, section 5",
        ask=lambda: on_layer(avg_pool(5, 3), (16, 14, 14)),
    ),
    Trap(
        "head-pool",
        "A global average with a fixed window",
        wrong="Everything outside the first window of the map is ignored, or there are several"
        " averages instead of one.",
        why="A 7×7 window is the whole map at 224×224, and only a part of it at larger sizes. Here"
        " the map is 9×9.",
        source=BOOK,
        ask=lambda: on_layer(GlobalAvgPool(), (16, 9, 9)),
    ),
)

#: As large as activations on pixels of 0 to 255 are.
_LARGE = 100.0
_NORMALISED = "Maps are as large as on pixels of 0 to 255, without which alpha hardly counts."

_RESPONSE = (
    Trap(
        "lrn-alpha",
        "Local response norm: alpha, or alpha divided by size",
        wrong="The sum of squares counts five times as much.",
        why="Caffe's alpha is divided by the window's size; some frameworks take it as it is. "
        + _NORMALISED,
        source="arXiv:1409.4842, as Caffe has it",
        ask=lambda: on_layer(local_response_norm(5, 1e-4, 0.75, 1.0), (10, 9, 9), scale=_LARGE),
    ),
    Trap(
        "lrn-window",
        "Local response norm: size, or radius",
        wrong="The window has 11 channels, not 5.",
        why="A window of size 5 has a radius of 2; some frameworks ask for one, some for the"
        " other. " + _NORMALISED,
        source=LRN,
        ask=lambda: on_layer(local_response_norm(5, 1e-4, 0.75, 1.0), (10, 9, 9), scale=_LARGE),
    ),
    Trap(
        "lrn-defaults",
        "Local response norm as it comes",
        wrong="Another function altogether, or another k.",
        why="Defaults follow Caffe, AlexNet's paper (k = 2), or neither. " + _NORMALISED,
        source="arXiv:1409.4842, as Caffe has it",
        ask=lambda: on_layer(local_response_norm(5, 1e-4, 0.75, 1.0), (10, 9, 9), scale=_LARGE),
    ),
)

_BATCH_NORM = (
    Trap(
        "norm-eps",
        "Batch norm's eps",
        wrong="Every value is scaled up, most in channels of small variance.",
        why="The Inception networks were published with 1e-3; most frameworks have 1e-5. Here the"
        " running variance is about 0.01.",
        source=f"{V3}, as its authors' code has it",
        ask=lambda: on_layer(batch_norm(1e-3, 0.1), (8, 9, 9), scale=0.1, statistics_scale=0.01),
    ),
    Trap(
        "norm-momentum",
        "Batch norm's momentum of 0.1",
        wrong="The running mean takes nine tenths of every batch, not one tenth.",
        why="In PyTorch and in the spec here, momentum is the weight of the new batch; elsewhere it"
        " is that of the old mean, so that the same number means the opposite.",
        source="docs/spec.md",
        measured="running mean after one step",
        ask=lambda: on_layer(
            batch_norm(1e-5, 0.1), (8, 5, 5), train=True, observed="layer.running_mean"
        ),
    ),
    Trap(
        "norm-momentum-default",
        "Batch norm's momentum as it comes",
        wrong="The running mean follows ten times more slowly.",
        why="Most frameworks keep nine tenths of the old mean in each step; some keep 99"
        " hundredths.",
        source="docs/spec.md",
        measured="running mean after one step",
        ask=lambda: on_layer(
            batch_norm(1e-5, 0.1), (8, 5, 5), train=True, observed="layer.running_mean"
        ),
    ),
    Trap(
        "norm-variance",
        "Batch norm's running variance: biased or not",
        wrong="The running variance is too small: by an eighth of the batch's share here, where a"
        " channel has 8 values.",
        why="The paper's inference uses n / (n − 1) times the batch's variance; some frameworks"
        " leave the factor out. The spec leaves this to the framework, and says which it is.",
        source=f"{NORM}, algorithm 2, step 10",
        measured="running variance after one step",
        ask=lambda: on_layer(
            batch_norm(1e-5, 0.1),
            (8, 2, 2),
            train=True,
            observed="layer.running_var",
            unbiased=True,
        ),
    ),
    Trap(
        "norm-statistics",
        "Running statistics after a forward pass",
        wrong="They have not moved.",
        why="In most frameworks a forward pass in training mode moves them; in one the backward"
        " pass does, and statistics cannot be recalibrated by forward passes there.",
        source=f"{NORM}, algorithm 2",
        measured="running mean after one pass",
        ask=lambda: on_layer(
            batch_norm(1e-5, 0.1),
            (8, 5, 5),
            train=True,
            observed="layer.running_mean",
            fresh=True,
        ),
    ),
    Trap(
        "norm-gamma",
        "Batch norm's operator and its gamma",
        wrong="The weight is ignored.",
        why="The operator behind a layer has its own defaults, and one of them fixes gamma to 1.",
        source=f"{NORM}, algorithm 1",
        ask=lambda: on_layer(batch_norm(1e-3, 0.1), (8, 5, 5)),
    ),
)

_PARAMETERS = (
    Trap(
        "convolution-bias",
        "A convolution that has no bias by default",
        wrong="The convolution has no bias.",
        why="All other frameworks, and the book, have one unless told otherwise.",
        source=BOOK,
        measured="trainable parameters",
        ask=lambda: on_layer(conv_layer(64, 1), (192, 12, 12), observed="parameters"),
    ),
    Trap(
        "bias-none",
        "A convolution whose bias is None",
        wrong="The convolution has no bias.",
        why="In PaddlePaddle None stands for the default, which is a bias, and False for none."
        " Where the argument is a boolean, None is false.",
        source=BOOK,
        measured="trainable parameters",
        ask=lambda: on_layer(conv_layer(32, 5, 1, 2), (16, 12, 12), observed="parameters"),
    ),
    Trap(
        "parameter-count",
        "Counting batch norm's parameters",
        wrong="Running mean and variance are counted as parameters: 4 for each channel, not 2.",
        why="They are buffers in one framework, and parameters that are not trained in others.",
        source=f"{NORM}, algorithm 1",
        measured="trainable parameters",
        ask=lambda: on_layer(batch_norm(1e-3, 0.1), (8, 5, 5), observed="parameters"),
    ),
    Trap(
        "flatten-order",
        "A dense layer on a map whose channels come last",
        wrong="Each weight meets another pixel.",
        why="A dense weight counts through the map in the order in which it was flattened: (C, H,"
        " W) in most frameworks, (H, W, C) where channels come last. The shapes are the same.",
        source="docs/spec.md",
        ask=lambda: on_layer(Dense(7, bias=False), (3, 4, 5)),
    ),
)

_MODES = (
    Trap(
        "evaluation-mode",
        "Predicting with a network as it was built",
        wrong="Batch norm uses the batch's statistics, and dropout drops: predictions depend on the"
        " other images.",
        why="A new network is in training mode in some frameworks, in evaluation mode in others.",
        source=f"{NORM}, algorithm 2",
        ask=lambda: on_layer(batch_norm(1e-5, 0.1), (8, 5, 5), fresh=True),
    ),
    Trap(
        "training-mode",
        "Training a network as it was built",
        wrong="Batch norm uses the running statistics, which do not move, and dropout drops"
        " nothing.",
        why="A new network is in training mode in some frameworks, in evaluation mode in others.",
        source=f"{NORM}, algorithm 2",
        ask=lambda: on_layer(batch_norm(1e-5, 0.1), (8, 5, 5), fresh=True, train=True),
    ),
    Trap(
        "dropout-rate",
        "Dropout of 0.4: dropped, or kept",
        wrong="Six elements in ten are dropped, not four.",
        why="The first argument is the rate in most frameworks, and in one the share that is kept.",
        source="arXiv:1409.4842, section 5",
        measured="share of zeros in training",
        ask=lambda: on_dropout(Dropout(0.4), 0.4, (64, 32, 32)),
    ),
    Trap(
        "dropout-mode",
        "Dropout that scales when it predicts",
        wrong="In evaluation everything is multiplied by 0.6.",
        why="Dropout divides by 1 − rate in training, or multiplies by it in evaluation. Weights"
        " trained one way are wrong the other way. PaddlePaddle's own googlenet and inception_v3"
        " have the older way.",
        source="Srivastava et al. 2014, in the inverted form",
        ask=lambda: on_layer(Dropout(0.4), (8, 5, 5)),
    ),
)

_LOSS = (
    Trap(
        "label-smoothing",
        "Label smoothing over K classes, or K − 1",
        wrong="The right class gets 1 − e, and each of the others e / (K − 1).",
        why="The paper mixes the labels with the uniform distribution over all K classes, the right"
        " one included. Here e is 0.1 and K 10.",
        source=f"{V3}, section 7",
        measured="gradient of the loss",
        ask=lambda: on_loss(0.1),
    ),
    Trap(
        "softmax-layer",
        "A softmax layer before a loss that takes logits",
        wrong="The network trains on the softmax of a softmax: gradients are small and lead"
        " elsewhere.",
        why="The loss applies the softmax itself. Nothing fails: probabilities are valid logits."
        " The book's TensorFlow tab once did this (d2l-en#1096).",
        source=BOOK,
        measured="gradient of the loss",
        ask=lambda: on_loss(),
    ),
    Trap(
        "softmax-function",
        "The function softmax before a loss that takes logits",
        wrong="The network trains on the softmax of a softmax: gradients are small and lead"
        " elsewhere.",
        why="The loss applies the softmax itself. A framework that finds the logits behind a layer"
        " may not find them behind a function.",
        source=BOOK,
        measured="gradient of the loss",
        ask=lambda: on_loss(),
    ),
    Trap(
        "loss-reduction",
        "A loss that is not a mean",
        wrong="The gradient is that of a sum, N times as large, which has the effect of a learning"
        " rate N times as large.",
        why="Some losses return one value for each image unless told otherwise. Here N is 8.",
        source=BOOK,
        measured="gradient of the loss",
        ask=lambda: on_loss(),
    ),
)

#: The book's 3×3 convolution from 96 to 208 channels in block 4b, which initial weights are for.
_OUT, _IN, _FIELD = 208, 96, 9
_FANS = (_IN + _OUT) * _FIELD
_COUNT = _OUT * _IN * _FIELD

_INITIAL = (
    Trap(
        "initial-weights",
        "Initial weights as they come",
        wrong="They are drawn from another distribution, and training takes another course.",
        why="The book draws from Xavier's uniform distribution; defaults differ by framework, and"
        " by kind of layer.",
        source="Glorot and Bengio 2010, equation 16",
        measured="root mean square of the weights",
        ask=lambda: on_draws((2 / _FANS) ** 0.5, _COUNT, 1.8),
    ),
    Trap(
        "initial-bias",
        "Initial biases as they come",
        wrong="They are not 0.",
        why="Some frameworks draw biases as they draw weights.",
        source=BOOK,
        measured="root mean square of the biases",
        ask=lambda: on_draws(0.0, _OUT, 1.8),
    ),
    Trap(
        "initialiser-not-applied",
        "An initialiser that is made and not applied",
        wrong="The weights are still those of the framework's default.",
        why="Where an initialiser is an object, making it draws nothing, and setting it once the"
        " weights exist changes nothing. The book's PaddlePaddle tab does this. Here they should"
        " have a standard deviation of 0.01.",
        source="torchvision's googlenet",
        measured="root mean square of the weights",
        ask=lambda: on_draws(0.01, _COUNT, 3.0),
    ),
)

_DATA = (
    Trap(
        "batch-before-shuffle",
        "Batches made before they are shuffled",
        wrong="Each epoch has the same batches, in another order.",
        why="Where a data set is a chain of steps, the order of the steps counts. The book's"
        " TensorFlow tab does this (d2l-en#2700).",
        source=BOOK,
        measured="share of batches that the epoch before had",
        ask=on_batches,
    ),
)

#: Every trap by name, in the order of the page.
TRAPS: Final[dict[str, Trap]] = {
    trap.name: trap
    for part in (
        _PADDING,
        _POOLING,
        _RESPONSE,
        _BATCH_NORM,
        _PARAMETERS,
        _MODES,
        _LOSS,
        _INITIAL,
        _DATA,
    )
    for trap in part
}


def find_trap(name: str) -> Trap:
    """The trap called `name`. Raises `UnknownNameError`, which names the nearest ones."""
    if name not in TRAPS:
        close = get_close_matches(str(name), TRAPS, n=3, cutoff=0.0)
        raise UnknownNameError(
            f"`names`: no trap '{name}'; the nearest are {', '.join(close)}; without a name, all"
            f" {len(TRAPS)} are shown"
        )
    return TRAPS[name]
