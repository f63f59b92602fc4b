"""Which network an ONNX graph is, and its weights: by what it computes, whatever its arrays are
called.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...architectures import DIALECTS, NETWORKS, get_network, is_designator
from ...arrays import Params
from ...errors import GoogLeNetError, WeightsError
from ...spec.layers import Conv, Dense, Network
from ...spec.traversal import walk
from ..files import is_own
from ..formats.common import WeightsFile
from ..formats.onnx import OnnxGraph
from .first_steps import is_transformed
from .following import Follower
from .found_layers import Differs
from .models import find_model, zoo_models
from .values import Value, Values

#: A constant of as many numbers may say how an operation works, such as the shape of a Reshape.
_SETTINGS = 8
#: Which libraries' functions are tried first, by what exported a model: of several that fit, the
#: one from which it comes names it.
_PRODUCERS = {
    "pytorch": "torchvision",
    "tf2onnx": "keras",
    "paddle": "paddle",
    "mindspore": "mindcv",
}


@dataclass(frozen=True, eq=False)
class Fitting:
    """A network that an ONNX graph is: its weights by path, the names of the arrays that it does
    not take, whether it changes its images as torchvision's `transform_input` does, and the names
    of the other networks that compute the same.
    """

    network: Network
    params: Params
    left_over: list[str]
    transforms: bool
    others: tuple[str, ...]


def network_in(
    file: WeightsFile,
    graph: OnnxGraph,
    *,
    only: str | None = None,
    aux: bool | None = None,
    input_size: tuple[int, int] | None = None,
    given: Network | None = None,
) -> Fitting:
    """The network that the `graph` of a file is: `only` the one of that name, or the first of all
    that fits, with as many of the graph's outputs as it has auxiliary heads for; or `given`, which
    need not have a name that `get_network` knows. A file that this project wrote says which it is.

    Raises `WeightsError` if it is another, or none.
    """
    said = said_network(graph) if only is None else None
    fitting: list[tuple[Follower, bool]] = []
    others: list[str] = []
    nearest: tuple[int, str, str] = (-1, "", "")
    claimed = ""
    for name in [only] if only is not None else _names(graph):
        if only is None and name != said and not _is_near(name, graph):
            continue
        if said is not None and fitting:
            break
        for network in [given] if given else _sized(name, graph, aux, input_size):
            follower = Follower(graph, network)
            try:
                transforms = _transforms(follower, follower.whole())
            except Differs as error:
                reason = str(error)
            except GoogLeNetError:
                raise
            except Exception as error:  # a damaged graph may say anything of itself
                reason = " ".join(str(error).split())[:200] or type(error).__name__
            else:
                if fitting:  # its weights are the same ones
                    others.append(network.name)
                else:
                    fitting.append((follower, transforms))
                break
            nearest = max(nearest, (follower.found, network.name, reason))
            claimed = claimed or (reason if name == said else "")
    if not fitting:
        if claimed:
            raise WeightsError(
                f"{file.path}: says that it is {said}, but {claimed}; its graph was changed, and is"
                " none of the networks here: write it again"
            )
        raise WeightsError(_refusal(file.path, nearest, only))
    follower, transforms = fitting[0]
    return Fitting(
        follower.network,
        follower.params,
        _left_over(file, follower),
        transforms,
        tuple(others),
    )


def _left_over(file: WeightsFile, follower: Follower) -> list[str]:
    """The arrays that no layer takes, without the few numbers that are settings of operations."""
    taken = follower.values.taken
    return [
        name for name, array in file.arrays.items() if name not in taken and array.size > _SETTINGS
    ]


def _transforms(follower: Follower, images: Value) -> bool:
    """Whether what the network takes is changed before. Raises `Differs` if it is changed in any
    way but one that is known, or is not made of the images.
    """
    node, at = follower.values.made(images)
    if at.relu or at.norm:
        raise Differs("its first layer has a ReLU or batch norm more")
    if node is None and follower.values.is_input(at):
        return False
    if is_transformed(follower.values.graph, images):
        return True
    what = "nothing" if node is None else f"{node.op} '{node.name or node.outputs[0]}'"
    raise Differs(
        f"its first layer takes what {what} makes of the images; export the model without that, and"
        " scale images before"
    )


def _refusal(path: Path, nearest: tuple[int, str, str], only: str | None) -> str:
    found, name, reason = nearest
    if only is not None:
        why = f": {reason}" if reason else ""
        return (
            f"{path}: its graph is not that of {only}{why}; leave out `model` to try every network"
        )
    if found < 1:
        return f"{path}: its graph is none of the networks here; expected a model of one of them"
    return f"{path}: its graph is none of the networks here; the nearest is {name}, but {reason}"


def _names(graph: OnnxGraph) -> Iterator[str]:
    """All networks with their dialects, those of the library that exported the graph first."""
    producer = graph.producer.lower()
    first = next((zoo for word, zoo in _PRODUCERS.items() if word in producer), None)
    pairs = [(dialect, name) for name in NETWORKS for dialect in ("", *DIALECTS.get(name, ()))]
    pairs.sort(key=lambda pair: (pair[0] != first, not pair[0]))
    names = [f"{dialect}:{name}" if dialect else name for dialect, name in pairs]
    said = said_network(graph)
    if said is not None:  # a network in its form for evaluation is not among the names
        yield said
    yield from (name for name in names if name != said)


def said_network(graph: OnnxGraph) -> str | None:
    """The name of the network that a file which this project wrote says it is, if `get_network`
    knows it.
    """
    name = graph.metadata.get("network") if is_own(graph.metadata) else None
    return name if name is not None and is_designator(name) else None


@functools.cache
def _weighted(name: str) -> tuple[int, int]:
    """How many convolutions and dense layers a network has, without auxiliary heads."""
    layers = [site.layer for site in walk(get_network(name))]
    return sum(isinstance(each, Conv) for each in layers), sum(
        isinstance(each, Dense) for each in layers
    )


def _is_near(name: str, graph: OnnxGraph) -> bool:
    """Whether a graph has as many layers with weights as a network, or some more in its heads."""
    convolutions, dense = _weighted(name)
    count = sum(node.op in ("Conv", "Gemm", "MatMul") for node in graph.nodes)
    heads = 4 * max(0, len(graph.outputs) - 1)
    return convolutions + dense <= count <= convolutions + dense + heads


def _sized(
    name: str, graph: OnnxGraph, aux: bool | None, input_size: tuple[int, int] | None
) -> Iterator[Network]:
    """A network of the graph's sizes: with auxiliary heads if it has more outputs, and without."""
    default, images = get_network(name).input_shape, _input(graph)
    channels, height, width = (
        size or default[axis]
        for axis, size in enumerate(images[1:] if images else (None, None, None))
    )
    shape = (channels, *(input_size or (height, width)))
    for heads in (True, False):
        if (heads and (len(graph.outputs) < 2 or aux is False)) or (not heads and aux):
            continue
        try:
            yield get_network(name, num_classes=_classes(graph), input_shape=shape, aux=heads)
        except GoogLeNetError:  # it has no heads, or does not fit the size
            continue


