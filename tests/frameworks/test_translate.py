"""A user's model goes from framework to framework, each time proved, and comes back with the bits
of its weights.

`GOOGLENET_PYTHONS` names the interpreters, as for `test_all.py`.
"""

import os
import subprocess
import sys

import pytest

import googlenet
from googlenet import DataError, TraceError, UnknownNameError
from googlenet.proof.conformance.tracing import outline, same_arrays
from googlenet.spec.layers import Dropout
from googlenet.spec.traversal import walk

from ..named import LACKS
from .own_models import FILES

PYTHONS = {
    framework: path
    for framework, path in (pair.split("=", 1) for pair in os.environ["GOOGLENET_PYTHONS"].split())
    if not {"adopt", "trace"} & (LACKS.get(framework) or set())
}
SHAPE = (1, 16, 15)
FIRST, SECOND, *_ = PYTHONS


@pytest.fixture
def model(tmp_path):
    (tmp_path / "mynet.py").write_text("import torch\n\ntorch.manual_seed(0)\n" + FILES[FIRST])
    return f"{tmp_path / 'mynet.py'}:Net"


def translate(model, to, out, framework=None):
    return googlenet.translate(
        model, to, out, own_framework=framework, input_shape=SHAPE, interpreters=PYTHONS
    )


def own(model, framework=None):
    found = googlenet.own_network(
        model, own_framework=framework, input_shape=SHAPE, interpreters=PYTHONS
    )
    return found.network, found.params


def test_there_and_back(model, tmp_path):
    """All five, each from the files of the one before."""
    network, params = own(model)
    framework = None
    for to in (*list(PYTHONS)[1:], FIRST):
        out = tmp_path / f"to-{to}"
        found = translate(model, to, out, framework)
        assert found.passed, found.to_json()["proof"]["frameworks"]
        inexact = {
            each.framework: each.exact.to_json()
            for each in found.parity.results
            # A processor on which batch norm is approximate can be asked for no bits.
            if not each.exact.passed and each.exact.unfit is None
        }
        assert not inexact, to
        files = found.files
        assert sorted(os.listdir(out)) == sorted(
            ["README.md", "proof.json", files.source, files.weights, files.loader]
        )
        assert "same function" in (out / "README.md").read_text()
        shares = [each.to_json()["largest_share_of_limit"] for each in found.parity.results]
        print(f"{found.source} → {to}: largest shares {shares[0]:.2g}, {shares[1]:.2g}")
        model, framework = f"{out / files.loader}:load", to
    again, back = own(model, framework)
    assert outline(again) == outline(network)
    assert same_arrays(back, params)


CANNOT = {
    "a layer of no kind that the spec has": (
        "self.drop(x), 0.2",
        "self.drop(torch.sigmoid(x)), 0.2",
        r"does not have these layers: sigmoid at net; nothing was written",
    ),
    "a shared layer": (
        "self.p2_2(F.relu(self.p2_1(x)))",
        "self.p2_2(F.relu(self.p2_1(x))) + self.p2_2(F.relu(self.p2_1(x)))",
        "share weights cannot be carried",
    ),
    "a frozen layer": (
        "self.fc = nn.Linear(9, 5)",
        "self.fc = nn.Linear(9, 5).requires_grad_(False)",
        "fc.weight: is frozen",
    ),
    "a layer in a plain list": (
        "self.fc = nn.Linear(9, 5)",
        "self.hidden = [nn.Linear(9, 5)]; self.fc = lambda x: self.hidden[0](x)",
        "its layer is not registered",
    ),
    "double precision": (
        "self.fc = nn.Linear(9, 5)",
        "self.fc = nn.Linear(9, 5); self.double()",
        "float64",
    ),
    "a weight that is computed": (
        "return self.bn(torch.cat(both, 1))",
        "x = self.bn(torch.cat(both, 1)); w = self.bn.weight.exp().diag()[..., None, None];"
        " return F.conv2d(x, w)",
        "is computed from other numbers",
    ),
}


@pytest.mark.parametrize(("old", "new", "message"), CANNOT.values(), ids=CANNOT)
def test_what_cannot_be_carried_is_named_and_nothing_is_written(model, tmp_path, old, new, message):
    assert FIRST == "torch"
    text = FILES[FIRST]
    assert old in text
    (tmp_path / "mynet.py").write_text(text.replace(old, new))
    with pytest.raises(TraceError, match=message):
        translate(model, SECOND, tmp_path / "out")
    assert os.listdir(tmp_path) == ["mynet.py"]


def test_a_head_that_only_training_returns_is_carried(model, tmp_path):
    """And the dropout that the same code calls as a function."""
    assert FIRST == "torch"
    old = "return self.fc(F.dropout(self.drop(x), 0.2, self.training)), aux"
    new = (
        "x = self.fc(F.dropout(self.drop(x), 0.2, self.training))"
        "; return (x, aux) if self.training else x"
    )
    text = FILES[FIRST]
    assert old in text
    # Of some weights that PyTorch may draw, rounding hides too much.
    seeded = text.replace("class Block", "torch.manual_seed(0)\n\n\nclass Block", 1)
    (tmp_path / "mynet.py").write_text(seeded.replace(old, new))
    found = translate(model, SECOND, tmp_path / "out")
    assert found.passed, found.verdict
    assert found.opened
    assert len(found.network.outputs) == 2
    rates = {each.layer.rate for each in walk(found.network) if isinstance(each.layer, Dropout)}
    assert rates == {0.2, 0.3}
    assert "in training mode only" in (tmp_path / "out" / "README.md").read_text()


def test_a_model_that_is_another_one_each_time_is_not_proved(model, tmp_path):
    """Every network would be the same as itself."""
    text = (tmp_path / "mynet.py").read_text()
    flag = tmp_path / "flag"
    start = f"import pathlib\n\nFLAG = pathlib.Path({str(flag)!r})\nAGAIN = FLAG.exists()\n"
    pool = "(F.avg_pool2d if AGAIN else F.max_pool2d)(x, 3, 2, 1)"
    assert "F.max_pool2d(x, 3, 2, 1)" in text
    text = start + text.replace("F.max_pool2d(x, 3, 2, 1)", pool) + "\nFLAG.touch()\n"
    (tmp_path / "mynet.py").write_text(text)
    found = translate(model, SECOND, tmp_path / "out")
    assert not found.passed
    assert "is another network each time that it is made" in "\n".join(found.remarks())


def test_bad_input(model, tmp_path):
    for to, out, error, message in (
        (FIRST, "out", UnknownNameError, "is one of torch already"),
        ("caffe", "out", UnknownNameError, "caffe"),
        (SECOND, ".", DataError, "is not empty"),
        (SECOND, "mynet.py", DataError, "is a file"),
        (SECOND, "no/out", DataError, "its parent folder does not exist"),
    ):
        with pytest.raises(error, match=message):
            translate(model, to, tmp_path / out)
    done = subprocess.run(
        [sys.executable, "-m", "googlenet", "translate", model, "--to", SECOND],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "--out" in done.stderr
    assert os.listdir(tmp_path) == ["mynet.py"]
