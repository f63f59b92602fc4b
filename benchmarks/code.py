"""Every network as `googlenet code` prints it, run without this project: `python benchmarks/code.py
torch`.

Each designator's source is written to a file, and imported in a new process that has the framework
alone. It loads the native weights file that `save` wrote, with the framework's own loader. Its
parameters, their names, and every bit of its outputs must be those of the model that `get_model`
gives; exits with 1 if one is not. With --json the rows are JSON; --only names some designators, and
--out FILE keeps the rows. `python benchmarks/code.py --page FILE ...` writes the table of
docs/code.md from such files.
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


def written(name, framework, folder, aux):
    """The row of a designator: its source written, run, and compared with the native model."""
    backend = googlenet.get_backend(framework)
    network = googlenet.get_network(name, aux=aux)
    source = write(network, backend)
    images = random_images(network)[:2]
    about, expected = prepare(folder, source, backend, network, random_params(network), images)
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(RUN), framework, str(folder)], capture_output=True, text=True
    )
    row = {
        "network": f"{name}{' with aux' if aux else ''}",
        "lines": len(source.text.splitlines()),
        "parameters": googlenet.count_parameters(network),
        "seconds": round(time.perf_counter() - started, 1),
    }
    if done.returncode:
        print(done.stderr[-3000:], file=sys.stderr)
        return {**row, "error": done.stderr.strip().splitlines()[-1:], "same": False}
    found = json.loads((folder / "written.json").read_text())
    count, values = differing(folder, expected)
    same = {"same_names_and_parameters": found == about}
    return {
        **row,
        **same,
        "values": values,
        "differing": count,
        "same": not count and found == about,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("framework", nargs="?")
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--page", nargs="*", type=Path)
    options = parser.parse_args()
    if options.page:
        write_page([json.loads(path.read_text()) for path in options.page])
        return
    rows = []
    names = options.only or designators()
    for name, aux in [(n, a) for n in names for a in ([False, True] if heads(n) else [False])]:
        with tempfile.TemporaryDirectory(prefix="googlenet-code-") as folder:
            rows.append(written(name, options.framework, Path(folder), aux))
        if not options.json:
            print(*rows[-1].values(), sep="\t", flush=True)
    version = framework_version(options.framework)
    answer = {"framework": options.framework, "version": version, "rows": rows}
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
