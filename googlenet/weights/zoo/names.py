"""What model zoos call the arrays of our networks, and how they lay them out.

A zoo is a file of `tables/`, and all of it is data. A model names its network as `get_network`
takes it, and has rows

    [source module, our path]            or            [source module, our path, block]

A row leads from a module of the zoo to a leaf of ours, or to a unit, `conv` with `norm`, whose two
parts the zoo names as `unit` says. With a block, every row of that block follows with both
prefixes. `{a,b}` and `{1..3}` stand for one row each, in step on both sides, and `a|b` for two
names of one module, of which a file needs one. The source `#` is a module that the zoo numbers
automatically: the rows are then in the order in which it creates them, and only the order of a
file's numbers counts. `aux = true` says that the model can have the auxiliary heads; without them
their rows are left out.

`leaves` says what the arrays of a convolution, a batch norm and a dense layer are called, and the
order of their axes: O outputs, I inputs, H height, W width. A dense layer on a map takes it
flattened in the order of `map`.
"""

from __future__ import annotations

import difflib
import functools
import importlib.resources
import itertools
import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...architectures import get_network
from ...arrays import Array
from ...errors import UnknownNameError
from ...spec.layers import BatchNorm, Conv, Dense, Network, Shape
from ...spec.params import ParamSpec, param_specs

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
    own: bool = False
    #: The network itself, if no name means it.
    given: Network | None = None

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


@dataclass(frozen=True)
class Entry:
    """One array: its names in the zoo, the preferred one first, and its native shape; its path and
    shape here; and how to convert one into the other.
    """

    names: tuple[str, ...]
    shape: Shape
    spec: ParamSpec
    #: The native shape with flattened axes separated, and the order that makes its axes ours.
    apart: Shape
    axes: tuple[int, ...]

    @property
    def path(self) -> str:
        """The path of the array here."""
        return self.spec.path

    def to_canonical(self, array: Array) -> Array:
        """An array of the native `shape` in our layout, of `spec.shape`."""
        return array.reshape(self.apart).transpose(self.axes)

    def to_native(self, array: Array) -> Array:
        """An array of `spec.shape` in the layout of the zoo, of the native `shape`."""
        return array.transpose(np.argsort(self.axes)).reshape(self.shape)


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


def _joined(prefix: str, rest: str, by: str) -> str:
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
                yield _joined(one_source, inner_source, join), f"{one_path}.{inner_path}"


def _model(zoo: str, table: Mapping[str, Any], name: str) -> ZooModel:
    model = table["models"][name]
    return ZooModel(
        zoo=zoo,
        name=name,
        network=model["network"],
        aux=model.get("aux", False),
        unit=model.get("unit", {}),
        rows=tuple(_rows(model["modules"], table["blocks"], table["join"])),
        leaves=table["leaves"],
        join=table["join"],
        separator=table["separator"],
        ignored=frozenset(table["ignored"]),
    )


@functools.cache
def _models() -> dict[str, ZooModel]:
    """Every model of every table by its designator."""
    found: dict[str, ZooModel] = {}
    folder = importlib.resources.files(__package__) / "tables"
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            zoo, table = file.name.removesuffix(".toml"), tomllib.loads(file.read_text("utf-8"))
            found |= {
                model.designator: model
                for model in (_model(zoo, table, name) for name in table["models"])
            }
    return found


def zoo_models() -> tuple[str, ...]:
    """Every model whose weights can be imported, as `ZOO:MODEL`."""
    return tuple(_models())


def find_model(name: str) -> ZooModel:
    """The model that `ZOO:MODEL` means, in upper or lower case and with or without underscores:
    `keras:InceptionV3`.

    Raises `UnknownNameError`, listing those that exist, for an unknown zoo or model.
    """

    def plain(text: str) -> str:
        return re.sub(r"[_\-.\s]", "", text).lower()

    models = _models()
    known = {plain(designator): designator for designator in models}
    if plain(name) in known:
        return models[known[plain(name)]]
    of_zoo = {
        each: designator
        for each, designator in known.items()
        if models[designator].zoo == plain(name.partition(":")[0])
    }
    candidates = of_zoo or known
    close = difflib.get_close_matches(plain(name), candidates, n=1)
    hint = f"; did you mean '{candidates[close[0]]}'?" if close else ""
    raise UnknownNameError(
        f"model: expected one of {', '.join(candidates.values())}, got '{name}'{hint}"
    )


