"""What rounding decides: the side of 0 at each ReLU and the winners of each max pool, which a
backend shows by what those layers take, and how near to a tie it may decide otherwise than float64.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np

from ...arrays import Array
from ...backend.geometry import window_count
from ...reference.layout import to_nhwc
from ...reference.ops import Choice, chosen, winners
from ...spec.layers import MaxPool, Network, ReLU
from ...spec.traversal import LeafSite, inputs, walk

#: Half a unit in the last place of float32 at 1: no number is held more exactly.
HALF = float(np.finfo(np.float32).eps) / 2


def deciding(network: Network) -> Iterator[tuple[LeafSite, str | None]]:
    """Every ReLU and max pool, and the path of the layer whose output it takes; None for images."""
    sources = inputs(network)
    for site in walk(network):
        if isinstance(site.layer, (ReLU, MaxPool)):
            yield site, sources[site.path]


def decision_sources(network: Network) -> frozenset[str]:
    """The paths of all layers whose outputs show what a pass decides."""
    return frozenset(source for _, source in deciding(network) if source is not None)


def decisions(network: Network, images: Array, outputs: Mapping[str, Array]) -> dict[str, Choice]:
    """What a backend decided in a pass of `images` (N, C, H, W): the side of 0 that the input of
    each ReLU is on, the winners of each max pool's, by path.

    `outputs` are its layers' outputs by path. A layer whose input is missing or of another shape is
    left to the reference.
    """
    made: dict[str, Choice] = {}
    for site, source in deciding(network):
        taken = images if source is None else outputs.get(source)
        if taken is not None and taken.shape == (len(images), *site.in_shape):
            made[site.path] = Choice(fixed=_decided(site, _channels_last(taken)))
    return made


def _decided(site: LeafSite, x: Array) -> Array:
    if isinstance(site.layer, MaxPool):
        return winners(x, site.layer, window_count(site))
    return x > 0


def _channels_last(x: Array) -> Array:
    return to_nhwc(x) if x.ndim == 4 else x


class Ties:
    """How near to a tie rounding may decide a ReLU or max pool otherwise than float64: measured in
    each channel of its input by how far any element strays in float32's runs.

    `exact` are float64's outputs by path, of a pass of `images`.
    """

    def __init__(self, network: Network, images: Array, exact: Mapping[str, Array]) -> None:
        self._exact = exact
        self._sources = {site.path: source for site, source in deciding(network)}
        self._images = images
        self._strayed: dict[str, Array] = {}

    def add(self, outputs: Mapping[str, Array]) -> None:
        """Take one of float32's runs into account: its outputs by path, as `Variant.restore` puts
        them in order.
        """
        for source in dict.fromkeys(self._sources.values()):
            if source is not None:
                strayed = _largest(outputs[source] - self._exact[source])
                self._strayed[source] = np.maximum(self._strayed.get(source, 0.0), strayed)

    def measured(self, factor: float, unproved: Collection[str]) -> dict[str, Array]:
        """By the path of each ReLU and max pool an array (C,): the farthest from a tie that
        rounding may decide.

        It is `factor` times as far as the channel's elements strayed, and no less than as half a
        unit in the last place of the largest of them. What takes the output of a layer that is
        among `unproved`, which cannot be told from a wrong one, may decide anything.
        """
        found: dict[str, Array] = {}
        for path, source in self._sources.items():
            if source is None:  # the images, which all have alike
                found[path] = factor * HALF * _largest(self._images.astype(np.float64))
                continue
            least = HALF * _largest(self._exact[source])
            far = factor * np.maximum(self._strayed[source], least)
            found[path] = np.full_like(far, np.inf) if source in unproved else far
        return found


def _largest(x: Array) -> Array:
    """The largest absolute value in each channel of x (N, C, H, W) or (N, C)."""
    largest: Array = np.abs(x).max(axis=(0, *range(2, x.ndim)))
    return largest


def accepted(
    network: Network,
    images: Array,
    made: Mapping[str, Choice],
    exact: Mapping[str, Array],
    ties: Mapping[str, Array],
) -> dict[str, Choice]:
    """The choices of `made` where they are float64's or rounding may decide, and elsewhere
    float64's.

    `exact` are float64's outputs by path, `ties` what `Ties` measured. A decision of a max pool is
    as far from a tie as its winner is below the largest element, of which both may stray.
    """
    held: dict[str, Choice] = {}
    for site, source in deciding(network):
        wanted = made[site.path].fixed if site.path in made else None
        if wanted is None:
            continue
        x = _channels_last(images.astype(np.float64) if source is None else exact[source])
        own = _decided(site, x)
        other = np.nonzero(own != wanted)
        if len(other[0]):
            bound = ties[site.path][other[-1]]
            if isinstance(site.layer, MaxPool):
                best, second = (
                    chosen(x, site.layer, window_count(site), other, array[other])
                    for array in (own, wanted)
                )
                far = best - second > 2 * bound
            else:
                far = np.abs(x[other]) > bound
            refused = tuple(axis[far] for axis in other)
            wanted = wanted.copy()
            wanted[refused] = own[refused]
        held[site.path] = Choice(fixed=wanted)
    return held
