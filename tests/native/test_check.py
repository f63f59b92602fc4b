"""Mistakes in users' own models, and right code, in several styles: a seeded sample of
`benchmarks/own_models.py`, which has them all.
"""

import importlib
import os
import random
import sys
from pathlib import Path

import pytest

from googlenet import check, get_model, get_network
from googlenet.actions.check import answer

from ..frameworks.benchmarks import benchmark
from ..frameworks.native import LOADERS

own_models, edits, plan = map(benchmark, ("own_models", "own_code.edits", "own_code.plan"))

#: As many edits as run in a minute with the rest, another kind each.
EDITS, SEED = 5, 11
#: Every other of the bugs, the rest in the other frameworks: each is tried in two or three.
BUGS = len(own_models.bugs()) // 2

pytestmark = pytest.mark.filterwarnings("ignore")  # the frameworks', of users' code


def cases(framework):
    """Bugs in a style each, the styles in turn; as many edits of kinds that are drawn."""
    first = sorted(LOADERS).index(framework) % 2
    return [
        *list(own_models.styled(framework, own_models.bugs()))[first::2],
        *own_models.sample(framework, SEED, EDITS),
    ]


def judged(framework, case, style, folder):
    return own_models.judged(framework, case, style, folder)


@pytest.mark.parametrize("number", range(BUGS + EDITS))
def test_a_mistake_is_found_and_named(framework, number, tmp_path):
    case, style = cases(framework)[number]
    found = judged(framework, case, style, tmp_path)
    assert found["verdict"] == "different", found
    assert found["layer"], found
    assert found["cause"], found
    assert found["proved"], found


def test_a_native_model_is_the_same(framework):
    """Of a network whose batch norms do not multiply, which each framework says otherwise."""
    network = get_network("keras:inception_v3", input_shape=(3, 75, 75), num_classes=10)
    model = get_model(framework=framework, network=network)
    found = check(model, framework, against=network)
    assert found.verdict == "same", str(found)
    assert found.mentions == ()


@pytest.mark.parametrize("number", range(4))
def test_right_code_is_the_same(framework, number, tmp_path):
    """Each style, as the network is and with batch norm in turn."""
    style = own_models.words(framework).STYLES[number]
    case = own_models.right()[number % 2]
    environment = dict(os.environ)
    found = judged(framework, case, style, tmp_path)
    assert found["verdict"] == "same", found
    assert os.environ == environment  # it runs in the user's own process
    assert not found["told"], found


@pytest.mark.parametrize(
    ("kind", "style"),
    [("kernel", 0), ("channels", 2), ("softmax", 0), ("pool kind", 0)],
)
def test_the_line_that_was_edited_is_shown(framework, kind, style, tmp_path, monkeypatch):
    """As a worker does it, in whose process the file is run, with the code to write beside it."""
    monkeypatch.chdir(tmp_path)
    for name in ("argv", "path"):
        monkeypatch.setattr(sys, name, list(getattr(sys, name)))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    words = own_models.words(framework)
    case = edits.Drawn(random.Random(5), "googlenet").case(kind)
    right = words.write(plan.plan("googlenet"), words.STYLES[style]).splitlines()
    code = words.write(case.plan, words.STYLES[style])
    name = f"mine_{kind.replace(' ', '_')}"
    Path(f"{name}.py").write_text(code)
    if framework == "mxnet":  # what an earlier file set for the whole process
        importlib.import_module("mxnet").npx.reset_np()
    values = {"file": f"{name}.py", "name": "net", "against": "googlenet", "num_classes": None}
    values |= {"input_shape": [1, plan.SIDE, plan.SIDE], "seed": 0}
    found = answer(framework, values, tmp_path, lambda stage, done, total: None)
    first = found["differences"][0]
    source = first["source"]
    line = code.splitlines()[source["line"] - 1]
    assert source["file"] == f"{name}.py"
    assert source["where"] == "yours"
    assert source["text"].partition("(")[0] in line
    assert line not in right
    assert bool(first["code"]) is (kind != "softmax"), first
