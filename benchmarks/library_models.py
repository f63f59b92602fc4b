"""The classes of libraries, checked as users' own models are: each against the network of the same
name here, in the library's dialect.

`python benchmarks/library_models.py LIBRARY ...`, in an environment that has the library and the
plugin of its framework: torchvision and timm, keras, paddle, gluon and gluoncv, or mindcv. Prints a
row a model: the verdict, the number of layers and trained numbers, what is written differently, and
the seconds. Exits with 1 if a model is not the same function. `--json FILE` keeps the rows, and
`--docs FILE` writes those of all JSON files given into the table of a page:

    python benchmarks/library_models.py --json torch.json torchvision timm
    python benchmarks/library_models.py --docs docs/check.md torch.json keras.json ...

Nothing is downloaded: weights are drawn. Models with auxiliary heads are those that give their
outputs in evaluation mode as well.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from zoo_models import LIBRARIES, MODELS

FRAMEWORKS = {
    "torchvision": "torch",
    "timm": "torch",
    "keras": "tensorflow",
    "paddle": "paddle",
    "gluon": "mxnet",
    "gluoncv": "mxnet",
    "mindcv": "mindspore",
}
MARKERS = ("<!-- libraries -->", "<!-- /libraries -->")


def checked(designator: str) -> dict[str, Any]:
    """What a check says of one model."""
    import googlenet

    library, _, name = designator.removesuffix("+aux").partition(":")
    model = MODELS[designator]
    load, _ = LIBRARIES[library]
    native, *_ = load(name, model, np.random.default_rng(0))
    shape = (3, *model.sizes[0])
    start = time.perf_counter()
    found = googlenet.check(
        native, FRAMEWORKS[library], against=f"{library}:{name}", input_shape=shape
    )
    seconds = time.perf_counter() - start
    return {
        "model": designator,
        "framework": FRAMEWORKS[library],
        "input_shape": list(shape),
        "verdict": found.verdict,
        "proved": found.proved,
        "parameters": found.parameters[0],
        "differences": [each.words for each in found.differences],
        "mentions": [each.words for each in found.mentions],
        "reason": found.reason,
        "seconds": round(seconds, 1),
    }


def names(library: str) -> list[str]:
    """The models of a library that give all of their outputs in evaluation mode; or one of them."""
    if library in MODELS:
        return [library]
    return [
        each
        for each, model in MODELS.items()
        if each.partition(":")[0] == library and not model.training_only
    ]


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as they stand in a page."""
    lines = [
        "| class | images | trained numbers | verdict | written differently |",
        "|---|---|---|---|---|",
    ]
    for each in rows:
        size = "×".join(map(str, each["input_shape"]))
        words = "; ".join((*each["differences"], *each["mentions"])) or "nothing"
        lines.append(
            f"| `{each['model']}` | {size} | {each['parameters']:,} | {each['verdict']} | {words} |"
        )
    return "\n".join(lines)


def write(page: Path, rows: list[dict[str, Any]]) -> None:
    """Put the table between the markers of a page."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(MARKERS[0])
    _, _, after = rest.partition(MARKERS[1])
    if not after:
        sys.exit(f"{page}: has no {MARKERS[0]} … {MARKERS[1]}")
    page.write_text(f"{before}{MARKERS[0]}\n{table(rows)}\n{MARKERS[1]}{after}", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="+", metavar="LIBRARY", help="libraries or their models; or JSON files"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--docs", type=Path, metavar="FILE")
    given = parser.parse_args()
    if given.docs is not None:
        files = [json.loads(Path(each).read_text(encoding="utf-8")) for each in given.names]
        rows = {row["model"]: row for file in files for row in file}
        write(given.docs, [rows[each] for each in MODELS if each in rows])
        return 0
    rows = []
    for designator in [each for library in given.names for each in names(library)]:
        row = checked(designator)
        rows.append(row)
        print(
            f"{row['model']:<28}{row['verdict']:<11}{row['seconds']:>6.1f} s"
            f"{row['parameters']:>14,}  {row['reason']}"
        )
        for words in (*row["differences"], *row["mentions"]):
            print(f"  - {words}")
        if given.json is not None:
            given.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 0 if all(row["verdict"] == "same" for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
