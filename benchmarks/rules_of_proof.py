"""The rules by which people tell that a network was rendered rightly, those of others and ours, and
what they look at: see rules.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from googlenet import reference
from googlenet.arrays import Array, Params
from googlenet.proof.exact.problem import ExactProblem
from googlenet.proof.parity.compare import Yardsticks
from googlenet.proof.parity.problem import Problem
from googlenet.proof.parity.rows import Comparison, Group
from googlenet.reference.layout import to_nchw, to_nhwc
from googlenet.reference.network import Pass
from googlenet.spec.layers import (
    BatchNorm,
    Concat,
    Conv,
    Dense,
    ReLU,
    Residual,
    Scale,
)
from googlenet.spec.params import param_specs
from googlenet.spec.rewrite import resolve
from googlenet.spec.traversal import (
    LeafSite,
    child_path,
    composites,
    inputs,
    walk,
)


@dataclass(frozen=True)
class Step:
    """The loss and gradients of one step in training mode, dropout at rate 0."""

    loss: float
    gradients: Params


@dataclass(frozen=True, eq=False)
class Subject:
    """A problem, and what the reference makes of it in float32 and in float64: `outputs` by name,
    and the `step`, unless gradients are not asked for.
    """

    problem: Problem
    outputs: Mapping[type, Params]
    steps: Mapping[type, Step]
    yardsticks: Yardsticks
    exact: list[ExactProblem] = field(default_factory=list)


@dataclass
class Run:
    """What a rendering gave; None where it stopped with an error, or was not asked.

    `stopped` are the parts that did: "forward", "step", "limits" or "exact".
    """

    outputs: Params = field(default_factory=dict)
    layers: Params = field(default_factory=dict)
    params: Params = field(default_factory=dict)
    step: Step | None = None
    comparison: Comparison | None = None
    differing: int = 0
    stopped: set[str] = field(default_factory=set)


# Each says whether a run passes. `subject.outputs[np.float32]` is the other framework that people
# compare with.


def shapes(subject: Subject, run: Run) -> bool:
    """Equal shapes of all outputs, and equal shapes and so numbers of parameters: what a summary
    such as torchinfo or `model.summary()` shows.
    """
    wanted = {path: spec.shape for path, spec in param_specs(subject.problem.network).items()}
    return {path: array.shape for path, array in run.params.items()} == wanted and {
        name: y.shape for name, y in run.outputs.items()
    } == {name: y.shape for name, y in subject.outputs[np.float32].items()}


def argmax(subject: Subject, run: Run) -> bool:
    """The same first class for every image: what a check by accuracy, or by one photo, comes to."""
    ours = subject.outputs[np.float32]["logits"]
    found = run.outputs["logits"]
    return found.shape == ours.shape and bool((found.argmax(1) == ours.argmax(1)).all())


def cosine(subject: Subject, run: Run) -> bool:
    """Cosine similarity of the logits at least 0.99: `same(…, cos_similarity=True)` in PyTorch's
    torch/_dynamo/utils.py, and a habit with quantised models.
    """
    a, b = (
        each["logits"].ravel().astype(np.float64)
        for each in (subject.outputs[np.float32], run.outputs)
    )
    return a.shape == b.shape and bool(a @ b >= 0.99 * np.linalg.norm(a) * np.linalg.norm(b))


def sorted_outputs(subject: Subject, run: Run) -> bool:
    """MMdnn's `CorrectnessTest` in tests/utils.py: both outputs flattened and sorted, then a
    signal-to-noise ratio above 12 dB, at the peak above 30 dB, and errors below 0.15 of
    max(1, |x|, |y|).
    """
    y, x = (
        np.sort(each["logits"].ravel().astype(np.float64))
        for each in (subject.outputs[np.float32], run.outputs)
    )
    size = min(len(x), len(y))
    x, y = x[-size:], y[-size:]
    noise = ((x - y) ** 2).mean() + 1e-7
    error = np.abs(x - y) / np.maximum(1, np.maximum(np.abs(x), np.abs(y)))
    return bool(
        10 * np.log10((y**2).mean() / noise) > 12
        and 10 * np.log10((y**2).max() / noise) > 30
        and error.max() < 0.15
    )


def close(tolerance: float) -> Rule:
    """`numpy.allclose` of the logits with the same relative and absolute tolerance: from 1e-3 to
    1e-5, as exporters and converters check what they made.
    """

    def rule(subject: Subject, run: Run) -> bool:
        a, b = subject.outputs[np.float32]["logits"], run.outputs["logits"]
        return a.shape == b.shape and np.allclose(b, a, rtol=tolerance, atol=tolerance)

    return rule


def dynamo(subject: Subject, run: Run) -> bool:
    """`same` in PyTorch's torch/_dynamo/utils.py, by which its compilers are tested, with its
    default tolerance of 1e-4: allclose, or a root mean square error from float64 of at most 2 times
    that of plain float32, 3 times for tensors below 1000 elements, plus a tenth of the tolerance.
    As in torch/_dynamo/testing.py, on the outputs, the loss and every gradient.
    """

    def same(plain: Array, found: Array | None, exact: Array) -> bool:
        if found is None or found.shape != plain.shape:
            return False
        if np.allclose(found, plain, rtol=1e-4, atol=1e-4):
            return True
        ours, theirs = (np.sqrt(np.mean((exact - each) ** 2)) for each in (plain, found))
        return bool(theirs <= (3 if exact.size < 1000 else 2) * ours + 1e-5)

    wanted = [(subject.outputs[np.float32], run.outputs, subject.outputs[np.float64])]
    if subject.steps:
        if run.step is None:
            return False
        plain, exact = (subject.steps[dtype] for dtype in (np.float32, np.float64))
        wanted.append(
            tuple(
                {**each.gradients, "loss": np.array([each.loss])}
                for each in (plain, run.step, exact)
            )
        )
    return all(
        same(plain[name], found.get(name), exact[name])
        for plain, found, exact in wanted
        for name in plain
    )


def webnn(subject: Subject, run: Run) -> bool:
    """The tolerances of the WebNN conformance tests, in units in the last place (web-platform-tests
    webnn/resources/utils.js): 2·kh·kw·C/groups for a convolution, 2·n for a product of matrices, 6
    for batch norm, 1 for each sum or product, 0 for a ReLU or a concatenation. Pools and local
    response normalisation are left out.

    Each layer is tested by itself, on what the run's own layers gave it.
    """
    network = subject.problem.network
    model = reference.build(network, subject.problem.params, dtype=np.float64)
    sources = inputs(network)
    for site in walk(resolve(network)):
        allowed = _ulps(site)
        if allowed is None:
            continue
        source = sources[site.path]
        x = subject.problem.images if source is None else run.layers[source]
        x = x.astype(np.float64)
        y, _ = model._compute(site)(to_nhwc(x) if x.ndim == 4 else x, Pass())
        if _ulps_apart(run.layers[site.path], to_nchw(y)) > allowed:
            return False
    for site in composites(network):
        match site.layer:
            case Concat(children) if children:
                paths = [child_path(site.layer, site.path, name) for name, _ in children]
                expected, allowed = np.concatenate([run.layers[each] for each in paths], 1), 0
            case Residual(scale=scale):
                body, shortcut = (
                    run.layers.get(child_path(site.layer, site.path, name))
                    for name in ("body", "shortcut")
                )
                if body is None or shortcut is None:
                    continue  # a shortcut without layers
                expected, allowed = shortcut + np.float64(scale) * body, 2
            case _:
                continue
        if _ulps_apart(run.layers[site.path], expected) > allowed:
            return False
    return True


def _ulps(site: LeafSite) -> int | None:
    match site.layer:
        case Conv(kernel_size=(height, width), groups=groups):
            return 2 * height * width * site.in_shape[0] // groups
        case Dense():
            return 2 * int(np.prod(site.in_shape)) + 1
        case BatchNorm():
            return 6
        case Scale():
            return 1
        case ReLU():
            return 0
        case _:
            return None


def _ulps_apart(found: Array, expected: Array) -> float:
    """The largest distance in units in the last place of float32."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return np.inf
    ours, theirs = (
        np.where(each < 0, -1, 1) * np.abs(each).astype(np.float32).view(np.int32).astype(np.int64)
        for each in (expected, found)
    )
    return float(np.abs(ours - theirs).max())


