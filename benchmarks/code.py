"""Every network as `googlenet code` prints it, run without this project: `python benchmarks/code.py
torch`.

Each designator's source is written to a file, and imported in a process that has the framework
alone and was started for it and a few others (--batch). It loads the native weights file that
`save` wrote, with the framework's own loader. Its parameters, their names, and every bit of its
outputs must be those of the model that `get_model` gives; exits with 1 if one is not. With --json
the rows are JSON; --only names some designators, and --out FILE keeps the rows.

`python benchmarks/code.py --page FILE ...` writes the table of docs/code.md from such files.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import googlenet  # noqa: E402
from googlenet.architectures import designators  # noqa: E402
from googlenet.backend.discovery import framework_version  # noqa: E402
from googlenet.source.write import write  # noqa: E402
from googlenet.weights.samples import random_images, random_params  # noqa: E402
from tests.frameworks.written import differing, prepare  # noqa: E402

PAGE = ROOT / "docs" / "code.md"
MARKERS = ("<!-- table -->", "<!-- /table -->")
RUN = ROOT / "tests" / "frameworks" / "written.py"


def heads(name):
    """Whether a network has auxiliary heads."""
    try:
        googlenet.get_network(name, aux=True)
    except googlenet.UnknownNameError:
        return False
    return True


def written(cases, framework, folder):
    """The rows of some networks, given as (designator, whether with heads): their sources written,
    run in one new process, and compared with the native models.
    """
    backend = googlenet.get_backend(framework)
    rows, folders = [], []
    for i, (name, aux) in enumerate(cases):
        network = googlenet.get_network(name, aux=aux)
        source = write(network, backend)
        folders.append(folder / f"{i}")
        folders[-1].mkdir()
        params, images = random_params(network), random_images(network)[:2]
        expected = prepare(folders[-1], source, backend, network, params, images)
        row = {
            "network": f"{name}{' with aux' if aux else ''}",
            "lines": len(source.text.splitlines()),
            "parameters": googlenet.count_parameters(network),
        }
        rows.append((row, expected))
    done = subprocess.run(
        [sys.executable, str(RUN), framework, *map(str, folders)], capture_output=True, text=True
    )
    if done.returncode:
        print(done.stderr[-3000:], file=sys.stderr)
    return [compared(row, *expected, at) for (row, expected), at in zip(rows, folders, strict=True)]


def compared(row, about, arrays, folder):
    """The row of a network with what its run in `folder` gave beside what its native model is."""
    if not (folder / "written.json").exists():
        return {**row, "same": False, "error": "it did not run"}
    same = json.loads((folder / "written.json").read_text()) == about
    count, values = differing(folder, arrays)
    found = {"same_names_and_parameters": same, "values": values, "differing": count}
    return {**row, **found, "same": same and not count}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("framework", nargs="?")
    parser.add_argument("--only", nargs="*", help="designators, by default all")
    parser.add_argument("--batch", type=int, default=4, help="networks that share a process")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--page", nargs="*", type=Path)
    options = parser.parse_args()
    if options.page:
        write_page([json.loads(path.read_text()) for path in options.page])
        return
    rows, started = [], time.perf_counter()
    names = options.only or designators()
    cases = [(name, aux) for name in names for aux in ([False, True] if heads(name) else [False])]
    for first in range(0, len(cases), options.batch):
        with tempfile.TemporaryDirectory(prefix="googlenet-code-") as folder:
            batch = cases[first : first + options.batch]
            found = written(batch, options.framework, Path(folder))
        rows += found
        if not options.json:
            for row in found:
                print(*row.values(), sep="\t", flush=True)
    version = framework_version(options.framework)
    seconds = round(time.perf_counter() - started)
    answer = {"framework": options.framework, "version": version, "seconds": seconds, "rows": rows}
    text = json.dumps(answer, indent=2)
    if options.json:
        print(text)
    if options.out is not None:
        options.out.write_text(text + "\n")
    sys.exit(0 if all(row["same"] for row in rows) else 1)


def write_page(answers):
    """Write the table: for each network its lines in every framework, all of whose rows agree."""
    answers.sort(key=lambda answer: answer["framework"])
    wrong = [row for answer in answers for row in answer["rows"] if not row["same"]]
    assert not wrong, wrong
    frameworks = [answer["framework"] for answer in answers]
    rows = [
        "| network | parameters | " + " | ".join(frameworks) + " |",
        "|---|" + "---:|" * (len(frameworks) + 1),
    ]
    for same in zip(*(answer["rows"] for answer in answers), strict=True):
        (network,) = {row["network"] for row in same}
        (parameters,) = {row["parameters"] for row in same}
        lines = " | ".join(str(row["lines"]) for row in same)
        rows.append(
            f"| `{network.replace(' with', '` with')}{'' if ' with' in network else '`'} |"
            f" {parameters:,} | {lines} |"
        )
    text = PAGE.read_text(encoding="utf-8")
    start, end = (text.index(marker) for marker in MARKERS)
    table = "\n".join(["", "", *rows, "", ""])
    PAGE.write_text(text[: start + len(MARKERS[0])] + table + text[end:], encoding="utf-8")


if __name__ == "__main__":
    main()
