"""`googlenet train` in the framework named by `GOOGLENET_FRAMEWORK`: it learns, and a run that is
killed goes on bit for bit.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_killed_run_ends_as_one_that_was_not(framework):
    script = ROOT / "benchmarks" / "killed.py"
    small = ["--images", "320", "--size", "8", "--batch-size", "32", "--epochs", "3"]
    done = subprocess.run(
        [sys.executable, script, framework, "--kills", "2", *small, "--json"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["same"] is True
    assert told["left"] == []
    assert len(told["steps"]) == 2


def test_digits_are_learnt_with_batch_norm(framework, tmp_path):
    """Section 8.5's remedy on real handwriting: two epochs are well beyond chance, which
    is 10 %.
    """
    arguments = [
        "googlenet_bn",
        "--framework",
        framework,
        "--size",
        "32",
        "--batch-size",
        "64",
        "--epochs",
        "2",
        "--out",
        str(tmp_path / "run"),
    ]
    command = [
        sys.executable,
        "-m",
        "googlenet",
        "train",
        *arguments,
        "--out",
        str(tmp_path / "run"),
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout[done.stdout.index("{\n") :])
    assert answer["epochs"][1]["loss"] < answer["epochs"][0]["loss"] / 2
    assert answer["epochs"][1]["test_accuracy"] > 0.6
    assert (tmp_path / "run" / "curves.png").stat().st_size > 10_000
