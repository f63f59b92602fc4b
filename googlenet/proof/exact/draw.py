"""Weights, images and a loss with which float32 rounds nothing, whatever the order of its sums.

Weights are drawn layer by layer on the real activations. Each filter has two terms, so that values
neither grow nor die on their way; a bias lets a share of them pass the next ReLU. Images have
twelve significant bits, so that a framework that computes in TF32 or bfloat16 shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ...arrays import Array, Params, uniform
from ...backend.geometry import explicit_padding, extent, window_count
from ...errors import SpecError
from ...reference import layout
from ...reference.network import Model, Pass, Step
from ...reference.ops import Backward, pad
from ...spec.layers import (
    BatchNorm,
    Conv,
    Dense,
    LocalResponseNorm,
    Network,
    Shape,
    aux_heads,
)
from ...spec.loss import Loss
from ...spec.params import param_specs
from ...spec.traversal import LeafSite, join, num_classes, walk
from .demand import Demands, demands
from .granules import common_factor, granule

#: Images hold whole numbers below this: twelve significant bits, one more than TF32 keeps.
WHITE = 4096

#: How large values may become, in granules.
LARGEST = 2**12

#: The largest value behind a ReLU is at least this share of that, `WIDE` in one channel of a few,
#: so that every layer sees values of twelve bits. In all it would make gradients too large.
WIDE, NARROW, WIDE_CHANNELS = 0.55, 0.02, 4

#: The scale of a network with local response normalisation. Squares of its values vanish beside 1,
#: so that the normalisation is the identity, in float32 as in float64.
TINY = 2.0**-90

#: Logits that are farther apart leave the lower one no probability: exp(-128) is 0 in float32.
SATURATED = 128.0

#: How many images are drawn: a power of two, by which the loss divides its gradient.
IMAGES = 2


@dataclass(frozen=True)
class Style:
    """How one attempt draws: the share of the values that pass a ReLU, and a seed."""

    seed: int
    share: float


class Draw(Model):
    """The float64 reference, which draws each layer's weights when its input first arrives.

    After `run`, `params` holds the weights. Raises `SpecError` for a network that cannot be drawn.
    """

    def __init__(self, network: Network, style: Style, *, gradients: bool = True) -> None:
        specs = param_specs(network)
        blank = {path: np.zeros(spec.shape) for path, spec in specs.items()}
        self.style = style
        self.demands: Demands = demands(network)
        if not gradients:
            self.demands.gradients = dict.fromkeys(self.demands.gradients, 1)
        self.normalised = any(isinstance(site.layer, LocalResponseNorm) for site in walk(network))
        self.share = style.share
        self.base = TINY if self.normalised else 1.0
        self.last = last_layers(network)
        super().__init__(network, blank, dtype=np.float64, rounded=True)

    def _compute(self, site: LeafSite) -> Step:
        inner = super()._compute(site)
        if not isinstance(site.layer, (Conv, Dense, BatchNorm)):
            return inner

        def step(x: Array, run: Pass) -> tuple[Array, Backward]:
            match site.layer:
                case Conv() as conv:
                    self._draw_weighted(site, _Patches(x, site, conv), conv.groups)
                case Dense():
                    self._draw_weighted(site, _Features(x), 1)
                case BatchNorm() as norm:
                    self._draw_norm(site, norm, x)
            return inner(x, run)

        return step

    def _set(self, site: LeafSite, name: str, canonical: Array) -> None:
        path = join(site.path, name)
        self.params[path] = layout.to_native(self.specs[path], canonical)

    def _has(self, site: LeafSite, name: str) -> bool:
        return join(site.path, name) in self.specs

    # Convolutions and dense layers ----------------------------------------------------------------

    def _draw_weighted(self, site: LeafSite, terms: _Terms, groups: int) -> None:
        out = site.out_shape[0]
        random = _Random(self.style.seed, site.path)
        need = self.demands.outputs[site.path]
        unit = min(self.base, granule(terms.x))
        factor = math.lcm(
            need // common_factor(terms.x, unit, need), self.demands.gradients[site.path]
        )
        self.share = self.style.share / self.demands.gradients[site.path]
        last = site.path in self.last
        scale = float(factor)
        if last and not self.normalised:
            scale /= unit
        chosen = [terms.draw(random, group, out // groups) for group in range(groups)]
        weight = np.zeros((out, *self.specs[join(site.path, "weight")].shape[1:]))
        flat = weight.reshape(out, -1)
        sums = np.empty((terms.count, out))
        for number, (first, second) in enumerate(pair for group in chosen for pair in group):
            a, b = terms.values(first), terms.values(second)
            sign, total = self._signs(random, a, b, unit)
            sums[:, number] = scale * total
            flat[number, terms.place(first)] += scale * sign[0]
            flat[number, terms.place(second)] += scale * sign[1]
        self._set(site, "weight", weight)
        if not self._has(site, "bias"):
            if last:
                raise SpecError(
                    f"{site.path}: the last layer has no bias; the exact proof needs one"
                )
            return
        if not last:
            self._set(site, "bias", self._biases(random, sums, unit, need))
        else:
            self._set(site, "bias", self._steps(sums, need * (unit if self.normalised else 1.0)))

    def _signs(
        self, random: _Random, a: Array, b: Array, unit: float
    ) -> tuple[tuple[float, float], Array]:
        """Signs of two terms (n,) with which their sum is neither too large nor too small, and the
        sum.
        """
        flip = -1.0 if random() < 0.25 else 1.0
        both = a + b
        if np.abs(both).max(initial=0.0) <= LARGEST * unit and random() < 0.8:
            return (flip, flip), flip * both
        return (flip, -flip), flip * (a - b)

    def _biases(self, random: _Random, sums: Array, base: float, need: int) -> Array:
        """Biases that let about a share of each column of `sums` (n, O) be positive, as multiples
        of `base` · `need`; never 0. The largest value has at most twelve significant bits, in some
        columns exactly twelve.
        """
        count, unit = len(sums), base * need
        kept = np.clip(
            np.rint(count * self.share * (0.5 + random.many(sums.shape[1]))), 1, count
        ).astype(int)
        ordered = np.sort(sums, axis=0)
        edge = ordered[count - kept, np.arange(sums.shape[1])]
        # Multiples of a power of two have that many fewer bits.
        room = max(LARGEST * base * (need & -need), 2 * unit)
        wide = np.arange(sums.shape[1]) % WIDE_CHANNELS == 0
        least = np.where(wide, WIDE, NARROW) * room
        edge = np.clip(edge, ordered[-1] - room, ordered[-1] - least)
        biases: Array = (np.floor(-edge / unit) + 1) * unit
        # An odd number of units, so that the last of twelve bits is set.
        biases[wide & ((ordered[-1] + biases) / unit % 2 == 0)] += unit
        biases[biases == 0] = 2 * unit
        return biases

    def _steps(self, sums: Array, unit: float) -> Array:
        """Biases of a last layer: so far apart that softmax gives one class all there is, or in a
        network at a tiny scale, alike.
        """
        classes = sums.shape[1]
        if self.normalised:
            return np.full(classes, unit)
        reach = float((sums.max(1) - sums.min(1)).max()) + SATURATED
        return math.ceil(reach / unit) * unit * np.arange(classes)

    # Batch norm ----------------------------------------------------------------

    def _draw_norm(self, site: LeafSite, layer: BatchNorm, x: Array) -> None:
        channels = site.in_shape[0]
        random = _Random(self.style.seed, site.path)
        need = self.demands.outputs[site.path]
        flat = x.reshape(-1, channels)
        base = min(self.base, granule(x))
        unit = base * need
        half = random.many(channels) < 0.5
        deviation = np.where(half, 2.0, 1.0) if self._has(site, "weight") else np.ones(channels)
        self._set(
            site,
            "running_var",
            np.array([variance(each * each, layer.eps) for each in deviation]),
        )
        sign = np.where(random.many(channels) < 0.25, -1.0, 1.0)
        if self._has(site, "weight"):
            self._set(site, "weight", sign * deviation)
        else:
            sign = np.ones(channels)
        middle = np.rint(flat.mean(0) / unit / 2) * unit
        middle[middle == 0] = unit
        self._set(site, "running_mean", middle)
        self._set(site, "bias", self._biases(random, sign * (flat - middle), base, need))


def variance(power: float, eps: float) -> float:
    """The float32 running variance that batch norm turns into `power`, a power of four: with `eps`
    added in float32 it is exactly that.
    """
    value = np.float32(power - eps)
    for candidate in (
        value,
        np.nextafter(value, np.float32(0)),
        np.nextafter(value, np.float32(9)),
    ):
        if candidate >= 0 and np.float32(candidate + np.float32(eps)) == np.float32(power):
            return float(candidate)
    raise SpecError(
        f"no exact proof: no float32 variance plus the eps {eps} of a batch norm is {power}"
    )


class _Random:
    """Random numbers in [0, 1) for one layer."""

    def __init__(self, seed: int, path: str) -> None:
        self.many = uniform(seed, f"exact {path}")

    def __call__(self) -> float:
        return float(self.many(1)[0])

    def below(self, count: int) -> int:
        return int(self() * count)

    def order(self, count: int) -> Array:
        found: Array = np.argsort(self.many(count))
        return found


class _Terms(Protocol):
    """What the filters of a layer add up: columns of values, one for each position in a filter."""

    x: Array
    count: int

    def draw(self, random: _Random, group: int, out: int) -> list[tuple[int, int]]:
        """The two terms of each of `out` filters of a group."""

    def values(self, term: int) -> Array:
        """The values (count,) of a term."""

    def place(self, term: int) -> int:
        """Where a term stands in a flat filter."""


def _pairs(random: _Random, alive: Array, out: int) -> Iterator[tuple[int, int]]:
    """`out` pairs of different members of `alive`, each used about as often as any other."""
    queue: list[int] = []

    def following() -> int:
        if not queue:
            queue.extend(int(alive[i]) for i in random.order(len(alive)))
        return queue.pop()

    for _ in range(out):
        first, second = following(), following()
        yield first, (following() if first == second and len(alive) > 1 else second)


class _Features:
    """The inputs of a dense layer, x (N, H, W, C) or (N, C)."""

    def __init__(self, x: Array) -> None:
        self.x = x
        canonical = x.transpose(0, 3, 1, 2) if x.ndim == 4 else x
        self._flat = canonical.reshape(len(x), -1)
        self.count = len(x)

    def draw(self, random: _Random, group: int, out: int) -> list[tuple[int, int]]:
        alive = np.flatnonzero(self._flat.any(0))
        return list(_pairs(random, alive if len(alive) else np.arange(self._flat.shape[1]), out))

    def values(self, term: int) -> Array:
        return self._flat[:, term]

    def place(self, term: int) -> int:
        return term


class _Patches:
    """The windows of a convolution over x (N, H, W, C): a term is a channel at a place of the
    kernel.
    """

    def __init__(self, x: Array, site: LeafSite, layer: Conv) -> None:
        self.x, self.layer = x, layer
        self.rows, self.columns = window_count(site)
        padded = pad(
            x,
            explicit_padding(layer),
            extent((self.rows, self.columns), layer.kernel_size, layer.stride),
            0.0,
        )
        self._maps = np.ascontiguousarray(padded.transpose(3, 0, 1, 2))
        self._inputs: int = x.shape[3] // layer.groups
        self._taps: int = math.prod(layer.kernel_size)
        self.count = len(x) * self.rows * self.columns

    def draw(self, random: _Random, group: int, out: int) -> list[tuple[int, int]]:
        start = group * self._inputs
        maps = self._maps[start : start + self._inputs]
        alive = start + np.flatnonzero(maps.any((1, 2, 3)))
        if not len(alive):
            alive = np.arange(start, start + self._inputs)
        found = []
        for pair in _pairs(random, alive, out):
            first, second = (self._term(random, channel) for channel in pair)
            found.append((first, second))
        return found

    def _term(self, random: _Random, channel: int) -> int:
        """The channel at a random place of the kernel where its values are not all 0."""
        places = random.order(self._taps)
        terms = [channel * self._taps + int(place) for place in places]
        alive = (term for term in terms if self.values(term).any())
        return int(next(alive, terms[0]))

    def values(self, term: int) -> Array:
        channel, place = divmod(term, self._taps)
        u, v = divmod(place, self.layer.kernel_size[1])
        (sh, sw) = self.layer.stride
        window = self._maps[
            channel,
            :,
            u : u + (self.rows - 1) * sh + 1 : sh,
            v : v + (self.columns - 1) * sw + 1 : sw,
        ]
        flat: Array = window.reshape(-1)
        return flat

    def place(self, term: int) -> int:
        return term % (self._inputs * self._taps)


def last_layers(network: Network) -> frozenset[str]:
    """The path of the last weighted layer of each output."""
    heads = {name for name, _ in aux_heads(network.layers)}
    found: dict[str, str] = {}
    for site in walk(network):
        if isinstance(site.layer, (Conv, Dense)):
            head = next((part for part in site.path.split(".") if part in heads), "logits")
            found[head] = site.path
    return frozenset(found.values())


def draw_images(shape: Shape, seed: int, scale: float) -> Array:
    """Images (N, C, H, W) of float32: whole numbers below `WHITE`, times `scale`."""
    count = IMAGES * math.prod(shape)
    values = np.floor(uniform(seed, "exact images")(count) * WHITE)
    images: Array = (values * scale).astype(np.float32).reshape(IMAGES, *shape)
    return images


def exact_loss(network: Network, smoothed: bool = True) -> Loss:
    """A loss whose gradient with respect to saturated logits is a short binary fraction.

    Smoothing by K / 2ᵐ for K classes moves 2⁻ᵐ to each; auxiliary losses weigh ½, ¼, ….
    """
    classes = num_classes(network)
    bits = classes.bit_length()
    heads = len(network.outputs) - 1
    return Loss(
        label_smoothing=classes / 2.0**bits if smoothed else 0.0,
        aux_weights=tuple(2.0 ** -(1 + number) for number in range(heads)),
    )


def draw_labels(network: Network) -> Array:
    """Labels (N,): the first class, and the last."""
    classes = num_classes(network)
    return np.array([0, classes - 1] * (IMAGES // 2), np.int64)


def canonical(model: Draw) -> Params:
    """The drawn weights, canonical and float32, without rounding."""
    return {
        path: layout.from_native(spec, model.params[path]).astype(np.float32)
        for path, spec in model.specs.items()
    }
