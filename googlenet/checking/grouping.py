"""What is otherwise, as a reader is told: what holds for all layers of a kind is said once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ..tracing.tree import Chain, Step, steps
from .causes import ACTIVE, LOGARITHM, Cause
from .differences import Difference, Finding
from .features import kind
from .names import is_active, plural
from .nodes import Extra, Pair
from .rows import rows_of
from .together import together

#: All blocks together, as a part of the network; no path is written so.
BLOCKS: Final = "in the blocks"


#: The kinds of pools that give a maximum.
MAXIMA: Final = ("MaxPool", "max_pool", "adaptive_max_pool")
#: At least so many layers make "all".
ALL: Final = 3


def grouped(findings: Sequence[Finding], spec: Chain) -> list[Difference]:
    """The findings as a reader is told of them: what holds for all layers of a kind, in the whole
    network or in one of its parts, is one.
    """
    blocks = [place for place, _ in rows_of(spec)]
    kinds = {step.place: kind(step) for step in steps(spec)} | dict.fromkeys(blocks, "Fork")
    inside: dict[tuple[str, str], set[str]] = {}  # of a kind, in a part: the paths
    for path, name in kinds.items():
        role = _role(path, blocks)
        for part in (*_parts(path), role, *([BLOCKS] if role != path else [])):
            inside.setdefault((name, part), set()).add(path)
    findings, apart = together(findings)
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
        every = tuple(one for each in members for one in (each, *apart.get(each, ())))
        found.append(
            Difference(
                each.path,
                each.place,
                words,
                each.cause,
                all(member.shape_preserving for member in members),
                every,
                paths=tuple(member.path for member in members),
                explanation=_explanation(each),
            )
        )
    return found


def _explanation(finding: Finding) -> str:
    """What is known of it beyond its words."""
    node = finding.node
    if isinstance(node, Extra) and isinstance(node.user, Step):
        if finding.cause is Cause.POOL:
            return ""
        if is_active(node.user):
            return ACTIVE
        if kind(node.user) == "log_softmax":
            return LOGARITHM
    if isinstance(node, Pair) and is_active(node.user):
        return ACTIVE
    if isinstance(node, Pair) and finding.what == "bias" and "bias" not in node.spec.arrays:
        return ""  # one too many, which no default explains
    if isinstance(node, Pair) and finding.cause is Cause.POOL:
        one, other = (kind(each) in MAXIMA for each in (node.user, node.spec))
        return finding.cause.explanation if one != other else ""
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
        where = f"all {len(paths)} {plural(of)}{inner}"
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
        return finding.words.partition(", but the spec")[0].replace(f"after {block}", "after ")
    return _plain(finding)
