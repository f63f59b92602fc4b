"""What a user's model computes, as its framework tells it: operations in the order of execution.

A backend that `Traces` captures one with its framework's own tool. It names what it knows by the
kinds below, in canonical axes: maps are (N, C, H, W), vectors (N, C). A kind is used only where the
operation means exactly that. Any other keeps the framework's own name behind a prefix, `aten.pad`
or `tf.Einsum`, so that it is never taken for a kind, and is foreign from there on.

In canonical axes, flattening a channels-last map of more than one pixel is `transpose` with axes
(0, 2, 3, 1), then `flatten`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from ..arrays import Array
from ..spec.layers import Shape

#: Where an array is from: a weight is trained, and may be any numbers; a constant is written in the
#: code; what is tied has numbers in common with another array, or one number several times; what is
#: computed from others otherwise may perhaps not be any numbers; "free" is what is computed from
#: weights that can make it any numbers, as weight normalisation does.
Origin: TypeAlias = Literal["weight", "constant", "tied", "computed", "free"]


@dataclass(frozen=True)
class Kind:
    """What an operation of a kind has: the names of its attributes, and its arrays by role with
    their shapes; those with a question mark may be missing.
    """

    attributes: tuple[str, ...] = ()
    arrays: tuple[str, ...] = ()
    about: str = ""


_NORM: Final = tuple(f"{name}? (C,)" for name in ("weight", "bias", "running_mean", "running_var"))
_POOL: Final = ("kernel_size", "stride", "padding", "ceil_mode")

#: The kinds of operations that `lift` knows. Padding is ((top, bottom), (left, right)), all other
#: pairs are (height, width). Axes count the batch as 0, and may be negative.
KINDS: Final[Mapping[str, Kind]] = {
    "conv": Kind(
        ("stride", "padding", "dilation", "groups"),
        ("weight (O, I / groups, kh, kw)", "bias? (O,)"),
    ),
    "dense": Kind((), ("weight (O, I)", "bias? (O,)"), "along the last axis"),
    "batch_norm": Kind(
        ("eps", "train", "momentum?"),
        _NORM,
        "along axis 1; momentum, where it is known, is the share of the batch in a new statistic",
    ),
    "local_response_norm": Kind(("size", "alpha", "beta", "k"), (), "alpha / size, as in the spec"),
    "max_pool": Kind((*_POOL, "dilation")),
    "avg_pool": Kind((*_POOL, "count_include_pad")),
    "sum_pool": Kind(_POOL),
    "unfold": Kind(
        ("kernel_size", "stride", "padding", "dilation"),
        (),
        "(N, C kh kw, H' W'): each window of a map as a column; the padding is 0",
    ),
    "adaptive_avg_pool": Kind(("output_size",)),
    "adaptive_max_pool": Kind(("output_size",)),
    "mean": Kind(("axes", "keepdims")),
    "relu": Kind(),
    "dropout": Kind(("rate", "active"), (), "active is whether it drops in evaluation mode, too"),
    "spatial_dropout": Kind(("rate", "active"), (), "of whole channels"),
    "alpha_dropout": Kind(("rate", "active"), (), "keeps mean and variance; also of channels"),
    "nan_to_num": Kind((), (), "of numbers themselves"),
    "concat": Kind(("axis",)),
    "add": Kind(("factor?",), (), "of two or more values; factor, of the second of two"),
    "mul": Kind(("factor",), (), "with a number"),
    "multiply": Kind((), (), "of two values, element by element; broadcasts"),
    "affine": Kind(("product",), ("other",), "product: other is multiplied, not added; broadcasts"),
    "pad": Kind(("padding", "value"), (), "negative padding takes away"),
    "flatten": Kind(("start",), (), "the first axis that is joined"),
    "reshape": Kind(("shape",), (), "without the batch"),
    "slice": Kind(("axis", "start", "stop", "step"), (), "never along the batch"),
    "transpose": Kind(("axes",), (), "of the whole, the batch first"),
    "leaky_relu": Kind(("slope",)),
    "elu": Kind(("alpha",)),
    "clip": Kind(("low", "high")),
    "gelu": Kind(("approximate",), (), "'none' or 'tanh'"),
    "softmax": Kind(("axis",)),
    "log_softmax": Kind(("axis",)),
    "sigmoid": Kind(),
    "silu": Kind(),
    "tanh": Kind(),
    "abs": Kind(),
    "greater": Kind(("number",), (), "1 for an element that is greater, else 0"),
    "softplus": Kind(),
    "identity": Kind(),
}


@dataclass(frozen=True, eq=False)
class Op:
    """One operation: its `kind`, the names of its `inputs`, `attributes`, `arrays` by role, and the
    `shape` of its result, the batch first.

    `place` is where it is in the user's code, as far as the framework knows: the path of a layer
    object, `net[3].p3_2`. Arrays that are shared are the same object. `origins` says by role where
    they are from, and `called` in which file and line of the user's it is called, both as
    far as the framework knows. `trained` are the parameters that go into it, whatever becomes of
    them on the way: how many numbers each has, by a name that is the same wherever it goes.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    shape: Shape
    attributes: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)
    place: str = ""
    origins: Mapping[str, Origin] = field(default_factory=dict)
    called: tuple[str, int] | None = None
    trained: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Graph:
    """The operations between the images (N, C, H, W) called `input` and the values `outputs`, the
    logits first, in an order in which each comes after its inputs. `unused` are the places of
    layers with weights that no output depends on, as far as the framework knows. `classes` are the
    names of the user's own classes by the place of each layer object of theirs.
    """

    input: str
    input_shape: Shape
    ops: tuple[Op, ...]
    outputs: tuple[str, ...]
    unused: tuple[str, ...] = ()
    classes: Mapping[str, str] = field(default_factory=dict)


def parameters_of(graph: Graph) -> int:
    """How many trained numbers the outputs depend on; what several operations take counts once."""
    needed = set(graph.outputs)
    found: dict[str, int] = {}
    for op in reversed(graph.ops):
        if op.name in needed:
            needed.update(op.inputs)
            found |= op.trained
    return sum(found.values())


def faults(graph: Graph) -> list[str]:
    """What is wrong with a graph as such: kinds that are none and have no prefix, attributes and
    arrays that their kind has not or lacks, inputs that do not come before, names that are taken.
    """
    found: list[str] = []
    names = {graph.input}
    for op in graph.ops:
        found += [
            f"{op.name}: '{each}' does not come before it"
            for each in op.inputs
            if each not in names
        ]
        if op.name in names:
            found.append(f"{op.name}: the name is taken")
        names.add(op.name)
        if op.kind in KINDS:
            found += [f"{op.name}: '{op.kind}' {fault}" for fault in _wrong(op, KINDS[op.kind])]
        elif "." not in op.kind:
            found.append(f"{op.name}: '{op.kind}' is not a known kind, and has no prefix")
    found += [
        f"no operation gives the output '{each}'" for each in graph.outputs if each not in names
    ]
    return found


def _wrong(op: Op, kind: Kind) -> Iterator[str]:
    for what, given, allowed in (
        ("attribute", op.attributes, kind.attributes),
        ("array", op.arrays, kind.arrays),
    ):
        named = {text.partition(" ")[0] for text in allowed}
        yield from (
            f"lacks the {what} '{name}'"
            for name in sorted(named)
            if name not in given and name[-1] != "?"
        )
        known = {name.rstrip("?") for name in named}
        yield from (f"has no {what} '{name}'" for name in sorted(given) if name not in known)
