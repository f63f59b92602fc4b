"""What goes wrong in Paddle and what is right, in Paddle's own code; `googlenet traps` shows it.

Each function is printed as it stands here, so it imports nothing and names only `NAMESPACES`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Final

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional

from googlenet.arrays import Array, Params
from googlenet.backend.call import Call, Chain
from googlenet.backend.snippets import Gallery, Shown, agrees, differs
from googlenet.spec import Network, param_specs

from . import layout, leaves

NAMESPACES: Final[Mapping[str, ModuleType]] = {
    "paddle": paddle,
    "nn": nn,
    "functional": functional,
}


def shown_traps() -> Gallery:
    """Paddle's code for each trap."""
    return Gallery(ENTRIES, NAMESPACES, leaves.leaf)


def run_layers(
    chain: Chain, network: Network, params: Params, images: Array, *, train: bool
) -> dict[str, Array]:
    """The layers of `chain` in sequence on images (N, C, H, W): `output`, `parameters`, and the
    arrays that they have after it.
    """
    layers = nn.LayerList(call.evaluate() for call in chain)
    layers.train() if train else layers.eval()
    specs = {layout.NAMES.get(each.name, each.name): each for each in param_specs(network).values()}
    held = {
        name: tensor
        for layer in layers
        for name, tensor in layer.state_dict().items()
        if name in specs
    }
    for name, tensor in held.items():
        tensor.set_value(layout.to_native(specs[name], params[specs[name].path]))
    x = layout.images_to_native(images, None)
    with paddle.no_grad():
        for layer in layers:
            x = layer(x)
    trained = sum(math.prod(each.shape) for each in layers.parameters() if not each.stop_gradient)
    return {
        "output": layout.output_from_native(x),
        "parameters": np.array(trained),
        **{specs[name].path: layout.from_native(specs[name], each) for name, each in held.items()},
    }


def run_function(function: Callable[..., Any], arguments: Mapping[str, Array]) -> Array:
    """What `function` returns for tensors of `arguments`, as an array."""
    paddle.seed(0)
    native = {name: paddle.to_tensor(array) for name, array in arguments.items()}
    return layout.output_from_native(paddle.to_tensor(function(**native)))


# Layers -------------------------------------------------------------------------------------------


def normalise(images, weight, bias, running_mean, running_var):
    return functional.batch_norm(images, running_mean, running_var, weight, bias, epsilon=1e-3)


def running_variance(images, running_var):
    norm = nn.BatchNorm2D(8)
    norm._variance.set_value(running_var)
    norm(images)
    return norm._variance


def unbiased_running_variance(images, running_var):
    norm = nn.BatchNorm2D(8)
    norm._variance.set_value(running_var)
    norm(images)
    count = images.size // images.shape[1]  # values in a channel
    share = norm._variance - 0.9 * running_var  # the batch's, biased
    return 0.9 * running_var + share * count / (count - 1)


def flatten(images, weight):
    return functional.linear(images.flatten(1), weight.flatten(1).T)


def count_parameters():
    norm = nn.BatchNorm2D(8)
    return sum(parameter.size for parameter in norm.parameters())


def count_trainable_parameters():
    norm = nn.BatchNorm2D(8)
    return sum(parameter.size for parameter in norm.parameters() if parameter.trainable)


# Modes --------------------------------------------------------------------------------------------


def predict(images):
    norm = nn.BatchNorm2D(8)
    return norm(images)


def predict_in_evaluation_mode(images):
    norm = nn.BatchNorm2D(8)
    norm.eval()
    return norm(images)


# Losses -------------------------------------------------------------------------------------------


def smoothed_loss(logits, labels):
    logits.stop_gradient = False
    functional.cross_entropy(logits, labels, label_smoothing=0.1).backward()
    return logits.grad


def loss_after_softmax_layer(logits, labels):
    logits.stop_gradient = False
    nn.CrossEntropyLoss()(nn.Softmax()(logits), labels).backward()
    return logits.grad


def loss_after_softmax(logits, labels):
    logits.stop_gradient = False
    nn.CrossEntropyLoss()(functional.softmax(logits), labels).backward()
    return logits.grad


def loss_of_logits(logits, labels):
    logits.stop_gradient = False
    nn.CrossEntropyLoss()(logits, labels).backward()
    return logits.grad


# Initial values -----------------------------------------------------------------------------------


def default_weights():
    conv = nn.Conv2D(96, 208, 3, padding=1)
    return conv.weight


