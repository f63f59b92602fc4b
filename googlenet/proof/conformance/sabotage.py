"""How an adapter is sabotaged: one of its functions is replaced for a while, the spec and the
reference stay right.

What is replaced is found in the backend's module by name. `leaves.leaf`, `model.compose`,
`layout.to_native` and `layout.from_native` are there in an adapter laid out as ours are;
everything else is a function of the protocols in `googlenet.backend`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from operator import attrgetter
from types import ModuleType
from typing import Any, TypeAlias
from unittest import mock

import numpy as np

from ...arrays import Array, Params
from ...backend.protocols import Trainer
from ...reference import build as build_reference
from ...reference.network import Model
from ...spec.layers import Leaf
from ...spec.loss import Loss
from ...spec.params import ParamSpec
from ...spec.recipe import Recipe
from ...spec.shapes import leaf_shape
from ...spec.traversal import CompositeSite, LeafSite
from .case import ConformanceError

#: Says that the sabotage has come to effect.
Reach: TypeAlias = Callable[[], None]
#: What stands in the place of a function: made of the backend's module and the right one.
Wrong: TypeAlias = Callable[[ModuleType, Any, Reach], Any]
#: The `step` of a `Trainer`.
Step: TypeAlias = Callable[..., tuple[float, Array]]
#: Loss and gradients.
Gradients: TypeAlias = tuple[float, Params]
#: The outputs by name.
Outputs: TypeAlias = dict[str, Array]


@dataclass(frozen=True)
class Sabotage:
    """What is replaced, by its name in a backend's module, and what by: `with sabotage(module):`.

    Raises `ConformanceError` if the module has nothing of such a name, or if the context ends and
    nothing has called what was replaced.
    """

    wrong: Mapping[str, Wrong]
    #: What the backend must be able to do: keys of `googlenet.backend.protocols.CAPABILITIES`.
    capabilities: frozenset[str] = frozenset()

    def missing(self, module: object) -> tuple[str, ...]:
        """The names of what would be replaced and is not there."""
        return tuple(name for name in self.wrong if not _has(module, name))

    @contextmanager
    def __call__(self, module: ModuleType) -> Iterator[None]:
        """Within this context `module` is spoilt."""
        if missing := self.missing(module):
            raise ConformanceError(
                f"sabotage: replaces {', '.join(missing)}, which {module.__name__} does not have;"
                " docs/adding-a-backend.md says which layout it asks for"
            )
        reached: list[None] = []
        with ExitStack() as stack:
            for name, wrong in self.wrong.items():
                place, _, attribute = name.rpartition(".")
                holder = attrgetter(place)(module) if place else module
                instead = wrong(module, getattr(holder, attribute), lambda: reached.append(None))
                stack.enter_context(mock.patch.object(holder, attribute, instead))
            yield
        if not reached:
            verb, them = ("was", "it") if len(self.wrong) == 1 else ("were", "each")
            raise ConformanceError(
                f"sabotage: {', '.join(self.wrong)} of {module.__name__} {verb} never called for"
                f" what is spoilt; look {them} up in the module when it is called"
                " (docs/adding-a-backend.md, Mutants)"
            )


def _has(module: object, name: str) -> bool:
    try:
        attrgetter(name)(module)
    except AttributeError:
        return False
    return True


# What our adapters are made of -------------------------------------------------------------------


def leaf(path: str, change: Callable[[Any], Leaf]) -> Sabotage:
    """The adapter renders another leaf at `path`, with the same shape of its output."""
    return every_leaf(lambda site: site.path == path, change)


def every_leaf(
    at: Callable[[LeafSite], bool], change: Callable[[Any], Leaf], *, reshaped: bool = False
) -> Sabotage:
    """The adapter renders another leaf wherever `at` says so. Its output has the shape that the
    right one's has, so that adapters that count windows by their site go on, unless it is
    `reshaped`.
    """

    def make(module: ModuleType, right: Any, reach: Reach) -> Any:
        def wrong(site: LeafSite, *arguments: Any, **named: Any) -> Any:
            if at(site):
                reach()
                changed = change(site.layer)
                shape = leaf_shape(changed, site.path, site.in_shape)[1]
                kept = shape if reshaped else site.out_shape
                site = replace(site, layer=changed, out_shape=kept)
            return right(site, *arguments, **named)

        return wrong

    return Sabotage({"leaves.leaf": make})


def compose(
    path: str,
    change: Callable[[CompositeSite, dict[str, Any]], tuple[CompositeSite, dict[str, Any]]],
) -> Sabotage:
    """The adapter joins other children, or another composite, at `path`."""

    def make(module: ModuleType, right: Any, reach: Reach) -> Any:
        def wrong(
            site: CompositeSite, children: dict[str, Any], *arguments: Any, **named: Any
        ) -> Any:
            if site.path == path:
                reach()
                site, children = change(site, children)
            return right(site, children, *arguments, **named)

        return wrong

    return Sabotage({"model.compose": make})


def layout(path: str, change: Callable[[Array], Array]) -> Sabotage:
    """The adapter's layout is wrong for one array, and wrong in the same way in both directions:
    only the outputs can tell.
    """

    def make_to(module: ModuleType, right: Any, reach: Reach) -> Any:
        def wrong(spec: ParamSpec, array: Array) -> Any:
            if spec.path == path:
                reach()
                array = np.ascontiguousarray(change(array))
            return right(spec, array)

        return wrong

    def make_from(module: ModuleType, right: Any, reach: Reach) -> Any:
        def wrong(spec: ParamSpec, native: Any) -> Array:
            array: Array = right(spec, native)
            return np.ascontiguousarray(change(array)) if spec.path == path else array

        return wrong

    return Sabotage({"layout.to_native": make_to, "layout.from_native": make_from})


def lost(path: str) -> Sabotage:
    """The adapter forgets one array."""

    def make(module: ModuleType, right: Any, reach: Reach) -> Any:
        def wrong(spec: ParamSpec, array: Array) -> Any:
            if spec.path == path:
                reach()
                array = np.zeros_like(array)
            return right(spec, array)

        return wrong

    return Sabotage({"layout.to_native": make})


# What every backend is made of -------------------------------------------------------------------


def instead(
    name: str, make: Callable[[ModuleType, Any], Callable[..., Any]], *needs: str
) -> Sabotage:
    """Another function in the place of the protocol's function `name`: `make(module, right)`."""

    def wrong(module: ModuleType, right: Any, reach: Reach) -> Any:
        made = make(module, right)

        def call(*arguments: Any, **named: Any) -> Any:
            reach()
            return made(*arguments, **named)

        return call

    return Sabotage({name: wrong}, frozenset(needs))


