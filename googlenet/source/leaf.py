"""One layer as source, in its framework's own words."""

from __future__ import annotations

from dataclasses import replace

from ..backend.spelling import Spelling
from ..spec.layers import AdaptiveAvgPool, GlobalAvgPool
from ..spec.traversal import LeafSite
from .calls import call
from .printing import flat
from .scope import Scope
from .tree import bound


def leaf_code(site: LeafSite, spelling: Spelling) -> tuple[str, ...]:
    """The calls that make a leaf, such as `nn.Conv2d(832, 160, 1)`, each applied to the result of
    the one before; empty if the framework has no layer for it.
    """
    found = _code(site, spelling)
    if found or not isinstance(site.layer, GlobalAvgPool):
        return found
    adaptive = _code(replace(site, layer=AdaptiveAvgPool((1, 1))), spelling)
    return adaptive or _base(site, spelling)


def _base(site: LeafSite, spelling: Spelling) -> tuple[str, ...]:
    """A layer of the adapter's own as the framework's layer that it is derived from."""
    (made,) = spelling.leaf(site)
    bases: tuple[type, ...] = getattr(made.target, "__mro__", ())
    for base in bases[1:2]:
        for alias, namespace in spelling.namespaces.items():
            if vars(namespace).get(base.__name__) is base:
                return (f"{alias}.{base.__name__}()",)
    return ()


def _code(site: LeafSite, spelling: Spelling) -> tuple[str, ...]:
    scope = Scope(spelling.namespaces, spelling.modules, spelling.imports)
    own = spelling.modules.__name__
    written = tuple(
        flat(call(scope.name(use.target), use))
        for use in (bound(each, own) for each in spelling.leaf(site))
    )
    return () if scope.helpers else written
