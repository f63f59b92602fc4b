"""MindSpore, whose cells cannot be pickled: its operators cannot."""

import copy

import mindspore as ms
from mindspore import nn, ops

MODEL = nn.Cell
PRINTED = [
    "(inception_3a): Concatenation(",
    "(branch_5x5): SequentialCell(",
    "Conv2d(input_channels=3, output_channels=64, kernel_size=(7, 7), stride=(2, 2),"
    " pad_mode=pad, padding=3",
]
UNKNOWN_DEVICES = ["no-such-device", "CPU:1"]
SAVE = "mindspore.save_checkpoint"
COPIES = {"deepcopy": copy.deepcopy}
GRAPHS = {"mindspore.jit": ms.jit}


def _export(model, images, folder):
    file = str(folder / "model.mindir")
    ms.export(model, images, file_name=file, file_format="MINDIR")
    return nn.GraphCell(ms.load(file))


EXPORTS = {"MINDIR": _export}


def tensor(images):
    return ms.Tensor(images)


def array(output):
    return output.asnumpy()


def shape(batch, channels, height, width):
    return (batch, channels, height, width)


def evaluating(model):
    return model.set_train(False)


def layers(model):
    return [cell for _, cell in model.cells_and_names()]


def printed(model):
    return repr(model)


def count(model):
    return sum(parameter.size for parameter in model.trainable_params())


def names(model):
    return list(model.parameters_dict())


def trained(model):
    return model.trainable_params()


def save(model, file):
    ms.save_checkpoint(model, file)


def train(model, images, labels, steps):
    model.set_train()
    optimiser = nn.SGD(model.trainable_params(), learning_rate=0.05, momentum=0.9)
    targets = ms.Tensor(labels, ms.int32)

    def forward(x, y):
        return ops.cross_entropy(model(x), y)

    step = ms.value_and_grad(forward, None, optimiser.parameters)
    losses = []
    for _ in range(steps):
        loss, grads = step(images, targets)
        optimiser(grads)
        losses.append(float(loss))
    return losses
