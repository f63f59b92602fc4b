"""The recipe, the loop, its checkpoints and its log, on the reference and a small network."""

import hashlib
import json
import math
import os
import resource
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import googlenet
from googlenet import SpecError, reference
from googlenet.data.sets import DataSet, Split
from googlenet.errors import DataError, ShapeError, TrainingError, WeightsError
from googlenet.proof.conformance.networks import CLASSES, composites, one_value_network
from googlenet.training import Recipe
from googlenet.training.checkpoint import (
    Checkpoint,
    Epoch,
    Position,
    load_checkpoint,
    save_checkpoint,
)
from googlenet.training.interval import wilson
from googlenet.training.loop import (
    CHECKPOINT,
    LOG,
    PLATEAU,
    WEIGHTS,
    Listener,
    TrainingRun,
    read_log,
)
from googlenet.weights.samples import random_params
from googlenet.weights.zoo import load_weights

NETWORK = composites()["norm_residual"]
RECIPE = Recipe(
    learning_rate=0.05,
    momentum=0.9,
    weight_decay=1e-3,
    epochs=3,
    batch_size=8,
    seed=3,
    schedule="cosine",
)


def data(train=21, test=9, seed=0, shape=NETWORK.input_shape):
    rng = np.random.default_rng(seed)

    def split(count):
        return Split(
            rng.integers(0, 256, (count, *shape), dtype=np.uint8),
            rng.integers(0, CLASSES, count),
        )

    return DataSet(
        "noise", "random numbers", tuple(map(str, range(CLASSES))), split(train), split(test)
    )


def run(folder, **changes):
    return TrainingRun(
        **{
            "backend": reference,
            "network": NETWORK,
            "params": random_params(NETWORK),
            "data": data(),
            "recipe": RECIPE,
            "folder": folder,
        }
        | changes
    )


def events(folder, *, timed=False):
    """The log, without what a clock measured."""
    drop = () if timed else ("seconds", "examples_per_second")
    return [
        {key: value for key, value in event.items() if key not in drop}
        for event in read_log(folder / LOG)
    ]


# The recipe ---------------------------------------------------------------------------------------


def test_the_defaults_are_the_books():
    recipe = Recipe()
    assert (recipe.learning_rate, recipe.epochs, recipe.batch_size, recipe.momentum) == (
        0.1,
        10,
        128,
        0.0,
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("learning_rate", 0.0),
        ("learning_rate", math.inf),
        ("learning_rate", math.nan),
        ("momentum", 1.0),
        ("momentum", -0.1),
        ("weight_decay", -1e-4),
        ("label_smoothing", 1.0),
        ("label_smoothing", 1 - 1e-12),  # 1 in float32
        ("label_smoothing", 10**400),
        ("aux_weights", (1e300,)),  # infinite in float32
        ("aux_weights", (10**400,)),
        ("epochs", 0),
        ("batch_size", 0),
        ("batch_size", 1.5),
        ("seed", -1),
        ("schedule", "linear"),
        ("decay_epochs", 0),
        ("decay_factor", 0.0),
    ],
)
def test_a_value_out_of_range_is_named(field, value):
    with pytest.raises(SpecError, match=field):
        Recipe(**{field: value})


def test_schedules():
    constant, step, cosine = (
        Recipe(learning_rate=0.5, epochs=4, schedule=kind, decay_epochs=2)
        for kind in ("constant", "step", "cosine")
    )
    assert {constant.learning_rate_at(t, 5) for t in range(20)} == {0.5}
    assert [step.learning_rate_at(t, 5) for t in (0, 9, 10, 19)] == [
        0.5,
        0.5,
        float(np.float32(0.05)),
        float(np.float32(0.05)),
    ]
    rates = [cosine.learning_rate_at(t, 5) for t in range(20)]
    assert rates[0] == 0.5
    assert rates[10] == pytest.approx(0.25)
    assert all(a > b > 0 for a, b in pairwise(rates))


