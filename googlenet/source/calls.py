"""Calls as code, and what classes and functions have in common when they are written."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from ..backend.call import literal
from ..spec.layers import Shape
from .printing import WIDTH, Group, Part
from .tree import NONE, Block, Item, Node, Ref, Use

#: Of at least this many equal neighbours a loop is made.
LOOP = 3


def value_text(value: Any) -> str:
    """The value of an argument as source: a name, or data."""
    return value.name if isinstance(value, Ref) else literal(value)


def call(target: str, use: Use, *more: Part, first: str = "") -> Group:
    """`target(...)` with those arguments of `use` that say something, after the argument `first`
    and before `more`.
    """
    parts = [Part(first)] if first else []
    keywords = False
    for item in use.items:
        if item.is_default and not item.kept:
            keywords = True  # what follows it is no longer in its place
            continue
        keywords = keywords or item.keyword or not _is_plain(item)
        value = value_text(item.value)
        parts.append(Part(f"{item.name}={value}" if keywords else value))
    given = [Part(f"{name}={name}") for name in use.handed]
    return Group(f"{target}(", (*parts, *given, *more), ")")


def _is_plain(item: Item) -> bool:
    """Whether a value in its place is understood without its name."""
    if isinstance(item.value, Ref):
        return item.default is NONE or item.value.name == item.name
    if item.default is not NONE and not item.kept:
        return False
    nested = isinstance(item.value, tuple) and any(isinstance(v, tuple) for v in item.value)
    return not nested and not isinstance(item.value, bool)


def signature(block: Block) -> tuple[Part, ...]:
    """The arguments of a class or function in its definition."""
    given = tuple(
        Part(param.name if param.default is NONE else f"{param.name}={value_text(param.default)}")
        for param in block.params
    )
    return (*given, *map(Part, ["*", *block.handed] if block.handed else []))


def docstring(text: str, indent: str) -> list[str]:
    """A docstring, on several lines if it is too long for one."""
    line = f'{indent}"""{text}"""'
    if len(line) <= WIDTH:
        return [line]
    room = WIDTH - len(indent)
    first, *others = textwrap.wrap(f'"""{text}', room)
    return [f"{indent}{first}", *(f"{indent}{each}" for each in others), f'{indent}"""']


def shape_text(shape: Shape, *, channels_last: bool) -> str:
    """64 × 48 × 48; with channels last 48 × 48 × 64."""
    turned = (*shape[1:], shape[0]) if channels_last else shape
    return " × ".join(map(str, turned))


def runs(nodes: Sequence[Node], written: Sequence[str]) -> Iterator[tuple[list[Node], str]]:
    """Neighbours together that are written alike, `written`, and numbered: block_1, block_2, ...;
    with what stands before their numbers. Any other node by itself, with "".
    """

    def key(pair: tuple[int, Node]) -> tuple[str, str, int]:
        position, node = pair
        match = re.fullmatch(r"(.*?)(0|[1-9]\d*)", node.name)
        if match is None or node.aux or node.is_trunk or not written[position]:
            return "", node.name, 0
        return match[1], written[position], int(match[2]) - position

    for (prefix, *_), group in groupby(enumerate(nodes), key):
        members = [node for _, node in group]
        if prefix and len(members) >= LOOP:
            yield members, prefix
        else:
            yield from (([member], "") for member in members)


def loop_range(members: Sequence[Node], prefix: str) -> str:
    """range(1, 21) for block_1 to block_20."""
    start = int(members[0].name.removeprefix(prefix))
    return f"range({start}, {start + len(members)})"
