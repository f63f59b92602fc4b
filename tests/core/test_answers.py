"""Whatever a worker does or answers, its job has one error of one line, and nothing else fails."""

from __future__ import annotations

import json
import math
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import pytest

from googlenet import BackendError, get_network
from googlenet.actions.code import _Answered
from googlenet.actions.translate import _Theirs, _Written
from googlenet.checking.report import Check
from googlenet.data.images import ImageSet
from googlenet.jobs import job as jobs
from googlenet.jobs.job import Answer, Job, run_job
from googlenet.jobs.native import _read as read_native
from googlenet.jobs.probe import _Probed
from googlenet.jobs.workers import end_with_parent
from googlenet.proof.conformance.networks import CLASSES, composites
from googlenet.proof.exact.compare import Difference, ExactComparison
from googlenet.proof.parity.rows import Comparison, Group, Row, differing
from googlenet.proof.parity.run import ParityOptions, _result, run_parity
from googlenet.proof.traps.report import _answered
from googlenet.spec.serial import to_json
from googlenet.training.race import _Ended
from googlenet.typed import made
from googlenet.version import __version__, source_digest
from googlenet.weights.samples import random_images, random_labels, random_params

from .test_jobs import gone

#: A worker's own part of an answer.
WORKER = {
    "values": {"found": 1},
    "versions": {"googlenet": __version__, "numpy": "2"},
    "source": source_digest(),
    "threads": None,
    "seconds": 1.0,
    "peak_memory_bytes": 1,
}


def answered(folder, script):
    """The answer of a job whose interpreter is a script that does as it likes."""
    fake = folder / "python"
    fake.write_text(f'#!/bin/sh\n[ "$1" = -m ] || exit 1\ncd "$3"\n{script}\n')
    fake.chmod(0o755)
    place = folder / "place"
    place.mkdir()
    job = Job("tasks:none", "numpy")
    heard = []
    found = run_job(
        job, place, interpreter=str(fake), timeout=30, report=lambda *told: heard.append(told)
    )
    assert all(isinstance(done, int) for _, done, _ in heard)
    return found


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("true", "exited with code 0; last output: none"),
        ("exit 7", "exited with code 7"),
        ("kill -SEGV $$", "was killed by SIGSEGV"),
        ("kill -40 $$", "was killed by signal 40"),
        ("rm -rf ../place", "exited with code 0; last output: none"),
        ("rm numpy.log; mkdir numpy.log", "exited with code 0; last output: none"),
        ("mkfifo numpy.json", "exited with code 0"),
        ("mkdir numpy.json", "exited with code 0"),
        ("ln -s /dev/zero numpy.json", "exited with code 0"),
        ("printf '' > numpy.json", "gave an answer that cannot be read"),
        ("printf '{}' > numpy.json", "gave an answer that cannot be read"),
        ("printf '[]' > numpy.json", "gave an answer that cannot be read"),
        ("printf '\\377\\376' > numpy.json", "gave an answer that cannot be read"),
        ("head -c 1000000 /dev/zero | tr '\\0' '[' > numpy.json", "cannot be read"),
        ("printf '{' > numpy.progress.json; sleep 0.2", "exited with code 0"),
        ("printf '[1, 2]' > numpy.progress.json; sleep 0.2", "exited with code 0"),
        ("printf '[\"a\", true, 1]' > numpy.progress.json; sleep 0.2", "exited with code 0"),
        ("mkfifo numpy.progress.json; sleep 0.2", "exited with code 0"),
        ("truncate -s 300G numpy.progress.json; sleep 0.2", "exited with code 0"),
        ("truncate -s 300G numpy.json", "numpy.json: asks for 322.1 GB of memory"),
        (
            "yes '[],' | head -n 4000000 | (printf '['; cat; printf '1]') > numpy.json",
            "place/numpy.json: asks for ",
        ),
        ("printf '\\033[31m\\n\\377' ; exit 1", "exited with code 1"),
    ],
)
def test_a_worker_that_does_as_it_likes_has_one_error(tmp_path, script, error):
    found = answered(tmp_path, script)
    assert error in found.error
    assert "\n" not in found.error


