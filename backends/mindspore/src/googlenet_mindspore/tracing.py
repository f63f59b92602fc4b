"""What a user's MindSpore model computes: the operations of its graph, in neutral terms."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import mindspore as ms
import numpy as np
from mindspore import nn

from googlenet.arrays import Array
from googlenet.backend.graph import Graph
from googlenet.errors import CaptureError, TraceError

from .functions import as_cell
from .mindir import (
    BranchingError,
    Program,
    Whole,
    captured,
    explained,
)
from .model import name
from .places import is_native
from .reading import DROPOUTS, Reader, written
from .refusals import branching, refused


def trace(model: Any, images: Array) -> tuple[Graph, list[Array]]:
    """The graph of `model`, a cell or a function of the images, in evaluation mode on `images` (N,
    C, H, W), N at least 2, and its outputs on them, the logits first.

    `model` keeps its weights and its mode. Raises `TraceError` if it cannot be run on the images,
    or if it does not return tensors, and `CaptureError` if graph mode does not understand its code.
    """
    if isinstance(model, nn.Cell):
        return _traced(model, images)
    if not inspect.isroutine(model) and not isinstance(model, partial):
        raise TraceError(
            f"{name}: expected an nn.Cell or a function of the images, got {type(model).__name__}"
        )
    with as_cell(model) as cell:
        return _traced(cell, images)


def _traced(model: nn.Cell, images: Array) -> tuple[Graph, list[Array]]:
    _check_type(model)
    x = like(model, images)
    with untouched(model):
        model.set_train(False)
        outputs = _run(model, x, images.shape)
        _show_dropout(model)
        evaluated = _captured(model, x)
        training = None
        if _asks_for_mode(model):
            model.set_train(True)
            training = _captured_or_none(model, x)
    return Reader(model, images.shape, evaluated, training).graph(), outputs


def _run(model: nn.Cell, x: ms.Tensor, shape: tuple[int, ...]) -> list[Array]:
    """The outputs of `model`, in the user's own mode of execution."""
    try:
        outputs = tensors(Whole(model)(x))
        return [each.asnumpy().astype(np.float64) for each in outputs]
    except TraceError:
        raise
    except Exception as error:  # the user's code may raise anything
        raise TraceError(
            f"{name}: the model cannot be run on images of shape {shape} ({explained(error)})"
        ) from error


def _captured(model: nn.Cell, x: ms.Tensor) -> Program:
    try:
        return captured(model, x)
    except BranchingError as error:
        cells = dict(model.cells_and_names())
        line = branching([cells[error.path]] if error.path in cells else []) or branching(
            cells.values()
        )
        raise CaptureError(
            f"{name}: the model runs, but its path depends on the values of the images, so no"
            " single graph says what it computes; write it without the if or the loop, for example"
            f" with ops.where: {line or 'in ' + written(model, error.path)}"
        ) from error
    except Exception as error:  # graph mode has no error of its own
        unlisted = _unlisted(model)
        if unlisted:
            raise CaptureError(
                f"{unlisted}: MindSpore does not count cells in a plain list, or their weights, as"
                " part of the model; make the list an nn.CellList"
            ) from error
        line = refused(model, error)
        raise CaptureError(
            f"{name}: the model runs, but graph mode, which tells what it computes, does not"
            f" understand its code ({explained(error)}){': ' if line else ''}{line}"
        ) from error


def _unlisted(model: nn.Cell) -> str:
    """Where cells are held in a list that is none of MindSpore's; nothing if there is none."""
    for path, cell in model.cells_and_names():
        counted = {id(each) for each in cell.cells()}  # as nn.SequentialCell does, which has a list
        for attribute, held in vars(cell).items():
            if isinstance(held, list | tuple) and any(
                isinstance(each, nn.Cell) and id(each) not in counted for each in held
            ):
                return f"{written(model, path)}.{attribute}"
    return ""


def _captured_or_none(model: nn.Cell, x: ms.Tensor) -> Program | None:
    """Training mode only tells of dropout; where it cannot be captured, evaluation still can."""
    try:
        return captured(model, x)
    except Exception:  # as in `_captured`
        return None


def like(model: nn.Cell, images: Array) -> ms.Tensor:
    """`images` in the type of the model's weights."""
    for weight in model.get_parameters():
        if weight.dtype in _WIDE:
            return ms.Tensor(images, weight.dtype)
    return ms.Tensor(images)


def _check_type(model: nn.Cell) -> None:
    for each in model.get_parameters():
        if each.dtype in (ms.float16, ms.bfloat16):
            raise TraceError(
                f"{written(model, each.name)}: is {str(each.dtype).lower()}, with which nothing can"
                " be proved; give it the type float32 first, as with `set_dtype`"
            )


#: What a model may compute in, to be compared with float64.
_WIDE: Final = (ms.float32, ms.float64)


def tensors(outputs: Any) -> list[ms.Tensor]:
    """What a model returns. Raises `TraceError` for anything but tensors."""
    found = [outputs] if isinstance(outputs, ms.Tensor) else outputs
    if not isinstance(found, tuple | list) or not all(isinstance(t, ms.Tensor) for t in found):
        raise TraceError(
            f"{name}: expected a model that returns a tensor, or a tuple of tensors with the logits"
            f" first, got {type(outputs).__name__}"
        )
    return list(found)


# Modes --------------------------------------------------------------------------------------------


@contextmanager
def untouched(model: nn.Cell) -> Iterator[None]:
    """Every cell is afterwards as it was: its mode, and what MindSpore notes in it when it compiles
    it. Meanwhile none has a scope from an earlier compilation.
    """
    cells = [cell for _, cell in model.cells_and_names()]
    before = [(cell, dict(vars(cell)), dict(vars(cell).get(_FLAGS, {}))) for cell in cells]
    try:
        for cell in cells:
            vars(cell)[_SCOPE] = None
        yield
    finally:
        for cell, attributes, flags in before:
            vars(cell).clear()
            vars(cell).update(attributes)
            if _FLAGS in attributes:
                attributes[_FLAGS].clear()
                attributes[_FLAGS].update(flags)


#: What a cell says to the compiler, its mode for one; and the path by which it was reached.
_FLAGS: Final = "_func_graph_flags"
_SCOPE: Final = "_scope"


def _show_dropout(model: nn.Cell) -> None:
    """Sets the cells that are nothing but a dropout to training mode: they stay in the graph."""
    for _, cell in model.cells_and_names():
        if isinstance(cell, DROPOUTS):
            cell.set_train(True)


def _asks_for_mode(model: nn.Cell) -> bool:
    """Whether the code of a user's cell reads its mode, as for `ops.dropout`."""
    kinds = {kind for _, cell in model.cells_and_names() for kind in type(cell).__mro__}
    own = [kind for kind in kinds if issubclass(kind, nn.Cell) and not is_native(kind)]
    return any(".training" in _source(kind) for kind in own)


def _source(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return ".training"  # nobody knows
