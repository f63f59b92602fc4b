"""The known traps, run in the framework under test: each is there as its plugin says, and what is
printed is what is run.
"""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from googlenet.backend.protocols import ShowsTraps
from googlenet.backend.snippets import Outcome, agrees, differs
from googlenet.proof.traps.report import short
from googlenet.proof.traps.run import answer_of, measure
from googlenet.proof.traps.table import TRAPS

PAGE = Path(__file__).parents[2] / "docs" / "traps.md"


@pytest.fixture(scope="module")
def gallery(backend):
    assert isinstance(backend, ShowsTraps)
    return backend.shown_traps()


@pytest.fixture(scope="module")
def measured(backend):
    """What becomes of each trap, measured once."""
    return {name: measure(backend, trap) for name, trap in TRAPS.items()}


def names_of(outcome, gallery):
    return [name for name, shown in gallery.entries.items() if shown.expected is outcome]


def test_every_trap_is_shown(gallery):
    assert list(gallery.entries) == list(TRAPS)
    assert names_of(Outcome.DIFFERS, gallery)
    assert names_of(Outcome.AGREES, gallery)


@pytest.mark.parametrize("name", TRAPS)
def test_a_trap_is_there_as_the_plugin_says(name, measured):
    """If it agrees where it should differ, an upgrade has mended it: its entry is to be changed."""
    found = measured[name]
    assert found.outcome is found.expected, found.message
    assert found.right_error is None or found.right_error <= found.limit
    assert found.as_expected


@pytest.mark.parametrize("name", TRAPS)
def test_a_trap_is_more_than_rounding(name, measured):
    found = measured[name]
    if found.outcome is Outcome.DIFFERS:
        assert found.error > 1e-3
        assert found.right_error < found.error / 100
        assert found.corrected != found.default


@pytest.mark.parametrize("name", TRAPS)
def test_a_refusal_has_words(name, measured):
    found = measured[name]
    assert bool(found.message) == (found.outcome is Outcome.REFUSES)
    assert "\n" not in found.message


def pieces(gallery):
    for name, shown in gallery.entries.items():
        for code in (shown.default, shown.right):
            if code is not None:
                yield name, shown, code


def namespace_of(gallery):
    found = {"__name__": "shown"}
    exec(gallery.imports, found)
    return found


def test_a_function_runs_from_its_printed_text(backend, gallery):
    """By itself, with the printed imports: the same answer, bit for bit."""
    tried = 0
    for name, shown, code in pieces(gallery):
        if isinstance(code, tuple) or (shown.expected is Outcome.REFUSES and code is shown.default):
            continue
        text, namespace = gallery.text(code), namespace_of(gallery)
        assert "googlenet" not in text
        exec(compile(text, name, "exec"), namespace)
        asked = TRAPS[name].ask()
        first, second = (
            answer_of(backend, each, asked) for each in (code, namespace[code.__name__])
        )
        assert np.array_equal(first, second), name
        tried += 1
    assert tried > 10


def test_a_layer_is_made_by_its_printed_text(gallery, measured):
    tried = 0
    for name, shown, code in pieces(gallery):
        if not isinstance(code, tuple) or shown.expected is Outcome.REFUSES:
            continue
        lines = gallery.text(code).split("\n")
        assert len(lines) == len(code), name
        for line, call in zip(lines, code, strict=True):
            assert type(eval(line, namespace_of(gallery))) is call.target, name
            tried += 1
    assert tried > 10


def test_a_layer_that_the_framework_lacks_is_printed_whole(backend, measured):
    for name, found in measured.items():
        own = re.findall(r"^([A-Z]\w+)\(", found.corrected, re.MULTILINE)
        assert re.findall(r"^class (\w+)\(", found.helpers, re.MULTILINE) == own, name
        assert all(hasattr(backend.modules, each) for each in own)
        place = {}
        exec(f"{found.helper_imports}\n{found.helpers}", place)
        assert all(isinstance(place[each], type) for each in own)


def test_a_trap_that_is_mended_shows(backend, gallery, monkeypatch):
    """And so does one that is new, and right code that is wrong."""
    entries = gallery.entries
    harmless = next(name for name in names_of(Outcome.AGREES, gallery) if "norm" in name)
    changed = replace(
        gallery,
        entries={
            harmless: differs(entries[harmless].default, entries[harmless].default),
            "ceil-mode": agrees(entries["ceil-mode"].default),
            "zero-padding": differs(entries["zero-padding"].default, entries["ceil-mode"].default),
        },
    )
    monkeypatch.setattr(backend, "shown_traps", lambda: changed)
    mended, new, wrong = (measure(backend, TRAPS[name]) for name in changed.entries)
    assert (mended.outcome, mended.as_expected) == (Outcome.AGREES, False)
    assert (new.outcome, new.as_expected) == (Outcome.DIFFERS, False)
    assert wrong.right_error > wrong.limit
    assert (wrong.outcome, wrong.as_expected) == (Outcome.DIFFERS, False)


@pytest.mark.parametrize("name", TRAPS)
def test_the_page_has_this_code_and_this_figure(name, measured, framework):
    page = PAGE.read_text(encoding="utf-8")
    found, section = measured[name], page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    (row,) = [
        row for row in section.split("<tr><td>") if row.strip().startswith(f"**{framework}**")
    ]
    for text in (found.default, found.corrected):
        assert not text or f"```python\n{text}\n```" in row
    header = re.search(r"^\| trap \|(.*)\|$", page, re.MULTILINE)[1].split("|")
    cells = re.search(rf"^\| \[{name}\]\(#{name}\) \|(.*)\|$", page, re.MULTILINE)[1].split("|")
    shown = dict(zip(map(str.strip, header), map(str.strip, cells), strict=True))
    for printed, here in zip(shown[framework].split(), short(found).split(), strict=True):
        if printed[0].isdigit():  # what is drawn may differ a little on another machine
            assert float(printed) == pytest.approx(float(here), rel=0.03)
        else:
            assert printed == here
