"""A few kills of a small run by `benchmarks/killed.py`, for the tests of each framework."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "killed.py"
SMALL = ["--images", "160", "--batch-size", "16", "--epochs", "3"]
#: With batch norm and its statistics once; else a network of few layers, since every process that
#: starts compiles them again in some frameworks.
NETWORKS = {"one": ("googlenet_bn", "8"), "two": ("nin", "67"), "race": ("nin", "67")}


def ends_as_one_that_was_not_killed(framework: str, way: str) -> None:
    """Raises `AssertionError`, with what was printed, unless it does, and leaves nothing."""
    network, size = NETWORKS[way]
    command = [sys.executable, SCRIPT, framework, "--way", way, "--kills", "2", *SMALL, "--json"]
    command += ["--network", network, "--size", size]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["same"] is True
    assert told["left"] == []
    assert len(told["steps"]) == 2
