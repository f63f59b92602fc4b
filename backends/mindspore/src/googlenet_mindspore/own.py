"""A user's own MindSpore model, run and differentiated as it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

import mindspore as ms
import numpy as np
from mindspore import nn, ops
from mindspore.ops.auto_generate import gen_ops_prim
from mindspore.ops.operations import nn_ops

from googlenet.arrays import Array
from googlenet.errors import WeightsError
from googlenet.spec import Loss, Network

from . import layout
from .functions import as_cell
from .mindir import explained
from .model import in_mode, total_loss
from .reading import weights
from .tracing import like, tensors, untouched

#: The operations that drop at random, whoever calls them, and how many tensors each returns.
_DROPPING: Final[Mapping[type, int]] = {
    gen_ops_prim.Dropout: 2,
    gen_ops_prim.DropoutExt: 2,
    gen_ops_prim.FuncDropoutExt: 1,
    gen_ops_prim.Dropout2dExt: 1,
    nn_ops.Dropout2D: 2,
    nn_ops.Dropout3D: 2,
}
#: Turns `ms.jit` off while it is "0": a graph calls no operation that could be replaced, and may
#: have been compiled before.
_JIT: Final = "MS_JIT"


def own(model: Any, network: Network, outputs: tuple[str, ...]) -> OwnModel:
    """`model`, which `trace` told to be `network`, with its outputs in the order in which it
    returns them.
    """
    return OwnModel(model, network, outputs)


def load(model: Any, path: str | os.PathLike[str]) -> None:
    """Load a checkpoint into a user's model. Raises `WeightsError` for a file that does not fit, or
    a model that is a function.
    """
    if not isinstance(model, nn.Cell):
        raise WeightsError(
            f"{path}: only an nn.Cell loads a file, and the model is a {type(model).__name__}"
        )
    try:
        format = "safetensors" if os.fspath(path).endswith(".safetensors") else "ckpt"
        found = ms.load_checkpoint(os.fspath(path), format=format)
        missing, unexpected = ms.load_param_into_net(model, found, strict_load=True)
    except Exception as error:  # MindSpore has many, for files and for parameters
        raise WeightsError(
            f"{path}: cannot be loaded into the model as a checkpoint ({explained(error)[:300]})"
        ) from error
    told = [
        f"{what} {', '.join(names)}"
        for what, names in (("missing", missing), ("unexpected", unexpected))
        if names
    ]
    if told:
        raise WeightsError(
            f"{path}: cannot be loaded into the model as a checkpoint ({'; '.join(told)[:300]})"
        )


class OwnModel:
    """See `googlenet.backend.protocols.OwnModel`."""

    def __init__(self, model: Any, network: Network, outputs: tuple[str, ...]) -> None:
        self._model, self._network, self._names = model, network, outputs
        with self._cell() as cell:
            held = weights(each for _, each in cell.cells_and_names())
        self._held = {name: each for name, each in held.items() if each.dtype in _WIDE}

    def arrays(self) -> dict[str, Array]:
        """Copies of all parameters of numbers; statistics are parameters, too."""
        return {name: each.asnumpy().astype(np.float32) for name, each in self._held.items()}

    def assign(self, arrays: Mapping[str, Array]) -> None:
        """Set all of them."""
        for name, array in arrays.items():
            parameter = self._held[name]
            parameter.set_data(ms.Tensor(array, parameter.dtype))

    def outputs(self, images: Array, *, train: bool) -> list[Array]:
        """The outputs (N, K) of images (N, C, H, W)."""
        with self._running(train) as cell:
            found = _rows(cell(like(cell, images)))
        return [layout.output_from_native(each) for each in found]

    def gradients(
        self, images: Array, labels: Array, *, loss: Loss, train: bool
    ) -> tuple[float, dict[str, Array]]:
        """The loss and its gradient with respect to each parameter that asks for one."""
        trained = {name: each for name, each in self._held.items() if each.requires_grad}
        with self._running(train) as cell:

            def total_of(x: ms.Tensor) -> ms.Tensor:
                outputs = dict(zip(self._names, _rows(cell(x)), strict=True))
                return total_loss(outputs, labels, loss, self._network)

            wanted = ms.ParameterTuple(trained.values())
            total, grads = ms.value_and_grad(total_of, None, wanted)(like(cell, images))
        return total.item(), {
            name: grad.asnumpy().copy() for name, grad in zip(trained, grads, strict=True)
        }

    def evaluation(self) -> Callable[[Array], list[Array]]:
        """The model as its user calls it, in evaluation mode from now on."""
        model = self._model
        if isinstance(model, nn.Cell):
            model.set_train(False)

        def call(images: Array) -> list[Array]:
            x = like(model, images) if isinstance(model, nn.Cell) else ms.Tensor(images)
            return [layout.output_from_native(each) for each in _rows(model(x))]

        return call

    def _cell(self) -> AbstractContextManager[nn.Cell]:
        """The model as a cell."""
        return (
            nullcontext(self._model) if isinstance(self._model, nn.Cell) else as_cell(self._model)
        )

    @contextmanager
    def _running(self, train: bool) -> Iterator[nn.Cell]:
        """The model as a cell in training or evaluation mode, which drops nothing."""
        with self._cell() as cell, untouched(cell), in_mode(cell, train), _still():
            yield cell


#: The types of numbers.
_WIDE: Final = (ms.float32, ms.float64)


def _rows(outputs: Any) -> list[ms.Tensor]:
    return [ops.reshape(each, (each.shape[0], -1)) for each in tensors(outputs)]


@contextmanager
def _still() -> Iterator[None]:
    """Nothing is dropped for a while, whoever asks for it, with graphs off."""
    # `Any`, since methods are not meant to be replaced.
    dropping: dict[Any, int] = dict(_DROPPING)
    before = {kind: vars(kind).get("__call__") for kind in dropping}
    jit = os.environ.get(_JIT)
    os.environ[_JIT] = "0"
    for kind, count in dropping.items():
        kind.__call__ = _kept(count)
    try:
        yield
    finally:
        for kind, call in before.items():
            if call is None:
                del kind.__call__
            else:
                kind.__call__ = call
        if jit is None:
            del os.environ[_JIT]
        else:
            os.environ[_JIT] = jit


def _kept(count: int) -> Callable[..., Any]:
    """Replaces an operation that drops: its result is what it is given, and in place of a mask
    there is the same.
    """

    def kept(primitive: ms.ops.Primitive, x: ms.Tensor, *settings: Any) -> Any:
        return x if count == 1 else (x,) * count

    return kept
