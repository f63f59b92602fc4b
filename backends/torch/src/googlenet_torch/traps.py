"""What goes wrong in PyTorch and what is right, in PyTorch's own code; `googlenet traps` shows it.

Each function is printed as it stands here, so it imports nothing and names only `NAMESPACES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from googlenet.arrays import Array, Params
from googlenet.backend.call import Call, Chain
from googlenet.backend.snippets import Gallery, Shown, agrees, differs, refuses
from googlenet.spec import Network, param_specs

from . import layout, leaves

NAMESPACES: Final[Mapping[str, ModuleType]] = {
    "torch": torch,
    "nn": nn,
    "functional": functional,
}


def shown_traps() -> Gallery:
    """PyTorch's code for each trap."""
    return Gallery(ENTRIES, NAMESPACES, leaves.leaf)


def run_layers(
    chain: Chain, network: Network, params: Params, images: Array, *, train: bool
) -> dict[str, Array]:
    """The layers of `chain` in sequence on images (N, C, H, W): `output`, `parameters`, and the
    arrays that they have after it.
    """
    layers = nn.ModuleList(call.evaluate() for call in chain).train(train)
    specs = {each.name: each for each in param_specs(network).values()}
    held = {
        specs[name].path: (specs[name], tensor)
        for layer in layers
        for name, tensor in layer.state_dict().items()
        if name in specs
    }
    x = layout.images_to_native(images, torch.device("cpu"))
    with torch.no_grad():
        for path, (spec, tensor) in held.items():
            tensor.copy_(layout.to_native(spec, params[path]))
        for layer in layers:
            x = layer(x)
    trained = sum(each.numel() for each in layers.parameters() if each.requires_grad)
    return {
        "output": layout.output_from_native(x),
        "parameters": np.array(trained),
        **{path: layout.from_native(spec, tensor) for path, (spec, tensor) in held.items()},
    }


def run_function(function: Callable[..., Any], arguments: Mapping[str, Array]) -> Array:
    """What `function` returns for tensors of `arguments`, as an array."""
    torch.manual_seed(0)
    answer = function(**{name: torch.tensor(array) for name, array in arguments.items()})
    return layout.output_from_native(torch.as_tensor(answer))


# Modes --------------------------------------------------------------------------------------------


def predict(images):
    norm = nn.BatchNorm2d(8)
    return norm(images)


def predict_in_evaluation_mode(images):
    norm = nn.BatchNorm2d(8).eval()
    return norm(images)


def normalise(images, weight, bias, running_mean, running_var):
    return functional.batch_norm(images, running_mean, running_var, weight, bias, eps=1e-3)


def flatten(images, weight):
    return functional.linear(images.flatten(1), weight.flatten(1))


def count_parameters():
    norm = nn.BatchNorm2d(8)
    return sum(parameter.numel() for parameter in norm.parameters())


# Losses -------------------------------------------------------------------------------------------


def smoothed_loss(logits, labels):
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    loss(logits.requires_grad_(), labels).backward()
    return logits.grad


def loss_after_softmax_layer(logits, labels):
    probabilities = nn.Softmax(dim=1)(logits.requires_grad_())
    nn.CrossEntropyLoss()(probabilities, labels).backward()
    return logits.grad


def loss_after_softmax(logits, labels):
    probabilities = functional.softmax(logits.requires_grad_(), dim=1)
    nn.CrossEntropyLoss()(probabilities, labels).backward()
    return logits.grad


def loss_of_logits(logits, labels):
    nn.CrossEntropyLoss()(logits.requires_grad_(), labels).backward()
    return logits.grad


# Initial values -----------------------------------------------------------------------------------


def default_weights():
    conv = nn.Conv2d(96, 208, 3, padding=1)
    return conv.weight


def xavier_weights():
    conv = nn.Conv2d(96, 208, 3, padding=1)
    nn.init.xavier_uniform_(conv.weight)
    return conv.weight


def default_bias():
    conv = nn.Conv2d(96, 208, 3, padding=1)
    return conv.bias


def zero_bias():
    conv = nn.Conv2d(96, 208, 3, padding=1)
    nn.init.zeros_(conv.bias)
    return conv.bias


