"""The channels of blocks, which neighbouring ones are taken for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..tracing.tree import Chain, Fork, steps
from .features import attributes, family


def rows_of(chain: Chain) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The channels of every block by its path."""
    for item in chain:
        if isinstance(item, Fork) and item.join == "concat":
            yield item.place, row_of(item)
        if isinstance(item, Fork):
            for branch in item.branches:
                yield from rows_of(branch)


def row_of(fork: Fork) -> tuple[int, ...]:
    """The channels of a block's convolutions, in order."""
    return tuple(
        attributes(step)["out_channels"]
        for branch in fork.branches
        for step in steps(branch)
        if family(step) == "weighted"
    )


def last_before(paths: Sequence[str], path: str) -> str:
    """The last of `paths` before `path` in the network's order, which its names keep."""
    earlier = [each for each in paths if each < path]
    return earlier[-1] if earlier else ""