@given(st.integers(0, 2**40), st.integers(0, 50), st.integers(1, 300))
def test_an_order_takes_every_image_once_and_depends_on_seed_and_epoch_alone(seed, epoch, count):
    recipe = Recipe(seed=seed)
    order = recipe.order(epoch, count)
    assert sorted(order) == list(range(count))
    assert np.array_equal(
        order, Recipe(seed=seed, learning_rate=1.0, epochs=99).order(epoch, count)
    )
    if count > 20:
        assert not np.array_equal(order, recipe.order(epoch + 1, count))
        assert not np.array_equal(order, Recipe(seed=seed + 1).order(epoch, count))


@pytest.mark.parametrize(
    ("seed", "epoch", "ten", "digits"),
    [
        (
            0,
            0,
            [0, 1, 2, 5, 9, 3, 4, 7, 8, 6],
            "de02c4a7366ed5bccbbbdd729deb29d539d3a55b8608d2068ece71a88db29897",
        ),
        (
            0,
            1,
            [4, 8, 5, 7, 0, 6, 1, 9, 2, 3],
            "cc93c039d4938ffe0561ae1080a9c57254aba4feff197e6b30fdc38d4307e98e",
        ),
        (
            7,
            3,
            [4, 9, 6, 1, 8, 2, 3, 7, 0, 5],
            "21b3cd3f4f2d93d40878e041e107a69b4e7347ffe53e427460f3a6280d370b2c",
        ),
    ],
)
def test_the_order_is_the_same_for_good(seed, epoch, ten, digits):
    """Ten images, and the SHA-256 of the little-endian order of the 1,438 digits to train on."""
    recipe = Recipe(seed=seed)
    assert recipe.order(epoch, 10).tolist() == ten
    order = recipe.order(epoch, 1438)
    assert order.dtype == np.int64
    assert hashlib.sha256(order.astype("<i8").tobytes()).hexdigest() == digits


def test_the_seeds_of_steps_are_the_same_for_good():
    steps = (0, 1, 2, 1000)
    expected = [1948664471, 308236438, 42797820, 2046762157]
    assert [Recipe(seed=0).step_seed(step) for step in steps] == expected
    assert [Recipe(seed=0, momentum=0.5).step_seed(step) for step in steps] == expected
    assert [Recipe(seed=7).step_seed(step) for step in steps] == [
        1302392058,
        1523911324,
        2110345350,
        439953359,
    ]
    assert len({Recipe(seed=0).step_seed(step) for step in range(100)}) == 100


@pytest.mark.parametrize("recipe", [Recipe(), replace(RECIPE, aux_weights=(0.3, 0.2))])
def test_json_and_back(recipe):
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_json_with_an_unknown_field():
    with pytest.raises(SpecError, match="has no field 'lr'"):
        Recipe.from_json({"lr": 1})


# The rule of a step -------------------------------------------------------------------------------


def test_a_step_is_the_rule_of_the_recipe_worked_by_hand():
    network, recipe = NETWORK, Recipe(learning_rate=0.5, momentum=0.25, weight_decay=0.125)
    params = random_params(network)
    trainer = reference.trainer(reference.build(network, params, dtype=np.float64), recipe)
    weights = {path: array.astype(np.float64) for path, array in params.items()}
    velocity = dict.fromkeys(params, 0.0)
    for number in range(3):
        batch = data(train=4, seed=number).train
        images = (batch.images / 255).astype(np.float32)
        model = reference.build(network, random_params(network), dtype=np.float64)
        model.params = dict(trainer.model.params)
        loss, grads = reference.gradients(model, images, batch.labels)
        assert trainer.step(images, batch.labels, learning_rate=0.5, seed=0)[0] == loss
        for path, grad in grads.items():
            velocity[path] = 0.25 * velocity[path] + (
                grad + 0.125 * weights[path]
            )  # powers of two: the same bits in this order
            weights[path] = weights[path] - 0.5 * velocity[path]
        held = trainer.params()
        for path in grads:
            np.testing.assert_array_equal(held[path], weights[path], path)
            np.testing.assert_array_equal(trainer.velocity()[path], velocity[path], path)


