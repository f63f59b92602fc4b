"""Printed source in a process that knows its framework and nothing of this project.

`python written.py FRAMEWORK FOLDER ...` imports FOLDER/written.py, makes its network, loads
FOLDER's weights with the framework's own loader, and writes what the network gives for
FOLDER/images.npy (N, C, H, W) to FOLDER/written.npz, in the order of its outputs, and its counts to
written.json.
"""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.frameworks.native import LOADERS, PACKAGES
from tests.native.described import described


def imported(path):
    """The module in a file, which MindSpore also reads as text."""
    name = f"{path.stem}_{len(sys.modules)}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def outputs(native, model, images):
    """The arrays (N, K) that a native model gives for images (N, C, H, W), in order."""
    found = model(native.tensor(images))
    several = found if isinstance(found, (tuple, list)) else (found,)
    return [native.array(each) for each in several]


def names(native, model):
    """What the framework calls a model's parameters. For Gluon that is by what attributes hold
    them, as its files do: its own prefixes count the layers made in a process.
    """
    structural = getattr(model, "_collect_params_with_prefix", None)
    return sorted(native.names(model) if structural is None else structural())


def prepare(folder, source, backend, network, params, images):
    """Write what `run` reads: printed source, and the native weights file of `network`; returns
    what its native model is, and gives.
    """
    native = described(backend.name)
    (folder / "written.py").write_text(source.text, encoding="utf-8")
    model = backend.build(network, params)
    suffix = backend.file_suffix
    weights = None
    if params:  # Paddle warns of an empty file, and MindSpore refuses to write one
        weights = f"weights{suffix if isinstance(suffix, str) else suffix[0]}"
        backend.save(model, folder / weights)
    np.save(folder / "images.npy", images)
    (folder / "about.json").write_text(
        json.dumps({"name": source.name, "arguments": source.arguments, "weights": weights})
    )
    model = native.evaluating(model)
    about = {"parameters": native.count(model), "names": names(native, model)}
    return about, outputs(native, model, images)


def differing(folder, expected):
    """How many values of what `run` wrote have other bits than `expected`, and of how many."""
    found = list(np.load(folder / "written.npz").values())
    pairs = list(zip(expected, found, strict=True))
    assert all(a.dtype == b.dtype == np.float32 and a.shape == b.shape for a, b in pairs)
    return (
        sum(int((a.view(np.int32) != b.view(np.int32)).sum()) for a, b in pairs),
        sum(a.size for a, _ in pairs),
    )


def run(framework, folder):
    about = json.loads((folder / "about.json").read_text())
    native = described(framework)
    module = imported(folder / "written.py")
    arguments = eval(
        f"dict({about['arguments']})", vars(module)
    )  # as the file's reader writes them
    model = getattr(module, about["name"])(**arguments)
    if about["weights"] is not None:
        LOADERS[framework](model, str(folder / about["weights"]))
    model = native.evaluating(model)
    arrays = outputs(native, model, np.load(folder / "images.npy"))
    np.savez(folder / "written.npz", *arrays)
    found = {"parameters": native.count(model), "names": names(native, model)}
    (folder / "written.json").write_text(json.dumps(found))


if __name__ == "__main__":
    for folder in map(Path, sys.argv[2:]):
        run(sys.argv[1], folder)
    assert set(sys.modules) & PACKAGES == {sys.argv[1]}
    assert not [name for name in sys.modules if name.partition(".")[0].startswith("googlenet")]
