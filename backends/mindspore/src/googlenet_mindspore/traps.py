"""What goes wrong in MindSpore and what is right, in MindSpore's own code; `googlenet traps` shows
it.

Each function is printed as it stands here, so it imports nothing and names only `NAMESPACES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Final

import mindspore as ms
import numpy as np
from mindspore import nn, ops

from googlenet.arrays import Array, Params
from googlenet.backend.call import Call, Chain
from googlenet.backend.snippets import Gallery, Shown, agrees, differs, refuses
from googlenet.spec import Network, param_specs

from . import layout, leaves

NAMESPACES: Final[Mapping[str, ModuleType]] = {"ms": ms, "nn": nn, "ops": ops}


def shown_traps() -> Gallery:
    """MindSpore's code for each trap."""
    return Gallery(ENTRIES, NAMESPACES, leaves.leaf)


def run_layers(
    chain: Chain, network: Network, params: Params, images: Array, *, train: bool
) -> dict[str, Array]:
    """The layers of `chain` in sequence on images (N, C, H, W): `output`, `parameters`, and the
    arrays that they have after it.
    """
    layers = nn.CellList([call.evaluate() for call in chain]).set_train(train)
    specs = {
        layout.native_path(each).rpartition(".")[2]: each for each in param_specs(network).values()
    }
    held = {
        name: tensor
        for layer in layers
        for path, tensor in layer.parameters_and_names()
        if (name := path.rpartition(".")[2]) in specs
    }
    for name, tensor in held.items():
        tensor.set_data(layout.to_native(specs[name], params[specs[name].path]))
    x = layout.images_to_native(images)
    for layer in layers:
        x = layer(x)
    trained = sum(each.size for each in layers.trainable_params())
    return {
        "output": layout.output_from_native(x),
        "parameters": np.array(trained),
        **{specs[name].path: layout.from_native(specs[name], each) for name, each in held.items()},
    }


def run_function(function: Callable[..., Any], arguments: Mapping[str, Array]) -> Array:
    """What `function` returns for tensors of `arguments`, as an array; integers are int32."""
    ms.set_seed(0)
    native = {
        name: ms.Tensor(array.astype(np.int32) if array.dtype == np.int64 else array)
        for name, array in arguments.items()
    }
    answer = function(**native)
    return layout.output_from_native(answer) if isinstance(answer, ms.Tensor) else np.array(answer)


# Layers -------------------------------------------------------------------------------------------


def lrn(images):
    return ops.LRN(depth_radius=2, bias=1.0, alpha=1e-4, beta=0.75)(images)


def lrn_of_radius_5(images):
    return ops.LRN(depth_radius=5, bias=1.0, alpha=1e-4 / 5, beta=0.75)(images)


def lrn_as_it_comes(images):
    return ops.LRN()(images)


def normalise(images, weight, bias, running_mean, running_var):
    return ops.batch_norm(images, running_mean, running_var, weight, bias, eps=1e-3)


def flatten(images, weight):
    return ops.matmul(images.flatten(start_dim=1), weight.flatten(start_dim=1).T)


def count_parameters():
    norm = nn.BatchNorm2d(8)
    return sum(parameter.size for parameter in norm.get_parameters())


def count_trainable_parameters():
    norm = nn.BatchNorm2d(8)
    return sum(parameter.size for parameter in norm.trainable_params())


# Modes --------------------------------------------------------------------------------------------


def call(images):
    norm = nn.BatchNorm2d(8)
    return norm(images)


def call_in_training_mode(images):
    norm = nn.BatchNorm2d(8).set_train()
    return norm(images)


# Losses -------------------------------------------------------------------------------------------


def smoothed_loss(logits, labels):
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    return ms.grad(loss)(logits, labels)


def loss_after_softmax_layer(logits, labels):
    softmax = nn.Softmax()
    loss = nn.SoftmaxCrossEntropyWithLogits(sparse=True, reduction="mean")
    return ms.grad(lambda x: loss(softmax(x), labels))(logits)


def loss_after_softmax(logits, labels):
    loss = nn.SoftmaxCrossEntropyWithLogits(sparse=True, reduction="mean")
    return ms.grad(lambda x: loss(ops.softmax(x), labels))(logits)


def loss_of_logits(logits, labels):
    loss = nn.SoftmaxCrossEntropyWithLogits(sparse=True, reduction="mean")
    return ms.grad(loss)(logits, labels)


def loss_as_it_comes(logits, labels):
    loss = nn.SoftmaxCrossEntropyWithLogits(sparse=True)
    return ms.grad(loss)(logits, labels)


# Initial values -----------------------------------------------------------------------------------


def default_weights():
    conv = nn.Conv2d(96, 208, 3, has_bias=True)
    return conv.weight


def xavier_weights():
    conv = nn.Conv2d(96, 208, 3, has_bias=True, weight_init="xavier_uniform")
    return conv.weight


