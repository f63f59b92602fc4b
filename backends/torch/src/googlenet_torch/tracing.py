"""What a user's PyTorch model computes: `torch.export`'s operations, in neutral terms."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from torch import nn

from googlenet.arrays import Array
from googlenet.backend.graph import Graph, Op
from googlenet.errors import TraceError

from .model import name

#: What an operation is in neutral terms: its kind, attributes, and the arrays by role.
Translated: TypeAlias = tuple[str, dict[str, Any], dict[str, Any]]


def trace(model: nn.Module, images: Array) -> tuple[Graph, list[Array]]:
    """The graph of `model` in evaluation mode on `images` (N, C, H, W), N at least 2, and its
    outputs on them, the logits first.

    `model` keeps its weights and its mode; layers that are built when they are first called are
    built. Raises `TraceError` if PyTorch cannot capture it, or if it does not return tensors.
    """
    if not isinstance(model, nn.Module):
        raise TraceError(f"{name}: expected an nn.Module, got {type(model).__name__}")
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            outputs = _tensors(model(_like(model, images)))  # builds what is built lazily
            exported = torch.export.export(model, (_like(model, images),))
    except TraceError:
        raise
    except Exception as error:  # the user's code may raise anything, and PyTorch has many errors
        what = f"{type(error).__name__}: {_first(error)}"
        raise TraceError(
            f"{name}: the model cannot be run on images {images.shape}, or cannot be captured by"
            f" torch.export ({what})"
        ) from error
    finally:
        for module, training in modes.items():
            module.training = training
    found = [each.detach().cpu().double().numpy() for each in outputs]
    return _Reader(model, exported).graph(), found


def _first(error: Exception) -> str:
    """The first line of what an error says."""
    return next(iter(str(error).strip().splitlines()), "")


def _like(model: nn.Module, images: Array) -> torch.Tensor:
    """`images` where the model's weights are, and of their type."""
    x = torch.from_numpy(images)
    for weight in model.parameters():
        if not isinstance(weight, nn.UninitializedParameter):
            return x.to(weight.device, weight.dtype)
    return x


def _tensors(outputs: Any) -> list[torch.Tensor]:
    found = [outputs] if isinstance(outputs, torch.Tensor) else outputs
    if not isinstance(found, tuple | list) or not all(isinstance(t, torch.Tensor) for t in found):
        raise TraceError(
            f"{name}: expected a model that returns a tensor, or a tuple of tensors with the logits"
            f" first, got {type(outputs).__name__}"
        )
    return list(found)


class _Reader:
    """Reads the operations of an exported program."""

    def __init__(self, model: nn.Module, exported: Any) -> None:
        self._modules = dict(model.named_modules())
        self._nodes: list[Any] = list(exported.graph.nodes)
        signature = exported.graph_signature
        named = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        held = {**dict(exported.named_parameters()), **dict(exported.named_buffers())}
        constants = exported.constants
        #: The array of each placeholder; one object for one tensor, however many names it has.
        self._arrays: dict[str, Array] = {}
        seen: dict[Any, Array] = {}
        for node, target in named.items():
            tensor = held.get(target, constants.get(target))
            key = (tensor.data_ptr() or id(tensor), tensor.shape, tensor.stride())
            if key not in seen:
                seen[key] = tensor.detach().cpu().numpy().copy()  # the model's own may change
            self._arrays[node] = seen[key]
        for node, target in signature.inputs_to_lifted_tensor_constants.items():
            self._arrays[node] = constants[target].detach().cpu().numpy().copy()

    def graph(self) -> Graph:
        """All operations."""
        (x,) = [
            node
            for node in self._nodes
            if node.op == "placeholder" and node.name not in self._arrays
        ]
        (outputs,) = [node.args[0] for node in self._nodes if node.op == "output"]
        ops: list[Op] = []
        for node in self._nodes:
            if node.op != "call_function":
                continue
            if all(each.name in self._arrays for each in _inputs(node)):
                self._fold(node)
            elif _plain(node.target) in _FILLED:
                value = torch.empty(_shape(node)).fill_(_FILLED[_plain(node.target)])
                self._arrays[node.name] = value.numpy()
            else:
                ops += self._ops(node)
        return Graph(x.name, _shape(x), tuple(ops), tuple(each.name for each in outputs))

    def _fold(self, node: Any) -> None:
        """What is made of constants only is one."""

        def value(each: Any) -> torch.Tensor:
            return torch.from_numpy(self._arrays[each.name])

        args = torch.fx.node.map_arg(node.args, value)
        kwargs = torch.fx.node.map_arg(node.kwargs, value)
        found = node.target(*args, **kwargs)
        if isinstance(found, torch.Tensor):
            self._arrays[node.name] = found.numpy()

    def _ops(self, node: Any) -> list[Op]:
        """An operation; of a layer that PyTorch takes apart, the layer itself in place of the last
        of its operations, and nothing in place of the others.
        """
        path, layer = self._layer(node)
        translated = self._translated(node)
        inputs = [each.name for each in _inputs(node) if each.name not in self._arrays]
        if isinstance(layer, nn.LocalResponseNorm):
            if node.target is not torch.ops.aten.div.Tensor:
                return []
            translated = _local_response_norm(layer)
            inputs = [node.args[0].name]
        kind, attributes, arrays = translated
        if kind == "reshape":
            attributes = {"shape": _shape(node)[1:]}
        held = {role: self._arrays[each.name] for role, each in arrays.items() if each is not None}
        if attributes.pop("inverse", False):
            held = {"other": 1 / held["other"].astype(np.float64)}
        place = _place(path)
        return [Op(node.name, kind, tuple(inputs), _shape(node), attributes, held, place)]

    def _layer(self, node: Any) -> tuple[str, nn.Module | None]:
        """The innermost module that the operation is in: its path and itself."""
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        path = stack[-1][0] if stack else ""
        return path, self._modules.get(path)

    def _translated(self, node: Any) -> Translated:
        """What an operation is; its own name for one that is not known."""
        bound = _bound(node)
        known = _KNOWN.get(_plain(node.target))
        found = None if known is None else known(bound, self._arrays)
        return found or (_own_name(node.target), {"arguments": repr(node.args[1:])}, {})


