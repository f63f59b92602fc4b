"""The cases of a backend's trainer: its steps against float64, and what training relies on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from ...arrays import Array, Params
from ...backend.protocols import Trainer, Trains, TrainsInParallel
from ...errors import DataError, GoogLeNetError, ShapeError, SpecError
from ...reference import build as build_reference
from ...reference.network import Pass
from ...spec.layers import Dropout, Network
from ...spec.params import param_specs
from ...spec.recipe import Recipe
from ...spec.rewrite import with_dropout_rate
from ...spec.traversal import nodes, num_classes
from ...weights.samples import BATCH, CLASSES, random_images, random_labels, random_params
from ..parity.problem import Problem, random_problem
from ..parity.rows import Row
from ..parity.tolerance import distance, forward_yardstick, limit
from ..parity.trajectory import compare_trajectory
from .answers import trajectory_measured
from .case import (
    LEARNER,
    TRAINER,
    AnyCase,
    Case,
    Learns,
    check_rows,
    expect,
    expect_errors,
)
from .networks import (
    batch_of,
    composites,
    one_value_network,
    probe,
    sandwich,
    trained_networks,
)
from .steps import SMOOTH, check_steps


def trainer_cases() -> Iterator[AnyCase]:
    """Every case that needs a trainer."""
    for name, (network, recipe) in trained_networks().items():
        yield Case(
            f"training-{name}", LEARNER, partial(check_training, network=network, recipe=recipe)
        )
    yield Case("training-batches-of-any-size", TRAINER, _check_batch_sizes)
    yield Case("training-in-steps-of-any-size", TRAINER, _check_step_sizes)
    yield Case("training-goes-on-bit-for-bit", TRAINER, _check_resumed)
    yield Case("training-draws-from-the-seed-alone", TRAINER, _check_seeds)
    yield Case("training-leaves-the-model-usable", TRAINER, _check_trained_model)
    yield Case("training-batch-norm-of-one-value", TRAINER, _check_one_value_trained)
    yield Case("training-bad-input", TRAINER, _check_bad_training_input)


def check_training(backend: Learns, network: Network, recipe: Recipe, *, steps: int = 5) -> None:
    """A trajectory of `steps` steps: each loss, and every array after each. Raises
    `ConformanceError`.
    """
    size = batch_of(network)
    problem = random_problem(network, batch=2 * size, classes=num_classes(network))
    yardstick = trajectory_measured(problem, recipe=recipe, steps=steps, size=size)
    rows = compare_trajectory(backend, problem, yardstick, recipe=recipe, size=size)
    check_rows(backend, network, rows)


def _step(
    trainer: Trainer, network: Network, number: int, *, batch: int = BATCH, rate: float = 0.02
) -> tuple[float, Params]:
    """Step `number` on its own images: its loss, and the logits, which two equal steps have in
    common.
    """
    images, labels = (
        random_images(network, number, batch),
        random_labels(number, batch, num_classes(network)),
    )
    loss, logits = trainer.step(images, labels, learning_rate=rate / (1 + number), seed=number)
    return loss, {"logits": logits}


def _same(first: Params, second: Params) -> bool:
    return first.keys() == second.keys() and all(
        np.array_equal(first[path], second[path]) for path in first
    )


def _check_batch_sizes(backend: Trains) -> None:
    """A smaller batch after a larger one, and predictions for any number of images: what happens at
    the end of every epoch.
    """
    network = with_dropout_rate(probe(), 0.0)
    params, recipe = random_params(network), Recipe(momentum=0.9)
    trainer = backend.trainer(backend.build(network, params), recipe)
    for number, batch in enumerate((6, 2, 6)):
        _step(trainer, network, number, batch=batch)
        images, held = random_images(network, number, batch), backend.params_of(trainer.model)
        run = Pass()
        build_reference(network, held, dtype=np.float64).run(images, run)
        error = distance(trainer.predict(images), run.outputs["logits"])
        yardstick = forward_yardstick(Problem(network, held, images), chunk=8)["logits"]
        check_rows(backend, network, [Row("predict", error, limit(yardstick))])


def _check_step_sizes(backend: Trains) -> None:
    """The loss, the logits and the update of each step, with a smaller batch after a larger one, as
    at the end of an epoch.

    In a backend that trains in several processes the smaller one is a share of a batch: `share`
    weighs the loss in the update, but not weight decay, and not the loss that is returned, which is
    that of the process's own images.
    """
    recipe = Recipe(
        learning_rate=0.02,
        momentum=0.9,
        weight_decay=0.05,
        label_smoothing=0.1,
        schedule="cosine",
        epochs=1,
    )
    share = 0.5 if isinstance(backend, TrainsInParallel) else 1.0
    check_steps(backend, random_problem(SMOOTH, batch=7), recipe, [(5, 1.0), (2, share), (5, 1.0)])


def _check_resumed(backend: Trains) -> None:
    """Weights and velocity are all that a checkpoint needs: another trainer continues from them
    exactly as this one does.
    """
    network, recipe = trained_networks()["all-kinds-of-layers"]
    first = backend.trainer(backend.build(network, random_params(network)), recipe)
    for number in range(2):
        _step(first, network, number)
    params, velocity = backend.params_of(first.model), first.velocity()
    expect(
        set(velocity) == {path for path, spec in param_specs(network).items() if spec.trainable},
        "velocity: expected one array for each weight",
    )
    second = backend.trainer(backend.build(network, params), recipe)
    second.restore(velocity, learning_rate=0.02 / 2)
    (loss, _), (other, _) = (_step(trainer, network, 2) for trainer in (first, second))
    expect(
        loss == other,
        f"restore: the next loss is {other!r}, but {loss!r} for a trainer that was not interrupted",
    )
    expect(
        _same(backend.params_of(first.model), backend.params_of(second.model)),
        "restore: the next step moved the weights differently",
    )
    expect(
        _same(first.velocity(), second.velocity()),
        "restore: the next step left a different velocity",
    )


def _check_seeds(backend: Trains) -> None:
    """Dropout's masks come only from a step's seed: one seed, one set of masks."""
    network = sandwich("dropout", Dropout(0.5))
    params, images, labels = random_params(network), random_images(network), random_labels()

    def logits(seed: int, before: int) -> Array:
        trainer = backend.trainer(backend.build(network, params), Recipe())
        for number in range(before):
            trainer.step(
                images, labels, learning_rate=1e-30, seed=number + 100
            )  # too short to move a weight
        return trainer.step(images, labels, learning_rate=1e-30, seed=seed)[1]

    first = logits(7, 0)
    expect(
        np.array_equal(first, logits(7, 2)),
        "dropout: the same seed drew different masks after different steps",
    )
    expect(not np.array_equal(first, logits(8, 0)), "dropout: a different seed drew the same masks")


def _check_trained_model(backend: Trains) -> None:
    """After a step the backend's other functions hold for the trained model."""
    network = composites()["norm_residual"]
    model = backend.build(network, random_params(network))
    trainer = backend.trainer(model, Recipe(momentum=0.9))
    _step(trainer, network, 0)
    expect(
        not _same(backend.params_of(model), random_params(network)),
        "trainer: does not train the model that it was given",
    )
    again = backend.build(network, backend.params_of(model))
    images = random_images(network)
    taps = [site.path for site in nodes(network)]
    found, expected = (backend.forward(each, images, taps=taps) for each in (model, again))
    yardstick = forward_yardstick(Problem(network, backend.params_of(model), images), chunk=8)
    rows = [
        Row(name, distance(found[name], array.astype(np.float64)), limit(yardstick[name]))
        for name, array in expected.items()
    ]
    check_rows(backend, network, rows)
    before = backend.params_of(model)
    trainer.predict(images)
    expect(_same(before, backend.params_of(model)), "predict: changed the weights")


