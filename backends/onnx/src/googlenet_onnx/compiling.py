"""Forms of a model that run faster: what onnxruntime makes of the graph."""

from __future__ import annotations

import copy
from collections.abc import Callable

from googlenet.arrays import Array
from googlenet.backend.checks import check_form

from .model import Model, name

#: All of onnxruntime's optimisations, which every session of an adapter's model has.
compiled_forms: tuple[str, ...] = ("ORT_ENABLE_ALL",)


def compiled(model: Model, form: str) -> Callable[[Array], dict[str, Array]]:
    """A function of images (N, C, H, W) that returns the outputs of `model` by name, in one of
    `compiled_forms`. Raises `UnknownNameError` for another.
    """
    check_form(name, form, compiled_forms)
    return copy.copy(model).run  # with a session of its own