@pytest.mark.parametrize(
    "script",
    [
        "printf '\\377\\376'",
        "printf '0.1.2\\n\\377'; exit 1",
        "sleep 1234 & echo $! > child; exit 0",
        "setsid sleep 1234 & echo $! > child; exit 0",
        "yes",
        "exec sleep 1234",
    ],
)
def test_an_interpreter_that_is_asked_its_version_may_do_as_it_likes(tmp_path, monkeypatch, script):
    """It is no Python that has this project, and leaves nothing."""
    monkeypatch.setattr(jobs, "VERSION_TIMEOUT", 0.5)
    fake = tmp_path / "python"
    fake.write_text(f'#!/bin/sh\n[ "$1" = -c ] || exit 1\ncd "{tmp_path}"\n{script}\n')
    fake.chmod(0o755)
    (tmp_path / "place").mkdir()
    begun = time.monotonic()
    found = run_job(Job("t:none", "numpy"), tmp_path / "place", interpreter=str(fake), timeout=30)
    assert found.error == "exited with code 1; last output: none"
    assert time.monotonic() - begun < 15
    assert {path.name for path in (tmp_path / "place").iterdir()} == {"numpy.job.json", "numpy.log"}
    if (child := tmp_path / "child").exists():
        assert gone(child.read_text().strip())


def test_an_interpreter_with_another_version_is_told_of(tmp_path):
    fake = tmp_path / "python"
    fake.write_text('#!/bin/sh\n[ "$1" = -c ] || exit 1\necho 0.0.1\n')
    fake.chmod(0o755)
    found = run_job(Job("t:none", "numpy"), tmp_path, interpreter=str(fake), timeout=30)
    assert found.error.startswith("its interpreter has googlenet 0.0.1, but this one has")


@pytest.mark.parametrize("value", ["abc", "-1", "1.5", "٣", "9" * 5000])
def test_a_parent_that_is_no_number_is_none(monkeypatch, value):
    monkeypatch.setenv("GOOGLENET_PARENT", value)
    end_with_parent(lambda: pytest.fail("nobody started it"))


@pytest.mark.parametrize(
    "change",
    [
        {"values": []},
        {"values": None},
        {"error": 1},
        {"error": "why", "raised": "os"},
        {"error": "why", "raised": "annotations"},
        {"error": "why", "raised": 3},
        {"details": None},
        {"versions": {"googlenet": __version__}},
        {"versions": {"googlenet": __version__, "numpy": 2}},
        {"versions": {}},
        {"versions": []},
        {"source": None},
        {"source": "else"},
        {"threads": 1},
        {"seconds": "1"},
        {"peak_memory_bytes": 1.5},
        {"more": 1},
    ],
)
def test_an_answer_of_another_shape_cannot_be_read(tmp_path, change):
    path = tmp_path / "numpy.json"
    path.write_text(json.dumps(WORKER))
    assert Answer.read(path, "numpy").values == {"found": 1}
    path.write_text(json.dumps({**WORKER, **change}))
    found = Answer.read(path, "numpy")
    assert "cannot be read" in found.error or "install the same" in found.error
    assert found.values == {}


# What tasks answer --------------------------------------------------------------------------------

ROWS = [Row("a", 1e-7, 1e-6), Row("b", math.inf, 1e-6), Row("c", 0.0, math.inf, provable=False)]
COMPARISON = Comparison(dict.fromkeys(Group, ROWS) | {Group.WEIGHTS: [differing("w")]})
EXACT = ExactComparison(
    {"outputs": 3}, {"outputs": 1}, Difference("outputs", "a", (0, 1), 1.0, math.nan)
)
NETWORK = get_network("googlenet")
CHECK = {
    "framework": "numpy",
    "against": "googlenet",
    "input_shape": [1, 8, 8],
    "verdict": "same",
    "differences": [],
    "mentions": [],
    "first_divergence": {"path": "a", "place": "b", "error": 0.5, "extra": False, "known": True},
    "parameters": {"model": 1, "spec": 1},
    "proved": True,
    "sizes": [{"input_shape": [1, 9, 9], "verdict": "different"}],
    "reason": "",
}
NATIVE = {
    "axes": "NHWC",
    "shapes": {"logits": [10]},
    "parameters": {"a.weight": 3},
    "layers": {"a": [["Conv", "Conv()"]]},
}
TRAP = {
    "trap": "padding",
    "outcome": "agrees",
    "expected": "agrees",
    "error": 0.5,
    "answer": [1, 2],
    "right": 1.0,
    "right_error": 0.0,
    "limit": 1.0,
    **dict.fromkeys(("default", "corrected", "helpers", "helper_imports"), ""),
    **dict.fromkeys(("message", "remark", "raises"), ""),
}
SHAPES = {"a": (3, 4, 4)}
#: What each task answers, what is made of it, and what is then shown of that.
TASKS = {
    "parity": (
        {**COMPARISON.to_json(), "precision": {"a": "b"}, "exact": EXACT.to_json()},
        partial(_result, "numpy", Answer(), None, True),
        lambda found: json.dumps(found.to_json()) + str(found.exact.first),
    ),
    "traps": (
        {"shown": True, "imports": "", "traps": [TRAP]},
        partial(_answered, "numpy", ["padding"], Answer()),
        lambda found: json.dumps([found.to_json(), found.passed]),
    ),
    "race": ({"finished": True, "step": 3}, _Ended.of, str),
    "probe": ({"capabilities": ["train"]}, _Probed.of, lambda found: sorted(found.capabilities)),
    "native": (
        NATIVE,
        partial(read_native, "numpy", "2", NETWORK, SHAPES),
        lambda found: json.dumps(found.to_json()),
    ),
    "code": ({"text": "a", "name": "b"}, _Answered.of, str),
    "check": (CHECK, Check.from_json, lambda found: [*found.lines(), json.dumps(found.to_json())]),
    "traced": ({"unbiased": True, "opened": False, "taken": []}, _Theirs.of, str),
    "written": (
        {
            "files": {"source": "a", "weights": "b", "loader": "c", "name": "d"},
            "network": to_json(get_network("nin")),
            "places": {"a": "b"},
            "taken": ["a"],
            "unbiased": False,
        },
        _Written.of,
        str,
    ),
}
#: What stands where something else should.
WRONG = (None, True, -1, 2**70, 1e308, "", "x", "1", [], [[]], {}, {"a": {}}, [1, "a", None])


