"""What is otherwise in a user's model, in words, and each as a change that can be tried alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from ..spec.layers import Dense, ExplicitPadding, LocalResponseNorm, Pair, Shape
from ..tracing.evaluate import is_known
from ..tracing.tree import Chain, Foreign, Fork, Head, Item, Step, Tangle, steps
from . import align
from .align import (
    Around,
    Extra,
    ForkPair,
    HeadPair,
    Missing,
    Node,
    Nodes,
    Tangled,
    differing,
    kind,
)
from .causes import ACTIVE, LOGARITHM, Cause
from .pour import block_path, item_place, path_of, place_of
from .sources import Source, user_item

#: What a layer is called in a sentence, by its kind; anything else by its own name.
NAMES: Final[Mapping[str, str]] = {
    "Conv": "convolution",
    "conv": "convolution",
    "Dense": "dense layer",
    "dense": "dense layer",
    "BatchNorm": "batch norm",
    "batch_norm": "batch norm",
    "LocalResponseNorm": "local response norm",
    "local_response_norm": "local response norm",
    "MaxPool": "max pool",
    "max_pool": "max pool",
    "AvgPool": "average pool",
    "AdaptiveAvgPool": "adaptive average pool",
    "GlobalAvgPool": "global average pool",
    "adaptive_max_pool": "adaptive max pool",
    "sum_pool": "sum pool",
    "ReLU": "ReLU",
    "leaky_relu": "leaky ReLU",
    "elu": "ELU",
    "clip": "clipped ReLU",
    "gelu": "GELU",
    "sigmoid": "sigmoid",
    "silu": "SiLU",
    "tanh": "tanh",
    "softplus": "softplus",
    "softmax": "softmax",
    "log_softmax": "log-softmax",
    "Dropout": "dropout layer",
    "dropout": "dropout that is also active in evaluation",
    "Scale": "factor",
    "mul": "factor",
    "affine": "constant array",
    "spatial_dropout": "dropout of whole channels",
    "alpha_dropout": "alpha dropout",
    "nan_to_num": "replacement of what is not finite",
    "pad": "separate padding layer",
    "mean": "mean",
    "concat": "concatenation along another axis",
    "flatten": "flattening",
    "reshape": "reshape",
    "transpose": "transpose",
}
#: The same for what is known by name only.
PLAIN: Final[Mapping[str, str]] = {
    "groupnorm": "group norm",
    "layernorm": "layer norm",
    "instancenorm": "instance norm",
    "rmsnorm": "RMS norm",
    "mish": "Mish",
    "hardswish": "hard swish",
    "hardsigmoid": "hard sigmoid",
    "selu": "SELU",
    "celu": "CELU",
    "prelu": "PReLU",
}
#: All blocks together, as a part of the network; no path is written so.
BLOCKS: Final = "in the blocks"
#: At least so many layers make "all".
ALL: Final = 3
#: At most so many places are listed in a sentence.
LISTED: Final = 4
#: Dropout, and what may stand before or behind it all the same, also in training.
DROPPING: Final = frozenset({"Dropout", "dropout", "spatial_dropout", "alpha_dropout"})
COMMUTING: Final = frozenset({"ReLU", "Scale", "mul", "leaky_relu"})
#: What a finding is called that concerns where an array is from; its role follows.
ORIGIN: Final = "origin of "
#: A kernel together with the padding that belongs to it.
WINDOW: Final = "window"


@dataclass(frozen=True, eq=False)
class Finding:
    """One thing that is otherwise at one node of the alignment: `what`, an attribute's name or what
    happened to the layer; in words without the place; and of what kind its layer is.

    `shape_preserving` is whether all shapes of results and weights stay the spec's. `beside` is the
    user's layer or join before it, or at the beginning of a branch (`is_first`) the one after it.
    """

    node: Node
    what: str
    path: str
    place: str
    words: str
    cause: Cause
    shape_preserving: bool
    of: str = ""
    beside: Step | Fork | None = None
    is_first: bool = False


@dataclass(frozen=True, eq=False)
class Difference:
    """What is otherwise, as a reader is told: once for all the layers of one kind if it holds for
    all of them, at the first of which it stands.

    `path` is the spec's, for something extra that of the layer that it follows, for something
    around a block that of the block; `place` is the user's. `source` is the line of the user's code
    where it is wrong, or after which something is missing, where that is certain; `spec` what the
    spec has there, in words, and `code` the calls that make it in the user's framework, one after
    the other; `advice` is what else to do.
    """

    path: str
    place: str
    words: str
    cause: Cause
    shape_preserving: bool
    findings: tuple[Finding, ...] = ()
    advice: str = ""
    paths: tuple[str, ...] = field(default=())
    explanation: str = ""
    source: Source | None = None
    spec: str = ""
    code: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole words as keys."""
        return {
            "path": self.path,
            "place": self.place,
            "words": self.words,
            "cause": self.cause.value,
            "explanation": self.explanation,
            "advice": self.advice,
            "shape_preserving": self.shape_preserving,
            "paths": list(self.paths),
            "source": None if self.source is None else self.source.to_json(),
            "spec": self.spec,
            "code": "\n".join(self.code) or None,
        }

    def rows(self) -> list[tuple[str, str]]:
        """The user's code and the spec's layer side by side: what each row is, and its text."""
        found = [] if self.source is None else self.source.rows()
        if self.spec:
            found.append(("spec", self.spec))
        return found + [
            ("then" if number else "write", each) for number, each in enumerate(self.code)
        ]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Difference:
        """The inverse of `to_json`, without the findings."""
        return cls(
            values["path"],
            values["place"],
            values["words"],
            Cause(values["cause"]),
            values["shape_preserving"],
            advice=values["advice"],
            paths=tuple(values["paths"]),
            explanation=values["explanation"],
            source=None if values["source"] is None else Source.from_json(values["source"]),
            spec=values["spec"],
            code=tuple((values["code"] or "").splitlines()),
        )


