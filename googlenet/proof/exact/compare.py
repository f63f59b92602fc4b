"""A backend compared with an exact problem: every bit of every output, gradient and step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...arrays import Array, Params
from ...backend.protocols import Backend, Differentiates, HasForms, Trains
from ...spec.layers import BatchNorm, Network, Sequential
from ...spec.params import param_specs
from ...spec.recipe import Recipe
from ...spec.traversal import nodes, walk
from .bounds import SMALLEST_NORMAL
from .draw import variance
from .problem import ExactProblem, trains_exactly

#: The rates of the steps that are compared; with the momentum and decay below, powers of two.
RATES = (2.0**-2, 2.0**-4, 2.0**-1)
MOMENTUM, DECAY = 0.5, 0.25

#: As many channels as a processor takes at once, several times over.
CHANNELS = 64

#: What is compared, in this order: JSON's keys.
OUTPUTS, LOSS, GRADIENTS, TRAINING = "outputs", "loss", "gradients", "training"
COMPILED = "compiled"

#: What stands before the name of one of them.
WORDS = {
    OUTPUTS: "output of ",
    LOSS: "",
    GRADIENTS: "gradient of ",
    TRAINING: "training ",
    COMPILED: "",
}


@dataclass(frozen=True)
class Difference:
    """The first value that differs: in what, where, what it must be and what it is."""

    what: str
    name: str
    position: tuple[int, ...]
    expected: float
    actual: float

    def __str__(self) -> str:
        place = f"[{', '.join(map(str, self.position))}]" if self.position else ""
        return (
            f"{WORDS[self.what]}{self.name}{place}: expected {self.expected!r}, got {self.actual!r}"
        )

    def to_json(self) -> dict[str, Any]:
        """Whole words as keys; NaN and infinity, which JSON cannot hold, as text."""
        return {
            "what": self.what,
            "name": self.name,
            "position": list(self.position),
            "expected": _number(self.expected),
            "actual": _number(self.actual),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Difference:
        """The inverse of `to_json`. Raises `KeyError` for something that is not compared."""
        WORDS[values["what"]]
        return cls(
            values["what"],
            values["name"],
            tuple(values["position"]),
            float(values["expected"]),
            float(values["actual"]),
        )


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


@dataclass(frozen=True)
class ExactComparison:
    """How many values were compared and how many differ, by what was compared, and the first that
    differs; or in `unfit` why this backend cannot be asked for equal bits.
    """

    values: Mapping[str, int]
    differing: Mapping[str, int]
    first: Difference | None
    unfit: str | None = None

    @property
    def count(self) -> int:
        """How many values were compared."""
        return sum(self.values.values())

    @property
    def differences(self) -> int:
        """How many of them differ."""
        return sum(self.differing.values())

    @property
    def passed(self) -> bool:
        """Whether values were compared, and all have the right bits."""
        return self.count > 0 and self.differences == 0

    def to_json(self) -> dict[str, Any]:
        """Whole words as keys."""
        return {
            "passed": self.passed,
            "not_exact": self.unfit,
            "values": dict(self.values),
            "differing": dict(self.differing),
            "first_difference": None if self.first is None else self.first.to_json(),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ExactComparison:
        """The inverse of `to_json`."""
        first = values["first_difference"]
        return cls(
            dict(values["values"]),
            dict(values["differing"]),
            None if first is None else Difference.from_json(first),
            values["not_exact"],
        )


def compare_exact(
    backend: Backend,
    exact: ExactProblem,
    *,
    train: bool = False,
    compiled: bool = False,
    steps: int = len(RATES),
    device: str | None = None,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> ExactComparison:
    """Every layer and output without and with taps, the loss, every gradient, and for a network
    that trains as it predicts, up to three `steps` of a trainer. All in evaluation mode, or with
    `train` in training mode. With `compiled` also the outputs of each compiled form that the
    backend has.

    Bits must be equal, apart from the sign of a zero; subnormal numbers count as 0, and the loss,
    which holds a logarithm of each output, may be one unit in the last place away for each. Raises
    what the backend raises.
    """
    problem = exact.problem
    unfit = approximate_norm(backend, problem.network, device=device)
    if unfit is not None:
        return ExactComparison({}, {}, None, unfit)
    tally = _Tally()
    model = backend.build(problem.network, problem.params, device=device)
    calls: dict[str, Callable[[Array], dict[str, Array]]] = {}
    if compiled and isinstance(backend, HasForms):
        calls = {form: backend.compiled(model, form) for form in backend.compiled_forms}
    total = 2 + len(calls)
    plain = backend.forward(model, problem.images, train=train)
    for name in problem.network.outputs:
        tally.add(OUTPUTS, name, plain.get(name), exact.outputs[name])
    tapped = backend.forward(
        model, problem.images, train=train, taps=[site.path for site in nodes(problem.network)]
    )
    for name, expected in exact.outputs.items():
        tally.add(OUTPUTS, name, tapped.get(name), expected)
    report(1, total)
    if exact.gradients and isinstance(backend, Differentiates):
        loss, grads = backend.gradients(
            model, problem.images, problem.labels, loss=problem.loss, train=train
        )
        tally.add_loss(LOSS, "loss", loss, exact)
        for path, expected in reversed(exact.gradients.items()):
            tally.add(GRADIENTS, path, grads.get(path), expected)
        report(2, total)
        if isinstance(backend, Trains) and trains_exactly(problem.network):
            for name, actual, expected in _steps(backend, exact, steps, device, tally):
                tally.add(TRAINING, name, actual, expected)
    for done, (form, call) in enumerate(calls.items()):
        report(2 + done, total)
        found = call(problem.images)
        for name in problem.network.outputs:
            tally.add(COMPILED, f"{name} of {form}", found.get(name), exact.outputs[name])
    report(total, total)
    return ExactComparison(tally.values, tally.differing, tally.first)


#: How many units in the last place an approximate batch norm may be away; more is a difference.
NEAR = 4


def approximate_norm(
    backend: Backend, network: Network, *, device: str | None = None
) -> str | None:
    """Why batch norm of `backend` is not exact on this processor even where it divides by a power
    of two: some libraries take 1 / √ by an approximation. None if it is exact, or further away than
    that explains.
    """
    for layer in {site.layer for site in walk(network) if isinstance(site.layer, BatchNorm)}:
        probe = Network(
            "probe", Sequential((("norm", layer),)), (CHANNELS, 4, 4), "googlenet.proof.exact"
        )
        powers = np.where(np.arange(CHANNELS) % 2, 4.0, 1.0) if layer.scale else np.ones(CHANNELS)
        params = {
            "norm.weight": np.sqrt(powers),
            "norm.bias": np.zeros(CHANNELS),
            "norm.running_mean": np.zeros(CHANNELS),
            "norm.running_var": np.array([variance(power, layer.eps) for power in powers]),
        }
        images = np.broadcast_to(np.arange(16.0).reshape(4, 4), (1, CHANNELS, 4, 4)) * 273
        found = backend.forward(
            backend.build(
                probe,
                {path: params[path].astype(np.float32) for path in param_specs(probe)},
                device=device,
            ),
            images.astype(np.float32),
        )["logits"]
        error = np.abs(found - images)
        if error.any() and (error <= NEAR * np.spacing(images.astype(np.float32))).all():
            return (
                f"{backend.name}'s batch norm approximates 1/√x on this processor: where the exact"
                " result is a power of two, it is off in the last digits"
            )
    return None


def _steps(
    backend: Trains, exact: ExactProblem, count: int, device: str | None, tally: _Tally
) -> Iterator[tuple[str, Array | None, Array]]:
    """`count` single steps, each from the drawn weights and with the velocity that the backend
    gave, in whatever form it keeps it: loss, logits and weights.
    """
    problem = exact.problem
    loss = problem.loss
    velocity: Params = {}
    momenta: Params = {}
    exactly: dict[str, Array] = {}
    for number, rate in enumerate(RATES[:count]):
        recipe = Recipe(
            learning_rate=rate,
            momentum=MOMENTUM,
            weight_decay=DECAY,
            label_smoothing=loss.label_smoothing,
            aux_weights=loss.aux_weights,
        )
        trainer = backend.trainer(
            backend.build(problem.network, problem.params, device=device), recipe
        )
        if velocity:
            trainer.restore(velocity, learning_rate=RATES[number - 1])
        value, logits = trainer.step(problem.images, problem.labels, learning_rate=rate, seed=0)
        held = backend.params_of(trainer.model)
        tally.add_loss(TRAINING, f"step {number + 1}: loss", value, exact)
        yield f"step {number + 1}: logits", logits, exact.outputs["logits"]
        for path, spec in reversed(param_specs(problem.network).items()):
            if not spec.trainable:
                continue
            weight = problem.params[path].astype(np.float64)
            # The three terms of a step come in another order in each framework: only what no
            # order rounds is asked for.
            gradient, kept = exact.gradients[path].astype(np.float64), held.get(path)
            before = MOMENTUM * momenta.get(path, np.zeros(()))
            pull = gradient + DECAY * weight
            momentum = before + pull
            expected = weight - rate * momentum
            whole = exactly.get(path, np.full(weight.shape, True))
            for values in (before + gradient, pull, momentum, expected):
                whole = whole & _is_float32(values)
            momenta[path], exactly[path] = momentum, whole
            yield (
                f"step {number + 1}: {path}",
                kept[whole] if kept is not None and kept.shape == whole.shape else None,
                expected[whole].astype(np.float32),
            )
        velocity = trainer.velocity()


def _is_float32(values: Array) -> Array:
    """Which of the float64 `values` float32 holds exactly."""
    same: Array = values == values.astype(np.float32)
    return same


class _Tally:
    """Counts of values, and of those that differ."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self.differing: dict[str, int] = {}
        self.first: Difference | None = None

    def add(self, what: str, name: str, actual: Array | None, expected: Array) -> None:
        """Compare one array; one that is missing or has another shape differs everywhere."""
        if actual is None or actual.shape != expected.shape:
            actual = np.full(expected.shape, np.nan, np.float32)
        ours, theirs = _flushed(expected), _flushed(actual)
        wrong = ~(ours == theirs)
        self._count(what, expected.size, int(wrong.sum()))
        if self.first is None and wrong.any():
            place = tuple(int(i) for i in np.argwhere(wrong)[0])
            self.first = Difference(what, name, place, float(ours[place]), float(theirs[place]))

    def add_loss(self, what: str, name: str, actual: float, exact: ExactProblem) -> None:
        """Compare one loss, a sum with a logarithm for each output."""
        expected = exact.loss
        unit = np.spacing(np.float32(abs(expected)))
        near = abs(np.float64(actual) - expected) <= len(exact.problem.network.outputs) * unit
        self._count(what, 1, int(not near))
        if self.first is None and not near:
            self.first = Difference(what, name, (), expected, float(actual))

    def _count(self, what: str, values: int, differing: int) -> None:
        self.values[what] = self.values.get(what, 0) + values
        self.differing[what] = self.differing.get(what, 0) + differing


def _flushed(values: Array) -> Array:
    """float32 with subnormal numbers as 0."""
    kept = np.asarray(values)
    if kept.dtype != np.float32:
        kept = kept.astype(np.float64)
    return np.where(np.abs(kept) < SMALLEST_NORMAL, np.zeros((), kept.dtype), kept)
