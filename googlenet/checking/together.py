"""Findings that a reader takes for one: a padding and the layer that lacks it, all that is computed
a second time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..spec.layers import NO_PADDING, Conv, MaxPool
from ..tracing.tree import Foreign, Step
from .causes import Cause
from .differences import Finding
from .features import family, plain_name
from .names import name_of
from .nodes import Extra, Pair


def together(
    findings: Sequence[Finding],
) -> tuple[list[Finding], dict[Finding, tuple[Finding, ...]]]:
    """The findings with one for those that belong together, and the others that each of these has
    taken in.
    """
    found: list[Finding] = []
    taken: dict[Finding, tuple[Finding, ...]] = {}
    for each in findings:
        before = found[-1] if found else None
        if before is None:
            found.append(each)
        elif (words := _padded_by(before, each)) is not None:
            found[-1] = replace(each, words=words)
            taken[found[-1]] = (before,)
        elif before.cause is Cause.INPUT and _follows((before, *taken.get(before, ()))[-1], each):
            taken[before] = (*taken.get(before, ()), each)
        else:
            found.append(each)
    return found, taken


def _padded_by(first: Finding, second: Finding) -> str | None:
    """What is said of a layer that is right but for its padding, by a layer before it with other
    numbers than the spec's.
    """
    pad, pair = first.node, second.node
    if (first.what, second.what) != ("extra", "padding"):
        return None
    if not (isinstance(pad, Extra) and isinstance(pad.user, Step) and isinstance(pair, Pair)):
        return None
    layer, mine, theirs = pad.user.layer, pair.user.layer, pair.spec.layer
    if not (isinstance(layer, Foreign) and isinstance(mine, Conv | MaxPool)):
        return None
    if type(mine) is not type(theirs) or mine.padding != NO_PADDING:
        return None
    if plain_name(pad.user) in ("mirrorpad", "pad", "pad3d") and layer.kind != "pad":
        spec = "pads with zeros" if isinstance(mine, Conv) else "has padding that never wins"
        return f"padded by {name_of(pad.user)} before it, where the spec {spec}"
    if layer.kind != "pad" or layer.attributes["padding"] != theirs.padding:
        return None
    value = float(layer.attributes["value"])
    if isinstance(mine, Conv):
        return f"padded with {value:g}, where the spec pads with zeros" if value else None
    return (
        f"padded with {value:g} by a layer before it, which wins over lower values; the spec's"
        " padding never wins"
    )


def _follows(first: Finding, second: Finding) -> bool:
    """Whether a layer comes right after one that leads to a branch instead of the block's input,
    and does so as well.
    """
    one, node = first.node, second.node
    if second.what != "extra" or not isinstance(one, Extra) or second.beside is not one.user:
        return False
    if not (isinstance(node, Extra) and isinstance(node.user, Step)):
        return False
    return second.cause is Cause.INPUT or family(node.user) in ("activation", "norm")