def name_of(step: Step) -> str:
    """What a layer is called in a sentence."""
    layer = step.layer
    if isinstance(layer, Foreign) and layer.kind == "clip":
        low, high = layer.attributes["low"], layer.attributes["high"]
        return "ReLU6" if (low, high) == (0, 6) else f"clip to [{low:g}, {high:g}]"
    if isinstance(layer, Foreign) and layer.kind == "affine":
        what = "trained" if align.is_trained(step) else "constant"
        each = f"{what} {'factor' if layer.attributes['product'] else 'offset'}"
        return each if step.arrays["other"].size == 1 else f"array of {each}s"
    if isinstance(layer, Foreign) and layer.kind == "pad":
        sides = [side for pair in layer.attributes["padding"] for side in pair]
        return "crop" if max(sides) <= 0 else NAMES["pad"]
    if isinstance(layer, Foreign) and layer.kind == "slice":
        axis = ("images", "channels", "rows", "columns")[layer.attributes["axis"] % 4]
        return f"slice of the {axis}"
    if isinstance(layer, Foreign) and layer.kind == "batch_norm":
        own = layer.attributes.get("train") or "running_mean" not in step.arrays
        return "batch norm with the statistics of each batch" if own else "batch norm"
    if (plain := align.plain_name(step)) in PLAIN:
        return PLAIN[plain]
    if isinstance(layer, Foreign) and layer.kind == "dropout" and not is_active(step):
        return "dropout"
    return NAMES.get(kind(step), f"'{kind(step)}'")


def is_active(step: Step) -> bool:
    """Whether a layer is dropout that also acts in evaluation."""
    layer = step.layer
    return isinstance(layer, Foreign) and bool(layer.attributes.get("active", False))


def doubts(nodes: Nodes) -> set[Node]:
    """What is missing or too much beside an operation that nobody knows, which may do just that; or
    padded otherwise behind it.
    """
    found: set[Node] = set()
    run: list[Node] = []
    strange = False
    for node in nodes:
        match node:
            case Extra(moved=False) | Missing(moved=None):
                run.append(node)
                strange = strange or (isinstance(node, Extra) and _is_strange(node.user))
                continue
            case Tangled():
                run.append(node)
                strange = True
                continue
            case ForkPair(branches=branches):
                for _, _, inside in branches:
                    found |= doubts(inside)
            case HeadPair(inside=inside) | Around(inside=inside):
                found |= doubts(inside)
            case align.Pair(user=user, spec=spec):
                if strange and set(differing(user, spec)) <= {"padding"}:
                    run.append(node)
        found.update(run if strange else ())
        run, strange = [], False
    return found | set(run if strange else ())


def _is_strange(item: Item) -> bool:
    return isinstance(item, Tangle) or any(
        not is_known(step) and not is_active(step) for step in steps((item,))
    )


