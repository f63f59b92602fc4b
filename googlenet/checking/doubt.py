"""What may be no difference at all: it stands beside an operation that nobody knows."""

from __future__ import annotations

from ..tracing.evaluate import is_known
from ..tracing.tree import Item, Step, Tangle, steps
from .features import attributes, differing, family, is_one, kind
from .names import is_active, name_of, with_article
from .nodes import Around, Extra, ForkPair, HeadPair, Missing, Node, Nodes, Pair, Tangled, tangles
from .trials import SEEN


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
            case Around(user=user, inside=inside):
                found |= doubts(inside)
                if _is_strange(user):
                    run.append(node)
                    strange = True
                    continue
            case HeadPair(inside=inside):
                found |= doubts(inside)
            case Pair(user=user, spec=spec):
                if strange and set(differing(user, spec)) <= {"padding"}:
                    run.append(node)
        found.update(run if strange else ())
        run, strange = [], False
    return found | set(run if strange else ())


def hides(nodes: Nodes) -> str:
    """What branches that are too entangled to be compared have that no output shows: dropout,
    bounds that may not be reached, weights that are none. A sentence; empty if there is nothing.
    """
    for node in tangles(nodes):
        mine, theirs = list(steps((node.user,))), list(steps(node.spec))
        found = [step for step in mine if _is_hidden(step)]
        dropped = [
            sorted(attributes(step)["rate"] for step in every if family(step) == "dropout")
            for every in (mine, theirs)
        ]
        if found or dropped[0] != dropped[1]:
            what = _what(found[0]) if found else "other dropout than the spec"
            return (
                f"{node.user.place or 'net'} has {what} among branches that are too entangled to"
                " be compared, which outputs do not show."
            )
    return ""


def _is_hidden(step: Step) -> bool:
    """Whether a layer may do otherwise in training, or for other values, than outputs show."""
    if kind(step) == "clip":
        found = attributes(step)
        return not {found["low"], found["high"]} <= SEEN
    return bool(_untrained(step))


def _untrained(step: Step) -> list[str]:
    """The roles of a layer's weights that are no parameters by themselves."""
    return [
        role
        for role in ("weight", "bias")
        if step.origins.get(role) in ("constant", "tied", "computed")
        and not (role == "weight" and is_one(step))
    ]


def _what(step: Step) -> str:
    name = with_article(name_of(step))
    roles = _untrained(step)
    return f"{name} whose {roles[0]} is no parameter of its own" if roles else name


def _is_strange(item: Item) -> bool:
    return isinstance(item, Tangle) or any(
        not is_known(step) and not is_active(step) for step in steps((item,))
    )
