"""What the suite's cases compute with the reference alone may be kept in a folder."""

import numpy as np
import pytest

from googlenet.proof.conformance import answers
from googlenet.proof.conformance.exact import exact_networks
from googlenet.proof.exact.problem import draw_problem
from googlenet.proof.parity.compare import measure
from googlenet.proof.parity.problem import random_problem
from googlenet.proof.parity.trajectory import trajectory_recipe, trajectory_yardstick

NETWORK = exact_networks()["inception"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    place = tmp_path / "answers"
    monkeypatch.setenv(answers.FOLDER, str(place))
    monkeypatch.setattr(answers, "LEAST", 0)
    return place


def never(monkeypatch):
    """From now on nothing is computed."""
    for name in ("measure", "forward_yardstick", "trajectory_yardstick", "draw_problem"):
        monkeypatch.delattr(answers, name)


def same(first, second):
    """Whether two steps of yardsticks are equal to the bit, their arrays too."""
    assert first.ties.keys() == second.ties.keys()
    assert all(np.array_equal(first.ties[path], second.ties[path]) for path in first.ties)


def test_yardsticks_come_back_to_the_bit(folder, monkeypatch):
    problem = random_problem(NETWORK)
    recipe = trajectory_recipe(problem.loss)
    asked = {"recipe": recipe, "steps": 2, "size": 2}
    expected = measure(problem, train_steps=1)
    followed = trajectory_yardstick(problem, **asked)
    for again in (False, True):
        if again:
            never(monkeypatch)
        found = answers.measured(problem, train_steps=1)
        assert found.forward == expected.forward
        assert found.step.outputs == expected.step.outputs
        assert found.step.gradients == expected.step.gradients
        same(found.step, expected.step)
        same(found.trajectory[0], expected.trajectory[0])
        assert answers.forward_measured(problem, chunk=8) == expected.forward
        for each, right in zip(
            answers.trajectory_measured(problem, **asked), followed, strict=True
        ):
            assert each.arrays == right.arrays
            same(each, right)
    assert len(list(folder.iterdir())) == 3


def test_an_exact_problem_comes_back_to_the_bit(folder, monkeypatch):
    expected = draw_problem(NETWORK)
    assert answers.drawn(NETWORK).outputs.keys() == expected.outputs.keys()
    never(monkeypatch)
    found = answers.drawn(NETWORK)
    assert np.array_equal(found.problem.images, expected.problem.images)
    assert (found.loss, found.problem.loss) == (expected.loss, expected.problem.loss)
    for path, array in {**expected.outputs, **expected.gradients}.items():
        assert np.array_equal({**found.outputs, **found.gradients}[path], array)
    for path, array in expected.problem.params.items():
        assert np.array_equal(found.problem.params[path], array)


def test_another_question_has_another_answer(folder):
    problem = random_problem(NETWORK)
    first = answers.forward_measured(problem, chunk=8)
    other = random_problem(NETWORK, seed=1)
    path = next(iter(problem.params))
    changed = {**problem.params, path: problem.params[path] + 1}
    for each in (
        other,
        random_problem(NETWORK.at((7, 8, 17))),
        type(problem)(NETWORK, changed, problem.images, problem.labels, problem.loss),
    ):
        assert answers.forward_measured(each, chunk=8) != first
    assert len(list(folder.iterdir())) == 4


def test_what_was_not_written_whole_is_not_there(folder, monkeypatch):
    problem = random_problem(NETWORK)

    def broken(place, yardsticks):
        (place / "ties.npz").write_bytes(b"")
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(answers, "save_yardsticks", broken)
        with pytest.raises(OSError, match="no space"):
            answers.forward_measured(problem, chunk=8)
    assert list(folder.iterdir()) == []
    assert answers.forward_measured(problem, chunk=8)


def test_nothing_is_kept_without_a_folder_or_of_small_networks(folder, monkeypatch):
    monkeypatch.setattr(answers, "LEAST", 10**9)
    answers.forward_measured(random_problem(NETWORK), chunk=8)
    assert not folder.exists()
    monkeypatch.delenv(answers.FOLDER)
    assert answers.where() is None
