"""What several operations together are: an activation, or a batch norm.

Both are recognised by what they compute, not by how it is written: an activation by its values at
many points, a batch norm by its factor and summand for random weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import tensorflow as tf

from googlenet.arrays import Array
from googlenet.rounding import FEW
from googlenet.tracing.foreign import computed
from googlenet.tracing.pointwise import POINTS

from .constants import Constant, run
from .writing import Scalar, Writer

#: How many operations an activation is made of at most.
_MOST: Final = 24
#: Where an activation is tried: the core's points, but for those beyond which an exponential that
#: is written out has no float32.
_POINTS: Final = np.append(POINTS[np.abs(POINTS) <= 10], [-30.0, 0.0, 30.0])
#: float32 constants, such as the root of 2 in GELU, are not exact.
_CLOSE: Final = 1e-6

#: An activation: the value that it is applied to, its kind and its attributes.
Activation = tuple[str, str, dict[str, Any]]


def activation(writer: Writer, last: Scalar) -> Activation | None:
    """The activation that ends with `last`; None if it is none that is known."""
    for base in _bases(writer, last):
        with np.errstate(all="ignore"):
            found = _values(writer, last, base)
        known = None if found is None else _known(found)
        if known is not None:
            return (base, *known)
    return None


def base_of(writer: Writer, last: Scalar) -> tuple[str, tuple[str, ...]] | None:
    """The nearest value that all of `last` is a function of, and the operations after it."""
    base = next(_bases(writer, last), None)
    if base is None:
        return None
    found: list[str] = []
    waiting, done = [last], {base}
    while waiting:
        scalar = waiting.pop()
        found.append(scalar.node.type)
        names = [each for each in scalar.inputs if isinstance(each, str) and each not in done]
        done.update(names)
        waiting += [writer.pointwise[name] for name in dict.fromkeys(names)]
    return base, tuple(found[::-1])


def _bases(writer: Writer, last: Scalar) -> Iterator[str]:
    """The values that `last` may be a function of, the nearest one first."""
    order = {name: place for place, name in enumerate(writer.ops)}
    waiting = {each for each in last.inputs if isinstance(each, str)}
    for _ in range(_MOST):
        if len(waiting) == 1:
            yield next(iter(waiting))
        nearest = max(waiting, key=lambda name: order.get(name, -1))
        scalar = writer.pointwise.get(nearest)
        if scalar is None:
            return
        waiting.remove(nearest)
        waiting.update(each for each in scalar.inputs if isinstance(each, str))


def _values(writer: Writer, last: Scalar, base: str) -> Array | None:
    """What `last` gives where the value `base` has the numbers of `_POINTS`."""
    done: dict[str, Any] = {base: tf.constant(_POINTS)}

    def value(each: Any) -> Any:
        if isinstance(each, Constant):
            return _wide(each.tensor)
        if each not in done:
            done[each] = result(writer.pointwise[each])
        return done[each]

    def result(scalar: Scalar) -> Any:
        given = [value(each) for each in scalar.inputs]
        if scalar.node.type == "Cast":  # of a comparison
            return tf.constant(np.asarray(given[0]).astype(np.float64))
        return run(scalar.node, given)[0]

    try:
        found = np.asarray(result(last))
    except (tf.errors.OpError, TypeError, ValueError):  # a kind that has no float64
        return None
    return found if found.dtype == np.float64 and found.shape == _POINTS.shape else None


def _wide(tensor: Any) -> Any:
    """A tensor of numbers as float64, a scalar without axes."""
    array = np.asarray(tensor)
    array = array.reshape(()) if array.size == 1 else array
    return tf.constant(array if array.dtype == bool else _decimal(array))


def _decimal(array: Array) -> Array:
    """float32 numbers as the shortest decimals that are the same."""
    if array.dtype != np.float32 or array.ndim:
        return array.astype(np.float64)
    return np.asarray(float(str(np.float32(array))))


def _known(found: Array) -> tuple[str, dict[str, Any]] | None:
    """The activation that gives `found` at `_POINTS`."""
    if not np.isfinite(found).all():
        return None
    x = _POINTS
    below, above = found[x < 0], found[x > 0]
    low, high = float(found.min()), float(found.max())
    slope = float(below[0] / x[x < 0][0])
    alpha = float(found[x == -9][0] / np.expm1(-9))
    tried: list[tuple[str, dict[str, Any]]] = [
        ("sigmoid", {}),
        ("tanh", {}),
        ("silu", {}),
        ("softplus", {}),
        ("gelu", {"approximate": "none"}),
        ("gelu", {"approximate": "tanh"}),
    ]
    if np.allclose(found, np.maximum(x, 0), rtol=FEW, atol=FEW):
        return "relu", {}
    if np.allclose(above, x[x > 0], rtol=FEW):
        tried.append(("leaky_relu", {"slope": _short(slope)}))
        tried.append(("elu", {"alpha": _short(alpha)}))
    if low < high and (low > x.min() or high < x.max()):
        bounds = {"low": _short(low), "high": _short(high)}
        tried.append(("clip", bounds))
    for kind, attributes in tried:
        exact = computed(kind, x, attributes, {})
        assert exact is not None
        if kind == "leaky_relu" and attributes["slope"] == 1:
            continue
        if np.allclose(found, exact, rtol=_CLOSE, atol=_CLOSE):
            return kind, attributes
    return None


def _short(value: float) -> float:
    return float(str(np.float32(value)))


# Batch norm ---------------------------------------------------------------------------------------

#: A batch norm: the value that it is applied to, its attributes and its arrays.
Norm = tuple[str, dict[str, Any], dict[str, Array]]
_LONGEST: Final = 6
_ROLES: Final = ("weight", "bias", "running_mean")


def norm(writer: Writer, last: str, axes: tuple[int, ...]) -> Norm | None:
    """The batch norm that the sums and products with constants up to `last` are."""
    if len(axes) not in (2, 4):
        return None
    links: list[tuple[Any, Constant, bool]] = []
    name = last
    found = None
    while name in writer.chains and len(links) < _LONGEST:
        name, node, constant, first = writer.chains[name]
        links.insert(0, (node, constant, first))
        found = _norm_of(writer, name, links, axes) or found
    return found


def _norm_of(
    writer: Writer, base: str, links: list[tuple[Any, Constant, bool]], axes: tuple[int, ...]
) -> Norm | None:
    channels = writer.shape(base)[1]
    roots = {
        (id(variance.leaf), eps): variance
        for _, constant, _ in links
        for variance, eps in _roots(constant)
    }
    if len(roots) != 1:
        return None
    ((_, eps), variance) = next(iter(roots.items()))
    leaves = {
        id(leaf): leaf
        for _, constant, _ in links
        for leaf in _leaves(constant)
        if leaf.array.ndim > 0 and leaf.array.size == channels and leaf is not variance.leaf
    }
    if variance.array.size != channels or not 1 <= len(leaves) <= 3:
        return None
    drawn = np.random.default_rng(0)
    held = [variance.leaf, *leaves.values()]
    random = {id(each): drawn.uniform(0.5, 1.5, each.array.shape) for each in held}
    shape = [channels if axis == 1 else 1 for axis in axes]  # as TensorFlow orders the axes
    at_0 = _applied(links, np.zeros(shape), random)
    at_1 = _applied(links, np.ones(shape), random)
    if at_0.size != channels or at_1.size != channels:
        return None
    summand, factor = at_0.ravel(), (at_1 - at_0).ravel()
    spread = np.sqrt(random[id(variance.leaf)].ravel() + eps)
    for roles in itertools.permutations(_ROLES, len(leaves)):
        given = dict(zip(roles, leaves.values(), strict=True))
        if "running_mean" not in given:
            continue
        weight, bias, mean = (
            random[id(given[role])].ravel() if role in given else default
            for role, default in zip(_ROLES, (1.0, 0.0, 0.0), strict=True)
        )
        if np.allclose(factor, weight / spread) and np.allclose(summand, bias - mean * factor):
            given["running_var"] = variance.leaf
            writer.by_parameter(next(iter(given.values())))
            arrays = {role: writer.array(each, "vector", np.ravel) for role, each in given.items()}
            return base, {"eps": eps, "train": False}, arrays
    return None


def _applied(
    links: list[tuple[Any, Constant, bool]], x: Array, random: Mapping[int, Array]
) -> Array:
    for node, constant, first in links:
        other = tf.constant(_again(constant, random))
        given = [other, tf.constant(x)] if first else [tf.constant(x), other]
        x = np.asarray(run(node, given)[0])
    return x


def _again(constant: Constant, random: Mapping[int, Array]) -> Array:
    """A constant computed in float64 with other numbers in the arrays that it is made of."""
    if id(constant) in random:
        return random[id(constant)]
    if constant.node is None or not constant.inputs:
        array = constant.array
        return array.astype(np.float64) if array.dtype == np.float32 else array
    if constant.node.type == "ReadVariableOp":
        return constant.array.astype(np.float64)
    if constant.node.type == "Cast":
        return _again(constant.inputs[0], random)
    given = [tf.constant(_again(each, random)) for each in constant.inputs]
    return np.asarray(run(constant.node, given)[constant.number])


def _leaves(constant: Constant) -> Iterator[Constant]:
    """The weights, and other arrays, that a constant is made of."""
    leaf = constant.leaf
    if not leaf.inputs or leaf.node.type == "ReadVariableOp":
        yield leaf
        return
    for each in leaf.inputs:
        yield from _leaves(each)


def _roots(constant: Constant) -> Iterator[tuple[Constant, float]]:
    """All √(variance + eps), or their reciprocals, that a constant is made of."""
    kind = None if constant.node is None else constant.node.type
    is_root = kind in ("Rsqrt", "Sqrt") or (
        kind == "Pow" and abs(abs(float(constant.inputs[1].array.ravel()[0])) - 0.5) < _CLOSE
    )
    if is_root:
        inside = constant.inputs[0]
        if inside.node is not None and inside.node.type in ("Add", "AddV2"):
            numbers = [each for each in inside.inputs if each.array.ndim == 0]
            if len(numbers) == 1:
                (variance,) = [each for each in inside.inputs if each is not numbers[0]]
                yield variance, _short(float(numbers[0].array.ravel()[0]))
    for each in constant.inputs:
        yield from _roots(each)
