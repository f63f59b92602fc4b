"""What every adapter does in the same way, without hiding anything of its framework."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, assert_never

from ..arrays import Array
from ..errors import DeviceError
from ..spec.layers import Aux, Concat, Dense, Network, Residual, Scale, Sequential, aux_heads
from ..spec.params import ParamSpec, param_specs
from ..spec.traversal import CompositeSite

T = TypeVar("T")


def attribute_names(*layers: object) -> frozenset[str]:
    """The names that no child of a model may have where children are attributes: those of native
    `layers` that hold nothing yet, and `network`, which `build` sets.
    """
    return frozenset({"network"}).union(*map(dir, layers))


def by_name(network: Network, outputs: Any) -> dict[str, Any]:
    """What a native model returned, one output or a tuple or list of all, keyed by output name."""
    every = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
    return dict(zip(network.outputs, every, strict=True))


def file_bytes(network: Network) -> int:
    """The bytes that a file of the weights of `network` has at least, in float32."""
    return 4 * sum(math.prod(spec.shape) for spec in param_specs(network).values())


def keeper(path: str, kept: dict[str, Any]) -> Callable[..., None]:
    """A hook (module, inputs, output) that keeps a layer's output as `kept[path]`; for a trunk with
    auxiliary heads, which returns a tuple, the main output.
    """

    def hook(module: object, inputs: object, output: Any) -> None:
        kept[path] = output[0] if isinstance(output, tuple) else output

    return hook


def weighted_sum(
    weights: Mapping[str, float], outputs: Mapping[str, T], loss: Callable[[T], Any]
) -> Any:
    """Σ weight · loss(output) over the outputs by name, in the order of `weights`."""
    return sum(weight * loss(outputs[name]) for name, weight in weights.items())


def composed(
    site: CompositeSite,
    children: dict[str, T],
    *,
    sequence: Callable[[dict[str, T]], T],
    trunk: Callable[[dict[str, T], tuple[str, ...], tuple[str, ...]], T],
    concatenation: Callable[[dict[str, T]], T],
    total: Callable[[T, T, float], T],
) -> T:
    """The native layer of a composite, of four kinds: children in `sequence`; a `trunk` (children,
    which of them are heads, which have heads inside), if there are auxiliary heads among them; a
    `concatenation` of branches; the `total` (body, shortcut, scale) of a residual. An `Aux` becomes
    its head.
    """
    match site.layer:
        case Sequential() as layer if aux_heads(layer):
            return trunk(children, *heads_and_trunks(layer))
        case Sequential():
            return sequence(children)
        case Concat():
            return concatenation(children)
        case Residual(scale=scale):
            return total(children["body"], children["shortcut"], scale)
        case Aux():
            return children["head"]
        case _:
            assert_never(site.layer)


def heads_and_trunks(layer: Sequential) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the children that are auxiliary heads, and of those that contain some."""
    heads = tuple(name for name, child in layer.children if isinstance(child, Aux))
    trunks = tuple(name for name, child in layer.children if aux_heads(child))
    return heads, trunks


def scale_factors(layer: Scale) -> tuple[float, float]:
    """What a `Scale` multiplies by in training mode and in evaluation mode: 1 where it is off."""
    train = layer.factor if layer.when in ("always", "train") else 1.0
    evaluation = layer.factor if layer.when in ("always", "eval") else 1.0
    return train, evaluation


def trainable(network: Network) -> dict[str, ParamSpec]:
    """The arrays that training changes by gradient, by path, in the order of execution."""
    return {path: spec for path, spec in param_specs(network).items() if spec.trainable}


def flattened(spec: ParamSpec, array: Array) -> Array:
    """A dense weight (O, C, H, W) or (O, C) as a matrix (O, C·H·W); any other array as it is."""
    dense = isinstance(spec.site.layer, Dense) and array.ndim > 1
    return array.reshape(len(array), -1) if dense else array


def unusable_device(
    device: str | None, framework: str, why: object, found: Sequence[str] = ()
) -> DeviceError:
    """The error for a `device` that `framework` cannot use, with the first line of `why`, and the
    devices that are `found` here.
    """
    lines = str(why).strip().splitlines() or ["no reason given"]
    here = f"; it has {', '.join(found)}" if found else ""
    return DeviceError(f"device: '{device}' cannot be used by {framework}: {lines[0]}{here}")
