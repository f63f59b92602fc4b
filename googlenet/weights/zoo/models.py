"""The models of every zoo, read from `tables/`.

A zoo is a file of `tables/`, and all of it is data; `gluon.collected.toml` is a second set of names
of the zoo `gluon`. A model names its network as `get_network`
takes it, and has rows

    [source module, our path]            or            [source module, our path, block]

A row leads from a module of the zoo to a leaf of ours, or to a unit, `conv` with `norm`, whose two
parts the zoo names as `unit` says. With a block, every row of that block follows with both
prefixes. `{a,b}` and `{1..3}` stand for one row each, in step on both sides, and `a|b` for two
names of one module, of which a file needs one. The source `#` is a module that the zoo numbers
automatically: the rows are then in the order in which it creates them, and only the order of a
file's numbers counts. `aux = true` says that the model can have the auxiliary heads; without them
their rows are left out.

A model that is `like` another, of any table, has its rows, with other names for modules as
`renamed` says, and the `leaves` of another table if it names one. With `asked` it must be named:
files of the same names may be those of another function.

`leaves` says what the arrays of a convolution, a batch norm and a dense layer are called, and the
order of their axes: O outputs, I inputs, H height, W width. A dense layer on a map takes it
flattened in the order of `map`. `program` says what a program of the library, which has lost the
models' own names, calls them; the rows are then in the order in which it makes its layers.
Automatic names that are `nested` may follow those of what the layers are in, `block/conv2d_3`.
`framework` and `load` say how the library's own file is written, and loaded without this project;
with `every_name` it has an array under each of its names.
"""

from __future__ import annotations

import difflib
import functools
import importlib.resources
import itertools
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...errors import UnknownNameError
from ...spec.layers import Network

AUTOMATIC = "#"


@dataclass(frozen=True, eq=False)
class ZooModel:
    """One model of a zoo: what it is called, which network it is, and all its rows, written out.
    With `own` it is not a zoo's but this project's native model, in the framework `zoo`.
    """

    zoo: str
    name: str
    network: str
    aux: bool
    unit: Mapping[str, str]
    rows: tuple[tuple[str, str], ...]
    leaves: Mapping[str, Mapping[str, str]]
    join: str
    separator: str
    ignored: frozenset[str]
    #: Why files of a format, by the beginning of its name, hold another function's weights.
    refused: Mapping[str, str] = field(default_factory=dict)
    #: Which convolution of `rows` each of the library's layers is, in the library's order of them.
    order: tuple[int, ...] = ()
    own: bool = False
    #: How many classes every file of it has, where that tells it from another of the same names.
    classes: int | None = None
    #: The network itself, if no name means it.
    given: Network | None = None
    #: What a program of the library calls the arrays of each kind of layer, if it has programs.
    program: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    #: What its published checkpoints are called behind its name and a dot.
    tags: tuple[str, ...] = ()
    #: The framework whose files are the library's, if such a file can be written, and the Python
    #: that loads one into the library's own model, with {name}, {classes}, {aux} and {file}.
    framework: str = ""
    load: str = ""
    #: Whether its automatic names may follow those of other modules.
    nested: bool = False
    #: Whether a file is only taken for it when it is asked for, because files of the same names are
    #: more often another function.
    asked: bool = False
    #: Whether a file has an array under each of its names, not only under one.
    every_name: bool = False

    @property
    def designator(self) -> str:
        """`ZOO:MODEL`, or the network if it is this project's own."""
        return self.name if self.own else f"{self.zoo}:{self.name}"

    @property
    def boundary(self) -> str:
        """The pattern of what ends a prefix of its names."""
        return f"[./{re.escape(self.separator)}]"

    @functools.cached_property
    def automatic(self) -> re.Pattern[str] | None:
        """The pattern of an automatic name: its base, number and rest; None if it has none."""
        bases = [rule["auto"] for rule in self.leaves.values() if "auto" in rule]
        if not bases or not any(source == AUTOMATIC for source, _ in self.rows):
            return None
        return re.compile(
            rf"({'|'.join(map(re.escape, bases))})(?:_(\d+))?{re.escape(self.separator)}(.+)"
        )


# Reading the tables -------------------------------------------------------------------------------


def _expand(text: str) -> list[str]:
    """`a{1..2}_{x,y}` → a1_x, a1_y, a2_x, a2_y; text without braces stays as it is."""
    parts = re.split(r"\{([^}]*)\}", text)
    options: list[list[str]] = []
    for index, part in enumerate(parts):
        bounds = re.fullmatch(r"(\d+)\.\.(\d+)", part)
        if index % 2 == 0:
            options.append([part])
        elif bounds:
            options.append([str(number) for number in range(int(bounds[1]), int(bounds[2]) + 1)])
        else:
            options.append(part.split(","))
    return ["".join(choice) for choice in itertools.product(*options)]


def joined(prefix: str, rest: str, by: str) -> str:
    """`prefix` and `rest` with `by` between them if there are both, for each of the names in
    either.
    """
    if AUTOMATIC in (prefix, rest):
        return AUTOMATIC if rest == AUTOMATIC else rest
    pairs = itertools.product(prefix.split("|"), rest.split("|"))
    return "|".join(
        f"{left}{by}{right}" if left and right else left or right for left, right in pairs
    )


