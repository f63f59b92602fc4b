"""Which differences make it another function, and which are only written otherwise: each is tried,
left as it is with all else set right.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain
from typing import Final

from ..tracing.tree import Foreign, Item, Step
from .causes import Cause
from .differences import Difference, Key
from .features import attributes
from .nodes import Extra, Missing, Node, Pair

#: How many of the differences are tried alone: each takes a pass through the network.
TRIED: Final = 8
#: What outputs in evaluation cannot show, or not with the weights that are poured.
UNSEEN: Final = frozenset(
    {Cause.DROPOUT, Cause.SHARED, Cause.FIXED, Cause.TIED, Cause.COMPUTED, Cause.ACTIVATION}
)
#: Bounds that outputs show.
SEEN: Final = frozenset({-math.inf, 0.0, math.inf})
#: What may be written otherwise and still be the same function at some size.
PERHAPS: Final = frozenset(
    {
        Cause.BIAS,
        Cause.PADDING,
        Cause.SAME_PADDING,
        Cause.CEIL,
        Cause.COUNTED,
        Cause.POOL,
        Cause.KIND,
        Cause.ORDER,
        Cause.KERNEL,
        Cause.STRIDE,
        Cause.EXTRA_ACTIVATION,
        Cause.EXTRA_POOL,
        Cause.EXTRA,
        Cause.MISSING,
        Cause.MISSING_POOL,
        Cause.MISSING_ACTIVATION,
        Cause.WEIGHT_NORM,
    }
)


def apart(
    differences: Sequence[Difference],
    same_with: Callable[[list[Difference]], bool],
    wrong_too: Collection[Key],
) -> tuple[list[Difference], list[Difference]]:
    """What makes it another function, and what does not; `same_with` says whether it is the spec's
    function with some differences left, and all else set right; `wrong_too` are not tried.

    All that may be the same are left together: two may be so only both, or only one of them.
    """
    mentions = [each for each in differences if is_idle(each)]
    units = _units([each for each in differences if each not in mentions])
    may_be = [
        unit
        for unit in units
        if all(_is_perhaps(each) and each.key not in wrong_too for each in unit)
    ]
    if may_be and same_with([*mentions, *chain(*may_be)]):
        mentions += chain(*may_be)
    else:
        failed = []
        for unit in may_be[:TRIED]:
            if same_with(mentions + unit):
                mentions += unit
            else:
                failed.append(unit)
        for unit in (*_at_one_layer(failed), list(chain(*may_be[TRIED:]))):
            if unit and same_with(mentions + unit):
                mentions += unit
    wrong = [each for each in differences if each not in mentions]
    if not wrong:
        return list(differences), []
    return wrong, [each for each in differences if each in mentions]


def _units(differences: Sequence[Difference]) -> list[list[Difference]]:
    """Differences that can only be left, or set right, together: all of one layer that the spec
    does not have as it is.
    """
    found: list[list[Difference]] = []
    for each in differences:
        strange = _strange(each)
        with_it = [unit for unit in found if any(strange & _strange(other) for other in unit)]
        found = [unit for unit in found if unit not in with_it]
        found.append([*chain(*with_it), each])
    return found


def _strange(difference: Difference) -> set[Node]:
    """The pairs of whose layers the user's is foreign."""
    return {
        node
        for node in nodes_of(difference)
        if isinstance(node, Pair) and isinstance(node.user.layer, Foreign)
    }


def _at_one_layer(units: Sequence[list[Difference]]) -> Iterator[list[Difference]]:
    """Units of differences together that are about the same layers."""
    left = list(units)
    while left:
        first = left.pop(0)
        nodes = {node for each in first for node in nodes_of(each)}
        beside = [unit for unit in left if any(nodes & set(nodes_of(each)) for each in unit)]
        if beside:
            left = [unit for unit in left if unit not in beside]
            yield [*first, *chain(*beside)]


def _is_perhaps(difference: Difference) -> bool:
    """Whether what is otherwise may be the same function all the same, and would show if not."""
    return difference.cause in PERHAPS and not is_unseen(difference)


def is_unseen(difference: Difference) -> bool:
    """Whether it is another function whatever the outputs are: a bound may just not be reached."""
    clips = [found for each in difference.findings if (found := bounds_of(each.node)) is not None]
    if any(not bounds <= SEEN for bounds in clips):
        return True
    # A bound of 0 is reached by every map, on both sides.
    shown = difference.cause is Cause.ACTIVATION and len(clips) == len(difference.findings)
    return difference.cause in UNSEEN and not shown


def bounds_of(node: Node) -> set[float] | None:
    """The bounds of the user's layer of a node, if it is a clip."""
    match node:
        case (
            Pair(user=Step(layer=Foreign(kind="clip") as layer))
            | Extra(user=Step(layer=Foreign(kind="clip") as layer))
        ):
            return {layer.attributes["low"], layer.attributes["high"]}
        case _:
            return None


def is_idle(difference: Difference) -> bool:
    """Whether it is about dropout too much, or missing, that drops nothing in training either."""
    items: list[Item] = []
    for node in nodes_of(difference):
        match node:
            case Extra(user=item) | Missing(spec=item, moved=None):
                items.append(item)
            case _:
                return False
    return bool(items) and all(
        isinstance(item, Step) and attributes(item).get("rate") == 0 for item in items
    )


def nodes_of(difference: Difference) -> list[Node]:
    """Where in the alignment a difference is."""
    return [finding.node for finding in difference.findings]
