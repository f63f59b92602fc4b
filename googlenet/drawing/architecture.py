"""The architecture of a network as a picture: the whole in cells, a block in detail."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..errors import UnknownNameError
from ..spec.analysis import leaf_parameters
from ..spec.layers import Aux, Concat, Network, Residual, Sequential, Shape
from ..spec.outline import Part, Reduction, find, parts, ratios, reductions, splits
from ..spec.shapes import size_text
from .detail import Bar, Chain, Maker, Piece, fitted
from .flow import Stage, draw_flow, page_of, stage_of, stages_of
from .items import Block, Item, has_blocks, items_of
from .page import (
    FILLS,
    SHEET,
    caption,
    finish,
    heading_height,
    heading_of,
    scale_for,
)
from .scene import Group, Scene


@dataclass(frozen=True)
class Architecture:
    """A picture of a network, or of one part of it, and what it says in words: `alt` in a sentence,
    the scene's description in full.
    """

    network: Network
    part: Part
    scene: Scene
    alt: str


def blocks_of(network: Network) -> tuple[str, ...]:
    """The paths of the stages of `network`, of its blocks and auxiliary heads, in the order of
    execution. Raises `ShapeError` if the input does not fit.
    """
    return tuple(path for stage in parts(network).children for path in _paths(stage, True))


def _paths(part: Part, stage: bool) -> Iterator[str]:
    layer = part.site.layer
    block = isinstance(layer, (Aux, Concat, Residual)) or (
        isinstance(layer, Sequential) and bool(layer.block) and splits(part)
    )
    if stage or block:
        yield part.path
    if isinstance(layer, Sequential) and (not block or has_blocks(part)):
        for child in part.children:
            yield from _paths(child, False)


def architecture(network: Network, block: str | None = None) -> Architecture:
    """The whole of `network`, or what has the path `block` in it: a block with all its layers; a
    part of several blocks, of which that would be longer than a sheet of A4, in cells as the whole.

    Raises `UnknownNameError` if nothing has that path, and `ShapeError` if the input does not fit.
    """
    root = parts(network)
    if block is None:
        return _in_cells(network, root, stages_of(root))
    found = None if block == "" else find(root, block)
    if found is None:
        known = blocks_of(network)
        close = difflib.get_close_matches(block, known, 1)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise UnknownNameError(
            f"`block`: {network.name} has no '{block}'{meant} It has {', '.join(known)}".replace(
                "' It", "'; it"
            )
        )
    items = items_of(found, inside=not has_blocks(found))
    drawn = _in_detail(network, found, items)
    several = len(items) > 1 and any(isinstance(item, Block) for item in items)
    if several and drawn.scene.height > SHEET * drawn.scene.width / SHEET_WIDTH:
        return _in_cells(network, found, stage_of(found))
    return drawn


SHEET_WIDTH = SHEET * 210 / 297


def _in_detail(network: Network, part: Part, items: Sequence[Item]) -> Architecture:
    shape = part.site.in_shape
    reduced = {each.path: each for each in _all_reductions(part)}
    shapes = list(_shapes(part))

    def make(most: float) -> Piece:
        text = caption(most, ("input", True), (size_text(shape), False))
        first = Bar(((shape, FILLS["input"], ""),), text, f"Input: {size_text(shape)}")
        return Chain((first, *Maker(most, part.path, reduced).chain(items).pieces))

    piece, scale, width = fitted(make, lambda most: scale_for(shapes, most))
    words = _heading(network, part)
    heading = heading_of(f"{part.path} of {network.name}", words, width)
    top = heading_height(heading) + 8
    body = Group()
    piece.draw(
        body.group("list", f"Layers of {part.name}, from the input on"), width / 2, top, scale
    )
    alt = _alt_of_part(network, part, items)
    return Architecture(
        network,
        part,
        finish(
            body,
            top + piece.height,
            width=width,
            title=f"{part.path} of {network.name}",
            heading=heading,
            description=f"{alt} {_layers_in_words(part)}",
            scale=scale,
            shapes=shapes,
        ),
        alt,
    )


def _in_cells(network: Network, part: Part, stages: Sequence[Stage]) -> Architecture:
    page = page_of(stages)
    title = f"{part.path} of {network.name}" if part.path else network.name
    heading = heading_of(title, _heading(network, part), page.width)
    body, bottom = draw_flow(page, heading_height(heading))
    alt = _alt_of_network(network, part)
    cells = "; ".join(cell.label for stage in stages for cell in stage.cells)
    return Architecture(
        network,
        part,
        finish(
            body,
            bottom,
            width=page.width,
            title=title,
            heading=heading,
            description=f"{alt} {cells}.",
            scale=page.scale,
            shapes=list(_shapes(part)),
        ),
        alt,
    )


def _shapes(part: Part) -> Iterator[Shape]:
    """The shapes that a part's layers have, its input's first."""
    yield part.site.in_shape
    for inner in _walk(part):
        yield inner.out_shape


def _walk(part: Part) -> Iterator[Part]:
    yield part
    for child in part.children:
        yield from _walk(child)


def _all_reductions(part: Part) -> tuple[Reduction, ...]:
    """Those of every concatenation in it; of a branch, those that it has as a part of its block."""
    return reductions(part)


# Words --------------------------------------------------------------------------------------------


def _heading(network: Network, part: Part) -> list[str]:
    count = sum(map(leaf_parameters, part.leaves()))
    block = part.site.layer.block if part.children and part.path else ""  # type: ignore[union-attr]
    name = f"{block}: " if block else f"{network.source}: " if not part.path else ""
    shapes = f"{size_text(part.site.in_shape)} → {size_text(part.out_shape)}"
    return [
        f"{name}{shapes}; {count:,} parameters.",
        "Shapes are channels×height×width; the width of a box shows its channels.",
    ]


def _joined(words: Sequence[object]) -> str:
    *first, last = map(str, words)
    return f"{', '.join(first)} and {last}" if first else last


def _alt_of_part(network: Network, part: Part, items: Sequence[Item]) -> str:
    begin, end = size_text(part.site.in_shape), size_text(part.out_shape)
    found = f"{part.path} of {network.name}: from {begin} to {end}"
    shares = ratios(part)
    if len(shares) == 1:
        ratio = shares[0]
        terms = " : ".join(map(str, ratio.terms))
        count = len(ratio.channels)
        found += f", {count} branches side by side, which give {_joined(ratio.channels)} channels"
        found += f", {terms}" if count > 1 and ratio.terms != ratio.channels else ""
    lessened = [
        f"{each.before} channels to {each.after} ({each.scale})" for each in reductions(part)
    ]
    if lessened and len(lessened) <= 4:
        found += f"; 1×1 convolutions first reduce {_joined(list(dict.fromkeys(lessened)))}"
    return f"{found}."


def _alt_of_network(network: Network, part: Part) -> str:
    children = [child for child in part.children if child.children or not part.path]
    steps = ", ".join(f"{child.name} ({size_text(child.out_shape)})" for child in children)
    if part.path:
        return f"{part.path} of {network.name}: {size_text(part.site.in_shape)} maps pass {steps}."
    return f"{network.name}: {size_text(part.site.in_shape)} images pass {steps}."


def _layers_in_words(part: Part) -> str:
    from ..spec.outline import words_of

    return " ".join(
        f"{site.path.removeprefix(f'{part.path}.')}: {words_of(site.layer)},"
        f" {size_text(site.out_shape)}."
        for site in part.leaves()
    )
