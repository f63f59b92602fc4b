"""`googlenet summary NAME`: the book's walk through the blocks, from the spec or measured on native
models, side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ..backend.discovery import backends
from .options import (
    AsJson,
    AuxHeads,
    Channels,
    Classes,
    Dialect,
    Interpreters,
    NetworkOrFile,
    OwnFramework,
    Size,
    Timeout,
    interpreters_of,
    shape_of,
)
from .output import add, bars, print_json, say, shape_text, show, table, terminal, widths

if TYPE_CHECKING:
    from rich.table import Table

    from ..actions.summary import Summary
    from ..jobs.native import Native
    from ..spec.outline import Row

Depth = Annotated[
    int,
    typer.Option(
        "--depth",
        metavar="N",
        min=1,
        help="How deep to go: 1 for stages, 2 for blocks, 3 for branches, 4 for layers.",
    ),
]
Frameworks = Annotated[
    list[str] | None,
    typer.Option(
        "--framework",
        metavar="X",
        help=(
            "Build the native model in this framework, and show its own layers and actual shapes;"
            " can be repeated, to see them side by side."
        ),
        autocompletion=lambda incomplete: [n for n in backends() if n.startswith(incomplete)],
    ),
]


def command(
    name: NetworkOrFile = "googlenet",
    depth: Depth = 1,
    framework: Frameworks = None,
    python: Interpreters = None,
    num_classes: Classes = None,
    channels: Channels = None,
    size: Size = None,
    aux: AuxHeads = False,
    dialect: Dialect = None,
    own_framework: OwnFramework = None,
    timeout: Timeout = 600.0,
    as_json: AsJson = False,
) -> None:
    """Show each stage's output shape, parameters, multiply-adds and receptive field; with --depth
    those of its blocks, branches and layers, too.
    """
    from ..actions.summary import summary

    with bars(as_json) as shown:
        found = summary(
            name,
            framework=framework,
            depth=depth,
            interpreters=interpreters_of(python),
            timeout=timeout,
            num_classes=num_classes,
            input_shape=shape_of(name, channels=channels, size=size, aux=aux, dialect=dialect),
            aux=aux,
            dialect=dialect,
            own_framework=own_framework,
            progress=shown.stage,
        )
    if as_json:
        print_json(found.to_json())
    else:
        _print(found)


#: Columns for a table of stages, and narrower ones for a table that has more.
MORE = (("Multiply-adds", "Receptive field"), ("Multiply-\nadds", "Receptive\nfield"))
#: What the rows of each depth are, as the title of their column.
TITLES = ("Stage", "Block", "Branch", "Layer")


def _print(found: Summary) -> None:
    natives, network = found.natives, found.network
    built = ", ".join(f"{each.framework} {each.version}" for each in natives)
    say(f"{network.name} ({network.source}){', as built by ' if natives else ''}{built}")
    show(_fitting(found))
    if found.depth > 1:
        _print_ratios(found.rows)
    side = found.smallest_input
    smallest = "none up to 1024×1024" if side is None else f"{side}×{side}"
    axes = "In shapes, N is the batch" if natives else "Shapes are channels×height×width"
    adds = "" if len(natives) > 1 else "; multiply-adds are for one image"
    say(f"Smallest square input: {smallest}. {axes}{adds}.")


def _fitting(found: Summary) -> Table:
    """The table with names indented; or if that is too wide, with paths for a list of rows."""
    indented = _table(found, indented=True)
    fits = not terminal().is_terminal or widths(indented)[0] <= terminal().width
    return indented if fits else _table(found, indented=False)


def _table(found: Summary, *, indented: bool) -> Table:
    natives = found.natives
    # Beside several frameworks there is no room for what is the same in all.
    more = MORE[found.depth > 1] if len(natives) < 2 else ()
    numbers = ("Parameters", *more)
    shape = "Output shape" if found.depth == 1 else "Output\nshape"
    columns = tuple(each.framework for each in natives) or (shape,)
    kinds = ("Kind",) if found.depth > 1 and not natives else ()
    rows = table(TITLES[found.depth - 1], *kinds, *columns, *numbers, right=numbers, wrap=kinds)
    shapes = [_native_text(each.input_shape) for each in natives] or [
        shape_text(found.network.input_shape)
    ]
    add(rows, "input", *("" for _ in kinds), *shapes, "", *("", "1×1")[: len(more)])
    for row in found.rows:
        name = "  " * row.indent + row.name if indented else row.path
        cells = [_native_cell(each, row) for each in natives] or [[shape_text(row.out_shape)]]
        parameters = [each.layers[row.path].parameters for each in natives] or [row.parameters]
        add(
            rows,
            name,
            *(row.kind for _ in kinds),
            *cells,
            _alike(parameters),
            *(f"{row.multiply_adds:,}", shape_text(row.receptive_field))[: len(more)],
        )
    rows.add_section()
    totals = [each.layers[""].parameters for each in natives] or [found.parameters]
    blank = [""] * (len(kinds) + len(columns))
    add(rows, "total", *blank, _alike(totals), *(f"{found.multiply_adds:,}", "")[: len(more)])
    return rows


def _alike(counts: Sequence[int]) -> str:
    """A number that all frameworks have, or each one's."""
    return " / ".join(f"{count:,}" for count in dict.fromkeys(counts))


def _native_text(shape: Sequence[int | None]) -> str:
    """(None, 64, 48, 48) → (N, 64, 48, 48), as the framework's users write it."""
    return f"({', '.join('N' if size is None else str(size) for size in shape)})"


#: The most columns of a framework's layers.
LAYERS = 38


def _native_cell(native: Native, row: Row) -> list[str]:
    """The framework's own layers, and below them their shape."""
    import textwrap

    from ..spec.outline import Level

    layer = native.layers[row.path]
    leaf = row.level is Level.LAYER or len(layer.classes) == 1
    words = ", ".join(layer.spelled) if leaf else layer.counted
    lines = textwrap.wrap(words, LAYERS, break_long_words=False)
    return [*lines, _native_text(layer.native_shape)]


def _print_ratios(rows: Sequence[Row]) -> None:
    """How the branches of each block share its channels, and where it reduces them."""
    if not any(row.ratios or row.reductions for row in rows):
        return
    made = table("Block", "Channels of its branches", "Reductions")
    for row in rows:
        if row.ratios or row.reductions:
            shares, found = (dict.fromkeys(map(str, each)) for each in (row.ratios, row.reductions))
            add(made, row.path, _one_each(shares), _one_each(found))
    show(made)


def _one_each(words: Iterable[str]) -> list[str]:
    """Words in lines of their own, with commas between them."""
    return ",\n".join(words).split("\n")
