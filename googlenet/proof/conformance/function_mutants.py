"""The mutants that the comparison of one network finds: another layer, array, loss, gradient or
update.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from ...arrays import Array, Params
from ...backend.protocols import Trainer
from ...spec.layers import AvgPool, Concat, Conv, Leaf, MaxPool, Residual, Scale
from ...spec.traversal import CompositeSite
from ...weights.samples import CLASSES
from . import sabotage
from .mutant import Mutant
from .sabotage import Gradients, Step

GRADIENTS, TRAINING = frozenset({"gradients"}), frozenset({"gradients", "trainer"})


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


def _only(path: str, change: Callable[[Array], Array]) -> Callable[[float, Params], Gradients]:
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


def _first_rate(module: ModuleType, trainer: Trainer) -> Step:
    right, rates = trainer.step, list[float]()

    def step(
        images: Array, labels: Array, *, learning_rate: float, **kwargs: Any
    ) -> tuple[float, Array]:
        rates.append(learning_rate)
        return right(images, labels, learning_rate=rates[0], **kwargs)

    return step


def _velocity_with_rate(module: ModuleType, trainer: Trainer) -> Step:
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


def _summed(module: ModuleType, trainer: Trainer) -> Step:
    right = trainer.step
    return lambda images, labels, *, learning_rate, **kwargs: right(
        images, labels, learning_rate=learning_rate * len(images), **kwargs
    )


def _kept(labels: Array, ignored: str) -> npt.NDArray[np.bool_]:
    """Which labels (N,) are not the first class, or the last."""
    kept: npt.NDArray[np.bool_] = labels != (0 if ignored == "first" else CLASSES - 1)
    return kept


def _ignoring_gradients(ignored: str) -> sabotage.Sabotage:
    """A loss that leaves out the images of one class, the first or the last."""

    def make(module: ModuleType, right: Any) -> Callable[..., Gradients]:
        def wrong(model: Any, images: Array, labels: Array, **kwargs: Any) -> Gradients:
            kept = _kept(labels, ignored)
            found: Gradients = right(model, images[kept], labels[kept], **kwargs)
            return found

        return wrong

    return sabotage.instead("gradients", make, "gradients")


def _ignoring_step(ignored: str) -> sabotage.Sabotage:
    def change(module: ModuleType, trainer: Trainer) -> Step:
        def step(images: Array, labels: Array, **kwargs: Any) -> tuple[float, Array]:
            kept = _kept(labels, ignored)
            loss, logits = trainer.step(images[kept], labels[kept], **kwargs)
            every = np.zeros((len(images), logits.shape[1]), logits.dtype)
            every[kept] = logits
            return loss, every

        return step

    return sabotage.trainer(step=change)


def _without_statistics(module: ModuleType, right: Any) -> Callable[..., Gradients]:
    """Gradients on a copy of the model, whose running statistics are then lost."""

    def wrong(model: Any, *args: Any, **kwargs: Any) -> Gradients:
        found: Gradients = right(
            module.build(model.network, module.params_of(model)), *args, **kwargs
        )
        return found

    return wrong


def function_mutants() -> list[Mutant]:
    """Every mutant that needs no case of its own."""
    five = "mixed.branch_5x5.conv.conv"
    kernel = "normed.conv.weight"
    return [
        Mutant(
            "5x5 as 3x3", f"weights of {five}.weight", sabotage.layout(f"{five}.weight", _shrink)
        ),
        Mutant(
            "SAME for symmetric padding at stride 2",
            "output of stem.conv",
            sabotage.leaf("stem.conv", _conv(padding=((2, 3), (2, 3)))),
        ),
        Mutant(
            "padding shifted",
            "output of normed.conv",
            sabotage.leaf("normed.conv", _conv(padding=((2, 0), (1, 1)))),
        ),
        Mutant(
            "max pool one pixel off",
            "output of mixed.branch_pool.pool",
            sabotage.leaf(
                "mixed.branch_pool.pool", _max_pool(padding=((0, 1), (1, 0)), ceil_mode=True)
            ),
        ),
        Mutant("ReLU left out", "output of reduce.relu", sabotage.leaf("reduce.relu", _identity)),
        Mutant(
            "ReLU left out after batch norm",
            "output of normed.relu",
            sabotage.leaf("normed.relu", _identity),
        ),
        Mutant(
            "padding left out of the average",
            "output of average",
            sabotage.leaf("average", _avg_pool(count_include_pad=False)),
        ),
        Mutant(
            "batch norm's eps",
            "output of normed.norm",
            sabotage.leaf("normed.norm", lambda norm: replace(norm, eps=1e-5)),
        ),
        Mutant(
            "momentum's direction",
            "statistic of normed.norm.running_mean",
            sabotage.leaf("normed.norm", lambda norm: replace(norm, momentum=1 - norm.momentum)),
            needs=GRADIENTS,
        ),
        Mutant(
            "running variance biased, not unbiased, or the reverse",
            "statistic of normed.norm.running_var",
            sabotage.constant("unbiased_running_variance", lambda value: not value),
            needs=GRADIENTS,
        ),
        Mutant(
            "LRN's alpha not divided by its size",
            "output of lrn",
            sabotage.leaf("lrn", lambda norm: replace(norm, alpha=norm.alpha * norm.size)),
        ),
        Mutant(
            "LRN's k 2", "output of lrn", sabotage.leaf("lrn", lambda norm: replace(norm, k=2.0))
        ),
        Mutant(
            "LRN's window too narrow",
            "output of lrn",
            sabotage.leaf("lrn", lambda norm: replace(norm, size=3, alpha=norm.alpha * 3 / 5)),
        ),
        Mutant(
            "branches reordered", "output of mixed", sabotage.compose("mixed", _reversed_children)
        ),
        Mutant(
            "residual's scale forgotten", "output of linear", sabotage.compose("linear", _unscaled)
        ),
        Mutant("aux outputs swapped", "output of aux", sabotage.outputs(_swap_aux)),
        Mutant("softmax in the head", "output of logits", sabotage.outputs(_softmax)),
        Mutant(
            "kernel flipped",
            "output of normed.conv",
            sabotage.layout(kernel, lambda array: array[:, :, ::-1, ::-1]),
        ),
        Mutant(
            "H and W swapped in a kernel",
            "output of stem.conv",
            sabotage.layout("stem.conv.weight", lambda array: array.transpose(0, 1, 3, 2)),
        ),
        Mutant(
            "dense weight in another order",
            "output of hidden",
            sabotage.layout("hidden.weight", lambda array: array[..., ::-1]),
        ),
        Mutant("bias dropped", "weights of stem.conv.bias", sabotage.lost("stem.conv.bias")),
        Mutant(
            "running variance not loaded",
            "weights of normed.norm.running_var",
            sabotage.lost("normed.norm.running_var"),
        ),
        Mutant(
            "dropout scales in evaluation",
            "output of dropout",
            sabotage.leaf("dropout", lambda layer: Scale(1 - layer.rate, "eval")),
        ),
        Mutant(
            "auxiliary losses unweighted",
            "loss",
            sabotage.loss(lambda loss: replace(loss, aux_weights=(1.0, 1.0))),
        ),
        Mutant(
            "label smoothing over the other classes",
            "loss",
            sabotage.loss(lambda loss: replace(loss, label_smoothing=loss.label_smoothing * 5 / 4)),
        ),
        Mutant(
            "gradients summed over the batch",
            "gradient of dense.bias",
            sabotage.gradients(
                lambda loss, grads: (loss, {path: 3 * grad for path, grad in grads.items()})
            ),
        ),
        Mutant(
            "a gradient lost",
            "gradient of reduce.conv.weight",
            sabotage.gradients(_only("reduce.conv.weight", np.zeros_like)),
        ),
        Mutant(
            "a gradient transposed",
            "gradient of normed.conv.weight",
            sabotage.gradients(_only(kernel, lambda grad: grad.transpose(0, 1, 3, 2))),
        ),
        Mutant(
            "training without momentum",
            "training step 2",
            sabotage.recipe(lambda recipe: replace(recipe, momentum=0.0)),
            needs=TRAINING,
        ),
        Mutant(
            "training without weight decay",
            "training step 1",
            sabotage.recipe(lambda recipe: replace(recipe, weight_decay=0.0)),
            needs=TRAINING,
        ),
        Mutant(
            "training on another loss",
            "training step 1: loss",
            sabotage.recipe(lambda recipe: replace(recipe, label_smoothing=0.2)),
            needs=TRAINING,
        ),
        Mutant(
            "training at the first rate for good",
            "training step 2",
            sabotage.trainer(step=_first_rate),
            needs=TRAINING,
        ),
        Mutant(
            "training with the rate within the velocity",
            "training step 2",
            sabotage.trainer(step=_velocity_with_rate),
            needs=TRAINING,
        ),
        Mutant(
            "training on the sum over the batch",
            "training step 1",
            sabotage.trainer(step=_summed),
            needs=TRAINING,
        ),
        Mutant(
            "the gradients' pass moves no running statistics",
            "statistic of normed.norm.running_mean",
            sabotage.instead("gradients", _without_statistics, "gradients"),
        ),
        *(
            Mutant(f"the loss ignores the {ignored} class", "loss", _ignoring_gradients(ignored))
            for ignored in ("first", "last")
        ),
        *(
            Mutant(
                f"training ignores the {ignored} class",
                "training step 1: loss",
                _ignoring_step(ignored),
                needs=TRAINING,
            )
            for ignored in ("first", "last")
        ),
    ]