def limits_of_outputs(subject: Subject, run: Run) -> bool:
    """Our derived limits on the weights and on every layer in evaluation mode
    (docs/tolerances.md).
    """
    assert run.comparison is not None
    return all(
        row.passed for group in (Group.WEIGHTS, Group.OUTPUTS) for row in run.comparison[group]
    )


def limits(subject: Subject, run: Run) -> bool:
    """Our derived limits on everything: outputs, a step's loss and gradients, running statistics,
    and three steps of training.
    """
    assert run.comparison is not None
    return run.comparison.passed


def exact(subject: Subject, run: Run) -> bool:
    """Every bit of outputs, gradients and training steps on drawn problems in which float32 rounds
    nothing.
    """
    return run.differing == 0


def both(subject: Subject, run: Run) -> bool:
    """What `googlenet parity --exact` asks for: the derived limits and the exact proof."""
    return limits(subject, run) and exact(subject, run)


Rule = Callable[[Subject, Run], bool]
#: What each rule needs: it takes a run for wrong that stops there with an error.
OUTPUTS, STEP = frozenset({"forward"}), frozenset({"forward", "step"})
LIMITS, EXACT = frozenset({"forward", "limits"}), frozenset({"forward", "exact"})
RULES: dict[str, tuple[Rule, frozenset[str]]] = {
    "shapes and parameter counts": (shapes, OUTPUTS),
    "argmax of the logits": (argmax, OUTPUTS),
    "cosine similarity 0.99": (cosine, OUTPUTS),
    "sorted outputs, 12 dB (MMdnn)": (sorted_outputs, OUTPUTS),
    "logits within 1e-3": (close(1e-3), OUTPUTS),
    "logits within 1e-4": (close(1e-4), OUTPUTS),
    "logits within 1e-5": (close(1e-5), OUTPUTS),
    "PyTorch dynamo's rule": (dynamo, STEP),
    "WebNN's ulps, layer by layer": (webnn, OUTPUTS),
    "our limits, layers only": (limits_of_outputs, LIMITS),
    "our limits, everything": (limits, LIMITS),
    "our exact proof": (exact, EXACT),
    "our limits and exact proof": (both, LIMITS | EXACT),
}
SUITE = "our conformance suite"


def caught_by(subject: Subject, run: Run) -> dict[str, bool]:
    """Which rules reject a run."""
    with np.errstate(all="ignore"):
        return {
            name: bool(run.stopped & needed) or not rule(subject, run)
            for name, (rule, needed) in RULES.items()
        }
