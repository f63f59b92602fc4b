"""What goes wrong in MXNet and what is right, in Gluon's own code; `googlenet traps` shows it.

Each function is printed as it stands here, so it imports nothing and names only `NAMESPACES`.
Arrays are those of `mx.np`, and NumPy semantics are on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Final

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, npx
from mxnet.gluon import nn

from googlenet.arrays import Array, Params
from googlenet.backend.call import Call, Chain
from googlenet.backend.snippets import Gallery, Shown, agrees, differs, refuses
from googlenet.spec import Network, param_specs

from . import layout, leaves
from .model import numpy_semantics

NAMESPACES: Final[Mapping[str, ModuleType]] = {
    "mx": mx,
    "autograd": autograd,
    "gluon": gluon,
    "nn": nn,
    "npx": npx,
}


def shown_traps() -> Gallery:
    """Gluon's code for each trap."""
    return Gallery(ENTRIES, NAMESPACES, leaves.leaf)


@numpy_semantics()
def run_layers(
    chain: Chain, network: Network, params: Params, images: Array, *, train: bool
) -> dict[str, Array]:
    """The layers of `chain` in sequence on images (N, C, H, W): `output`, `parameters`, and the
    arrays that they have after it. In training mode there is a backward pass, too: running
    statistics move in it.
    """
    layers = [call.evaluate() for call in chain]
    specs = {
        layout.native_path(each).rpartition(".")[2]: each for each in param_specs(network).values()
    }
    held = {}
    for layer in layers:
        layer.initialize()
        for name, parameter in layer._collect_params_with_prefix().items():
            held[name] = parameter
            if name in specs:
                parameter.set_data(layout.to_native(specs[name], params[specs[name].path]))
    x = layout.images_to_native(images, mx.cpu())
    x.attach_grad()
    with autograd.record(train_mode=train):
        y = x
        for layer in layers:
            y = layer(y)
    if train:
        y.backward()
    trained = [each.shape for each in held.values() if each.grad_req != "null"]
    return {
        "output": layout.output_from_native(y),
        "parameters": np.array(sum(map(math.prod, trained))),
        **{
            spec.path: layout.from_native(spec, held[name].data())
            for name, spec in specs.items()
            if name in held
        },
    }


@numpy_semantics()
def run_function(function: Callable[..., Any], arguments: Mapping[str, Array]) -> Array:
    """What `function` returns for arrays of `arguments`, as an array."""
    mx.random.seed(0)
    native = {name: mx.np.array(array, dtype=array.dtype) for name, array in arguments.items()}
    answer = function(**native)
    return answer.asnumpy() if isinstance(answer, mx.np.ndarray) else np.array(answer)


# Layers -------------------------------------------------------------------------------------------


def pool_of_zeros(images):
    padded = mx.np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return nn.MaxPool2D(3, 2)(padded)


def adaptive_pool(images):
    x = images.as_nd_ndarray()
    return mx.nd.contrib.AdaptiveAvgPooling2D(x, output_size=4).as_np_ndarray()


def lrn(images):
    x = images.as_nd_ndarray()
    return mx.nd.LRN(x, nsize=5, alpha=1e-4, beta=0.75, knorm=1).as_np_ndarray()


def lrn_as_it_comes(images):
    x = images.as_nd_ndarray()
    return mx.nd.LRN(x, nsize=5).as_np_ndarray()


def normalise(images, weight, bias, running_mean, running_var):
    return npx.batch_norm(images, weight, bias, running_mean, running_var)


def normalise_with_the_weight(images, weight, bias, running_mean, running_var):
    return npx.batch_norm(images, weight, bias, running_mean, running_var, fix_gamma=False)


def running_variance(images, running_var):
    norm = nn.BatchNorm(in_channels=8)
    norm.initialize()
    norm.running_var.set_data(running_var)
    images.attach_grad()
    with autograd.record():
        y = norm(images)
    y.backward()
    return norm.running_var.data()


