"""Files that the framework named by `GOOGLENET_FRAMEWORK` writes for a library that stands on it:
read again they are what they were, bit for bit, and the library's own class loads them, where the
framework brings it along.
"""

import json
import subprocess
import sys

import numpy as np

import googlenet
from googlenet.weights.formats import read_weights_file
from googlenet.weights.samples import random_params
from googlenet.weights.zoo import find_model, import_weights, network_of

LIBRARY = {
    "torch": "torchvision:inception_v3",
    "tensorflow": "keras:inception_v3",
    "mxnet": "gluon:inception_v3",
    "paddle": "paddle:inception_v3",
    "mindspore": "mindcv:inception_v3",
}
SUFFIX = {
    "torch": ".pth",
    "tensorflow": ".weights.h5",
    "mxnet": ".params",
    "paddle": ".pdparams",
    "mindspore": ".ckpt",
}
#: Where each has its classifier's weight, (classes, features).
DENSE = {
    "tensorflow": "model.layers[-1].kernel.numpy().T",
    "mxnet": "model.output.weight.data().asnumpy()",
    "paddle": "model.fc.weight.numpy().T",
}


def run(*arguments):
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_librarys_file_is_what_was_given_and_its_own_class_loads_it(framework, tmp_path):
    name = LIBRARY[framework]
    network = network_of(find_model(name), num_classes=5)
    params = random_params(network)
    source, target = tmp_path / "ours.safetensors", tmp_path / f"theirs{SUFFIX[framework]}"
    googlenet.save_params(source, network, params)
    told = json.loads(run("-m", "googlenet", "convert", source, target, "--to", name, "--json"))
    assert (told["library"], told["output"]) == (name, str(target))
    found = import_weights(read_weights_file(target), name, aux=False)
    assert all(found.params[path].tobytes() == array.tobytes() for path, array in params.items())
    if framework in DENSE:
        save = f"import numpy; numpy.save({str(tmp_path / 'dense.npy')!r}, {DENSE[framework]})"
        run("-c", f"{told['load']}\n{save}")
        dense = np.load(tmp_path / "dense.npy")
        assert np.array_equal(dense, params["head.dense.weight"].reshape(dense.shape))
