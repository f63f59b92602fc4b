"""`python -m tests.fuzz --count 20000 --seed 1`: hostile files of every format, tried one by one.

Exits with 1 if any of them did what it should not.
"""

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .harness import run
from .mutations import KINDS


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="how many files (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="what they are drawn from (default: 0)")
    parser.add_argument("--kind", action="append", choices=KINDS, help="only these; repeat it")
    parser.add_argument("--keep", type=Path, help="a folder for files that do what they should not")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args()
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("files", total=options.count)
        found = run(
            options.count,
            options.seed,
            kinds=tuple(options.kind or KINDS),
            keep=options.keep,
            report=lambda done: progress.update(task, completed=done),
        )
    if options.json:
        print(json.dumps(found.to_json(), indent=2))
    else:
        for finding in found.findings:
            print(
                f"{finding['kind']} {finding['index']}: {', '.join(finding['faults'])}"
                f" {finding['escaped'] or ''}"
            )
        print(
            f"tried {found.tried}, escaped {found.escaped}, hung {found.hung}, over the budget"
            f" {found.over_budget}, executed {found.executed}, left behind {found.left_behind};"
            f" at most {found.most_bytes / 1e6:.0f} MB and {found.most_seconds:.1f} s a file,"
            f" {found.seconds:.0f} s in all"
        )
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
