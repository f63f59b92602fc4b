"""The table of traps, what is right, the report, the command, and the page."""

import ast
import builtins
import importlib
import inspect
import json
import math
import os
import re
import subprocess
import sys
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import googlenet
from googlenet import reference
from googlenet.backend.call import Call
from googlenet.backend.discovery import SHIPPED
from googlenet.backend.snippets import Gallery, Outcome, absent, agrees, differs, refuses
from googlenet.proof.parity.tolerance import EPS, FACTOR
from googlenet.proof.traps import question
from googlenet.proof.traps.page import Asked, page_of
from googlenet.proof.traps.report import (
    FrameworkTraps,
    TrapReport,
    number,
    percent,
    short,
    surprises,
    words,
)
from googlenet.proof.traps.run import Found, measure, measure_all
from googlenet.proof.traps.table import TRAPS, find_trap

from ..named import LACKS
from .plugins import FORWARD, plugin

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "traps.md").read_text(encoding="utf-8")
#: The frameworks that show traps.
SHOWN = [name for name in SHIPPED if "traps" not in (LACKS.get(name) or ())]

# The table ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS)
def test_a_trap_is_said_in_whole_sentences(trap):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", trap.name)
    assert trap.title
    assert trap.title[0].isupper()
    assert trap.title[-1] not in ".:"
    for text in (trap.wrong, trap.why):
        assert text[0].isupper()
        assert text.endswith(".")
        assert "  " not in text
    assert trap.source
    assert trap.measured


def test_what_is_known_to_go_wrong_is_there():
    wanted = "same ceil border lrn-alpha lrn-window eps momentum variance bias zero-padding"
    wanted += " label-smoothing initial not-applied softmax shuffle"
    assert all(any(word in name for name in TRAPS) for word in wanted.split())
    titles = [trap.title for trap in TRAPS.values()]
    assert len(set(titles)) == len(titles)


def test_an_unknown_trap_names_the_nearest():
    with pytest.raises(
        googlenet.UnknownNameError, match=r"no trap 'zero-pading'; the nearest are zero-padding, "
    ):
        find_trap("zero-pading")


# What is right ------------------------------------------------------------------------------------


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS)
def test_the_question_has_one_tolerance(trap):
    asked, again = trap.ask(), trap.ask()
    assert np.array_equal(asked.right, again.right)
    assert all(np.array_equal(each, again.arguments[n]) for n, each in asked.arguments.items())
    assert asked.right.dtype == np.float64
    assert np.isfinite(asked.right).all()
    assert question.error_of(asked.right, asked) == 0 or float(asked.right) == 0
    if question.is_number(asked):
        assert asked.limit < 0.03
    else:
        assert FACTOR * EPS <= asked.limit < 100 * FACTOR * EPS


def test_a_running_variance_that_is_right_is_unbiased():
    asked = TRAPS["norm-variance"].ask()
    images = asked.arguments["images"].astype(np.float64)
    before = asked.arguments["running_var"].astype(np.float64)
    by_hand = 0.9 * before + 0.1 * images.var((0, 2, 3), ddof=1)
    assert question.error_of(by_hand, asked) < 1e-12
    assert question.error_of(0.9 * before + 0.1 * images.var((0, 2, 3)), asked) > asked.limit


def test_smoothed_labels_count_all_classes():
    asked = TRAPS["label-smoothing"].ask()
    logits, labels = asked.arguments["logits"].astype(np.float64), asked.arguments["labels"]
    share = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    classes = logits.shape[1]
    for others, is_right in ((0.1 / classes, True), (0.1 / (classes - 1), False)):
        true = 0.9 + others if is_right else 0.9
        target = np.where(np.eye(classes)[labels] == 1, true, others)
        error = question.error_of((share - target) / len(logits), asked)
        assert (error < 1e-12) == is_right
        assert is_right or error > 100 * asked.limit


def test_a_number_that_should_be_0_is_its_own_error():
    asked = TRAPS["initial-bias"].ask()
    assert question.error_of(np.array(-0.02), asked) == 0.02
    assert asked.limit == 0


def test_drawn_numbers_may_stray_as_far_as_they_do():
    """Of a thousand draws none is called wrong, and one off by three limits is."""
    asked = TRAPS["initial-weights"].ask()
    rng = np.random.default_rng(0)
    bound = float(asked.right) * math.sqrt(3)
    count = 96 * 208 * 9
    for _ in range(50):
        drawn = rng.uniform(-bound, bound, count).astype(np.float32)
        assert question.error_of(asked.summary(drawn), asked) <= asked.limit
        assert question.error_of(asked.summary(drawn * (1 + 3 * asked.limit)), asked) > asked.limit


