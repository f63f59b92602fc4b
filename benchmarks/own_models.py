"""How well `googlenet check` explains mistakes in users' own models: `python
benchmarks/own_models.py --framework torch --count 60`.

Right code of GoogLeNet in several styles is edited in one place, drawn by `--seed`, and run: is it
found, is the layer of the first difference right, and the cause? Besides, the mistakes that books
shipped, in every style; and right code, which must be the same. Exits with 1 if a mistake is not
found, or if right code is called different or unclear.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from own_code.edits import KINDS, Case, bugs, drawn, right
from own_code.plan import SIDE

import googlenet
from googlenet import GoogLeNetError


def words(framework: str) -> Any:
    """What writes code of a framework."""
    return importlib.import_module(f"own_code.{framework}").WORDS()


def styled(framework: str, cases: Iterable[Case]) -> Iterator[tuple[Case, str]]:
    """Each case in a style, the styles in turn."""
    made = words(framework)
    for number, case in enumerate(cases):
        first = number + number // len(made.STYLES)
        styles = [made.STYLES[(first + more) % len(made.STYLES)] for more in range(4)]
        yield case, next(style for style in styles if made.can(case.plan, style))


def sample(framework: str, seed: int, count: int) -> list[tuple[Case, str]]:
    """So many edits in a style, each of another kind, the kinds drawn."""
    every = list(styled(framework, drawn(seed, len(KINDS))))
    return Random(seed).sample(every, count)


def load(framework: str, case: Case, style: str, folder: Path) -> Any:
    """The user's model from a file of its own, as a user's is."""
    code = words(framework).write(case.plan, style)
    file = folder / f"user_{len(list(folder.iterdir()))}.py"
    file.write_text(code, encoding="utf-8")
    found = importlib.util.spec_from_file_location(file.stem, file)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[file.stem] = module  # where MindSpore looks for the source
    if framework == "mxnet":  # what an earlier file set for the whole process
        importlib.import_module("mxnet").npx.reset_np()
    found.loader.exec_module(module)
    return module.net


def judged(framework: str, case: Case, style: str, folder: Path) -> dict[str, Any]:
    """What a check says of a case, and how much of it is right."""
    start = time.perf_counter()
    answer: dict[str, Any] = {
        "kind": case.kind,
        "words": case.words,
        "network": case.network,
        "style": style,
        "expected": {
            "paths": sorted(case.paths),
            "causes": sorted(each.value for each in case.causes),
        },
    }
    shape = (1, SIDE, SIDE)
    try:
        model = load(framework, case, style, folder)
        found = googlenet.check(model, framework, against=case.network, input_shape=shape)
    except GoogLeNetError as error:
        answer |= {"verdict": "unclear", "reason": str(error), "told": []}
        answer |= {"found": False, "layer": False, "cause": False, "divergence": False}
        return answer | {"proved": False, "alone": False}
    finally:
        for name in [each for each in sys.modules if each.startswith("user_")]:
            del sys.modules[name]  # else it keeps the model alive
    told = found.differences
    first = found.first_divergence
    where = [each for each in told if each.path in case.paths]
    answer |= {
        "verdict": found.verdict,
        "reason": found.reason,
        "told": [each.words for each in told],
        "found": found.verdict == "different",
        "layer": bool(told) and told[0].path in case.paths,
        "cause": any(each.cause in case.causes for each in where),
        "divergence": first is not None and any(first.path.startswith(p) for p in case.paths),
        "proved": found.proved,
        "alone": len(told) == 1,
        "seconds": round(time.perf_counter() - start, 2),
    }
    if case.right:
        answer["found"] = found.verdict == "same"
    return answer


def counts(answers: list[dict[str, Any]]) -> dict[str, int]:
    """How many are right in each respect."""
    found = Counter({"all": len(answers)})
    for each in answers:
        found.update(
            name
            for name in ("found", "layer", "cause", "divergence", "proved", "alone")
            if each[name]
        )
    return dict(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--framework", default="torch")
    parser.add_argument("--count", type=int, default=60, help="number of edits (default: 60)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=("edits", "bugs", "right"))
    parser.add_argument("--kinds", nargs="*", help="these kinds of edits alone")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", type=Path, help="a folder for the code that is written")
    given = parser.parse_args()
    only = given.only or ("edits", "bugs", "right")
    styles = words(given.framework).STYLES
    groups: dict[str, list[tuple[Case, str]]] = {}
    if "edits" in only:
        made = styled(given.framework, drawn(given.seed, given.count))
        groups["edits"] = [each for each in made if not given.kinds or each[0].kind in given.kinds]
    if "bugs" in only:
        groups["bugs"] = [(case, style) for case in bugs() for style in styles]
    if "right" in only:
        groups["right"] = [
            (case, style)
            for case in right()
            for style in styles
            if words(given.framework).can(case.plan, style)
        ]
    answers: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name, cases in groups.items():
            answers[name] = []
            for case, style in cases:
                answers[name].append(judged(given.framework, case, style, folder))
                if sys.stderr.isatty():
                    print(f"\r{name} {len(answers[name])}/{len(cases)}", end="", file=sys.stderr)
    _show(given.framework, answers, given.json)
    wrong = [each for group in answers.values() for each in group if not each["found"]]
    return 1 if wrong else 0


def _show(framework: str, answers: dict[str, list[dict[str, Any]]], as_json: bool) -> None:
    found = {name: counts(group) for name, group in answers.items()}
    missed = [
        {"group": name, **each}
        for name, group in answers.items()
        for each in group
        if not each["found"] or (name != "right" and not (each["layer"] and each["cause"]))
    ]
    if as_json:
        answer = {"framework": framework, "counts": found, "missed": missed, "answers": answers}
        print(json.dumps(answer, indent=2))
        return
    print(f"{framework:<14}{'all':>6}{'found':>7}{'layer':>7}{'cause':>7}{'proved':>8}{'alone':>7}")
    for name, count in found.items():
        row = [count.get(each, 0) for each in ("all", "found", "layer", "cause", "proved", "alone")]
        if name == "right":
            row[2:] = []
        print(
            f"{name:<14}"
            + "".join(f"{each:>{w}}" for each, w in zip(row, (6, 7, 7, 7, 8, 7), strict=False))
        )
    for each in missed:
        print(f"\n{each['group']}, {each['style']}, {each['kind']}: {each['words']}")
        print(f"  expected {each['expected']['causes']} at {each['expected']['paths']}")
        print(f"  {each['verdict']}. {each['reason']}")
        for line in each["told"][:4]:
            print(f"  - {line}")


if __name__ == "__main__":
    sys.exit(main())