def _bound(node: Any) -> dict[str, Any]:
    """The arguments of an operation by the names of its schema, with the defaults."""
    schema = node.target._schema
    found = {each.name: each.default_value for each in schema.arguments if each.has_default_value()}
    found.update(zip((each.name for each in schema.arguments), node.args, strict=False))
    return {**found, **node.kwargs}


def _plain(target: Any) -> str:
    """`relu` for aten.relu_.default: an operation in place computes the same."""
    return str(target).removeprefix("aten.").partition(".")[0].rstrip("_")


def _own_name(target: Any) -> str:
    """`aten.relu` for aten.relu_.default: PyTorch's own name, which is none of the graph's."""
    namespace, _, rest = str(target).partition(".")
    return f"{namespace}.{rest.partition('.')[0].rstrip('_')}"


def _inputs(node: Any) -> list[Any]:
    """The values that an operation takes, in order, one as often as it is taken."""
    found: list[Any] = []
    torch.fx.node.map_arg(node.args, lambda each: found.append(each))
    return found


def _shape(node: Any) -> tuple[int, ...]:
    value = node.meta["val"]
    if not isinstance(value, torch.Tensor):
        raise TraceError(
            f"{name}: '{_plain(node.target)}' gives several tensors, which no layer of the spec"
            " does"
        )
    return tuple(int(size) for size in value.shape)


def _place(path: str) -> str:
    """A module's path as the user writes it: net[0].conv."""
    parts = path.split(".") if path else []
    return "net" + "".join(f"[{each}]" if each.isdigit() else f".{each}" for each in parts)


def _pair(value: Any) -> tuple[int, int]:
    pair = [value] if isinstance(value, int) else list(value)
    return (int(pair[0]), int(pair[-1]))


