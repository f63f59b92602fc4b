"""The architecture of a network as a picture: the whole in cells, a block in detail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..files import write_atomically, writing
from ..spec.analysis import leaf_parameters
from ..spec.layers import Aux, Network, Shape
from ..spec.outline import Part, find, has_blocks, parts, ratios, reductions, words_of
from ..spec.shapes import size_text
from ..spec.traversal import LeafSite
from .detail import Bar, Chain, Maker, Piece, fitted
from .figures import check_picture, save_figure
from .flow import Stage, draw_flow, page_of, stage_of, stages_of
from .items import Block, Item, LayerBox, items_of
from .page import (
    FILLS,
    PAGE,
    SHEET,
    caption,
    finish,
    heading_height,
    heading_of,
    scale_for,
)
from .scene import Group, Scene, to_figure, to_svg


@dataclass(frozen=True)
class Architecture:
    """A picture of a network, or of one part of it, and what it says in words: `alt` in a sentence,
    the scene's description in full.
    """

    part: Part
    scene: Scene
    alt: str


def save_picture(path: Path, scene: Scene) -> None:
    """Draw `scene` to `path`, a .png, .svg or .pdf; the file is complete at any moment, and the
    same scene always makes the same file.

    Raises `DataError` for another ending, or a file that cannot be written.
    """
    if path.suffix.lower() != ".svg":
        check_picture(path)
        save_figure(path, to_figure(scene), scene.title)
        return
    with writing(path):
        write_atomically(path, to_svg(scene).encode())


def architecture(network: Network, block: str | None = None) -> Architecture:
    """The whole of `network`, or what has the path or name `block` in it: a block with all its
    layers; a part of several blocks or layers that would be longer than a sheet of A4, in cells.

    Raises `UnknownNameError` if nothing has that path, and `ShapeError` if the input does not fit.
    """
    if block is None:
        root = parts(network)
        return _in_cells(network, root, stages_of(root))
    found = find(network, block)
    inside = found.children[0] if isinstance(found.site.layer, Aux) else found
    items = items_of(inside, inside=not has_blocks(inside))
    drawn = _in_detail(network, found, items)
    if len(items) > 1 and drawn.scene.height > SHEET * drawn.scene.width / PAGE:
        return _in_cells(network, found, stage_of(found))
    return drawn


def _in_detail(network: Network, part: Part, items: Sequence[Item]) -> Architecture:
    shape = part.site.in_shape
    # Of the whole network: what a branch reduces can be told only from the block that it is in.
    reduced = {each.path: each for each in reductions(parts(network))}
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
    alt = _alt_of_cells(network, part)
    cells = "; ".join(cell.label for stage in stages for cell in stage.cells)
    return Architecture(
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
    for inner in part.below():
        yield inner.out_shape


# Words --------------------------------------------------------------------------------------------


def _heading(network: Network, part: Part) -> list[str]:
    count = sum(map(leaf_parameters, part.leaves()))
    name = part.block if part.path else network.source
    shapes = f"{size_text(part.site.in_shape)} → {size_text(part.out_shape)}"
    return [
        f"{name}{': ' if name else ''}{shapes}; {count:,} parameters.",
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
        side = (
            f"{count} branches side by side, which give" if count > 1 else "one branch, which gives"
        )
        found += f", {side} {_joined(ratio.channels)} channels"
        found += f", {terms}" if count > 1 and ratio.terms != ratio.channels else ""
    lessened = [
        f"{each.before} channels to {each.after} ({each.scale})" for each in reductions(part)
    ]
    if lessened and len(lessened) <= 4:
        reduced = _joined(list(dict.fromkeys(lessened)))
        first = "a 1×1 convolution first reduces"
        found += f"; {first if len(lessened) == 1 else '1×1 convolutions first reduce'} {reduced}"
    return f"{found}."


def _alt_of_cells(network: Network, part: Part) -> str:
    where = f"{part.path} of {network.name}" if part.path else network.name
    begin, end = size_text(part.site.in_shape), size_text(part.out_shape)
    steps = (
        [_step(item) for item in items_of(part)] if part.path else map(_stage_step, part.children)
    )
    through = f" through {', '.join(filter(None, steps))}"
    return f"{where}: from {begin} to {end}{through if part.children else ''}."


def _stage_step(part: Part) -> str:
    """A stage and its shape; nothing for what holds only auxiliary heads."""
    return f"{part.name} ({size_text(part.out_shape)})" if _is_passed(part) else ""


def _is_passed(part: Part) -> bool:
    """Whether the path to the logits goes through a layer in `part`."""
    if isinstance(part.site.layer, Aux):
        return False
    return isinstance(part.site, LeafSite) or any(map(_is_passed, part.children))


def _step(item: Item) -> str:
    match item:
        case LayerBox():
            return f"{item.words} ({size_text(item.out_shape)})"
        case Block():
            return f"{item.name} ({size_text(item.out_shape)})"
        case _:
            return ""


def _layers_in_words(part: Part) -> str:
    return " ".join(
        f"{site.path.removeprefix(f'{part.path}.')}: {words_of(site.layer)},"
        f" {size_text(site.out_shape)}."
        for site in part.leaves()
    )
