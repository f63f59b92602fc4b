"""What a report says of each framework, and in how many words: the same, different, not proved, or
compared only in part.
"""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from googlenet import UnknownNameError, get_network, parity
from googlenet.actions import parity as action
from googlenet.cli import app
from googlenet.cli.parity_report import exact_remark, print_report
from googlenet.data.images import ImageSet
from googlenet.proof.exact.compare import ExactComparison
from googlenet.proof.exact.problem import draw_problem
from googlenet.proof.parity.rows import Comparison, Group, Row, differing
from googlenet.proof.parity.run import Outcome, Report, Result

SAME, DIFFERENT = Row("logits", 2e-7, 1e-6), Row("logits", 2e-6, 1e-6)
UNTOLD = Row("dense.weight", 3.0, 8.0, provable=False)
GRADIENT = Row("dense.bias", 5e-7, 1e-6)
OUTPUTS = {Group.OUTPUTS: [SAME]}
WHOLE = {**OUTPUTS, Group.LOSS: [Row("loss", 0.0, 1e-6)], Group.GRADIENTS: [GRADIENT]}


def report(*results, count=2, side=32, **settings):
    network = get_network("googlenet", input_shape=(1, side, side))
    images = np.zeros((count, *network.input_shape), np.float32)
    image_set = ImageSet(images, np.zeros(count, np.int64), "nowhere")
    return Report(network, image_set, 0, results, **settings)


def result(name, groups, **settings):
    return Result(name, Comparison(groups), versions={name: "1.0"}, **settings)


def printed(capsys, *results, **settings):
    print_report(report(*results, **settings))
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("groups", "outcome"),
    [
        (WHOLE, Outcome.SAME),
        ({**WHOLE, Group.OUTPUTS: [SAME, DIFFERENT]}, Outcome.DIFFERENT),
        ({**WHOLE, Group.WEIGHTS: [differing("dense.bias")]}, Outcome.DIFFERENT),
        ({**WHOLE, Group.GRADIENTS: [GRADIENT, UNTOLD]}, Outcome.UNPROVED),
        ({**WHOLE, Group.GRADIENTS: [DIFFERENT, UNTOLD]}, Outcome.DIFFERENT),
        ({**WHOLE, Group.STATISTICS: [UNTOLD]}, Outcome.SAME),
        ({}, Outcome.UNPROVED),
    ],
)
def test_only_what_is_proved_passes(groups, outcome):
    found = result("x", groups)
    assert found.outcome is outcome
    assert found.passed == report(found).passed == (outcome is Outcome.SAME)
    assert found.to_json()["outcome"] == outcome.value


def test_all_the_same(capsys):
    text = printed(capsys, result("one", WHOLE), result("two", WHOLE))
    assert (
        "2 of 2 shown to compute the same function as the float64 reference, in outputs and"
        " gradients."
    ) in text
    assert (
        "one: 3 tensors the same, 0 different, 0 not provable on these images; largest error 0.50"
        " times its limit"
    ) in text


def test_bits_are_counted_beside_the_limits(capsys):
    exact = draw_problem(get_network("googlenet", input_shape=(1, 32, 32)), gradients=False)
    right = ExactComparison({"outputs": 9}, {"outputs": 0}, None)
    unfit = ExactComparison({}, {}, None, "no reason")
    results = [result("one", WHOLE, exact=right), result("two", WHOLE, exact=unfit)]
    text = " ".join(printed(capsys, *results, exact=exact).split())
    assert (
        "2 of 2 shown to compute the same function as the float64 reference, in outputs and"
        " gradients; where float32 rounds nothing, 1 of 2 to the last bit."
    ) in text
    assert "two: exact proof not possible: no reason" in text
    assert "Gradients are not among the values: their sums need more bits here." in text


def test_what_cannot_be_told_is_said_with_what_to_give(capsys):
    groups = {**WHOLE, Group.GRADIENTS: [UNTOLD, UNTOLD]}
    text = printed(capsys, result("one", groups), result("two", WHOLE))
    assert "not proved  gradients                    not provable" in text
    assert (
        "one: not proved on these images: 2 of 2 gradients, where float32 cannot tell right from"
        " wrong; give at least 8 images (count), a larger input_shape (such as 64×64), other"
        " images or other weights"
    ) in text
    assert "one: 2 tensors the same, 0 different, 2 not provable on these images;" in text
    assert "1 of 2 shown to compute the same function as" in text
    enough = report(result("one", groups), count=8, side=224)
    assert enough.advice == (
        "give a larger `input_shape` (such as 448×448), other images or other weights"
    )
    largest = report(result("one", groups), count=8, side=300)
    assert largest.advice == "give other images or other weights"