def test_batches_are_sets_of_examples():
    asked = TRAPS["batch-before-shuffle"].ask()
    epoch = np.arange(12).reshape(3, 4)
    frozen = np.stack([epoch, epoch[::-1, ::-1]])
    other = np.stack([epoch, epoch.T.reshape(3, 4)])
    assert (float(asked.summary(frozen)), float(asked.summary(other))) == (1, 0)


# One framework ------------------------------------------------------------------------------------


class Shows:
    """A backend that shows `entries`, in NumPy."""

    name = "shows"
    unbiased_running_variance = reference.unbiased_running_variance
    build = staticmethod(reference.build)
    params_of = staticmethod(reference.params_of)
    forward = staticmethod(reference.forward)

    def __init__(self, **entries):
        self.gallery = Gallery({k.replace("_", "-"): v for k, v in entries.items()}, {"np": np})

    def shown_traps(self):
        return self.gallery

    def run_function(self, function, arguments):
        return np.asarray(function(**arguments))


def flatten(images, weight):
    return images.reshape(2, -1) @ weight.reshape(7, -1).T


def flatten_backwards(images, weight):
    return images[:, ::-1].reshape(2, -1) @ weight.reshape(7, -1).T


def fail(images):
    raise ValueError("no\nsuch layer")


TRAP = TRAPS["flatten-order"]


@pytest.mark.parametrize(
    ("shown", "outcome", "as_expected"),
    [
        (differs(flatten_backwards, flatten), Outcome.DIFFERS, True),
        (differs(flatten, flatten), Outcome.AGREES, False),
        (differs(flatten_backwards, flatten_backwards), Outcome.DIFFERS, False),
        (agrees(flatten), Outcome.AGREES, True),
        (agrees(flatten_backwards), Outcome.DIFFERS, False),
        (agrees(fail), Outcome.REFUSES, False),
        (refuses("ValueError: no", fail, flatten), Outcome.REFUSES, True),
        (refuses("TypeError", fail, flatten), Outcome.REFUSES, False),
        (absent("There is none."), Outcome.ABSENT, True),
    ],
)
def test_what_becomes_of_a_trap(shown, outcome, as_expected):
    found = measure(Shows(flatten_order=shown), TRAP)
    assert (found.outcome, found.as_expected) == (outcome, as_expected)
    assert Found.from_json(json.loads(json.dumps(found.to_json()))) == found
    if shown.default is not None:
        assert found.default == inspect.getsource(shown.default).rstrip()
    if outcome is Outcome.REFUSES:
        assert found.message == "ValueError: no"


@pytest.mark.parametrize(("share", "outcome"), [(0.5, Outcome.AGREES), (1.5, Outcome.DIFFERS)])
def test_the_limit_decides(share, outcome):
    asked = TRAP.ask()

    def off(images, weight):
        return flatten(images, weight).astype(np.float64) * factor

    factor = 1 + share * asked.limit
    found = measure(Shows(flatten_order=differs(off, flatten)), TRAP)
    assert found.outcome is outcome, (found.error, asked.limit)


def misshapen(images, weight):
    return flatten(images, weight)[:1]


def not_finite(images, weight):
    return flatten(images, weight) * np.nan


@pytest.mark.parametrize("right", [misshapen, not_finite])
@pytest.mark.parametrize(
    ("make", "default", "outcome"),
    [
        (differs, flatten_backwards, Outcome.DIFFERS),
        (partial(refuses, "ValueError: no"), fail, Outcome.REFUSES),
        (differs, flatten, Outcome.AGREES),
    ],
)
def test_right_code_that_is_infinitely_wrong_is_wrong_in_the_report_too(
    make, default, outcome, right
):
    found = measure(Shows(flatten_order=make(default, right)), TRAP)
    again = Found.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))
    assert again == found
    assert (again.outcome, again.right_error, again.as_expected) == (outcome, math.inf, False)
    assert again.to_json()["as_expected"] is False
    assert not FrameworkTraps("shows", (again,)).passed


def test_a_trap_that_a_plugin_leaves_out_is_absent():
    found = measure(Shows(), TRAP)
    assert (found.outcome, found.as_expected) == (Outcome.ABSENT, True)
    assert found.remark