class Finder:
    """Goes through an alignment from front to back."""

    def __init__(self, spec: Chain, input_shape: Shape) -> None:
        self._rows = dict(_rows(spec))
        self._input_shape = input_shape
        self._seen: dict[int, str] = {}
        #: Where what has moved stands, in words, and what has moved past a dropout.
        self._moved: dict[Item, str] = {}
        self._dropping: set[Node] = set()
        #: What the user's model has in the same branch before the node at hand, and after it.
        self._before: Step | Fork | None = None
        self._next: Step | Fork | None = None
        self.findings: list[Finding] = []

    def find(self, nodes: Nodes) -> list[Finding]:
        """Everything that is otherwise, in the order of execution."""
        self._nodes(nodes, "", "", self._input_shape, None)
        return self.findings

    def _add(
        self,
        node: Node,
        what: str,
        path: str,
        place: str,
        words: str,
        cause: Cause,
        preserving: bool,
        of: str = "",
    ) -> None:
        beside = self._before or self._next
        is_first = self._before is None
        self.findings.append(
            Finding(node, what, path, place, words, cause, preserving, of, beside, is_first)
        )

    def _nodes(
        self, nodes: Nodes, path: str, place: str, shape: Shape, row: tuple[Fork, Fork] | None
    ) -> None:
        """`path`, `place` and the spec's `shape` are those of what comes before."""
        self._note_moves(nodes, path)
        for number, node in enumerate(nodes):
            last = number == len(nodes) - 1
            following = map(user_item, nodes[number + 1 :])
            self._next = next((each for each in following if each is not None), None)
            match node:
                case align.Pair():
                    self._pair(node, row)
                case ForkPair():
                    self._fork(node, path, place, shape)
                case HeadPair(inside=inside):
                    before = self._before
                    self._head(node, nodes)
                    self._nodes(inside, path, place, shape, None)
                    self._before = before
                case Missing():
                    self._missing(node, path, place, shape)
                case Extra():
                    self._extra(node, path, place, shape, last)
                case Tangled(user=user):
                    where, words = path_of(node), f"in its place {_tangle(user)}"
                    same = user.out_shape == _shape_after(node, shape)
                    self._add(node, "tangled", where, user.place, words, Cause.TANGLE, same, "Fork")
                case Around(user=user, inside=inside):
                    where, at = path_of(node), user.place or place
                    what, cause = _joined(user, node.number)
                    words = f"{what} around {_reach(inside)}, which the spec does not have"
                    self._add(node, "around", where, at, words, cause, True, "Fork")
                    self._nodes(inside, path, place, shape, row)
            path, place = path_of(node) or path, place_of(node) or place
            shape = _shape_after(node, shape)
            self._before = user_item(node) or self._before

    def _head(self, node: HeadPair, nodes: Nodes) -> None:
        """Whether a further output is returned in its place among the others."""
        pairs = [each for each in nodes if isinstance(each, HeadPair)]
        mine = sorted(each.user.number for each in pairs).index(node.user.number)
        theirs = sorted(each.spec.number for each in pairs).index(node.spec.number)
        if mine == theirs:
            return
        words = (
            f"is returned as output {node.user.number}, where the spec has it as"
            f" output {node.spec.number}, the logits being 0"
        )
        path, place = path_of(node), place_of(node)
        self._add(node, "number", path, place, words, Cause.OUTPUT, False, "Head")

    def _note_moves(self, nodes: Nodes, path: str) -> None:
        """Where what has moved stands now, and whether that makes a difference in training."""
        before = path
        for number, node in enumerate(nodes):
            if isinstance(node, Extra) and node.moved:
                self._moved[node.user] = f"after {before}" if before else "at the beginning"
                other = next(
                    place
                    for place, each in enumerate(nodes)
                    if isinstance(each, Missing) and each.moved is node.user
                )
                first, last = sorted((number, other))
                kinds = set(_kinds(nodes[first : last + 1]))
                if kinds & DROPPING and kinds - DROPPING - COMMUTING:
                    self._dropping.add(nodes[other])
                before = path_of(nodes[other])
            elif not isinstance(node, Missing):
                before = path_of(node) or before

    # One layer ------------------------------------------------------------------------------------

    def _pair(self, node: align.Pair, row: tuple[Fork, Fork] | None) -> None:
        user, spec = node.user, node.spec
        path, place = spec.place, user.place
        if self._is_shared(node):
            return
        same_shape = _stripped(user.out_shape) == _stripped(spec.out_shape) and all(
            _stripped(array.shape) == _stripped(spec.arrays[role].shape)
            for role, array in user.arrays.items()
            if role in spec.arrays
        )
        if kind(user) != kind(spec) and not (_is_dilated(user, spec) or _is_vector(user, spec)):
            words = f"{_a(name_of(user))} where the spec has {_a(name_of(spec))}"
            if align.family(spec) == "pool":
                words += _window(user)
            cause = _KIND_CAUSES.get(align.family(spec), Cause.KIND)
            self._add(node, "kind", path, place, words, cause, same_shape, kind(spec))
            if align.family(spec) != "weighted":
                return
        found = differing(user, spec)
        if "kernel_size" in found and _is_half(user) and _is_half(spec):
            # Another kernel with the padding that keeps the size: one thing, and not two.
            found.pop("padding", None)
            found = {WINDOW if what == "kernel_size" else what: found[what] for what in found}
        for what, (mine, theirs) in found.items():
            words, cause = self._words(node, what, mine, theirs, row)
            self._add(node, what, path, place, words, cause, same_shape, kind(spec))
        for role in spec.arrays:
            if role in user.arrays:
                self._origin(node, role)

    def _origin(self, node: align.Pair, role: str) -> None:
        """What the spec trains, and the user's code does not."""
        cause: Cause
        match node.user.origins.get(role):
            case "constant":
                words, cause = "is no parameter, and stays as it is in training", Cause.FIXED
            case "tied":
                alike = len(np.unique(node.user.arrays[role])) == 1
                words = (
                    "is one number for all channels"
                    if alike and role == "bias"
                    else "has numbers in common with another, or one several times"
                )
                cause = Cause.TIED
            case "free":
                words = "is normalised: it is computed from parameters that can make it any numbers"
                cause = Cause.WEIGHT_NORM
            case "computed":
                words = "is computed from others; which numbers it can be is not known here"
                cause = Cause.COMPUTED
            case _:
                return
        path, place = node.spec.place, node.user.place
        of = kind(node.spec)
        self._add(node, f"{ORIGIN}{role}", path, place, f"its {role} {words}", cause, True, of)

    def _is_shared(self, node: align.Pair | ForkPair) -> bool:
        """Whether all weights of a layer, or of a block, are those of an earlier one; which is then
        all that is said of it.
        """
        pairs = [pair for pair in align.aligned((node,)) if pair.user.arrays]
        firsts = [
            self._seen.setdefault(id(array), pair.spec.place)
            for pair in pairs
            for array in pair.user.arrays.values()
        ]
        own = {pair.spec.place for pair in pairs}
        others = [first for first in firsts if first not in own]
        if not others or (isinstance(node, ForkPair) and len(others) < len(firsts)):
            return False
        first = block_path(others)
        words = (
            f"shares its weights with {first}, where the spec has separate weights for each place"
        )
        path, place = path_of(node), place_of(node)
        of = kind(node.spec) if isinstance(node.spec, Step) else "Fork"
        self._add(node, "shared", path, place, words, Cause.SHARED, True, of)
        return True

    def _words(
        self, node: align.Pair, what: str, mine: Any, theirs: Any, row: tuple[Fork, Fork] | None
    ) -> tuple[str, Cause]:
        user = node.user
        match what:
            case "out_channels":
                unit = "outputs" if isinstance(node.spec.layer, Dense) else "channels"
                words = f"{mine} {unit}, expected {theirs}"
                other = self._other_row(row) if row is not None else ""
                return (
                    (f"{words}: the row of {other}", Cause.ROW)
                    if other
                    else (
                        words,
                        Cause.CHANNELS,
                    )
                )
            case "kernel_size" | "window":
                return f"kernel {_by(mine)} where the spec has {_by(theirs)}", Cause.KERNEL
            case "stride":
                return f"stride {_by(mine)} where the spec has {_by(theirs)}", Cause.STRIDE
            case "dilation":
                return f"dilation {_by(mine)}, where the spec has none", Cause.DILATION
            case "padding":
                if _is_same(node, mine):
                    words = (
                        f"SAME padding, here {_sides(mine)}, where the spec has {_sides(theirs)}"
                    )
                    return words, Cause.SAME_PADDING
                words = f"padding {_sides(mine)} where the spec has {_sides(theirs)}"
                return words, Cause.PADDING
            case "groups":
                return f"{mine} groups where the spec has {theirs}", Cause.GROUPS
            case "bias":
                words = "a bias, which the spec does not have" if mine else "no bias"
                return words + "; the function is the same only if the bias is 0" * (
                    mine is True
                ), Cause.BIAS
            case "ceil_mode":
                words = "size rounded up where the spec rounds down"
                return (words if mine else "size rounded down where the spec rounds up"), (
                    Cause.CEIL
                )
            case "count_include_pad":
                words = "padding counted in the mean, which the spec does not do"
                return (
                    words if mine else "padding left out of the mean, where the spec counts it"
                ), Cause.COUNTED
            case "eps":
                return f"eps {mine:g} where the spec has {theirs:g}", Cause.EPS
            case "scale":
                words = "multiplication by a weight, which the spec does not have"
                return (words if mine else "no weight to multiply by (gamma)"), Cause.SCALE
            case "rate":
                return f"dropout at rate {mine:g} where the spec has {theirs:g}", Cause.DROPOUT
            case "factor":
                return f"factor {mine:g} where the spec has {theirs:g}", Cause.FACTOR
            case _:
                cause = Cause.LRN if isinstance(user.layer, LocalResponseNorm) else Cause.SETTING
                return f"{what} {_short(mine)} where the spec has {_short(theirs)}", cause

    def _other_row(self, row: tuple[Fork, Fork]) -> str:
        """The block of the spec whose channels the user's block has, if it is another one."""
        user, spec = row
        mine = _row(user)
        for path, theirs in self._rows.items():
            if path != spec.place and theirs == mine:
                return path
        # Not all of it: what is otherwise is all the other block's.
        own = self._rows.get(spec.place)
        if own is None or len(own) != len(mine):
            return ""
        wrong = [place for place, (a, b) in enumerate(zip(mine, own, strict=True)) if a != b]
        near = [
            path
            for path, theirs in self._rows.items()
            if path != spec.place
            and len(theirs) == len(mine)
            and all(theirs[place] == mine[place] for place in wrong)
        ]
        return near[-1] if len(wrong) > 1 and len(near) == 1 else _before(near, spec.place)

    # Forks ----------------------------------------------------------------------------------------

    def _fork(self, node: ForkPair, path: str, place: str, shape: Shape) -> None:
        user, spec = node.user, node.spec
        if self._is_shared(node):
            return
        row = (user, spec) if spec.join == "concat" else None
        before = self._before
        for _, _, inside in node.branches:
            self._before = None
            self._nodes(inside, path, place, shape, row)
        self._before = before
        numbers = [number for number, _, _ in node.branches]
        if spec.join == "concat" and numbers != sorted(numbers):
            words = (
                f"the branches in the order {_order(node)}: the same only up to a permutation of"
                " channels"
            )
            self._add(
                node, "order", spec.place, user.place, words, Cause.BRANCH_ORDER, True, "Fork"
            )
        for number in node.more:
            channels = _width(user.branches[number])
            words = f"a further branch{channels}, which the spec does not have"
            what = f"more {number}"
            self._add(node, what, spec.place, user.place, words, Cause.BRANCH, False, "Fork")
        for number in node.without:
            where = _first_place(spec.branches[number])
            channels = _width(spec.branches[number])
            words = f"lacks the branch {where}{channels}" if where else "lacks its shortcut"
            self._add(
                node,
                f"without {number}",
                spec.place,
                user.place,
                words,
                Cause.BRANCH,
                False,
                "Fork",
            )

    # Missing and extra ----------------------------------------------------------------------------

    def _missing(self, node: Missing, path: str, place: str, shape: Shape) -> None:
        spec, where = node.spec, item_place(node.spec)
        after = f"after {path}" if path else "at the beginning"
        if node.moved is not None:
            moved = item_place(node.moved)
            what = name_of(spec) if isinstance(spec, Step) else "block"
            words = f"the {what} stands {self._moved[node.moved]}, but the spec has it {after}"
            cause = Cause.BLOCK_ORDER if isinstance(spec, Fork) else Cause.ORDER
            if node in self._dropping:
                cause = Cause.DROPOUT
            same = _shape_of(spec, shape) == _shape_of(node.moved, ())
            self._add(node, "moved", where, moved, words, cause, same, "Moved")
            inner = align.pair_of(node.moved, spec)
            self._nodes((inner,), path, moved, shape, None)
            return
        if isinstance(spec, Step):
            words = f"{after}: no {name_of(spec)}"
            cause = _MISSING_CAUSES.get(align.family(spec), Cause.MISSING)
            preserving = spec.out_shape == shape and not spec.arrays
            self._add(node, "missing", where, place, words, cause, preserving, kind(spec))
        else:
            what = "further output" if isinstance(spec, Head) else "block"
            words = f"{after}: the {what} {where} is missing"
            cause = Cause.OUTPUT if isinstance(spec, Head) else Cause.MISSING_BLOCK
            self._add(node, "missing", where, place, words, cause, False, "Fork")

    def _extra(self, node: Extra, path: str, place: str, shape: Shape, last: bool) -> None:
        user, at = node.user, item_place(node.user) or place
        if node.moved:
            return
        after = f"after {path}" if path else "at the beginning"
        if isinstance(user, Tangle):
            words = f"{after}: {_tangle(user)}, which the spec does not have"
            self._add(node, "extra", path, at, words, Cause.TANGLE, False, "Fork")
            return
        if not isinstance(user, Step):
            what, cause = "a further output", Cause.OUTPUT
            if isinstance(user, Fork):
                what, cause = "a further block", Cause.EXTRA_BLOCK
                if user.join in ("product", "other"):
                    what, cause = _joined(
                        user, user.branches.index(()) if () in user.branches else 0
                    )
            words = f"{after}: {what}, which the spec does not have"
            self._add(node, "extra", path, at, words, cause, False, "Fork")
            return
        preserving = user.out_shape == shape and not user.arrays
        name, of = name_of(user), kind(user)
        if of in ("softmax", "log_softmax") and last:
            words = f"{after}: {name}, before a loss that takes logits"
            if of == "log_softmax":
                words = f"{after}: {name}, which the spec leaves to the loss"
            self._add(node, "extra", path, at, words, Cause.SOFTMAX, preserving, of)
            return
        cause = _EXTRA_CAUSES.get(align.family(user), Cause.EXTRA)
        if isinstance(user.layer, Foreign) and not (is_known(user) or is_active(user)):
            words = f"{after}: {name}, an operation that is not known here"
            self._add(node, "extra", path, at, words, Cause.UNKNOWN, preserving, of)
            return
        words = f"{after}: {_a(name)}, which the spec does not have there"
        self._add(node, "extra", path, at, words, cause, preserving, of)