def test_the_reference_trains_in_one_process():
    model = reference.build(NETWORK, random_params(NETWORK))
    with pytest.raises(googlenet.BackendError, match="one process"):
        reference.trainer(model, RECIPE, parallel=True)


# The loop -----------------------------------------------------------------------------------------


def test_what_a_run_leaves(tmp_path):
    heard = []
    listener = Listener(step=lambda *values: heard.append(values), epoch=heard.append)
    outcome = run(tmp_path / "a", listener=listener).train()
    assert outcome.finished
    assert outcome.step == 9
    assert len(outcome.epochs) == 3
    start, *rest = events(tmp_path / "a")
    assert start["event"] == "start"
    assert start["recipe"]["learning_rate"] == 0.05
    assert [event["event"] for event in rest] == ["step", "step", "step", "epoch"] * 3
    assert [event["step"] for event in rest if event["event"] == "step"] == list(range(1, 10))
    assert len(heard) == 12
    # A mean over the images of the epoch, whose last batch has five of them.
    losses = [event["loss"] for event in rest[:3]]
    assert rest[3]["loss"] == pytest.approx((8 * losses[0] + 8 * losses[1] + 5 * losses[2]) / 21)
    weights = googlenet.load_params(tmp_path / "a" / WEIGHTS, NETWORK)
    images = (data().test.images / 255).astype(np.float32)
    logits = reference.forward(reference.build(NETWORK, weights), images)["logits"]
    assert outcome.epochs[-1].test_accuracy == (logits.argmax(1) == data().test.labels).mean()


class Spy:
    """The reference, which writes down what each step is given and gives."""

    def __init__(self):
        self.steps = []

    def __getattr__(self, name):
        return getattr(reference, name)

    def trainer(self, model, recipe, *, parallel=False):
        trainer = reference.trainer(model, recipe)
        right = trainer.step

        def step(images, labels, **settings):
            loss, logits = right(images, labels, **settings)
            self.steps.append(
                {
                    **settings,
                    "loss": loss,
                    "hits": int((logits.argmax(1) == labels).sum()),
                    "count": len(labels),
                }
            )
            return loss, logits

        trainer.step = step
        return trainer


def test_each_step_has_its_seed_and_rate_and_the_log_what_it_gave(tmp_path):
    spy, asked = Spy(), []
    run(tmp_path, backend=spy, stop=lambda: asked.append(0) or len(asked) == 4).train()
    run(tmp_path, backend=spy, resume=True).train()
    assert [step["seed"] for step in spy.steps] == [RECIPE.step_seed(number) for number in range(9)]
    assert [step["learning_rate"] for step in spy.steps] == [
        RECIPE.learning_rate_at(number, 3) for number in range(9)
    ]
    assert {step["share"] for step in spy.steps} == {1.0}
    written = [event for event in events(tmp_path) if event["event"] == "step"]
    assert [event["accuracy"] for event in written] == [
        step["hits"] / step["count"] for step in spy.steps
    ]
    assert [event["loss"] for event in written] == pytest.approx(
        [step["loss"] for step in spy.steps]
    )
    epochs = [event for event in events(tmp_path) if event["event"] == "epoch"]
    assert [epoch["train_accuracy"] for epoch in epochs] == [
        sum(step["hits"] for step in spy.steps[i : i + 3]) / 21 for i in (0, 3, 6)
    ]


def test_two_runs_from_one_start_are_the_same(tmp_path):
    for name in ("a", "b"):
        run(tmp_path / name).train()
    assert events(tmp_path / "a") == events(tmp_path / "b")
    assert (tmp_path / "a" / WEIGHTS).read_bytes() == (tmp_path / "b" / WEIGHTS).read_bytes()