def unbiased_running_variance(images, running_var):
    norm = nn.BatchNorm(in_channels=8)
    norm.initialize()
    norm.running_var.set_data(running_var)
    images.attach_grad()
    with autograd.record():
        y = norm(images)
    y.backward()
    count = images.size // images.shape[1]  # values in a channel
    share = norm.running_var.data() - 0.9 * running_var  # the batch's, biased
    return 0.9 * running_var + share * count / (count - 1)


def forward_pass(images):
    norm = nn.BatchNorm(in_channels=8)
    norm.initialize()
    with autograd.record():
        norm(images)
    return norm.running_mean.data()


def forward_and_backward_pass(images):
    norm = nn.BatchNorm(in_channels=8)
    norm.initialize()
    with autograd.record():
        y = norm(images)
    y.backward()
    return norm.running_mean.data()


def flatten(images, weight):
    return npx.batch_flatten(images) @ weight.reshape(7, -1).T


def count_parameters():
    norm = nn.BatchNorm(in_channels=8)
    return sum(parameter.shape[0] for parameter in norm.collect_params().values())


def count_trainable_parameters():
    norm = nn.BatchNorm(in_channels=8)
    trained = [each for each in norm.collect_params().values() if each.grad_req != "null"]
    return sum(parameter.shape[0] for parameter in trained)


# Modes --------------------------------------------------------------------------------------------


def call(images):
    norm = nn.BatchNorm(in_channels=8)
    norm.initialize()
    return norm(images)


def call_in_training_mode(images):
    norm = nn.BatchNorm(in_channels=8)
    norm.initialize()
    with autograd.record():
        return norm(images)


# Losses -------------------------------------------------------------------------------------------


def smoothed_loss(logits, labels):
    logits, targets = logits.as_nd_ndarray(), labels.astype("float32").as_nd_ndarray()
    logits.attach_grad()
    with autograd.record():
        y = mx.nd.SoftmaxOutput(logits, targets, smooth_alpha=0.1, normalization="batch")
    y.backward()
    return logits.grad.as_np_ndarray()


def loss_of_smoothed_labels(logits, labels):
    targets = 0.9 * npx.one_hot(labels, 10, dtype="float64") + 0.1 / 10
    loss = gluon.loss.SoftmaxCrossEntropyLoss(sparse_label=False)
    logits.attach_grad()
    with autograd.record():
        value = loss(logits.astype("float64"), targets).mean()
    value.backward()
    return logits.grad


def loss_after_softmax_layer(logits, labels):
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    logits.attach_grad()
    with autograd.record():
        value = loss(nn.Activation("softmax")(logits), labels).mean()
    value.backward()
    return logits.grad


def loss_after_softmax(logits, labels):
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    logits.attach_grad()
    with autograd.record():
        value = loss(npx.softmax(logits), labels).mean()
    value.backward()
    return logits.grad


def loss_of_logits(logits, labels):
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    logits.attach_grad()
    with autograd.record():
        value = loss(logits.astype("float64"), labels).mean()
    value.backward()
    return logits.grad


def loss_as_it_comes(logits, labels):
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    logits.attach_grad()
    with autograd.record():
        value = loss(logits, labels)
    value.backward()
    return logits.grad


# Initial values -----------------------------------------------------------------------------------


def default_weights():
    conv = nn.Conv2D(208, 3, padding=1, in_channels=96)
    conv.initialize()
    return conv.weight.data()


def xavier_weights():
    conv = nn.Conv2D(208, 3, padding=1, in_channels=96)
    conv.initialize(mx.init.Xavier())
    return conv.weight.data()


def default_bias():
    conv = nn.Conv2D(208, 3, padding=1, in_channels=96)
    conv.initialize()
    return conv.bias.data()


def normal_weights_too_late():
    conv = nn.Conv2D(208, 3, padding=1, in_channels=96)
    conv.initialize()
    conv.initialize(mx.init.Normal(0.01))
    return conv.weight.data()


def normal_weights():
    conv = nn.Conv2D(208, 3, padding=1, in_channels=96)
    conv.initialize()
    conv.initialize(mx.init.Normal(0.01), force_reinit=True)
    return conv.weight.data()


