"""Runs that are killed at random moments, and resume each time, against one that is not: `python
benchmarks/killed.py torch --kills 10`, with `--way two` in two processes of the framework's own
launcher, with `--way race` as a race of two seeds.

Both train on digits with the same settings through the command; one is ended by SIGKILL some time
after a step, again and again, and resumes. Of a race, at times everything is killed, as by a power
cut, and at times only the race itself, whose worker must end by itself. Exits with 1 unless weights
and logs, but for measured times, are the same bit for bit, and nothing is left: no process, no
temporary folder, no lock.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path

from launchers import LAUNCHERS

#: What all that is started has in its environment, so that what is left of it is found.
MARK = "GOOGLENET_KILLED"
#: The number of seconds in which what was orphaned must have ended, and a run must have gone on.
PATIENCE, LONGEST = 75, 600
#: What a clock measured.
TIMED = ("seconds", "examples_per_second")


class Trial:
    """One run in a folder, started again and again."""

    def __init__(self, arguments, folder, data):
        self.way, self.framework, self.folder = arguments.way, arguments.framework, folder
        self.mark = f"{MARK}={uuid.uuid4().hex}"
        self.temporary = folder.parent / f"{folder.name}-temporary"
        self.temporary.mkdir()
        self.printed = folder.parent / f"{folder.name}-printed.log"
        settings = ["--data", str(data), "--size", str(arguments.size), "--momentum", "0.9"]
        settings += ["--batch-size", str(arguments.batch_size), "--epochs", str(arguments.epochs)]
        settings += ["--learning-rate", "0.02", "--framework", self.framework, "--out", str(folder)]
        self.arguments = ["race" if self.way == "race" else "train", arguments.network, *settings]
        if self.way == "race":
            self.arguments += ["--seeds", "2"]
        else:
            self.arguments += ["--checkpoint-minutes", "0.02", "--resume"]
        if self.way == "two":
            self.arguments += ["--parallel"]

    def start(self):
        """All processes of the run."""
        parts = [([sys.executable, "-m", "googlenet", *self.arguments], {})]
        if self.way == "two":
            parts = LAUNCHERS[self.framework](self.arguments, self.temporary)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        name, _, value = self.mark.partition("=")
        common = {**os.environ, "PATH": path, "TMPDIR": str(self.temporary), name: value}
        with self.printed.open("ab") as printed:
            return [
                subprocess.Popen(
                    command,
                    env={**common, **more},
                    stdin=subprocess.DEVNULL,
                    stdout=printed,
                    stderr=printed,
                    start_new_session=True,
                    cwd=self.folder.parent,
                )
                for command, more in parts
            ]

    def finish(self):
        """Run to the end."""
        processes = self.start()
        # Servers of a launcher may wait for ever.
        trains = [each for each in processes if "train" in each.args or "race" in each.args]
        codes = [process.wait(LONGEST) for process in trains]
        time.sleep(0.5)
        if self.way == "two":
            self.kill_all()
        for process in processes:
            process.wait()
        if any(codes):
            self.fail(f"exited with {codes}")

    def killed(self, chance, most):
        """Start the run, and kill it once it has taken some steps of its own; whether it was
        killed, and its step then.
        """
        steps, delay = chance.randint(1, most), chance.uniform(0.0, 0.2)
        gently = self.way == "race" and chance.random() < 0.5
        before = self.changed()
        processes = self.start()
        goal, end = None, time.monotonic() + LONGEST
        while any(process.poll() is None for process in processes):
            if goal is None and self.changed() != before:
                goal = self.taken() + steps
            if goal is not None and self.taken() >= goal:
                time.sleep(delay)
                if gently:
                    processes[0].kill()
                    processes[0].wait()
                    self.wait_for_orphans()
                self.kill_all()
                break
            if any(process.poll() not in (None, 0) for process in processes):
                self.fail("a process failed")
            if time.monotonic() > end:
                self.fail("took no step")
            time.sleep(0.005)
        codes = [process.wait() for process in processes]
        return any(code == -signal.SIGKILL for code in codes), self.taken()

    def fail(self, why):
        self.kill_all()
        sys.exit(f"{why}: {self.printed.read_text(errors='replace')[-3000:]}")

    def processes(self):
        """The numbers of all that are left of it."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (process / "environ").read_bytes().split(b"\0"):
                    state = (process / "stat").read_text().rpartition(")")[2].split()[0]
                    found += [] if state == "Z" else [int(process.name)]
            except OSError:  # it has ended, or is another user's
                pass
        return found

    def kill_all(self):
        while found := self.processes():
            for process in found:
                with suppress(OSError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.02)

    def wait_for_orphans(self):
        end = time.monotonic() + PATIENCE
        while found := self.processes():
            if time.monotonic() > end:
                self.fail(f"processes {found} outlived the one that started them")
            time.sleep(0.05)

    def runs(self):
        """The folders of its runs: of a race, one for each seed."""
        logs = (self.folder / "log.jsonl", *self.folder.glob("*-seed*/log.jsonl"))
        return sorted(path.parent for path in logs if path.exists())

    def changed(self):
        return [(path / "log.jsonl").stat().st_mtime_ns for path in self.runs()]

    def events(self, run):
        lines = (run / "log.jsonl").read_bytes().split(b"\n")[:-1]
        return [json.loads(line) for line in lines]

    def taken(self):
        """How many steps the logs have."""
        return sum(event["event"] == "step" for run in self.runs() for event in self.events(run))

    def result(self):
        """What must be the same: the weights' bytes, and the logs without what a clock measured."""
        return {
            run.relative_to(self.folder): (
                (run / "weights.safetensors").read_bytes(),
                [
                    {key: value for key, value in event.items() if key not in TIMED}
                    for event in self.events(run)
                ],
            )
            for run in self.runs()
        }

    def left(self):
        """What should not be there: processes, temporary folders, locks."""
        time.sleep(0.5)
        names = [path for path in self.temporary.iterdir() if path.name.startswith("googlenet-")]
        names += [*self.folder.rglob(".lock"), *self.folder.rglob(".googlenet-*")]
        return [str(path) for path in names] + [f"process {each}" for each in self.processes()]


