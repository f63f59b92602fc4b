"""A run that is killed at random moments, and resumes each time, against one that is not: `python
benchmarks/killed.py torch --kills 10`.

Both train `googlenet_bn` on digits with the same settings through `googlenet train`; one is ended
by SIGKILL some time after a step, again and again, and resumes with `--resume`. Exits with 1 unless
weights and log, but for measured times, are the same bit for bit.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def command(arguments, folder):
    settings = [
        "--size",
        "32",
        "--batch-size",
        "64",
        "--epochs",
        str(arguments.epochs),
        "--momentum",
        "0.9",
        "--learning-rate",
        "0.02",
    ]
    kept = [
        "--checkpoint-minutes",
        "0.02",
        "--framework",
        arguments.framework,
        "--out",
        str(folder),
        "--resume",
    ]
    return [sys.executable, "-m", "googlenet", "train", arguments.network, *settings, *kept]


def events(folder):
    log = folder / "log.jsonl"
    lines = (
        [line for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
        if log.exists()
        else []
    )
    return [json.loads(line) for line in lines]


def result(folder):
    """What must be the same: the weights' bytes, and the log without what a clock measured."""
    timeless = [
        {
            key: value
            for key, value in event.items()
            if key not in ("seconds", "examples_per_second")
        }
        for event in events(folder)
    ]
    return (folder / "weights.safetensors").read_bytes(), timeless


def taken(folder):
    """How many steps the log has."""
    return sum(event["event"] == "step" for event in events(folder))


def killed(arguments, folder, chance):
    """Start the run, and kill it once it has taken some steps of its own; whether it was killed,
    and its step then.
    """
    steps, delay = chance.randint(1, arguments.most), chance.uniform(0.0, 0.2)
    log = folder / "log.jsonl"
    with (folder.parent / "printed.log").open("ab") as printed:
        before = log.stat().st_mtime_ns if log.exists() else 0
        process = subprocess.Popen(
            command(arguments, folder), stdout=printed, stderr=printed, start_new_session=True
        )
        goal = None
        while process.poll() is None:
            if goal is None and log.exists() and log.stat().st_mtime_ns != before:
                goal = taken(folder) + steps
            if goal is not None and taken(folder) >= goal:
                time.sleep(delay)
                os.killpg(process.pid, signal.SIGKILL)
                break
            time.sleep(0.005)
        process.wait()
        if process.returncode not in (0, -signal.SIGKILL):
            sys.exit((folder.parent / "printed.log").read_text()[-2000:])
    return process.returncode != 0, taken(folder)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("framework")
    parser.add_argument("--network", default="googlenet_bn")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument(
        "--most",
        type=int,
        default=8,
        help="largest number of steps before a kill; up to 0.2 s are added",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed for the moments of the kills")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        whole, cut = Path(name) / "whole", Path(name) / "cut"
        subprocess.run(command(arguments, whole), check=True, stdout=subprocess.DEVNULL)
        moments = []
        while len(moments) < arguments.kills:
            was_killed, step = killed(arguments, cut, chance)
            if not was_killed:
                sys.exit(
                    f"the run ended after {len(moments)} kills; give more --epochs, or a smaller"
                    " --most"
                )
            moments.append(step)
        subprocess.run(command(arguments, cut), check=True, stdout=subprocess.DEVNULL)
        (weights, log), (other, other_log) = result(whole), result(cut)
    same = weights == other and log == other_log
    verdict = "the same, bit for bit" if same else "NOT the same"
    print(
        f"{arguments.framework}: killed {len(moments)} times, after steps {moments}; weights and"
        f" log are {verdict}"
    )
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
