"""Weights of a model zoo as weights of our network: names, layouts, sizes, and what is wrong with a
file that does not fit.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...arrays import Array, Params
from ...errors import ShapeError, UnknownNameError, WeightsError
from ...spec.layers import Dense, Network
from ...spec.params import end_weights, param_specs
from ..check import check_params
from ..files import is_own
from ..formats import WeightsFile
from .adapted import adapted
from .graphs import network_in, zoo_model_of
from .guess import looks_like
from .names import Entry, ZooModel, entries, find_model, network_of, renumbered

#: The largest side of a square image that is tried to fit a dense layer on a map.
MOST_SIDE = 1024


@dataclass(frozen=True)
class Imported:
    """A network, its weights by path, and the names of the file's arrays that it does not use, in
    the order of the file. A file that says what it computes also says which zoo `model` that is (or
    None), which `others` compute the same, and whether it `transforms` its images first, as
    torchvision's `transform_input` does; None where the file does not say.
    """

    network: Network
    params: Params
    left_over: list[str]
    model: str | None = None
    others: tuple[str, ...] = ()
    transforms: bool | None = None


def import_weights(
    file: WeightsFile,
    model: str,
    *,
    aux: bool | None = None,
    input_size: tuple[int, int] | None = None,
) -> Imported:
    """The weights in `file` of the zoo model `model`, `ZOO:MODEL`, as those of our network of that
    dialect.

    The numbers of classes and channels come from the shapes in the file; height and width are the
    network's own unless `input_size` (height, width) is given. The auxiliary heads are included if
    the file has them; `aux=False` leaves them out, `aux=True` requires them. Every array of the
    file is used or its name is in `left_over`; those that need no change share their memory with
    the file's.

    Raises `UnknownNameError` for a model that does not exist, or has no auxiliary heads where `aux`
    is True; `WeightsError`, on one line, for a file that holds another model, lacks an array, has
    one of another shape, of integers or not finite, or has an extra one in a layer of ours, which
    would make it a different function; `ShapeError` for an input that is too small.
    """
    found = find_model(model)
    if aux and not found.aux:
        raise UnknownNameError(
            f"`aux`: model '{found.designator}' has no auxiliary heads; leave out `aux`"
        )
    if file.graph is not None:
        return import_graph(file, found.network, aux=aux, input_size=input_size)
    source = _Source(file, found)
    network = source.network(source.has_heads() if aux is None else aux, input_size)
    params: Params = {}
    used: set[str] = set()
    for entry in entries(found, network):
        names = source.names_of(entry)
        array = source.check(entry, names, network)
        params[entry.path] = entry.to_canonical(array)
        used.update(names)
    left_over = [name for name in source.file.arrays if name not in used]
    source.check_left_over(used, left_over)
    return Imported(network, check_params(network, params, source=str(file.path)), left_over)


def import_graph(
    file: WeightsFile,
    only: str | None = None,
    *,
    aux: bool | None = None,
    input_size: tuple[int, int] | None = None,
) -> Imported:
    """The network that a file's graph is, and its weights: `only` the one of that name, or
    whichever fits. Raises `WeightsError` if it is another, or if a weight is not finite.
    """
    assert file.graph is not None
    found = network_in(file, file.graph, only=only, aux=aux, input_size=input_size)
    params = check_params(found.network, found.params, source=str(file.path))
    return Imported(
        found.network,
        params,
        found.left_over,
        zoo_model_of(found.network.name),
        tuple(zoo_model_of(each) or each for each in found.others),
        found.transforms,
    )


class _Source:
    """A file read as one model of a zoo."""

    def __init__(self, file: WeightsFile, model: ZooModel) -> None:
        self.file, self.model = replace(file, arrays=adapted(model, file.arrays)), model
        self._names = renumbered(model, self.file.arrays)

    def names_of(self, entry: Entry) -> list[str]:
        """The names that an array has in the file. Raises `WeightsError` if it has none."""
        names = [self._names[name] for name in entry.names if name in self._names]
        if not names:
            raise self._error(f"'{entry.names[0]}' is missing, expected with shape {entry.shape}")
        return names

    def check(self, entry: Entry, names: Sequence[str], network: Network) -> Array:
        """The array under `names`. Raises `WeightsError` for a wrong shape or dtype, or two arrays
        that differ.
        """
        array = self.file.arrays[names[0]]
        for name in names:
            other = self.file.arrays[name]
            if other.shape != entry.shape:
                what = f"'{name}' has shape {other.shape}, expected {entry.shape}"
                raise self._size_error(what, entry, other, network) or self._error(what)
            if other.dtype.kind != "f":
                raise self._error(f"'{name}' has dtype {other.dtype}, expected floating point")
            if other is not array and not np.array_equal(other, array, equal_nan=True):
                raise self._error(
                    f"'{names[0]}' and '{name}' differ; expected the same values, since they name"
                    " one layer"
                )
        return array

    def check_left_over(self, used: set[str], left_over: Sequence[str]) -> None:
        """Raises `WeightsError` for an array that our layer of the same name lacks, such as the
        bias of a convolution.
        """
        separator = self.model.separator
        modules = {name.rpartition(separator)[0] for name in used}
        for name in left_over:
            module, _, last = name.rpartition(separator)
            if module in modules and last not in self.model.ignored:
                raise self._error(
                    f"'{name}' does not belong in {self.model.designator}, whose layer does not"
                    " have this array"
                )

    def has_heads(self) -> bool:
        """Whether the file has any array of an auxiliary head."""
        if not self.model.aux:
            return False
        plain, both = (
            entries(self.model, network_of(self.model, aux=aux)) for aux in (False, True)
        )
        heads = {entry.path for entry in both} - {entry.path for entry in plain}
        return any(
            name in self._names for entry in both if entry.path in heads for name in entry.names
        )

    def network(self, aux: bool, input_size: tuple[int, int] | None) -> Network:
        """The network with the classes and channels of the file. Raises `WeightsError` if their
        arrays are missing or have the wrong shape.
        """
        default = network_of(self.model, aux=False)
        by_path = {entry.path: entry for entry in entries(self.model, default)}
        first, last = (by_path[spec.path] for spec in end_weights(default))
        channels = self._size_of(first, axis=1)
        num_classes = self._size_of(last, axis=0)
        shape = (channels, *(default.input_shape[1:] if input_size is None else input_size))
        return network_of(self.model, num_classes=num_classes, input_shape=shape, aux=aux)

    def _size_of(self, entry: Entry, axis: int) -> int:
        """How long an array of the file is along the axis that is `axis` in our layout."""
        name = self.names_of(entry)[0]
        shape, native = self.file.arrays[name].shape, entry.axes[axis]
        if len(shape) != len(entry.shape) or shape[native] == 0:
            raise self._error(f"'{name}' has shape {shape}, expected {entry.shape}")
        return int(shape[native])

    def _size_error(
        self, what: str, entry: Entry, array: Array, network: Network
    ) -> WeightsError | None:
        """The error for a dense layer that was made for a map of another size."""
        if (
            not isinstance(entry.spec.site.layer, Dense)
            or len(entry.spec.shape) != 4
            or array.ndim != 2
        ):
            return None
        outputs = 0 if entry.axes[0] == 0 else 1  # the flattened map comes after or before them
        if array.shape[outputs] != entry.spec.shape[0]:
            return None
        side = _fitting_side(self.model, network, entry.path, array.shape[1 - outputs])
        fits = (
            f"it fits images of {side}×{side}, so give `input_size` {side}×{side}"
            if side
            else "it fits no square image size"
        )
        return self._error(
            f"{what} for images of {network.input_shape[1]}×{network.input_shape[2]}; {fits}",
            guess=False,
        )

    def _error(self, what: str, *, guess: bool = True) -> WeightsError:
        """The error `what`, with the model that the file looks like."""
        hint = f"; {described(self.file, besides=self.model.designator)}" if guess else ""
        return WeightsError(f"{self.file.path}: {what}{hint}")


def _fitting_side(model: ZooModel, network: Network, path: str, features: int) -> int | None:
    """The side of a square image with which the dense weight at `path` takes `features` inputs: the
    model's own, or the smallest.
    """

    def features_at(side: int) -> int:
        try:
            return math.prod(
                param_specs(network.at((network.input_shape[0], side, side)))[path].shape[1:]
            )
        except ShapeError:
            return 0

    own = network_of(model).input_shape[1]
    side: int = (
        own
        if features_at(own) == features
        else bisect_left(range(MOST_SIDE), features, key=features_at)
    )
    return side if features_at(side) == features else None


def described(file: WeightsFile, *, besides: str | None = None) -> str:
    """What to do about a file that does not fit: the model that it looks like, if it is not
    `besides`, or its format.
    """
    if is_own(file.metadata):
        return "it is one of this project's own files, so leave out `model`"
    if any(name.startswith("layers/") and "/vars/" in name for name in file.arrays):
        return (
            "an early Keras 3 wrote it without the names of layers; load it in a current Keras 3"
            " and save it again"
        )
    models, share = looks_like(file.arrays)
    percent = f"{math.floor(100 * share)} % of the arrays match"
    if not models:
        return (
            f"it does not look like any known model (number of arrays: {len(file.arrays)}; the"
            f" first is '{next(iter(file.arrays))}')"
        )
    if besides in models:
        return f"apart from that it is {besides} ({percent}); download or save it again"
    return f"it looks like {' or '.join(models)} ({percent})"
