"""Trajectories: right trainers pass, wrong ones are named at the step where they go wrong, and a
decision is no error.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from googlenet import Loss, get_network, init_params, reference
from googlenet.data.images import load_image_set
from googlenet.proof.conformance.networks import NORM_BATCH, norm_networks, probe
from googlenet.proof.parity.compare import compare, measure
from googlenet.proof.parity.problem import Problem, random_problem
from googlenet.proof.parity.rows import Group
from googlenet.proof.parity.tolerance import EPS, FACTOR, distance
from googlenet.proof.parity.trajectory import (
    compare_trajectory,
    trajectory_recipe,
    trajectory_yardstick,
)
from googlenet.reference.network import Pass, piecewise_matmul
from googlenet.reference.ops import Choice
from googlenet.reference.training import Trainer
from googlenet.spec import ReLU, param_specs
from googlenet.spec.traversal import walk

PROBLEM = random_problem(probe(), batch=8)
RECIPE = trajectory_recipe(Loss(label_smoothing=0.1))
STEPS = 4


@pytest.fixture(scope="module")
def yardstick():
    return trajectory_yardstick(PROBLEM, recipe=RECIPE, steps=STEPS, size=3)


class Backend:
    """The reference in float32 with another trainer."""

    name = "changed"
    unbiased_running_variance = False
    build = staticmethod(reference.build)
    params_of = staticmethod(reference.params_of)
    forward = staticmethod(reference.forward)

    def __init__(self, make):
        self.make = make

    def trainer(self, model, recipe):
        return self.make(model, recipe)


def rows(backend, yardstick, recipe=RECIPE):
    return compare_trajectory(backend, PROBLEM, yardstick, recipe=recipe, size=3)


def first_failure(found):
    return next((row.name for row in found if not row.passed), None)


def test_the_batches_go_round():
    problem = Problem(probe(), {}, np.arange(5.0).reshape(5, 1, 1, 1), np.arange(5))
    for step, size, expected in ((0, 3, [0, 1, 2]), (1, 3, [3, 4, 0]), (7, 9, [3, 4, 0, 1, 2])):
        batch = problem.batch(step, size)
        assert batch.labels.tolist() == batch.images.ravel().tolist() == expected


def test_every_step_has_its_loss_and_every_array(yardstick):
    found = rows(reference, yardstick)
    assert [row.name for row in found if row.name.endswith(": loss")] == [
        f"step {n}: loss" for n in range(1, STEPS + 1)
    ]
    assert {row.name for row in found} == {
        f"step {n}: {path}" for n in range(1, STEPS + 1) for path in ("loss", *PROBLEM.params)
    }
    assert all(row.passed for row in found)
    assert max(row.ratio for row in found) < 0.5


def test_float32_strays_little_and_the_first_step_by_rounding_alone(yardstick):
    assert all(EPS / 100 < step.arrays["stem.conv.weight"] < 1e-4 for step in yardstick)
    assert yardstick[0].arrays["loss"] < 100 * EPS


def test_what_every_step_is_compared_with_falls_in_rate_and_has_momentum_and_decay():
    rates = [RECIPE.learning_rate_at(step, STEPS) for step in range(STEPS)]
    assert all(a > b for a, b in pairwise(rates))
    assert RECIPE.momentum > 0
    assert RECIPE.weight_decay > 0
    assert RECIPE.label_smoothing == 0.1


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"momentum": 0.0}, "step 2"),
        ({"weight_decay": 0.0}, "step 1"),
        ({"label_smoothing": 0.0}, "step 1: loss"),
        ({"momentum": 0.9001}, "step 2"),
    ],
)
def test_another_recipe_is_caught_where_it_shows(yardstick, changes, step):
    found = rows(
        Backend(lambda model, recipe: Trainer(model, replace(recipe, **changes))), yardstick
    )
    assert first_failure(found).startswith(step)


class Decoupled(Trainer):
    """Weight decay taken from the weights and not added to the gradient: the same first step,
    another second.
    """

    def advance(self, images, labels, run, *, learning_rate):
        recipe = self.recipe
        self.recipe = replace(recipe, weight_decay=0.0)
        before = dict(self.model.params)
        answer = super().advance(images, labels, run, learning_rate=learning_rate)
        for path in self._trainable:
            self.model.params[path] = (
                self.model.params[path]
                - np.float32(learning_rate * recipe.weight_decay) * before[path]
            )
        self.recipe = recipe
        return answer


def test_decoupled_weight_decay_is_caught_at_the_second_step(yardstick):
    assert first_failure(rows(Backend(Decoupled), yardstick)).startswith("step 2")


class Nesterov(Trainer):
    """Nesterov's momentum: the first step already goes further."""

    def advance(self, images, labels, run, *, learning_rate):
        before, old = dict(self.model.params), dict(self._velocity)
        answer = super().advance(images, labels, run, learning_rate=learning_rate)
        for path, velocity in self._velocity.items():
            gradient = velocity - np.float32(0.9) * old[path]
            self.model.params[path] = before[path] - np.float32(learning_rate) * (
                gradient + np.float32(0.9) * velocity
            )
        return answer


def test_nesterovs_momentum_is_caught_at_once(yardstick):
    assert first_failure(rows(Backend(Nesterov), yardstick)).startswith("step 1")


class OneWeightOff(Trainer):
    def advance(self, images, labels, run, *, learning_rate):
        answer = super().advance(images, labels, run, learning_rate=learning_rate)
        weight = self.model.params["normed.conv.weight"]
        self.model.params["normed.conv.weight"] = weight * np.float32(1.0001)
        return answer


