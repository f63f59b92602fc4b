"""The cases of dropout: each element of each image is dropped by itself, the rest is divided by
1 − rate, and gradients and trainers do the same to what they compute.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ...arrays import Array, Params, uniform
from ...backend.protocols import Differentiates, Trains
from ...rounding import EPS
from ...spec.blocks import conv_layer, sequential
from ...spec.layers import Dense, Dropout, GlobalAvgPool, Network
from ...spec.loss import cross_entropy
from ...spec.recipe import Recipe
from ...weights.samples import random_labels
from ..parity.rows import Row
from ..parity.tolerance import distance, limit
from .case import GRADIENTS, TRAINER, Case, check_rows, expect
from .networks import lone

RATE = 0.4

#: Dropout and nothing else that draws or rounds: on a map, and on a vector.
LONE = {
    "map": lone("dropout-on-a-map", Dropout(RATE), (4, 31, 33)),
    "vector": Network(
        "dropout-on-a-vector",
        sequential(pool=GlobalAvgPool(), dropout=Dropout(RATE)),
        (1031, 2, 3),
        "googlenet.proof.conformance",
    ),
}

#: Many, so that the share of dropped elements is known to a tenth.
CLASSES = 1000


def dropout_cases() -> Iterator[Case[Differentiates] | Case[Trains]]:
    """Every case of dropout, on maps and on vectors."""
    for kind, network in LONE.items():
        yield Case(
            f"dropout-on-a-{kind}", GRADIENTS, partial(_check_forward, network=network, kind=kind)
        )
    for kind, visible in VISIBLE.items():
        yield Case(
            f"dropout-on-a-{kind}-in-gradients",
            GRADIENTS,
            partial(_check_gradients, visible=visible),
        )
        yield Case(
            f"dropout-on-a-{kind}-in-training", TRAINER, partial(_check_training, visible=visible)
        )


def _check_forward(backend: Differentiates, network: Network, kind: str) -> None:
    where = f"dropout on a {kind}"
    model = backend.build(network, {})
    ones = np.ones((4, *network.input_shape), np.float32)
    still = backend.forward(model, ones)["logits"]
    expect(
        distance(still, np.ones(still.shape)) <= limit(EPS),
        f"{where}: evaluation mode must be the identity",
    )
    first, second = (backend.forward(model, ones, train=True)["logits"] for _ in range(2))
    expect(
        not np.array_equal(first, second),
        f"{where}: two passes in training mode dropped the same elements",
    )
    _check_masks(first == 0, where)
    kept = first[first != 0]
    expect(
        distance(kept, np.full(kept.shape, 1 / (1 - RATE))) <= limit(EPS),
        f"{where}: kept elements must be divided by 1 - rate, that is by {1 - RATE}",
    )


def _check_masks(dropped: npt.NDArray[np.bool_], where: str) -> None:
    """A share `RATE` of the elements (N, C, ...) is dropped, and whether one is says nothing about
    its neighbour in another image, channel, row or column.
    """

    def check(found: npt.NDArray[np.bool_], expected: float, what: str) -> None:
        # Six standard deviations of a binomial share: a correct backend fails once in 500 million.
        spread = 6 * math.sqrt(expected * (1 - expected) / found.size)
        share = float(found.mean())
        expect(
            abs(share - expected) < spread,
            f"{where}: {share:.3f} of the elements {what}, expected {expected:.2f} ± {spread:.3f}",
        )

    check(dropped, RATE, "were dropped")
    for axis, name in zip(
        range(dropped.ndim), ("images", "channels", "rows", "columns"), strict=False
    ):
        # Pairs that do not overlap, so that they are independent.
        even, odd = (
            np.take(dropped, np.arange(start, dropped.shape[axis] - 1 + start, 2), axis)
            for start in (0, 1)
        )
        if even.size:
            check(
                even == odd,
                RATE**2 + (1 - RATE) ** 2,
                f"have the fate of their neighbour among the {name}",
            )


@dataclass(frozen=True)
class Visible:
    """A network whose logits tell which elements were dropped: `weighted`, a layer with a weight
    and a bias for each class and one input channel; `points`, how many elements it gives for each
    class; then dropout and their mean.
    """

    network: Network
    weighted: str
    points: int

    @property
    def params(self) -> Params:
        """The weight of each class, away from 0, and a quarter of its product with the smallest
        pixel as its bias: no two subsets of the points have one sum.
        """
        weight = uniform(0, self.weighted)(CLASSES) - 0.5
        weight = np.where(weight < 0, weight - 0.25, weight + 0.25).astype(np.float32)
        shape = (CLASSES, 1, 1, 1) if self.points > 1 else (CLASSES, 1)
        return {
            f"{self.weighted}.weight": weight.reshape(shape),
            f"{self.weighted}.bias": weight / 32,
        }

    def images(self, batch: int) -> Array:
        """Pixels of 1, 2, 4 and 8, so that every subset of them has its own sum and its own mean;
        images (batch, 1, 2, 2) differ in their size.
        """
        pixels = np.array([[1, 2], [4, 8]], np.float32) / 8
        return pixels[None, None] * (1 + np.arange(batch, dtype=np.float32))[:, None, None, None]

    def inputs(self, images: Array) -> Array:
        """What the weighted layer sees of the images: (N, points)."""
        flat = images.reshape(len(images), -1)
        return flat if self.points > 1 else flat.mean(1, keepdims=True)

    def activations(self, images: Array, params: Params) -> Array:
        """What dropout sees: (N, classes, points)."""
        weight, bias = params[f"{self.weighted}.weight"], params[f"{self.weighted}.bias"]
        return self.inputs(images)[:, None] * weight.reshape(1, -1, 1) + bias[None, :, None]

    def subsets(self) -> Array:
        """Each set of kept points as ones and zeros: (2 ** points, points), from none to all."""
        return np.array(list(itertools.product((0.0, 1.0), repeat=self.points)))

    def masks(self, images: Array, logits: Array) -> Array:
        """Which points were kept in a pass with these logits (N, classes): the subset whose sum is
        the nearest, as ones and zeros (N, classes, points).
        """
        sets = self.subsets()
        drawn = self.activations(images, self.params) @ sets.T / (self.points * (1 - RATE))
        kept: Array = sets[np.abs(drawn - logits[:, :, None]).argmin(2)]
        return kept

    def step(self, images: Array, labels: Array, kept: Array) -> tuple[float, Array, Params]:
        """The loss, the logits, and the gradients of a step that keeps these points, in the dtype
        of the images.
        """
        scale = (kept / (self.points * (1 - RATE))).astype(images.dtype)
        params = {path: array.astype(images.dtype) for path, array in self.params.items()}
        logits = (self.activations(images, params) * scale).sum(2)
        loss, slope = cross_entropy(logits, labels, 0.0)
        back = slope[:, :, None] * scale
        shape = self.params[f"{self.weighted}.weight"].shape
        weight = (back * self.inputs(images)[:, None]).sum((0, 2)).reshape(shape)
        return (
            loss,
            logits,
            {f"{self.weighted}.weight": weight, f"{self.weighted}.bias": back.sum((0, 2))},
        )


VISIBLE = {
    "map": Visible(
        Network(
            "dropout-on-a-map",
            sequential(conv=conv_layer(CLASSES, 1), dropout=Dropout(RATE), pool=GlobalAvgPool()),
            (1, 2, 2),
            "googlenet.proof.conformance",
        ),
        "conv",
        4,
    ),
    "vector": Visible(
        Network(
            "dropout-on-a-vector",
            sequential(
                pool=GlobalAvgPool(), dense=Dense(CLASSES, bias=True), dropout=Dropout(RATE)
            ),
            (1, 2, 2),
            "googlenet.proof.conformance",
        ),
        "dense",
        1,
    ),
}


def _check_gradients(backend: Differentiates, visible: Visible) -> None:
    """The gradient passes where the pass of the loss kept an element, and nowhere else.

    One image: then the gradient of a bias is 0 where all points of its class were dropped, and
    that of the weight, divided by it, is the mean of the pixels that were kept.
    """
    network = visible.network
    images, labels = visible.images(1), random_labels(batch=1, classes=CLASSES)
    model = backend.build(network, visible.params)
    loss, grads = backend.gradients(model, images, labels, train=True)
    weight, bias = (grads[f"{visible.weighted}.{name}"].reshape(-1) for name in ("weight", "bias"))
    none, *some = visible.subsets()
    means = np.array([kept @ visible.inputs(images)[0] / kept.sum() for kept in some])
    ratio = weight / np.where(bias == 0, 1, bias)
    nearest = np.array(some)[np.abs(ratio[:, None] - means).argmin(1)]
    kept = np.where(bias[:, None] == 0, none, nearest)[None]
    _check_masks(kept == 0, f"{network.name}: gradients")
    check_rows(backend, network, _rows(visible, images, labels, kept, {"loss": loss, **grads}))


def _check_training(backend: Trains, visible: Visible) -> None:
    """A step drops at the full rate, in each image for itself, and its update passes only there;
    `predict` drops nothing.
    """
    network, rate = visible.network, 100.0
    images, labels = visible.images(4), random_labels(batch=4, classes=CLASSES)
    trainer = backend.trainer(backend.build(network, visible.params), Recipe())
    loss, logits = trainer.step(images, labels, learning_rate=rate, seed=5)
    kept = visible.masks(images, logits)
    _check_masks(kept == 0, f"{network.name}: step")
    held = backend.params_of(trainer.model)
    moved = {
        path: (visible.params[path].astype(np.float64) - array) / rate
        for path, array in held.items()
    }
    found = {"loss": loss, "logits": logits, **moved}
    check_rows(backend, network, _rows(visible, images, labels, kept, found, rate))
    expected, rough = (
        visible.activations(images.astype(dtype), held).mean(2) for dtype in (np.float64, "f4")
    )
    error = distance(trainer.predict(images), expected)
    check_rows(backend, network, [Row("predict", error, limit(distance(rough, expected)))])


def _rows(
    visible: Visible,
    images: Array,
    labels: Array,
    kept: Array,
    found: Mapping[str, Any],
    rate: float | None = None,
) -> list[Row]:
    """Loss, logits and gradients, as far as they were `found`, of a step that keeps these points.

    With a learning rate the gradients are differences of weights that a step at that rate moved,
    and rounded: float32's own step tells how far.
    """

    def results(dtype: npt.DTypeLike) -> dict[str, float | Array]:
        loss, logits, grads = visible.step(images.astype(dtype), labels, kept)
        if rate is not None and dtype != np.float64:
            for path, grad in grads.items():
                before = visible.params[path]
                after = before - np.float32(rate) * grad
                grads[path] = (before.astype(np.float64) - after) / rate
        return {"loss": loss, "logits": logits, **grads}

    exact, rough = results(np.float64), results(np.float32)
    return [
        Row(
            name,
            distance(np.asarray(array), np.asarray(exact[name])),
            limit(distance(np.asarray(rough[name]), np.asarray(exact[name]))),
        )
        for name, array in found.items()
    ]
