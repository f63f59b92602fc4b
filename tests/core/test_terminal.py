"""What commands print at 40, 80 and 120 columns, in a pipe, in a dumb terminal and without colour:
nothing is cut or broken.

Each has a file in `golden`; `GOOGLENET_WRITE_GOLDEN=1` writes them, and then one looks at them.
Figures that depend on the machine are masked, digit by digit.
"""

import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path

import numpy as np
import pytest

from googlenet import get_network, init_params, save_params
from googlenet.cli import app
from googlenet.data.dataset import DataSet, Split
from googlenet.data.prepared import save_data

GOLDEN = Path(__file__).parent / "golden"
TRAIN = ["googlenet", "--framework", "numpy", "--size", "8", "--data", "data"]
TRAIN += ["--batch-size", "16", "--epochs", "2"]
BOTH = ["--framework", "numpy", "--framework", "example"]
COMMANDS = {
    "list": ["list"],
    "summary": ["summary", "googlenet"],
    "summary-blocks": ["summary", "googlenet", "--depth", "2"],
    "summary-layers": ["summary", "nin", "--depth", "4"],
    "summary-frameworks": ["summary", "--size", "32", *BOTH, "--depth", "2"],
    "draw": ["draw", "googlenet", "--block", "inception_3a", "--out", "block.svg"],
    "compare": ["compare", "alexnet", "nin", "inception_resnet_v2", "torchvision:googlenet"],
    "min-size": ["min-size", "inception_v3"],
    "diff": ["diff", "torchvision:googlenet", "mindcv:googlenet", "--no-logits"],
    "convert": ["convert", "w.safetensors", "out.npz", "--to", "numpy"],
    "predict": ["predict", "--weights", "w.safetensors", "one.png", "two.png", "--top", "2"],
    "train": ["train", *TRAIN, "--learning-rate", "0.01", "--out", "run"],
    "race": ["race", *TRAIN, "--learning-rate", "0.01", "--out", "race"],
    "parity": ["parity", "googlenet", "--framework", "numpy", "--size", "8", "--count", "1"],
    "traps": ["traps", "--framework", "example"],
    "traps-code": ["traps", "zero-padding", "flatten-order", "--framework", "example"],
    "check": ["check", "mynet.py:net"],
    "help": ["--help"],
    "help-train": ["train", "--help"],
}
WIDTHS = (40, 80, 120)
#: A report of everything that one can have, as no one model has it: no framework is here that could
#: run one.
REPORT = {
    "framework": "torch",
    "against": "googlenet",
    "input_shape": [1, 96, 96],
    "verdict": "same",
    "differences": [
        {
            "path": "b4.inception_4e.branch_3x3.reduce.conv",
            "place": "net[3][4].p2_1",
            "words": "net[3][4].p2_1 = b4.inception_4e.branch_3x3.reduce.conv: 112 channels,"
            " expected 160: the row of b4.inception_4b",
            "cause": "row of another block",
            "explanation": "Neighbouring blocks differ in a few numbers, and copied code keeps the"
            " old ones.",
            "advice": "",
            "shape_preserving": False,
            "paths": ["b4.inception_4e.branch_3x3.reduce.conv"],
            "source": {
                "file": "mynet.py",
                "line": 39,
                "text": "Inception(528, 256, (112, 320), (24, 128), 128)",
                "calls": {"file": "mynet.py", "line": 10, "text": "nn.Conv2d(inputs, c2[0], 1)"},
                "where": "yours",
            },
            "spec": "1×1 convolution, 528 → 160 channels",
            "code": "nn.Conv2d(528, 160, 1)",
        },
        {
            "path": "b5.inception_5b",
            "place": "net.b5[1]",
            "words": "after b5.inception_5b: a tanh, which the spec does not have there",
            "cause": "extra activation",
            "explanation": "",
            "advice": "Leave it out.",
            "shape_preserving": True,
            "paths": ["b5.inception_5b"],
            "source": {
                "file": "mynet.py",
                "line": 46,
                "text": "nn.Tanh()",
                "calls": None,
                "where": "yours",
            },
            "spec": "",
            "code": None,
        },
    ],
    "mentions": [
        {
            "path": "b5.pool",
            "place": "net.b5[2]",
            "words": "net.b5[2] = b5.pool: an average pool where the spec has a global average"
            " pool",
            "cause": "kind of pool",
            "explanation": "",
            "advice": "",
            "shape_preserving": True,
            "paths": ["b5.pool"],
            "source": None,
            "spec": "global average pool",
            "code": "layers.GlobalAveragePooling2D()",
        }
    ],
    "first_divergence": {
        "path": "b4.inception_4e.branch_3x3.reduce.conv",
        "place": "net[3][4].p2_1",
        "error": None,
        "extra": False,
        "known": True,
    },
    "parameters": {"model": 5784066, "spec": 5977530},
    "proved": True,
    "sizes": [{"input_shape": [1, 97, 97], "verdict": "different"}],
    "reason": "",
}
#: The command, in which parity names the layer of the longest path as the worst: which layer's
#: rounding is the largest depends on the processor.
PROGRAM = f"""
import sys
import googlenet.actions.check
from googlenet.checking.report import Check
from googlenet.cli import main
googlenet.actions.check.check_file = lambda *args, **kwargs: Check.from_json({REPORT!r})
from googlenet.proof.parity.run import Result
Result.worst = lambda self, rows: max(rows, key=lambda row: (len(row.name), row.name), default=None)
sys.argv[0] = "googlenet"
main()
"""