def constant(name: str, change: Callable[[Any], Any]) -> Sabotage:
    """Another value in the place of the protocol's constant `name`."""

    def wrong(module: ModuleType, right: Any, reach: Reach) -> Any:
        reach()
        return change(right)

    return Sabotage({name: wrong})


def outputs(change: Callable[[dict[str, Array]], dict[str, Array]]) -> Sabotage:
    """The adapter names or finishes its outputs wrongly."""
    return instead(
        "forward",
        lambda module, right: lambda *args, **kwargs: change(right(*args, **kwargs)),
    )


def gradients(change: Callable[[float, Params], Gradients]) -> Sabotage:
    """The adapter returns other gradients."""
    return instead(
        "gradients",
        lambda module, right: lambda *args, **kwargs: change(*right(*args, **kwargs)),
        "gradients",
    )


def loss(change: Callable[[Loss], Loss]) -> Sabotage:
    """The adapter minimises another loss."""
    return instead(
        "gradients",
        lambda module, right: (
            lambda *args, loss, **kwargs: right(*args, loss=change(loss), **kwargs)
        ),
        "gradients",
    )


def recipe(change: Callable[[Recipe], Recipe]) -> Sabotage:
    """The adapter trains with another recipe."""
    return instead(
        "trainer",
        lambda module, right: (
            lambda model, recipe, **kwargs: right(model, change(recipe), **kwargs)
        ),
        "trainer",
    )


class _Spoilt:
    """A trainer in all but the methods that were replaced."""

    def __init__(self, trainer: Trainer, methods: Mapping[str, Callable[..., Any]]) -> None:
        self._trainer = trainer
        vars(self).update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trainer, name)


def trainer(**changes: Callable[[ModuleType, Trainer], Callable[..., Any]]) -> Sabotage:
    """The adapter's trainer has other methods: `step=change` takes `change(module, trainer)`, made
    of the right trainer.
    """

    def make(module: ModuleType, right: Any) -> Any:
        def wrong(model: Any, recipe: Recipe, **kwargs: Any) -> Any:
            made = right(model, recipe, **kwargs)
            return _Spoilt(made, {name: change(module, made) for name, change in changes.items()})

        return wrong

    return instead("trainer", make, "trainer")


def as_reference(module: ModuleType, model: Any) -> Model:
    """The reference with the weights that a model of the backend holds, in float32."""
    return build_reference(
        model.network,
        module.params_of(model),
        unbiased_running_variance=module.unbiased_running_variance,
    )
