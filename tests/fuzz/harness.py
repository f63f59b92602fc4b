"""Tries hostile files in a worker and counts what went wrong."""

import json
import os
import random
import select
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .mutations import KINDS, draw

ROOT = Path(__file__).parents[2]
#: What a file may become here: less than in use, so that what goes beyond it is found sooner.
BUDGET = "bytes=64M,seconds=10"
MOST_BYTES = 2 * 64 * 2**20
MOST_SECONDS = 20.0


@dataclass
class Report:
    """How many files were tried, and how many of them did what. `findings` says which."""

    seed: int
    tried: int = 0
    escaped: int = 0
    hung: int = 0
    over_budget: int = 0
    executed: int = 0
    left_behind: int = 0
    most_bytes: int = 0
    most_seconds: float = 0.0
    seconds: float = 0.0
    kinds: dict[str, int] = field(default_factory=dict)
    findings: list[dict] = field(default_factory=list)

    @property
    def faults(self):
        """How many files did anything that none should."""
        return len(self.findings)

    def to_json(self):
        return asdict(self)


class Worker:
    """The process that reads, started again when it died."""

    def __init__(self, folder: Path):
        self.folder, self._process = folder, None
        self.canary = folder / "canary"
        tools = folder / "tools"
        tools.mkdir()
        for name in ("gs", "gswin32c", "gswin64c"):  # as if Ghostscript were installed
            (tools / name).write_text(f"#!/bin/sh\ntouch {self.canary}\n")
            (tools / name).chmod(0o755)
        self.place = folder / "place"
        self.place.mkdir()

    def _start(self):
        environment = {
            **os.environ,
            "GOOGLENET_BUDGET": BUDGET,
            "GOOGLENET_CACHE_DIR": str(self.place),
            "HDF5_PLUGIN_PATH": str(self.place),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "PATH": f"{self.folder / 'tools'}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "TMPDIR": str(self.place),
        }
        self._errors = (self.folder / "errors").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=self.place,
            env=environment,
        )
        self.read("log", b"", patience=120)  # while it imports

    def read(self, kind, content, *, patience=None):
        """What became of `content`, read as a file of `kind`."""
        if self._process is None:
            self._start()
        patience = MOST_SECONDS if patience is None else patience
        suffix = {"picture": ".png", "array": ".npy", "log": ".jsonl"}.get(kind, "")
        path = self.place / f"file{suffix}"
        path.write_bytes(content)
        try:
            self._process.stdin.write(json.dumps([kind, str(path)]).encode() + b"\n")
            self._process.stdin.flush()
            ready, _, _ = select.select([self._process.stdout], [], [], patience)
            line = self._process.stdout.readline() if ready else None
        except BrokenPipeError:
            line = b""
        if line:
            answer = json.loads(line)
        else:
            answer = {"bytes": 0, "seconds": patience, "request": False, "escaped": None}
            if line is None:
                answer["hung"] = True
            else:
                answer["escaped"] = f"the process ended with {self._process.wait()}"
            self.close()
        answer["executed"] = self.canary.exists()
        self.canary.unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        left = [each for each in self.place.rglob("*") if not each.is_dir()]
        answer["left"] = [str(each.relative_to(self.place)) for each in left]
        for each in left:
            each.unlink()
        return answer

    def close(self):
        """End the process, if there is one."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(BrokenPipeError):
                stream.close()
        self._errors.close()
        self._process = None


def faults_of(answer):
    """The names of all that a file did and none should."""
    return [
        name
        for name, found in {
            "escaped": answer["escaped"],
            "hung": answer.get("hung"),
            "over_budget": answer["bytes"] > MOST_BYTES or answer["request"],
            "executed": answer["executed"],
            "left_behind": answer["left"],
        }.items()
        if found
    ]


def run(count, seed, *, kinds=KINDS, keep=None, report=lambda done: None):
    """Try `count` files of `kinds` by turns, drawn from `seed`, or as many as until Ctrl-C; those
    that do what they should not are kept in the folder `keep`.
    """
    found, start = Report(seed), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="googlenet-fuzz-") as name:
        worker = Worker(Path(name))
        try:  # what was tried until it was interrupted counts, too
            for index in range(count):
                kind = kinds[index % len(kinds)]
                rng = random.Random(f"{seed} {index} {kind}")
                content = b"" if kind.startswith("planted") else draw(rng, kind, worker.canary)
                _count(found, worker.read(kind, content), kind, index, content, keep)
                report(index + 1)
        except KeyboardInterrupt:
            pass
        finally:
            worker.close()
    found.seconds = time.monotonic() - start
    return found


def _count(found, answer, kind, index, content, keep):
    found.tried += 1
    found.kinds[kind] = found.kinds.get(kind, 0) + 1
    found.most_bytes = max(found.most_bytes, answer["bytes"])
    found.most_seconds = max(found.most_seconds, answer["seconds"])
    faults = faults_of(answer)
    for fault in faults:
        setattr(found, fault, getattr(found, fault) + 1)
    if not faults:
        return
    finding = {"kind": kind, "index": index, "faults": faults, **answer}
    if keep is not None:
        path = Path(keep) / f"{index}-{kind.replace(' ', '-')}"
        path.write_bytes(content)
        finding["file"] = str(path)
    found.findings.append(finding)
