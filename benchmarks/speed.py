"""Ratios of speed, both sides alternated in one run: `python benchmarks/speed.py torch`.

Rows: a forward pass of the native model, and of what `compile` makes of it, to one written by hand
with the same meaning; `get_model` to constructing that by hand; the NumPy reference's throughput to
that of the handwritten model in eager mode. Without a framework: what `import googlenet` costs
beyond numpy, and how long `googlenet summary` takes. Medians; nothing is asserted but that all give
the same logits.
"""

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import time

import numpy as np

import googlenet
from googlenet.proof.parity.problem import Problem
from googlenet.proof.parity.tolerance import distance, forward_yardstick, limit


def alternate(one, other, runs):
    """Median seconds of each, the two called in turn, after a warm-up of three."""
    times = ([], [])
    for run in range(runs + 3):
        # In turn, and in the opposite order every other time: being first may cost.
        for call, taken in ((one, times[0]), (other, times[1]))[:: 1 if run % 2 else -1]:
            start = time.perf_counter()
            call()
            if run >= 3:
                taken.append(time.perf_counter() - start)
    return tuple(map(statistics.median, times))


def row(what, seconds, other, **more):
    return {
        "what": what,
        "milliseconds": round(1e3 * seconds, 2),
        "other_milliseconds": round(1e3 * other, 2),
        "ratio": round(seconds / other, 3),
        **more,
    }


def framework_rows(framework, runs):
    by_hand = importlib.import_module(f"handwritten_{framework}")
    network = googlenet.get_network()
    params = googlenet.init_params(network, initializer="he_normal")
    native, written = (
        googlenet.get_model(framework=framework, weights=params),
        by_hand.build(params),
    )
    reference = googlenet.get_model(framework="numpy", weights=params)
    compiled = googlenet.get_backend(framework).compile(native, input_shape=network.input_shape)

    def forwards(batch):
        images = np.random.default_rng(0).random((batch, 1, 96, 96), dtype=np.float32)
        expected = reference(images)
        yardstick = forward_yardstick(Problem(network, params, images), chunk=8)["logits"]
        given = [by_hand.predict(model, images) for model in (native, written)]
        for found in (*given, compiled(images)["logits"]):
            if distance(found, expected.astype(np.float64)) > 2 * limit(yardstick):
                sys.exit(
                    f"{framework}: one does not give the reference's logits: there is nothing"
                    " to compare"
                )
        seconds = alternate(
            lambda: by_hand.predict(native, images), lambda: by_hand.predict(written, images), runs
        )
        yield row(f"forward, batch {batch}: native to handwritten", *seconds)
        seconds = alternate(
            lambda: compiled(images), lambda: by_hand.predict(written, images), runs
        )
        yield row(f"forward, batch {batch}: compiled to handwritten", *seconds)
        if batch == 8:
            ours, theirs = alternate(
                lambda: reference(images), lambda: by_hand.predict(written, images), runs
            )
            yield row(
                "forward, batch 8: NumPy reference to handwritten",
                ours,
                theirs,
                throughput_ratio=round(theirs / ours, 3),
            )

    rows = [*forwards(1), *forwards(8), *forwards(32)]
    seconds = alternate(
        lambda: googlenet.get_model(framework=framework), by_hand.construct, max(runs // 3, 5)
    )
    rows.append(row("get_model to constructing by hand", *seconds))
    return rows


def command_rows(runs):
    def python(*arguments):
        return lambda: subprocess.run(
            [sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL
        )

    ours, numpy = alternate(python("-c", "import googlenet"), python("-c", "import numpy"), runs)
    summary, empty = alternate(python("-m", "googlenet", "summary"), python("-c", "pass"), runs)
    return [
        row(
            "import googlenet to import numpy",
            ours,
            numpy,
            beyond_milliseconds=round(1e3 * (ours - numpy), 1),
        ),
        row("googlenet summary to an empty process", summary, empty),
    ]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "framework", nargs="?", help="if none is given, import and command are measured"
    )
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = (
        framework_rows(arguments.framework, arguments.runs)
        if arguments.framework
        else command_rows(arguments.runs)
    )
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    for each in rows:
        extra = "".join(
            f", {key.replace('_', ' ')} {value}" for key, value in list(each.items())[4:]
        )
        print(
            f"{each['what']}: {each['milliseconds']} ms to {each['other_milliseconds']} ms, ratio"
            f" {each['ratio']}{extra}"
        )


if __name__ == "__main__":
    main()
