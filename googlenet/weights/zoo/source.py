"""A part of a file read as one model: its arrays by the model's names, as the spec's arrays, and
what is wrong with it if it does not fit.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Collection, Sequence

import numpy as np

from ...arrays import Array, Params
from ...budget import limited
from ...errors import ShapeError, WeightsError
from ...spec.layers import BatchNorm, Conv, Dense, Network
from ...spec.params import classifier_paths, end_weights, param_specs
from ..formats.common import widen_bfloat16
from .adapted import adapted, own_names
from .described import described
from .guess import LEAST_SHARE, rival
from .heads import Head, expect_heads, find_head
from .models import ZooModel
from .names import Entry, entries, network_of, renumbered
from .parts import Part

#: The largest side of a square image that is tried to fit a dense layer on a map.
MOST_SIDE = 1024


class Source:
    """The part of a file that holds one model. `head` is the module in the file that is the
    classifier, if it has another name than the model's.
    """

    def __init__(self, part: Part, head: str | None = None) -> None:
        self.part, self.file, self.model = part, part.file, part.model
        self._arrays = adapted(self.model, part.file.arrays)
        own = own_names(self.model, part.file.arrays)
        self._originals = {own.get(name, name): each for name, each in part.originals.items()}
        self._names = renumbered(self.model, self._arrays)
        self._asked = head
        self.head: Head | None = None
        self._neutral: set[str] = set()

    # What the file is -----------------------------------------------------------------------------

    def has_heads(self) -> bool:
        """Whether the file has any array of an auxiliary head."""
        heads = self._head_paths()
        return any(
            name in self._names
            for entry in (entries(self.model, network_of(self.model, aux=True)) if heads else ())
            if entry.path in heads
            for name in entry.names
        )

    def _head_paths(self) -> set[str]:
        """The paths of the arrays that the auxiliary heads have."""
        if not self.model.aux:
            return set()
        plain, both = (
            entries(self.model, network_of(self.model, aux=aux)) for aux in (False, True)
        )
        return {entry.path for entry in both} - {entry.path for entry in plain}

    def network(self, aux: bool, input_size: tuple[int, int] | None) -> Network:
        """The network with the classes and channels of the file. Raises `WeightsError` if their
        arrays are missing or have the wrong shape.
        """
        default = network_of(self.model, aux=False)
        by_path = {entry.path: entry for entry in entries(self.model, default)}
        first, last = (by_path[spec.path] for spec in end_weights(default))
        channels = self._size_of(first, axis=1)
        self.look_for_head(default)
        num_classes = self._size_of(last, axis=0)
        self.check_classes(num_classes)
        shape = (channels, *(default.input_shape[1:] if input_size is None else input_size))
        return network_of(self.model, num_classes=num_classes, input_shape=shape, aux=aux)

    def check_classes(self, count: int) -> None:
        """Raises `WeightsError` if files of this model have not `count` classes, but those of
        another one of the same names.
        """
        other = rival(self.model, count)
        if other is not None:
            raise self._error(
                f"has {count:,} classes, as {other.designator} has, whose arrays have the same"
                f" names but whose pools are others; give `model={other.designator}`",
                guess=False,
            )
        if self.model.classes not in (None, count):
            raise self._error(
                f"has {count:,} classes, expected {self.model.classes:,}, which"
                f" {self.model.designator} always has"
            )

    def look_for_head(self, network: Network) -> None:
        """Find the classifier under another name, if it has one. Raises `WeightsError` if there is
        none that can be taken for it.
        """
        found = entries(self.model, network)
        self.head = find_head(self.part, found, self._names, end_weights(network)[1], self._asked)
        for name, original in self.head.names.items() if self.head else ():
            self._arrays[name] = self.part.whole[original]
            self._names[name], self._originals[name] = name, original
        if self.head:  # it may have no bias, where the library's own has one
            dense = end_weights(network)[1].site.path
            lacking = {entry.path for entry in found if entry.names[0] not in self.head.names}
            self._neutral = lacking & {f"{dense}.bias"}

    def _size_of(self, entry: Entry, axis: int) -> int:
        """How long an array of the file is along the axis that is `axis` in our layout."""
        name = self.names_of(entry)[0]
        shape, native = self._arrays[name].shape, entry.axes[axis]
        if len(shape) == len(entry.apart):
            return int(shape[native]) or self._wrong_size(name, shape, entry)
        if len(shape) != len(entry.shape) or shape[native] == 0:
            self._wrong_size(name, shape, entry)
        return int(shape[native])

    def _wrong_size(self, name: str, shape: tuple[int, ...], entry: Entry) -> int:
        raise self._error(f"'{name}' has shape {shape}, expected {entry.shape}")

    # Its arrays -----------------------------------------------------------------------------------

    def params(
        self, network: Network, *, without: Collection[str] = ()
    ) -> tuple[Params, list[str]]:
        """The arrays of `network` by path, and the names of the file's that it does not use; the
        paths `without` are not looked for.

        Raises `WeightsError` for one that is missing, of another shape or dtype, or too many.
        """
        params: Params = {}
        used: set[str] = set()
        found = entries(self.model, network)
        if self.part.share >= LEAST_SHARE:
            there = [each.path for each in found if any(name in self._names for name in each.names)]
            expect_heads(network, there, self.file.path)
        for entry in found:
            if entry.path in without:
                used.update(self._names[name] for name in entry.names if name in self._names)
                continue
            if entry.path in self._neutral:
                params[entry.path] = np.zeros(entry.spec.shape, np.float32)
                continue
            names = self.names_of(entry)
            params[entry.path] = entry.to_canonical(self.check(entry, names, network))
            used.update(names)
        if self.model.given is not None or self.model.own:
            params = {path: params[path] for path in param_specs(network) if path in params}
        left_over = [name for name in self._arrays if name not in used]
        folded = self._fold_biases(params, network, used, left_over)
        self._check_left_over(used, [name for name in left_over if name not in folded])
        inside = {self._originals[name] for name in used} | {
            self._originals[name] for name in folded
        }
        return params, [name for name in self.part.whole if name not in inside]

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
        array = self._arrays[names[0]]
        for name in names:
            other = self._arrays[name]
            if not entry.takes(other.shape):
                raise self._shape_error(name, entry, other, network)
            if other.dtype.kind != "f" and other.dtype != np.uint16:
                raise self._error(f"'{name}' has dtype {other.dtype}, expected floating point")
            if other is not array and not np.array_equal(other, array, equal_nan=True):
                raise self._error(
                    f"'{names[0]}' and '{name}' differ; expected the same values, since they name"
                    " one layer"
                )
        if array.dtype == np.uint16:  # Paddle's bfloat16, for which NumPy has no dtype
            with limited(self.file.path, WeightsError):
                return widen_bfloat16(array)
        return array

    def _fold_biases(
        self, params: Params, network: Network, used: set[str], left_over: Sequence[str]
    ) -> list[str]:
        """The biases of the file that our convolutions lack because a batch norm follows, which
        subtracts the mean: taken from the running means, they change nothing.
        """
        layers = {spec.site.path: spec.site.layer for spec in param_specs(network).values()}
        modules = {
            self._names[name].rpartition(self.model.separator)[0]: entry.spec
            for entry in entries(self.model, network)
            for name in entry.names
            if name in self._names and isinstance(entry.spec.site.layer, Conv)
        }
        folded = []
        for name in left_over:
            module, _, last = name.rpartition(self.model.separator)
            spec = modules.get(module)
            if spec is None or last != self.model.leaves["conv"]["bias"]:
                continue
            norm = f"{spec.site.path.removesuffix('conv')}norm"
            bias, mean = self._arrays[name], f"{norm}.running_mean"
            if not isinstance(layers.get(norm), BatchNorm) or mean not in params:
                continue
            if bias.shape == params[mean].shape and bias.dtype.kind == "f":
                wide = np.asarray(params[mean], np.float64) - np.asarray(bias, np.float64)
                params[mean] = wide.astype(np.float32)
                folded.append(name)
        return folded

    def _check_left_over(self, used: set[str], left_over: Sequence[str]) -> None:
        """Raises `WeightsError` for an array that our layer of the same name lacks, such as the
        scale of a batch norm.
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

    # What is wrong with it ------------------------------------------------------------------------

    def _shape_error(self, name: str, entry: Entry, array: Array, network: Network) -> WeightsError:
        what = f"'{name}' has shape {array.shape}, expected {entry.shape}"
        last = classifier_paths(network)
        if entry.path in last and array.ndim == len(entry.shape) == len(entry.apart):
            ours, theirs = (shape[entry.axes[0]] for shape in (entry.shape, array.shape))
            if ours != theirs and self.model.given is not None:
                return self._error(
                    f"{what}: it has {theirs:,} classes, and the network {ours:,}; build it with"
                    f" `num_classes={theirs}`, or train a new classifier with `new_head`",
                    guess=False,
                )
            if ours != theirs and entry.path in self._head_paths():
                return self._error(
                    f"'{name}', of an auxiliary head, has {theirs:,} classes, but the classifier"
                    f" has {ours:,}; leave the auxiliary heads out: `aux=False`",
                    guess=False,
                )
        return self._size_error(what, entry, array, network) or self._error(what)

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
