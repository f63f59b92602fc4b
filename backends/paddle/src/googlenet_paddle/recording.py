"""A user's model run once and recorded: Paddle's own program of it, and which layer object each
operation comes from. The user's objects are as before afterwards.
"""

from __future__ import annotations

import os
import traceback
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import paddle
from paddle import nn

import googlenet
from googlenet.arrays import Array
from googlenet.errors import CaptureError, TraceError

from .model import name
from .static_mode import newest, replaced, suited, unrecorded

#: Paddle as it is: its types leave out what programs are made of.
_paddle: Final[Any] = paddle
#: A user's model: a layer, or a function of a tensor.
Model: TypeAlias = Callable[[paddle.Tensor], Any]
#: Layers that do nothing in evaluation mode, of which Paddle then records nothing.
SILENT: Final = (nn.Dropout, nn.Dropout2D, nn.Dropout3D, nn.AlphaDropout, nn.FeatureAlphaDropout)


@dataclass(frozen=True, eq=False)
class Recording:
    """Paddle's `program` of a model on `images`, which gives `results`, and what it gave: `outputs`
    as arrays.

    `tensors` are the user's own with their values in the program. By the id of an operation,
    `layers` has the layer objects that it is in, the innermost first, and `silent` the dropout
    layer that does nothing and that it stands for. `channels_last` says that the model takes its
    images so, (N, H, W, C).
    """

    model: Model
    program: Any
    results: list[Any]
    outputs: list[Array]
    images: Array
    channels_last: bool
    tensors: list[tuple[paddle.Tensor, Any]]
    layers: dict[Any, list[nn.Layer]]
    silent: dict[Any, nn.Layer]


def record(model: Model, images: Array) -> Recording:
    """`model` in evaluation mode on `images` (N, C, H, W); if it cannot take these but has layers
    of channels last, on (N, H, W, C).

    Raises `TraceError` if it cannot be run or does not return tensors, `CaptureError` if it cannot
    be recorded.
    """
    if isinstance(model, type) or not callable(model):
        what = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
        raise TraceError(
            f"{name}: expected an nn.Layer or a function of a tensor, got {what}; give a model, not"
            " what makes one"
        )
    _check(model)
    with _Watch(model) as watch:
        given, outputs, last = _run(model, watch, images)
        watch.settle()
        program, results, tensors = _recorded(model, watch, given)
    found = [each.astype("float64").numpy() for each in outputs]
    native = given.numpy()
    return Recording(
        model, program, results, found, native, last, tensors, watch.layers, watch.silent
    )


def _check(model: Model) -> None:
    """Raises `TraceError` for weights with which nothing can be computed, or nothing be proved."""
    for path, tensor in model.named_parameters() if isinstance(model, nn.Layer) else ():
        parts = (f"[{each}]" if each.isdigit() else f".{each}" for each in path.split("."))
        place = f"net{''.join(parts)}"
        if not isinstance(tensor, paddle.Tensor):
            raise TraceError(
                f"{name}: {place} was made in static mode, in which a layer computes nothing by"
                " itself; make the model before paddle.enable_static(), or leave that call out"
            )
        if tensor.dtype in (paddle.float16, paddle.bfloat16):
            called = str(tensor.dtype).removeprefix("paddle.")
            raise TraceError(
                f"{name}: {place} is {called}, with which nothing can be proved; convert the model"
                " with model.float() first"
            )


def _run(
    model: Model, watch: _Watch, images: Array
) -> tuple[paddle.Tensor, list[paddle.Tensor], bool]:
    """The images as the model takes them, what it gives for them, and whether it takes them with
    the channels last.
    """
    first: Exception | None = None
    for last in (False, True):
        if last and not watch.takes_channels_last():
            break
        native = images.transpose(0, 2, 3, 1) if last else images
        x = _like(model, np.ascontiguousarray(native))
        try:
            with paddle.no_grad():
                outputs = model(x)
                if watch.has_grown():  # layers that were built just now ran in another mode
                    outputs = model(x)
        except Exception as error:  # the user's code may raise anything, and Paddle has many errors
            first = first or error
            continue
        return x, _tensors(outputs), last
    assert first is not None
    raise TraceError(
        f"{name}: the model cannot be run on images of shape {images.shape} ({said(first)})"
    ) from first