# From rows to arrays ------------------------------------------------------------------------------


def network_of(
    model: ZooModel,
    *,
    num_classes: int | None = None,
    input_shape: Shape | None = None,
    aux: bool = False,
) -> Network:
    """The network that `model` is. Raises as `get_network` does."""
    if model.given is not None:
        return model.given
    return get_network(model.network, num_classes=num_classes, input_shape=input_shape, aux=aux)


def entries(model: ZooModel, network: Network) -> list[Entry]:
    """The arrays of `network`, which is `model`'s, in the order of the table: names in the zoo,
    paths here, and layouts.
    """
    leaves: dict[str, list[ParamSpec]] = defaultdict(list)
    for spec in param_specs(network).values():
        leaves[spec.site.path].append(spec)
    counts: Counter[str] = Counter()
    found: list[Entry] = []
    for source, path in model.rows:
        parts = [("", path), *((part, f"{path}.{part}") for part in ("conv", "norm"))]
        for part, leaf in parts:
            if leaf in leaves:
                rule = model.leaves[_kind(leaves[leaf][0])]
                module = (
                    _numbered(rule["auto"], counts)
                    if source == AUTOMATIC
                    else _joined(source, model.unit.get(part, ""), model.join)
                )
                found += [_entry(model, rule, module, spec) for spec in leaves[leaf]]
    return found


def _kind(spec: ParamSpec) -> str:
    match spec.site.layer:
        case Conv():
            return "conv"
        case Dense():
            return "dense"
        case BatchNorm():
            return "norm"
        case layer:
            raise TypeError(f"{spec.path}: {type(layer).__name__} has no arrays")


def _numbered(base: str, counts: Counter[str]) -> str:
    """The next automatic name: conv2d, conv2d_1, conv2d_2."""
    counts[base] += 1
    return base if counts[base] == 1 else f"{base}_{counts[base] - 1}"


def _entry(model: ZooModel, rule: Mapping[str, str], module: str, spec: ParamSpec) -> Entry:
    names = tuple(
        f"{each}{model.separator}{name}"
        for each, name in itertools.product(module.split("|"), rule[spec.name].split("|"))
    )
    if spec.name != "weight" or isinstance(spec.site.layer, BatchNorm):
        return Entry(names, spec.shape, spec, spec.shape, (0,))
    flattened = isinstance(spec.site.layer, Dense) and len(spec.shape) == 4
    ours = "OI" if len(spec.shape) == 2 else "OCHW" if flattened else "OIHW"
    native = rule["axes"].replace("I", rule["map"]) if flattened else rule["axes"]
    size = dict(zip(ours, spec.shape, strict=True))
    size["I"] = size.get("I", 0) or size.get("C", 0) * size.get("H", 0) * size.get("W", 0)
    return Entry(
        names=names,
        shape=tuple(size[axis] for axis in rule["axes"]),
        spec=spec,
        apart=tuple(size[axis] for axis in native),
        axes=tuple(native.index(axis) for axis in ours),
    )


def renumbered(model: ZooModel, names: Iterable[str]) -> dict[str, str]:
    """The names of a file by the names of the table: automatic ones renumbered in the order of
    their numbers, others as they are.
    """
    found: dict[str, str] = {}
    counted: dict[str, dict[int, list[tuple[str, str]]]] = defaultdict(lambda: defaultdict(list))
    pattern = model.automatic
    for name in names:
        match = pattern.fullmatch(name) if pattern else None
        if match:
            counted[match[1]][int(match[2] or 0)].append((match[3], name))
        else:
            found[name] = name
    for base, by_number in counted.items():
        counts: Counter[str] = Counter()
        for number in sorted(by_number):
            module = _numbered(base, counts)
            found |= {f"{module}{model.separator}{rest}": name for rest, name in by_number[number]}
    return found


def plain_name(model: ZooModel, name: str) -> str:
    """`name` without the number of an automatic one, which says nothing by itself."""
    match = model.automatic.fullmatch(name) if model.automatic else None
    return f"{match[1]}{model.separator}{match[3]}" if match else name
