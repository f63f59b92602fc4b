"""The exact proof of every network in one framework: `python benchmarks/exact.py torch`.

Each network is drawn as `googlenet parity --exact` draws it, and every bit of its outputs,
gradients and training steps is compared; with `--compiled` also those of the framework's compiled
forms. With `--problems DIR` the drawn problems are kept there, for the next framework. Prints a
table, or with `--json` JSON; exits with 1 if a value differs.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import googlenet
from googlenet.actions.parity import exact_network
from googlenet.architectures import NETWORKS
from googlenet.proof.exact.compare import compare_exact
from googlenet.proof.exact.files import load_exact, save_exact
from googlenet.proof.exact.problem import draw_problem


def drawn(name, folder):
    """The exact problem of a network, from `folder` if it is there, and the seconds that drawing it
    took.
    """
    place, took = folder / name, folder / name / "seconds.json"
    if not took.exists():
        place.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        aux = name == "googlenet_paper"  # whose heads are half of what the paper trains
        spec = googlenet.get_network(name, aux=aux)
        exact = draw_problem(exact_network(name, spec, None, None, aux, None))
        save_exact(place, exact)
        took.write_text(json.dumps(time.perf_counter() - start))
    return load_exact(place), json.loads(took.read_text())


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("framework")
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--problems", type=Path, metavar="DIR")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    backend = googlenet.get_backend(given.framework)
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        for name in given.only:
            try:
                exact, drawing = drawn(name, given.problems or Path(temporary))
            except googlenet.SpecError as error:
                missing = {"network": name, "not_drawn": str(error)}
                print(json.dumps(missing) if given.json else error, flush=True)
                continue
            start = time.perf_counter()
            found = compare_exact(backend, exact, compiled=given.compiled)
            seconds = time.perf_counter() - start
            wrong += found.differences
            network = exact.problem.network
            answer = {
                "framework": given.framework,
                "network": name,
                "input_shape": list(network.input_shape),
                "attempts": exact.attempts,
                "seconds_to_draw": round(drawing, 1),
                "seconds": round(seconds, 1),
                **found.to_json(),
            }
            if given.json:
                print(json.dumps(answer), flush=True)
                continue
            size = "×".join(map(str, network.input_shape))
            what = f"{found.differences:,} of {found.count:,} values differ"
            what = found.unfit or f"{what} ({', '.join(found.values)})"
            print(
                f"{given.framework}: {name} {size}: {what}; drawn in {drawing:.1f} s"
                f" ({exact.attempts} attempts), compared in {seconds:.1f} s",
                flush=True,
            )
            if found.first is not None:
                print(f"  first: {found.first}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
