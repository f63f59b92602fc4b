"""How two networks differ as functions, layer by layer, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from .layers import (
    Aux,
    BatchNorm,
    Composite,
    Concat,
    Dropout,
    Layer,
    Leaf,
    Network,
    Residual,
    Scale,
    Sequential,
)
from .rewrite import resolve
from .shapes import size_text
from .traversal import child_path


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs at the layer `path`, in words; `training_alone` if the networks are still the
    same function in evaluation mode.
    """

    path: str
    words: str
    training_alone: bool = False

    @property
    def arrays_alone(self) -> bool:
        """Whether one has an array that the other lacks: the same function where it is neutral."""
        return self.words in _OPTIONAL


def differences(a: Network, b: Network) -> tuple[Difference, ...]:
    """How `b` differs from `a`, in the order of execution; padding is made explicit for each
    network's own input.

    A layer that only one of them has is named once, including all its children. Raises `ShapeError`
    if an input does not fit.
    """
    found: list[Difference] = []
    if a.input_shape != b.input_shape:
        found.append(
            Difference("input", f"{size_text(a.input_shape)} → {size_text(b.input_shape)}")
        )
    _compare(resolve(a).layers, resolve(b).layers, "", found)
    return tuple(found)


def _compare(a: Layer, b: Layer, path: str, found: list[Difference]) -> None:
    if type(a) is not type(b):
        found.append(Difference(path, f"{_kind(a)} → {_kind(b)}"))
        return
    match a, b:
        case (Sequential() | Concat(), Sequential() | Concat()):
            _compare_children(a, b, path, found)
        case Residual(), Residual():
            if a.scale != b.scale:
                found.append(Difference(path, f"scale of the residual {a.scale:g} → {b.scale:g}"))
            _compare_children(a, b, path, found)
        case Aux(), Aux():
            if a.loss_weight != b.loss_weight:
                found.append(
                    Difference(
                        path,
                        f"loss weight {a.loss_weight:g} → {b.loss_weight:g}",
                        training_alone=True,
                    )
                )
            _compare_children(a, b, path, found)
        case _:
            _compare_leaves(a, b, path, found)


def _compare_children(a: Composite, b: Composite, path: str, found: list[Difference]) -> None:
    ours: Mapping[str, Layer] = dict(a.children)
    theirs: Mapping[str, Layer] = dict(b.children)
    common = [name for name in ours if name in theirs]
    order = [name for name in theirs if name in ours]
    if common != order:
        found.append(Difference(path, f"order {', '.join(common)} → {', '.join(order)}"))
    # In a's order, with what only b has at its place in b.
    merged = list(ours)
    for position, name in enumerate(theirs):
        if name not in ours:
            before = [other for other in list(theirs)[:position] if other in merged]
            merged.insert(merged.index(before[-1]) + 1 if before else 0, name)
    for name in merged:
        inside = child_path(a, path, name)
        if name not in theirs:
            found.append(
                Difference(inside, f"{_kind(ours[name])} left out", _is_training_alone(ours[name]))
            )
        elif name not in ours:
            found.append(
                Difference(inside, f"{_kind(theirs[name])} added", _is_training_alone(theirs[name]))
            )
        else:
            _compare(ours[name], theirs[name], inside, found)


def _is_training_alone(layer: Layer) -> bool:
    return isinstance(layer, (Dropout, Aux)) or (isinstance(layer, Scale) and layer.when == "train")


def _compare_leaves(a: Layer, b: Layer, path: str, found: list[Difference]) -> None:
    for field in fields(a):
        before, after = getattr(a, field.name), getattr(b, field.name)
        if before == after:
            continue
        training_alone = (isinstance(a, Dropout) and field.name == "rate") or (
            isinstance(a, BatchNorm) and field.name == "momentum"
        )
        say = _WORDS.get(
            (type(a).__name__, field.name), _WORDS.get(field.name, _plainly(field.name))
        )
        found.append(Difference(path, say(before, after), training_alone))


def _arrow(what: str, form: Callable[[Any], str]) -> Callable[[Any, Any], str]:
    return lambda before, after: f"{what} {form(before)} → {form(after)}"


def _choice(when_true: str, when_false: str) -> Callable[[Any, Any], str]:
    return lambda before, after: (
        f"{when_true if before else when_false} → {when_true if after else when_false}"
    )


def _plainly(name: str) -> Callable[[Any, Any], str]:
    return _arrow(
        name.replace("_", " "),
        lambda value: f"{value:g}" if isinstance(value, float) else str(value),
    )


def _pair(value: tuple[int, int]) -> str:
    return str(value[0]) if value[0] == value[1] else size_text(value)


def _padding(value: Any) -> str:
    (top, bottom), (left, right) = value
    if (top, left) == (bottom, right):
        return _pair((top, left))
    return f"top {top} bottom {bottom} left {left} right {right}"


_OPTIONAL = frozenset(
    f"{one} → {other}"
    for pair in (("bias", "no bias"), ("gamma", "no gamma"))
    for one, other in (pair, pair[::-1])
)

#: How each field is put into words, by name or by (kind of layer, name).
_WORDS: dict[Any, Callable[[Any, Any], str]] = {
    "kernel_size": _arrow("kernel", size_text),
    "stride": _arrow("stride", _pair),
    "padding": _arrow("padding", _padding),
    "out_channels": _arrow("channels", str),
    "out_features": _arrow("outputs", str),
    "output_size": _arrow("grid", size_text),
    "bias": _choice("bias", "no bias"),
    ("BatchNorm", "scale"): _choice("gamma", "no gamma"),
    "ceil_mode": _choice("rounds up", "rounds down"),
    "count_include_pad": _choice("counts padding", "ignores padding"),
}


def _kind(layer: Layer) -> str:
    match layer:
        case Scale(factor, when):
            return f"Scale by {factor:g} ({when})"
        case Dropout(rate):
            return f"Dropout {rate:g}"
    if isinstance(layer, Leaf):
        return type(layer).__name__
    if isinstance(layer, Sequential):
        return f"layers ({', '.join(name for name, _ in layer.children)})"
    return {"Concat": "branches", "Residual": "residual block", "Aux": "auxiliary head"}[
        type(layer).__name__
    ]
