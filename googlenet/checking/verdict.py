"""What a check finds: whether a user's model is a network of the spec, where not, how and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Final

import numpy as np

from ..architectures import NETWORKS, as_network
from ..arrays import Array
from ..errors import GoogLeNetError, ShapeError
from ..spec.layers import Network, Shape
from ..spec.params import param_specs
from ..tracing.evaluate import is_known
from ..tracing.tree import Chain, Item, Step, steps
from ..weights.samples import random_images, random_params
from .align import align, aligned, cost
from .causes import Cause
from .differences import Difference, Finding
from .doubt import doubts
from .features import attributes, is_trained
from .finder import Finder
from .grouping import grouped
from .mend import mended
from .names import is_active, name_of
from .nodes import Extra, Missing, Node, Nodes
from .pour import Divergence, Divergences, are_same, filled, fits, poured, values
from .specified import specified

#: How many signed images both are computed on.
BATCH: Final = 2
#: The verdicts: the same function, another one, or one that could not be determined.
SAME, DIFFERENT, UNCLEAR = "same", "different", "unclear"
#: The columns of what a line of code is: yours, spec, write.
LABEL: Final = 7
#: At another size: the model cannot be run there.
FAILS: Final = "fails"
#: From this share of the spec's weight on a model is another network, and not one with mistakes.
STRANGE: Final = 0.6
#: How many of the differences are tried alone: each takes a pass through the network.
TRIED: Final = 8
#: What outputs in evaluation cannot show, or not with the weights that are poured.
UNSEEN: Final = frozenset(
    {Cause.DROPOUT, Cause.SHARED, Cause.FIXED, Cause.TIED, Cause.COMPUTED, Cause.ACTIVATION}
)
#: What leaves it open whether the model is the same function.
OPEN: Final = frozenset({Cause.UNKNOWN, Cause.COMPUTED, Cause.TANGLE})
#: What may be written otherwise and still be the same function at some size.
PERHAPS: Final = frozenset(
    {
        Cause.PADDING,
        Cause.SAME_PADDING,
        Cause.CEIL,
        Cause.COUNTED,
        Cause.POOL,
        Cause.KIND,
        Cause.ORDER,
        Cause.KERNEL,
        Cause.STRIDE,
        Cause.EXTRA_ACTIVATION,
        Cause.EXTRA_POOL,
        Cause.EXTRA,
        Cause.MISSING,
        Cause.MISSING_POOL,
        Cause.MISSING_ACTIVATION,
        Cause.WEIGHT_NORM,
    }
)


@dataclass(frozen=True)
class Passage:
    """A line of the report: further lines, if it is wrapped, begin `hanging` columns from the left;
    `code` is taken as it is.
    """

    text: str
    hanging: int = 0
    code: bool = False


@dataclass(frozen=True)
class Check:
    """What is known of a model: the `verdict`, "same", "different" or "unclear".

    `differences` are in the order of execution, `mentions` what is written otherwise and is the
    same function at this size. `first_divergence` is the first layer whose output is another.
    `parameters` are (the model's, the spec's) trainable numbers. `proved` is whether the verdict
    is: "same" by the outputs in float64, "different" by the model with the differences set right,
    which is then the spec's function. `sizes` has the verdict at other input shapes where it
    depends on that. `reason` says why it is unclear, or what the model looks like.

    It is true if the model is the same, and shows its report in an assertion.
    """

    framework: str
    against: str
    input_shape: Shape
    verdict: str
    differences: tuple[Difference, ...] = ()
    mentions: tuple[Difference, ...] = ()
    first_divergence: Divergence | None = None
    parameters: tuple[int, int] = (0, 0)
    proved: bool = False
    sizes: Mapping[Shape, str] = field(default_factory=dict)
    reason: str = ""

    def __bool__(self) -> bool:
        return self.verdict == SAME

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        return f"<Check: {self}>"

    @property
    def passed(self) -> bool:
        """Whether the model is the same function."""
        return bool(self)

    def lines(self) -> list[str]:
        """The report as lines of plain text."""
        return [each.text for each in self.passages()]

    def passages(self) -> list[Passage]:
        """The report, with what a terminal needs to wrap it."""
        height, width = self.input_shape[1:]
        size = f"{self.input_shape[0]}×{height}×{width}"
        found = [Passage(f"{_VERDICTS[self.verdict]} {self.against} at {size}.")]
        if self.reason:
            found.append(Passage(self.reason))
        explained = set()
        for each, following in zip_longest(self.differences, self.differences[1:]):
            found.append(Passage(f"- {each.words}", 2))
            if each.explanation and each.explanation not in explained:
                found.append(Passage(f"  {each.explanation}", 2))
                explained.add(each.explanation)
            if following is None or following.rows() != each.rows():  # two things in one line
                found += _side_by_side(each)
        if self.first_divergence is not None:
            found.append(Passage(_divergence_line(self.first_divergence)))
        if self.mentions:
            unused = [each for each in self.mentions if each.cause is Cause.UNUSED]
            for title, told in (
                (_WRITTEN, [each for each in self.mentions if each not in unused]),
                (_UNUSED, unused),
            ):
                found += [Passage(title)] if told else []
                found += [Passage(f"- {each.words}", 2) for each in told]
        for shape, verdict in self.sizes.items():
            size = "×".join(map(str, shape))
            found.append(Passage(f"At {size} it {_AT[verdict]}."))
        mine, theirs = self.parameters
        if mine:
            more = "" if mine == theirs else f"; the spec has {theirs:,}"
            found.append(Passage(f"{mine:,} parameters{more}."))
        if self.verdict == DIFFERENT:
            found.append(Passage(_PROVED if self.proved else _MORE))
        return found

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole words as keys."""
        first = self.first_divergence
        return {
            "framework": self.framework,
            "against": self.against,
            "input_shape": list(self.input_shape),
            "verdict": self.verdict,
            "differences": [each.to_json() for each in self.differences],
            "mentions": [each.to_json() for each in self.mentions],
            "first_divergence": None if first is None else first.to_json(),
            "parameters": {"model": self.parameters[0], "spec": self.parameters[1]},
            "proved": self.proved,
            "sizes": [
                {"input_shape": list(shape), "verdict": verdict}
                for shape, verdict in self.sizes.items()
            ],
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Check:
        """The inverse of `to_json`, without the findings of its differences."""
        first, counts = values["first_divergence"], values["parameters"]
        return cls(
            values["framework"],
            values["against"],
            tuple(values["input_shape"]),
            values["verdict"],
            tuple(map(Difference.from_json, values["differences"])),
            tuple(map(Difference.from_json, values["mentions"])),
            None if first is None else Divergence.from_json(first),
            (counts["model"], counts["spec"]),
            values["proved"],
            {tuple(each["input_shape"]): each["verdict"] for each in values["sizes"]},
            values["reason"],
        )


_VERDICTS: Final = {
    SAME: "The same function as",
    DIFFERENT: "A different function from",
    UNCLEAR: "Unclear whether this is the same function as",
}
_AT: Final = {
    SAME: "is the same function",
    DIFFERENT: "is a different function",
    UNCLEAR: "is unclear",
    FAILS: "cannot be run or captured",
}
_WRITTEN: Final = "Written differently, but the same function at this size:"
_UNUSED: Final = "Made, but never used:"
_PROVED: Final = "With these differences removed, it is the spec's function (proved in float64)."
_MORE: Final = (
    "With these differences removed, it is still a different function: something else is wrong,"
    " too."
)


def _side_by_side(difference: Difference) -> Iterator[Passage]:
    """The user's line, the spec's layer, the code to write."""
    for label, text in difference.rows():
        start = f"  {label:{LABEL}}"
        yield Passage(f"{start}{text}", len(start), code=True)
    if difference.advice:
        yield Passage(f"  {difference.advice}", 2)


def _divergence_line(first: Divergence) -> str:
    error = (
        f"relative L2 distance {first.error:.2g}" if first.error is not None else "another shape"
    )
    if not first.known:
        error = "what it gives cannot be computed here"
    where = f"{first.place} = {first.path}"
    if first.extra:
        where = f"{first.place}, {f'after {first.path}' if first.path else 'at the beginning'}"
    return f"The first output that differs: {where} ({error})."


class Checked:
    """One model beside one network."""

    def __init__(self, tree: Chain, network: Network, seed: int) -> None:
        self.network, self._tree = network, tree
        params = random_params(network, seed)
        self._spec = specified(network, params)
        self._images = random_images(network, seed=seed + 1, batch=BATCH).astype(np.float64)
        self._right, self._kept = values(self._spec, self._images)
        if self._right is None:
            raise ShapeError(f"network '{network.name}': cannot be computed in float64")
        self.nodes: Nodes
        self._share, self.nodes = align(tree, self._spec)
        self._arrays = poured(tree, self.nodes)

    def check(self, framework: str) -> Check:
        """Everything but what other sizes say."""
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
        if not same or any(_is_unseen(each) and not _is_idle(each) for each in differences):
            wrong, mentions = self._told(differences, findings)
        proved = same and not wrong
        if not proved:
            proved = are_same(self._mended(findings), right)
        verdict = SAME if same and not wrong else DIFFERENT
        reason = ""
        doubtful = doubts(self.nodes)
        if wrong and all(
            each.cause in OPEN or all(one in doubtful for one in _nodes(each)) for each in wrong
        ):
            verdict = UNCLEAR
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
        return cost(tree, self._spec)

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

    def _told(
        self, differences: Sequence[Difference], findings: Sequence[Finding]
    ) -> tuple[list[Difference], list[Difference]]:
        """What makes it another function, and what alone would not: all else is set right and that
        is left.
        """
        wrong: list[Difference] = []
        mentions: list[Difference] = []
        tried = 0
        assert self._right is not None
        for each in differences:
            if _is_idle(each):
                mentions.append(each)
                continue
            if each.cause not in PERHAPS or _is_unseen(each) or tried == TRIED:
                wrong.append(each)
                continue
            tried += 1
            rest = [finding for finding in findings if finding not in each.findings]
            (mentions if are_same(self._mended(rest), self._right) else wrong).append(each)
        if not wrong:  # none of them alone makes it another function, but all together
            return list(differences), []
        return wrong, mentions

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
                tree = specified(other, arrays)
            except GoogLeNetError:
                continue
            shares[name] = cost(self._tree, tree)
        nearest = min(shares, key=shares.__getitem__, default="")
        if nearest and shares[nearest] < min(own, STRANGE):
            return f"It looks more like '{nearest}': check it against that."
        return f"It does not look like '{self.network.name}', or like any other network here."


def _is_unseen(difference: Difference) -> bool:
    """Whether it is another function whatever the outputs are: a bound may just not be reached."""
    bounded = any(finding.of == "clip" for finding in difference.findings)
    return difference.cause in UNSEEN or bounded


def _is_idle(difference: Difference) -> bool:
    """Whether it is about dropout too much, or missing, that drops nothing in training either."""
    items: list[Item] = []
    for node in _nodes(difference):
        match node:
            case Extra(user=item) | Missing(spec=item, moved=None):
                items.append(item)
            case _:
                return False
    return bool(items) and all(
        isinstance(item, Step) and attributes(item).get("rate") == 0 for item in items
    )


def _nodes(difference: Difference) -> list[Node]:
    return [finding.node for finding in difference.findings]


def _parameters(chain: Chain) -> int:
    """The trainable numbers of a tree; a shared array counts once."""
    arrays = {
        id(array): array.size
        for step in steps(chain)
        for role, array in step.arrays.items()
        if (role in ("weight", "bias") and step.origins.get(role) != "constant") or is_trained(step)
    }
    return sum(arrays.values())