def _padding(value: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    height, width = _pair(value)
    return ((height, height), (width, width))


def _local_response_norm(layer: nn.LocalResponseNorm) -> Translated:
    found = {name: getattr(layer, name) for name in ("size", "alpha", "beta", "k")}
    return "local_response_norm", found, {}


def _conv(bound: dict[str, Any], held: Mapping[str, Array]) -> Translated | None:
    stride, dilation = _pair(bound["stride"]), _pair(bound["dilation"])
    padding = bound["padding"]
    weight = held.get(bound["weight"].name)
    if weight is None:
        return None
    if isinstance(padding, str):  # "same" pads more behind than before, "valid" nothing
        sides = [
            dilation[axis] * (weight.shape[2 + axis] - 1) if padding == "same" else 0
            for axis in range(2)
        ]
        explicit = tuple((side // 2, side - side // 2) for side in sides)
    else:
        explicit = _padding(padding)
    attributes = {
        "stride": stride,
        "padding": explicit,
        "dilation": dilation,
        "groups": int(bound["groups"]),
    }
    return "conv", attributes, {"weight": bound["weight"], "bias": bound["bias"]}


def _linear(bound: dict[str, Any], held: Mapping[str, Array]) -> Translated | None:
    if bound["weight"].name not in held:
        return None
    return "dense", {}, {"weight": bound["weight"], "bias": bound["bias"]}


def _batch_norm(bound: dict[str, Any], held: Mapping[str, Array]) -> Translated:
    arrays = {role: bound[role] for role in ("weight", "bias", "running_mean", "running_var")}
    return "batch_norm", {"eps": bound["eps"], "train": bound["training"]}, arrays


def _window(bound: dict[str, Any]) -> dict[str, Any]:
    kernel = _pair(bound["kernel_size"])
    return {
        "kernel_size": kernel,
        "stride": _pair(bound["stride"]) if bound["stride"] else kernel,
        "padding": _padding(bound["padding"]),
        "ceil_mode": bool(bound["ceil_mode"]),
    }


def _max_pool(bound: dict[str, Any], held: Mapping[str, Array]) -> Translated:
    return "max_pool", {**_window(bound), "dilation": _pair(bound["dilation"])}, {}


def _avg_pool(bound: dict[str, Any], held: Mapping[str, Array]) -> Translated | None:
    if bound["divisor_override"] == 1:
        return "sum_pool", _window(bound), {}
    if bound["divisor_override"] is not None:
        return None
    included = {"count_include_pad": bool(bound["count_include_pad"])}
    return "avg_pool", {**_window(bound), **included}, {}


def _mean(bound: dict[str, Any], held: Mapping[str, Array]) -> Translated:
    return "mean", {"axes": tuple(bound["dim"]), "keepdims": bool(bound["keepdim"])}, {}


def _flatten(bound: dict[str, Any], held: Mapping[str, Array]) -> Translated | None:
    if bound["end_dim"] != -1:
        return None
    return "flatten", {"start": int(bound["start_dim"])}, {}


def _sum(bound: dict[str, Any], held: Mapping[str, Array]) -> Translated | None:
    other, factor = bound["other"], float(bound["alpha"])
    if not isinstance(other, torch.fx.Node):
        return None
    if other.name not in held:
        return "add", {"factor": factor}, {}
    return ("affine", {"product": False}, {"other": other}) if factor == 1 else None


def _product(bound: dict[str, Any], held: Mapping[str, Array]) -> Translated | None:
    other = bound["other"]
    if isinstance(other, int | float):
        return "mul", {"factor": float(other)}, {}
    return ("affine", {"product": True}, {"other": other}) if other.name in held else None


def _quotient(bound: dict[str, Any], held: Mapping[str, Array]) -> Translated | None:
    other = bound["other"]
    if isinstance(other, int | float):
        return "mul", {"factor": 1 / float(other)}, {}
    return (
        ("affine", {"product": True, "inverse": True}, {"other": other})
        if (other.name in held)
        else None
    )


def _pad(bound: dict[str, Any], held: Mapping[str, Array]) -> Translated | None:
    sides = list(bound["pad"])
    if bound.get("mode", "constant") != "constant" or len(sides) != 4:
        return None
    left, right, top, bottom = sides
    value = float(bound.get("value") or 0.0)
    return "pad", {"padding": ((top, bottom), (left, right)), "value": value}, {}


def _clamp(bound: dict[str, Any], held: Mapping[str, Array]) -> Translated | None:
    low, high = (bound.get(name, bound.get(f"{name}_val")) for name in ("min", "max"))
    low, high = -math.inf if low is None else low, math.inf if high is None else high
    if (low, high) == (0, math.inf):
        return "relu", {}, {}
    return "clip", {"low": low, "high": high}, {}


def _relu6(bound: dict[str, Any], held: Mapping[str, Array]) -> Translated:
    return "clip", {"low": 0, "high": 6}, {}


def _elu(bound: dict[str, Any], held: Mapping[str, Array]) -> Translated | None:
    return ("elu", {"alpha": bound["alpha"]}, {}) if bound["scale"] == 1 else None


def _simple(kind: str, **names: str) -> Callable[..., Translated]:
    """An operation with attributes that are called otherwise here."""

    def translated(bound: dict[str, Any], held: Mapping[str, Array]) -> Translated:
        return kind, {ours: bound[theirs] for ours, theirs in names.items()}, {}

    return translated


#: Operations that take a value for its shape only, with what they fill it with.
_FILLED: Final = {"ones_like": 1.0, "zeros_like": 0.0, "new_ones": 1.0, "new_zeros": 0.0}

_KNOWN: Final[Mapping[str, Callable[..., Translated | None]]] = {
    "conv2d": _conv,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "max_pool2d": _max_pool,
    "avg_pool2d": _avg_pool,
    "adaptive_avg_pool2d": lambda bound, held: (
        "adaptive_avg_pool",
        {"output_size": _pair(bound["output_size"])},
        {},
    ),
    "mean": _mean,
    "relu": _simple("relu"),
    "clamp": _clamp,
    "clamp_min": _clamp,
    "hardtanh": _clamp,
    "relu6": _relu6,
    "leaky_relu": _simple("leaky_relu", slope="negative_slope"),
    "elu": _elu,
    "gelu": _simple("gelu", approximate="approximate"),
    "sigmoid": _simple("sigmoid"),
    "silu": _simple("silu"),
    "tanh": _simple("tanh"),
    "softmax": _simple("softmax", axis="dim"),
    "log_softmax": _simple("log_softmax", axis="dim"),
    "permute": _simple("transpose", axes="dims"),
    "dropout": _simple("dropout", rate="p", active="train"),
    "feature_dropout": _simple("spatial_dropout", rate="p", active="train"),
    "cat": _simple("concat", axis="dim"),
    "add": _sum,
    "mul": _product,
    "div": _quotient,
    "pad": _pad,
    "constant_pad_nd": _pad,
    "flatten": _flatten,
    "view": _simple("reshape"),
    "reshape": _simple("reshape"),
    "squeeze": _simple("reshape"),
    "unsqueeze": _simple("reshape"),
    "contiguous": _simple("identity"),
    "clone": _simple("identity"),
    "detach": _simple("identity"),
    "alias": _simple("identity"),
}