def grouped(findings: Sequence[Finding], spec: Chain) -> list[Difference]:
    """The findings as a reader is told of them: what holds for all layers of a kind, in the whole
    network or in one of its parts, is one.
    """
    blocks = [place for place, _ in _rows(spec)]
    kinds = {step.place: kind(step) for step in steps(spec)} | dict.fromkeys(blocks, "Fork")
    inside: dict[tuple[str, str], set[str]] = {}  # of a kind, in a part: the paths
    for path, name in kinds.items():
        role = _role(path, blocks)
        for part in (*_parts(path), role, *([BLOCKS] if role != path else [])):
            inside.setdefault((name, part), set()).add(path)
    alike: dict[tuple[str, str, str], list[Finding]] = {}
    for each in findings:
        alike.setdefault((each.of, each.what, _plain(each)), []).append(each)
    found: list[Difference] = []
    told: set[Finding] = set()
    for each in findings:
        if each in told:
            continue
        group = [other for other in alike[each.of, each.what, _plain(each)] if other not in told]
        members, words = _everywhere(each, group, kinds, inside, blocks)
        told.update(members)
        found.append(
            Difference(
                each.path,
                each.place,
                words,
                each.cause,
                all(member.shape_preserving for member in members),
                members,
                paths=tuple(member.path for member in members),
                explanation=_explanation(each),
            )
        )
    return found