def test_a_question_that_cannot_be_asked_is_a_failure_even_of_a_trap_left_out(monkeypatch):
    def ask():
        raise OSError("no images")

    monkeypatch.setitem(TRAPS, TRAP.name, replace(TRAP, ask=ask))
    for shows in (Shows(), Shows(flatten_order=agrees(flatten))):
        (found,) = measure_all(shows, [TRAP.name])
        assert (found.outcome, found.message) == (Outcome.FAILED, "OSError: no images")
        assert not found.as_expected


def test_another_shape_is_a_difference_without_a_figure():
    found = measure(Shows(flatten_order=differs(lambda images: images[0], flatten)), TRAP)
    assert (short(found), words(found)) == ("shape", "shape 3×4×5, not 2×7")
    assert found.to_json()["error"] is None
    assert math.isinf(Found.from_json(found.to_json()).error)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_a_difference_of_their_own(value):
    def odd(images, weight):
        return flatten(images, weight) * value

    found = measure(Shows(flatten_order=differs(odd, flatten)), TRAP)
    assert (found.outcome, found.as_expected) == (Outcome.DIFFERS, True)
    assert (short(found), words(found)) == ("not finite", "NaN or infinite values")
    assert Found.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))) == found


@pytest.mark.parametrize(("value", "said"), [(math.nan, "NaN"), (math.inf, "∞"), (-math.inf, "−∞")])
@pytest.mark.parametrize(("name", "right"), [("initial-bias", 0.0), ("dropout-rate", 0.4)])
def test_a_number_that_is_not_finite_is_a_difference(name, right, value, said):
    def odd():
        return np.array(value)

    def fine():
        return np.array(0.0)

    trap = replace(TRAPS[name], ask=lambda: replace(TRAPS[name].ask(), summary=lambda given: given))
    shown = {name.replace("-", "_"): differs(odd, fine)}
    found = measure(Shows(**shown), trap)
    assert (found.outcome, found.error) == (Outcome.DIFFERS, math.inf)
    assert short(found) == "not finite"
    assert words(found) == f"{said}, not {number(right)}"
    text = json.dumps(found.to_json(), allow_nan=False)
    again = Found.from_json(json.loads(text))
    assert str(again) == str(found)  # NaN is not equal to itself
    report = TrapReport((TRAPS[name],), (FrameworkTraps("shows", (again,)),))
    assert f'"answer": "{value}"' in json.dumps(report.to_json(), allow_nan=False)


def test_right_code_that_is_not_finite_is_said():
    found = measure(Shows(flatten_order=differs(flatten_backwards, not_finite)), TRAP)
    (said,) = surprises(FrameworkTraps("shows", (found,)))
    assert said == (
        "flatten-order: the right code gives a different shape from the reference, or values that"
        " are not finite"
    )


def test_figures_in_words():
    assert [percent(each) for each in (0.0082, 0.0951, 0.137, 1.38, 7)] == [
        "0.82 %",
        "10 %",
        "14 %",
        "138 %",
        "700 %",
    ]
    assert [number(each) for each in (12352.0, 0.0270369, 0.0)] == ["12,352", "0.02704", "0"]
    found = Found("x", Outcome.DIFFERS, Outcome.DIFFERS, 0.25, 12288.0, 16384.0)
    assert words(found) == "12,288, not 16,384: off by 25 %"
    assert words(replace(found, error=0.02, answer=0.02, right=0.0)) == "0.02, not 0"


def test_layers_are_printed_as_they_are_written():
    calls = (Call(Path, ("a", (1, 2.5), None)), Call(re.compile, ("x",), {"flags": 1}))
    gallery = Gallery({}, {"re": re, "json.decoder": json.decoder, "np": np, "tool": subprocess})
    assert gallery.text(calls) == 'Path("a", (1, 2.5), None)\nre.compile("x", flags=1)'
    assert list(gallery.lacking(calls)) == [Path]
    assert gallery.imports == "import re\nimport numpy as np\nimport subprocess as tool"


LACKING = """
from __future__ import annotations
import math
from collections.abc import Sequence
from typing import Any, Final

UNUSED: Final = 0


def doubled(value):
    return math.ldexp(value, 1)


class Base:
    def __init__(self, *sizes: Any) -> None:
        self.sizes: Sequence[Any] = sizes


class Own(Base):
    def value(self) -> float:
        return doubled(self.sizes[0])
"""


