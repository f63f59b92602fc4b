"""The channels of blocks, which neighbouring ones are taken for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

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


def other_row_of(row: tuple[Fork, Fork], rows: Mapping[str, tuple[int, ...]]) -> str:
    """The block of the spec, of the `rows` by path, whose channels the user's block has instead of
    its own; `row` is the user's block and the spec's.
    """
    user, spec = row
    mine = row_of(user)
    for path, theirs in rows.items():
        if path != spec.place and theirs == mine:
            return path
    # Not all of it: what is otherwise is all the other block's.
    own = rows.get(spec.place)
    if own is None or len(own) != len(mine):
        return ""
    wrong = [place for place, (a, b) in enumerate(zip(mine, own, strict=True)) if a != b]
    near = [
        path
        for path, theirs in rows.items()
        if path != spec.place
        and len(theirs) == len(mine)
        and all(theirs[place] == mine[place] for place in wrong)
    ]
    return near[-1] if len(wrong) > 1 and len(near) == 1 else _last_before(near, spec.place)


def _last_before(paths: Sequence[str], path: str) -> str:
    """The last of `paths` before `path` in the network's order, which its names keep."""
    earlier = [each for each in paths if each < path]
    return earlier[-1] if earlier else ""