def _input(graph: OnnxGraph) -> tuple[int | None, ...]:
    """The shape of the images as (N, C, H, W), none if there is none of four axes."""
    for shape in graph.inputs.values():
        if len(shape) == 4:
            last = shape[3] in (1, 3) and shape[1] not in (1, 3)
            return (shape[0], shape[3], shape[1], shape[2]) if last else shape
    return ()


def _classes(graph: OnnxGraph) -> int | None:
    """The number of classes, by the last weights before the first output."""
    values = Values(graph)
    value = Value(graph.outputs[0] if graph.outputs else "", "flat")
    for _ in graph.nodes:
        node, value = values.made(value)
        if node is None or not node.inputs:
            return None
        arrays = [values.constant(name) for name in node.inputs]
        weight = next((each for each in arrays[1:] if each is not None), None)
        if node.op in ("Gemm", "MatMul", "Conv") and weight is not None and weight.ndim > 1:
            last = node.op == "MatMul" or (node.op == "Gemm" and not node.number("transB", 0))
            return int(weight.shape[-1 if last else 0]) or None
        parts = values.split(node)
        value = value.before(parts[0] if parts else node.inputs[0])
    return None


def zoo_model_of(network: str) -> str | None:
    """The zoo model that is the network of this name, None if there is none."""
    return next((each for each in zoo_models() if find_model(each).network == network), None)