@pytest.mark.parametrize("steps", range(1, 9))
def test_a_run_that_is_stopped_after_any_step_goes_on_bit_for_bit(tmp_path, steps):
    run(tmp_path / "whole").train()
    asked = []
    outcome = run(tmp_path / "cut", stop=lambda: asked.append(0) or len(asked) == steps).train()
    assert not outcome.finished
    assert outcome.step == steps
    assert run(tmp_path / "cut", resume=True).train().finished
    assert events(tmp_path / "cut") == events(tmp_path / "whole")
    assert (tmp_path / "cut" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()


def test_what_was_written_after_the_checkpoint_is_taken_again(tmp_path):
    """A process that was killed leaves a log that is ahead of its checkpoint, and perhaps half a
    line.
    """
    run(tmp_path / "whole").train()
    asked = []
    run(tmp_path / "cut", stop=lambda: asked.append(0) or len(asked) == 4).train()
    with (tmp_path / "cut" / LOG).open("ab") as log:
        log.write(b'{"event": "step", "step": 5, "loss": 1.0}\n{"event": "st')
    run(tmp_path / "cut", resume=True).train()
    assert events(tmp_path / "cut") == events(tmp_path / "whole")


def test_a_finished_run_is_only_looked_at(tmp_path):
    first = run(tmp_path).train()
    before = (tmp_path / LOG).read_bytes()
    assert run(tmp_path, resume=True).train() == first
    assert (tmp_path / LOG).read_bytes() == before


def test_resume_without_a_checkpoint_begins(tmp_path):
    assert run(tmp_path, resume=True).train().finished


def test_checkpoints_within_an_epoch(tmp_path):
    positions = []

    def step(number, *values):
        path = tmp_path / CHECKPOINT
        if path.exists():
            positions.append(load_checkpoint(path, NETWORK, run(tmp_path).settings).position.step)

    run(tmp_path, checkpoint_seconds=0.0, listener=Listener(step=step)).train()
    assert positions == list(range(1, 9))


def test_a_folder_with_a_run_is_not_overwritten(tmp_path):
    run(tmp_path).train()
    with pytest.raises(TrainingError, match="already holds a run; continue it with `resume=True`"):
        run(tmp_path).train()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"recipe": replace(RECIPE, learning_rate=0.1)},
            "the recipe's learning_rate 0.05, but this run has 0.1",
        ),
        ({"recipe": replace(RECIPE, seed=4)}, "the recipe's seed 3, but this run has 4"),
        ({"data": data(seed=1)}, "data's digest"),
        ({"params": random_params(NETWORK, 1)}, "weights' digest"),
        (
            {"network": replace(NETWORK, name="other")},
            'network\'s name "norm_residual", but this run has "other"',
        ),
    ],
)
def test_a_checkpoint_of_another_run(tmp_path, changes, message):
    run(tmp_path).train()
    before = (tmp_path / CHECKPOINT).read_bytes()
    with pytest.raises(TrainingError, match="give what was given then, or another `out`") as caught:
        run(tmp_path, resume=True, **changes).train()
    assert message in str(caught.value)
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_a_damaged_checkpoint(tmp_path):
    run(tmp_path).train()
    whole = (tmp_path / CHECKPOINT).read_bytes()
    (tmp_path / CHECKPOINT).write_bytes(whole[:-100])
    with pytest.raises(TrainingError, match="is not a complete safetensors file"):
        run(tmp_path, resume=True).train()
    googlenet.save_params(tmp_path / CHECKPOINT, NETWORK, random_params(NETWORK))
    with pytest.raises(TrainingError, match="is not a checkpoint of this project"):
        run(tmp_path, resume=True).train()


def test_a_log_shorter_than_its_checkpoint(tmp_path):
    run(tmp_path).train()
    os.truncate(tmp_path / LOG, 10)
    with pytest.raises(TrainingError, match="shorter than its checkpoint says"):
        run(tmp_path, resume=True).train()


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(tmp_path):
    plain = composites()["inception"]
    params = random_params(plain)
    changes = {
        "network": plain,
        "params": params,
        "recipe": replace(RECIPE, learning_rate=1e12, schedule="constant"),
    }
    with pytest.raises(
        TrainingError,
        match=r"step \d \(epoch 1\): the loss is (nan|inf); there was no checkpoint yet. Start"
        r" again with a lower `learning_rate`, and another `out`; or try batch norm",
    ):
        run(tmp_path / "a", **changes).train()
    asked = []
    run(tmp_path / "b", **changes, stop=lambda: asked.append(0) or len(asked) == 1).train()
    before = (tmp_path / "b" / CHECKPOINT).read_bytes()
    with pytest.raises(TrainingError, match="is unchanged"):
        run(tmp_path / "b", **changes, resume=True).train()
    assert (tmp_path / "b" / CHECKPOINT).read_bytes() == before