def test_what_a_framework_lacks_runs_as_it_is_printed(tmp_path, monkeypatch):
    (tmp_path / "own_layers.py").write_text(LACKING)
    monkeypatch.syspath_prepend(tmp_path)
    own = importlib.import_module("own_layers")

    class Layers(Shows):
        def run_layers(self, chain, network, params, images, *, train):
            layers = [call.evaluate() for call in chain]
            return {"output": images * layers[0].value()}

    shown = differs((Call(own.Base, (1,)),), (Call(own.Own, (2,)),))
    trap = replace(TRAP, ask=TRAPS["same-pooling"].ask)
    monkeypatch.setattr(own.Base, "value", lambda self: 1.0, raising=False)
    found = measure(Layers(flatten_order=shown), trap)
    assert found.corrected == "Own(2)"
    place = {}
    exec(f"{found.helper_imports}\n{found.helpers}\nlayer = {found.corrected}", place)
    assert place["layer"].value() == 4
    assert "import math" in found.helper_imports
    assert "Final" not in found.helper_imports + found.helpers
    report = TrapReport((TRAP,), (FrameworkTraps("shows", (found,)),))
    text = page_of(report, Asked()).partition("### In shows")[2]
    (code,) = re.findall(r"```python\n(.*?)\n```", text, re.DOTALL)
    exec(code, place := {})
    assert place["Own"](3).value() == 6
    head = code.partition("\n\n\n")[0].split("\n")
    assert head == ["import math", "from collections.abc import Sequence", "from typing import Any"]


def test_the_pages_layers_name_nothing_that_is_not_bound():
    """Above or in them; what a framework itself has is not looked up."""
    part = PAGE.partition("## Layers that a framework lacks")[2]
    for code in re.findall(r"```python\n(.*?)\n```", part, re.DOTALL):
        nodes = list(ast.walk(ast.parse(code)))
        bound = {each.asname or each.name.partition(".")[0] for each in nodes_of(nodes, ast.alias)}
        bound |= {each.arg for each in nodes_of(nodes, ast.arg)}
        bound |= {each.name for each in nodes_of(nodes, ast.ClassDef, ast.FunctionDef)}
        names = nodes_of(nodes, ast.Name)
        bound |= {each.id for each in names if isinstance(each.ctx, ast.Store)}
        assert {each.id for each in names} - bound - set(dir(builtins)) == set()


def nodes_of(nodes, *kinds):
    return [each for each in nodes if isinstance(each, kinds)]


# The library and the command ----------------------------------------------------------------------


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "googlenet", "traps", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=300,
    )


def test_the_keys_of_json():
    done = run("zero-padding", "flatten-order", "--framework", "example", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert set(answer) == {"version", "passed", "page", "frameworks", "traps"}
    assert answer["page"] is None
    (framework,) = answer["frameworks"]
    assert set(framework) == {"framework", "passed", "error", "imports", "versions", "seconds"}
    assert framework["imports"] == "import numpy as np\nfrom scipy import ndimage"
    assert [trap["name"] for trap in answer["traps"]] == ["zero-padding", "flatten-order"]
    for trap in answer["traps"]:
        texts = {"name", "title", "wrong", "why", "source", "measured"}
        assert set(trap) == {*texts, "frameworks"}
        (found,) = trap["frameworks"]
        keys = {each.name for each in fields(Found)}
        assert set(found) == keys | {"framework", "words", "as_expected"}
    first, second = (trap["frameworks"][0] for trap in answer["traps"])
    assert first["outcome"] == "differs"
    assert 1e-3 < first["error"] < 1
    assert "maximum_filter" in first["default"]
    assert "-np.inf" in first["corrected"]
    assert (second["outcome"], second["corrected"]) == ("agrees", "")


def test_the_function_returns_what_the_command_prints():
    report = googlenet.traps("zero-padding", "ex")
    assert isinstance(report, TrapReport)
    assert report.passed
    ((framework, found),) = report.of(report.traps[0])
    assert (framework.framework, found.trap) == ("example", "zero-padding")
    done = run("zero-padding", "--framework", "example")
    assert words(found) in done.stdout
    indented = "".join(f"    {line}\n" for line in found.corrected.split("\n"))
    assert indented in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["zero-pading"], "NAME: no trap 'zero-pading'; the nearest are zero-padding"),
        (["--framework", "torch"], r"framework 'torch': .*--python torch=PATH"),
        (["--framework", "numpy"], "framework 'numpy': its backend shows no traps"),
        (["--framework", "example", "--page", "traps.html"], "traps.html: .*ends in .md"),
        (["--framework", "example", "--page", "no/such.md"], "no/such.md: its folder"),
        (["--python", "torch=/no/python"], "--python: /no/python, given for 'torch'"),
        (["--python", "torch"], "--python: expected FRAMEWORK=PATH"),
    ],
)
def test_bad_input_is_one_line(arguments, message):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.match(f"googlenet: {message}", done.stderr), done.stderr
    assert done.stderr.count("\n") == 1


