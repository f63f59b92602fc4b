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
    local_response_norm,
    residual,
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
        lrn=local_response_norm(5, 1e-1),
        aux1=Aux(
            sequential(pool=avg_pool(3, 2), conv=conv_layer(4, 1), dense=Dense(CLASSES, bias=True)),
            0.3,
        ),
        block=residual(conv_layer(6, 3, 1, 1), scale=0.3),
        hidden=Dense(9, bias=True),
        dense=Dense(CLASSES, bias=True),
    ),
    (2, 11, 14),
    "googlenet.proof.conformance",
)


def check_steps(
    backend: Trains,
    problem: Problem,
    recipe: Recipe,
    sizes: Sequence[int],
    *,
    share: float = 1.0,
) -> None:
    """One step for each of `sizes`, which is how many of the images it takes: its loss, its logits,
    every array after it, and what `predict` then gives. Raises `ConformanceError`.

    With a `share` other than 1, a power of two, there can be only one step: it moves the weights
    like one at `share` times the rate with 1 / `share` times the weight decay.
    """
    network, params = problem.network, problem.params
    alike = replace(recipe, weight_decay=recipe.weight_decay / share)
    trainer = backend.trainer(backend.build(network, params), recipe)
    exact = Reference(
        build_reference(
            network,
            params,
            dtype=np.float64,
            unbiased_running_variance=backend.unbiased_running_variance,
        ),
        alike,
    )
    rough = [Reference(build_reference(network, params), alike) for _ in VARIANTS]
    for number, size in enumerate(sizes):
        batch = problem.batch(number, size)
        rate = recipe.learning_rate_at(number, len(sizes))
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
            "predict": trainer.predict(batch.images),
        }
        run = Pass(train=True)
        expected = _advance(exact, batch, run, rate * share)
        strayed = dict.fromkeys(expected, 0.0)
        for variant, reference in zip(VARIANTS, rough, strict=True):
            other = _advance(
                reference, variant.of(batch), Pass(train=True, dot=variant.dot), rate * share
            )
            for name in ("logits", "predict"):
                other[name] = variant.restore(other[name])
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


def _advance(trainer: Reference, batch: Problem, run: Pass, rate: float) -> dict[str, Array]:
    """A step of the reference: its loss, its logits, then every array in reverse order of
    execution, and the predictions for the same images.
    """
    loss, logits = trainer.advance(batch.images, batch.labels, run, learning_rate=rate)
    arrays = trainer.params()
    after = Pass(dot=run.dot)
    trainer.model.run(batch.images, after)
    return {
        "loss": np.array([loss]),
        "logits": logits,
        **{path: arrays[path] for path in reversed(arrays)},
        "predict": after.outputs["logits"],
    }
