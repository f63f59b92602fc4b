"""What a user's PyTorch model computes: `torch.export`'s operations, in neutral terms."""

from __future__ import annotations

import operator
import os
import re
import traceback
import warnings
from contextlib import nullcontext
from typing import Any, Final

import torch
from torch import nn
from torch.fx import Node
from torch.fx.node import map_arg

from googlenet.arrays import Array
from googlenet.backend.graph import Graph, Op
from googlenet.backend.lines import closed, innermost
from googlenet.errors import CaptureError, TraceError

from .kept import kept
from .model import name
from .operations import WIDE, Translated, own_name, piece, translated
from .origins import Origins, origin, unscaled, unused
from .own import DROPPING, Still, has_opened_heads
from .patterns import local_response_norm

#: What is not the user's code, and the file of PyTorch's containers.
_OTHERS: Final = closed(torch.__file__, __file__)
_CONTAINERS: Final = ("container.py",)


def trace(model: nn.Module, images: Array) -> tuple[Graph, list[Array]]:
    """The graph of `model` in evaluation mode on `images` (N, C, H, W), N at least 2, and its
    outputs on them, the logits first.

    `model` stays as it is: weights, buffers, mode and attributes; only layers that are built when
    they are first called are built. Raises `TraceError` if PyTorch cannot capture it, if it
    computes in less than float32, or if it does not return tensors.
    """
    if not isinstance(model, nn.Module):
        raise TraceError(f"{name}: expected an nn.Module, got {type(model).__name__}")
    original = getattr(model, "_orig_mod", None)
    if isinstance(original, nn.Module):  # what was compiled: compiling it again takes minutes
        model = original
    if isinstance(model, torch.jit.ScriptModule):
        raise TraceError(
            f"{name}: the model is TorchScript already, which torch.export does not take; give the"
            " nn.Module that it was made of"
        )
    for path, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_meta:
            raise TraceError(
                f"{name}: {path} is on the device 'meta', which holds no numbers; make the model on"
                " another device"
            )
    _check_type(model)
    opened = has_opened_heads(model)
    with kept(model) as state:
        try:
            with torch.no_grad(), Still() if opened else nullcontext():
                outputs = _tensors(model(_like(model, images)))  # builds what is built lazily
        except TraceError:
            raise
        except Exception as error:  # the user's code may raise anything
            what = f"{type(error).__name__}: {_first(error)}"
            raise TraceError(
                f"{name}: the model cannot be run on images of shape {images.shape} ({what})"
            ) from error
        state.restore()
        try:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # PyTorch's own, of PyTorch
                exported = torch.export.export(model, (_like(model, images),))
            if opened:
                _switch_dropout_off(exported.graph)
        except Exception as error:  # PyTorch has many, and the user's code runs in it again
            raise CaptureError(f"{name}: {_uncaptured(error)}") from error
    found = [each.detach().cpu().double().numpy() for each in outputs]
    return _Reader(model, exported).graph(), found


def _switch_dropout_off(graph: Any) -> None:
    """As in evaluation mode: what calls it as a function is in training mode for its heads."""
    for node in graph.nodes:
        dropping = own_name(node.target).rpartition(".")[2] in DROPPING
        if node.op == "call_function" and dropping and len(node.args) > 2:
            node.update_arg(2, False)


def _uncaptured(error: Exception) -> str:
    """Why `torch.export` cannot capture a model that runs, and the user's line where that is."""
    why = f"{type(error).__name__}: {_first(error)}"
    if type(error).__name__.startswith("GuardOnDataDependent"):
        why = "what is computed there depends on the values of the images"
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.line and not frame.filename.startswith(_OTHERS)
    ]
    if not own:
        return f"the model runs, but torch.export cannot capture it ({why})"
    file = os.path.relpath(own[-1].filename)
    file = own[-1].filename if file.startswith(os.pardir) else file
    return (
        f"the model runs, but torch.export cannot capture {file}, line {own[-1].lineno}:"
        f" `{own[-1].line}` ({why})"
    )


def _first(error: Exception) -> str:
    """The first line of what an error says."""
    return next(iter(str(error).strip().splitlines()), "")


def _check_type(model: nn.Module) -> None:
    for path, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.dtype.is_floating_point and tensor.dtype not in WIDE:
            raise TraceError(
                f"{_place(path)}: is {_type(tensor)}, with which nothing can be proved; convert"
                " the model with model.float() first"
            )


