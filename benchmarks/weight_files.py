"""Every kind of weights file that people have, read, and run in every framework: `python
benchmarks/weight_files.py --python torch=PATH --python tensorflow=PATH ...`.

The libraries write the files (`weights_made/`), each framework's in its own interpreter; what is
not installed there is left out. Each file is converted as the command does it, and what comes out
is run in every framework: a row has the largest |a − b| of the logits of two images, in the
standard deviation of the library's own, or why the file was refused. Files that give the same
network and the same bits of weights are run once. Exits with 1 unless every file ends as it must,
those that are right within `LIMIT`.

`--docs FILE` puts the table between two lines of a page, `--json FILE` keeps the rows, `--path
X=PATH` is where further libraries are, `--only X` takes one framework's files.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import googlenet
from googlenet.weights.files import read_safetensors
from googlenet.weights.formats import read_weights_file
from googlenet.weights.zoo import reopen_weights

HERE = Path(__file__).resolve().parent
LIMIT = 1e-4
#: What writes files, and what runs them.
MAKERS = ("none", "torch", "tensorflow", "mxnet", "paddle", "mindspore")
FRAMEWORKS = ("numpy", *MAKERS[1:])
MARKERS = ("<!-- files -->", "<!-- /files -->")


def run(framework: str, folder: Path, wanted: Path) -> None:
    """In a framework's interpreter: the distances of what `wanted` lists, as JSON on stdout."""
    backend, found = googlenet.get_backend(framework), {}
    for key, name in json.loads(wanted.read_text()).items():
        with np.load(folder / f"{name}.npz") as held:
            images, expected = held["images"], held["logits"]
        opened = reopen_weights(read_weights_file(folder / f"{key}.safetensors"))
        model = backend.build(opened.network, opened.params)
        logits = backend.forward(model, images)["logits"]
        found[key] = float(np.abs(logits - expected).max() / expected.std())
    print(json.dumps(found))


class Bench:
    """Where things are: interpreters, paths of libraries, and a folder."""

    def __init__(self, pythons: dict[str, str], paths: dict[str, str], folder: Path) -> None:
        self.pythons, self.paths, self.folder = pythons, paths, folder

    def call(self, framework: str, *arguments: str) -> str:
        """What a command in a framework's interpreter prints on stdout."""
        places = [
            str(HERE.parent),
            str(HERE),
            os.environ.get("PYTHONPATH"),
            self.paths.get(framework),
        ]
        path = os.pathsep.join(filter(None, places))
        done = subprocess.run(
            [self.pythons.get(framework, sys.executable), *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        if done.returncode:
            sys.exit(f"{framework}: {' '.join(arguments)} ended with {done.returncode}")
        return done.stdout

    def rows(self, maker: str) -> Iterator[dict[str, Any]]:
        """The rows of one framework's files."""
        folder = self.folder / maker
        self.call(maker, "-m", "weights_made", maker, str(folder))
        rows = json.loads((folder / "rows.json").read_text())
        wanted: dict[str, str] = {}
        for row in rows:
            self.convert(row, folder, wanted)
        (folder / "wanted.json").write_text(json.dumps(wanted))
        distances: dict[str, dict[str, float]] = {}
        for framework in FRAMEWORKS if wanted else ():
            if framework == "numpy" or framework in self.pythons:
                script = (str(HERE / "weight_files.py"), "--run", framework)
                told = self.call(framework, *script, str(folder), str(folder / "wanted.json"))
                distances[framework] = json.loads(told.splitlines()[-1])
        for row in rows:
            key = row.pop("key_of_run", None)
            if key is not None:
                row["distances"] = {name: found[key] for name, found in distances.items()}
            row["right"] = ends_well(row)
            yield row

    def convert(self, row: dict[str, Any], folder: Path, wanted: dict[str, str]) -> None:
        """Convert the file of `row`, which then has what came of it, as the command would."""
        target = folder / "converted.safetensors"
        given = ("key", "head", "channels", "own_framework")
        options = {name: row[name] for name in given if name in row}
        if "own_framework" in row:
            options["interpreters"] = self.pythons
        with np.load(folder / f"{row['base']}.npz") as held:
            options["input_size"] = held["images"].shape[2:]
        try:
            found = googlenet.convert(folder / row["file"], target, model=row["model"], **options)
        except googlenet.GoogLeNetError as error:
            row["error"] = str(error).replace(f"{folder}{os.sep}", "")
            return
        row["format"], row["name"] = found.format, found.network.name
        arrays, _ = read_safetensors(target)
        state = hashlib.sha256(repr((found.network, row["base"])).encode())
        for name in sorted(arrays):
            state.update(name.encode() + arrays[name].tobytes())
        key = state.hexdigest()[:16]
        target.replace(folder / f"{key}.safetensors")
        wanted[key] = row["base"]
        row["key_of_run"] = key


def ends_well(row: dict[str, Any]) -> bool:
    """Whether a file ended as it must: refused in the words that name why, or right."""
    if "refused" in row:
        return "error" in row and row["refused"] in row["error"]
    return "error" not in row and max(row["distances"].values()) <= LIMIT


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The rows as lines of Markdown."""
    lines = ["| file | who wrote it | told to `--from` | what comes of it |", "|---|---|---|---|"]
    for row in rows:
        model = "" if row["model"] is None else f"`{row['model'].rpartition('/')[2]}`"
        if "error" in row:
            end = "refused: " + row["error"].split("; ")[0].replace("|", "\\|")
        else:
            name = f"`{row['name']}`, " if row["model"] is None else ""
            end = f"{name}{max(row['distances'].values()):.1e}"
        kind = f"`{Path(row['file']).name}`: {row['what']}"
        lines.append(f"| {kind} | {row['writer']} | {model} | {end} |")
    return lines


def main() -> int:
    """Print a row a file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", action="append", default=[], metavar="X=PATH")
    parser.add_argument("--path", action="append", default=[], metavar="X=PATH")
    parser.add_argument("--only", action="append", choices=MAKERS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--docs", type=Path)
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        run(given.run[0], Path(given.run[1]), Path(given.run[2]))
        return 0
    pythons, paths = (
        dict(each.split("=", 1) for each in both) for both in (given.python, given.path)
    )
    rows = []
    for maker in given.only or MAKERS:
        if maker == "none" or maker in pythons:
            with tempfile.TemporaryDirectory(prefix="googlenet-files-") as folder:
                for row in Bench(pythons, paths, Path(folder)).rows(maker):
                    rows.append(row)
                    print(f"{'' if row['right'] else 'WRONG '}{table([row])[-1]}", flush=True)
            if given.json:
                given.json.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
    if given.docs:
        text = given.docs.read_text(encoding="utf-8")
        start, end = (text.index(marker) for marker in MARKERS)
        lines = "\n".join(["", *table(rows), ""])
        given.docs.write_text(
            text[: start + len(MARKERS[0])] + lines + text[end:], encoding="utf-8"
        )
    return 0 if all(row["right"] for row in rows) else 1


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
