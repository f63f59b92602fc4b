"""Sabotaged adapters: each must be rejected, and the report must name the layer that was broken.

A mutant changes one thing inside an adapter laid out as ours are (`leaves.leaf`, `model.compose`,
`layout.to_native`, `layout.from_native`), or in one of its protocol functions; the spec and the
reference stay right. Among them are the bugs that published GoogLeNets shipped. A changed leaf
keeps its site's shapes, so an adapter that uses `window_count(site)` must also use the leaf's own
fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from types import ModuleType
from typing import Any, TypeAlias
from unittest import mock

import numpy as np

from ...arrays import Array
from ...backend.protocols import Backend, Trainer
from ...spec.layers import AvgPool, Concat, Conv, Leaf, MaxPool, Residual, Scale
from ...spec.loss import Loss
from ...spec.params import ParamSpec
from ...spec.recipe import Recipe
from ...spec.traversal import CompositeSite, LeafSite
from ..parity.compare import Yardsticks, compare, measure
from ..parity.problem import Problem, random_problem
from ..parity.rows import Comparison
from .networks import probe

#: What breaks a backend's module for as long as its context is entered.
Sabotage: TypeAlias = Callable[[ModuleType], AbstractContextManager[object]]
#: The `step` of a `Trainer`.
Step: TypeAlias = Callable[..., tuple[float, Array]]


@dataclass(frozen=True)
class Mutant:
    """A sabotage, and the start of the path that the report must name: `divergence` is "what of
    path".
    """

    name: str
    divergence: str
    sabotage: Sabotage

    def __str__(self) -> str:
        return self.name

    def compare(self, backend: Backend) -> Comparison:
        """The proof on a sabotaged `backend`, which must fail; the backend is restored afterwards.
        Raises `TypeError` for a backend that is not a module.
        """
        if not isinstance(backend, ModuleType):
            raise TypeError(f"backend: only a module can be sabotaged, got {backend!r}")
        with self.sabotage(backend):
            return compare(backend, _problem(), _yardsticks())


def _problem() -> Problem:
    return random_problem(probe(), loss=Loss(label_smoothing=0.1))


@cache
def _yardsticks() -> Yardsticks:
    return measure(_problem(), train_steps=3)


def honest(backend: Backend) -> Comparison:
    """The same proof without sabotage, which must pass."""
    return Mutant("honest", "", lambda module: nullcontext()).compare(backend)


def _leaf(path: str, change: Callable[[Any], Leaf]) -> Sabotage:
    """The adapter renders another leaf at `path`."""

    def sabotage(module: ModuleType) -> AbstractContextManager[object]:
        place: ModuleType = module.leaves
        right = place.leaf

        def wrong(site: LeafSite) -> Any:
            return right(replace(site, layer=change(site.layer)) if site.path == path else site)

        return mock.patch.object(place, "leaf", wrong)

    return sabotage


def _compose(
    path: str,
    change: Callable[[CompositeSite, dict[str, Any]], tuple[CompositeSite, dict[str, Any]]],
) -> Sabotage:
    """The adapter joins other children, or another composite, at `path`."""

    def sabotage(module: ModuleType) -> AbstractContextManager[object]:
        place: ModuleType = module.model
        right = place.compose

        def wrong(site: CompositeSite, children: dict[str, Any]) -> Any:
            return right(*change(site, children)) if site.path == path else right(site, children)

        return mock.patch.object(place, "compose", wrong)

    return sabotage


def _layout(path: str, change: Callable[[Array], Array]) -> Sabotage:
    """The adapter's layout is wrong for one array, and wrong in the same way in both directions:
    only the outputs can tell.
    """

    @contextmanager
    def sabotage(module: ModuleType) -> Iterator[None]:
        to_native, from_native = module.layout.to_native, module.layout.from_native

        def wrong_to(spec: ParamSpec, array: Array) -> Any:
            return to_native(
                spec, np.ascontiguousarray(change(array)) if spec.path == path else array
            )

        def wrong_from(spec: ParamSpec, native: Any) -> Array:
            array: Array = from_native(spec, native)
            return np.ascontiguousarray(change(array)) if spec.path == path else array

        with (
            mock.patch.object(module.layout, "to_native", wrong_to),
            mock.patch.object(module.layout, "from_native", wrong_from),
        ):
            yield

    return sabotage


def _lost(path: str) -> Sabotage:
    """The adapter forgets one array."""

    def sabotage(module: ModuleType) -> AbstractContextManager[object]:
        right = module.layout.to_native
        return mock.patch.object(
            module.layout,
            "to_native",
            lambda spec, array: right(spec, np.zeros_like(array) if spec.path == path else array),
        )

    return sabotage


def _outputs(change: Callable[[dict[str, Array]], dict[str, Array]]) -> Sabotage:
    """The adapter names or finishes its outputs wrongly."""

    def sabotage(module: ModuleType) -> AbstractContextManager[object]:
        right = module.forward
        return mock.patch.object(
            module, "forward", lambda *args, **kwargs: change(right(*args, **kwargs))
        )

    return sabotage


def _gradients(
    change: Callable[[float, dict[str, Array]], tuple[float, dict[str, Array]]],
) -> Sabotage:
    """The adapter returns other gradients."""

    def sabotage(module: ModuleType) -> AbstractContextManager[object]:
        right = module.gradients
        return mock.patch.object(
            module, "gradients", lambda *args, **kwargs: change(*right(*args, **kwargs))
        )

    return sabotage


def _loss(change: Callable[[Loss], Loss]) -> Sabotage:
    """The adapter minimises another loss."""

    def sabotage(module: ModuleType) -> AbstractContextManager[object]:
        right = module.gradients
        return mock.patch.object(
            module,
            "gradients",
            lambda *args, loss, **kwargs: right(*args, loss=change(loss), **kwargs),
        )

    return sabotage


def _recipe(change: Callable[[Recipe], Recipe]) -> Sabotage:
    """The adapter trains with another recipe."""

    def sabotage(module: ModuleType) -> AbstractContextManager[object]:
        right = module.trainer
        return mock.patch.object(
            module,
            "trainer",
            lambda model, recipe, **kwargs: right(model, change(recipe), **kwargs),
        )

    return sabotage


def _trainer(change: Callable[[Trainer], Step]) -> Sabotage:
    """The adapter's trainer takes different steps: `change` replaces its `step`."""

    def sabotage(module: ModuleType) -> AbstractContextManager[object]:
        right = module.trainer

        def wrong(model: Any, recipe: Recipe, **kwargs: Any) -> Any:
            trainer = right(model, recipe, **kwargs)
            trainer.step = change(trainer)
            return trainer

        return mock.patch.object(module, "trainer", wrong)

    return sabotage