def xavier_weights():
    xavier = nn.initializer.XavierUniform()
    conv = nn.Conv2D(96, 208, 3, padding=1, weight_attr=xavier)
    return conv.weight


def default_bias():
    conv = nn.Conv2D(96, 208, 3, padding=1)
    return conv.bias


def normal_weights_not_applied():
    conv = nn.Conv2D(96, 208, 3, padding=1)
    nn.initializer.Normal(conv.weight, std=0.01)
    return conv.weight


def normal_weights():
    conv = nn.Conv2D(96, 208, 3, padding=1)
    nn.initializer.Normal(std=0.01)(conv.weight)
    return conv.weight


# Data ---------------------------------------------------------------------------------------------


def two_epochs():
    examples = paddle.io.TensorDataset([paddle.arange(64)])
    loader = paddle.io.DataLoader(examples, batch_size=8, shuffle=True)
    return paddle.stack([paddle.stack([x for (x,) in loader]) for epoch in range(2)])


_BIAS = "None is the default, which is a bias; False means none."

ENTRIES: Final[Mapping[str, Shown]] = {
    "same-convolution": differs((Call(nn.Conv2D, (1, 64, 7), {"stride": 2, "padding": "SAME"}),)),
    "same-pooling": differs((Call(nn.MaxPool2D, (3, 2), {"padding": "SAME"}),)),
    "zero-padding": differs((Call(nn.ZeroPad2D, (1,)), Call(nn.MaxPool2D, (3, 2)))),
    "default-padding": agrees((Call(nn.Conv2D, (8, 16, 3)),)),
    "ceil-mode": differs((Call(nn.MaxPool2D, (3, 2)),)),
    "ceil-window": differs((Call(nn.MaxPool2D, (2, 3), {"padding": 1, "ceil_mode": True}),)),
    "pool-stride": agrees((Call(nn.MaxPool2D, (2,)),)),
    "average-border": differs((Call(nn.AvgPool2D, (3, 1), {"padding": 1}),)),
    "average-border-excluded": agrees((Call(nn.AvgPool2D, (3, 1), {"padding": 1}),)),
    "auxiliary-pool": differs((Call(nn.AdaptiveAvgPool2D, (4,)),)),
    "head-pool": differs((Call(nn.AvgPool2D, (7,)), Call(nn.Flatten))),
    "lrn-alpha": agrees((Call(nn.LocalResponseNorm, (5, 1e-4, 0.75, 1.0)),)),
    "lrn-window": agrees(
        (Call(nn.LocalResponseNorm, (), {"size": 5}),), remark="It asks for the size."
    ),
    "lrn-defaults": agrees((Call(nn.LocalResponseNorm, (5,)),)),
    "norm-eps": differs((Call(nn.BatchNorm2D, (8,)),)),
    "norm-momentum": differs((Call(nn.BatchNorm2D, (8,), {"momentum": 0.1}),)),
    "norm-momentum-default": agrees((Call(nn.BatchNorm2D, (8,)),)),
    "norm-variance": differs(running_variance, unbiased_running_variance),
    "norm-statistics": agrees((Call(nn.BatchNorm2D, (8,)),)),
    "norm-gamma": agrees(normalise),
    "convolution-bias": agrees((Call(nn.Conv2D, (192, 64, 1)),)),
    "bias-none": agrees((Call(nn.Conv2D, (16, 32, 5), {"padding": 2, "bias_attr": None}),), _BIAS),
    "parameter-count": differs(count_parameters, count_trainable_parameters),
    "flatten-order": agrees(flatten),
    "evaluation-mode": differs(predict, predict_in_evaluation_mode),
    "training-mode": agrees(predict),
    "dropout-rate": agrees((Call(nn.Dropout, (0.4,)),)),
    "dropout-mode": differs((Call(nn.Dropout, (0.4,), {"mode": "downscale_in_infer"}),)),
    "label-smoothing": agrees(smoothed_loss),
    "softmax-layer": differs(loss_after_softmax_layer, loss_of_logits),
    "softmax-function": differs(loss_after_softmax, loss_of_logits),
    "loss-reduction": agrees(loss_of_logits),
    "initial-weights": differs(default_weights, xavier_weights),
    "initial-bias": agrees(default_bias),
    "initialiser-not-applied": differs(normal_weights_not_applied, normal_weights),
    "batch-before-shuffle": agrees(two_epochs, remark="The loader shuffles before it batches."),
}
