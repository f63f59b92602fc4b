"""The mutants that a case of their own finds: dropout, trainers, large logits, ties, and what must
stay as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias
from unittest import mock

import numpy as np

from ...arrays import Array, Params
from ...backend.geometry import window_count
from ...backend.protocols import Trainer
from ...reference import forward as reference_forward
from ...reference import ops, run_gradients
from ...reference.layout import to_nhwc
from ...reference.network import Pass
from ...spec.layers import AvgPool, Dropout, MaxPool, ReLU, Scale
from ...spec.loss import Loss
from ...spec.recipe import Recipe
from ...spec.traversal import LeafSite, inputs, nodes, walk
from . import sabotage
from .dropout import RATE
from .mutant import Mutant
from .networks import probe
from .sabotage import Gradients, Sabotage, Step, as_reference

#: What a backend must have to be given a share of a batch.
PARALLEL = frozenset({"parallel"})
#: The outputs by name.
Outputs: TypeAlias = dict[str, Array]


def case_mutants() -> list[Mutant]:
    """Every mutant with a case of its own."""
    return [*_pools(), *_dropout(), *_trainers(), *_large_logits(), *_ties(), *_state()]


# Pools --------------------------------------------------------------------------------------------


def _pools() -> Iterator[Mutant]:
    """On a pool by itself: no layer after it could take the smaller map."""
    for kind, name in ((MaxPool, "a max pool"), (AvgPool, "an average pool")):
        yield Mutant(
            f"floor for ceil in {name}",
            "'layer' of",
            sabotage.every_leaf(
                partial(_rounds_up, kind),
                lambda pool: replace(pool, ceil_mode=False),
                reshaped=True,
            ),
            "pool-kernel2-stride2-padding0",
        )


def _rounds_up(kind: type[MaxPool | AvgPool], site: LeafSite) -> bool:
    return isinstance(site.layer, kind) and site.layer.ceil_mode


# Dropout ------------------------------------------------------------------------------------------


def _dropout() -> Iterator[Mutant]:
    unlike = "of the elements"
    yield Mutant(
        "dropout on maps only",
        "dropout on a vector",
        sabotage.every_leaf(_drops_a_vector, lambda layer: Scale(1.0, "always")),
        "dropout-on-a-vector",
    )
    yield Mutant(
        "dropout at half its rate",
        unlike,
        sabotage.every_leaf(_drops, lambda layer: Dropout(layer.rate / 2)),
        "dropout-on-a-map",
    )
    for kind in ("map", "vector"):
        yield Mutant(
            f"dropout on a {kind} leaves what it keeps as it was",
            "must be divided by 1 - rate",
            _dropped(lambda y: y * np.float32(1 - RATE)),
            f"dropout-on-a-{kind}",
        )
        yield Mutant(
            f"one mask of dropout on a {kind} for the batch",
            unlike,
            _dropped(lambda y: np.broadcast_to(y[:1], y.shape).copy()),
            f"dropout-on-a-{kind}",
        )
        yield Mutant(
            f"the gradient passes where dropout on a {kind} dropped",
            f"{unlike} were dropped",
            sabotage.instead("gradients", _passing, "gradients"),
            f"dropout-on-a-{kind}-in-gradients",
        )
        yield Mutant(
            f"training without dropout on a {kind}",
            f"{unlike} were dropped",
            sabotage.every_leaf(_drops, lambda layer: Scale(1.0, "always")),
            f"dropout-on-a-{kind}-in-training",
        )
        yield Mutant(
            f"training with dropout on a {kind} at half its rate",
            f"{unlike} were dropped",
            sabotage.every_leaf(_drops, lambda layer: Dropout(layer.rate / 2)),
            f"dropout-on-a-{kind}-in-training",
        )
        yield Mutant(
            f"predictions with dropout on a {kind}",
            "'predict' of",
            sabotage.trainer(predict=_predicting_in_training),
            f"dropout-on-a-{kind}-in-training",
        )
    yield Mutant(
        "one mask of dropout for all channels",
        unlike,
        _dropped(lambda y: np.broadcast_to(y[:, :1], y.shape).copy()),
        "dropout-on-a-map",
    )
    yield Mutant(
        "dropout of whole channels",
        unlike,
        _dropped(lambda y: np.broadcast_to(y[:, :, :1, :1], y.shape).copy()),
        "dropout-on-a-map",
    )
    yield Mutant(
        "training with one mask of dropout for the batch",
        unlike,
        sabotage.trainer(step=_one_mask),
        "dropout-on-a-vector-in-training",
    )


def _drops(site: LeafSite) -> bool:
    return isinstance(site.layer, Dropout)


def _drops_a_vector(site: LeafSite) -> bool:
    return _drops(site) and len(site.in_shape) == 1


def _dropped(change: Callable[[Array], Array]) -> Sabotage:
    """Another result of a pass in training mode, where dropout is all that there is."""

    def make(module: ModuleType, right: Any) -> Callable[..., Outputs]:
        def wrong(model: Any, images: Array, *, train: bool = False, **kwargs: Any) -> Outputs:
            found: Outputs = right(model, images, train=train, **kwargs)
            return {name: change(y) for name, y in found.items()} if train else found

        return wrong

    return sabotage.instead("forward", make)


def _passing(module: ModuleType, right: Any) -> Callable[..., Gradients]:
    def wrong(*args: Any, train: bool = True, **kwargs: Any) -> Gradients:
        loss, _ = right(*args, train=train, **kwargs)
        return loss, right(*args, train=False, **kwargs)[1]

    return wrong


def _predicting_in_training(module: ModuleType, trainer: Trainer) -> Callable[..., Array]:
    def predict(images: Array) -> Array:
        logits: Array = module.forward(trainer.model, images, train=True)["logits"]
        return logits

    return predict


def _one_mask(module: ModuleType, trainer: Trainer) -> Step:
    def step(images: Array, labels: Array, **kwargs: Any) -> tuple[float, Array]:
        still = trainer.predict(images)
        loss, logits = trainer.step(images, labels, **kwargs)
        return loss, (still * (logits[:1] != 0) / (1 - RATE)).astype(np.float32)

    return step


# Trainers -----------------------------------------------------------------------------------------


def _trainers() -> Iterator[Mutant]:
    sizes = "training-in-steps-of-any-size"
    for name, change in {
        "as probabilities": _softmax,
        "of the classes in reverse": lambda logits: logits[:, ::-1].copy(),
        "of the images in reverse": lambda logits: logits[::-1].copy(),
    }.items():
        yield Mutant(
            f"the logits of a step {name}",
            "'step 1: logits' of",
            sabotage.trainer(step=_with_logits(change)),
            sizes,
        )
    for name, step in {
        "those of aux1": _logits_of_aux,
        "those of evaluation mode": _logits_of_evaluation,
        "those after it": _logits_afterwards,
    }.items():
        yield Mutant(
            f"the logits of a step are {name}",
            "'step 1: logits' of",
            sabotage.trainer(step=step),
            sizes,
        )
    yield Mutant(
        "a smaller batch is skipped",
        "'step 2: dense.bias' of",
        sabotage.trainer(step=_skipping),
        sizes,
    )
    yield Mutant(
        "a smaller batch divided by the size of the first",
        "'step 2: dense.bias' of",
        sabotage.trainer(step=_divided_by_the_first),
        sizes,
    )
    yield Mutant(
        "a step changes the images",
        "step: changed the images",
        sabotage.trainer(step=_spoiling_images),
        sizes,
    )
    for name, divergence, step in (
        ("is ignored", "dense.bias", _without_share),
        ("weighs the weight decay too", "dense.bias", _share_of_the_rate),
        ("weighs the loss that is returned", "loss", _share_of_the_loss),
    ):
        yield Mutant(
            f"the share of the batch {name}",
            f"'step 2: {divergence}' of",
            sabotage.trainer(step=step),
            sizes,
            PARALLEL,
        )


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    scaled: Array = powers / powers.sum(1, keepdims=True)
    return scaled


def _with_logits(change: Callable[[Array], Array]) -> Callable[[ModuleType, Trainer], Step]:
    def made(module: ModuleType, trainer: Trainer) -> Step:
        def step(*args: Any, **kwargs: Any) -> tuple[float, Array]:
            loss, logits = trainer.step(*args, **kwargs)
            return loss, change(logits)

        return step

    return made


def _logits_of_aux(module: ModuleType, trainer: Trainer) -> Step:
    def step(images: Array, labels: Array, **kwargs: Any) -> tuple[float, Array]:
        logits = module.forward(trainer.model, images)["aux1"]
        return trainer.step(images, labels, **kwargs)[0], logits

    return step


def _logits_of_evaluation(module: ModuleType, trainer: Trainer) -> Step:
    def step(images: Array, labels: Array, **kwargs: Any) -> tuple[float, Array]:
        logits = trainer.predict(images)
        return trainer.step(images, labels, **kwargs)[0], logits

    return step


def _logits_afterwards(module: ModuleType, trainer: Trainer) -> Step:
    def step(images: Array, labels: Array, **kwargs: Any) -> tuple[float, Array]:
        return trainer.step(images, labels, **kwargs)[0], trainer.predict(images)

    return step


def _skipping(module: ModuleType, trainer: Trainer) -> Step:
    sizes: list[int] = []

    def step(images: Array, labels: Array, *, learning_rate: float, **kwargs: Any) -> Any:
        sizes.append(len(images))
        rate = learning_rate if len(images) >= sizes[0] else 1e-30  # too short to move a weight
        return trainer.step(images, labels, learning_rate=rate, **kwargs)

    return step


def _divided_by_the_first(module: ModuleType, trainer: Trainer) -> Step:
    sizes: list[int] = []

    def step(images: Array, labels: Array, *, learning_rate: float, **kwargs: Any) -> Any:
        sizes.append(len(images))
        rate = learning_rate * len(images) / sizes[0]
        return trainer.step(images, labels, learning_rate=rate, **kwargs)

    return step


def _spoiling_images(module: ModuleType, trainer: Trainer) -> Step:
    def step(images: Array, labels: Array, **kwargs: Any) -> tuple[float, Array]:
        found = trainer.step(images, labels, **kwargs)
        images -= images.mean()
        return found

    return step


def _without_share(module: ModuleType, trainer: Trainer) -> Step:
    def step(*args: Any, share: float = 1.0, **kwargs: Any) -> tuple[float, Array]:
        return trainer.step(*args, **kwargs)

    return step


def _share_of_the_rate(module: ModuleType, trainer: Trainer) -> Step:
    def step(*args: Any, learning_rate: float, share: float = 1.0, **kwargs: Any) -> Any:
        return trainer.step(*args, learning_rate=learning_rate * share, **kwargs)

    return step


def _share_of_the_loss(module: ModuleType, trainer: Trainer) -> Step:
    def step(*args: Any, share: float = 1.0, **kwargs: Any) -> tuple[float, Array]:
        loss, logits = trainer.step(*args, share=share, **kwargs)
        return loss * share, logits

    return step


# Large logits -------------------------------------------------------------------------------------


def _large_logits() -> Iterator[Mutant]:
    for name, formula in {
        "as the logarithm of a softmax": lambda logits: np.log(_softmax(logits)),
        "without taking off the largest logit": lambda logits: (
            logits - np.log(np.exp(logits).sum(1, keepdims=True))
        ),
        "of clipped probabilities": lambda logits: np.log(np.clip(_softmax(logits), 1e-7, 1)),
        "of logits that are clipped": lambda logits: _log_softmax(np.clip(logits, -100, 100)),
        "of logits that are clipped below the largest": lambda logits: _log_softmax(
            np.maximum(logits, logits.max(1, keepdims=True) - 64)
        ),
    }.items():
        yield Mutant(
            f"cross-entropy {name}",
            "'loss' of",
            sabotage.instead("gradients", _loss_in_gradients(formula), "gradients"),
            "logits-beyond-100-smoothing-0.1",
        )
        yield Mutant(
            f"training on a cross-entropy {name}",
            "'step 1: loss' of",
            sabotage.trainer(step=_loss_in_steps(formula)),
            "training-logits-beyond-100",
        )


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(1, keepdims=True)
    log: Array = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return log


def _total(
    formula: Callable[[Array], Array], model: Any, outputs: Outputs, labels: Array, loss: Loss
) -> float:
    """The loss of these outputs with another formula for the logarithm of their softmax."""
    total = 0.0
    with np.errstate(all="ignore"):
        for name, weight in loss.output_weights(model.network).items():
            logits = outputs[name]
            target = np.full_like(logits, loss.label_smoothing / logits.shape[1])
            target[np.arange(len(labels)), labels] += 1 - loss.label_smoothing
            total -= weight * float((target * formula(logits)).sum(1).mean())
    return total


def _loss_in_gradients(
    formula: Callable[[Array], Array],
) -> Callable[[ModuleType, Any], Callable[..., Gradients]]:
    def make(module: ModuleType, right: Any) -> Callable[..., Gradients]:
        def wrong(
            model: Any, images: Array, labels: Array, *, loss: Loss = Loss(), **kwargs: Any
        ) -> Gradients:
            outputs = module.forward(model, images)
            _, grads = right(model, images, labels, loss=loss, **kwargs)
            return _total(formula, model, outputs, labels, loss), grads

        return wrong

    return make


def _loss_in_steps(formula: Callable[[Array], Array]) -> Callable[[ModuleType, Trainer], Step]:
    loss = Loss(label_smoothing=0.1)  # that of the case

    def made(module: ModuleType, trainer: Trainer) -> Step:
        def step(images: Array, labels: Array, **kwargs: Any) -> tuple[float, Array]:
            outputs = module.forward(trainer.model, images)
            value = _total(formula, trainer.model, outputs, labels, loss)
            return value, trainer.step(images, labels, **kwargs)[1]

        return step

    return made


# Ties, and activations beyond 6 -------------------------------------------------------------------


def _ties() -> Iterator[Mutant]:
    for value in (1.0, 0.5):
        yield Mutant(
            f"ReLU's derivative {value:g} at 0",
            "'hidden.bias' of",
            _deciding(ReLU, _at_zero(value)),
            "ties-relu",
        )
    yield Mutant(
        "the last of equal maxima takes the gradient",
        "'before.weight' of",
        _deciding(MaxPool, _last),
        "ties-max_pool",
    )
    yield Mutant(
        "ReLU6 for ReLU",
        "'relu' of",
        sabotage.instead("forward", _capped),
        "large-activations",
    )


#: What a layer decides about its input, (N, H, W, C) or (N, C): how much of the gradient passes at
#: each element of a ReLU, or the position that wins each window of a max pool.
Rule: TypeAlias = Callable[[LeafSite, Array], Array]


def _deciding(kind: type, rule: Rule) -> Sabotage:
    """Gradients that go back through layers of a kind as `rule` says: those of the reference, since
    no framework has such layers.
    """

    def make(module: ModuleType, right: Any) -> Callable[..., Gradients]:
        def wrong(
            model: Any, images: Array, labels: Array, *, loss: Loss = Loss(), train: bool = True
        ) -> Gradients:
            network = model.network
            taps = frozenset(site.path for site in nodes(network))
            seen, sources = Pass(train=train, taps=taps), inputs(network)
            as_reference(module, model).run(images, seen)
            choices = {}
            for site in walk(network):
                if isinstance(site.layer, kind):
                    source = sources[site.path]
                    x = images if source is None else seen.outputs[source]
                    made = rule(site, to_nhwc(x) if x.ndim == 4 else x)
                    choices[site.path] = ops.Choice(fixed=made)
            own = Pass(train=train, choices=choices)
            return run_gradients(as_reference(module, model), images, labels, own, loss=loss)

        return wrong

    return sabotage.instead("gradients", make, "gradients")


def _at_zero(value: float) -> Rule:
    return lambda site, x: np.where(x == 0, value, x > 0).astype(x.dtype)


def _last(site: LeafSite, x: Array) -> Array:
    """On integers: among equal ones the last is made the largest."""
    assert isinstance(site.layer, MaxPool)
    _, height, width, _ = x.shape
    order = np.arange(height * width).reshape(1, height, width, 1) / (2 * height * width)
    return ops.winners(x + order, site.layer, window_count(site))


def _capped(module: ModuleType, right: Any) -> Callable[..., Outputs]:
    """The outputs of the reference with every ReLU capped at 6."""
    relu = ops.relu

    def relu6(x: Array, choice: ops.Choice) -> tuple[Array, ops.Backward]:
        y, backward = relu(x, choice)
        return np.minimum(y, 6), backward

    def wrong(
        model: Any, images: Array, *, train: bool = False, taps: Iterable[str] = ()
    ) -> Outputs:
        with mock.patch.object(ops, "relu", relu6):
            return reference_forward(as_reference(module, model), images, train=train, taps=taps)

    return wrong


# What must stay as it is --------------------------------------------------------------------------


def _state() -> Iterator[Mutant]:
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
        if taps or "aux2" not in found:
            return found
        return {**found, "aux1": found["aux2"], "aux2": found["aux1"]}

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
