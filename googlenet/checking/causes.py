"""Why user code is another function: one name for each cause, and what is known of it."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Cause(Enum):
    """A cause by the name that reports have for it."""

    KERNEL = "kernel size"
    CHANNELS = "channels"
    ROW = "row of another block"
    STRIDE = "stride"
    PADDING = "padding"
    SAME_PADDING = "SAME padding"
    DILATION = "dilation"
    GROUPS = "groups"
    BIAS = "bias"
    CEIL = "rounding of the size"
    COUNTED = "counted padding"
    EPS = "eps"
    SCALE = "weight of batch norm"
    LRN = "local response norm"
    SETTING = "setting"
    FACTOR = "factor"
    DROPOUT = "dropout"
    ACTIVATION = "different activation"
    MISSING_ACTIVATION = "missing activation"
    EXTRA_ACTIVATION = "extra activation"
    POOL = "kind of pool"
    MISSING_POOL = "missing pool"
    EXTRA_POOL = "extra pool"
    NORM = "kind of normalisation"
    MISSING_NORM = "missing normalisation"
    EXTRA_NORM = "extra normalisation"
    SOFTMAX = "softmax before the loss"
    KIND = "kind of layer"
    MISSING = "missing layer"
    EXTRA = "extra layer"
    MISSING_BLOCK = "missing block"
    EXTRA_BLOCK = "extra block"
    BRANCH = "number of branches"
    BRANCH_ORDER = "order of branches"
    BLOCK_ORDER = "order of blocks"
    ORDER = "order of layers"
    RESIDUAL = "residual connection"
    PRODUCT = "product of values"
    SHARED = "shared weights"
    FIXED = "fixed weights"
    TIED = "tied weights"
    COMPUTED = "computed weights"
    WEIGHT_NORM = "weight normalisation"
    TANGLE = "tangled layers"
    UNUSED = "unused layer"
    OUTPUT = "outputs"
    INPUT = "input of a branch"
    UNKNOWN = "unknown operation"

    @property
    def explanation(self) -> str:
        """What is known of the cause beyond its name; empty if that says it all."""
        return EXPLANATIONS.get(self, "")


EXPLANATIONS = {
    Cause.SOFTMAX: "The loss takes logits and has the softmax inside; a second one flattens the"
    " gradients, and training all but stops (d2l-en#1096).",
    Cause.SAME_PADDING: "SAME pads according to the input's size, with any odd row or column after"
    " the input: at stride 2 its windows match those of a fixed padding on both sides only at some"
    " sizes.",
    Cause.MISSING_ACTIVATION: "Without an activation between them, two layers in a row are only one"
    " linear layer. Early editions of the book left out the activations of the second stage"
    " (d2l-zh#521, d2l-en#1732).",
    Cause.POOL: "The maximum and the mean of a window have the same shape: no test of shapes tells"
    " them apart (d2l-en#1571).",
    Cause.CEIL: "Rounding up adds a window that hangs over the edge wherever the size does not"
    " divide evenly; Caffe rounds up, most frameworks round down.",
    Cause.COUNTED: "Frameworks have different defaults for whether the zeros of the padding are"
    " counted in an average.",
    Cause.BIAS: "Frameworks have different defaults: MindSpore's convolutions have no bias unless"
    " asked for one.",
    Cause.EPS: "Frameworks have different defaults for the eps of batch norm: 1e-5 or 1e-3.",
    Cause.ROW: "Neighbouring blocks differ in a few numbers, and copied code keeps the old ones.",
    Cause.BRANCH_ORDER: "The concatenation puts channels in the order of the branches, and all the"
    " layers after it take them in that order: weights for one order do not fit another.",
    Cause.PRODUCT: "A value is multiplied by another, which depends on the image too: no weights of"
    " the spec do that.",
    Cause.SHARED: "A layer that is called twice, or a parameter in two layers, is one set of"
    " weights for both; make one for each place.",
    Cause.FIXED: "Only what is a parameter is trained; the function is the spec's at these numbers"
    " alone.",
    Cause.TIED: "In the spec each weight is trained by itself.",
    Cause.DROPOUT: "It acts only in training, so no output in evaluation mode shows it.",
    Cause.LRN: "Some frameworks divide alpha by the size of the window; others do not.",
}
#: What is known instead of dropout that is active in evaluation too, of a logarithm of the softmax,
#: and of a framework whose defaults are not those of the others.
ACTIVE: Final = (
    "It also drops in evaluation, so that predictions are random: tell it whether the model is in"
    " training, or use a layer, which knows."
)
LOGARITHM: Final = (
    "A loss that takes logits gives the same after it, so training does not suffer; but the model's"
    " outputs are no logits."
)
DEFAULTS: Final = {Cause.BIAS: "mindspore"}
