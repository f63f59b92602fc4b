"""`googlenet train` in the framework named by `GOOGLENET_FRAMEWORK`: it learns, and a run that is
killed goes on bit for bit.
"""

import json
import subprocess
import sys

import pytest

from ..killed import ends_as_one_that_was_not_killed


@pytest.fixture(autouse=True)
def _compiled_for_speed(monkeypatch):
    """Tests of one pass have XLA compile quickly (tox.ini); what trains runs six times as long."""
    monkeypatch.delenv("XLA_FLAGS", raising=False)


@pytest.mark.parametrize("way", ["two", "one"])
def test_a_killed_run_ends_as_one_that_was_not(framework, way):
    """In one process, and in two of the framework's own launcher; a race, whose runs are such
    processes, is killed in `tests/core/test_killed.py`.
    """
    ends_as_one_that_was_not_killed(framework, way)


def test_digits_are_learnt_with_batch_norm(framework, tmp_path):
    """Section 8.5's remedy on real handwriting: two epochs are well beyond chance, which
    is 10 %.
    """
    arguments = [
        "googlenet_bn",
        "--framework",
        framework,
        "--size",
        "24",
        "--batch-size",
        "64",
        "--epochs",
        "2",
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