def default_bias():
    conv = nn.Conv2d(96, 208, 3, has_bias=True)
    return conv.bias


def zero_bias():
    conv = nn.Conv2d(96, 208, 3, has_bias=True, bias_init="zeros")
    return conv.bias


def normal_weights_not_applied():
    conv = nn.Conv2d(96, 208, 3, has_bias=True)
    ms.common.initializer.initializer(ms.common.initializer.Normal(0.01), conv.weight.shape)
    return conv.weight


def normal_weights():
    conv = nn.Conv2d(96, 208, 3, has_bias=True)
    normal = ms.common.initializer.Normal(0.01)
    conv.weight.set_data(ms.common.initializer.initializer(normal, conv.weight.shape))
    return conv.weight


# Data ---------------------------------------------------------------------------------------------


def batch_then_shuffle():
    examples = ms.dataset.NumpySlicesDataset(list(range(64)), shuffle=False)
    batches = examples.batch(8).shuffle(8).create_tuple_iterator(num_epochs=2)
    return ms.Tensor([[x.tolist() for (x,) in batches] for epoch in range(2)])


def shuffle_then_batch():
    examples = ms.dataset.NumpySlicesDataset(list(range(64)), shuffle=False)
    batches = examples.shuffle(64).batch(8).create_tuple_iterator(num_epochs=2)
    return ms.Tensor([[x.tolist() for (x,) in batches] for epoch in range(2)])


_BIAS = {"has_bias": True}

ENTRIES: Final[Mapping[str, Shown]] = {
    "same-convolution": differs((Call(nn.Conv2d, (1, 64, 7), {"stride": 2, **_BIAS}),)),
    "same-pooling": differs((Call(nn.MaxPool2d, (3, 2), {"pad_mode": "same"}),)),
    "zero-padding": differs((Call(nn.ZeroPad2d, (1,)), Call(nn.MaxPool2d, (3, 2)))),
    "default-padding": differs((Call(nn.Conv2d, (8, 16, 3), _BIAS),)),
    "ceil-mode": differs((Call(nn.MaxPool2d, (3, 2)),)),
    "ceil-window": agrees(
        (Call(nn.MaxPool2d, (2, 3), {"pad_mode": "pad", "padding": 1, "ceil_mode": True}),)
    ),
    "pool-stride": differs((Call(nn.MaxPool2d, (2,)),)),
    "average-border": differs((Call(nn.AvgPool2d, (3, 1), {"pad_mode": "same"}),)),
    "average-border-excluded": agrees((Call(nn.AvgPool2d, (3, 1), {"pad_mode": "same"}),)),
    "auxiliary-pool": differs((Call(nn.AdaptiveAvgPool2d, (4,)),)),
    "head-pool": differs((Call(nn.AvgPool2d, (7,)), Call(nn.Flatten))),
    "lrn-alpha": differs(lrn),
    "lrn-window": differs(lrn_of_radius_5),
    "lrn-defaults": differs(lrn_as_it_comes),
    "norm-eps": differs((Call(nn.BatchNorm2d, (8,)),)),
    "norm-momentum": differs((Call(nn.BatchNorm2d, (8,), {"momentum": 0.1}),)),
    "norm-momentum-default": agrees((Call(nn.BatchNorm2d, (8,)),)),
    "norm-variance": agrees((Call(nn.BatchNorm2d, (8,)),)),
    "norm-statistics": agrees((Call(nn.BatchNorm2d, (8,)),)),
    "norm-gamma": agrees(normalise),
    "convolution-bias": differs((Call(nn.Conv2d, (192, 64, 1)),)),
    "bias-none": refuses(
        "TypeError: For 'Conv2d', the 'has_bias' must be a bool",
        (Call(nn.Conv2d, (16, 32, 5), {"has_bias": None}),),
    ),
    "parameter-count": differs(count_parameters, count_trainable_parameters),
    "flatten-order": agrees(flatten),
    "evaluation-mode": agrees(call),
    "training-mode": differs(call, call_in_training_mode, "`Model.train` sets training mode."),
    "dropout-rate": differs((Call(nn.Dropout, (0.4,)),)),
    "dropout-mode": agrees((Call(nn.Dropout, (), {"p": 0.4}),)),
    "label-smoothing": agrees(smoothed_loss),
    "softmax-layer": differs(loss_after_softmax_layer, loss_of_logits),
    "softmax-function": differs(loss_after_softmax, loss_of_logits),
    "loss-reduction": differs(loss_as_it_comes, loss_of_logits),
    "initial-weights": differs(default_weights, xavier_weights),
    "initial-bias": differs(default_bias, zero_bias),
    "initialiser-not-applied": differs(normal_weights_not_applied, normal_weights),
    "batch-before-shuffle": differs(batch_then_shuffle, shuffle_then_batch),
}