MENDED = (
    FORWARD
    + """
import numpy as np
from googlenet.backend.snippets import Gallery, agrees, differs, refuses


def right(images, weight):
    return images.reshape(2, -1) @ weight.reshape(7, -1).T


def wrong(images, weight):
    return 2 * right(images, weight)


def shown_traps():
    entries = {"flatten-order": ENTRY, "norm-variance": agrees(crash)}
    return Gallery(entries, {"np": np})


def run_function(function, arguments):
    return np.asarray(function(**arguments))


def crash(images):
    import os

    os._exit(7)


"""
)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            "differs(right, right)",
            "flatten-order: the plugin says that the framework differs, but here it agrees",
        ),
        ("differs(wrong, wrong)", "flatten-order: the right code is 1.0e+00 away"),
        ("differs(wrong, crash_softly)", "flatten-order: the right code failed: NameError"),
        ("differs(wrong)", "flatten-order: the right code failed: BackendError: the plugin gives"),
        (
            "refuses('ValueError: x', wrong, right)",
            "says that the framework refuses with 'ValueError: x', but here it differs;",
        ),
        (
            "refuses('ValueError: x', crash_softly, right)",
            "says that the framework refuses with 'ValueError: x', but here it refuses with:"
            " NameError: name 'nothing' is not defined;",
        ),
    ],
)
def test_what_is_not_as_known_is_said(site, entry, message):
    code = MENDED.replace("ENTRY", entry)
    code += "def crash_softly(images):\n    return nothing\n"
    plugin(site, "shows", code)
    done = run("flatten-order", "--framework", "shows", PYTHONPATH=os.environ["PYTHONPATH"])
    assert done.returncode == 1
    assert message in done.stdout


def test_a_framework_that_crashes_fails_by_itself(site):
    code = MENDED.replace("ENTRY", "differs(wrong, right)")
    plugin(site, "shows", code)
    plugin(site, "other", code.replace("os._exit(7)", "raise OSError"))
    report = googlenet.traps(["norm-variance", "flatten-order"], ["shows", "other"])
    shows, other = report.frameworks
    assert "exited with code 7" in shows.error
    assert (shows.found, report.passed) == ((), False)
    assert [each.outcome for each in other.found] == [Outcome.REFUSES, Outcome.DIFFERS]


def test_without_a_framework_the_traps_are_listed(site):
    plugin(site, "quiet")
    done = run()
    assert done.returncode == 0, done.stderr
    assert all(f" {trap.name} " in done.stdout for trap in TRAPS.values())
    assert "googlenet traps --python torch=torch-env/bin/python" in done.stdout


def test_without_a_framework_there_is_no_page(site, tmp_path):
    plugin(site, "quiet")
    done = run("--page", str(tmp_path / "traps.md"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert "traps.md: not written, since no framework that shows traps" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "traps.md").exists()


# The page -----------------------------------------------------------------------------------------


def test_a_page_is_written_whole(tmp_path):
    path = tmp_path / "traps.md"
    report = googlenet.traps(["zero-padding", "flatten-order"], "example", page=path)
    text = path.read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## zero-padding",
        "## flatten-order",
    ]
    for _, found in report.of(report.traps[0]):
        assert f"```python\n{found.default}\n```" in text
        assert f"| [zero-padding](#zero-padding) | {short(found)} |" in text
    assert report.page == str(path)
    assert list(tmp_path.iterdir()) == [path]


def called(text):
    """The call that a page shows, made with a function that returns its arguments."""
    (code,) = re.findall(r"```python\n(googlenet\.traps\(.*?\n\))\n```", text, re.DOTALL)
    assert max(map(len, code.split("\n"))) <= 100
    place = SimpleNamespace(traps=lambda *given, **named: (given, named))
    return eval(code, {"googlenet": place, "PATH": "PATH"})


