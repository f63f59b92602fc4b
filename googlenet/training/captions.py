"""The text beside curves: the settings, and why frameworks that start the same drift apart."""

from __future__ import annotations

from typing import Final

import numpy as np

from ..spec.recipe import Recipe
from .curves import Runs, axis_limits, curves_of

#: Two curves must differ by this share of their axis to be told apart. A panel is about 250 points
#: high and a line 2 points wide: below this share, one line covers the other.
VISIBLE: Final = 0.01


def settings_text(recipe: Recipe, *, seeds: int = 1) -> str:
    """A recipe in words; with several runs, their seeds count up from the recipe's."""
    rate = f"learning rate {recipe.learning_rate:g}"
    if recipe.schedule == "cosine":
        rate += " (cosine schedule)"
    elif recipe.schedule == "step":
        every = "every epoch" if recipe.decay_epochs == 1 else f"every {recipe.decay_epochs} epochs"
        rate += f" (×{recipe.decay_factor:g} {every})"
    more = {
        "momentum": recipe.momentum,
        "weight decay": recipe.weight_decay,
        "label smoothing": recipe.label_smoothing,
    }
    epochs = "1 epoch" if recipe.epochs == 1 else f"{recipe.epochs} epochs"
    words = [f"{epochs}, batch size {recipe.batch_size}", rate]
    words += [f"{what} {value:g}" for what, value in more.items() if value]
    if recipe.aux_weights:
        *others, last_weight = (f"{weight:g}" for weight in recipe.aux_weights)
        weights = f"s {', '.join(others)} and {last_weight}" if others else f" {last_weight}"
        words.append(f"auxiliary loss weight{weights}")
    last = recipe.seed + seeds - 1
    words.append(f"seed {recipe.seed}" if seeds == 1 else f"seeds {recipe.seed} to {last}")
    return ", ".join(words)


def divergence_note(runs: Runs, *, dropout: bool = False) -> str:
    """Why the curves of frameworks that start from the same weights drift apart; "" as long as they
    do not visibly.

    They do where the same seed's losses or accuracies of an epoch differ by more than `VISIBLE` of
    the axis on which `curves_figure` draws them. `dropout` says that the network has dropout, whose
    masks each framework draws itself.
    """
    epoch = _first_visible(runs)
    if epoch is None:
        return ""
    masks = "draws its own dropout masks and " if dropout else ""
    return (
        f"Why the curves drift apart from epoch {epoch} on: all frameworks start from the same"
        f" weights and see the same batches, but each {masks}sums in its own order, and every"
        " training step amplifies the rounding differences. That does not make them different"
        " functions: `googlenet.parity(..., train_steps=10)` compares them step by step."
    )


def _first_visible(runs: Runs) -> int | None:
    """The first epoch, from 1, in which two frameworks can be told apart, if there is one."""
    curves = curves_of(runs)
    shape = np.max([(0, 0), *(curve.values.shape for curve in curves)], 0)
    first: list[int] = []
    for field in dict.fromkeys(curve.field for curve in curves):
        same = [curve for curve in curves if curve.field == field]
        low, high = axis_limits(curves, same[0].kind, None)
        values = np.full((len(same), *shape), np.nan)
        for array, curve in zip(values, same, strict=True):
            array[: curve.values.shape[0], : curve.values.shape[1]] = curve.values
        with np.errstate(invalid="ignore"):  # infinite in both, which is not a difference
            apart = np.fmax.reduce(values) - np.fmin.reduce(values) > VISIBLE * (high - low)
        first += [int(epoch) + 1 for epoch in np.flatnonzero(apart.any(0))]
    return min(first, default=None)