def test_every_command_is_here():
    """But for `code`, whose lines are source and are never wrapped (test_code.py has them),
    `translate`, which needs two frameworks (test_translated.py has what it says), and `bench`,
    which prints hardly anything but figures (test_bench.py).
    """
    shown = {words[0] for words in COMMANDS.values()}
    assert {command.name for command in app.registered_commands} - shown == {
        "bench",
        "code",
        "translate",
    }


COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
#: Figures that another machine or version of a library gives otherwise, and what stands for them.
MEASURED = (
    (re.compile(r"\d\.\de-\d\d"), "0.0e-00"),
    (re.compile(r"[\d,.]+(?= images/s)"), "0.0"),
    (re.compile(r"(?<=Images/s: )[\d.]+"), "0.0"),
    (re.compile(r"(?<=^ numpy )[ \d.–]+$", re.M), "(figures)"),  # a race's standing
    (re.compile(r"\bloss \d\.\d+"), "loss 0.0000"),
    (re.compile(r"\b0\.\d{3,4}\b"), "0.000"),
    (re.compile(r"\d+\.\d\d %"), "00.00 %"),
    (re.compile(r"\d\.\d\d(?=\s+(?:of|times)\s+its\s+limit)"), "0.00"),
    (re.compile(r"\b(numpy|example)(\s)\d+\.[\d.]*\d"), r"\1\g<2>0.0"),
    (re.compile(r"(?<=^ numpy {7})\d[\d.]+$", re.M), "(version)"),
    (re.compile(r"\bexample \d+\.[\d.]+\d"), "example 0.0.0"),
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Weights of three classes, two pictures, and a set to train on."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("prepared")
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    images = (rng.integers(0, 100, (40, 1, 8, 8)) + 140 * labels[:, None, None, None]).astype(
        np.uint8
    )
    half = Split(images[:10], labels[:10])
    data = DataSet("shades", "two shades", ("dark", "bright"), Split(images, labels), half)
    save_data(folder / "data", data)
    network = get_network("googlenet", num_classes=3, input_shape=(1, 32, 32))
    names = json.dumps(["a", "an entry with a long name, as ImageNet's classes have it", "c"])
    save_params(folder / "w.safetensors", network, init_params(network), extra={"classes": names})
    for name, value in (("one", 40), ("two", 200)):
        Image.fromarray(np.full((9, 7), value, np.uint8)).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def place(prepared, tmp_path):
    """A folder of a command's own, with everything prepared."""
    for path in prepared.iterdir():
        (tmp_path / path.name).symlink_to(path)
    return tmp_path


def run(arguments, place, columns=None, *, errors=False, **environment):
    """What a command prints, on a terminal of so many columns or into a pipe; with `errors` its
    standard error, too.
    """
    base = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    settings = {"env": {**base, "TERM": "xterm-256color", **environment}, "cwd": place}
    if columns is None:
        done = subprocess.run(command, capture_output=True, text=True, check=True, **settings)
        return done.stdout
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs if errors else None, **settings
    )
    os.close(theirs)
    parts = []
    try:
        while part := os.read(ours, 1 << 16):
            parts.append(part)
    except OSError:  # a terminal whose other end is closed
        pass
    assert process.wait() == 0
    os.close(ours)
    return b"".join(parts).decode().replace("\r\n", "\n")