def test_one_array_a_ten_thousandth_off_is_named(yardstick):
    assert first_failure(rows(Backend(OneWeightOff), yardstick)) == "step 1: normed.conv.weight"


class Piecewise(Trainer):
    """A compiled step that rounds otherwise than the same backend's eager pass."""

    def advance(self, images, labels, run, *, learning_rate):
        return super().advance(
            images,
            labels,
            Pass(train=run.train, dot=piecewise_matmul, choices=run.choices),
            learning_rate=learning_rate,
        )


def test_a_step_that_rounds_otherwise_than_eager_mode_passes(yardstick):
    found = rows(Backend(Piecewise), yardstick)
    assert first_failure(found) is None
    assert max(row.error for row in found) > 0


class Leaky(Trainer):
    """Every ReLU lets every gradient pass."""

    def advance(self, images, labels, run, *, learning_rate):
        choices = {
            site.path: Choice(fixed=np.array(True))
            for site in walk(self.model.network)
            if isinstance(site.layer, ReLU)
        }
        run = Pass(train=run.train, choices=choices)
        return super().advance(images, labels, run, learning_rate=learning_rate)


def test_a_trainer_whose_relus_let_every_gradient_pass_does_not_excuse_itself(yardstick):
    """The outputs of its eager pass, max(x, 1e-30), are positive everywhere."""
    relus = {site.path for site in walk(PROBLEM.network) if isinstance(site.layer, ReLU)}

    def forward(model, images, **settings):
        found = reference.forward(model, images, **settings)
        return {
            path: np.maximum(array, np.float32(1e-30)) if path in relus else array
            for path, array in found.items()
        }

    backend = Backend(Leaky)
    backend.forward = forward
    assert first_failure(rows(backend, yardstick)).startswith("step 1")


def test_a_statistic_that_cannot_be_told_stays_so():
    """Of a batch of two on maps of one pixel, whose batch norms divide rounding by rounding."""
    network = get_network("googlenet_bn", input_shape=(1, 32, 32))
    params = init_params(network, initializer="he_normal")
    digits = load_image_set(None, network.input_shape, 10, count=4)
    problem = Problem(network, params, digits.images, digits.labels)
    strays = trajectory_yardstick(problem, recipe=RECIPE, steps=2, size=2)
    first, second = (set(step.unknown) for step in strays)
    assert 0 < len(first) < sum(not spec.trainable for spec in param_specs(network).values())
    assert first <= second
    assert all(path.endswith((".running_mean", ".running_var")) for path in second)
    found = compare_trajectory(reference, problem, strays, recipe=RECIPE, size=2)
    assert first_failure(found) is None
    assert {row.name for row in found if not row.provable} >= {
        f"step {number}: {path}" for number, step in enumerate(strays, 1) for path in step.unknown
    }


def test_batch_norm_under_both_conventions():
    problem = random_problem(norm_networks()["mixed"], batch=10)
    yardstick = trajectory_yardstick(problem, recipe=RECIPE, steps=3, size=NORM_BATCH)

    class Unbiased(Backend):
        unbiased_running_variance = True

        def build(self, network, params, *, device=None):
            return reference.build(network, params, unbiased_running_variance=True)

    right = Unbiased(Trainer)
    for backend in (reference, right):
        found = compare_trajectory(backend, problem, yardstick, recipe=RECIPE, size=NORM_BATCH)
        assert first_failure(found) is None
    right.unbiased_running_variance = False
    found = compare_trajectory(right, problem, yardstick, recipe=RECIPE, size=NORM_BATCH)
    assert first_failure(found) == "step 1: stem.norm.running_var"


def test_a_comparison_holds_a_trajectory_only_if_it_is_asked_for():
    assert compare(reference, PROBLEM, measure(PROBLEM))[Group.TRAJECTORY] == []
    asked = measure(PROBLEM, train_steps=2)
    compared = compare(reference, PROBLEM, asked)
    assert compared.passed
    assert len(compared[Group.TRAJECTORY]) == 2 * (1 + len(PROBLEM.params))
    wrong = Backend(lambda model, recipe: Trainer(model, replace(recipe, momentum=0.0)))
    wrong.gradients = reference.gradients
    divergence = compare(wrong, PROBLEM, asked).first_divergence
    assert divergence.startswith("training step 2: ")


def test_ten_steps_of_googlenet_stay_within_a_few_units_in_the_last_place():
    network = get_network("googlenet", input_shape=(1, 32, 32))
    digits = load_image_set(None, network.input_shape, 10, count=80)
    params = init_params(network, initializer="he_normal")
    recipe = trajectory_recipe(Loss())
    problem = Problem(network, params, digits.images, digits.labels)
    yardstick = trajectory_yardstick(problem, recipe=recipe, steps=10, size=8)
    batch = problem.batch(0, 8)
    assert max(step.arrays["loss"] for step in yardstick) < 1e-5
    exact = Trainer(reference.build(network, params, dtype=np.float64), recipe)
    again = Trainer(reference.build(network, params, dtype=np.float64), recipe)
    for trainer in (exact, again):
        trainer.advance(batch.images, batch.labels, Pass(train=True), learning_rate=0.01)
    assert distance(exact.params()["head.dense.weight"], again.params()["head.dense.weight"]) == 0
    assert FACTOR == 10.0
