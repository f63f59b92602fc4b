"""The functions of the backend `numpy`: build a model, read and save its weights, run it forward
and backward.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from ..arrays import Array, Params
from ..backend.checks import check_images, check_labels, check_taps
from ..errors import DeviceError
from ..files import native_file
from ..spec.layers import Network
from ..spec.loss import Loss, cross_entropy
from ..weights.check import check_params
from . import layout
from .network import Model, Pass, in_silence

name = "numpy"
unbiased_running_variance = False
file_suffix = ".npz"


def build(
    network: Network,
    params: Params,
    *,
    device: str | None = None,
    dtype: npt.DTypeLike = np.float32,
    unbiased_running_variance: bool = False,
) -> Model:
    """The network in NumPy with `params` loaded; `dtype` is float32 or float64.

    Raises `WeightsError` if the weights do not fit, `DeviceError` for a device other than None or
    "cpu".
    """
    if device not in (None, "cpu"):
        raise DeviceError(f"device: '{device}' cannot be used by numpy: it only runs on 'cpu'")
    return Model(
        network,
        check_params(network, params),
        dtype=dtype,
        unbiased_running_variance=unbiased_running_variance,
    )


def params_of(model: Model) -> Params:
    """The weights of `model` by path in canonical layout and the model's dtype."""
    return {
        path: layout.from_native(spec, model.params[path]) for path, spec in model.specs.items()
    }


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write the weights of `model` to `path` as an .npz of its canonical arrays by path, for
    `numpy.load`.

    Raises `WeightsError` for any other ending or a file that cannot be written; an existing file is
    then left unchanged.
    """
    with native_file(path, file_suffix) as temporary:
        np.savez(temporary, **params_of(model))  # type: ignore[arg-type]


@in_silence
def forward(
    model: Model, images: Array, *, train: bool = False, taps: Iterable[str] = ()
) -> dict[str, Array]:
    """The outputs of images (N, C, H, W) by name: `logits` (N, K), auxiliary heads, and the tapped
    layers, maps as NCHW.

    In training mode batch norm uses the batch and updates its running statistics. Raises
    `ShapeError` or `DataError` for images, or `UnknownNameError` for taps, that do not fit.
    """
    run = Pass(train=train, taps=check_taps(model.network, taps))
    model.run(check_images(model.network, images, train=train), run)
    return run.outputs


def gradients(
    model: Model, images: Array, labels: Array, *, loss: Loss = Loss(), train: bool = True
) -> tuple[float, Params]:
    """The loss in nats of images (N, C, H, W) with labels (N,), and its gradient with respect to
    every trainable array, in canonical layout.

    Raises `ShapeError` or `DataError` for images or labels that do not fit.
    """
    return run_gradients(model, images, labels, Pass(train=train), loss=loss)


@in_silence
def run_gradients(
    model: Model, images: Array, labels: Array, run: Pass, *, loss: Loss = Loss()
) -> tuple[float, Params]:
    """`gradients` with a pass of the caller's choice, which then holds all its results."""
    images = check_images(model.network, images, train=run.train)
    labels = check_labels(model.network, labels, len(images))
    backward = model.run(images, run)
    run.settle()
    total = 0.0
    for output, weight in loss.output_weights(model.network).items():
        value, grad = cross_entropy(run.outputs[output], labels, loss.label_smoothing)
        total += weight * value
        run.output_grads[output] = model.rounded((weight * grad).astype(model.dtype))
    backward(run.output_grads["logits"])
    return total, {
        path: layout.from_native(spec, run.grads[path])
        for path, spec in model.specs.items()
        if spec.trainable
    }


def set_threads(count: int) -> None:
    """Multiply matrices with `count` threads from now on, at least 1: numpy's BLAS reads the
    environment only while it is imported.
    """
    from threadpoolctl import threadpool_limits

    threadpool_limits(count)
