"""Every network as `googlenet code` prints it, run without this project: `python benchmarks/code.py
torch`.

Each designator's source is written to a file, and imported in a new process that has the framework
alone. It loads the native weights file that `save` wrote, with the framework's own loader. Its
parameters, their names, and every bit of its outputs must be those of the model that `get_model`
gives; exits with 1 if one is not. With --json the rows are JSON; --only names some designators.
"""

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import googlenet  # noqa: E402
from googlenet.architectures import designators  # noqa: E402
from googlenet.source.write import write  # noqa: E402
from googlenet.weights.samples import random_images, random_params  # noqa: E402

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
    helpers = importlib.import_module("tests.frameworks.written")
    native = importlib.import_module(f"tests.native.described.{framework}")
    backend = googlenet.get_backend(framework)
    network = googlenet.get_network(name, aux=aux)
    source = write(network, backend)
    (folder / "written.py").write_text(source.text, encoding="utf-8")
    model = backend.build(network, random_params(network))
    suffix = backend.file_suffix
    weights = f"weights{suffix if isinstance(suffix, str) else suffix[0]}"
    backend.save(model, folder / weights)
    images = random_images(network)[:2]
    np.save(folder / "images.npy", images)
    (folder / "about.json").write_text(json.dumps({"name": source.name, "weights": weights}))
    model = native.evaluating(model)
    expected = helpers.outputs(native, model, images)
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(RUN), framework, str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        print(done.stderr[-3000:], file=sys.stderr)
        return {"network": name, "error": done.stderr.strip().splitlines()[-1:]}
    found = np.load(folder / "written.npz")
    about = json.loads((folder / "written.json").read_text())
    pairs = list(zip(expected, found.values(), strict=True))
    return {
        "network": f"{name}{' with aux' if aux else ''}",
        "lines": len(source.text.splitlines()),
        "columns": max(map(len, source.text.splitlines())),
        "parameters": googlenet.count_parameters(network),
        "same_parameters": about["parameters"] == native.count(model),
        "same_names": about["names"] == helpers.names(native, model),
        "values": sum(array.size for array, _ in pairs),
        "differing": sum(int((a.view(np.int32) != b.view(np.int32)).sum()) for a, b in pairs),
        "seconds": round(time.perf_counter() - started, 1),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("framework")
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    names = options.only or designators()
    for name, aux in [(n, a) for n in names for a in ([False, True] if heads(n) else [False])]:
        with tempfile.TemporaryDirectory(prefix="googlenet-code-") as folder:
            rows.append(written(name, options.framework, Path(folder), aux))
        if not options.json:
            print(*rows[-1].values(), sep="\t", flush=True)
    if options.json:
        print(json.dumps({"framework": options.framework, "rows": rows}, indent=2))
    good = [
        row.get("differing") == 0 and row["same_parameters"] and row["same_names"] for row in rows
    ]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
