"""Phrases of a report: sizes, windows, branches and what joins them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ..spec.layers import ExplicitPadding, Pair
from ..tracing.evaluate import is_known
from ..tracing.tree import Chain, Fork, Step, Tangle, steps
from .causes import Cause
from .features import attributes
from .names import name_of, with_article
from .nodes import ForkPair, Nodes
from .pour import block_path, path_of

#: At most so many places are listed in a sentence.
LISTED: Final = 4


def tangle(tangle: Tangle) -> str:
    """A tangle in words: how large it is, and whose results are taken in several places."""
    taken = [number for knot in tangle.knots for number in knot.inputs]
    several = [
        knot.item.place
        for number, knot in enumerate(tangle.knots, 1)
        if taken.count(number) > 1 and knot.item.place
    ]
    names = list(dict.fromkeys(several))
    where = f" (the results of {_list(names)} are used in several places)" if names else ""
    count = sum(1 for _ in steps((tangle,)))
    return f"{count} layers whose branches do not fork and join as a whole{where}"


def _list(names: Sequence[str]) -> str:
    """a, b and c; of many only the first."""
    if len(names) > LISTED:
        names = (*names[: LISTED - 1], f"{len(names) - LISTED + 1} more")
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def reach(inside: Nodes) -> str:
    """What is between the two ends of something around layers of the spec."""
    paths = [path for path in map(path_of, inside) if path]
    return "it" if len(paths) < 2 else f"{paths[0]} to {paths[-1]}"


def joined_otherwise(fork: Fork, number: int) -> tuple[str, Cause]:
    """What a sum or product does to its branch `number`, in words, and what that is a cause of."""
    others = [branch for place, branch in enumerate(fork.branches) if place != number]
    names = [name_of(step) for branch in others for step in steps(branch)]
    if fork.by is not None:
        cause = Cause.EXTRA if is_known(fork.by) else Cause.UNKNOWN
        return f"{with_article(name_of(fork.by))} with other values", cause
    if fork.join == "sum":
        return ("a sum with other layers" if names else "a residual connection"), Cause.RESIDUAL
    pools = ("global average pool", "adaptive average pool", "mean")
    if any(name in names for name in pools) and "sigmoid" in names:
        return "squeeze and excitation", Cause.PRODUCT
    return f"a product with {with_article(names[-1]) if names else 'itself'}", Cause.PRODUCT


def by(pair: Pair) -> str:
    """Height × width."""
    return f"{pair[0]}×{pair[1]}"


def sides(padding: ExplicitPadding) -> str:
    """3; 1×0 for height × width; (2, 3)×(2, 3) where the two sides differ."""
    sides = [str(a) if a == b else f"({a}, {b})" for a, b in padding]
    return sides[0] if sides[0] == sides[1] else "×".join(sides)


def shortened(value: Any) -> str:
    """A number without digits that say nothing."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def window_of(step: Step) -> str:
    """The window of a pool in brackets, if it has one."""
    found = attributes(step)
    kernel = found.get("kernel_size")
    return f" (its window is {by(kernel)})" if kernel is not None else ""


def width_of(chain: Chain) -> str:
    """The channels of a branch in brackets."""
    last = chain[-1] if chain else None
    return f" ({last.out_shape[0]} channels)" if isinstance(last, Step | Fork) else ""


def first_place(chain: Chain) -> str:
    """The block or the layer that all of a branch is in."""
    return block_path([step.place for step in steps(chain)])


def order_of(node: ForkPair) -> str:
    """The spec's names of the branches, in the user's order."""
    names = []
    for _, other, _ in sorted(node.branches):
        where = first_place(node.spec.branches[other])
        names.append(where.removeprefix(f"{node.spec.place}.").partition(".")[0] or "shortcut")
    return ", ".join(names)
