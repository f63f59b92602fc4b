"""A network in cells that are read like text: stages in a row, each with its layers and blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..spec.layers import Concat, Shape
from ..spec.outline import Part, ratios, reductions
from ..spec.shapes import size_text
from .detail import branch_kind, layer_label, spoken
from .items import Block, Branches, Item, LayerBox, Side, items_of
from .page import BAR, FILLS, MARGIN, PAGE, Caption, Scale, caption, scale_for
from .scene import Box, Fill, Group, Line

#: How many cells a row may have, and how wide a cell is at most.
COLUMNS: Final = (6, 5, 4, 3, 2, 1)
WIDEST_CELL: Final = 290.0
#: The space around a stage's name, inside its panel, and between rows.
HEAD, PAD, ROWS = 6.5, 9.0, 30.0
THIN: Final = 11.0
#: How far the cells of a row that is not full may move apart.
SPREAD: Final = 1.5
PANEL: Final = Fill("#f4f4f4", "#a6a6a6")


@dataclass(frozen=True)
class Cell:
    """A layer or block: its output as a box, what it joins inside as thinner ones, and words."""

    bars: tuple[tuple[tuple[Shape, Fill, str], ...], ...]
    texts: tuple[tuple[str, bool], ...]
    label: str
    count: int = 1

    def shapes(self) -> Iterator[Shape]:
        """The shapes whose boxes it has; several in a row take as much room as their sum."""
        for bar in self.bars:
            channels = sum(shape[0] for shape, _, _ in bar)
            yield (channels, *bar[0][0][1:])


@dataclass
class Stage:
    """The cells of a stage, of an auxiliary head if `aside`, or of the input, which has no name."""

    name: str
    label: str
    cells: list[Cell]
    aside: bool = False


@dataclass
class Panel:
    """The cells of one stage that share a row."""

    stage: Stage
    cells: list[Cell]
    continued: bool = False
    column: int = 0

    def heading(self, wide: float) -> Caption:
        """The name above a panel of that width."""
        stage = self.stage
        known = not stage.label or stage.label.lower() == stage.name or len(stage.cells) == 1
        name = stage.name if known else f"{stage.name}: {stage.label}"
        return caption(wide - 24, (f"{name} (continued)" if self.continued else name, True))


@dataclass
class Flow:
    """Panels in rows, and the number of cells that a row has room for."""

    columns: int
    rows: list[list[Panel]] = field(default_factory=list)


def stages_of(root: Part) -> list[Stage]:
    """The input of a network, its stages, in order, then its auxiliary heads."""
    found, heads = [_input(root)], []
    for child in root.children:
        stage, *aside = _stages(child)
        found += [stage] if stage.cells else []
        heads += aside
    return [*found, *heads]


def stage_of(part: Part) -> list[Stage]:
    """The same of a part that is a single stage."""
    return [_input(part), *_stages(part)]


def _stages(part: Part) -> list[Stage]:
    """A part as a stage, and the auxiliary heads in it."""
    items = items_of(part)
    found = [Stage(part.name, part.block, _cells(items, part.path))]
    for item in items:
        if isinstance(item, Side):
            name = f"{item.part.name}, from {_before(items, item, part)}"
            found.append(Stage(name, "", _cells(item.items, item.part.path), aside=True))
    return found


def _input(part: Part) -> Stage:
    shape = part.site.in_shape
    text = size_text(shape)
    bar = ((shape, FILLS["input"], ""),)
    return Stage("", "", [Cell((bar,), (("input", True), (text, False)), f"Input: {text}")])


def _before(items: Sequence[Item], side: Side, part: Part) -> str:
    """What an auxiliary head takes the output of."""
    place = items.index(side)
    before = [item for item in items[:place] if not isinstance(item, Side)]
    match before[-1] if before else None:
        case Block(parts=parts):
            return parts[-1].name
        case LayerBox() as item:
            return item.path.removeprefix(f"{part.path}.")
        case _:
            return "what comes before"


def _cells(items: Sequence[Item], root: str) -> list[Cell]:
    found = []
    for item in items:
        if isinstance(item, LayerBox):
            found.append(_layer_cell(item, root))
        elif isinstance(item, Block):
            found.append(_block_cell(item, root))
    return found


def _layer_cell(item: LayerBox, root: str) -> Cell:
    return Cell(
        (((item.out_shape, FILLS[item.kind], item.path),),),
        ((item.words, True), (item.more, False), (size_text(item.out_shape), False)),
        layer_label(item, root),
    )


def _block_cell(item: Block, root: str) -> Cell:
    part, shape = item.part, item.out_shape
    block = part.block
    joined = list(_joined(item.items))
    inner = [_segments(branches) for branches in joined]
    direct = isinstance(part.site.layer, Concat)
    bars = inner if direct else [((shape, FILLS["sum"], part.path),), *inner]
    found = _distinct(map(str, reductions(part)))
    shares = ratios(part)
    label = f"{item.name}{f': {block}' if block else ''}; {_shapes(item)}"
    label += "".join(f"; branches have channels {spoken(ratio)}" for ratio in shares)
    label += "".join(f"; reduces {text}" for text in found)
    # Where a stage is a block, its name stands above it.
    name = block if block and part.path == root else item.name
    texts = [(name, True), ("" if name == block else block, False), (size_text(shape), False)]
    for text in _distinct(map(str, shares)):
        channels, _, terms = text.partition(" = ")
        texts += [(channels, False), (f"= {terms}" if terms else "", True)]
    texts += [(text, False) for text in found]
    return Cell(tuple(bars), tuple(texts), label, len(item.parts))


def _shapes(item: Block) -> str:
    return f"{size_text(item.part.site.in_shape)} to {size_text(item.out_shape)}"


def _joined(items: Sequence[Item]) -> Iterator[Branches]:
    """The concatenations in the main chain of a block, not those inside their branches."""
    for item in items:
        if isinstance(item, Branches):
            if isinstance(item.part.site.layer, Concat):
                yield item
            else:
                for _, inside in item.branches:
                    yield from _joined(inside)


def _segments(item: Branches) -> tuple[tuple[Shape, Fill, str], ...]:
    return tuple((part.out_shape, FILLS[branch_kind(part)], part.path) for part, _ in item.branches)


def _distinct(texts: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(texts))


# Rows ---------------------------------------------------------------------------------------------


def flow_of(stages: Sequence[Stage]) -> Flow:
    """Panels in as few rows as possible, and then with as few and wide cells as possible."""
    return min(
        (_fill(stages, columns) for columns in COLUMNS),
        key=lambda flow: (len(flow.rows), flow.columns),
    )


def _fill(stages: Sequence[Stage], columns: int) -> Flow:
    flow = Flow(columns)
    room = 0
    for stage in stages:
        waiting, first = list(stage.cells), True
        while waiting:
            breaks = len(waiting) > room and (len(waiting) <= columns and 2 * room <= columns)
            if room == 0 or breaks or (stage.aside and first and len(waiting) > room):
                flow.rows.append([])
                room = columns
            taken, waiting = waiting[:room], waiting[room:]
            flow.rows[-1].append(Panel(stage, taken, not first, columns - room))
            room -= len(taken)
            first = False
    return flow


# Drawing ------------------------------------------------------------------------------------------


@dataclass
class Page:
    """Where a flow is drawn: the pitch of its cells, their scale, and the captions' width."""

    flow: Flow
    scale: Scale
    pitch: float

    @property
    def width(self) -> float:
        """The width of the page."""
        return max(2 * MARGIN + self.flow.columns * self.pitch, 760.0)

    @property
    def inner(self) -> float:
        """The width of what is in a cell."""
        return inner_width(self.pitch)

    def pitch_of(self, row: Sequence[Panel]) -> float:
        """The pitch of a row: its cells move apart if there are few of them."""
        cells = sum(len(panel.cells) for panel in row)
        return min((self.width - 2 * MARGIN) / cells, SPREAD * self.pitch)


