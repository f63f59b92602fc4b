"""Steps of one trainer compared with float64 on networks in which nothing decides: no ReLU and no
max pool, so that rounding only ever adds rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...arrays import Array
from ...backend.protocols import Trains
from ...reference import build as build_reference
from ...reference.network import Pass
from ...reference.training import Trainer as Reference
from ...spec.blocks import (
    avg_pool,
    batch_norm,
    conv_layer,
    sequential,
)
from ...spec.layers import Aux, Dense, Network
from ...spec.recipe import Recipe
from ...weights.samples import CLASSES
from ..parity.problem import Problem
from ..parity.rows import Row
from ..parity.tolerance import VARIANTS, distance, limit, loss_reach
from .case import check_rows, expect

#: Everything that has weights, and an auxiliary head.
SMOOTH = Network(
    "steps",
    sequential(
        conv=conv_layer(6, 3, 2, 1),
        norm=batch_norm(1e-3, 0.2),
        aux1=Aux(
            sequential(pool=avg_pool(3, 2), conv=conv_layer(4, 1), dense=Dense(CLASSES, bias=True)),
            0.3,
        ),
        pool=avg_pool(3, 2),
        dense=Dense(CLASSES, bias=True),
    ),
    (2, 11, 14),
    "googlenet.proof.conformance",
)


def check_steps(
    backend: Trains, problem: Problem, recipe: Recipe, steps: Sequence[tuple[int, float]]
) -> None:
    """One step for each of `steps`, (how many images it takes, their share of a batch): its loss,
    its logits, and every array after it. Raises `ConformanceError`.
    """
    network, params = problem.network, problem.params
    trainer = backend.trainer(backend.build(network, params), recipe)
    exact = Reference(
        build_reference(
            network,
            params,
            dtype=np.float64,
            unbiased_running_variance=backend.unbiased_running_variance,
        ),
        recipe,
    )
    rough = [Reference(build_reference(network, params), recipe) for _ in VARIANTS]
    for number, (size, share) in enumerate(steps):
        batch, rate = problem.batch(number, size), recipe.learning_rate_at(number, len(steps))
        images, labels = batch.images.copy(), batch.labels.copy()
        loss, logits = trainer.step(
            images, labels, learning_rate=rate, seed=recipe.step_seed(number), share=share
        )
        expect(np.array_equal(images, batch.images), "step: changed the images")
        expect(np.array_equal(labels, batch.labels), "step: changed the labels")
        found = {
            "loss": np.array([loss]),
            "logits": logits,
            **backend.params_of(trainer.model),
        }
        run = Pass(train=True)
        expected = _advance(exact, batch, run, recipe, rate, share)
        strayed = dict.fromkeys(expected, 0.0)
        for variant, reference in zip(VARIANTS, rough, strict=True):
            other = _advance(
                *(reference, variant.of(batch), Pass(train=True, dot=variant.dot)),
                *(recipe, rate, share),
            )
            other["logits"] = variant.restore(other["logits"])
            for name, array in expected.items():
                strayed[name] = max(strayed[name], distance(other[name], array))
        outputs = dict.fromkeys(run.output_grads, strayed["logits"])
        reach = loss_reach(run.outputs, float(expected["loss"][0]), run.output_grads, outputs)
        strayed["loss"] = max(strayed["loss"], reach)
        rows = [
            Row(
                f"step {number + 1}: {name}",
                distance(found.get(name), array),
                limit(strayed[name]),
            )
            for name, array in expected.items()
        ]
        check_rows(backend, network, rows)


def _advance(
    trainer: Reference, batch: Problem, run: Pass, recipe: Recipe, rate: float, share: float
) -> dict[str, Array]:
    """A step of the reference on a `share` of a batch, a power of two: its loss, its logits, then
    every array in reverse order of execution.

    The reference knows no share. With v = share · u the rule of a share s,

        v ← momentum · v + (s · g + decay · w),    w ← w − rate · v,

    is that of a whole batch for u, with the weight decay decay / s and the rate s · rate.
    """
    trainer.recipe = replace(recipe, weight_decay=recipe.weight_decay / share)
    _scale_velocity(trainer, 1 / share)
    loss, logits = trainer.advance(batch.images, batch.labels, run, learning_rate=rate * share)
    _scale_velocity(trainer, share)
    arrays = trainer.params()
    return {
        "loss": np.array([loss]),
        "logits": logits,
        **{path: arrays[path] for path in reversed(arrays)},
    }


def _scale_velocity(trainer: Reference, factor: float) -> None:
    scaled = {path: array * factor for path, array in trainer.velocity().items()}
    trainer.restore(scaled, learning_rate=0.0)
