"""What a translation says of its proof."""

import math
from dataclasses import replace

import numpy as np
import pytest

import googlenet
from googlenet.actions import translate
from googlenet.actions.translated import PROOF, README, Translation, install, readme
from googlenet.data.images import ImageSet
from googlenet.proof.exact.compare import ExactComparison
from googlenet.proof.parity.rows import Comparison, Group, Row
from googlenet.proof.parity.run import ParityOptions, Report, Result
from googlenet.proof.parity.tolerance import PROVABLE
from googlenet.source.folder import Files
from googlenet.spec.layers import NO_PADDING, BatchNorm, Conv, Network, Sequential
from googlenet.spec.traversal import walk
from googlenet.weights.samples import random_params

NETWORK = googlenet.get_network("googlenet")
RIGHT = Row("logits", 1e-7, 1e-5)
WRONG = Row("b1.conv", 1e-2, 1e-5)
HIDDEN = Row("b1.conv.bias", 1e-7, 10 * PROVABLE, provable=False)
BITS = ExactComparison({"outputs": 10, "gradients": 10}, {"outputs": 0, "gradients": 0}, None)


def result(framework="torch", *, exact=BITS, error=None, **groups):
    rows = {Group.OUTPUTS: [RIGHT], Group.LOSS: [RIGHT], Group.GRADIENTS: [RIGHT]}
    rows |= {Group[name.upper()]: each for name, each in groups.items()}
    comparison = Comparison({} if error else rows)
    return Result(framework, comparison, error, {framework: "1.0"}, exact=None if error else exact)


def reported(theirs, ours=None, network=NETWORK):
    images = ImageSet(np.zeros((4, 1, 96, 96), np.float32), np.zeros(4, np.int64), "none")
    return Report(network, images, 0, (theirs, ours or result("paddle")))


def translation(theirs, ours=None, network=NETWORK, **more):
    report = reported(theirs, ours, network)
    files = Files("model.py", "model.pdparams", "load.py", "Net")
    return Translation(
        "mynet.py:net", "torch", "paddle", "out", files, network, {"b1": "net.b1"}, report, **more
    )


@pytest.mark.parametrize(
    ("theirs", "verdict"),
    [
        (result(), "the same function"),
        (result(outputs=[RIGHT, WRONG]), "different functions"),
        (result(exact=replace(BITS, differing={"outputs": 1})), "different functions"),
        (result(error="killed"), "not compared"),
        # A bias before a batch norm: its gradient is 0.
        (result(gradients=[RIGHT, HIDDEN]), "the same function"),
        (
            result(gradients=[RIGHT, HIDDEN], exact=None),
            "perhaps different functions, since rounding hides too much on these images",
        ),
        (
            result(gradients=[HIDDEN], exact=ExactComparison({"outputs": 9}, {"outputs": 0}, None)),
            "perhaps different functions, since rounding hides too much on these images",
        ),
        # Rounding grows from step to step.
        (result(trajectory=[RIGHT, HIDDEN, HIDDEN], exact=None), "the same function"),
        (result(trajectory=[RIGHT, WRONG], exact=None), "different functions"),
    ],
)
def test_the_verdict(theirs, verdict):
    found = translation(theirs)
    assert found.verdict == verdict
    assert found.passed is (verdict == "the same function")
    assert found.to_json()["verdict"] == verdict
    assert verdict in readme(found)
    swapped = translation(result(), replace(theirs, framework="paddle"))
    assert swapped.verdict == verdict


@pytest.mark.parametrize(
    ("theirs", "moved", "verdict"),
    [
        (result(gradients=[HIDDEN], exact=None), result(exact=None), "the same function"),
        (
            result(gradients=[HIDDEN], exact=None),
            result(gradients=[WRONG], exact=None),
            "different functions",
        ),
        (result(gradients=[HIDDEN], exact=None), result(error="killed"), "not compared"),
        (
            result(gradients=[HIDDEN], exact=None),
            result(gradients=[HIDDEN], exact=None),
            "perhaps different functions, since rounding hides too much on these images",
        ),
        # A difference is one, whatever else was told.
        (
            result(trajectory=[RIGHT, HIDDEN, HIDDEN], exact=None),
            result(gradients=[WRONG], exact=None),
            "different functions",
        ),
        (result(gradients=[RIGHT, HIDDEN]), result(outputs=[WRONG]), "different functions"),
        # What evaluation mode computes has to be told with the model's own weights.
        (
            result(outputs=[HIDDEN], exact=None),
            result(exact=None),
            "perhaps different functions, since rounding hides too much on these images",
        ),
        (
            result(outputs=[WRONG], gradients=[HIDDEN], exact=None),
            result(exact=None),
            "different functions",
        ),
    ],
)
def test_the_verdict_with_the_biases_of_batch_norm_moved(theirs, moved, verdict):
    found = translation(theirs, moved=reported(moved))
    assert found.verdict == verdict
    assert found.passed is (verdict == "the same function")
    assert verdict in readme(found)
    swapped = [replace(each, framework="paddle") for each in (theirs, moved)]
    found = translation(result(), swapped[0], moved=reported(result(), swapped[1]))
    assert found.verdict == verdict
    told = found.to_json()["proof_with_moved_norms"]["passed"]
    assert told is reported(result(), swapped[1]).passed


def test_what_moving_the_biases_tells_is_shown():
    hidden = result(gradients=[HIDDEN], exact=None)
    found = translation(hidden, moved=reported(result(exact=None)))
    rows = {name: cells for name, *cells in found.rows()}
    assert rows["gradients"][0] == "1, largest share 0, 1 not provable"
    moved = "… with batch norm's biases moved: gradients"
    assert rows[moved] == ["1, largest share 0.01", "1, largest share 0.01"]
    assert [name for name in rows if name.startswith("…")] == [moved]
    assert any("with the biases of batch norm moved" in each for each in found.remarks())
    wrong = translation(hidden, moved=reported(result(gradients=[WRONG], exact=None)))
    assert any(
        each.startswith("torch, with the biases of batch norm moved: the first difference is in")
        for each in wrong.remarks()
    )