# Data ---------------------------------------------------------------------------------------------


def two_epochs():
    loader = gluon.data.DataLoader(mx.np.arange(64), batch_size=8, shuffle=True)
    return mx.np.stack([mx.np.stack(list(loader)) for epoch in range(2)])


_SAME = "The padding of a layer is a number."
_DOUBLE = "In float64, since oneDNN's log_softmax strays further than float32 needs to."

ENTRIES: Final[Mapping[str, Shown]] = {
    "same-convolution": refuses(
        "MXNetError: Invalid Parameter format for pad",
        (Call(nn.Conv2D, (64, 7), {"strides": 2, "padding": "same", "in_channels": 1}),),
        remark=_SAME,
    ),
    "same-pooling": refuses(
        "MXNetError: Invalid Parameter format for pad",
        (Call(nn.MaxPool2D, (3, 2), {"padding": "same"}),),
        remark=_SAME,
    ),
    "zero-padding": differs(pool_of_zeros),
    "default-padding": agrees((Call(nn.Conv2D, (16, 3), {"in_channels": 8}),)),
    "ceil-mode": differs((Call(nn.MaxPool2D, (3, 2)),)),
    "ceil-window": differs((Call(nn.MaxPool2D, (2, 3), {"padding": 1, "ceil_mode": True}),)),
    "pool-stride": agrees((Call(nn.MaxPool2D, (2,)),)),
    "average-border": agrees((Call(nn.AvgPool2D, (3, 1), {"padding": 1}),)),
    "average-border-excluded": differs((Call(nn.AvgPool2D, (3, 1), {"padding": 1}),)),
    "auxiliary-pool": differs(adaptive_pool),
    "head-pool": differs((Call(nn.AvgPool2D, (7,)), Call(nn.Flatten))),
    "lrn-alpha": agrees(lrn),
    "lrn-window": agrees(lrn, remark="It asks for the size."),
    "lrn-defaults": differs(lrn_as_it_comes, remark="Its k is 2, as in AlexNet's paper."),
    "norm-eps": differs((Call(nn.BatchNorm, (), {"in_channels": 8}),)),
    "norm-momentum": differs((Call(nn.BatchNorm, (), {"momentum": 0.1, "in_channels": 8}),)),
    "norm-momentum-default": agrees((Call(nn.BatchNorm, (), {"in_channels": 8}),)),
    "norm-variance": differs(running_variance, unbiased_running_variance),
    "norm-statistics": differs(forward_pass, forward_and_backward_pass),
    "norm-gamma": differs(normalise, normalise_with_the_weight),
    "convolution-bias": agrees((Call(nn.Conv2D, (64, 1), {"in_channels": 192}),)),
    "bias-none": differs(
        (Call(nn.Conv2D, (32, 5), {"padding": 2, "use_bias": None, "in_channels": 16}),)
    ),
    "parameter-count": differs(count_parameters, count_trainable_parameters),
    "flatten-order": agrees(flatten),
    "evaluation-mode": agrees(call),
    "training-mode": differs(call, call_in_training_mode),
    "dropout-rate": agrees((Call(nn.Dropout, (0.4,)),)),
    "dropout-mode": agrees((Call(nn.Dropout, (0.4,)),)),
    "label-smoothing": differs(smoothed_loss, loss_of_smoothed_labels, _DOUBLE),
    "softmax-layer": refuses(
        "MXNetError: Invalid Input: 'softmax'",
        loss_after_softmax_layer,
        loss_of_logits,
        "Gluon has no softmax layer.",
    ),
    "softmax-function": differs(loss_after_softmax, loss_of_logits, _DOUBLE),
    "loss-reduction": differs(
        loss_as_it_comes, loss_of_logits, "`Trainer.step(batch_size)` divides by its argument."
    ),
    "initial-weights": differs(default_weights, xavier_weights),
    "initial-bias": agrees(default_bias),
    "initialiser-not-applied": differs(normal_weights_too_late, normal_weights),
    "batch-before-shuffle": agrees(two_epochs, remark="The loader shuffles before it batches."),
}
