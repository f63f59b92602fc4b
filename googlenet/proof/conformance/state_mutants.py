"""The mutants of what must stay as it is: weights, images, files, and a pass without taps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np

from ...arrays import Array, Params
from ...spec.recipe import Recipe
from ...weights.samples import random_images
from . import sabotage
from .mutant import Mutant
from .networks import composites, probe
from .sabotage import Gradients, Outputs

#: The network of the case `quantise-auxiliary`.
QUANTISED: Final = composites()["auxiliary"]


def state_mutants() -> Iterator[Mutant]:
    """Backends that change what must stay as it is, or are right only where taps are asked for."""
    gradients = "gradients-change-nothing"
    yield Mutant(
        "gradients move the weights",
        "was changed in evaluation mode",
        sabotage.instead("gradients", _moving, "gradients", "trainer"),
        gradients,
    )
    yield Mutant(
        "gradients add up over calls",
        "its gradient in a second call",
        sabotage.instead("gradients", _adding_up, "gradients"),
        gradients,
    )
    yield Mutant(
        "gradients change the images",
        "gradients: changed the images",
        sabotage.instead("gradients", _spoiling(0), "gradients"),
        gradients,
    )
    yield Mutant(
        "gradients change the labels",
        "gradients: changed the labels",
        sabotage.instead("gradients", _spoiling(1), "gradients"),
        gradients,
    )
    yield Mutant(
        "a forward pass changes the images",
        "forward: the images were changed",
        sabotage.instead("forward", _spoiling(0)),
        "forward-changes-nothing",
    )
    yield Mutant(
        "aux outputs swapped without taps",
        "'aux2 without taps' of",
        sabotage.instead("forward", _swapping_untapped),
        "composite-auxiliary",
    )
    yield Mutant(
        "a pass without taps is in training mode",
        "'logits without taps' of",
        sabotage.instead("forward", _untapped_in_training, "gradients"),
        "composite-norm_residual",
    )
    yield Mutant(
        "a model forgets its network",
        "must have the attribute `network`",
        sabotage.instead("build", _with_another_network),
        "model-has-its-network",
    )
    yield Mutant(
        "a device that does not exist is ignored",
        "must raise DeviceError",
        sabotage.instead(
            "build",
            lambda module, right: lambda network, params, device=None: right(network, params),
        ),
        "device-that-does-not-exist",
    )
    yield Mutant(
        "an empty file is saved",
        "which cannot be all the weights",
        sabotage.instead(
            "save", lambda module, right: lambda model, path: Path(path).write_bytes(b""), "save"
        ),
        "save",
    )
    yield Mutant(
        "a file is saved under any ending",
        "a name that ends otherwise must raise WeightsError",
        sabotage.instead("save", _saving_anything, "save"),
        "save",
    )
    yield Mutant(
        "a process trains alone where others were asked for",
        "must raise BackendError",
        sabotage.instead("start_parallel", lambda module, right: lambda: (0, 1), "parallel"),
        "parallel-without-a-launcher",
    )

    yield Mutant(
        "int8 has a wrong scale for one channel",
        "'logits of compile in int8'",
        sabotage.instead("compile", _compiled_with(_one_scale_twice), "quantise"),
        "quantise-auxiliary",
    )
    yield Mutant(
        "int8 drops biases",
        "'aux2 of compile in int8'",
        sabotage.instead("compile", _compiled_with(_without_biases), "quantise"),
        "quantise-auxiliary",
    )
    yield Mutant(
        "int8 looks at no images to calibrate by",
        "as if they were not looked at",
        sabotage.instead("compile", _calibrated_by_others, "quantise"),
        "quantise-auxiliary",
    )
    yield Mutant(
        "int8 is float32",
        "so they are not in int8",
        sabotage.instead("compile", _in_float32, "quantise"),
        "quantise-auxiliary",
    )

    yield Mutant(
        "a compiled form swaps aux1 and aux2",
        "'aux2 of",
        sabotage.instead("compiled", _compiled(_swapped), "compiled"),
        "compiled-auxiliary",
    )
    yield Mutant(
        "a compiled form follows its model",
        "changed when the model was trained",
        sabotage.instead("compiled", _compiled_again, "compiled", "trainer"),
        "compiled-stays",
    )
    yield Mutant(
        "a compiled form computes on 11 bits of each pixel",
        "the first: logits of",
        sabotage.instead("compiled", _compiled_from_eleven_bits, "compiled"),
        "compiled-exact",
    )


def _swapped(found: Outputs) -> Outputs:
    return {**found, "aux1": found["aux2"], "aux2": found["aux1"]}


def _compiled(change: Callable[[Outputs], Outputs]) -> Callable[[ModuleType, Any], Any]:
    def make(module: ModuleType, right: Any) -> Callable[..., Any]:
        def wrong(model: Any, form: str) -> Callable[[Array], Outputs]:
            call = right(model, form)
            return lambda images: change(call(images))

        return wrong

    return make


def _compiled_with(change: Callable[[Params], Params]) -> Callable[[ModuleType, Any], Any]:
    """Of a model with other weights."""

    def make(module: ModuleType, right: Any) -> Callable[..., Any]:
        def wrong(model: Any, **settings: Any) -> Any:
            spoilt = change(module.params_of(model))
            return right(module.build(QUANTISED, spoilt), **settings)

        return wrong

    return make


def _one_scale_twice(params: Params) -> Params:
    """As if the integers of the last layer's first channel were read with twice their step."""
    path = next(path for path in reversed(params) if path.endswith("weight"))
    spoilt = params[path].copy()
    spoilt[0] *= 2
    return {**params, path: spoilt}