def test_a_disk_that_fills_up_while_it_trains(tmp_path):
    before, heard = resource.getrlimit(resource.RLIMIT_FSIZE), []

    def fill(*_):
        resource.setrlimit(
            resource.RLIMIT_FSIZE, ((tmp_path / LOG).stat().st_size + 200, before[1])
        )  # one step's line, and part of the next

    try:
        with pytest.raises(
            TrainingError,
            match=r"cannot be written .*; there is no checkpoint yet; once it can be written, give"
            r" `resume=True`",
        ):
            run(
                tmp_path,
                listener=Listener(started=fill, step=lambda number, *_: heard.append(number)),
            ).train()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [event["event"] for event in read_log(tmp_path / LOG)] == ["start", "step"]
    assert heard == [1]


def test_processes_that_do_not_start_alike(tmp_path):
    this, seen = run(tmp_path), []

    def check(step, total):
        trainer = SimpleNamespace(processes=2, rank=1, total=total)
        this._check_alike(trainer, Checkpoint(this.settings, Position(step=step), this.params))

    check(5, lambda mine: seen.append(mine) or 2 * mine)
    check(5, lambda mine: mine + seen[0])
    with pytest.raises(
        TrainingError,
        match=r"process 1 \(after step 0\): the 2 processes do not start from the same state",
    ):
        check(0, lambda mine: mine + seen[0])


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    asked = []
    run(tmp_path, stop=lambda: asked.append(0) or len(asked) == 2).train()
    before = (tmp_path / CHECKPOINT).read_bytes()

    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("googlenet.training.checkpoint.write_atomically", full)
    with pytest.raises(
        TrainingError,
        match="cannot be written \\(No space left on device\\); the last checkpoint is unchanged",
    ):
        run(tmp_path, resume=True).train()
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_a_velocity_that_is_not_finite_is_not_kept(tmp_path):
    run(tmp_path, stop=lambda: True).train()
    path, settings = tmp_path / CHECKPOINT, run(tmp_path).settings
    before = path.read_bytes()
    kept = load_checkpoint(path, NETWORK, settings)
    name = next(iter(kept.velocity))
    spoilt = replace(kept, velocity={**kept.velocity, name: kept.velocity[name] * np.inf})
    with pytest.raises(
        TrainingError,
        match=(
            f"the velocity of '{name}' is not finite: training diverged; the last checkpoint is"
            " unchanged; start again with a lower `learning_rate`, and another `out`"
        ),
    ):
        save_checkpoint(path, NETWORK, spoilt)
    name = next(iter(kept.params))
    spoilt = replace(kept, params={**kept.params, name: kept.params[name] * np.nan})
    with pytest.raises(
        TrainingError,
        match=f"^the weight '{name}' is not finite: training diverged; the last checkpoint is",
    ):
        save_checkpoint(path, NETWORK, spoilt)
    assert path.read_bytes() == before


def test_a_checkpoint_is_not_taken_for_weights(tmp_path):
    run(tmp_path, stop=lambda: True).train()
    path = tmp_path / CHECKPOINT
    for read in (
        lambda path: load_weights(path, NETWORK),
        lambda path: googlenet.load_params(path, NETWORK),
        lambda path: googlenet.convert(path, tmp_path / "w.safetensors"),
        lambda path: googlenet.predict(np.zeros((1, 1, 8, 8), np.float32), path),
    ):
        with pytest.raises(
            WeightsError,
            match=r"is a checkpoint of a training run, expected weights; resume that run, and give"
            r" the weights\.safetensors that it ends with",
        ):
            read(path)