def inner_width(pitch: float) -> float:
    """The room in a cell."""
    return pitch - 26


def page_of(stages: Sequence[Stage]) -> Page:
    """The page that the stages fill."""
    flow = flow_of(stages)
    pitch = min((PAGE - 2 * MARGIN) / flow.columns, WIDEST_CELL)
    shapes = [shape for stage in stages for cell in stage.cells for shape in cell.shapes()]
    return Page(flow, scale_for(shapes, inner_width(pitch)), pitch)


def draw_flow(page: Page, top: float) -> tuple[Group, float]:
    """The flow below `top`, and where it ends."""
    body = Group()
    listed = body.group("list", "Stages")
    opened: dict[int, Group] = {}
    last: tuple[float, float, int] | None = None
    y = top
    for number, row in enumerate(page.flow.rows):
        pitch = page.pitch_of(row)
        captions = [[_caption(page, cell) for cell in panel.cells] for panel in row]
        tall = max(
            _bars_height(cell) + text.height
            for panel, texts in zip(row, captions, strict=True)
            for cell, text in zip(panel.cells, texts, strict=True)
        )
        heads = [panel.heading(pitch * len(panel.cells)) for panel in row]
        head = HEAD + max(each.height for each in heads)
        height = head + PAD + tall + PAD
        for panel, name, texts in zip(row, heads, captions, strict=True):
            group = opened.setdefault(id(panel.stage), Group())
            left = MARGIN + panel.column * pitch
            if panel.stage.name:
                if not panel.continued:
                    listed.add(group)
                    group.role, group.label = "listitem", _stage_label(panel.stage)
                wide = pitch * len(panel.cells) - 8
                group.add(Box(left + 4, y, wide, height, PANEL, dashed=panel.stage.aside))
                name.draw(group, left + 14, y + HEAD / 2, anchor="start")
                inner = group.group("list", f"Layers and blocks of {panel.stage.name}")
            else:
                listed.add(group)
                inner = group
            for place, (cell, text) in enumerate(zip(panel.cells, texts, strict=True)):
                x, middle = left + (place + 0.5) * pitch, y + head + PAD + BAR / 2
                long = _long(page, cell)
                starts = panel.stage.aside and place == 0 and not panel.continued
                if last is not None and not starts:
                    group.add(_arrow(page, last, (x - long / 2, middle, number), y))
                _draw_cell(inner.group("listitem", cell.label), page, cell, text, x, middle)
                last = (x + long / 2, middle, number)
        y += height + ROWS
    return body, y - ROWS


