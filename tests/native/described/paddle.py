"""Paddle."""

import copy
import pickle

import paddle
from paddle import nn

MODEL = nn.Layer
PRINTED = [
    "(inception_3a): Concatenation(",
    "(branch_5x5): Sequential(",
    "Conv2D(3, 64, kernel_size=[7, 7], stride=[2, 2], padding=3, data_format=NCHW)",
]
UNKNOWN_DEVICES = ["no-such-device"]
SAVE = "paddle.save"
COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda model: pickle.loads(pickle.dumps(model))}


def _compiled(model):
    run = paddle.jit.to_static(model, full_graph=True)

    def evaluate(images):
        with paddle.no_grad():
            return run(images)

    return evaluate


GRAPHS = {"paddle.jit.to_static": _compiled}


def _export(model, images, folder):
    path = str(folder / "model")
    free = paddle.static.InputSpec([None, *images.shape[1:]], "float32")
    paddle.jit.save(model, path, input_spec=[free])
    loaded = paddle.jit.load(path)
    loaded.eval()
    return loaded


EXPORTS = {"paddle.jit.save": _export}


def tensor(images):
    return paddle.to_tensor(images)


def array(output):
    return output.numpy()


def shape(batch, channels, height, width):
    return (batch, channels, height, width)


def evaluating(model):
    model.eval()
    return model


def layers(model):
    return model.sublayers(include_self=True)


def printed(model):
    return repr(model)


def count(model):
    return sum(parameter.size for parameter in model.parameters())


def names(model):
    return [name for name, _ in model.named_parameters()]


def trained(model):
    return [parameter for parameter in model.parameters() if not parameter.stop_gradient]


def save(model, file):
    paddle.save(model.state_dict(), file)


def train(model, images, labels, steps):
    model.train()
    optimiser = paddle.optimizer.Momentum(
        learning_rate=0.05, momentum=0.9, parameters=model.parameters()
    )
    targets = paddle.to_tensor(labels)
    losses = []
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model(images), targets)
        loss.backward()
        optimiser.step()
        optimiser.clear_grad()
        losses.append(loss.item())
    return losses