def _explanation(finding: Finding) -> str:
    """What is known of it beyond its words."""
    node = finding.node
    if isinstance(node, Extra) and isinstance(node.user, Step):
        if is_active(node.user):
            return ACTIVE
        if kind(node.user) == "log_softmax":
            return LOGARITHM
    return finding.cause.explanation


def _everywhere(
    each: Finding,
    group: Sequence[Finding],
    kinds: Mapping[str, str],
    inside: Mapping[tuple[str, str], set[str]],
    blocks: Sequence[str],
) -> tuple[tuple[Finding, ...], str]:
    """Those of a group of findings that are told together with one of them, and in which words."""
    held = {other.path for other in group}
    whole, *parts = _parts(each.path)
    role, of = _role(each.path, blocks), kinds.get(each.path, each.of)
    for part in (whole, BLOCKS, role, *parts):
        paths = inside.get((of, part), set())
        if len(paths) < ALL or not paths <= held:
            continue
        members = tuple(other for other in group if other.path in paths)
        if part == BLOCKS and len({_role(path, blocks) for path in paths}) == 1:
            continue  # told by its role
        if part == role != each.path:
            where = f"in all {len(paths)} blocks, {'after ' * (each.what == 'extra')}{role}"
            return members, f"{where}: {_inside(each, role)}"
        inner = {"": "", BLOCKS: " in the blocks"}.get(part, f" of {part}")
        where = f"all {len(paths)} {_plural(of)}{inner}"
        if each.what == "missing":
            return members, f"{where} are missing"
        return members, f"{'after ' * (each.what == 'extra')}{where}: {_plain(each)}"
    if each.what in ("missing", "extra"):
        return (each,), each.words
    # One layer object of the user's in several places.
    same = tuple(other for other in group if other.place == each.place)
    if len(same) > 1 and each.place not in ("", "net") and len({one.path for one in same}) > 1:
        *some, last = (other.path for other in same)
        return same, f"{each.place} = {', '.join(some)} and {last}: {_plain(each)}"
    return (each,), f"{each.place or 'net'} = {each.path}: {each.words}"


