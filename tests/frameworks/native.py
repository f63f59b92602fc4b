"""What a user of each framework writes to load its own weights file, with nothing of this
project's.

`python native.py FRAMEWORK FILE OUT NETWORK SEED` is one hop of `test_round_trip.py`: it builds the
model with weights of its own, loads FILE into it, and writes what the model then holds to OUT.
NETWORK is the arguments of `get_network` as JSON.
"""

import json
import sys

#: The packages of which a process imports one at most.
PACKAGES = {"jax", "mindspore", "mxnet", "onnx", "paddle", "tensorflow", "torch"}


def load_torch(model, file):
    import torch

    model.load_state_dict(torch.load(file, weights_only=True), assign=True)


def load_tensorflow(model, file):
    model.load_weights(file)


def load_mxnet(model, file):
    model.load_parameters(file)


def load_paddle(model, file):
    import paddle

    assert model.set_state_dict(paddle.load(file)) == ([], [])  # neither missing nor unexpected


def load_mindspore(model, file):
    import mindspore

    assert mindspore.load_param_into_net(
        model, mindspore.load_checkpoint(file), strict_load=True
    ) == ([], [])


def load_jax(model, file):
    from flax import nnx, serialization

    with open(file, "rb") as stream:
        nnx.update(model, serialization.msgpack_restore(stream.read()))


def load_onnx(model, file):
    import onnx

    loaded = {each.name: each for each in onnx.load(file).graph.initializer}
    proto = model if isinstance(model, onnx.ModelProto) else model.proto
    for initializer in proto.graph.initializer:
        initializer.CopyFrom(loaded.pop(initializer.name))
    assert not loaded  # nothing unexpected
    if proto is not model:  # it gave a copy
        model.proto = proto


LOADERS = {
    "torch": load_torch,
    "tensorflow": load_tensorflow,
    "mxnet": load_mxnet,
    "paddle": load_paddle,
    "mindspore": load_mindspore,
    "jax": load_jax,
    "onnx": load_onnx,
}


def hop(framework, file, out, network, seed):
    import googlenet
    from googlenet.weights.samples import random_params

    backend, network = (
        googlenet.get_backend(framework),
        googlenet.get_network(**json.loads(network)),
    )
    before = random_params(network, seed=int(seed))
    model = backend.build(network, before)
    LOADERS[framework](model, file)
    after = backend.params_of(model)
    unchanged = [path for path in after if after[path].tobytes() == before[path].tobytes()]
    assert not unchanged, f"{unchanged[0]} is what it was before {file} was loaded"
    googlenet.save_params(out, network, after)
    version = __import__(framework).__version__
    print(
        f"{framework} {version}: {len(after)} arrays,"
        f" {sum(array.nbytes for array in after.values()):,} bytes"
    )
    assert set(sys.modules) & PACKAGES == {framework}


if __name__ == "__main__":
    hop(*sys.argv[1:])
