"""Imported weights give what the library that made them gives: every model of `zoo_models.py`,
converted, in every framework.

    python benchmarks/zoo.py --zoo torchvision=PYTHON --zoo keras=PYTHON ... --python torch=PYTHON
    --python mxnet=PYTHON ...

A library's interpreter makes random weights and the outputs for two images at two sizes, `googlenet
convert` imports the weights, and each framework's interpreter runs the network that the file names.
The NumPy reference always runs, in this interpreter unless another is given. An error is the
largest |a - b| of an output in the standard deviation of the library's; exits with 1 if one is
above `LIMIT`. Give --zoo and --python as often as needed; models of libraries that are not given
are left out. With --keep nothing that FOLDER has is computed again, unless what it was made from is
newer.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
from zoo_models import CLASSES, MODELS

#: Right ports stay below 2e-5; the smallest mistake of `--wrong`, the border of
#: Inception-ResNet-v2's average pool, costs 1e-2.
LIMIT = 1e-4
FRAMEWORKS = ("numpy", "torch", "tensorflow", "mxnet", "paddle", "mindspore")
HERE = Path(__file__).resolve()
#: The references of one model, `224x224.npz` and so on.
SIZES = "[0-9]*x[0-9]*.npz"
MARKERS = ("<!-- table -->", "<!-- /table -->")


# In a framework's interpreter ---------------------------------------------------------------------


def worker(folder, framework, wrong=False):
    """Write the outputs of `framework` at every size to FRAMEWORK.npz in `folder`, and to
    FRAMEWORK.json how it went.

    With `wrong` the weights are given to other networks instead, and the files are called WRONG:
    see `wrong_networks`.
    """
    import googlenet
    from googlenet.backend.discovery import framework_version
    from googlenet.weights.files import read_safetensors

    params, metadata = read_safetensors(folder / "converted.safetensors")
    backend = googlenet.get_backend(framework)
    found = {}
    for path in sorted(folder.glob(SIZES)):
        images = np.load(path)["images"]
        arguments = {
            "num_classes": CLASSES,
            "input_shape": images.shape[1:],
            "aux": "," in metadata["outputs"],
        }
        network = googlenet.get_network(metadata["network"], **arguments)
        for prefix, each in wrong_networks(network, arguments) if wrong else [("", network)]:
            fitting = fitted(each, params) if wrong else params
            if fitting is not None:
                outputs = backend.forward(backend.build(each, fitting), images)
                found |= {f"{prefix}{path.stem}/{name}": values for name, values in outputs.items()}
    target = folder / ("WRONG" if wrong else framework)
    np.savez(f"{target}.npz", **found)
    versions = {
        framework: framework_version(framework),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    answer = {
        "network": metadata["network"],
        "versions": {"googlenet": googlenet.__version__, **versions},
    }
    Path(f"{target}.json").write_text(json.dumps(answer))
    sys.stdout.flush()
    os._exit(0)  # some frameworks crash while they unload


def wrong_networks(network, arguments):
    """What one could take `network` for: the other dialects of its name, and itself with one detail
    changed; each with its name.
    """
    import googlenet
    from googlenet.architectures import DIALECTS
    from googlenet.spec.serial import from_json, to_json

    base = network.name.partition(":")[2]
    for name in (base, *(f"{dialect}:{base}" for dialect in DIALECTS[base])):
        if name != network.name:
            with suppress(googlenet.ShapeError):  # too small for it
                yield f"{name}/", googlenet.get_network(name, **arguments)
    for what, change in DETAILS.items():
        layers = _changed(to_json(network), change)
        if layers != to_json(network):
            yield f"{what}/", from_json(layers)


#: One detail of a layer, given as in JSON: what is other than it should be.
DETAILS = {
    "itself, eps 1e-5 and 1e-3 swapped": lambda layer: (
        {"eps": 1e-5 if layer["eps"] == 1e-3 else 1e-3} if layer["kind"] == "BatchNorm" else {}
    ),
    "itself, padding of average pools counted differently": lambda layer: (
        {"count_include_pad": not layer["count_include_pad"]}
        if layer["kind"] == "AvgPool" and np.any(layer["padding"])
        else {}
    ),
    "itself, dropout without its factor in evaluation": lambda layer: (
        {"factor": 1.0} if layer["kind"] == "Scale" else {}
    ),
    "itself, pools rounding down": lambda layer: (
        {"ceil_mode": False} if layer["kind"] == "MaxPool" else {}
    ),
}


def _changed(value, change):
    if isinstance(value, list):
        return [_changed(each, change) for each in value]
    if not isinstance(value, dict):
        return value
    value = {key: _changed(each, change) for key, each in value.items()}
    return value | change(value) if "kind" in value else value


def fitted(network, params):
    """`params` as those of `network`, with scales of 1 and biases of 0 where it has more; None if
    one is too many or misshapen.
    """
    from googlenet import ShapeError, param_specs

    try:
        specs = param_specs(network)
    except ShapeError:
        return None
    if any(path not in specs or specs[path].shape != array.shape for path, array in params.items()):
        return None
    missing = {
        path: np.full(spec.shape, spec.name == "weight", np.float32)
        for path, spec in specs.items()
        if path not in params
    }
    if any(
        array.ndim > 1 or path.endswith(("running_mean", "running_var"))
        for path, array in missing.items()
    ):
        return None
    return params | missing


# In this interpreter ------------------------------------------------------------------------------


class StepError(Exception):
    """A process failed; the message is its last words."""


def step(what, command, target, *sources):
    """Run `command`, which makes `target`, unless that is there and newer than all `sources`."""
    if target.exists() and all(
        target.stat().st_mtime_ns >= source.stat().st_mtime_ns for source in sources
    ):
        return
    target.unlink(missing_ok=True)
    print(f"  {what}", file=sys.stderr, flush=True)
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    threads = {
        "OMP_NUM_THREADS": str(os.cpu_count() or 1)
    }  # MXNet and Paddle use too few of themselves
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            env={**quiet, **threads, **os.environ},
        )
    except OSError as error:
        raise StepError(f"{what}: {command[0]}: cannot be started ({error.strerror})") from error
    if done.returncode or not target.exists():
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise StepError(f"{what}: {lines[-1][:300] if lines else f'exit code {done.returncode}'}")


def error_of(values, expected):
    """max |a - b| / std(b); infinite for another shape or values that are not finite."""
    if values.shape != expected.shape or not np.isfinite(values).all():
        return float("inf")
    return float(
        np.abs(values.astype(np.float64) - expected).max() / expected.astype(np.float64).std()
    )


def errors_of(path, folder, prefix=""):
    """The error of every output at every size in the file at `path`: size → output → error."""
    found = {}
    answer = np.load(path)
    for reference in sorted(folder.glob(SIZES)):
        outputs = {name: values for name, values in np.load(reference).items() if name != "images"}
        keys = {name: f"{prefix}{reference.stem}/{name}" for name in outputs}
        found[reference.stem] = {
            name: error_of(answer[key], outputs[name]) if key in answer else float("inf")
            for name, key in keys.items()
        }
    return found


def check(designator, folder, arguments):
    """One model in every framework: what is in the JSON about it."""
    zoo = designator.partition(":")[0]
    plain = designator.removesuffix("+aux")
    folder.mkdir(parents=True, exist_ok=True)
    info, converted = folder / "info.json", folder / "converted.safetensors"
    row = {
        "model": designator,
        "sizes": [f"{height}x{width}" for height, width in MODELS[designator].sizes],
        "frameworks": {},
    }
    try:
        step(
            f"{zoo}: weights and references",
            [arguments.zoo[zoo], str(HERE.with_name("zoo_models.py")), designator, str(folder)],
            info,
        )
        reference = json.loads(info.read_text())
        row |= {
            "versions": reference["versions"],
            "seed": reference["seed"],
            "weights": reference["weights"],
        }
        weights = folder / reference["weights"]
        step(
            "convert",
            [
                sys.executable,
                "-m",
                "googlenet",
                "convert",
                "--from",
                plain,
                str(weights),
                str(converted),
            ],
            converted,
            weights,
        )
    except StepError as error:
        return row | {"error": str(error)}
    for framework, interpreter in arguments.python.items():
        answer = folder / f"{framework}.json"
        try:
            step(
                framework,
                [interpreter, str(HERE), "--worker", str(folder), framework],
                answer,
                converted,
                info,
            )
        except StepError as error:
            row["frameworks"][framework] = {"error": str(error)}
            continue
        row["frameworks"][framework] = json.loads(answer.read_text()) | {
            "errors": errors_of(folder / f"{framework}.npz", folder)
        }
        row["network"] = row["frameworks"][framework]["network"]
    return row


def check_wrong(folder, framework, interpreter):
    """The errors of the wrong networks with the same weights, by their names: what it costs to
    mistake one.
    """
    answer = folder / "WRONG.json"
    sources = folder / "converted.safetensors", folder / "info.json"
    step(
        f"wrong networks in {framework}",
        [interpreter, str(HERE), "--worker", str(folder), framework, "wrong"],
        answer,
        *sources,
    )
    names = dict.fromkeys(key.partition("/")[0] for key in np.load(folder / "WRONG.npz"))
    errors = {name: errors_of(folder / "WRONG.npz", folder, f"{name}/") for name in names}
    # A size at which a network is not possible, or its weights do not fit, has no outputs at all.
    return {
        name: {size: each for size, each in sizes.items() if np.isfinite(worst(each))}
        for name, sizes in errors.items()
    }


# Reports ------------------------------------------------------------------------------------------


def worst(outputs):
    return max(outputs.values())


def cell(result, size):
    if result is None:
        return "-"
    return "failed" if "error" in result else f"{worst(result['errors'][size]):.1e}"


def model_text(designator):
    return (
        f"`{designator.removesuffix('+aux')}`{' with aux' if designator.endswith('+aux') else ''}"
    )


def table(rows, frameworks):
    """Markdown: a row a model and size, a column a framework, the worst error of all outputs."""
    lines = [f"| model | size | {' | '.join(frameworks)} |", f"|---|---|{'---|' * len(frameworks)}"]
    for row in rows:
        for size in row["sizes"]:
            cells = [cell(row["frameworks"].get(framework), size) for framework in frameworks]
            lines.append(
                f"| {model_text(row['model'])} | {size.replace('x', '×')} | {' | '.join(cells)} |"
            )
    return "\n".join(lines)


def wrong_table(rows):
    """Markdown: what the same weights give in a wrong network, at both sizes; networks that give
    the same share a line.
    """
    lines = [
        "| weights of | run as | error at the first size | at the second |",
        "|---|---|---|---|",
    ]
    for row in rows:
        alike = {}
        for name, errors in sorted(
            row.get("wrong", {}).items(), key=lambda pair: pair[0].startswith("itself")
        ):
            cells = " | ".join(
                f"{worst(errors[size]):.1e}" if size in errors else "does not fit"
                for size in row["sizes"]
            )
            alike.setdefault(cells, []).append(name if name.startswith("itself") else f"`{name}`")
        lines += [
            f"| {model_text(row['model'])} | {'; '.join(names)} | {cells} |"
            for cells, names in alike.items()
        ]
    return "\n".join(lines)


def failures(rows):
    """One line for everything that is above the limit or did not run."""
    for row in rows:
        if "error" in row:
            yield f"{row['model']}: {row['error']}"
        for framework, result in row["frameworks"].items():
            if "error" in result:
                yield f"{row['model']}: {result['error']}"
            for size, outputs in result.get("errors", {}).items():
                for output, error in outputs.items():
                    if not error <= LIMIT:
                        yield (
                            f"{row['model']} in {framework} at {size}: {output} is off by"
                            f" {error:.1e}, the limit is {LIMIT:.0e}"
                        )


def finite(value):
    """`value` as JSON can say it: infinity as null."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def write_between(path, text):
    """Put `text` between the markers in the page at `path`."""
    page = path.read_text()
    before, opening, rest = page.partition(MARKERS[0])
    _, closing, after = rest.partition(MARKERS[1])
    if not opening or not closing:
        sys.exit(
            f"{path}: expected the lines {MARKERS[0]} and {MARKERS[1]}, between which the table is"
            " written"
        )
    path.write_text(f"{before}{opening}\n{text}\n{closing}{after}")