def _role(path: str, blocks: Sequence[str]) -> str:
    """What a layer is in its block, as in every other: branch_5x5.conv; itself outside of all."""
    around = max((each for each in blocks if path.startswith(f"{each}.")), key=len, default="")
    return path.removeprefix(f"{around}.") if around else path


def _kinds(nodes: Nodes) -> Iterator[str]:
    """The kinds of the user's layers, and what is no single layer."""
    for node in nodes:
        match node:
            case align.Pair(user=Step() as step) | Extra(user=Step() as step):
                yield kind(step)
            case ForkPair() | Around() | Extra() | Tangled():
                yield "Fork"
            case _:
                pass


def _parts(path: str) -> list[str]:
    """The whole, then every part that a layer is in, from the outside in."""
    names = path.split(".")
    return [".".join(names[:count]) for count in range(len(names))]


def _plain(finding: Finding) -> str:
    """The words of a finding without where it is."""
    if finding.what == "moved":
        return f"{finding.words.partition(' stands ')[0]} stands elsewhere"
    if finding.what in ("missing", "extra") and ": " in finding.words:
        return finding.words.partition(": ")[2]
    return finding.words


def _inside(finding: Finding, role: str) -> str:
    """The same for a layer that is as in every other block: `role` is its path in there."""
    if finding.what == "moved":
        block = finding.path.removesuffix(role)
        return finding.words.partition(", where")[0].replace(f"after {block}", "after ")
    return _plain(finding)