def masked(text):
    for pattern, instead in MEASURED:
        text = pattern.sub(instead, text)
    return text


def check(name, text):
    path = GOLDEN / f"{name}.txt"
    lines = [line.rstrip() for line in masked(COLOURS.sub("", text)).splitlines()]
    found = "\n".join(lines) + "\n"
    if os.environ.get("GOOGLENET_WRITE_GOLDEN"):
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", COMMANDS)
def test_in_a_pipe(name, place):
    text = run(COMMANDS[name], place)
    assert not COLOURS.search(text)
    check(f"{name}.pipe", text)


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("name", COMMANDS)
def test_in_a_terminal(name, columns, place):
    text = run(COMMANDS[name], place, columns)
    plain = COLOURS.sub("", text)
    assert "…" not in plain.replace("[IMAGE ...]", "")
    assert not [
        line
        for line in plain.splitlines()
        if len(line.rstrip()) > columns
        and len(line.split()) > 2 + line.startswith("  ")
        and not line.startswith(("  NAME-env/bin/pip", "  torch-env/bin/pip", "  googlenet parity"))
        and not line.startswith("    " if name == "traps-code" else "\n")
    ]  # commands and code to copy stay in one line
    check(f"{name}.{columns}", text)


@pytest.mark.parametrize("name", ["list", "predict", "diff"])
def test_a_dumb_terminal_and_no_colour_have_the_same_words(name, place):
    usual = masked(COLOURS.sub("", run(COMMANDS[name], place, 80)))
    dumb = run(COMMANDS[name], place, 80, TERM="dumb")
    assert "\x1b" not in dumb
    assert masked(dumb) == usual
    grey = run(COMMANDS[name], place, 80, NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[1-7]m", grey)
    assert masked(COLOURS.sub("", grey)) == usual


@pytest.mark.parametrize("columns", WIDTHS)
def test_names_and_figures_are_whole(columns, place):
    """Everything that JSON has of the networks stands in the table as it is."""
    plain = " ".join(COLOURS.sub("", run(COMMANDS["compare"], place, columns)).split())
    for row in json.loads(run([*COMMANDS["compare"], "--json"], place))["networks"]:
        assert row["name"] in plain
        assert f"{row['parameters']:,}" in plain
        assert f"{row['convolution_parameters']:,}" in plain


def test_bars_say_what_they_count(place):
    text = run(COMMANDS["parity"], place, 100, errors=True)
    for words in ("reference", "numpy", "images", "gradient passes", "starting"):
        assert words in text
    text = run([*COMMANDS["train"][:-1], "another"], place, 100, errors=True)
    for words in ("training", "testing", "images/s"):
        assert words in text


def test_an_encoding_without_our_signs_does_not_end_a_command(place):
    text = run(COMMANDS["diff"], place, PYTHONIOENCODING="ascii")
    assert "torchvision:googlenet" in text
