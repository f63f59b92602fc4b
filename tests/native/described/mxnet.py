"""MXNet: Gluon's blocks, under NumPy's semantics."""

import copy
import pickle

import mxnet as mx
from mxnet import autograd, gluon

mx.npx.set_np()

MODEL = gluon.HybridBlock
PRINTED = [
    "(inception_3a): Concatenation(",
    "(branch_5x5): HybridSequential(",
    "Conv2D(3 -> 64, kernel_size=(7, 7), stride=(2, 2), padding=(3, 3))",
]
UNKNOWN_DEVICES = ["no-such-device", "gpu(99)", "gpu:99"]
SAVE = "mxnet.gluon.HybridBlock.save_parameters"
COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda model: pickle.loads(pickle.dumps(model))}


def _hybridized(model):
    model.hybridize(static_alloc=True, static_shape=True)
    return model


GRAPHS = {"hybridize": _hybridized}


def _export(model, images, folder):
    model.hybridize()
    model(images)
    model.export(str(folder / "model"))
    return gluon.SymbolBlock.imports(
        str(folder / "model-symbol.json"), ["data"], str(folder / "model-0000.params")
    )


EXPORTS = {"export": _export}


def tensor(images):
    return mx.np.array(images)


def array(output):
    return output.asnumpy()


def shape(batch, channels, height, width):
    return (batch, channels, height, width)


def evaluating(model):
    return model


def layers(model):
    found = []
    model.apply(found.append)
    return found


def printed(model):
    return repr(model)


def count(model):
    return sum(parameter.data().size for parameter in model.collect_params().values())


def names(model):
    return list(model.collect_params())


def trained(model):
    return [
        parameter for parameter in model.collect_params().values() if parameter.grad_req != "null"
    ]


def save(model, file):
    model.save_parameters(file)


def train(model, images, labels, steps):
    trainer = gluon.Trainer(model.collect_params(), "sgd", {"learning_rate": 0.05, "momentum": 0.9})
    cross_entropy = gluon.loss.SoftmaxCrossEntropyLoss()
    targets = mx.np.array(labels)
    losses = []
    for _ in range(steps):
        with autograd.record():
            loss = cross_entropy(model(images), targets)
        loss.backward()
        trainer.step(len(images))
        losses.append(loss.mean().item())
    return losses
