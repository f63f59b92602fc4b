"""What is said of a layer whose settings are otherwise."""

from __future__ import annotations

from typing import Any

from ..spec.layers import Dense, ExplicitPadding, LocalResponseNorm
from .causes import Cause
from .features import attributes
from .nodes import Pair
from .phrases import by, shortened, sides


def told(node: Pair, what: str, mine: Any, theirs: Any, other_row: str) -> tuple[str, Cause]:
    """The words for an attribute in which a pair of layers differs, and the cause; `other_row` is
    the block whose channels the user's block has.
    """
    user = node.user
    match what:
        case "out_channels":
            unit = "outputs" if isinstance(node.spec.layer, Dense) else "channels"
            words = f"{mine} {unit}, expected {theirs}"
            if other_row:
                return f"{words}: the row of {other_row}", Cause.ROW
            return words, Cause.CHANNELS
        case "kernel_size" | "window":
            return f"kernel {by(mine)} where the spec has {by(theirs)}", Cause.KERNEL
        case "stride":
            return f"stride {by(mine)} where the spec has {by(theirs)}", Cause.STRIDE
        case "dilation":
            return f"dilation {by(mine)}, where the spec has none", Cause.DILATION
        case "padding":
            if _is_same(node, mine):
                words = f"SAME padding, here {sides(mine)}, where the spec has {sides(theirs)}"
                return words, Cause.SAME_PADDING
            words = f"padding {sides(mine)} where the spec has {sides(theirs)}"
            return words, Cause.PADDING
        case "groups":
            return f"{mine} groups where the spec has {theirs}", Cause.GROUPS
        case "bias":
            words = "a bias, which the spec does not have" if mine else "no bias"
            return words + "; the function is the same only if the bias is 0" * (
                mine is True
            ), Cause.BIAS
        case "ceil_mode":
            words = "size rounded up where the spec rounds down"
            return (words if mine else "size rounded down where the spec rounds up"), Cause.CEIL
        case "count_include_pad":
            words = "padding counted in the mean, which the spec does not do"
            return (
                words if mine else "padding left out of the mean, where the spec counts it"
            ), Cause.COUNTED
        case "eps":
            return f"eps {mine:g} where the spec has {theirs:g}", Cause.EPS
        case "scale":
            words = "multiplication by a weight, which the spec does not have"
            return (words if mine else "no weight to multiply by (gamma)"), Cause.SCALE
        case "rate":
            return f"dropout at rate {mine:g} where the spec has {theirs:g}", Cause.DROPOUT
        case "factor":
            return f"factor {mine:g} where the spec has {theirs:g}", Cause.FACTOR
        case _:
            cause = Cause.LRN if isinstance(user.layer, LocalResponseNorm) else Cause.SETTING
            return f"{what} {shortened(mine)} where the spec has {shortened(theirs)}", cause


def _is_same(node: Pair, padding: ExplicitPadding) -> bool:
    """Whether a padding is what SAME gives: ⌈size / stride⌉ windows, the odd one behind."""
    found = attributes(node.user)
    kernel, stride = found.get("kernel_size"), found.get("stride")
    if kernel is None or stride is None or max(stride) == 1:
        return False
    uneven = any(before + 1 == after for before, after in padding)
    return uneven and all(0 <= after - before <= 1 for before, after in padding)
