"""Finds what is otherwise, from front to back."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Final

import numpy as np

from ..spec.layers import AdaptiveAvgPool, AvgPool, GlobalAvgPool, Scale, Shape
from ..tracing.evaluate import is_known
from ..tracing.tree import Chain, Foreign, Fork, Head, Item, Step, Tangle
from .align import aligned, pair_of
from .causes import Cause
from .differences import ORIGIN, WINDOW, Finding
from .features import attributes, differing, family, kind
from .names import is_active, name_of, with_article
from .nodes import Around, Extra, ForkPair, HeadPair, Missing, Node, Nodes, Pair, Tangled
from .phrases import (
    first_place,
    joined_otherwise,
    order_of,
    reach,
    tangle,
    width_of,
    window_of,
)
from .pour import block_path, is_beside, item_place, path_of, place_of
from .rows import other_row_of, rows_of
from .settings import told
from .sources import user_item

#: Dropout, and what may stand before or behind it all the same, also in training.
DROPPING: Final = frozenset({"Dropout", "dropout", "spatial_dropout", "alpha_dropout"})


COMMUTING: Final = frozenset({"ReLU", "Scale", "mul", "leaky_relu"})


class Finder:
    """Goes through an alignment from front to back."""

    def __init__(self, spec: Chain, input_shape: Shape) -> None:
        self._rows = dict(rows_of(spec))
        self._input_shape = input_shape
        self._seen: dict[int, str] = {}
        #: The spec's layer in which each array is, by identity.
        self._homes: dict[int, str] = {}
        #: Where what has moved stands, in words, and what has moved past a dropout.
        self._moved: dict[Item, str] = {}
        self._dropping: set[Node] = set()
        #: What the user's model has in the same branch before the node at hand, and after it.
        self._before: Step | Fork | None = None
        self._next: Step | Fork | None = None
        #: Whether a branch of a block begins, and the last layer of what leads to one instead of
        #: the block's input.
        self._begins = False
        self._fed: Step | Fork | None = None
        #: The shape of what the last pair of layers was given.
        self._given: Shape = input_shape
        self.findings: list[Finding] = []

    def find(self, nodes: Nodes) -> list[Finding]:
        """Everything that is otherwise, in the order of execution."""
        for pair in aligned(nodes):
            for array in pair.user.arrays.values():
                self._homes.setdefault(id(array), pair.spec.place)
        self._nodes(nodes, "", "", self._input_shape, None, ends=True)
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
        self,
        nodes: Nodes,
        path: str,
        place: str,
        shape: Shape,
        row: tuple[Fork, Fork] | None,
        *,
        ends: bool,
    ) -> None:
        """`path`, `place` and the spec's `shape` are those of what comes before; `ends` is whether
        an output comes after.
        """
        self._note_moves(nodes, path)
        for number, node in enumerate(nodes):
            rest = nodes[number + 1 :]
            last = ends and all(isinstance(each, Missing) for each in rest)
            following = map(user_item, rest)
            self._next = next((each for each in following if each is not None), None)
            match node:
                case Pair():
                    self._pair(node, row)
                case ForkPair():
                    self._fork(node, path, place, shape)
                case HeadPair(inside=inside):
                    before = self._before
                    self._head(node, nodes)
                    self._nodes(inside, path, place, shape, None, ends=True)
                    self._before = before
                case Missing():
                    self._missing(node, path, place, shape)
                case Extra():
                    then = next(filter(None, map(path_of, rest)), "")
                    self._extra(node, path, place, shape, last, then)
                case Tangled(user=user):
                    where, words = path_of(node), f"in its place {tangle(user)}"
                    same = user.out_shape == _shape_after(node, shape)
                    self._add(node, "tangled", where, user.place, words, Cause.TANGLE, same, "Fork")
                case Around(user=user, inside=inside):
                    where, at = path_of(node), user.place or place
                    what, cause = joined_otherwise(user, node.number)
                    words = f"{what} around {reach(inside)}, which the spec does not have"
                    self._add(node, "around", where, at, words, cause, True, "Fork")
                    self._nodes(inside, path, place, shape, row, ends=False)
            if not is_beside(node):
                path, place = path_of(node) or path, place_of(node) or place
            if isinstance(node, Pair):
                self._given = shape
            shape = _shape_after(node, shape)
            self._before = user_item(node) or self._before
            self._begins = False

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

    def _pair(self, node: Pair, row: tuple[Fork, Fork] | None) -> None:
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
            words = (
                f"{with_article(name_of(user))} where the spec has {with_article(name_of(spec))}"
            )
            known = family(user) == family(spec)
            if family(spec) == "pool":
                words += window_of(user)
            cause = _KIND_CAUSES.get(family(spec), Cause.KIND) if known else Cause.UNKNOWN
            self._add(node, "kind", path, place, words, cause, same_shape, kind(spec))
            if family(spec) != "weighted":
                return
        found = differing(user, spec)
        if "kernel_size" in found and _is_half(user) and _is_half(spec):
            # Another kernel with the padding that keeps the size: one thing, and not two.
            found.pop("padding", None)
            found = {WINDOW if what == "kernel_size" else what: found[what] for what in found}
        other_row = other_row_of(row, self._rows) if row and "out_channels" in found else ""
        for what, (mine, theirs) in found.items():
            words, cause = told(node, what, mine, theirs, other_row)
            self._add(node, what, path, place, words, cause, same_shape, kind(spec))
        for role in spec.arrays:
            if role in user.arrays:
                self._origin(node, role)

    def _origin(self, node: Pair, role: str) -> None:
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

    def _is_shared(self, node: Pair | ForkPair) -> bool:
        """Whether all weights of a layer, or of a block, are those of an earlier one; which is then
        all that is said of it.
        """
        pairs = [pair for pair in aligned((node,)) if pair.user.arrays]
        firsts = [
            self._seen.setdefault(id(array), pair.spec.place)
            for pair in pairs
            for role, array in pair.user.arrays.items()
            if pair.user.origins.get(role) != "constant"  # equal numbers, and not shared ones
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

    def _summed(self, step: Step) -> int:
        """By what a mean before `step` is multiplied, if that is its number of pixels; else 0."""
        before = self._before
        if not isinstance(step.layer, Scale) or not isinstance(before, Step):
            return 0
        pixels = prod(self._given[1:])
        match before.layer:
            case AvgPool(kernel_size=(height, width)):
                pixels = height * width
            case AdaptiveAvgPool(output_size=(1, 1)) | GlobalAvgPool():
                pass
            case _:
                return 0
        return pixels if step.layer.factor == pixels else 0

    # Forks ----------------------------------------------------------------------------------------

    def _fork(self, node: ForkPair, path: str, place: str, shape: Shape) -> None:
        user, spec = node.user, node.spec
        if self._is_shared(node):
            return
        row = (user, spec) if spec.join == "concat" else None
        before = self._before
        for _, _, inside in node.branches:
            self._before, self._begins = None, True
            self._nodes(inside, path, place, shape, row, ends=False)
        self._before = before
        if user.join != spec.join:
            how = {"sum": "adds", "concat": "concatenates"}
            words = f"{how[user.join]} its branches, where the spec {how[spec.join]} them"
            same = user.out_shape == spec.out_shape
            self._add(node, "join", spec.place, user.place, words, Cause.KIND, same, "Fork")
        numbers = [number for number, _, _ in node.branches]
        if spec.join == "concat" and numbers != sorted(numbers):
            words = (
                f"the branches in the order {order_of(node)}: the same only up to a permutation of"
                " channels"
            )
            self._add(
                node, "order", spec.place, user.place, words, Cause.BRANCH_ORDER, True, "Fork"
            )
        for number in node.more:
            channels = width_of(user.branches[number])
            words = f"a further branch{channels}, which the spec does not have"
            what = f"more {number}"
            self._add(node, what, spec.place, user.place, words, Cause.BRANCH, False, "Fork")
        for number in node.without:
            where = first_place(spec.branches[number])
            channels = width_of(spec.branches[number])
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
            inner = pair_of(node.moved, spec)
            self._nodes((inner,), path, moved, shape, None, ends=False)
            return
        if isinstance(spec, Step):
            words = f"{after}: no {name_of(spec)}"
            cause = _MISSING_CAUSES.get(family(spec), Cause.MISSING)
            preserving = spec.out_shape == shape and not spec.arrays
            self._add(node, "missing", where, place, words, cause, preserving, kind(spec))
        else:
            what = "further output" if isinstance(spec, Head) else "block"
            words = f"{after}: the {what} {where} is missing"
            cause = Cause.OUTPUT if isinstance(spec, Head) else Cause.MISSING_BLOCK
            self._add(node, "missing", where, place, words, cause, False, "Fork")

    def _extra(
        self, node: Extra, path: str, place: str, shape: Shape, last: bool, then: str
    ) -> None:
        """`then` is the path of what follows in the spec, if anything does."""
        user, at = node.user, item_place(node.user) or place
        if node.moved:
            return
        after = f"after {path}" if path else "at the beginning"
        if isinstance(user, Tangle):
            words = f"{after}: {tangle(user)}, which the spec does not have"
            self._add(node, "extra", path, at, words, Cause.TANGLE, False, "Fork")
            return
        if not isinstance(user, Step):
            what, cause = "a further output", Cause.OUTPUT
            if isinstance(user, Fork):
                what, cause = "a further block", Cause.EXTRA_BLOCK
                if user.join in ("product", "other"):
                    what, cause = joined_otherwise(
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
        homes = {self._homes.get(id(each), "") for each in user.arrays.values()} - {""}
        if homes:
            home = min(homes)
            fed = self._begins or (self._before is not None and self._before is self._fed)
            if fed:
                words = f"{then or after}: takes the result of {home}, where the spec has that of"
                words += f" {path}"
                self._fed = user
                self._add(node, "extra", then or path, at, words, Cause.INPUT, preserving, of)
            else:
                words = f"{after}: {home} is called once more, which the spec does not do"
                self._add(node, "extra", path, at, words, Cause.SHARED, preserving, of)
            return
        if (times := self._summed(user)) > 1:
            words = f"{after}: a factor of {times}, as if by the sum of the pixels for their mean"
            self._add(node, "extra", path, at, words, Cause.POOL, preserving, of)
            return
        if self._before is self._fed and family(user) in ("activation", "norm"):
            self._fed = user
        cause = _EXTRA_CAUSES.get(family(user), Cause.EXTRA)
        if isinstance(user.layer, Foreign) and not (is_known(user) or is_active(user)):
            words = f"{after}: {name}, an operation that is not known here"
            self._add(node, "extra", path, at, words, Cause.UNKNOWN, preserving, of)
            return
        words = f"{after}: {with_article(name)}, which the spec does not have there"
        self._add(node, "extra", path, at, words, cause, preserving, of)


def _kinds(nodes: Nodes) -> Iterator[str]:
    """The kinds of the user's layers, and what is no single layer."""
    for node in nodes:
        match node:
            case Pair(user=Step() as step) | Extra(user=Step() as step):
                yield kind(step)
            case ForkPair() | HeadPair() | Around() | Extra() | Tangled():
                yield "Fork"
            case _:
                pass


def _is_half(step: Step) -> bool:
    """Whether a layer is padded by half of its kernel on every side, which keeps the size."""
    found = attributes(step)
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


def _stripped(shape: Shape) -> Shape:
    """Without axes of one element at the end: a map of one pixel is a vector."""
    while shape and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _shape_of(item: Item, given: Shape) -> Shape:
    return given if isinstance(item, Head) else item.out_shape


def _shape_after(node: Node, shape: Shape) -> Shape:
    match node:
        case Pair() | ForkPair():
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
