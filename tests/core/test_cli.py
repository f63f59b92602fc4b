"""The command as users run it, in a process of its own: output, exit codes, and one line for every
mistake.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from googlenet.architectures import NETWORKS
from googlenet.cli import app


def googlenet(*arguments, **environment):
    command = [sys.executable, "-m", "googlenet", *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200", **environment},
        timeout=300,
    )


def test_version():
    assert googlenet("--version").stdout.strip() == "0.2.0"


COMMANDS = [str(command.name) for command in app.registered_commands]


def test_help_without_arguments():
    done = googlenet()
    assert done.returncode == 0
    assert len(COMMANDS) > 10
    assert all(f"\n  {command} " in done.stdout for command in COMMANDS)


@pytest.mark.parametrize(
    ("command", "usage", "argument"),
    [
        ("compare", "[OPTIONS] [NAME]...", "NAME"),
        ("convert", "[OPTIONS] IN OUT", "IN"),
        ("diff", "[OPTIONS] A B", "A"),
        ("predict", "[OPTIONS] [IMAGE]...", "IMAGE"),
    ],
)
def test_help_shows_arguments_by_their_names(command, usage, argument):
    lines = googlenet(command, "--help", COLUMNS="200").stdout.splitlines()
    assert lines[0] == f"Usage: googlenet {command} {usage}"
    row = lines[lines.index("Arguments:") + 1]
    assert row.split("  ")[1].strip() == argument


def test_list():
    done = googlenet("list")
    assert done.returncode == 0
    assert "5,977,530" in done.stdout
    assert "numpy" in done.stdout
    answer = json.loads(googlenet("list", "--json").stdout)
    assert [network["name"] for network in answer["networks"]] == list(NETWORKS)
    assert {"jax", "mindspore", "mxnet", "numpy", "onnx", "paddle", "tensorflow", "torch"} <= {
        framework["name"] for framework in answer["frameworks"]
    }


def test_summary():
    done = googlenet("summary")
    assert done.returncode == 0
    for text in ("b3", "480×6×6", "552,432", "79,405,056", "107×107", "5,977,530", "276,066,304"):
        assert text in done.stdout


def test_summary_as_json():
    answer = json.loads(
        googlenet(
            "summary",
            "googlenet_paper",
            "--aux",
            "--size",
            "96x128",
            "--num-classes",
            "7",
            "--json",
        ).stdout
    )
    assert answer["name"] == "googlenet_paper"
    assert answer["input_shape"] == [3, 96, 128]
    assert answer["outputs"] == ["logits", "aux1", "aux2"]
    assert answer["stages"][-1] == {
        "name": "head",
        "output_shape": [7],
        "parameters": 7175,
        "multiply_adds": 7168,
        "receptive_field": answer["stages"][-1]["receptive_field"],
    }
    assert answer["parameters"] == sum(stage["parameters"] for stage in answer["stages"])


def test_summary_of_the_native_model_is_that_of_the_spec():
    spec, native = (
        json.loads(googlenet("summary", *more, "--json").stdout)
        for more in ((), ("--framework", "numpy"))
    )
    assert native["framework"] == "numpy"
    assert native["stages"] == spec["stages"]
    assert native["parameters"] == spec["parameters"]


def test_parity():
    done = googlenet("parity", "--framework", "numpy", "--size", "32", "--no-gradients")
    assert done.returncode == 0, done.stderr
    assert "same" in done.stdout
    assert "scikit-learn's digits" in done.stdout
    assert done.stderr == ""


def test_parity_as_json_and_its_exit_code():
    arguments = (
        "parity",
        "--framework",
        "faulty",
        "--size",
        "32",
        "--count",
        "2",
        "--no-gradients",
        "--json",
    )
    done = googlenet(*arguments)
    assert done.returncode == 0
    assert json.loads(done.stdout)["passed"] is True
    done = googlenet(*arguments, GOOGLENET_EXAMPLE_FAULT="layer")
    assert done.returncode == 1
    (result,) = json.loads(done.stdout)["frameworks"]
    assert result["first_divergence"] == "output of b3.inception_3b.branch_5x5.conv.relu"


def test_parity_shows_what_failed():
    arguments = (
        "parity",
        "--framework",
        "faulty",
        "--framework",
        "numpy",
        "--size",
        "32",
        "--count",
        "2",
        "--no-gradients",
    )
    done = googlenet(*arguments, GOOGLENET_EXAMPLE_FAULT="layer")
    assert done.returncode == 1
    assert "faulty: first divergence: output of b3.inception_3b.branch_5x5.conv.relu" in done.stdout
    done = googlenet(*arguments, GOOGLENET_EXAMPLE_FAULT="exit")
    assert done.returncode == 1
    assert "faulty: exited with code 7" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nonsense",), "No such command 'nonsense'; see 'googlenet --help'"),
        (("sumary",), "No such command 'sumary'. Did you mean 'summary'? See 'googlenet --help'"),
        (
            ("train", "--learning-rate", "1e300"),
            "--learning-rate: expected a number above 0 in float32, got 1e+300",
        ),
        (("summary", "--nonsense"), "No such option: --nonsense"),
        (
            ("summary", "googlnet"),
            (
                f"network: expected one of {', '.join(NETWORKS)}, got 'googlnet'; did you mean"
                " 'googlenet'?"
            ),
        ),
        (
            ("summary", "--size", "9z"),
            "--size: expected pixels as 96 or 96x128 (height x width), got '9z'",
        ),
        (
            ("summary", "--size", "0"),
            "googlenet: --size: expected 1 to 65536 pixels per side, got '0'\n",
        ),
        (
            ("compare", "--size", "96x70000"),
            "googlenet: --size: expected 1 to 65536 pixels per side, got '96x70000'\n",
        ),
        (
            ("summary", "--channels", "0"),
            "googlenet: --channels: expected an integer of at least 1, got 0\n",
        ),
        (
            ("compare", "--channels", "0"),
            "googlenet: --channels: expected an integer of at least 1, got 0\n",
        ),
        (
            ("summary", "--num-classes", "0"),
            "--num-classes: expected an integer of at least 1, got 0",
        ),
        (
            ("summary", "googlenet_paper", "--size", "20"),
            "the smallest square image that fits is 31×31",
        ),
        (
            ("summary", "--aux"),
            "aux: network 'googlenet' has no auxiliary heads; leave this out, or use one of",
        ),
        (
            ("summary", "inception_v3", "--dialect", "tim"),
            "for network 'inception_v3', got 'tim'; did you mean 'timm'?",
        ),
        (
            ("summary", "nin", "--dialect", "keras"),
            "--dialect: network 'nin' has no dialect 'keras'; use one of ",
        ),
        (("summary", "--framework", "caffe"), "framework: no backend 'caffe' (installed: "),
        (("parity", "--framework", "caffe"), "framework: no backend 'caffe' (installed: "),
        (
            ("parity", "--framework", "caffe"),
            "); to install one of these from a checkout, into a new environment, since",
        ),
        (("parity", "--python", "mxnet"), "--python: expected FRAMEWORK=PATH"),
        (
            ("parity", "--python", "mxnet=/no/python"),
            "--python: /no/python, given for 'mxnet', is not a file",
        ),
        (("parity", "--images", "/no/images"), "/no/images: does not exist"),
        (("parity", "--count", "0"), "--count: expected an integer of at least 1, got 0"),
        (
            ("parity", "--channels", "2"),
            "googlenet: images have 1 or 3 channels, but the network expects 2; build the network"
            " for 1 or 3 channels\n",
        ),
        (("parity", "--weights", "/no/weights"), "/no/weights: does not exist"),
        (
            ("parity", "--initializer", "zeros"),
            "initializer: expected one of xavier_uniform, he_normal, got 'zeros'",
        ),
        (
            ("parity", "--jobs", "many"),
            "googlenet: --jobs: expected an integer of at least 1, got 'many'\n",
        ),
        (
            ("parity", "--threads", "0"),
            "googlenet: --threads: expected an integer of at least 1, got 0\n",
        ),
        (("train", "--epochs", "x"), "googlenet: --epochs: expected an integer, got 'x'\n"),
        (
            ("train", "--aux-weight", "0.3", "--aux-weight", "y"),
            "googlenet: --aux-weight: expected a number, got 'y'\n",
        ),
        (
            ("race", "--timeout", "0.5"),
            "googlenet: --timeout: expected a number of at least 1, got 0.5\n",
        ),
        (("train", "--resume=3"), "see 'googlenet train --help'"),
        (
            ("parity", "googlenet_bn", "--size", "32", "--count", "1"),
            "googlenet: a training step needs at least 2 images (the map of batch norm"
            " 'b5.inception_5a.branch_1x1.norm' is 1×1), got 1; give more images, a larger"
            " --size, or --no-gradients without --train-steps",
        ),
        (
            ("parity", "bn_inception", "--size", "32", "--count", "1", "--train-steps", "1"),
            "'b4.inception_4e.branch_3x3.conv.norm' is 1×1",
        ),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(arguments, message):
    done = googlenet(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_a_closed_pipe_is_no_error():
    shell = f"{sys.executable} -m googlenet list --json | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", shell], capture_output=True, text=True)
    assert done.stdout == "{\n"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("googlenet par", ["parity"]),
        ("googlenet summary inception_v", ["inception_v3", "inception_v4"]),
        ("googlenet diff googlenet torchvision:inc", ["torchvision:inception_v3"]),
        ("googlenet train --framework num", ["numpy"]),
    ],
)
def test_the_shell_completes_names(words, found):
    """As the script does that `googlenet --install-completion bash` writes."""
    where = {
        "_GOOGLENET_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    script = str(Path(sys.executable).with_name("googlenet"))
    done = subprocess.run([script], env={**os.environ, **where}, capture_output=True, text=True)
    assert done.stdout.split() == found


@pytest.mark.parametrize(
    ("message", "typed"),
    [
        (
            "`batch_size=3000`: is too many; give `batch_size` 40",
            "--batch-size 3000: is too many; give --batch-size 40",
        ),
        ("`input_shape`: too small", "--size: too small"),
        (
            "continue it with `resume=True`, or give another `out`",
            "continue it with --resume, or give another --out",
        ),
        ("`aux_weights`: one", "--aux-weight: one"),
        ("leave the heads out: `aux=False`", "leave the heads out: no --aux"),
        ("`unknown=3` stays, as does `a path`", "unknown=3 stays, as does `a path`"),
        ("framework: no backend 'caffe'", "--framework: no backend 'caffe'"),
        ("Network.input_shape: expected", "--size: expected"),
        ("`network=nowhere`: expected", "nowhere: expected"),
    ],
)
def test_errors_name_what_is_typed(message, typed):
    import typer

    from googlenet.cli import app
    from googlenet.cli.command import in_options

    params = typer.main.get_command(app).commands["train"].params
    assert in_options(message, params) == typed


#: The command, which gets a signal while what is named is imported or called.
SIGNALLED = """
import importlib, os, sys
where, number = sys.argv.pop(1), int(sys.argv.pop(1))
def ring(*_, **__):
    os.kill(os.getpid(), number)