def normal_weights():
    conv = nn.Conv2d(96, 208, 3, padding=1)
    nn.init.normal_(conv.weight, std=0.01)
    return conv.weight


# Data ---------------------------------------------------------------------------------------------


def two_epochs():
    loader = torch.utils.data.DataLoader(range(64), batch_size=8, shuffle=True)
    return torch.stack([torch.stack(list(loader)) for epoch in range(2)])


ENTRIES: Final[Mapping[str, Shown]] = {
    "same-convolution": refuses(
        "ValueError: padding='same' is not supported",
        (Call(nn.Conv2d, (1, 64, 7), {"stride": 2, "padding": "same"}),),
        remark="PyTorch has SAME only at stride 1, where it is symmetric for odd kernels.",
    ),
    "same-pooling": refuses(
        "TypeError: max_pool2d(): argument 'padding'",
        (Call(nn.MaxPool2d, (3, 2), {"padding": "same"}),),
        remark="The padding of a pool is a number.",
    ),
    "zero-padding": differs((Call(nn.ZeroPad2d, (1,)), Call(nn.MaxPool2d, (3, 2)))),
    "default-padding": agrees((Call(nn.Conv2d, (8, 16, 3)),)),
    "ceil-mode": differs((Call(nn.MaxPool2d, (3, 2)),)),
    "ceil-window": agrees((Call(nn.MaxPool2d, (2, 3), {"padding": 1, "ceil_mode": True}),)),
    "pool-stride": agrees((Call(nn.MaxPool2d, (2,)),)),
    "average-border": agrees((Call(nn.AvgPool2d, (3, 1), {"padding": 1}),)),
    "average-border-excluded": differs((Call(nn.AvgPool2d, (3, 1), {"padding": 1}),)),
    "auxiliary-pool": differs((Call(nn.AdaptiveAvgPool2d, (4,)),)),
    "head-pool": differs((Call(nn.AvgPool2d, (7,)), Call(nn.Flatten))),
    "lrn-alpha": agrees((Call(nn.LocalResponseNorm, (5, 1e-4, 0.75, 1.0)),)),
    "lrn-window": agrees(
        (Call(nn.LocalResponseNorm, (), {"size": 5}),), remark="It asks for the size."
    ),
    "lrn-defaults": agrees((Call(nn.LocalResponseNorm, (5,)),)),
    "norm-eps": differs((Call(nn.BatchNorm2d, (8,)),)),
    "norm-momentum": agrees((Call(nn.BatchNorm2d, (8,), {"momentum": 0.1}),)),
    "norm-momentum-default": agrees((Call(nn.BatchNorm2d, (8,)),)),
    "norm-variance": agrees((Call(nn.BatchNorm2d, (8,)),)),
    "norm-statistics": agrees((Call(nn.BatchNorm2d, (8,)),)),
    "norm-gamma": agrees(normalise),
    "convolution-bias": agrees((Call(nn.Conv2d, (192, 64, 1)),)),
    "bias-none": differs((Call(nn.Conv2d, (16, 32, 5), {"padding": 2, "bias": None}),)),
    "parameter-count": agrees(count_parameters, remark="The statistics are buffers."),
    "flatten-order": agrees(flatten),
    "evaluation-mode": differs(predict, predict_in_evaluation_mode),
    "training-mode": agrees(predict),
    "dropout-rate": agrees((Call(nn.Dropout, (0.4,)),)),
    "dropout-mode": agrees((Call(nn.Dropout, (0.4,)),)),
    "label-smoothing": agrees(smoothed_loss),
    "softmax-layer": differs(loss_after_softmax_layer, loss_of_logits),
    "softmax-function": differs(loss_after_softmax, loss_of_logits),
    "loss-reduction": agrees(loss_of_logits),
    "initial-weights": differs(default_weights, xavier_weights),
    "initial-bias": differs(default_bias, zero_bias),
    "initialiser-not-applied": agrees(
        normal_weights, remark="Initialisers are functions, which fill the tensor that they get."
    ),
    "batch-before-shuffle": agrees(two_epochs, remark="The loader shuffles before it batches."),
}
