"""Odd command lines: every command with odd values for every option and argument, drawn from a
seed, each run in a process of its own.

`python -m tests.fuzz.command_lines --count 2000 --seed 7` tries more of them than CI does.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

#: Seconds and bytes of memory that a command line may take.
SECONDS, MEMORY = 60, 4 * 2**30
#: A command that takes more seconds is shown.
SLOW = 5.0
LONG, LONG_NAME = "x/" * 2500 + "x", "n" * 300

#: A number that is large, but not too large: for `WORK` it would mean years of it.
ACCEPTED, WORK = "1000000000", ("epochs",)
INTEGERS = ("-1", "0", "1", "3", ACCEPTED, "2147483648", "9223372036854775808", "1" + "0" * 30)
INTEGERS += ("1" * 5000, "0x10", "1_0", " 7 ", "٣", "+2", "1e3", "", "nan", "1.5", "-0")
NUMBERS = ("-1", "0", "1e-50", "1e39", "1e300", "-1e300", "nan", "inf", "-inf", "1e999", "0.5")
NUMBERS += ("1" * 5000, "1_0", "", "0x1p3", "½", "1,5", "1e-320")
SIZES = ("0", "1", "60000", "65536x65536", "8", "8x32", "1" * 5000, "-8", "8x", "٣٢", "8×8", "1e3")
SIZES += ("65537", "", "8x8x8", "9999x1", "1x9999")
NAMES = ("", " ", "..", "/", "a\nb", "\x1b[31mred", "[/b]", "[b]x", "‮txt", "é" * 300, "x" * 9000)
NAMES += (
    "\udcff",
    "googlenet\t",
    "NaN",
    "--",
    "-",
    "numpy",
    "meta",
    "cuda:99",
    "torch:",
    ":",
    "$x_",
)
PATHS = (*NAMES, LONG, LONG_NAME, LONG_NAME + "/x", "/dev/zero", "/dev/null", "/dev/full", "pipe")
PATHS += ("socket", "loop", "folder", "folder/", "folder/no/file.npy", "empty", "latin1", "text/x")
PATHS += (
    "bad\udcff.png",
    "weights.safetensors",
    "data",
    "/proc/self/mem",
    "/dev/stdin",
    "~",
    "w\n.npy",
)
#: What else a value of these options may be.
ENDINGS = (".safetensors", ".npy", ".npz", ".png", ".svg", ".pt", ".py:net", ".json", ".md", "")
PATH_OPTIONS = {"images", "weights", "npy", "out", "picture", "source", "target", "classes", "data"}
PATH_OPTIONS |= {"data_dir", "page", "model"}
PAIRS = {"python": "numpy={}", "devices": "numpy={}"}

#: A line of each command that would run, and quickly; what is drawn comes after it.
SMALL = ["--data", "data", "--size", "8", "--framework", "numpy", "--epochs", "1"]
SMALL += ["--batch-size", "4"]
LINES: dict[str, list[str]] = {
    "list": [],
    "summary": [],
    "code": ["--framework", "numpy"],
    "draw": ["--block", "inception_3a"],
    "parity": ["--framework", "numpy", "--size", "8", "--count", "1", "--no-gradients"],
    "compare": [],
    "diff": ["--size", "8", "--count", "1"],
    "min-size": [],
    "convert": [],
    "predict": [],
    "train": SMALL,
    "race": SMALL,
    "traps": ["--framework", "numpy"],
    "check": [],
    "translate": ["--to", "numpy", "--out", "made"],
    "bench": ["--framework", "numpy", "--batch", "1", "--size", "8", "--form", "native"],
}
#: Arguments that the line needs, by the parameter that gives them.
NEEDED = {
    "diff": {"first": "googlenet", "second": "googlenet"},
    "convert": {"source": "weights.safetensors", "target": "new.safetensors"},
    "predict": {"images": "one.png", "weights": "weights.safetensors"},
    "check": {"model": "mynet.py:net"},
    "translate": {"model": "mynet.py:net"},
}


@dataclass(frozen=True)
class Outcome:
    """What became of a command line; `fault` says what is wrong with that, or is empty."""

    words: list[str]
    status: int
    seconds: float
    output: str
    errors: str
    fault: str


def commands() -> dict[str, list[Any]]:
    """The parameters of every command, as the command line itself has them."""
    import typer

    from googlenet.cli import app

    group: Any = typer.main.get_command(app)
    return {name: list(command.params) for name, command in group.commands.items()}


def value_of(draw: random.Random, param: Any) -> str:
    """An odd value for `param`."""
    annotation = getattr(getattr(param, "type_descriptor", None), "annotation", str)
    kinds = {annotation, *get_args(annotation)}
    if param.name in PAIRS:
        return draw.choice((draw.choice(PATHS), PAIRS[param.name].format(draw.choice(PATHS))))
    if int in kinds:
        chosen = draw.choice(INTEGERS)
        return "1" if param.name in WORK and chosen == ACCEPTED else chosen
    if float in kinds:
        return draw.choice(NUMBERS)
    if param.name == "size":
        return draw.choice(SIZES)
    if param.name in PATH_OPTIONS:
        return draw.choice(PATHS) + draw.choice((*[""] * len(ENDINGS), *ENDINGS))
    return draw.choice((*NAMES, LONG))


def line(draw: random.Random, name: str, params: list[Any], chosen: Any) -> list[str]:
    """The words of a command line that gives `chosen`, and sometimes one more, an odd value."""
    odd = {chosen.name: chosen}
    if draw.random() < 0.3:
        other = draw.choice(params)
        odd[other.name] = other
    words = [name, *LINES[name]]
    arguments = []
    for param in params:
        value = None
        if param.name in odd and not getattr(param, "is_flag", False):
            value = value_of(draw, param)
        elif param.name in NEEDED.get(name, {}):
            value = NEEDED[name][param.name]
        if param.name in odd and getattr(param, "is_flag", False):
            words.append(draw.choice([*param.opts, *param.secondary_opts]))
        elif value is not None and param.param_type_name == "argument":
            arguments.append(value)
        elif value is not None:
            words += [max(param.opts, key=len), value]
    if any(argument.startswith("-") for argument in arguments):
        words.append("--")
    return [word.replace("\0", "") for word in (*words, *arguments)]


def lines(seed: int, count: int | None = None) -> list[list[str]]:
    """`count` command lines drawn from `seed`; by default one for every parameter."""
    draw = random.Random(seed)
    every = [(name, ps, each) for name, ps in commands().items() for each in ps]
    draw.shuffle(every)
    wanted = len(every) if count is None else count
    return [line(draw, *every[index % len(every)]) for index in range(wanted)]


def furnish(folder: Path) -> None:
    """Things in `folder` that paths name: a pipe, a socket, a link to itself, and real files."""
    import socket

    import numpy as np
    from PIL import Image

    from googlenet import get_network, init_params, save_params
    from googlenet.data.dataset import DataSet, Split
    from googlenet.data.prepared import save_data

    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(folder / "socket"))
    (folder / "loop").symlink_to("loop")
    (folder / "folder").mkdir()
    (folder / "empty").touch()
    (folder / "latin1").write_bytes(b"caf\xe9\n")
    (folder / "text").write_text("text\n")
    Image.new("L", (9, 7)).save(folder / "one.png")
    shutil.copy(folder / "one.png", folder / "bad\udcff.png")
    (folder / "mynet.py").write_text("net = 3\n")
    network = get_network("vgg11_small", num_classes=3, input_shape=(1, 32, 32))
    save_params(folder / "weights.safetensors", network, init_params(network))
    half = Split(np.zeros((4, 1, 8, 8), np.uint8), np.arange(4) % 2)
    save_data(folder / "data", DataSet("shades", "two", ("a", "b"), half, half))


def run(words: list[str], template: Path) -> Outcome:
    """The command in a child process, in a copy of the folder `template`."""
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name, "place")
        place.mkdir()
        for each in template.iterdir():
            (place / each.name).symlink_to(each)
        output, errors = Path(name, "output"), Path(name, "errors")
        begun = time.monotonic()
        child = os.fork()
        if not child:
            _child(words, place, output, errors)
        status = _wait(child, begun + SECONDS)
        taken = time.monotonic() - begun
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        told = [each.read_text("utf-8", "surrogateescape") for each in (output, errors)]
        return Outcome(words, status, taken, *told, _fault(status, *told))


def _wait(child: int, until: float) -> int:
    """Its exit status; 1000 if it had not ended by then, and was killed."""
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 1000


def _child(words: list[str], place: Path, output: Path, errors: Path) -> None:
    """Be the command, and end."""
    code = 99
    try:
        os.setsid()
        os.chdir(place)
        for number, path in ((0, Path(os.devnull)), (1, output), (2, errors)):
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
        sys.stdin, sys.stdout = open(0), open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.environ["GOOGLENET_CACHE_DIR"] = str(place / "cache")
        os.environ["http_proxy"] = os.environ["https_proxy"] = "http://127.0.0.1:9"
        sys.argv = ["googlenet", *words]
        from googlenet.cli import main

        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _fault(status: int, output: str, errors: str) -> str:
    """What is wrong with how a command ended, or nothing."""
    if status == 1000:
        return "hung"
    if status not in (0, 1, 2):
        return f"ended with status {status}"
    if "Traceback" in output + errors:
        return "a traceback"
    if any(not (c.isprintable() or c == "\n") for c in output + errors):
        return "a character that a terminal would act on"
    said = [each for each in errors.splitlines() if each.startswith("googlenet: ")]
    if status == 2 and (not said or said[-1] != errors.rstrip("\n").split("\n")[-1]):
        return "the last line does not say what is wrong"
    return ""


def main() -> int:
    """Try as many as the arguments say; 1 if one ended as none may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    count = faults = 0
    longest = 0.0
    for each in tried(given.seed, given.count):
        count, faults = count + 1, faults + bool(each.fault)
        longest = max(longest, each.seconds)
        if each.fault or each.seconds > SLOW:
            what = each.fault or f"took {each.seconds:.1f} s"
            print(json.dumps([word[:80] for word in each.words]), each.status, what)
        if each.fault:
            print(f"{each.output[-300:]}\n{each.errors[-1500:]}", flush=True)
    print(f"{count} command lines, {faults} at fault; the longest took {longest:.1f} s")
    return bool(faults)


def tried(seed: int, count: int | None = None) -> Iterator[Outcome]:
    """The outcomes of `lines`, one after another."""
    with tempfile.TemporaryDirectory() as name:
        furnish(Path(name))
        for words in lines(seed, count):
            yield run(words, Path(name))


if __name__ == "__main__":
    sys.exit(main())