def _type(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _like(model: nn.Module, images: Array) -> torch.Tensor:
    """`images` where the model's weights are, and of their type."""
    x = torch.tensor(images)
    for weight in model.parameters():
        if weight.dtype.is_floating_point and not nn.parameter.is_lazy(weight):
            return x.to(weight.device, weight.dtype)
    return x


def _tensors(outputs: Any) -> list[torch.Tensor]:
    found = [outputs] if isinstance(outputs, torch.Tensor) else outputs
    several = isinstance(found, tuple | list) and len(found) > 0
    if not several or not all(isinstance(each, torch.Tensor) for each in found):
        what = "nothing" if outputs in (None, (), []) else type(outputs).__name__
        if several:
            what += f" of {', '.join(type(each).__name__ for each in found)}"
        raise TraceError(
            f"{name}: expected a model that returns a tensor, or a tuple of tensors with the logits"
            f" first, got {what}"
        )
    return list(found)


class _Reader:
    """Reads the operations of an exported program."""

    def __init__(self, model: nn.Module, exported: Any) -> None:
        self._modules = dict(model.named_modules())
        self._nodes: list[Node] = list(exported.graph.nodes)
        signature = exported.graph_signature
        named = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        named |= signature.inputs_to_lifted_tensor_constants
        held = {**dict(exported.named_parameters()), **dict(exported.named_buffers())}
        #: The array of each constant; one object for one tensor, however many names it has.
        self._held: dict[Node, Array] = {}
        #: Constants that are made for the images at hand, and hold nothing of the model's.
        self._made: set[Node] = set()
        #: What operations on constants give that is no tensor, such as several.
        self._several: dict[Node, Any] = {}
        self._model, self._origins = model, Origins()
        self._targets: dict[Node, str] = {}
        weights = set(signature.parameters) - unscaled(model)
        seen: dict[Any, Array] = {}
        for node in self._nodes:
            if node.op == "placeholder" and node.name in named:
                target = named[node.name]
                tensor = held.get(target, exported.constants.get(target))
                key = (tensor.data_ptr() or id(tensor), tensor.shape, tensor.stride())
                if key not in seen:
                    seen[key] = tensor.detach().cpu().numpy().copy()  # the model's may change
                self._held[node], self._targets[node] = seen[key], target
                found = origin(target, tensor, weights)
                self._origins.hold(node, found, seen[key])

    def graph(self) -> Graph:
        """All operations that the outputs need."""
        (x,) = [node for node in self._nodes if node.op == "placeholder" and node not in self._held]
        outputs: Any
        (outputs,) = [node.args[0] for node in self._nodes if node.op == "output"]
        norms = {node: found for node in self._nodes if (found := local_response_norm(node))}
        needed = self._needed(outputs, norms)
        for node in self._nodes:
            self._check_part(node)
        ops: list[Op] = []
        for node in self._nodes:
            if node.op != "call_function" or node not in needed:
                continue
            if _is_filled(node):
                number, dtype = _FILLED[own_name(node.target)], node.meta["val"].dtype
                value = torch.full(_shape(node), number, dtype=dtype)
                self._held[node] = value.numpy()
                self._made.add(node)
            elif all(each in self._held or each in self._several for each in node.all_input_nodes):
                self._fold(node)
            else:
                ops += self._ops(node, norms.get(node))
        for number, each in enumerate(outputs):
            if each in self._held:
                raise TraceError(
                    f"{name}: output {number} of the model is a constant, whatever the images"
                )
        used = [self._targets[node] for node in needed if node in self._targets]
        return Graph(
            x.name,
            _shape(x),
            self._origins.separated(ops),
            tuple(each.name for each in outputs),
            tuple(map(_place, unused(self._model, used))),
            {
                _place(path): type(module).__name__
                for path, module in self._modules.items()
                if type(module).__module__.partition(".")[0] != "torch"
            },
        )

    def _needed(self, outputs: Any, norms: dict[Node, Translated]) -> set[Node]:
        needed = set(outputs)
        for node in reversed(self._nodes):
            if node in norms:
                needed.update(norms[node].inputs if node in needed else ())
            elif node in needed and not _is_filled(node):
                needed.update(node.all_input_nodes)
        return needed

    def _check_part(self, node: Node) -> None:
        """Raises `TraceError` for an operation that changes a part of a value in place, if the
        whole is used afterwards: the graph does not say so.
        """
        if node.op != "call_function" or not _is_in_place(node.target):
            return
        changed: Any = node.args[0]
        after = False
        while isinstance(changed, Node) and _is_part(changed.target):
            changed = changed.args[0]
            place = self._nodes.index(node)
            after = after or any(self._nodes.index(user) > place for user in changed.users)
        if after and changed not in self._held:
            raise TraceError(
                f"{_place(self._path(node))}: '{own_name(node.target)}' changes a part of a value"
                " in place, which cannot be captured; compute the whole value anew"
            )

    def _fold(self, node: Node) -> None:
        """What is made of constants only is one."""

        def value(each: Node) -> Any:
            if each in self._several:
                return self._several[each]
            return torch.from_numpy(self._held[each].copy())  # may be changed in place

        arguments: Any = map_arg((node.args, node.kwargs), value)
        function: Any = node.target
        if not node.all_input_nodes and torch.Tag.nondeterministic_seeded in function.tags:
            raise TraceError(
                f"{_place(self._path(node))}: '{own_name(node.target)}' draws random numbers, so"
                " what the model computes cannot be determined"
            )
        try:
            found = function(*arguments[0], **arguments[1])
        except Exception as error:  # PyTorch has many
            raise TraceError(
                f"{_place(self._path(node))}: '{own_name(node.target)}' of constants cannot be"
                f" computed ({type(error).__name__}: {_first(error)})"
            ) from error
        self._origins.make(node)
        if isinstance(found, torch.Tensor):
            self._held[node] = found.detach().cpu().numpy()
            if all(each in self._made for each in node.all_input_nodes):
                self._made.add(node)
        else:
            self._several[node] = found

    def _ops(self, node: Node, norm: Translated | None) -> list[Op]:
        """The operations of a node; of one that the graph does not know its own name."""
        if node.meta.get("val") is None:  # a check, such as of a type
            return []
        if not isinstance(node.meta["val"], torch.Tensor):  # several, each of which is taken out
            return []
        shape, place = _shape(node), _place(self._path(node))
        if node.meta["val"].dtype in (torch.float16, torch.bfloat16):
            raise TraceError(
                f"{place}: '{own_name(node.target)}' computes in {_type(node.meta['val'])}, with"
                " which nothing can be proved; compute in float32"
            )
        whole: Any = node.args[0] if node.target is operator.getitem else node
        found = [norm] if norm is not None else translated(whole, self._held)
        if whole is not node and isinstance(index := node.args[1], int):
            found = piece(whole, index, shape) or (found if index == 0 else None)
        if found is None:
            found = [self._unknown(node)]
        ops: list[Op] = []
        for number, each in enumerate(found, 1):
            inputs = tuple(value.name for value in each.inputs)
            if ops:
                inputs = (ops[-1].name,)
            called = node.name if number == len(found) else f"{node.name} {number}"
            arrays = dict(each.arrays)
            if each.kind == "affine":
                arrays["other"] = self._for_one_image(node, arrays["other"], len(shape))
            op = Op(
                called,
                each.kind,
                inputs,
                each.shape or shape,
                each.attributes,
                arrays,
                place,
                called=_called(node),
            )
            ops.append(self._origins.of(op, node, self._held))
        return ops

    def _unknown(self, node: Node) -> Translated:
        taken: dict[str, Any] = {}
        if node.target is operator.getitem:  # one of several
            several, index = node.args
            assert isinstance(several, Node)
            node, taken = several, {"result": index} if index else {}
        inputs = [each for each in _inputs(node) if each not in self._held]
        arrays = {each.name: self._held[each] for each in _inputs(node) if each in self._held}
        arguments = {
            "arguments": repr(node.args[1:]),
            **{k: repr(v) for k, v in node.kwargs.items()},
            **taken,
        }
        return Translated(own_name(node.target), tuple(inputs), arguments, arrays)

    def _for_one_image(self, node: Node, array: Array, rank: int) -> Array:
        """A constant that is added or multiplied: one that was made for these images, and is the
        same for each, for one image.
        """
        made = all(each in self._made for each in node.all_input_nodes if each in self._held)
        alike = array.ndim == rank and len(array) > 1 and bool((array == array[:1]).all())
        return array[:1] if made and alike else array

    def _path(self, node: Node) -> str:
        """The path of the innermost module that an operation is in."""
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        return re.sub(r"@\d+", "", stack[-1][0]) if stack else ""  # @1: called a second time


def _called(node: Node) -> tuple[str, int] | None:
    """The file and the line that call an operation, or the layer that it is in; None for what one
    of PyTorch's own containers calls.
    """
    found = re.findall(r'File "(.+)", line (\d+), in ', node.meta.get("stack_trace") or "")
    frames = ((file, int(line)) for file, line in reversed(found))
    return innermost(frames, _OTHERS, _CONTAINERS)


def _inputs(node: Node) -> list[Node]:
    """The values that an operation takes, in order, one as often as it is taken."""
    found: list[Node] = []
    map_arg((node.args, node.kwargs), lambda each: found.append(each))
    return found


def _shape(node: Node) -> tuple[int, ...]:
    return tuple(int(size) for size in node.meta["val"].shape)


def _is_filled(node: Node) -> bool:
    """Whether an operation takes a value for its shape only."""
    return node.op == "call_function" and own_name(node.target) in _FILLED


def _is_in_place(target: Any) -> bool:
    return isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable


def _is_part(target: Any) -> bool:
    """Whether an operation gives a view of what it is given."""
    if not isinstance(target, torch._ops.OpOverload):
        return False
    return any(each.alias_info and not each.alias_info.is_write for each in target._schema.returns)


def _place(path: str) -> str:
    """A module's path as the user writes it: net[0].conv."""
    parts = path.split(".") if path else []
    return "net" + "".join(f"[{each}]" if each.isdigit() else f".{each}" for each in parts)


#: Operations that take a value for its shape only, with what they fill it with.
_FILLED: Final = {
    "aten.ones_like": 1.0,
    "aten.zeros_like": 0.0,
    "aten.new_ones": 1.0,
    "aten.new_zeros": 0.0,
}