def _without_biases(params: Params) -> Params:
    return {p: np.zeros_like(a) if p.endswith("bias") else a for p, a in params.items()}


def _calibrated_by_others(module: ModuleType, right: Any) -> Callable[..., Any]:
    def wrong(model: Any, *, calibration: Array | None = None, **settings: Any) -> Any:
        if calibration is not None:
            calibration = random_images(QUANTISED, seed=2, batch=len(calibration))
        return right(model, calibration=calibration, **settings)

    return wrong


def _in_float32(module: ModuleType, right: Any) -> Callable[..., Any]:
    def wrong(model: Any, **settings: Any) -> Any:
        right(model, **settings)
        call = right(model, input_shape=settings["input_shape"])
        call.dtype = settings["dtype"]
        return call

    return wrong


def _compiled_again(module: ModuleType, right: Any) -> Callable[..., Any]:
    """Compiled when it is called, from what the model is then."""
    return lambda model, form: lambda images: right(model, form)(images)


def _compiled_from_eleven_bits(module: ModuleType, right: Any) -> Callable[..., Any]:
    def wrong(model: Any, form: str) -> Callable[[Array], Outputs]:
        call = right(model, form)
        return lambda images: call(_of_eleven_bits(images))

    return wrong


def _of_eleven_bits(images: Array) -> Array:
    """As TensorFloat-32 would take them."""
    mantissa, exponent = np.frexp(images)
    rounded: Array = np.ldexp(np.round(mantissa * 2**11) / 2**11, exponent).astype(np.float32)
    return rounded


def _moving(module: ModuleType, right: Any) -> Callable[..., Gradients]:
    def wrong(model: Any, images: Array, labels: Array, **kwargs: Any) -> Gradients:
        found: Gradients = right(model, images, labels, **kwargs)
        module.trainer(model, Recipe()).step(images, labels, learning_rate=0.1, seed=0)
        return found

    return wrong


def _adding_up(module: ModuleType, right: Any) -> Callable[..., Gradients]:
    sums: Params = {}

    def wrong(*args: Any, **kwargs: Any) -> Gradients:
        loss, grads = right(*args, **kwargs)
        for path, grad in grads.items():
            sums[path] = sums.get(path, np.zeros_like(grad)) + grad
        return loss, dict(sums)

    return wrong


def _spoiling(position: int) -> Callable[[ModuleType, Any], Callable[..., Any]]:
    """A function that reverses the array at a position after the model."""

    def make(module: ModuleType, right: Any) -> Callable[..., Any]:
        def wrong(model: Any, *arrays: Array, **kwargs: Any) -> Any:
            found = right(model, *arrays, **kwargs)
            arrays[position][...] = arrays[position][::-1].copy()
            return found

        return wrong

    return make


def _swapping_untapped(module: ModuleType, right: Any) -> Callable[..., Outputs]:
    def wrong(model: Any, images: Array, *, taps: Iterable[str] = (), **kwargs: Any) -> Outputs:
        found: Outputs = right(model, images, taps=taps, **kwargs)
        return found if taps or "aux2" not in found else _swapped(found)

    return wrong


def _untapped_in_training(module: ModuleType, right: Any) -> Callable[..., Outputs]:
    def wrong(
        model: Any, images: Array, *, train: bool = False, taps: Iterable[str] = ()
    ) -> Outputs:
        found: Outputs = right(model, images, train=train or not taps, taps=taps)
        return found

    return wrong


def _with_another_network(module: ModuleType, right: Any) -> Callable[..., Any]:
    def wrong(*args: Any, **kwargs: Any) -> Any:
        model = right(*args, **kwargs)
        model.network = probe()
        return model

    return wrong


def _saving_anything(module: ModuleType, right: Any) -> Callable[..., None]:
    suffixes = module.file_suffix
    known = (suffixes,) if isinstance(suffixes, str) else tuple(suffixes)

    def wrong(model: Any, path: Any) -> None:
        if Path(path).name.endswith(known):
            right(model, path)
        else:
            Path(path).write_bytes(b"weights")

    return wrong
