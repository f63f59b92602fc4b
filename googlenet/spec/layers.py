"""What a network is, never how to run it: frozen, hashable dataclasses that need no framework.

Axes: images are (N, C, H, W), N the batch, C channels, H height, W width. Shapes in the spec leave
out N, so a map is (C, H, W) and a vector (C,). Pairs are (height, width). The classes here are
strict, in one canonical form; `googlenet.spec.blocks` has the lenient constructors. `docs/spec.md`
is the normative text of every formula below.
"""

from __future__ import annotations

import keyword
import math
import operator
import re
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any, Final, Literal, TypeAlias

from ..errors import SpecError
from ..printable import shown

Shape: TypeAlias = tuple[int, ...]
Pair: TypeAlias = tuple[int, int]
ExplicitPadding: TypeAlias = tuple[Pair, Pair]
Padding: TypeAlias = ExplicitPadding | Literal["same"]

SAME: Final = "same"
NO_PADDING: Final[ExplicitPadding] = ((0, 0), (0, 0))

#: The largest size of an axis, which is as large as an integer is in every framework.
LARGEST_SIZE: Final = 2**31 - 1

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def check(condition: bool, kind: str, field: str, expected: str, value: object) -> None:
    """Raises `SpecError` for the `field` of a `kind` unless `condition` holds."""
    if not condition:
        big = isinstance(value, int) and abs(value) > LARGEST_SIZE
        raise SpecError(
            f"{kind}.{field}: expected {expected}, got {shown(value) if big else repr(value)}"
        )


def plain(value: Any) -> Any:
    """A number as Python's own int or float, whoever's it is, NumPy's above all, also inside a
    tuple; anything else as it is.
    """
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    if isinstance(value, bool):
        return value
    with suppress(TypeError):
        return operator.index(value)
    return float(value) if isinstance(value, Real) else value


def _make_plain(layer: object, *names: str) -> None:
    """Give these fields of a frozen `layer` their `plain` values: one form, also in JSON."""
    for name in names:
        object.__setattr__(layer, name, plain(getattr(layer, name)))


def _make_floats(layer: object, *names: str) -> None:
    """The same for fields that are floats: 1 is stored as 1.0."""
    _make_plain(layer, *names)
    for name in names:
        value = getattr(layer, name)
        if isinstance(value, int) and not isinstance(value, bool):
            with suppress(OverflowError):
                object.__setattr__(layer, name, float(value))


