"""A user's model run once and recorded: Paddle's own program of it, and which layer object each
operation comes from. The user's objects are as before afterwards.
"""

from __future__ import annotations

import os
import re
import traceback
import warnings
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import paddle
from paddle import nn

from googlenet.arrays import Array
from googlenet.backend.lines import closed, innermost
from googlenet.errors import CaptureError, TraceError

from .model import name
from .static_mode import newest, suited
from .watching import Model, Watch

#: Paddle as it is: its types leave out what programs are made of.
_paddle: Final[Any] = paddle


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


def record(model: Model, images: Array, *, training: bool = False) -> Recording:
    """`model` in evaluation mode on `images` (N, C, H, W), or what its own code does in `training`
    mode; if it cannot take these but has layers of channels last, on (N, H, W, C).

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
    with Watch(model, training=training) as watch:
        given, outputs, last = _run(model, watch, images)
        watch.settle()
        program, results, tensors = _recorded(model, watch, given)
    if len(results) != len(outputs):
        raise CaptureError(
            f"{name}: the model runs and gives {len(outputs)} tensors, but paddle.jit.to_static"
            f" records {len(results)}"
        )
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
    model: Model, watch: Watch, images: Array
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
    model: Model, watch: Watch, x: paddle.Tensor
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


def called(op: Any) -> tuple[str, int] | None:
    """The file and the line of the user's that call an operation, or the layer that it is in; None
    for what one of Paddle's own containers calls.
    """
    matches = filter(None, map(_FRAME.match, reversed(op.callstack)))
    frames = ((each.group(1), int(each.group(2))) for each in matches)
    return innermost(frames, _OTHERS, _CONTAINERS)


def _is_users(frame: traceback.FrameSummary) -> bool:
    return not frame.filename.startswith(_OTHERS)


#: A line of a call stack, with its file and number, and the files of Paddle's containers.
_FRAME: Final = re.compile(r'  File "(.+)", line (\d+), in ')
_CONTAINERS: Final = (os.path.join("nn", "layer", "container.py"),)
#: What Paddle says where Python asks for a number that only running the graph gives.
_OF_VALUES: Final = ("not supported in static graph mode", "in dynamic graph mode")
#: What is not the user's code.
_OTHERS: Final = closed(paddle.__file__, __file__)


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
