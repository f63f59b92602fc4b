"""`googlenet code` and `googlenet.code`, with backends that write and compute nothing more than the
reference does: how they are asked, alone and several together, and every mistake.
"""

import ast
import json
import subprocess
import sys

import pytest

import googlenet
from googlenet import Network
from googlenet.spec.blocks import concat, conv_layer, sequential

from .plugins import FORWARD, plugin

CLASSES = FORWARD + "from tests.core.spelled import CLASSES as spelling\n"
FUNCTIONS = FORWARD + "from tests.core.spelled import FUNCTIONS as spelling\n"


@pytest.fixture
def writers(site):
    """Two frameworks that write, and one that does not."""
    plugin(site, "halide", CLASSES, version="1.5")
    plugin(site, "other", FUNCTIONS, version="2.5")
    plugin(site, "mute")
    return site


def command(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "googlenet", "code", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
    )


def refused(*arguments, cwd, message):
    done = command(*arguments, cwd=cwd)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert message in line


def test_one_framework_is_printed_as_a_file_of_its_own(writers, tmp_path):
    done = command("googlenet", "--framework", "halide", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    ast.parse(done.stdout)
    assert done.stdout == googlenet.code("googlenet", "halide").formatted()
    assert "class GoogLeNet(nn.Layer):" in done.stdout


def test_several_frameworks_are_a_page(writers, tmp_path):
    done = command("--framework", "halide", "--framework", "other", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    one, two = googlenet.code("googlenet", ["halide", "other"]).sources
    assert done.stdout.startswith("# googlenet\n\n## halide 1.5\n\n```python\n")
    assert one.text in done.stdout
    assert two.text in done.stdout
    assert (one.name, two.name) == ("GoogLeNet", "googlenet")
    assert (one.framework_version, two.framework_version) == ("1.5", "2.5")


def test_by_default_all_that_can_be_written_are(writers):
    found = googlenet.code("nin")
    assert [each.framework for each in found.sources] == ["halide", "other"]


def test_labels_reach_the_other_processes(writers):
    """The names of blocks are not part of a network's JSON."""
    network = googlenet.get_network("googlenet")
    for source in googlenet.code(network, ["halide", "other"]).sources:
        assert "inception(" in source.text.lower()


def test_arguments_choose_the_network(writers):
    code = googlenet.code(
        "googlenet", "halide", num_classes=3, input_shape=(2, 96, 128), dialect="paddle", aux=True
    )
    text = code.sources[0].text
    assert text.startswith("# paddle:googlenet_paper: ")
    assert "# Images of 2 × 96 × 128 " in text
    assert "x, aux1, aux2 = self.b4(x)" in text


def test_json_has_everything(writers, tmp_path):
    done = command("--framework", "halide", "--block", "inception_3a", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert found == googlenet.code("googlenet", "halide", block="inception_3a").to_json()
    assert found["block"] == "b3.inception_3a"
    (source,) = found["sources"]
    assert source["lines"] == len(source["text"].splitlines())
    assert source["name"] == "inception_3a"


def test_a_block_is_not_called_as_what_its_code_names(writers):
    root = sequential(nn=concat(a=conv_layer(2, 1), b=conv_layer(3, 1)))
    network = Network("n", root, (2, 4, 4), "a test")
    (source,) = googlenet.code(network, "halide", block="nn").sources
    assert source.name == "nn_"
    assert "\nnn_ = " in source.text
    (source,) = googlenet.code(network, "other", block="nn").sources
    assert source.name == "x"
    assert "\nx = " in source.text


def test_a_name_that_cannot_be_encoded_is_escaped_on_every_page(writers, tmp_path):
    network = Network("a\ud800b\nc", sequential(a=conv_layer(2, 1)), (2, 4, 4), "a test")
    found = googlenet.code(network, ["halide", "other"])
    for ending in ("md", "html"):
        found.save(tmp_path / f"net.{ending}")
        assert "a\\ud800b c" in (tmp_path / f"net.{ending}").read_text(encoding="utf-8")


def test_a_framework_named_twice_is_one(writers, tmp_path):
    twice = ["--framework", "halide", "--framework", "Halide", "--format", "py"]
    done = command(*twice, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == googlenet.code("googlenet", "halide").formatted()


def test_json_says_which_file_was_written(writers, tmp_path):
    done = command("--framework", "halide", "--out", "net.py", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert found == {**googlenet.code("googlenet", "halide").to_json(), "files": ["net.py"]}
    assert (tmp_path / "net.py").read_text(encoding="utf-8") == found["sources"][0]["text"]


def test_several_frameworks_say_how_far_they_are(writers):
    told = []
    googlenet.code("nin", ["halide", "other"], progress=lambda *each: told.append(each))
    assert {who for who, *_ in told} == {"halide", "other"}


def test_a_framework_that_takes_too_long_is_stopped(site, tmp_path):
    plugin(site, "other", FUNCTIONS)
    plugin(site, "halide", "import time\ntime.sleep(60)\n" + CLASSES)
    frameworks = ["--framework", "other", "--framework", "halide"]
    refused(*frameworks, "--timeout", "5", cwd=tmp_path, message="framework 'halide': ")


@pytest.mark.parametrize(("name", "start"), [("a.md", "# b3 of"), ("a.html", "<!DOCTYPE html>")])
def test_a_page_is_written_to_a_file(writers, tmp_path, name, start):
    frameworks = ["--framework", "halide", "--framework", "other"]
    done = command("--block", "b3", *frameworks, "--out", name, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(start)
    assert done.stdout.splitlines()[-1] == f"Written: {name}"
    assert ", which define b3\n" in done.stdout


def test_a_file_of_python_runs(writers, tmp_path):
    assert command("--framework", "halide", "--out", "net.py", cwd=tmp_path).returncode == 0
    run = "import net; print(type(net.GoogLeNet().b3.inception_3a).__name__)"
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == "Inception\n", done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--framework", "mute"], "framework 'mute': its backend cannot write source code"),
        (
            ["--framework", "mute", "--framework", "halide"],
            "framework 'mute': its backend cannot write source code",
        ),
        (["--framework", "numpy"], "framework 'numpy': its backend cannot write source code"),
        (["--framework", "caffe"], "--framework: no backend 'caffe'"),
        (
            ["--framework", "halide", "--framework", "other", "--format", "py"],
            "a .py file holds the code of one framework, got 2; give --format md or html",
        ),
        (
            ["--framework", "halide", "--framework", "other", "--out", "net.py"],
            "a .py file holds the code of one framework",
        ),
        (["--framework", "halide", "--format", "pdf"], "--format: expected one of py, md, html"),
        (["--framework", "halide", "--out", "net.txt"], "net.txt: expected a name that ends in"),
        (["--framework", "halide", "--out", "no/net.py"], "no/net.py: its folder does not exist"),
        (
            ["--framework", "halide", "--format", "html", "--out", "net.md"],
            "net.md: expected a name that ends in .html, since --format is html",
        ),
        (["--framework", "halide", "--block", "nope"], "--block: googlenet has no 'nope'"),
        (
            ["--framework", "halide", "--block", "branch_3x3"],
            "'branch_3x3' is the name of 9",
        ),
        (["nope", "--framework", "halide"], "network: expected one of"),
        (["alexnet", "--size", "8", "--framework", "halide"], "the smallest square image"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(writers, tmp_path, arguments, message):
    refused(*arguments, cwd=tmp_path, message=message)
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".py", ".txt")]


def test_where_nothing_writes(site, tmp_path):
    plugin(site, "mute")
    refused(
        cwd=tmp_path,
        message="--framework: no installed framework has a backend that can write source code",
    )


def test_a_layer_that_cannot_be_spelled_is_one_line(site, tmp_path):
    odd = (
        "from dataclasses import replace\n"
        "from fractions import Fraction\n"
        "from googlenet.backend.call import Call\n"
        "spelling = replace(spelling, leaf=lambda site: (Call(Fraction, (1,)),))\n"
    )
    plugin(site, "halide", CLASSES + odd)
    message = "fractions.Fraction: cannot be written as source"
    refused("--framework", "halide", cwd=tmp_path, message=message)