def _recorded(
    model: Model, watch: _Watch, x: paddle.Tensor
) -> tuple[Any, list[Any], list[tuple[paddle.Tensor, Any]]]:
    """Paddle's program of the model, its results, and the tensors in it."""

    raised: list[Exception] = []

    @paddle.jit.not_to_static  # as it is: Paddle would rewrite its source, and needs one
    def run(images: Any) -> Any:
        watch.begin(_paddle.static.default_main_program().global_block())
        with suited():
            try:
                return newest(model(images))
            except Exception as error:  # of the user's line: Paddle raises another in its place
                raised.append(error)
                raise

    spec = _paddle.static.InputSpec(x.shape, x.dtype, "images")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of operations in place, which record as others do
            static = paddle.jit.to_static(run, input_spec=[spec], full_graph=True)
            program = static.concrete_program
    except Exception as error:  # what the user's code runs into in a graph, and Paddle has many
        cause = raised[-1] if raised else error
        raise CaptureError(f"{name}: the model runs, but {_refused(cause)}") from cause
    results = [each for each in program.outputs if isinstance(each, _paddle.pir.Value)]
    return program.main_program, results, list(zip(*program.parameters, strict=True))


def _refused(error: Exception) -> str:
    """Why the model cannot be recorded, with the line of the user's that is to blame."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if _is_users(each)]
    where = f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else ""
    text = str(error)
    if any(each in text for each in _OF_VALUES):
        line = f": {where}: {str(frames[-1].line).rstrip(':')}" if frames else f" ({said(error)})"
        return f"its path depends on the values of the images{line}"
    return f"paddle.jit.to_static cannot record it{f': {where}' if where else ''} ({said(error)})"


def _is_users(frame: traceback.FrameSummary) -> bool:
    return not frame.filename.startswith(("<", *_OTHERS))


#: What Paddle says where Python asks for a number that only running the graph gives.
_OF_VALUES: Final = ("not supported in static graph mode", "in dynamic graph mode")
#: The folders of what is not the user's code.
_OTHERS: Final = tuple(
    os.path.join(os.path.dirname(str(file)), "")
    for file in (paddle.__file__, googlenet.__file__, __file__)
)


def said(error: Exception) -> str:
    """What an error says, in a line; Paddle's own stand below a trace of its kernels."""
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith("---")]
    if "Error Message Summary:" in lines:
        lines = lines[lines.index("Error Message Summary:") + 1 :]
    elif "In transformed code:" in lines:
        lines = [each for each in lines if each.partition(":")[0].endswith("Error")] or lines
    first = lines[0] if lines else ""
    kind = type(error).__name__
    return first if first.startswith(kind) else f"{kind}: {first}"


def _like(model: Model, images: Array) -> paddle.Tensor:
    """`images` where the model's weights are, and of their type."""
    if isinstance(model, nn.Layer):
        for weight in model.parameters():
            if weight.is_floating_point():
                return paddle.to_tensor(images, dtype=weight.dtype, place=weight.place)
    return paddle.to_tensor(images)


def _tensors(outputs: Any) -> list[paddle.Tensor]:
    found = [outputs] if isinstance(outputs, paddle.Tensor) else outputs
    is_list = isinstance(found, tuple | list) and bool(found)
    if not is_list or not all(isinstance(each, paddle.Tensor) for each in found):
        raise TraceError(
            f"{name}: expected a model that returns a tensor, or a list or tuple of tensors with"
            f" the logits first, got {_described(outputs)}"
        )
    return list(found)


def _described(outputs: Any) -> str:
    """What a model returned, for a message."""
    if isinstance(outputs, tuple | list):
        kinds = sorted({type(each).__name__ for each in outputs})
        return f"a {type(outputs).__name__} of {' and '.join(kinds) or 'nothing'}"
    return type(outputs).__name__