def pairs(values):
    split = dict(value.split("=", 1) for value in values)
    return {name: os.path.expanduser(path) for name, path in split.items()}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--zoo",
        action="append",
        default=[],
        metavar="ZOO=PYTHON",
        help="an interpreter that has this library",
    )
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="FRAMEWORK=PYTHON",
        help="an interpreter that has googlenet and the backend of this framework",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=MODELS,
        metavar="ZOO:MODEL",
        help="only this model; can be repeated",
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="FOLDER",
        help="keep all files there, and reuse those already there",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all errors and versions")
    parser.add_argument(
        "--docs",
        type=Path,
        metavar="FILE",
        help=f"write the table into this page, between {MARKERS[0]} and {MARKERS[1]}",
    )
    parser.add_argument(
        "--wrong",
        metavar="FRAMEWORK",
        help="also measure in this framework what wrong networks make of the weights",
    )
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(
            Path(arguments.worker[0]), arguments.worker[1], wrong="wrong" in arguments.worker[2:]
        )
    try:
        arguments.zoo, arguments.python = (
            pairs(arguments.zoo),
            {"numpy": sys.executable} | pairs(arguments.python),
        )
    except ValueError:
        parser.error("--zoo and --python: expected NAME=PYTHON")
    chosen = [
        each
        for each in MODELS
        if each.partition(":")[0] in arguments.zoo and each in (arguments.only or MODELS)
    ]
    if not chosen:
        parser.error("no model: give --zoo ZOO=PYTHON for the library of at least one")
    frameworks = [each for each in FRAMEWORKS if each in arguments.python]
    frameworks += [each for each in arguments.python if each not in frameworks]
    rows = []
    with tempfile.TemporaryDirectory(prefix="googlenet-zoo-") as temporary:
        for designator in chosen:
            print(designator, file=sys.stderr, flush=True)
            folder = (arguments.keep or Path(temporary)) / designator.replace(":", "_").replace(
                "+", "_"
            )
            row = check(designator, folder, arguments)
            if arguments.wrong and "network" in row:
                row["wrong"] = check_wrong(
                    folder, arguments.wrong, arguments.python[arguments.wrong]
                )
            rows.append(row)
    failed = list(failures(rows))
    text = table(rows, frameworks)
    print(text)
    if arguments.wrong:
        print(f"\n{wrong_table(rows)}")
    if arguments.docs:
        write_between(arguments.docs, text)
    if arguments.json:
        values = {
            "limit": LIMIT,
            "passed": not failed,
            "images": 2,
            "platform": platform.platform(),
            "models": rows,
        }
        arguments.json.write_text(json.dumps(finite(values), indent=2, allow_nan=False) + "\n")
    print(*failed, sep="\n", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