def _first_rate(trainer: Trainer) -> Step:
    right, rates = trainer.step, list[float]()

    def step(
        images: Array, labels: Array, *, learning_rate: float, **kwargs: Any
    ) -> tuple[float, Array]:
        rates.append(learning_rate)
        return right(images, labels, learning_rate=rates[0], **kwargs)

    return step


def _velocity_with_rate(trainer: Trainer) -> Step:
    """v includes the rate of each step, as in Keras and MXNet: a different function as soon as the
    rate changes.
    """
    right, rates = trainer.step, list[float]()

    def step(
        images: Array, labels: Array, *, learning_rate: float, **kwargs: Any
    ) -> tuple[float, Array]:
        rates.append(learning_rate)
        if len(rates) > 1:
            share = np.float32(rates[-2] / rates[-1])
            trainer.restore(
                {path: share * array for path, array in trainer.velocity().items()},
                learning_rate=learning_rate,
            )
        return right(images, labels, learning_rate=learning_rate, **kwargs)

    return step


def _summed(trainer: Trainer) -> Step:
    right = trainer.step
    return lambda images, labels, *, learning_rate, **kwargs: right(
        images, labels, learning_rate=learning_rate * len(images), **kwargs
    )


def _variance_convention(module: ModuleType) -> AbstractContextManager[object]:
    return mock.patch.object(
        module, "unbiased_running_variance", not module.unbiased_running_variance
    )


