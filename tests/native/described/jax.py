"""JAX: Flax's nnx modules, whose maps are (N, H, W, C)."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx, serialization

MODEL = nnx.Module
PRINTED = [
    "inception_3a=Concatenation(",
    "branch_5x5=Sequential(",
    "kernel_size=(7, 7)",
]
UNKNOWN_DEVICES = ["no-such-device", "cpu:99", "cpu:x"]
SAVE = "googlenet_jax.model.write"
COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "nnx.clone": nnx.clone,
}


def _jitted(model):
    graph, state = nnx.split(model)
    return jax.jit(lambda images: nnx.merge(graph, state)(images))


GRAPHS = {"nnx.jit": lambda model: lambda images: nnx.jit(_call)(model, images), "jax.jit": _jitted}


def _call(model, images):
    return model(images)


def _save_whole(model, images, folder):
    (folder / "model.pickle").write_bytes(pickle.dumps(model))
    return pickle.loads((folder / "model.pickle").read_bytes())


EXPORTS = {"pickle": _save_whole}


def tensor(images):
    return jnp.asarray(np.moveaxis(images, 1, 3))


def array(output):
    return np.asarray(output)


def shape(batch, channels, height, width):
    return (batch, height, width, channels)


def evaluating(model):
    model.eval()
    return model


def layers(model):
    return [module for _, module in nnx.iter_modules(model)]


def printed(model):
    return repr(model)


def _parameters(model):
    found = nnx.to_flat_state(nnx.state(model, nnx.Param))
    return {".".join(path): variable for path, variable in found}


def count(model):
    return sum(variable[...].size for variable in _parameters(model).values())


def names(model):
    return [name.replace(".kernel", ".weight") for name in _parameters(model)]


def trained(model):
    return list(_parameters(model).values())


def save(model, file):
    state = nnx.to_pure_dict(nnx.state(model, nnx.Any(nnx.Param, nnx.BatchStat)))
    with open(file, "wb") as stream:
        stream.write(serialization.to_bytes(state))


def train(model, images, labels, steps):
    model.train()
    optimiser = nnx.Optimizer(model, optax.sgd(0.05, momentum=0.9), wrt=nnx.Param)
    targets = jnp.asarray(labels)

    def cross_entropy(model):
        return optax.softmax_cross_entropy_with_integer_labels(model(images), targets).mean()

    @nnx.jit
    def step(model, optimiser):
        loss, grads = nnx.value_and_grad(cross_entropy)(model)
        optimiser.update(model, grads)
        return loss

    return [float(step(model, optimiser)) for _ in range(steps)]
