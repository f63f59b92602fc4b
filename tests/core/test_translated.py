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


def translation(theirs, ours=None, network=NETWORK, **more):
    ours = ours or result("paddle")
    images = ImageSet(np.zeros((4, 1, 96, 96), np.float32), np.zeros(4, np.int64), "none")
    report = Report(network, images, 0, (theirs, ours))
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
    ("outcomes", "counts"),
    [
        ([result(gradients=[HIDDEN])], [16]),
        ([result(), result("paddle")], [4]),
        ([result(gradients=[HIDDEN]), result("paddle")], [4, 12]),
        ([result(outputs=[WRONG])], [4]),
    ],
    ids=["as many as there may be", "proved", "not provable", "different"],
)
def test_where_a_few_images_cannot_tell_more_are_taken(monkeypatch, outcomes, counts):
    network = NETWORK
    if counts[0] == 4:
        network = googlenet.get_network("inception_resnet_v2")
    seen = []

    def run_parity(network, frameworks, images, params, **rest):
        seen.append(len(images.images))
        assert len(images.labels) == seen[-1]
        return Report(network, images, 0, tuple(outcomes))

    monkeypatch.setattr(translate, "run_parity", run_parity)
    given = (network, {}, ["torch", "paddle"], 0, ParityOptions(exact=network), lambda *told: None)
    report, told = translate._proved(*given)
    assert (seen, told) == (counts, "")
    assert len(report.image_set.images) == counts[-1]