def _check_one_value_trained(backend: Trains) -> None:
    """A step refuses one image where batch norm's map is 1×1, moves nothing, and another one with
    more images follows.
    """
    network = one_value_network()
    params = random_params(network)
    trainer = backend.trainer(backend.build(network, params), Recipe(momentum=0.9))
    where = "training with batch norm of one value a channel"
    broken: list[tuple[str, type[GoogLeNetError], Callable[[], object]]] = [
        ("a step of one image", ShapeError, lambda: _step(trainer, network, 0, batch=1))
    ]
    expect_errors(broken, where, naming="branches.deep.norm")
    expect(
        _same(params, backend.params_of(trainer.model)), f"{where}: the refused step moved weights"
    )
    _step(trainer, network, 0, batch=2)
    expect(
        bool(np.isfinite(trainer.predict(random_images(network)[:1])).all()),
        f"{where}: one image to predict gave NaN or infinity after a step of two",
    )


def _check_bad_training_input(backend: Trains) -> None:
    network = composites()["auxiliary"]
    model = backend.build(network, random_params(network))
    trainer = backend.trainer(model, Recipe())
    images, labels = random_images(network), random_labels()
    broken: list[tuple[str, type[GoogLeNetError], Callable[[], object]]] = [
        (
            "an image of another size",
            ShapeError,
            lambda: trainer.step(images[:, :, 1:], labels, learning_rate=0.1, seed=0),
        ),
        (
            "a label out of range",
            DataError,
            lambda: trainer.step(images, labels + CLASSES, learning_rate=0.1, seed=0),
        ),
        (
            "fewer labels than images",
            DataError,
            lambda: trainer.step(images, labels[1:], learning_rate=0.1, seed=0),
        ),
        (
            "an image of another size to predict",
            ShapeError,
            lambda: trainer.predict(images[:, :, 1:]),
        ),
        (
            "weights for heads that do not exist",
            SpecError,
            lambda: backend.trainer(model, Recipe(aux_weights=(0.1,))),
        ),
    ]
    expect_errors(broken, "training")