def test_the_command_says_what_to_give_in_its_own_words():
    arguments = ["--framework", "numpy", "--size", "32", "--count", "2", "--seed", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "googlenet", "parity", "googlenet_bn", *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "not proved on these images: the loss and 173 of 173 gradients" in done.stdout
    assert (
        "give at least 8 images (--count), a larger --size (such as 64×64), other images"
        in done.stdout
    )
    assert "0 of 1 shown to compute the same function as" in done.stdout


def test_the_worst_is_one_that_can_be_told():
    found = result("one", {**WHOLE, Group.GRADIENTS: [GRADIENT, replace(UNTOLD, error=1e9)]})
    assert found.worst(found.comparison[Group.GRADIENTS]) == GRADIENT
    assert found.to_json()["largest_share_of_limit"] == 0.5
    assert found.to_json()["verdicts"] == {"same": 3, "different": 0, "not provable": 1}
    assert found.to_json()["not_proved"] == ["1 of 2 gradients"]


def test_outputs_only_are_not_the_same_function(capsys):
    text = printed(capsys, result("whole", WHOLE), result("half", OUTPUTS))
    assert "1 of 2 shown to compute the same function as" in text
    assert "half: outputs only; gradients could not be compared" in text
    assert "same outputs  gradients                    not compared" in text
    assert report(result("half", OUTPUTS)).passed  # nothing is wrong, and it says what was proved
    assert result("half", OUTPUTS).to_json()["compared"] == ["outputs"]


def test_without_gradients_nothing_is_called_the_same_function(capsys):
    text = printed(capsys, result("one", OUTPUTS), gradients=False)
    assert "1 of 1 shown to agree with the float64 reference, in outputs only." in text
    assert "same function" not in text


def test_training_steps_are_named_if_they_were_compared(capsys):
    trained = {**WHOLE, Group.TRAJECTORY: [Row("step 1: loss", 0.0, 1e-6)]}
    text = printed(capsys, result("one", trained), result("two", WHOLE), train_steps=1)
    assert "1 of 2 shown to compute the same function as" in text
    assert "in outputs, gradients and training steps." in text
    assert "two: outputs and gradients only; training steps could not be compared" in text


def test_a_device_is_said_with_its_precision(capsys):
    placed = result("one", WHOLE, device="cuda:0", precision={"tf32": "off"}, threads="2")
    assert "one: on cuda:0, threads: 2; tf32=off" in printed(capsys, placed)
    assert placed.to_json()["device"] == "cuda:0"
    assert placed.to_json()["precision"] == {"tf32": "off"}


def test_a_device_of_a_framework_that_is_not_compared_is_refused():
    with pytest.raises(UnknownNameError, match="'torch' is not compared here; choose from numpy"):
        parity(frameworks=["numpy"], devices={"torch": "cpu"})


@pytest.mark.parametrize(
    ("count", "differing", "words"),
    [
        (1, 0, "0 of 1 value differ ("),
        (1, 1, "1 of 1 value differs ("),
        (9, 1, "1 of 9 values differs ("),
        (9, 2, "2 of 9 values differ ("),
    ],
)
def test_the_exact_proof_counts_in_english(count, differing, words):
    found = ExactComparison({"outputs": count}, {"outputs": differing}, None)
    assert f"exact proof: {words}outputs)" in exact_remark(found)


def test_what_to_install_is_said_unless_the_reference_itself_failed(capsys):
    text = printed(capsys, result("numpy", WHOLE))
    assert "Only the NumPy reference was compared. To compare a framework, install it" in text
    failed = printed(capsys, Result("numpy", error="killed"))
    assert "Only the NumPy reference" not in failed
    assert "0 of 1 shown to compute the same function" in failed


def test_a_wrong_training_step_is_named_as_the_exact_proof_names_it(capsys):
    wrong = {**WHOLE, Group.TRAJECTORY: [Row("step 1: loss", 1.0, 1e-6)]}
    text = printed(capsys, result("one", wrong), train_steps=1)
    assert "one: first divergence: training step 1: loss\n" in text


def test_the_command_asks_for_compiled_forms(monkeypatch):
    asked = {}

    def parity(name, frameworks, **settings):
        asked.update(settings)
        return report(result("one", WHOLE))

    monkeypatch.setattr(action, "parity", parity)
    for words, compiled in (([], False), (["--compiled"], True)):
        done = CliRunner().invoke(app, ["parity", "--exact", *words])
        assert done.exit_code == 0, done.output
        assert (asked["exact"], asked["compiled"]) == (True, compiled)