def prepared(folder, size, count):
    """A folder with the first `count` digits to train on, and a fifth as many to test with."""
    from dataclasses import replace

    from googlenet.data.prepared import save_data
    from googlenet.data.sets import Split, load_data

    data = load_data("digits", (1, size, size))
    parts = {
        name: Split(split.images[:most], split.labels[:most])
        for name, split, most in (
            ("train", data.train, count),
            ("test", data.test, max(count // 5, 1)),
        )
    }
    save_data(folder, replace(data, **parts))
    return folder


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("framework")
    parser.add_argument(
        "--way",
        choices=("one", "two", "race"),
        default="one",
        help="one process, two that train together, or a race of two seeds",
    )
    parser.add_argument(
        "--network",
        help="by default googlenet_bn; for --way two googlenet, since each process has its own"
        " statistics of batch norm, and only the first one's are saved",
    )
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--images", type=int, help="train on so many digits; by default all")
    parser.add_argument(
        "--most",
        type=int,
        default=8,
        help="largest number of steps before a kill; up to 0.2 s are added",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed for the moments of the kills")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    arguments = parser.parse_args()
    usual = "googlenet" if arguments.way == "two" else "googlenet_bn"
    arguments.network = arguments.network or usual
    chance = random.Random(arguments.seed)
    place = Path(tempfile.mkdtemp(prefix="killed-"))
    trials = []
    try:
        data = "digits"
        if arguments.images:
            data = prepared(place / "data", arguments.size, arguments.images)
        trials += [Trial(arguments, place / name, data) for name in ("whole", "cut")]
        whole, cut = trials
        whole.finish()
        moments = []
        while len(moments) < arguments.kills:
            was_killed, step = cut.killed(chance, arguments.most)
            if not was_killed:
                sys.exit(
                    f"the run ended after {len(moments)} kills; give more --epochs, or a smaller"
                    " --most"
                )
            moments.append(step)
        cut.finish()
        same, left = whole.result() == cut.result(), cut.left()
    finally:
        for trial in trials:
            trial.kill_all()
        shutil.rmtree(place, ignore_errors=True)
    if arguments.json:
        told = {"framework": arguments.framework, "way": arguments.way, "steps": moments}
        print(json.dumps({**told, "same": same, "left": left}))
    else:
        verdict = "the same, bit for bit" if same else "NOT the same"
        print(
            f"{arguments.framework}, {arguments.way}: killed {len(moments)} times, after steps"
            f" {moments}; weights and log are {verdict}; left behind:"
            f" {', '.join(left) or 'nothing'}"
        )
    return 0 if same and not left else 1


if __name__ == "__main__":
    sys.exit(main())