def test_a_page_shows_the_call_that_made_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    many = [name for name in TRAPS if name.startswith(("norm", "same", "lrn", "average"))]
    for names, more in (
        (["zero-padding"], {"frameworks": ["example"], "page": "sub/own.md"}),
        (many, {"frameworks": ["example"], "page": "other.md", "timeout": 123.0}),
    ):
        googlenet.traps(names, **more)
        assert called(Path(more["page"]).read_text(encoding="utf-8")) == ((names,), more)
    path = tmp_path / "here.md"
    interpreters = {"example": sys.executable}
    googlenet.traps("zero-padding", "ex", interpreters=interpreters, page=path)
    text = path.read_text(encoding="utf-8")
    assert called(text) == (
        (["zero-padding"],),
        {"frameworks": ["example"], "interpreters": {"example": "PATH"}, "page": "here.md"},
    )
    assert str(tmp_path) not in text
    assert sys.executable not in text


def test_a_page_stays_as_it_is_if_a_framework_does_not_finish(site, tmp_path):
    code = MENDED.replace("ENTRY", "differs(wrong, right)")
    plugin(site, "shows", code)
    plugin(site, "fine", code.replace("os._exit(7)", "raise OSError"))
    path = tmp_path / "traps.md"
    for before in (None, "an earlier page"):
        if before is not None:
            path.write_text(before)
        asked = ("norm-variance", "flatten-order", "--framework", "shows", "--page", str(path))
        done = run(*asked, PYTHONPATH=os.environ["PYTHONPATH"])
        assert done.returncode == 1, done.stderr
        said = f"Page: {path} is not written, since shows did not finish"
        assert said in " ".join(done.stdout.split())
        assert [each.read_text() for each in tmp_path.glob("*.md")] == ([before] if before else [])
    report = googlenet.traps("norm-variance", ["fine", "shows"], page=path)
    assert (report.page, report.unfinished) == (None, ("shows",))
    assert path.read_text() == "an earlier page"


def sections():
    return dict(part.split("\n", 1) for part in PAGE.split("\n## ")[1:])


def test_the_page_has_every_trap_in_every_framework():
    names = [name for name in sections() if name in TRAPS]
    assert names == list(TRAPS)
    for name in names:
        text = " ".join(sections()[name].split())
        for part in (TRAPS[name].title, TRAPS[name].wrong, TRAPS[name].why, TRAPS[name].source):
            assert part in text, name
        rows = re.findall(r"<tr><td>\n\n\*\*(\w+)\*\*\n", sections()[name])
        assert rows == sorted(SHOWN), name
    header, *lines = re.findall(r"^\| (.*) \|$", PAGE, re.MULTILINE)
    assert header.split(" | ") == ["trap", *sorted(SHOWN)]
    assert len(lines) == len(TRAPS)
    assert not [line for line in lines if "failed" in line or "–" in line]


def test_the_page_was_written_with_the_tested_versions():
    (said,) = re.findall(r"^Versions: (.*)\.$", PAGE, re.MULTILINE)
    found = dict(each.split(" ") for each in said.split(", "))
    for name in SHOWN:
        pins = (ROOT / "constraints" / f"{name}.txt").read_text().split()
        pinned = dict(line.split("==") for line in pins)
        distribution = {"paddle": "paddlepaddle"}.get(name, name)
        assert found[name].partition("+")[0] == pinned[distribution].partition("+")[0]


def test_the_pages_functions_are_those_of_the_plugins():
    sources = {
        name: (ROOT / f"backends/{name}/src/googlenet_{name}/traps.py").read_text(encoding="utf-8")
        for name in SHOWN
    }
    seen = 0
    for name in TRAPS:
        for row in sections()[name].split("<tr><td>")[1:]:
            framework = re.search(r"\*\*(\w+)\*\*", row)[1]
            for code in re.findall(r"```python\n(def .*?)\n```", row, re.DOTALL):
                assert f"\n{code}\n" in sources[framework], (name, framework)
                seen += 1
    assert seen > 100


@pytest.mark.parametrize("name", SHOWN)
def test_shown_code_imports_nothing(name):
    """Above the entries, only the module's head has imports."""
    source = (ROOT / f"backends/{name}/src/googlenet_{name}/traps.py").read_text(encoding="utf-8")
    assert not re.search(r"^[ \t]+(import|from) ", source, re.MULTILINE)


def test_a_report_without_frameworks_has_passed():
    assert TrapReport((TRAP,), ()).passed
    assert not TrapReport((TRAP,), (FrameworkTraps("x", error="it crashed"),)).passed