def test_gradients_that_are_zero_need_no_proof():
    """Those of biases before a batch norm, and no others."""
    network = Network(
        "norms",
        Sequential(
            (("c", Conv(2, (1, 1), (1, 1), NO_PADDING, 1, True)), ("b", BatchNorm(1e-3, 0.1, True)))
        ),
        (1, 4, 4),
        "a test",
    )
    for name, passed in (("c.bias", True), ("c.weight", False)):
        hidden = result(gradients=[RIGHT, replace(HIDDEN, name=name)], exact=None)
        assert translation(hidden, network=network).passed is passed


def test_what_was_compared_is_counted():
    found = translation(
        result(outputs=[RIGHT, WRONG], gradients=[RIGHT, HIDDEN]), result("paddle", error="x")
    )
    rows = {name: cells for name, *cells in found.rows()}
    # Layers inside the user's model are of a native one beside it.
    assert rows["outputs and layers"] == ["1, largest share 0.01", "failed"]
    ours = translation(result(), result("paddle", outputs=[RIGHT, WRONG]))
    assert {name: cells[1] for name, *cells in ours.rows()}["outputs and layers"] == (
        "1 of 2 differ, first b1.conv"
    )
    assert rows["gradients"] == ["2, largest share 0.01, 1 not provable", "failed"]
    assert rows["bits with exact weights"] == ["0 of 20 differ", "failed"]


def test_remarks_say_what_there_is_to_know():
    found = translation(
        result(gradients=[HIDDEN], statistics=[RIGHT]),
        result("paddle", error="killed"),
        not_exact="Net has 1000 classes",
        unbiased=(True, False),
    )
    said = "\n".join(found.remarks())
    assert "torch: rounding hides 1 of 1 gradients" in said
    assert "paddle: killed" in said
    assert "Bits were not compared: Net has 1000 classes." in said
    assert "In training torch's running variance is the unbiased one" in said
    assert all(f"- {each}" in readme(found) for each in found.remarks())
    assert "training mode only" not in said
    opened = translation(result(), opened=True)
    assert "The original returns its auxiliary outputs in training mode only." in readme(opened)
    assert opened.to_json()["auxiliary_outputs_in_training_only"] is True
    quiet = "\n".join(translation(result(statistics=[RIGHT])).remarks())
    assert "variance" not in quiet


def test_a_folder_is_complete_or_not_there(tmp_path, monkeypatch):
    files, out = tmp_path / "files", tmp_path / "out"
    files.mkdir()
    (files / "model.py").write_text("text")
    found = translation(result())
    monkeypatch.setattr(Translation, "to_json", lambda self: {"share": math.nan})
    with pytest.raises(ValueError, match="JSON"):
        install(files, out, found)
    assert [each.name for each in tmp_path.iterdir()] == ["files"]
    monkeypatch.undo()
    out.mkdir()
    install(files, out, found)
    assert sorted(each.name for each in out.iterdir()) == sorted(["model.py", PROOF, README])
    assert sorted(each.name for each in tmp_path.iterdir()) == ["files", "out"]


@pytest.mark.parametrize(
    ("network", "outcomes", "counts"),
    [
        ("googlenet", [result(gradients=[HIDDEN])], [16]),
        ("vgg16", [result(), result("paddle")], [4]),
        ("vgg16", [result(gradients=[HIDDEN]), result("paddle")], [4, 12]),
        ("vgg16", [result(outputs=[WRONG])], [4]),
    ],
    ids=["as many as there may be", "proved", "not provable", "different"],
)
def test_where_a_few_images_cannot_tell_more_are_taken(monkeypatch, network, outcomes, counts):
    network = googlenet.get_network(network)
    seen = []

    def run_parity(network, frameworks, images, params, **rest):
        seen.append(len(images.images))
        assert len(images.labels) == seen[-1]
        return Report(network, images, 0, tuple(outcomes))

    monkeypatch.setattr(translate, "run_parity", run_parity)
    given = (network, {}, ["torch", "paddle"], 0, ParityOptions(exact=network), lambda *told: None)
    report, moved, told = translate._proved(*given)
    assert (seen, moved, told) == (counts, None, "")
    assert len(report.image_set.images) == counts[-1]


@pytest.mark.parametrize("hides", [True, False])
def test_where_batch_norm_lets_rounding_grow_its_biases_are_moved(monkeypatch, hides):
    network = googlenet.get_network("googlenet_bn")
    seen = []

    def run_parity(network, frameworks, images, params, *, options, **rest):
        seen.append((params, options.exact))
        rows = [HIDDEN] if hides and len(seen) == 1 else [RIGHT]
        return Report(network, images, 0, (result(gradients=rows), result("paddle")))

    monkeypatch.setattr(translate, "run_parity", run_parity)
    params = random_params(network)
    report, moved, _ = translate._proved(
        *(network, params, ["torch", "paddle"], 0, ParityOptions(exact=network)),
        lambda *told: None,
    )
    assert len(seen) == 1 + hides
    assert seen[0] == (params, network)
    assert (moved is None) is not hides
    if moved is not None:
        assert moved.results[0].outcome is not report.results[0].outcome
        assert seen[1][1] is None
        changed = {path for path, array in seen[1][0].items() if array is not params[path]}
        assert changed == {
            f"{site.path}.bias" for site in walk(network) if isinstance(site.layer, BatchNorm)
        }