@pytest.mark.parametrize(
    ("share", "count", "low", "high"),
    [(0.5, 10, 0.2366, 0.7634), (0.0, 10, 0.0, 0.2775), (0.9, 150, 0.8416, 0.9385)],
)
def test_the_interval_of_a_share(share, count, low, high):
    """Worked by hand from E. B. Wilson's formula, (p + z²/2n ± z·√(p(1−p)/n + z²/4n²)) / (1 +
    z²/n).
    """
    assert wilson(share, count) == pytest.approx((low, high), abs=5e-5)


def test_a_network_at_chance_is_told_so(tmp_path):
    network = composites()["inception"]
    params = {path: np.zeros_like(array) for path, array in googlenet.init_params(network).items()}
    said = []
    recipe = Recipe(learning_rate=1e-6, epochs=1, batch_size=8)
    run(
        tmp_path / "a",
        network=network,
        params=params,
        recipe=recipe,
        listener=Listener(chance=said.append),
        data=data(60, 30),
    ).train()
    (line,) = said
    assert f"ln {CLASSES} = 1.609" in line
    assert "batch norm (googlenet_bn)" in line
    assert f"about {PLATEAU} steps" in line
    assert "`initializer" not in line  # the weights were not drawn


def test_advice_at_chance_is_not_what_is_set_already(tmp_path):
    epoch = Epoch(1, 0.1, math.log(CLASSES), 0.2, math.log(CLASSES), 0.2, 1.0, 1.0)
    drawn = run(tmp_path)
    drawn.initializer = "xavier_uniform"
    assert "`initializer=he_normal`" in drawn.chance_line(epoch)
    drawn.initializer = "he_normal"
    assert "`initializer" not in drawn.chance_line(epoch)
    normed = run(tmp_path)
    assert "batch norm" not in normed.chance_line(epoch)


def test_a_mean_loss_that_passes_by_chance_is_no_chance(tmp_path):
    """An epoch that begins with a large loss and ends with a small one may have that of equal
    probabilities as its mean.
    """
    chance = math.log(CLASSES)
    guessing = Epoch(1, 0.1, chance, 0.2, chance, 0.2, 1.0, 1.0)
    assert run(tmp_path).at_chance(guessing)
    assert not run(tmp_path).at_chance(replace(guessing, test_accuracy=0.9))
    assert not run(tmp_path).at_chance(replace(guessing, loss=0.9 * chance))


def test_one_that_learns_is_not(tmp_path):
    said = []
    noise = data(60, 30)
    shades = [
        Split(
            part.images // 16 + (48 * part.labels[:, None, None, None]).astype(np.uint8),
            part.labels,
        )
        for part in (noise.train, noise.test)
    ]
    learnable = replace(noise, train=shades[0], test=shades[1])
    outcome = run(
        tmp_path,
        data=learnable,
        recipe=replace(RECIPE, epochs=5),
        listener=Listener(chance=said.append),
    ).train()
    assert outcome.epochs[-1].test_accuracy > 0.5
    assert not said


def test_more_in_a_batch_than_there_are_images(tmp_path):
    with pytest.raises(DataError, match="batch"):
        run(tmp_path, recipe=replace(RECIPE, batch_size=22))


@pytest.mark.parametrize("resume", [False, True])
def test_batch_norm_of_one_value_is_refused_before_the_start(tmp_path, resume):
    """In the last batch, whether the run begins or goes on; and nothing is written."""
    network = one_value_network()
    changes = {
        "network": network,
        "params": random_params(network),
        "data": data(shape=network.input_shape),
        "resume": resume,
    }
    with pytest.raises(ShapeError, match=r"'branches\.deep\.norm'.*`batch_size` 3 or 6"):
        run(tmp_path / "run", recipe=replace(RECIPE, batch_size=4), **changes)
    assert not (tmp_path / "run").exists()
    assert run(tmp_path, recipe=replace(RECIPE, batch_size=6, epochs=1), **changes).train().finished


def test_labels_that_the_network_has_not(tmp_path):
    small = replace(data(), classes=tuple(map(str, range(CLASSES + 1))))
    with pytest.raises(DataError, match="class"):
        run(tmp_path, data=small)


def test_the_beginning_of_a_position():
    assert Position().epoch == 0
