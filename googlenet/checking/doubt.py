"""What may be no difference at all: it stands beside an operation that nobody knows."""

from __future__ import annotations

from ..tracing.evaluate import is_known
from ..tracing.tree import Item, Tangle, steps
from .features import differing
from .names import is_active
from .nodes import Around, Extra, ForkPair, HeadPair, Missing, Node, Nodes, Pair, Tangled


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
            case Pair(user=user, spec=spec):
                if strange and set(differing(user, spec)) <= {"padding"}:
                    run.append(node)
        found.update(run if strange else ())
        run, strange = [], False
    return found | set(run if strange else ())


def _is_strange(item: Item) -> bool:
    return isinstance(item, Tangle) or any(
        not is_known(step) and not is_active(step) for step in steps((item,))
    )