if where == "write":
    import googlenet.files as files
    files.share = ring
else:
    class Finder:
        def find_spec(self, name, *_):
            if name == where:
                ring()
    sys.meta_path.insert(0, Finder())
from googlenet.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("where", "number"),
    [
        ("typer", signal.SIGINT),
        ("googlenet.actions.draw", signal.SIGINT),
        ("write", signal.SIGINT),
        ("write", signal.SIGTERM),
        ("write", signal.SIGHUP),
    ],
)
def test_a_signal_at_any_moment_is_one_line_and_leaves_nothing(tmp_path, where, number):
    """While the command is imported, too, and when it has written half of its file."""
    (tmp_path / "old.svg").write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED, where, str(int(number)), "draw", "--out", "old.svg"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        # What runs in the background of a shell ignores the first, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert (done.returncode, done.stderr) == (130, "googlenet: interrupted\n")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("old.svg", "old")]


def test_closed_streams_and_narrow_terminals():
    code = f"{sys.executable} -m googlenet train --epochs 0 --json 2>&-"
    done = subprocess.run(["sh", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert googlenet("--help", COLUMNS="1").returncode == 0


def test_what_is_wrong_with_a_framework_speaks_of_options():
    done = googlenet("train", "--framework", "numpy", "--parallel")
    assert "leave out --parallel" in done.stderr
    done = googlenet("parity", "--framework", "mxnet")
    assert "--python mxnet=PATH" in done.stderr


def test_a_name_with_a_line_break_is_one_line():
    done = googlenet("parity", "--images", "no\nsuch.png")
    assert len(done.stderr.splitlines()) == 1


def test_an_unknown_model_and_layer_are_named_as_typed(tmp_path):
    from safetensors.numpy import save_file

    from googlenet import get_network, init_params, save_params

    network = get_network("googlenet", num_classes=2, input_shape=(1, 32, 32))
    own, bare = tmp_path / "own.safetensors", tmp_path / "bare.safetensors"
    save_params(own, network, init_params(network))
    save_file(init_params(network), bare)
    given = ("predict", "one.png", "--weights")
    done = googlenet(*given, str(bare), "--model", "googlenett")
    assert done.stderr.startswith("googlenet: --model: expected one of")
    done = googlenet(*given, str(own), "--tap", "b1.con", "--out", str(tmp_path / "o.npz"))
    assert done.stderr.startswith("googlenet: --tap b1.con: network 'googlenet' has no such layer")
    assert "b1.conv" in done.stderr