def spots(value, path=()):
    """The paths of all parts of some JSON."""
    yield path
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from spots(item, (*path, key))


def changed(value, path, other):
    if not path:
        return other
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(value[path[0]], path[1:], other)
    return copy


@pytest.mark.parametrize("task", TASKS)
def test_an_answer_is_right_or_refused_in_one_line(task):
    """With anything else anywhere in it; and what is taken can be shown."""
    values, make, show = TASKS[task]
    assert show(Answer(values).give(make))
    places = list(spots(values))
    chance = random.Random(0)
    chosen = places if len(places) < 60 else [(), *chance.sample(places, 60)]
    refused = 0
    for path in chosen:
        for other in WRONG if len(chosen) < 30 else chance.sample(WRONG, 4):
            try:
                found = Answer(changed(values, path, other)).give(make)
            except BackendError as error:
                refused += 1
                message = str(error)
                if not re.fullmatch(r"its answer is not what was asked for \(.+\)", message):
                    raise
            else:
                show(found)
    assert refused > len(chosen) / 2


def test_a_worker_that_removes_its_folder_is_one_failed_row(tmp_path):
    """What the others are asked is in folders of their own."""
    network = composites()["inception"]
    fake = tmp_path / "python"
    fake.write_text('#!/bin/sh\n[ "$1" = -m ] && rm -rf "$3"\nexit 0\n')
    fake.chmod(0o755)
    images = ImageSet(random_images(network, 0, 4), random_labels(0, 4, CLASSES), "noise")
    options = ParityOptions(interpreters={"faulty": str(fake)})
    params = random_params(network)
    report = run_parity(network, ["faulty", "numpy"], images, params, seed=0, options=options)
    faulty, numpy = report.results
    assert faulty.error == "exited with code 0; last output: none"
    assert numpy.error is None
    assert numpy.comparison.rows


# Types --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    numbers: tuple[int, ...] = ()
    pair: tuple[int, str] = (1, "a")
    words: Mapping[str, float | None] = field(default_factory=dict)
    inner: Part | None = None


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({}, None),
        ({"numbers": (1, 2), "words": {"a": None, "b": 1}, "inner": Part()}, None),
        ({"numbers": (1, True)}, "an item of numbers is True, expected an integer"),
        ({"numbers": [1]}, "numbers is [1], expected tuple"),
        ({"pair": (1,)}, "pair is (1,), expected 2 items"),
        ({"words": {1: 1.0}}, "a key of words is 1, expected text"),
        ({"words": {"a": "b"}}, "words 'a' is 'b', expected"),
        ({"inner": Part(numbers=("a",))}, "an item of numbers is 'a', expected an integer"),
        ({"inner": 3}, "inner is 3, expected Part"),
        ({"other": 3}, "TypeError"),
    ],
)
def test_what_has_another_type_is_named(values, wrong):
    if wrong is None:
        assert made(lambda given: Part(**given), values) == Part(**values)
        return
    with pytest.raises(ValueError, match=f"^{re.escape(wrong)}"):
        made(lambda given: Part(**given), values)
