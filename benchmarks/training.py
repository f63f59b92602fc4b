"""A step of `trainer` to a step of the book's loop in the same framework: `python
benchmarks/training.py torch`.

Each side has a process of its own, which waits while the other works: ours with the threads that
`googlenet train` takes, the book's with what the framework takes by itself. Both take the same
steps on the same images, in turn, so many a round; the median ratio of their times and both peaks
of memory are printed. All is done with so many fresh pairs of processes, since what memory is left
in pieces differs from start to start. Checks that both sides have the same losses, and nothing
else.
"""

import argparse
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RATE = 0.01


def worker(side, framework, batch, steps, results):
    if side == "ours":
        from googlenet.backend.threads import prepare_process

        prepare_process(None)
    import numpy as np

    import googlenet

    network = googlenet.get_network()
    params = googlenet.init_params(network, initializer="he_normal")
    rng = np.random.default_rng(0)
    images, labels = rng.random((batch, 1, 96, 96), dtype=np.float32), rng.integers(0, 10, batch)
    if side == "ours":
        from googlenet.backend.threads import use_threads
        from googlenet.training import Recipe

        backend = googlenet.get_backend(framework)
        use_threads(backend)
        trainer = backend.trainer(backend.build(network, params), Recipe(learning_rate=RATE))

        def step():
            return trainer.step(images, labels, learning_rate=RATE, seed=0)[0]

    else:
        by_hand = importlib.import_module(f"handwritten_{framework}")
        take = by_hand.book_step(by_hand.build(params), RATE)

        def step():
            return take(images, labels)

    for _ in sys.stdin:
        start = time.perf_counter()
        losses = [step() for _ in range(steps)]
        answer = {"seconds": (time.perf_counter() - start) / steps, "losses": losses}
        answer["peak_memory_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        with results.open("a") as file:
            file.write(json.dumps(answer) + "\n")
    os._exit(0)  # some frameworks crash while they unload


class Side:
    def __init__(self, name, arguments, folder):
        self.results = folder / name
        self.results.touch()
        command = [
            sys.executable,
            __file__,
            arguments.framework,
            "--worker",
            name,
            "--results",
            str(self.results),
        ]
        command += ["--batch", str(arguments.batch), "--steps", str(arguments.steps)]
        self.log = (folder / f"{name}.log").open("wb")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=self.log, stderr=self.log
        )
        self.rounds = []

    def round(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        while len(lines := self.results.read_text().splitlines()) <= len(self.rounds):
            if self.process.poll() is not None:
                sys.exit(
                    f"{self.results.name}: ended with {self.process.returncode}:"
                    f" {Path(self.log.name).read_text()[-2000:]}"
                )
            time.sleep(0.02)
        self.rounds.append(json.loads(lines[-1]))

    def end(self):
        self.process.stdin.close()
        self.process.wait(60)


def one_start(arguments):
    """The rounds of both sides, each in a fresh process."""
    with tempfile.TemporaryDirectory() as name:
        sides = ours, book = [Side(side, arguments, Path(name)) for side in ("ours", "book")]
        for number in range(arguments.rounds + 1):
            for side in sides[:: 1 if number % 2 else -1]:
                side.round()
        for side in sides:
            side.end()
    gaps = [
        abs(a - b) / b
        for a, b in zip(ours.rounds[0]["losses"], book.rounds[0]["losses"], strict=True)
    ]
    if max(gaps) > 1e-3:
        sys.exit(f"the losses differ by {max(gaps):.1e}: the two sides do not do the same thing")
    return {"ours": ours.rounds, "book": book.rounds}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("framework")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=2, help="steps per round")
    parser.add_argument("--rounds", type=int, default=2, help="rounds per start, after a warm-up")
    parser.add_argument("--starts", type=int, default=5, help="number of process pairs")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--results", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(
            arguments.worker,
            arguments.framework,
            arguments.batch,
            arguments.steps,
            arguments.results,
        )
    measured = {"ours": [], "book": []}
    for _ in range(arguments.starts):
        for side, rounds in one_start(arguments).items():
            measured[side].append(rounds)
    after_warming_up = {
        side: [found for rounds in starts for found in rounds[1:]]
        for side, starts in measured.items()
    }
    seconds = {
        side: [found["seconds"] for found in rounds] for side, rounds in after_warming_up.items()
    }
    ratios = [theirs / mine for mine, theirs in zip(seconds["ours"], seconds["book"], strict=True)]
    memory = {
        side: [rounds[-1]["peak_memory_bytes"] for rounds in starts]
        for side, starts in measured.items()
    }
    answer = {
        "framework": arguments.framework,
        "batch": arguments.batch,
        "examples_per_second": {
            side: round(arguments.batch / statistics.median(taken), 1)
            for side, taken in seconds.items()
        },
        "throughput_ratio": round(statistics.median(ratios), 3),
        "throughput_ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
        "peak_memory_bytes": {side: statistics.median(peaks) for side, peaks in memory.items()},
        "peak_memory_bytes_range": {
            side: [min(peaks), max(peaks)] for side, peaks in memory.items()
        },
    }
    if arguments.json:
        print(json.dumps(answer, indent=2))
        return
    speed, (low, high) = answer["examples_per_second"], answer["throughput_ratio_range"]
    mebibytes = {
        side: [peak / 2**20 for peak in (statistics.median(peaks), min(peaks), max(peaks))]
        for side, peaks in memory.items()
    }
    print(
        f"{arguments.framework}, batch {arguments.batch}: {speed['ours']} to {speed['book']}"
        f" examples/s, ratio {answer['throughput_ratio']} ({low} to {high}); peak memory "
        + " to ".join("{:.0f} ({:.0f} to {:.0f})".format(*peaks) for peaks in mebibytes.values())
        + " MiB"
    )


if __name__ == "__main__":
    main()
