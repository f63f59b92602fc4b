"""Hostile files of every format, a few hundred in each run of the tests: `python -m tests.fuzz`
tries as many as one likes.
"""

import json
import random
from contextlib import suppress

import pytest

from googlenet.errors import DataError, WeightsError

from .harness import run
from .mutations import KINDS, draw
from .seeds import seeds
from .worker import reader_of

#: What each planted fault is counted as.
PLANTED = {
    "planted escape": "escaped",
    "planted death": "escaped",
    "planted line": "escaped",
    "planted hang": "hung",
    "planted memory": "over_budget",
    "planted request": "over_budget",
    "planted command": "executed",
    "planted file": "left_behind",
}


def test_no_hostile_file_does_what_it_should_not(tmp_path):
    found = run(30 * len(KINDS), seed=0, keep=tmp_path)
    assert found.findings == []
    assert set(found.kinds) == set(KINDS)
    assert found.tried == sum(found.kinds.values()) == 30 * len(KINDS)
    assert found.most_bytes > 0
    assert json.loads(json.dumps(found.to_json()))["kinds"] == found.kinds


@pytest.mark.parametrize("kind", seeds())
def test_what_mutations_start_from_is_read(kind, tmp_path):
    """Else all of them would be refused for one reason."""
    for content in seeds()[kind]:
        path = tmp_path / ("x.npy" if kind == "array" else "x")
        path.write_bytes(content)
        with suppress(
            DataError if kind in ("picture", "server") else WeightsError if "own" in kind else ()
        ):
            reader_of(kind)(path)


def test_each_planted_fault_is_found(monkeypatch):
    monkeypatch.setattr("tests.fuzz.harness.MOST_SECONDS", 4.0)
    found = run(len(PLANTED), seed=0, kinds=tuple(PLANTED))
    assert {finding["kind"]: finding["faults"] for finding in found.findings} == {
        kind: [fault] for kind, fault in PLANTED.items()
    }
    assert found.faults == len(PLANTED)


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_drawn_from_the_seed(kind):
    drawn = [draw(random.Random(f"{seed}"), kind, "canary") for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
