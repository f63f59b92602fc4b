"""Whether a user's model is a network of the spec, where not, how and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Final

import numpy as np

from ..architectures import NETWORKS, as_network
from ..arrays import Array
from ..errors import GoogLeNetError, ShapeError
from ..spec.layers import Network
from ..spec.params import param_specs
from ..tracing.evaluate import is_known
from ..tracing.tree import Chain, flat, steps
from ..weights.samples import random_images, random_params
from .align import align, aligned, cost
from .causes import Cause
from .differences import Difference, Finding, Key
from .doubt import doubts, hides
from .features import is_trained
from .finder import Finder
from .grouping import grouped
from .mend import mended
from .names import is_active, name_of
from .nodes import Nodes
from .pour import Divergences, are_same, filled, fits, poured, values
from .report import DIFFERENT, SAME, UNCLEAR, Check
from .specified import specified
from .trials import apart, is_idle, is_unseen, nodes_of

#: How many signed images both are computed on.
BATCH: Final = 2
_BLIND: Final = (
    "With random weights an output of this network is one and the same for all images, so that it"
    " tells nothing about the layers before it."
)
#: How much lower the biases of channels are that are to be negative nearly everywhere.
LOW: Final = 2.0
#: From this share of the spec's weight on a model is another network, and not one with mistakes.
STRANGE: Final = 0.6
#: What leaves it open whether the model is the same function.
OPEN: Final = frozenset({Cause.UNKNOWN, Cause.COMPUTED, Cause.TANGLE})


class Checked:
    """One model beside one network, with random weights; `low` if half of the channels of each
    layer are to be negative nearly everywhere.
    """

    def __init__(self, tree: Chain, network: Network, seed: int, *, low: bool = False) -> None:
        self.network, self._seed, self._low = network, seed, low
        self._tree = tree = flat(tree)
        params = random_params(network, seed)
        if low:
            params = {path: _lowered(path, array) for path, array in params.items()}
        params = {path: _signed(path, array) for path, array in params.items()}
        self._spec = flat(specified(network, params))
        self._images = random_images(network, seed=seed + 1, batch=BATCH).astype(np.float64)
        self._right, self._kept = values(self._spec, self._images)
        if self._right is None:
            raise ShapeError(f"network '{network.name}': cannot be computed in float64")
        self.nodes: Nodes
        self._share, self.nodes = align(tree, self._spec)
        self._arrays = poured(tree, self.nodes)

    def check(self, framework: str) -> Check:
        """Everything but what other sizes say. What is written otherwise may be the same function
        of these weights alone, as zeros around a map that has a larger number in each window: it
        is tried with others, too.
        """
        found = self._check(framework)
        if not found.mentions or self._low:
            return found
        other = Checked(self._tree, self.network, self._seed + 2, low=True)._check(framework)
        if found.verdict == SAME:
            return other if other.verdict == DIFFERENT else found
        wrong = {each.key for each in other.differences} & {each.key for each in found.mentions}
        return self._check(framework, wrong) if wrong else found

    def _check(self, framework: str, wrong_too: Collection[Key] = ()) -> Check:
        """`wrong_too` are differences that other weights have shown not to be harmless."""
        network, right = self.network, self._right
        assert right is not None
        user, twins = filled(self._tree, self._arrays)
        outputs, kept = values(user, self._images)
        findings = Finder(self._spec, network.input_shape).find(self.nodes)
        differences = grouped(findings, self._spec)
        unknown = [step for step in steps(self._tree) if not is_known(step) and not is_active(step)]
        same = are_same(outputs, right)
        mine = {old: kept[new] for old, new in twins.items() if new in kept}
        first = None
        if not same:
            first = Divergences(mine, self._kept).first(self.nodes, self._images)
        wrong: list[Difference] = []
        mentions = differences
        if not same or any(is_unseen(each) and not is_idle(each) for each in differences):
            wrong, mentions = apart(
                differences, partial(self._is_the_same_with, findings), wrong_too
            )
        proved = (same and not wrong) or self._is_the_same_with(findings, mentions)
        verdict = SAME if same and not wrong else DIFFERENT
        reason = ""
        doubtful = doubts(self.nodes)
        if wrong and all(
            each.cause in OPEN or all(one in doubtful for one in nodes_of(each)) for each in wrong
        ):
            verdict = UNCLEAR
        if verdict == SAME and (hidden := hides(self.nodes)):
            verdict, reason = UNCLEAR, hidden
        if verdict == SAME and not _shows(right):
            verdict, reason = UNCLEAR, _BLIND
        if unknown:
            places: dict[str, list[str]] = {}
            for step in unknown:
                places.setdefault(name_of(step), []).append(step.place)
            names = [
                f"{name} in {where[0]}{f' and {len(where) - 1} more' if len(where) > 1 else ''}"
                for name, where in places.items()
            ]
            reason = f"What these do is not known here: {', '.join(names)}."
        if verdict == DIFFERENT and (other := self._looks_like()):
            reason = other
        return Check(
            framework,
            network.name,
            network.input_shape,
            verdict,
            tuple(wrong),
            tuple(mentions),
            first,
            (_parameters(self._tree), _parameters(self._spec)),
            proved,
            reason=reason,
        )

    def share_of(self, tree: Chain) -> float:
        """How far a model's layers are from the network's, as a share of all of those."""
        return cost(flat(tree), self._spec)

    def own(self, images: Array) -> list[Array] | None:
        """The spec's outputs for `images`, in their dtype, with the weights that the model has
        itself; None where it lacks some of them.
        """
        own: dict[int, Array] = {}
        for pair in aligned(self.nodes):
            for role, array in pair.spec.arrays.items():
                given = pair.user.arrays.get(role)
                if given is not None and fits(given, array):
                    own[id(array)] = given.reshape(array.shape)
        spec = list(steps(self._spec))
        if any(id(array) not in own for step in spec for array in step.arrays.values()):
            return None
        return values(filled(self._spec, own)[0], images)[0]

    def _mended(self, findings: Sequence[Finding]) -> list[Array] | None:
        try:
            return values(mended(self.nodes, findings, self._arrays), self._images)[0]
        except GoogLeNetError:  # a layer that the spec does not allow
            return None

    def _is_the_same_with(
        self, findings: Sequence[Finding], differences: Sequence[Difference]
    ) -> bool:
        """Whether it is the spec's function with `differences` left, and all else set right."""
        left = {(one.node, one.what) for each in differences for one in each.findings}
        rest = [one for one in findings if (one.node, one.what) not in left]
        assert self._right is not None
        return are_same(self._mended(rest), self._right)

    def _looks_like(self) -> str:
        """What a model that is hardly the network looks like."""
        own = self._share
        if own < STRANGE:
            return ""
        shares: dict[str, float] = {}
        for name in NETWORKS:
            try:
                other = as_network(name, input_shape=self.network.input_shape)
                arrays = {
                    path: np.broadcast_to(np.float32(0), spec.shape)
                    for path, spec in param_specs(other).items()
                }
                tree = flat(specified(other, arrays))
            except GoogLeNetError:
                continue
            shares[name] = cost(self._tree, tree)
        nearest = min(shares, key=shares.__getitem__, default="")
        if nearest and shares[nearest] < min(own, STRANGE):
            return f"It looks more like '{nearest}': check it against that."
        return f"It does not look like '{self.network.name}', or like any other network here."


def _signed(path: str, array: Array) -> Array:
    """A factor of a batch norm, every third negative: those turn the order of numbers round."""
    if path.rpartition(".")[2] != "weight" or array.ndim != 1:
        return array
    signed: Array = array * np.where(np.arange(array.size) % 3 == 1, -1, 1).astype(np.float32)
    return signed


def _lowered(path: str, array: Array) -> Array:
    """A bias, but for every other channel far lower: results are of the order of 1."""
    if path.rpartition(".")[2] != "bias" or array.ndim != 1:
        return array
    lowered: Array = array - np.float32(LOW) * (np.arange(array.size) % 2).astype(np.float32)
    return lowered


def _shows(outputs: Sequence[Array]) -> bool:
    """Whether each output depends on the images: else it shows nothing about the layers."""
    return all(len(np.unique(each, axis=0)) > 1 for each in outputs)


def _parameters(chain: Chain) -> int:
    """The trainable numbers of a tree; a shared array counts once."""
    arrays = {
        id(array): array.size
        for step in steps(chain)
        for role, array in step.arrays.items()
        if (role in ("weight", "bias") and step.origins.get(role) != "constant")
        or step.origins.get(role) == "weight"
        or is_trained(step)
    }
    return sum(arrays.values())
