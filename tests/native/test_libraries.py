"""Files that the framework named by `GOOGLENET_FRAMEWORK` writes for a library that stands on it:
read again they are what they were, bit for bit, and the library's own class loads them, where the
framework brings it along.
"""

import numpy as np
import pytest

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
#: Libraries that are a part of their framework.
INSIDE = ("tensorflow", "mxnet", "paddle")


@pytest.fixture
def written(framework, tmp_path):
    """The weights, and what `convert` wrote of them."""
    name = LIBRARY[framework]
    network = network_of(find_model(name), num_classes=5)
    params = random_params(network)
    source = tmp_path / "ours.safetensors"
    googlenet.save_params(source, network, params)
    suffix = googlenet.get_backend(framework).file_suffix
    target = tmp_path / f"theirs{suffix if isinstance(suffix, str) else suffix[0]}"
    return params, googlenet.convert(source, target, library=name)


def test_a_librarys_file_holds_what_was_given(written):
    params, converted = written
    found = import_weights(read_weights_file(converted.target), converted.library, aux=False)
    assert all(found.params[path].tobytes() == array.tobytes() for path, array in params.items())


def test_the_librarys_own_class_loads_it(framework, written):
    _, converted = written
    if framework not in INSIDE:
        assert converted.load.startswith("import")
        return
    space = {}
    exec(converted.load, space)
    model = space["model"]
    dense = {
        "tensorflow": lambda: model.layers[-1].kernel.numpy().T,
        "mxnet": lambda: model.output.weight.data().asnumpy(),
        "paddle": lambda: model.fc.weight.numpy().T,
    }[framework]()
    assert np.array_equal(dense, written[0]["head.dense.weight"].reshape(dense.shape))
