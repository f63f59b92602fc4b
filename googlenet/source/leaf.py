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
    the one before; of `own_layers`, if the framework has no layer for it.
    """
    calls, helpers = _code(site, spelling)
    if not helpers or not isinstance(site.layer, GlobalAvgPool):
        return calls
    adaptive, helpers = _code(replace(site, layer=AdaptiveAvgPool((1, 1))), spelling)
    return _base(site, spelling) if helpers else adaptive


def own_layers(site: LeafSite, spelling: Spelling) -> tuple[str, ...]:
    """The names of the classes in `leaf_code` that the framework lacks, and that `code` prints."""
    return () if isinstance(site.layer, GlobalAvgPool) else _code(site, spelling)[1]


def _base(site: LeafSite, spelling: Spelling) -> tuple[str, ...]:
    """A layer of the adapter's own as the framework's layer that it is derived from."""
    (made,) = spelling.leaf(site)
    bases: tuple[type, ...] = getattr(made.target, "__mro__", ())
    for base in bases[1:2]:
        for alias, namespace in spelling.namespaces.items():
            if vars(namespace).get(base.__name__) is base:
                return (f"{alias}.{base.__name__}()",)
    return ()


def _code(site: LeafSite, spelling: Spelling) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The calls, and the names of those that are no layers of the framework."""
    scope = Scope(spelling.namespaces, spelling.modules, spelling.imports)
    own = spelling.modules.__name__
    used = [bound(each, own, spelling.context) for each in spelling.leaf(site)]
    calls = tuple(flat(call(scope.name(use.target), use)) for use in used)
    helpers = tuple(scope.name(use.target) for use in used if use.target.__module__ == own)
    return calls, helpers if scope.helpers else ()