def _tangle(tangle: Tangle) -> str:
    """A tangle in words: how large it is, and whose results are taken in several places."""
    taken = [number for knot in tangle.knots for number in knot.inputs]
    several = [
        knot.item.place
        for number, knot in enumerate(tangle.knots, 1)
        if taken.count(number) > 1 and knot.item.place
    ]
    names = list(dict.fromkeys(several))
    where = f" (the results of {_list(names)} are used in several places)" if names else ""
    count = sum(1 for _ in steps((tangle,)))
    return f"{count} layers whose branches do not fork and join as a whole{where}"


def _list(names: Sequence[str]) -> str:
    """a, b and c; of many only the first."""
    if len(names) > LISTED:
        names = (*names[: LISTED - 1], f"{len(names) - LISTED + 1} more")
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _reach(inside: Nodes) -> str:
    """What is between the two ends of something around layers of the spec."""
    paths = [path for path in map(path_of, inside) if path]
    return "it" if len(paths) < 2 else f"{paths[0]} to {paths[-1]}"


def _joined(fork: Fork, number: int) -> tuple[str, Cause]:
    """What a sum or product does to its branch `number`, in words, and what that is a cause of."""
    others = [branch for place, branch in enumerate(fork.branches) if place != number]
    names = [name_of(step) for branch in others for step in steps(branch)]
    if fork.by is not None:
        cause = Cause.EXTRA if is_known(fork.by) else Cause.UNKNOWN
        return f"{_a(name_of(fork.by))} with other values", cause
    if fork.join == "sum":
        return ("a sum with other layers" if names else "a residual connection"), Cause.RESIDUAL
    pools = ("global average pool", "adaptive average pool", "mean")
    if any(name in names for name in pools) and "sigmoid" in names:
        return "squeeze and excitation", Cause.PRODUCT
    return f"a product with {_a(names[-1]) if names else 'itself'}", Cause.PRODUCT


def _plural(of: str) -> str:
    name = "block" if of == "Fork" else NAMES.get(of, of)
    return name if name.endswith("s") else f"{name}s"


def _a(name: str) -> str:
    if name.startswith("dropout that"):
        return name
    return f"an {name}" if name.lstrip("'")[0] in "aeiouAEIO" else f"a {name}"


def _by(pair: Pair) -> str:
    return f"{pair[0]}×{pair[1]}"


