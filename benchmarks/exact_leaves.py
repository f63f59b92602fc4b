"""Looks for faults of a framework with the exact draws: `python benchmarks/exact_leaves.py torch
--seconds 120 --seed 0`.

Draws single layers, one after another: their kind, kernel, stride, padding, groups, channels and
the size of their input. Each stands behind a convolution with ReLU, with weights and images on
which float32 rounds nothing, and every bit of its outputs, gradients and training steps is
compared. What differs, raises or kills the process is printed with the whole layer, the first value
that differs, and whether the derived limits call it different, too. `--only N` runs the leaf with
this number again.

The layers run in a process of their own, which is started again behind a leaf that killed it.
Differences are what is looked for: the exit status is 0 whatever turns up.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

import googlenet
from googlenet.arrays import uniform
from googlenet.backend.discovery import framework_version
from googlenet.backend.protocols import Backend
from googlenet.errors import GoogLeNetError, SpecError
from googlenet.proof.exact.compare import Difference, compare_exact
from googlenet.proof.exact.problem import draw_problem
from googlenet.proof.parity.compare import compare, measure
from googlenet.proof.parity.problem import Problem
from googlenet.spec.blocks import batch_norm, conv, conv_layer, residual, sequential
from googlenet.spec.layers import (
    SAME,
    AdaptiveAvgPool,
    AvgPool,
    Conv,
    Dense,
    GlobalAvgPool,
    Layer,
    LocalResponseNorm,
    MaxPool,
    Network,
    Padding,
    ReLU,
)
from googlenet.spec.params import param_specs

#: A power of two, so that local response normalisation is exact, too.
CLASSES = 4
LARGEST_SIZE, MOST_CHANNELS, LARGEST_KERNEL, LARGEST_STRIDE = 40, 65, 7, 3

#: A leaf that takes longer than this, in seconds, hangs.
PATIENCE = 60

#: What begins a line of the process that runs the layers, among whatever else is printed there.
MARK = "leaf: "

#: What comes of a leaf. The last three are findings.
SAME_BITS, UNDRAWN, UNFIT = "same bits", "not drawn", "not asked for equal bits"
DIFFERENT, RAISED, KILLED = "different", "raised", "killed the process"
FINDINGS = (DIFFERENT, RAISED, KILLED)


class Dice:
    """Random choices for one leaf, the same on every machine."""

    def __init__(self, seed: int, number: int) -> None:
        self._draw = uniform(seed, f"leaf {number}")

    def among(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        return low + int(self._draw(1)[0] * (high - low + 1))

    def size(self, high: int) -> int:
        """A whole number from 1 to `high`, small ones more often."""
        return min(high, int((high + 1) ** float(self._draw(1)[0])))

    def one(self, *values: Any) -> Any:
        """One of `values`."""
        return values[self.among(0, len(values) - 1)]


def _pair(dice: Dice, high: int) -> tuple[int, int]:
    first = dice.among(1, high)
    return (first, first) if dice.one(True, False) else (first, dice.among(1, high))


def _padding(dice: Dice, kernel: tuple[int, int], share: float) -> Padding:
    """None, SAME, alike on all sides, or another on each."""
    kind = dice.one("none", "same", "symmetric", "asymmetric", "asymmetric")
    if kind == "same":
        return SAME
    rows, columns = (0 if kind == "none" else int(size * share) for size in kernel)
    if kind == "symmetric":
        top, left = dice.among(0, rows), dice.among(0, columns)
        return (top, top), (left, left)
    top, bottom = dice.among(0, rows), dice.among(0, rows)
    return (top, bottom), (dice.among(0, columns), dice.among(0, columns))


def _conv(dice: Dice, channels: int) -> Layer:
    kernel = _pair(dice, LARGEST_KERNEL)
    groups = dice.one(1, 1, *(n for n in range(1, channels + 1) if channels % n == 0))
    out = groups * dice.among(1, max(1, MOST_CHANNELS // groups))
    stride, padding = _pair(dice, LARGEST_STRIDE), _padding(dice, kernel, 1.0)
    return Conv(out, kernel, stride, padding, groups, dice.one(True, False))


def _max_pool(dice: Dice, channels: int) -> Layer:
    kernel = _pair(dice, LARGEST_KERNEL)
    stride, padding = _pair(dice, LARGEST_STRIDE + 1), _padding(dice, kernel, 0.5)
    return MaxPool(kernel, stride, padding, padding != SAME and dice.one(True, False))


def _avg_pool(dice: Dice, channels: int) -> Layer:
    kernel = _pair(dice, LARGEST_KERNEL)
    stride, padding = _pair(dice, LARGEST_STRIDE + 1), _padding(dice, kernel, 0.5)
    return AvgPool(
        kernel,
        stride,
        padding,
        padding != SAME and dice.one(True, False),
        padding == SAME or dice.one(True, False),
    )


def _residual(dice: Dice, channels: int) -> Layer:
    size, stride, scale = dice.one(1, 3, 5), dice.among(1, 2), dice.one(1, 1, 0.5, 0.3, 0.2, 0.17)
    if stride == 1 and dice.one(True, False):
        return residual(conv_layer(channels, size, 1, size // 2), scale=scale)
    out = dice.among(1, MOST_CHANNELS)
    body = conv(out, size, stride, size // 2)
    return residual(body, conv_layer(out, 1, stride), scale=scale)


#: How each kind of leaf is drawn for so many channels; some come more than once.
KINDS: dict[str, tuple[int, Callable[[Dice, int], Layer]]] = {
    "convolution": (5, _conv),
    "maximum": (4, _max_pool),
    "average": (4, _avg_pool),
    "adaptive average": (
        1,
        lambda dice, channels: AdaptiveAvgPool((dice.among(1, 7), dice.among(1, 7))),
    ),
    "global average": (1, lambda dice, channels: GlobalAvgPool()),
    "dense": (2, lambda dice, channels: Dense(dice.among(1, MOST_CHANNELS), bias=True)),
    "local response norm": (
        1,
        lambda dice, channels: LocalResponseNorm(2 * dice.among(0, 5) + 1, 1e-4, 0.75, 1.0),
    ),
    "batch norm": (
        2,
        lambda dice, channels: batch_norm(
            dice.one(1e-3, 1e-5), 0.1, scale=dice.one(True, True, False)
        ),
    ),
    "ReLU": (1, lambda dice, channels: ReLU()),
    "residual sum": (2, _residual),
}


def leaf(seed: int, number: int) -> tuple[str, Network]:
    """The kind of the leaf with this number, and the network around it."""
    dice = Dice(seed, number)
    kind = dice.one(*(name for name, (often, _) in KINDS.items() for _ in range(often)))
    while True:
        channels = dice.size(MOST_CHANNELS)
        shape = (dice.among(1, 5), dice.size(LARGEST_SIZE), dice.size(LARGEST_SIZE))
        layers = sequential(
            before=conv(channels, 1),
            layer=KINDS[kind][1](dice, channels),
            relu=ReLU(),
            after=Dense(CLASSES, bias=True),
        )
        network = Network(f"leaf-{number}", layers, shape, "benchmarks/exact_leaves.py")
        try:
            param_specs(network)
        except GoogLeNetError:  # the input is too small for the layer
            continue
        return kind, network


def described(network: Network) -> dict[str, Any]:
    """The leaf, in words that build it again."""
    before, layer = network.layers.children[0][1], network.layers.children[1][1]
    channels = before.children[0][1].out_channels
    return {"layer": repr(layer), "input": [channels, *network.input_shape[1:]]}


def judged(backend: Backend, problem: Problem) -> dict[str, Any]:
    """What the derived limits say, and the first row that they call different."""
    found = compare(backend, problem, measure(problem))
    first = next((row for row in found.rows if not row.passed), None)
    return {
        "limits": "the same" if found.passed else "different",
        "limits_first": None if first is None else first.to_json(),
    }


def examine(backend: Backend, network: Network) -> dict[str, Any]:
    """What comes of one leaf in a framework."""
    try:
        exact = draw_problem(network)
    except SpecError:
        return {"what": UNDRAWN}
    try:
        found = compare_exact(backend, exact)
        if found.unfit is not None:
            limits = judged(backend, exact.problem)
            what = UNFIT if limits["limits"] == "the same" else DIFFERENT
            return {"what": what, "reason": found.unfit, **limits}
        answer = {"what": SAME_BITS, "values": found.count}
        if not found.passed:
            first = found.first
            answer |= {
                "what": DIFFERENT,
                "differing": dict(found.differing),
                "first_difference": None if first is None else first.to_json(),
                "units_in_the_last_place": None if first is None else _units(first),
                **judged(backend, exact.problem),
            }
        return answer
    except Exception as error:  # whatever a framework raises is a finding
        return {"what": RAISED, "error": f"{type(error).__name__}: {error}"[:600]}


def _units(first: Difference) -> float | None:
    """How far the first difference is, in units in the last place."""
    apart = abs(first.actual - first.expected)
    units = float(apart / np.spacing(np.float32(abs(first.expected))))
    return units if np.isfinite(units) else None


def untrained(backend: Backend) -> Any:
    """`backend` without its trainer."""
    kept = ("name", "unbiased_running_variance", "build", "params_of", "forward", "gradients")
    return SimpleNamespace(**{name: getattr(backend, name) for name in kept})


def work(framework: str, seed: int, start: int, until: float, every: int) -> None:
    """Examine leaves from number `start` until the time is over, a line before and after each;
    `every` so many are trained.
    """
    backend = googlenet.get_backend(framework)
    for number in itertools.count(start):
        if time.time() >= until:
            return
        kind, network = leaf(seed, number)
        _say({"number": number, "kind": kind, **described(network)})
        _say(examine(backend if number % every == 0 else untrained(backend), network))


def _say(values: dict[str, Any]) -> None:
    print(f"\n{MARK}{json.dumps(values)}", flush=True)


def results(framework: str, seed: int, until: float, every: int) -> Iterator[dict[str, Any]]:
    """Every leaf with what came of it, from a process that is started again when one kills it."""
    start = 0
    while time.time() < until:
        command = [sys.executable, __file__, framework, "--seed", str(seed)]
        command += ["--from", str(start), "--until", repr(until), "--train-every", str(every)]
        with tempfile.TemporaryFile("w+", errors="replace") as errors:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, errors="replace"
            )
            begun: dict[str, Any] | None = None
            for values in _lines(process):
                if begun is None:
                    begun = values
                    continue
                yield {**begun, **values}
                start, begun = begun["number"] + 1, None
            code = process.wait()
            errors.seek(0)
            end = f"exit status {code}; {errors.read()[-600:].strip()}"
        if begun is not None:
            yield {**begun, "what": KILLED, "error": end}
            start = begun["number"] + 1
        elif code:
            raise SystemExit(f"{framework} cannot be run: {end}")


def _lines(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """What the process says; it is killed if it is silent for too long."""
    assert process.stdout is not None
    clock = _clock(process)
    for line in process.stdout:
        if line.startswith(MARK):
            clock.cancel()
            clock = _clock(process)
            yield json.loads(line.removeprefix(MARK))
    clock.cancel()


def _clock(process: subprocess.Popen[str]) -> threading.Timer:
    clock = threading.Timer(PATIENCE, process.kill)
    clock.daemon = True
    clock.start()
    return clock


def told(found: dict[str, Any]) -> str:
    """A finding as text."""
    place = "×".join(map(str, found["input"]))
    lines = [f"{found['what']}: leaf {found['number']}, {found['layer']} on {place}"]
    if found.get("first_difference"):
        values = ", ".join(f"{n} of {what}" for what, n in found["differing"].items() if n)
        lines.append(f"  {Difference.from_json(found['first_difference'])}")
        lines.append(
            f"  {found['units_in_the_last_place']} units in the last place; in all {values}"
        )
    if "limits" in found:
        first = found["limits_first"]
        where = "" if first is None else f": {first['name']} {first['error']} of {first['limit']}"
        lines.append(f"  derived limits: {found['limits']}{where}")
    if "error" in found:
        lines.append(f"  {found['error']}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("framework")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--train-every",
        type=int,
        default=1,
        help="train one leaf in so many: where a step is compiled, each takes seconds",
    )
    parser.add_argument("--only", type=int, help="run the leaf with this number in this process")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--from", dest="start", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.start is not None:
        work(given.framework, given.seed, given.start, given.until, given.train_every)
        return 0
    if given.only is not None:
        kind, network = leaf(given.seed, given.only)
        begun = {"number": given.only, "kind": kind, **described(network)}
        print(json.dumps(begun), file=sys.stderr, flush=True)
        found = {**begun, **examine(googlenet.get_backend(given.framework), network)}
        print(json.dumps(found, indent=2) if given.json else told(found))
        return 0
    counts, values, findings = dict[str, Counter[str]](), 0, []
    until = time.time() + given.seconds
    for found in results(given.framework, given.seed, until, given.train_every):
        counts.setdefault(found["kind"], Counter())[found["what"]] += 1
        values += found.get("values", 0)
        if found["what"] in FINDINGS:
            findings.append(found)
            if not given.json:
                print(told(found), flush=True)
    total = sum(counts.values(), Counter[str]())
    answer = {
        "framework": given.framework,
        "version": framework_version(given.framework),
        "seed": given.seed,
        "leaves": total.total(),
        "values": values,
        "counts": dict(total),
        "kinds": {kind: dict(counts[kind]) for kind in KINDS if kind in counts},
        "called_different_by_the_limits": sum(f.get("limits") == "different" for f in findings),
        "findings": findings,
    }
    if given.json:
        print(json.dumps(answer, indent=2))
        return 0
    for kind, each in answer["kinds"].items():
        print(f"{kind}: " + ", ".join(f"{n} {what}" for what, n in each.items()))
    print(
        f"{given.framework}: {total.total()} leaves, {values} values compared; "
        + ", ".join(f"{n} {what}" for what, n in total.items())
        + f"; {answer['called_different_by_the_limits']} called different by the derived limits"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