def _swap_aux(outputs: dict[str, Array]) -> dict[str, Array]:
    return {**outputs, "aux1": outputs["aux2"], "aux2": outputs["aux1"]}


def _softmax(outputs: dict[str, Array]) -> dict[str, Array]:
    powers = np.exp(outputs["logits"])
    return {**outputs, "logits": powers / powers.sum(1, keepdims=True)}


def _reversed_children(
    site: CompositeSite, children: dict[str, Any]
) -> tuple[CompositeSite, dict[str, Any]]:
    if not isinstance(site.layer, Concat):
        raise TypeError(f"{site.path}: expected a Concat")
    return replace(site, layer=Concat(site.layer.children[::-1])), dict(reversed(children.items()))


def _unscaled(
    site: CompositeSite, children: dict[str, Any]
) -> tuple[CompositeSite, dict[str, Any]]:
    if not isinstance(site.layer, Residual):
        raise TypeError(f"{site.path}: expected a Residual")
    return replace(site, layer=replace(site.layer, scale=1.0)), children


def _only(
    path: str, change: Callable[[Array], Array]
) -> Callable[[float, dict[str, Array]], tuple[float, dict[str, Array]]]:
    return lambda loss, grads: (loss, {**grads, path: change(grads[path])})


def _identity(layer: Leaf) -> Leaf:
    return Scale(1.0, "always")


def _conv(**fields: Any) -> Callable[[Conv], Leaf]:
    return lambda layer: replace(layer, **fields)


def _max_pool(**fields: Any) -> Callable[[MaxPool], Leaf]:
    return lambda layer: replace(layer, **fields)


def _avg_pool(**fields: Any) -> Callable[[AvgPool], Leaf]:
    return lambda layer: replace(layer, **fields)


def _shrink(array: Array) -> Array:
    """5×5 as 3×3: the outer ring of the kernel is lost."""
    ring = np.zeros_like(array)
    ring[:, :, 1:-1, 1:-1] = array[:, :, 1:-1, 1:-1]
    return ring