class _Watch:
    """Sees every call of a layer while a model is run, and leaves the layers as they were.

    A layer of the model is in evaluation mode; so is any that a plain function calls. Weights and
    running statistics are set back, and attributes that the recording left.
    """

    def __init__(self, model: Model) -> None:
        self._root = model if isinstance(model, nn.Layer) else None
        self._mode = model.training if isinstance(model, nn.Layer) else True
        self._modes: dict[nn.Layer, bool] = {}
        self._kept: list[tuple[paddle.Tensor, Array]] = []
        self._buffers: dict[nn.Layer, dict[str, Any]] = {}
        self._attributes: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._stack = ExitStack()
        self._block: Any = None
        self._grown = False
        self.layers: dict[Any, list[nn.Layer]] = {}
        self.silent: dict[Any, nn.Layer] = {}

    def __enter__(self) -> _Watch:
        if self._root is not None:
            for layer in self._root.sublayers(include_self=True):
                self._meet(layer, layer.training)
        self._stack.enter_context(unrecorded())
        self._stack.enter_context(replaced(nn.Layer, "__call__", self._wrapped))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()
        for live, before in self._attributes:
            _restore(live, before)
        for tensor, array in self._kept:
            if not np.array_equal(tensor.numpy(), array, equal_nan=True):
                tensor.set_value(array)
        for layer, training in self._modes.items():
            layer.training = training

    def _meet(self, layer: nn.Layer, mode: bool) -> None:
        """Put a layer into evaluation mode, and remember what it holds."""
        self._modes[layer] = mode
        layer.training = False
        self._keep(layer)

    def _keep(self, layer: nn.Layer) -> None:
        self._buffers[layer] = dict(layer._buffers)
        held = (*layer._parameters.values(), *layer._buffers.values())
        for tensor in held:
            if isinstance(tensor, paddle.Tensor) and tensor._is_initialized():
                self._kept.append((tensor, tensor.numpy().copy()))

    def _wrapped(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def called(layer: nn.Layer, *args: Any, **kwargs: Any) -> Any:
            if layer not in self._modes:
                self._met(layer)
            block = self._block
            if block is None:
                return original(layer, *args, **kwargs)
            before = block.back().id() if len(block.ops) else None
            found = original(layer, *args, **kwargs)
            if isinstance(layer, SILENT) and args and found is args[0]:
                found = paddle.assign(found)
                self.silent[block.back().id()] = layer
            for op in reversed(block.ops):
                if op.id() == before:
                    break
                self.layers.setdefault(op.id(), []).append(layer)
            return found

        return called

    def _met(self, layer: nn.Layer) -> None:
        """A layer that was not there before, or is in no layer that Paddle knows of: what
        `model.eval()` does not reach stays as it is.
        """
        if self._root is None:
            self._meet(layer, layer.training)
        elif any(layer is each for each in self._root.sublayers(include_self=True)):
            self._meet(layer, self._mode)
            self._grown = True
        else:
            self._modes[layer] = layer.training
            self._keep(layer)

    def has_grown(self) -> bool:
        """Whether the model has built layers since it was last asked."""
        grown, self._grown = self._grown, False
        return grown

    def takes_channels_last(self) -> bool:
        """Whether a layer says that its channels are last."""
        formats = (getattr(layer, "_data_format", None) for layer in self._modes)
        names = (getattr(layer, "data_format", None) for layer in self._modes)
        return "NHWC" in (*formats, *names)

    def settle(self) -> None:
        """What the layers hold now, all being built, is what they hold afterwards."""
        layers = list(self._modes)
        if self._root is not None:
            layers += self._root.sublayers(include_self=True)
        for layer in dict.fromkeys(layers):
            held, buffers = vars(layer), layer._buffers
            self._attributes.append((held, _copied(held)))
            before = self._buffers.get(layer, {})
            for key in [key for key, each in buffers.items() if before.get(key) is not each]:
                # A tensor that the model keeps of its last call. A value of the program would be
                # written into it, where it is a buffer, instead of taking its place.
                held[key] = buffers.pop(key)

    def begin(self, block: Any) -> None:
        """From now on operations are recorded in `block`."""
        self._block = block


def _copied(held: dict[str, Any]) -> dict[str, Any]:
    """A layer's attributes, with copies of the lists and dicts among them."""
    return {
        key: (value, value.copy() if isinstance(value, list | dict | set) else None)
        for key, value in held.items()
    }


def _restore(live: dict[str, Any], before: dict[str, Any]) -> None:
    for key in [key for key in live if key not in before]:
        del live[key]
    for key, (value, content) in before.items():
        live[key] = value
        if isinstance(value, list):
            value[:] = content
        elif isinstance(value, dict | set):
            value.clear()
            value.update(content)