def _sides(padding: ExplicitPadding) -> str:
    """3; 1×0 for height × width; (2, 3)×(2, 3) where the two sides differ."""
    sides = [str(a) if a == b else f"({a}, {b})" for a, b in padding]
    return sides[0] if sides[0] == sides[1] else "×".join(sides)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _window(step: Step) -> str:
    found = align.attributes(step)
    kernel = found.get("kernel_size")
    return f" (its window is {_by(kernel)})" if kernel is not None else ""


def _is_half(step: Step) -> bool:
    """Whether a layer is padded by half of its kernel on every side, which keeps the size."""
    found = align.attributes(step)
    sides = zip(found["kernel_size"], found.get("padding", ()), strict=False)
    return all(side == (size // 2, size // 2) for size, side in sides)


def _is_dilated(user: Step, spec: Step) -> bool:
    """Whether a foreign layer is the spec's but for gaps in its kernel."""
    return (kind(user), kind(spec)) in (("conv", "Conv"), ("max_pool", "MaxPool"))


def _is_vector(user: Step, spec: Step) -> bool:
    """Whether dropout of whole channels is dropout: of one pixel each."""
    names = (kind(user), kind(spec))
    return names == ("spatial_dropout", "Dropout") and not any(
        size != 1 for size in user.out_shape[1:]
    )


def _is_same(node: align.Pair, padding: ExplicitPadding) -> bool:
    """Whether a padding is what SAME gives: ⌈size / stride⌉ windows, the odd one behind."""
    found = align.attributes(node.user)
    kernel, stride = found.get("kernel_size"), found.get("stride")
    if kernel is None or stride is None or max(stride) == 1:
        return False
    uneven = any(before + 1 == after for before, after in padding)
    return uneven and all(0 <= after - before <= 1 for before, after in padding)


def _width(chain: Chain) -> str:
    last = chain[-1] if chain else None
    return f" ({last.out_shape[0]} channels)" if isinstance(last, Step | Fork) else ""


def _first_place(chain: Chain) -> str:
    return block_path([step.place for step in steps(chain)])


def _order(node: ForkPair) -> str:
    """The spec's names of the branches, in the user's order."""
    names = []
    for _, other, _ in sorted(node.branches):
        where = _first_place(node.spec.branches[other])
        names.append(where.removeprefix(f"{node.spec.place}.").partition(".")[0] or "shortcut")
    return ", ".join(names)


def _rows(chain: Chain) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The channels of every block by its path."""
    for item in chain:
        if isinstance(item, Fork) and item.join == "concat":
            yield item.place, _row(item)
        if isinstance(item, Fork):
            for branch in item.branches:
                yield from _rows(branch)


def _row(fork: Fork) -> tuple[int, ...]:
    """The channels of a block's convolutions, in order."""
    return tuple(
        align.attributes(step)["out_channels"]
        for branch in fork.branches
        for step in steps(branch)
        if align.family(step) == "weighted"
    )


def _before(paths: Sequence[str], path: str) -> str:
    """The last of `paths` before `path` in the network's order, which its names keep."""
    earlier = [each for each in paths if each < path]
    return earlier[-1] if earlier else ""


def _stripped(shape: Shape) -> Shape:
    """Without axes of one element at the end: a map of one pixel is a vector."""
    while shape and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _shape_of(item: Item, given: Shape) -> Shape:
    return given if isinstance(item, Head) else item.out_shape


def _shape_after(node: Node, shape: Shape) -> Shape:
    match node:
        case align.Pair() | ForkPair():
            return node.spec.out_shape
        case Missing(spec=spec):
            return _shape_of(spec, shape)
        case Around(inside=inside):
            for each in inside:
                shape = _shape_after(each, shape)
            return shape
        case Tangled(spec=spec):
            return spec[-1].out_shape if not isinstance(spec[-1], Head) else shape
        case _:
            return shape


_KIND_CAUSES: Final = {
    "activation": Cause.ACTIVATION,
    "pool": Cause.POOL,
    "norm": Cause.NORM,
    "dropout": Cause.DROPOUT,
}
_MISSING_CAUSES: Final = {
    "activation": Cause.MISSING_ACTIVATION,
    "pool": Cause.MISSING_POOL,
    "norm": Cause.MISSING_NORM,
    "dropout": Cause.DROPOUT,
}
_EXTRA_CAUSES: Final = {
    "activation": Cause.EXTRA_ACTIVATION,
    "pool": Cause.EXTRA_POOL,
    "norm": Cause.EXTRA_NORM,
    "dropout": Cause.DROPOUT,
    "softmax": Cause.SOFTMAX,
    "log_softmax": Cause.SOFTMAX,
}
