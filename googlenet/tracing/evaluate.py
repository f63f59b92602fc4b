"""A tree computed in NumPy, in any dtype: the spec's layers by the reference, the foreign ones by
`foreign`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np
import numpy.typing as npt

from ..arrays import Array
from ..errors import TraceError
from ..reference.network import Model, Pass, in_silence
from ..spec.layers import Conv, Dense, Leaf, Network, Sequential
from .foreign import computed, is_computed
from .tree import Chain, Foreign, Fork, Head, Item, Step, Tangle


@in_silence
def evaluate(
    chain: Chain,
    images: Array,
    dtype: npt.DTypeLike = np.float64,
    *,
    kept: dict[Item, Array] | None = None,
) -> list[Array]:
    """The outputs of `chain` for images (N, C, H, W), as the model returns them, in evaluation
    mode. `kept` receives the result of every item, of a head that of its chain, as far as this
    comes.

    Raises `TraceError` for a foreign layer that nobody knows.
    """
    heads: dict[int, Array] = {}
    kept = {} if kept is None else kept
    logits = _chain(chain, np.asarray(images, dtype), heads, kept)
    return [logits, *(heads[number] for number in sorted(heads))]


def _chain(chain: Chain, x: Array, heads: dict[int, Array], kept: dict[Item, Array]) -> Array:
    for item in chain:
        match item:
            case Step():
                x = kept[item] = _step(item, x)
            case Head(chain=inside, number=number):
                heads[number] = kept[item] = _chain(inside, x, heads, kept)
            case Fork(branches=branches):
                found = [_chain(branch, x, heads, kept) for branch in branches]
                x = kept[item] = _joined(item, found)
            case Tangle(knots=knots):
                results = [x]
                for knot in knots:
                    given = [results[number] for number in knot.inputs]
                    own = knot.item
                    made = _joined(own, given) if isinstance(own, Fork) else _step(own, given[0])
                    kept[own] = made
                    results.append(made)
                x = kept[item] = results[-1]
    return x


def _joined(fork: Fork, found: Sequence[Array]) -> Array:
    """The results of branches (N, C, H, W) as one; what is added or multiplied may also be (N, C)
    or (N, C, 1, 1).
    """
    join, by = fork.join, fork.by
    if join == "concat":
        return np.concatenate(found, axis=1)
    if by is not None:
        if not is_known(by):
            raise _unknown(by)
        assert isinstance(by.layer, Foreign)
        return np.concatenate(found, axis=by.layer.attributes["axis"])
    axes = max(each.ndim for each in found)
    full = [each.reshape(each.shape + (1,) * (axes - each.ndim)) for each in found]
    result: Array = reduce(np.add if join == "sum" else np.multiply, full)
    return result


def is_known(step: Step) -> bool:
    """Whether a layer can be computed."""
    layer = step.layer
    if not isinstance(layer, Foreign) or layer.kind in ("conv", "multiply", "tangle"):
        return True
    if layer.kind == "concat":
        return not step.arrays
    return _is_idle(layer) or is_computed(layer.kind, layer.attributes)


def _is_idle(layer: Foreign) -> bool:
    """Whether a layer acts in training only, whatever it does then."""
    return layer.attributes.get("active") is False


def _step(step: Step, x: Array) -> Array:
    if not isinstance(step.layer, Foreign):
        return _layer(step.layer, step.arrays, x)
    if _is_idle(step.layer):
        return x
    if step.layer.kind == "conv":
        return _dilated(step.layer, step.arrays, x)
    found = computed(step.layer.kind, x, step.layer.attributes, step.arrays)
    if found is None:
        raise _unknown(step)
    return found


def _unknown(step: Step) -> TraceError:
    assert isinstance(step.layer, Foreign)
    return TraceError(
        f"{step.place}: '{step.layer.kind}' is an operation that is unknown or random, so what the"
        " model computes cannot be determined"
    )


def _layer(layer: Leaf, arrays: Mapping[str, Array], x: Array) -> Array:
    """A layer of the spec; to the reference, what is no map is one of one pixel."""
    is_map = x.ndim == 4
    images = x if is_map else x.reshape(len(x), -1, 1, 1)
    params = {f"layer.{role}": array for role, array in arrays.items()}
    if isinstance(layer, Dense) and not is_map:
        params["layer.weight"] = arrays["weight"][:, :, None, None]
    network = Network("step", Sequential((("layer", layer),)), images.shape[1:], "a user's model")
    run = Pass()
    Model(network, params, dtype=x.dtype).run(images, run)
    found = run.outputs["logits"]
    shape = x.shape[1:] if not is_map and not isinstance(layer, Dense) else found.shape[1:]
    return found.reshape(len(x), *shape)


def _dilated(layer: Foreign, arrays: Mapping[str, Array], x: Array) -> Array:
    """A convolution whose kernel has gaps: one with a larger kernel that is 0 there."""
    weight, (down, across) = arrays["weight"], layer.attributes["dilation"]
    out, inside, height, width = weight.shape
    kernel = ((height - 1) * down + 1, (width - 1) * across + 1)
    filled = np.zeros((out, inside, *kernel), weight.dtype)
    filled[:, :, ::down, ::across] = weight
    found = layer.attributes
    conv = Conv(out, kernel, found["stride"], found["padding"], found["groups"], "bias" in arrays)
    return _layer(conv, {**arrays, "weight": filled}, x)
