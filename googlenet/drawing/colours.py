"""The colour of each framework: the same in every picture, whatever others are in it."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Final

#: The slots of the known frameworks; all other names share the rest.
KNOWN: Final[dict[str, int]] = {
    name: slot
    for slot, name in enumerate(
        ("torch", "tensorflow", "mxnet", "paddle", "mindspore", "numpy", "jax", "onnx")
    )
}

#: Twelve colours: seven of Okabe and Ito's, which colour-blind people can tell apart, and five more
#: that stay distinct from these and each other, also for colour-blind people; none is pale on
#: white. A test measures both.
COLOURS: Final = (
    "#0072B2",  # blue
    "#D55E00",  # vermilion
    "#009E73",  # green
    "#CC79A7",  # pink
    "#E69F00",  # orange
    "#000000",  # black
    "#56B4E9",  # sky blue
    "#963C69",  # raspberry
    "#695A0F",  # olive
    "#6900FF",  # violet
    "#8778FF",  # lavender
    "#D200B4",  # magenta
)


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """A colour for each of the frameworks in one picture, in the order given.

    A known framework has its own. Any other takes one of the rest by a hash of its name, or if that
    is taken in this picture, the next free one, and finally the colour of a known framework that is
    not in it. Up to twelve names have different colours, and their order does not matter.
    """
    given = list(dict.fromkeys(names))
    slots = {name: KNOWN[name] for name in given if name in KNOWN}
    others = range(len(KNOWN), len(COLOURS))
    for name in sorted(set(given) - set(KNOWN)):
        start = zlib.crc32(name.encode()) % len(others)
        tried = [*others[start:], *others[:start], *range(len(KNOWN))]
        taken = set(slots.values())
        slots[name] = next((slot for slot in tried if slot not in taken), tried[0])
    return {name: COLOURS[slots[name]] for name in given}
