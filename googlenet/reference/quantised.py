"""The reference in int8: what is lost if weights and maps have 8 bits, and nothing else.

Weights are rounded for each output channel, symmetrically, to 255 numbers; maps as a whole to 256,
0 among them, from the smallest to the largest value that images to calibrate by gave. Products and
sums are not rounded: integers of 32 bits hold those of 8 exactly. So a map is rounded where a layer
with sums hands it on; a max pool only chooses among numbers that are rounded, a ReLU is taken into
the layer before it, and a dense layer hands on its sums as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ..arrays import Array, Params
from ..spec.layers import Conv, Dense, MaxPool, Network, ReLU, Sequential
from ..spec.traversal import Site, inputs, join, nodes, walk
from .model import build
from .network import Pass

#: The steps between the 256 numbers of a map, and those of a weight on each side of 0.
STEPS: Final = 255
SIDE: Final = 127
#: Images in one pass.
CHUNK: Final = 8


@dataclass(frozen=True)
class Grid:
    """The 256 numbers step · (k - zero), for k from 0 to 255: 0 is the one with k = zero."""

    step: float
    zero: int

    @classmethod
    def spanning(cls, low: float, high: float) -> Grid:
        """The grid from `low` to `high`, and to 0 if that lies outside, moved by at most half a
        step so that 0 is on it.
        """
        low, high = min(low, 0.0), max(high, 0.0)
        step = (high - low) / STEPS or 1.0
        return cls(step, round(-low / step))

    def rounded(self, x: Array) -> Array:
        """`x`, of any shape and dtype, each value moved to the nearest of the grid."""
        k = np.clip(np.rint(x / self.step) + self.zero, 0, STEPS)
        moved: Array = ((k - self.zero) * self.step).astype(x.dtype)
        return moved


def rounded_weight(weight: Array) -> Array:
    """`weight` (O, ...) as float64, the values of each output channel moved to the nearest multiple
    of its step, which is the largest magnitude among them divided by 127.
    """
    double = weight.astype(np.float64)
    largest = np.abs(double).max(axis=tuple(range(1, double.ndim)), keepdims=True)
    step = np.where(largest > 0, largest / SIDE, 1.0)
    moved: Array = np.rint(double / step) * step
    return moved


class Quantised:
    """A network in int8, called on images (N, C, H, W): the outputs (N, K) by name, in `dtype`.

    `params` are its weights in canonical layout; `calibration` (M, C, H, W) float32 are the images
    whose maps say from where to where each is rounded.
    """

    def __init__(
        self,
        network: Network,
        params: Mapping[str, Array],
        calibration: Array,
        *,
        dtype: npt.DTypeLike = np.float64,
    ) -> None:
        self.network = network
        self.grids = {
            path: Grid.spanning(*ends)
            for path, ends in ranges(network, params, calibration).items()
        }
        self._model = build(network, _rounded(network, params), dtype=dtype)

    def __call__(self, images: Array) -> Params:
        """The outputs (N, K) of images (N, C, H, W) by name."""
        parts = [self._run(piece) for piece in _pieces(images)]
        return {
            name: np.concatenate([part[name] for part in parts]) for name in self.network.outputs
        }

    def _run(self, images: Array) -> Params:
        run = Pass(made=self._made)
        self._model.run(self._made(None, images.astype(self._model.dtype)), run)
        return run.outputs

    def _made(self, path: str | None, x: Array) -> Array:
        return self.grids[path].rounded(x) if path in self.grids else x


def ranges(
    network: Network, params: Mapping[str, Array], images: Array
) -> dict[str | None, tuple[float, float]]:
    """The smallest and the largest value of each map that int8 rounds, by path: those of float32,
    on `images` (N, C, H, W), whose own are at None.
    """
    kept = _handed_on(network)
    found: dict[str | None, tuple[float, float]] = {
        None: (float(images.min()), float(images.max()))
    }

    def made(path: str, x: Array) -> Array:
        if path in kept:
            low, high = found.get(path, (np.inf, -np.inf))
            found[path] = (min(low, float(x.min())), max(high, float(x.max())))
        return x

    model = build(network, dict(params))
    for piece in _pieces(images):
        model.run(piece, Pass(made=made))
    return found


def _rounded(network: Network, params: Mapping[str, Array]) -> Params:
    """`params` with the weights of the convolutions and dense layers rounded; biases stay, which
    are added to sums of 32 bits.
    """
    weights = {
        join(site.path, "weight") for site in walk(network) if isinstance(site.layer, (Conv, Dense))
    }
    return {
        path: rounded_weight(array) if path in weights else array for path, array in params.items()
    }


def _handed_on(network: Network) -> frozenset[str]:
    """The paths of all layers whose maps are rounded."""
    sites = nodes(network)
    taken: dict[str | None, list[Site]] = {}
    sources = inputs(network)
    for site in sites:
        taken.setdefault(sources[site.path], []).append(site)

    def goes_on(site: Site) -> bool:
        if isinstance(site.layer, (Sequential, MaxPool, Dense)):
            return False
        takers = taken.get(site.path, [])
        return not takers or not all(isinstance(each.layer, ReLU) for each in takers)

    return frozenset(site.path for site in sites if goes_on(site))


def _pieces(images: Array) -> list[Array]:
    return [images[start : start + CHUNK] for start in range(0, len(images), CHUNK)]