def mutants() -> list[Mutant]:
    """Every mutant. `MUTANT.compare(backend)` must fail with its `divergence` at the start of
    `first_divergence`.
    """
    five = "mixed.branch_5x5.conv.conv"
    kernel = "normed.conv.weight"
    return [
        Mutant("5x5 as 3x3", f"weights of {five}.weight", _layout(f"{five}.weight", _shrink)),
        Mutant(
            "SAME for symmetric padding at stride 2",
            "output of stem.conv",
            _leaf("stem.conv", _conv(padding=((2, 3), (2, 3)))),
        ),
        Mutant(
            "padding shifted",
            "output of normed.conv",
            _leaf("normed.conv", _conv(padding=((2, 0), (1, 1)))),
        ),
        Mutant("floor for ceil", "output of pool", _leaf("pool", _max_pool(ceil_mode=False))),
        Mutant(
            "max pool one pixel off",
            "output of mixed.branch_pool.pool",
            _leaf("mixed.branch_pool.pool", _max_pool(padding=((0, 1), (1, 0)), ceil_mode=True)),
        ),
        Mutant("ReLU left out", "output of reduce.relu", _leaf("reduce.relu", _identity)),
        Mutant(
            "ReLU left out after batch norm",
            "output of normed.relu",
            _leaf("normed.relu", _identity),
        ),
        Mutant(
            "padding left out of the average",
            "output of average",
            _leaf("average", _avg_pool(count_include_pad=False)),
        ),
        Mutant(
            "batch norm's eps",
            "output of normed.norm",
            _leaf("normed.norm", lambda norm: replace(norm, eps=1e-5)),
        ),
        Mutant(
            "momentum's direction",
            "statistic of normed.norm.running_mean",
            _leaf("normed.norm", lambda norm: replace(norm, momentum=1 - norm.momentum)),
        ),
        Mutant(
            "running variance biased, not unbiased, or the reverse",
            "statistic of normed.norm.running_var",
            _variance_convention,
        ),
        Mutant(
            "LRN's alpha not divided by its size",
            "output of lrn",
            _leaf("lrn", lambda norm: replace(norm, alpha=norm.alpha * norm.size)),
        ),
        Mutant("LRN's k 2", "output of lrn", _leaf("lrn", lambda norm: replace(norm, k=2.0))),
        Mutant(
            "LRN's window too narrow",
            "output of lrn",
            _leaf("lrn", lambda norm: replace(norm, size=3, alpha=norm.alpha * 3 / 5)),
        ),
        Mutant("branches reordered", "output of mixed", _compose("mixed", _reversed_children)),
        Mutant("residual's scale forgotten", "output of linear", _compose("linear", _unscaled)),
        Mutant("aux outputs swapped", "output of aux", _outputs(_swap_aux)),
        Mutant("softmax in the head", "output of logits", _outputs(_softmax)),
        Mutant(
            "kernel flipped",
            "output of normed.conv",
            _layout(kernel, lambda array: array[:, :, ::-1, ::-1]),
        ),
        Mutant(
            "H and W swapped in a kernel",
            "output of stem.conv",
            _layout("stem.conv.weight", lambda array: array.transpose(0, 1, 3, 2)),
        ),
        Mutant(
            "dense weight in another order",
            "output of hidden",
            _layout("hidden.weight", lambda array: array[..., ::-1]),
        ),
        Mutant("bias dropped", "weights of stem.conv.bias", _lost("stem.conv.bias")),
        Mutant(
            "running variance not loaded",
            "weights of normed.norm.running_var",
            _lost("normed.norm.running_var"),
        ),
        Mutant(
            "dropout scales in evaluation",
            "output of dropout",
            _leaf("dropout", lambda layer: Scale(1 - layer.rate, "eval")),
        ),
        Mutant(
            "auxiliary losses unweighted",
            "loss",
            _loss(lambda loss: replace(loss, aux_weights=(1.0, 1.0))),
        ),
        Mutant(
            "label smoothing over the other classes",
            "loss",
            _loss(lambda loss: replace(loss, label_smoothing=loss.label_smoothing * 5 / 4)),
        ),
        Mutant(
            "gradients summed over the batch",
            "gradient of dense.bias",
            _gradients(
                lambda loss, grads: (loss, {path: 3 * grad for path, grad in grads.items()})
            ),
        ),
        Mutant(
            "a gradient lost",
            "gradient of reduce.conv.weight",
            _gradients(_only("reduce.conv.weight", np.zeros_like)),
        ),
        Mutant(
            "a gradient transposed",
            "gradient of normed.conv.weight",
            _gradients(_only(kernel, lambda grad: grad.transpose(0, 1, 3, 2))),
        ),
        Mutant(
            "training without momentum",
            "training of step 2",
            _recipe(lambda recipe: replace(recipe, momentum=0.0)),
        ),
        Mutant(
            "training without weight decay",
            "training of step 1",
            _recipe(lambda recipe: replace(recipe, weight_decay=0.0)),
        ),
        Mutant(
            "training on another loss",
            "training of step 1: loss",
            _recipe(lambda recipe: replace(recipe, label_smoothing=0.2)),
        ),
        Mutant("training at the first rate for good", "training of step 2", _trainer(_first_rate)),
        Mutant(
            "training with the rate within the velocity",
            "training of step 2",
            _trainer(_velocity_with_rate),
        ),
        Mutant("training on the sum over the batch", "training of step 1", _trainer(_summed)),
    ]