def _stage_label(stage: Stage) -> str:
    kind = "Output" if stage.aside else "Stage"
    return f"{kind} {stage.name}{f': {stage.label}' if stage.label else ''}"


def _arrow(
    page: Page, start: tuple[float, float, int], end: tuple[float, float, int], top: float
) -> Line:
    """From the box before to the next one, in the same row or the next."""
    (x0, y0, row0), (x1, y1, row1) = start, end
    if row0 == row1:
        return Line(((x0 + 3, y0), (x1 - 3, y1)), True)
    right, between = page.width - 10, top - ROWS / 2
    points = (
        (x0 + 3, y0),
        (right, y0),
        (right, between),
        (10.0, between),
        (10.0, y1),
        (x1 - 3, y1),
    )
    return Line(points, True)


def _caption(page: Page, cell: Cell) -> Caption:
    return caption(page.inner + 10, *cell.texts)


def _bars_height(cell: Cell) -> float:
    return BAR + (len(cell.bars) - 1) * (THIN + 4) + 4


def _long(page: Page, cell: Cell) -> float:
    return sum(page.scale.width(shape) for shape, _, _ in cell.bars[0])


def _draw_cell(
    group: Group, page: Page, cell: Cell, text: Caption, x: float, middle: float
) -> None:
    y = middle - BAR / 2
    for number, bar in enumerate(cell.bars):
        high = THIN if number else BAR
        left = x - sum(page.scale.width(shape) for shape, _, _ in bar) / 2
        for behind in range(min(cell.count - 1, 2) if number == 0 else 0, 0, -1):
            wide = sum(page.scale.width(shape) for shape, _, _ in bar)
            group.add(Box(left + 4 * behind, y - 4 * behind, wide, high, FILLS["other"]))
        for shape, fill, path in bar:
            wide = page.scale.width(shape)
            group.add(Box(left, y, wide, high, fill, path, shape[0]))
            left += wide
        y += high + 4
    text.draw(group, x, y)
