"""The same weights in a user's model and in the spec, and where the two diverge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from ..arrays import Array, uniform
from ..errors import GoogLeNetError
from ..rounding import SAME
from ..tracing.evaluate import evaluate
from ..tracing.tree import Chain, Foreign, Fork, Head, Item, Knot, Step, Tangle, steps
from .align import aligned
from .features import is_one, is_trained
from .nodes import Around, Extra, ForkPair, HeadPair, Missing, Node, Nodes, Pair, Tangled, tangles

#: The kinds of foreign layers whose arrays are weights, and not constants of the code.
WEIGHTED: Final = ("conv", "dense", "batch_norm")


@dataclass(frozen=True)
class Divergence:
    """The first layer whose output is another: the spec's `path`, the user's `place`, and the
    relative L2 distance; None where the shapes are others. `extra` is whether the spec has no such
    layer: then `path` is the one that it follows, empty at the beginning. Unless it is `known`, the
    layer's output could not be computed.
    """

    path: str
    place: str
    error: float | None
    extra: bool = False
    known: bool = True

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole words as keys."""
        return {
            "path": self.path,
            "place": self.place,
            "error": self.error,
            "extra": self.extra,
            "known": self.known,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Divergence:
        """The inverse of `to_json`."""
        names = ("path", "place", "error", "extra", "known")
        return cls(*(values[name] for name in names))


def poured(user: Chain, nodes: Nodes) -> dict[int, Array]:
    """For each array of the user's model, by its `id`, the spec's that belongs there, as far as its
    shape fits, and else a random one. An array that several layers share receives the first's.
    """
    found: dict[int, Array] = {}
    for pair in aligned(nodes):
        for role, array in pair.user.arrays.items():
            given = pair.spec.arrays.get(role)
            if given is None and role == "weight" and is_one(pair.user):
                given = array
            if given is not None and fits(given, array):
                found.setdefault(id(array), given.reshape(array.shape))
    for tangled in tangles(nodes):
        left = [
            (role, array) for step in steps(tangled.spec) for role, array in step.arrays.items()
        ]
        for step in steps((tangled.user,)):
            for role, array in step.arrays.items():
                fitting = (each for each in left if each[0] == role and fits(each[1], array))
                if (each := next(fitting, None)) is not None and id(array) not in found:
                    left.remove(each)
                    found[id(array)] = each[1].reshape(array.shape)
    for number, step in enumerate(steps(user)):
        for role, array in step.arrays.items():
            foreign = isinstance(step.layer, Foreign) and step.layer.kind not in WEIGHTED
            written = step.origins.get(role) == "constant" and role == "bias"
            if (not foreign and not written) or is_trained(step):
                found.setdefault(id(array), _random(array, role, f"{number}.{role}"))
    return found


def fits(first: Array, second: Array) -> bool:
    """Whether two arrays have one shape, but for axes of one."""
    return [size for size in first.shape if size != 1] == [
        size for size in second.shape if size != 1
    ]


def _random(array: Array, role: str, path: str) -> Array:
    """Numbers for what the spec has no weight for: none is 0 or 1, a variance positive."""
    values = uniform(0, path)(array.size).reshape(array.shape)
    if array.ndim == 1:
        return values + 0.5 if role in ("weight", "running_var") else 0.4 * values - 0.2
    fan_in = array[0].size
    found: Array = (2 * values - 1) * np.sqrt(6 / fan_in)
    return found


def filled(chain: Chain, arrays: Mapping[int, Array]) -> tuple[Chain, dict[Item, Item]]:
    """`chain` with other arrays, by the `id` of its own, and for each item the new one."""
    twins: dict[Item, Item] = {}

    def step(item: Step) -> Step:
        own = {role: arrays.get(id(each), each) for role, each in item.arrays.items()}
        return replace(item, arrays=own)

    def fork(item: Fork) -> Fork:
        by = item.by and step(item.by)
        return replace(item, branches=tuple(map(visit, item.branches)), by=by)

    def knot(item: Knot) -> Knot:
        own = item.item
        return replace(item, item=step(own) if isinstance(own, Step) else fork(own))

    def visit(items: Chain) -> Chain:
        for item in items:
            match item:
                case Step():
                    twins[item] = step(item)
                case Fork():
                    twins[item] = fork(item)
                case Tangle(knots=knots):
                    twins[item] = replace(item, knots=tuple(map(knot, knots)))
                case Head(chain=inside):
                    twins[item] = replace(item, chain=visit(inside))
        return tuple(twins[item] for item in items)

    return visit(chain), twins


def values(chain: Chain, images: Array) -> tuple[list[Array] | None, dict[Item, Array]]:
    """The outputs of a tree in float64, None if it cannot be computed as a whole, and the results
    of its items as far as it can.
    """
    kept: dict[Item, Array] = {}
    try:
        return evaluate(chain, images, images.dtype, kept=kept), kept
    # What does not fit together, as layers of other channels, is no function at all.
    except (GoogLeNetError, ValueError, IndexError, ArithmeticError):
        return None, kept


def apart(first: Array | None, second: Array | None) -> float | None:
    """The relative L2 distance of two results, None if they are not of one size."""
    if first is None or second is None or not fits(first[0], second[0]):
        return None
    gap = float(np.linalg.norm((first.reshape(second.shape) - second).ravel()))
    norm = float(np.linalg.norm(second.ravel()))
    return 0.0 if gap == 0 else gap / norm if norm else np.inf


def are_same(first: list[Array] | None, second: list[Array]) -> bool:
    """Whether all outputs are, one by one."""
    if first is None or len(first) != len(second):
        return False
    found = [apart(one, other) for one, other in zip(first, second, strict=True)]
    return all(error is not None and error < SAME for error in found)


class Divergences:
    """Finds where a user's model first gives something else than the spec: the results of both by
    item, as far as they could be computed.
    """

    def __init__(self, user: Mapping[Item, Array], spec: Mapping[Item, Array]) -> None:
        self._user, self._spec = user, spec

    def first(self, nodes: Nodes, images: Array) -> Divergence | None:
        """The first node after which the two never agree again; None if their results agree."""
        return self._first(nodes, images, images, "", "net")

    def _first(
        self, nodes: Nodes, user: Array | None, spec: Array | None, path: str, place: str
    ) -> Divergence | None:
        """`path` and `place` are of what comes before."""
        agreed, state = -1, []
        for node in nodes:
            given = (user, spec, path, place)
            user, spec = self._after(node, user, spec)
            if not is_beside(node):
                path, place = path_of(node) or path, place_of(node) or place
            state.append((node, given, user, spec))
        heads: list[Divergence | None] = []
        for number, (node, given, mine, theirs) in enumerate(state):
            error = apart(mine, theirs)
            if error is not None and error < SAME:
                agreed = number
            if isinstance(node, HeadPair):
                heads.append(self._first(node.inside, *given))
        later = [
            (node, given, mine, theirs)
            for node, given, mine, theirs in state[agreed + 1 :]
            if not isinstance(node, HeadPair)
        ]
        if not later:
            return next((each for each in heads if each is not None), None)
        divergence = self._within(*later[0])
        first = later[0][0]
        if isinstance(first, Extra) and first.moved:  # in the place of what the spec has there
            paths = (path_of(node) for node, *_ in later[1:])
            found = next((each for each in paths if each), "")
            return replace(divergence, path=found, extra=False) if found else divergence
        return divergence

    def _after(
        self, node: Node, user: Array | None, spec: Array | None
    ) -> tuple[Array | None, Array | None]:
        """The two results after a node."""
        match node:
            case Pair() | ForkPair():
                return self._user.get(node.user), self._spec.get(node.spec)
            case Extra(user=Step() | Fork() | Tangle() as item):
                return self._user.get(item), spec
            case Missing(spec=Step() | Fork() | Tangle() as item):
                return user, self._spec.get(item)
            case Tangled():
                return self._user.get(node.user), self._spec.get(node.spec[-1])
            case Around(user=item, inside=inside):
                for each in inside:
                    _, spec = self._after(each, None, spec)
                return self._user.get(item), spec
            case _:
                return user, spec

    def _within(
        self,
        node: Node,
        given: tuple[Array | None, Array | None, str, str],
        user: Array | None,
        spec: Array | None,
    ) -> Divergence:
        """The divergence in a node, after whose input the two still agreed."""
        before, source, path, place = given
        found: Divergence | None = None
        if isinstance(node, ForkPair):
            for _, _, inside in node.branches:
                found = found or self._first(inside, before, source, path, place)
        if isinstance(node, Around):
            found = self._first(node.inside, before, source, path, place)
        if isinstance(node, Missing) and node.moved is not None:
            place = item_place(node.moved) or place
        return found or Divergence(
            path_of(node) or path,
            place_of(node) or place,
            _finite(apart(user, spec)),
            isinstance(node, Extra),
            user is not None,
        )


def _finite(error: float | None) -> float | None:
    return error if error is not None and np.isfinite(error) else None


def item_place(item: Item) -> str:
    """Where an item is; a head, where its first layer is."""
    if isinstance(item, Head):
        return next((step.place for step in steps(item.chain)), "")
    return item.place


def path_of(node: Node) -> str:
    """The spec's path of a node; empty for what the spec has not."""
    match node:
        case Pair() | ForkPair() | HeadPair() | Missing():
            return item_place(node.spec)
        case Around(inside=inside):
            return block_path(paths := [path_of(each) for each in inside]) or next(
                filter(None, paths), ""
            )
        case Tangled(spec=spec):
            return block_path(list(map(item_place, spec)))
        case _:
            return ""


def is_beside(node: Node) -> bool:
    """Whether a node is a further output, which nothing behind it follows."""
    match node:
        case HeadPair() | Missing(spec=Head()) | Extra(user=Head()):
            return True
        case _:
            return False


def place_of(node: Node) -> str:
    """The user's place of a node; empty for what the user has not."""
    return "" if isinstance(node, Missing) else item_place(node.user)


def block_path(paths: Sequence[str]) -> str:
    """The path of the layer that holds all of `paths`, or is the only one."""
    parts = [path.split(".") for path in paths if path]
    if not parts:
        return ""
    common = 0
    while all(len(each) > common for each in parts) and len({each[common] for each in parts}) == 1:
        common += 1
    return ".".join(parts[0][:common])