def _is_int(value: object, low: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def _is_pair(value: object, low: int) -> bool:
    return (
        isinstance(value, tuple) and len(value) == 2 and all(_is_int(item, low) for item in value)
    )


def _is_number(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _check_window(kind: str, kernel_size: object, stride: object, padding: object) -> None:
    check(
        _is_pair(kernel_size, 1),
        kind,
        "kernel_size",
        "(height, width), each at least 1",
        kernel_size,
    )
    check(_is_pair(stride, 1), kind, "stride", "(height, width), each at least 1", stride)
    explicit = (
        isinstance(padding, tuple)
        and len(padding) == 2
        and all(_is_pair(side, 0) for side in padding)
    )
    check(
        explicit or padding == SAME,
        kind,
        "padding",
        "((top, bottom), (left, right)) or SAME",
        padding,
    )


def _check_pool(
    kind: str, kernel_size: Pair, stride: object, padding: Padding, ceil_mode: object
) -> None:
    _check_window(kind, kernel_size, stride, padding)
    check(isinstance(ceil_mode, bool), kind, "ceil_mode", "True or False", ceil_mode)
    if padding == SAME:
        check(not ceil_mode, kind, "ceil_mode", "False with SAME padding", ceil_mode)
        return
    small = all(max(sides) <= size // 2 for sides, size in zip(padding, kernel_size, strict=True))
    check(
        small,
        kind,
        "padding",
        f"at most half of the kernel {kernel_size}, so that no window is all padding",
        padding,
    )


@dataclass(frozen=True, slots=True)
class Conv:
    """A cross-correlation (C, H, W) → (out_channels, H', W'): the kernel is not flipped, as in
    every framework here.

    `y[o,i,j] = bias[o] + Σ_{c,u,v} weight[o,c,u,v] · x[c, i·sh + u − top, j·sw + v − left]`, zeros
    outside the input, and `H' = ⌊(H + top + bottom − kh) / sh⌋ + 1`. With `groups` > 1, group g of
    the outputs sees group g of the inputs. Weights: `weight` (out_channels, C / groups, kh, kw),
    `bias` (out_channels,).

    Raises `SpecError` if a field is out of range.
    """

    out_channels: int
    kernel_size: Pair
    stride: Pair
    padding: Padding
    groups: int
    bias: bool

    def __post_init__(self) -> None:
        _make_plain(self, "out_channels", "kernel_size", "stride", "padding", "groups")
        check(
            _is_int(self.out_channels, 1),
            "Conv",
            "out_channels",
            "an integer of at least 1",
            self.out_channels,
        )
        _check_window("Conv", self.kernel_size, self.stride, self.padding)
        check(_is_int(self.groups, 1), "Conv", "groups", "an integer of at least 1", self.groups)
        divides = self.out_channels % self.groups == 0
        check(
            divides, "Conv", "groups", f"a divisor of out_channels {self.out_channels}", self.groups
        )
        check(isinstance(self.bias, bool), "Conv", "bias", "True or False", self.bias)


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """Batch normalisation over N, H and W (arXiv:1502.03167, algorithms 1 and 2); shape unchanged.

    `y = weight · (x − mean) / √(var + eps) + bias`, with `weight` left out (1) if `scale` is False.
    In training mode mean and var are the batch's, var biased (divided by n = N·H·W), and the
    running statistics move by `running ← (1 − momentum) · running + momentum · batch`; whether the
    running variance takes the biased or the unbiased batch variance (n / (n − 1)) is the
    framework's own convention, which each backend declares. In evaluation mode mean and var are the
    running ones. Weights: `weight`, `bias`, `running_mean`, `running_var`, each (C,).

    Training mode refuses n = 1, one image with a 1×1 map, with `ShapeError`: y would be `bias`
    whatever x is, since the variance of one value is 0, and its unbiased estimate does not exist.

    Raises `SpecError` unless eps > 0 and 0 < momentum <= 1.
    """

    eps: float
    momentum: float
    scale: bool

    def __post_init__(self) -> None:
        _make_floats(self, "eps", "momentum")
        check(
            _is_number(self.eps) and self.eps > 0, "BatchNorm", "eps", "a number above 0", self.eps
        )
        in_range = _is_number(self.momentum) and 0 < self.momentum <= 1
        check(
            in_range,
            "BatchNorm",
            "momentum",
            "a number in (0, 1], the weight of the new batch",
            self.momentum,
        )
        check(isinstance(self.scale, bool), "BatchNorm", "scale", "True or False", self.scale)


@dataclass(frozen=True, slots=True)
class LocalResponseNorm:
    """Normalisation across channels (Krizhevsky et al. 2012, section 3.3, in Caffe's form); shape
    unchanged.

    `y[c] = x[c] / (k + alpha / size · Σ x[j]²)^beta`, the sum over the `size` channels centred on
    c, cut off at the ends; the divisor stays `size` there. `size` is odd. GoogLeNet: size 5, alpha
    1e-4, beta 0.75, k 1.

    Raises `SpecError` if size is even or a number is not positive.
    """

    size: int
    alpha: float
    beta: float
    k: float

    def __post_init__(self) -> None:
        _make_plain(self, "size")
        _make_floats(self, "alpha", "beta", "k")
        odd = _is_int(self.size, 1) and self.size % 2 == 1
        check(odd, "LocalResponseNorm", "size", "an odd integer of at least 1", self.size)
        for name, value in (("alpha", self.alpha), ("beta", self.beta), ("k", self.k)):
            check(
                _is_number(value) and value > 0,
                "LocalResponseNorm",
                name,
                "a number above 0",
                value,
            )


@dataclass(frozen=True, slots=True)
class MaxPool:
    """The maximum over each window; padding never wins (it counts as −∞). (C, H, W) → (C, H', W').

    `H' = ⌊(H + top + bottom − kh) / sh⌋ + 1`; with `ceil_mode` ⌈·⌉ in place of ⌊·⌋, less one if the
    last window would start beyond the input and its leading padding, `(H' − 1) · sh >= H + top`.
    Among equal maxima the first in row-major order takes the gradient. Padding is at most half of
    the kernel.

    Raises `SpecError` if a field is out of range.
    """

    kernel_size: Pair
    stride: Pair
    padding: Padding
    ceil_mode: bool

    def __post_init__(self) -> None:
        _make_plain(self, "kernel_size", "stride", "padding")
        _check_pool("MaxPool", self.kernel_size, self.stride, self.padding, self.ceil_mode)


@dataclass(frozen=True, slots=True)
class AvgPool:
    """The mean over each window; shapes as for `MaxPool`.

    The divisor counts the input's elements in the window and, with `count_include_pad`, those of
    the explicit padding; never the overhang that `ceil_mode` adds beyond both.

    Raises `SpecError` if a field is out of range.
    """

    kernel_size: Pair
    stride: Pair
    padding: Padding
    ceil_mode: bool
    count_include_pad: bool

    def __post_init__(self) -> None:
        _make_plain(self, "kernel_size", "stride", "padding")
        _check_pool("AvgPool", self.kernel_size, self.stride, self.padding, self.ceil_mode)
        check(
            isinstance(self.count_include_pad, bool),
            "AvgPool",
            "count_include_pad",
            "True or False",
            self.count_include_pad,
        )


@dataclass(frozen=True, slots=True)
class AdaptiveAvgPool:
    """The mean over `output_size` (height, width) nearly equal windows: window i spans `⌊i·H/H'⌋`
    to `⌈(i+1)·H/H'⌉`.

    (C, H, W) → (C, *output_size). Raises `SpecError` unless both sizes are at least 1.
    """

    output_size: Pair

    def __post_init__(self) -> None:
        _make_plain(self, "output_size")
        check(
            _is_pair(self.output_size, 1),
            "AdaptiveAvgPool",
            "output_size",
            "(height, width), each at least 1",
            self.output_size,
        )


@dataclass(frozen=True, slots=True)
class GlobalAvgPool:
    """The mean over H and W: (C, H, W) → (C,)."""


@dataclass(frozen=True, slots=True)
class ReLU:
    """`max(x, 0)`; its derivative at 0 is 0; shape unchanged."""


@dataclass(frozen=True, slots=True)
class Dropout:
    """In training mode each element is zeroed with probability `rate`, the rest divided by `1 −
    rate`; else the identity.

    Source: Srivastava et al. 2014, in the inverted form. Raises `SpecError` unless 0 <= rate < 1.
    """

    rate: float

    def __post_init__(self) -> None:
        _make_floats(self, "rate")
        check(
            _is_number(self.rate) and 0 <= self.rate < 1,
            "Dropout",
            "rate",
            "a number in [0, 1)",
            self.rate,
        )


@dataclass(frozen=True, slots=True)
class Dense:
    """A fully connected layer: (C,) or (C, H, W) → (out_features,).

    `y = bias + Σ weight · x`, summed over every axis of x. Weights: `weight` (out_features, *input
    shape), `bias` (out_features,). On a map no flattening order has to be agreed on: the weight
    keeps the map's axes.

    Raises `SpecError` if a field is out of range.
    """

    out_features: int
    bias: bool

    def __post_init__(self) -> None:
        _make_plain(self, "out_features")
        check(
            _is_int(self.out_features, 1),
            "Dense",
            "out_features",
            "an integer of at least 1",
            self.out_features,
        )
        check(isinstance(self.bias, bool), "Dense", "bias", "True or False", self.bias)


@dataclass(frozen=True, slots=True)
class Scale:
    """`factor · x` in the modes that `when` names, the identity in the others; shape unchanged.

    Raises `SpecError` if factor is not finite or `when` is unknown.
    """

    factor: float
    when: Literal["always", "train", "eval"]

    def __post_init__(self) -> None:
        _make_floats(self, "factor")
        check(_is_number(self.factor), "Scale", "factor", "a finite number", self.factor)
        check(
            self.when in ("always", "train", "eval"),
            "Scale",
            "when",
            "'always', 'train' or 'eval'",
            self.when,
        )


def _check_children(kind: str, children: object) -> None:
    check(isinstance(children, tuple), kind, "children", "a tuple of (name, layer)", children)
    seen: set[str] = set()
    for item in children:  # type: ignore[attr-defined]
        check(
            isinstance(item, tuple) and len(item) == 2,
            kind,
            "children",
            "a tuple of (name, layer)",
            item,
        )
        name, layer = item
        named = isinstance(name, str) and _NAME.fullmatch(name) is not None
        check(named, kind, "children", "names of lower-case letters, digits and underscores", name)
        check(name not in seen, kind, "children", "unique names", name)
        check(isinstance(layer, Layer), kind, f"children[{name!r}]", "a layer of the spec", layer)
        seen.add(name)


def _check_block(kind: str, block: object) -> None:
    named = isinstance(block, str) and (block == "" or _is_class_name(block))
    check(named, kind, "block", "a name such as InceptionA, or none", block)


def _is_class_name(name: str) -> bool:
    """Whether a class of Python may have the name, and only that one: Python takes names that are
    equal under NFKC for one, and changes those with two underscores in front inside a class.
    """
    plain = unicodedata.normalize("NFKC", name) == name and not name.startswith("_")
    return plain and name.isidentifier() and not keyword.iskeyword(name)


@dataclass(frozen=True, slots=True)
class Sequential:
    """Named layers, each applied to the result of the one before; with no children, the identity.

    `block` is what the paper calls the whole, if anything: a label that is not part of equality,
    JSON or weights. Raises `SpecError` for a bad or repeated name.
    """

    children: tuple[tuple[str, Layer], ...]
    block: str = field(default="", compare=False, kw_only=True)

    def __post_init__(self) -> None:
        _check_children("Sequential", self.children)
        _check_block("Sequential", self.block)


@dataclass(frozen=True, slots=True)
class Concat:
    """Named branches applied to the same input, their results (C_i, H, W) joined along C in the
    order given.

    `block` is what the paper calls the whole, as for `Sequential`: `Inception`, `ReductionA`.
    Raises `SpecError` for a bad or repeated name, if there are no branches, or for an auxiliary
    head in a branch.
    """

    children: tuple[tuple[str, Layer], ...]
    block: str = field(default="", compare=False, kw_only=True)

    def __post_init__(self) -> None:
        _check_children("Concat", self.children)
        _check_block("Concat", self.block)
        check(len(self.children) > 0, "Concat", "children", "at least one branch", self.children)
        _check_no_aux("Concat", *(layer for _, layer in self.children))


@dataclass(frozen=True, slots=True)
class Residual:
    """`shortcut(x) + scale · body(x)`; both must have the same shape. An empty `Sequential` as
    shortcut is the identity.

    Source: arXiv:1602.07261, section 3.2, for the scale. `block` is what the paper calls the whole,
    as for `Sequential`. Raises `SpecError` for an auxiliary head inside.
    """

    body: Layer
    shortcut: Layer
    scale: float
    block: str = field(default="", compare=False, kw_only=True)

    def __post_init__(self) -> None:
        _check_children("Residual", self.children)
        _check_block("Residual", self.block)
        _make_floats(self, "scale")
        check(_is_number(self.scale), "Residual", "scale", "a finite number", self.scale)
        _check_no_aux("Residual", self.body, self.shortcut)

    @property
    def children(self) -> tuple[tuple[str, Layer], ...]:
        """Both paths with the names that they have in a path."""
        return (("body", self.body), ("shortcut", self.shortcut))


@dataclass(frozen=True, slots=True)
class Aux:
    """The identity on the main path, and `head` as a further output named after this child (for
    example `aux1`).

    `loss_weight` is the factor of its loss in training (arXiv:1409.4842, section 5: 0.3). It is
    allowed only in a `Sequential` that is reached from the root through `Sequential`s. The head has
    the path of this layer, and the label `block`. Raises `SpecError` if a head holds another one.
    """

    head: Sequential
    loss_weight: float

    def __post_init__(self) -> None:
        _make_floats(self, "loss_weight")
        check(isinstance(self.head, Sequential), "Aux", "head", "a Sequential", self.head)
        check(
            _is_number(self.loss_weight) and self.loss_weight >= 0,
            "Aux",
            "loss_weight",
            "a number of at least 0",
            self.loss_weight,
        )
        _check_no_aux("Aux", self.head)

    @property
    def children(self) -> tuple[tuple[str, Layer], ...]:
        """The head, under the name that folds know it by; it is not part of a path."""
        return (("head", self.head),)

    @property
    def block(self) -> str:
        """What the paper calls the head."""
        return self.head.block


Leaf: TypeAlias = (
    Conv
    | BatchNorm
    | LocalResponseNorm
    | MaxPool
    | AvgPool
    | AdaptiveAvgPool
    | GlobalAvgPool
    | ReLU
    | Dropout
    | Dense
    | Scale
)
Composite: TypeAlias = Sequential | Concat | Residual | Aux
Layer: TypeAlias = Leaf | Composite


def aux_heads(layer: Layer) -> tuple[tuple[str, Aux], ...]:
    """The auxiliary heads below `layer` as (output name, head), in the order of execution."""
    if not isinstance(layer, Sequential):
        return ()
    found: list[tuple[str, Aux]] = []
    for name, child in layer.children:
        found.extend([(name, child)] if isinstance(child, Aux) else aux_heads(child))
    return tuple(found)


def _check_no_aux(kind: str, *layers: Layer) -> None:
    for layer in layers:
        misplaced = isinstance(layer, Aux) or bool(aux_heads(layer))
        check(
            not misplaced,
            kind,
            "children",
            "no auxiliary head inside (it belongs on the main path)",
            layer,
        )


def check_input_shape(shape: Any) -> Shape:
    """`shape` as a tuple (C, H, W). Raises `SpecError` unless it is three positive integers."""
    shape = plain(tuple(shape) if isinstance(shape, list) else shape)
    sized = isinstance(shape, tuple) and len(shape) == 3 and all(_is_int(n, 1) for n in shape)
    example = f"; for example (1, {shape}, {shape})" if _is_int(shape, 1) else ""
    expected = f"(channels, height, width), each at least 1{example}"
    check(sized, "Network", "input_shape", expected, shape)
    largest = all(side <= LARGEST_SIZE for side in shape)
    check(largest, "Network", "input_shape", f"at most {LARGEST_SIZE} each", "more")
    channels, height, width = shape
    return channels, height, width


#: The most names of layers that are shown for a network.
MOST_NAMES = 12


@dataclass(frozen=True, slots=True, repr=False)
class Network:
    """A whole network, or a single block: a name, its layers, the shape (C, H, W) of its input, and
    where it comes from.

    Raises `SpecError` if the shape is not three positive integers or two auxiliary outputs have the
    same name.
    """

    name: str
    layers: Sequential
    input_shape: Shape
    source: str

    def __post_init__(self) -> None:
        check(
            isinstance(self.name, str) and self.name != "", "Network", "name", "a name", self.name
        )
        check(isinstance(self.layers, Sequential), "Network", "layers", "a Sequential", self.layers)
        shape = check_input_shape(self.input_shape)
        check(shape == self.input_shape, "Network", "input_shape", "a tuple", self.input_shape)
        object.__setattr__(self, "input_shape", shape)
        names = [name for name, _ in aux_heads(self.layers)]
        check(
            len(set(names)) == len(names),
            "Network",
            "layers",
            "auxiliary heads with unique names",
            names,
        )
        taken = [name for name, _ in self.layers.children if name == "logits"] + [
            name for name in names if name == "logits"
        ]
        check(
            not taken,
            "Network",
            "layers",
            "no layer at the root and no auxiliary head called 'logits', which is an output",
            taken,
        )

    def __repr__(self) -> str:
        names = [name for name, _ in self.layers.children]
        more = f", … {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        layers = ", ".join(names[:MOST_NAMES]) + more
        return (
            f"<Network '{self.name}' {self.input_shape}: {layers} → {', '.join(self.outputs)};"
            f" {self.source}>"
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs: `logits`, then the auxiliary heads in the
        order of execution.
        """
        return ("logits", *(name for name, _ in aux_heads(self.layers)))

    def at(self, input_shape: Shape) -> Network:
        """The same layers with another input shape (C, H, W)."""
        return replace(self, input_shape=check_input_shape(input_shape))