def _rows(
    rows: list[list[str]], blocks: Mapping[str, list[list[str]]], join: str
) -> Iterator[tuple[str, str]]:
    for source, path, *block in rows:
        sources, paths = _expand(source), _expand(path)
        if len(sources) == 1:
            sources *= len(paths)
        for one_source, one_path in zip(sources, paths, strict=True):
            if not block:
                yield one_source, one_path
                continue
            for inner_source, inner_path in _rows(blocks[block[0]], blocks, join):
                yield joined(one_source, inner_source, join), f"{one_path}.{inner_path}"


def _model(zoo: str, table: Mapping[str, Any], name: str) -> ZooModel:
    model = table["models"][name]
    unit = model.get("unit", {})
    rows = _rows(model["modules"], table["blocks"], table["join"])
    return ZooModel(
        zoo=zoo,
        name=name,
        network=model["network"],
        aux=model.get("aux", False),
        unit=unit,
        rows=tuple(rows),
        leaves=table["leaves"],
        join=table["join"],
        separator=table["separator"],
        ignored=frozenset(table["ignored"]),
        program=table.get("program", {}),
        nested=table.get("nested", False),
        tags=tuple(model.get("tags", ())),
        framework=table.get("framework", ""),
        every_name=table.get("every_name", False),
        load=model.get("load", table.get("load", "")),
        refused=model.get("refused", {}),
        order=tuple(map(int, model.get("order", "").split())),
    )


def _alike(
    zoo: str, name: str, row: Mapping[str, Any], other: ZooModel, tables: Mapping[str, Any]
) -> ZooModel:
    """`other` as the model `name` of `zoo`, with what `row` says instead."""
    renamed = row.get("renamed", {})
    return replace(
        other,
        zoo=zoo,
        name=name,
        network=row.get("network", other.network),
        unit=row.get("unit", other.unit),
        leaves=tables[row["leaves"]]["leaves"] if "leaves" in row else other.leaves,
        rows=tuple((renamed.get(source, source), path) for source, path in other.rows),
        tags=(),
        framework=tables[zoo].get("framework", ""),
        load=row.get("load", ""),
        classes=row.get("classes"),
        aux=row.get("aux", other.aux),
        asked=row.get("asked", False),
    )


@functools.cache
def _tables() -> tuple[ZooModel, ...]:
    """The models of every table, those of `ZOO.toml` before those of `ZOO.NAMING.toml`."""
    folder = importlib.resources.files(__package__) / "tables"
    files = [file for file in folder.iterdir() if file.name.endswith(".toml")]
    files.sort(key=lambda file: (file.name.count("."), file.name))
    tables = {
        file.name.removesuffix(".toml"): tomllib.loads(file.read_text("utf-8")) for file in files
    }
    found: dict[str, ZooModel] = {}
    for naming, table in tables.items():
        for name, row in table["models"].items():
            zoo, other = naming.partition(".")[0], row.get("like")
            if other is None:
                found[f"{naming}:{name}"] = _model(zoo, table, name)
            else:
                source, _, same = other.partition(":")
                model = _model(source, tables[source], same)
                found[f"{naming}:{name}"] = _alike(zoo, name, row, model, tables)
    return tuple(found.values())


@functools.cache
def _models() -> dict[str, tuple[ZooModel, ...]]:
    """Every model by its designator, by each of its namings."""
    found: dict[str, tuple[ZooModel, ...]] = {}
    for model in _tables():
        found[model.designator] = (*found.get(model.designator, ()), model)
    return found


def zoo_models() -> tuple[str, ...]:
    """Every model whose weights can be imported, as `ZOO:MODEL`."""
    return tuple(_models())


def namings(designator: str) -> tuple[ZooModel, ...]:
    """The model that `zoo_models` calls `designator`, with each set of names that its library has
    or had for its arrays, that of today first.
    """
    return _models()[designator]


def find_model(name: str) -> ZooModel:
    """The model that `ZOO:MODEL` means, in upper or lower case and with or without underscores:
    `keras:InceptionV3`; a checkpoint's tag may follow, as in `timm:inception_v3.gluon_in1k`.

    Raises `UnknownNameError`, listing those that exist, for an unknown zoo or model.
    """

    def plain(text: str) -> str:
        return re.sub(r"[_\-.\s]", "", text).lower()

    models = _models()
    known = {plain(designator): designator for designator in models}
    base, _, tag = name.partition(".")
    for asked in (name, base):
        designator = known.get(plain(asked))
        if designator is not None and (asked == name or tag in models[designator][0].tags):
            return models[designator][0]
    of_zoo = {
        each: designator
        for each, designator in known.items()
        if plain(models[designator][0].zoo) == plain(name.partition(":")[0])
    }
    candidates = of_zoo or known
    close = difflib.get_close_matches(plain(name), candidates, n=1)
    hint = f"; did you mean '{candidates[close[0]]}'?" if close else ""
    raise UnknownNameError(
        f"model: expected one of {', '.join(candidates.values())}, got '{name}'{hint}"
    )


def checkpoint_of(name: str) -> str | None:
    """The checkpoint that `name` means, as `ZOO:MODEL.TAG`, None if it has no tag. Raises as
    `find_model` does.
    """
    model, tag = find_model(name), name.partition(".")[2]
    return f"{model.designator}.{tag}" if tag in model.tags else None
