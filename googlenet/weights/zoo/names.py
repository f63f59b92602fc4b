"""What a model of a zoo calls the arrays of our network, and how it lays them out."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ...architectures import get_network
from ...arrays import Array
from ...spec.layers import BatchNorm, Conv, Dense, Network, Shape
from ...spec.params import ParamSpec, param_specs
from .models import AUTOMATIC, ZooModel, joined


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

    def takes(self, shape: Shape) -> bool:
        """Whether an array of `shape` has all values in the order of the native one: that with
        flattened axes apart, and the matrix of a 1×1 convolution, which a dense layer has.
        """
        alike = [self.shape, self.apart]
        if isinstance(self.spec.site.layer, Conv) and self.spec.shape[2:] == (1, 1):
            ones = [axis for axis, size in enumerate(self.apart) if axis in self.axes[2:]]
            alike.append(tuple(n for axis, n in enumerate(self.apart) if axis not in ones))
        return tuple(shape) in alike

    def to_canonical(self, array: Array) -> Array:
        """An array of the native `shape` in our layout, of `spec.shape`."""
        return array.reshape(self.apart).transpose(self.axes)

    def to_native(self, array: Array) -> Array:
        """An array of `spec.shape` in the layout of the zoo, of the native `shape`."""
        return array.transpose(np.argsort(self.axes)).reshape(self.shape)


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
                rule = model.leaves[kind_of(leaves[leaf][0])]
                module = (
                    _numbered(rule["auto"], counts)
                    if source == AUTOMATIC
                    else joined(source, model.unit.get(part, ""), model.join)
                )
                found += [_entry(model, rule, module, spec) for spec in leaves[leaf]]
    return found


def kind_of(spec: ParamSpec) -> str:
    """The kind of layer that an array is of, as the tables call it."""
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
