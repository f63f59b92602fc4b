"""Which rule catches what: `python benchmarks/rules.py torch --picture docs/rules.svg`.

The rules by which people tell that a network was rendered rightly, those of others and ours, are
applied to the same runs: every mutant of the conformance suite, as it spoils the framework; drawn
slips of single layers (slips.py); and right runs in float32, which no rule may reject. A run that
stops with an error counts as caught by every rule that needs it. It takes about three minutes if
the processor has nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from slips import Slip, Slipped, slips

import googlenet
from googlenet import reference
from googlenet.arrays import Array, Params, uniform
from googlenet.drawing.figures import arrange, check_picture, in_our_look, save_figure
from googlenet.proof.conformance import mutants
from googlenet.proof.conformance.case import ConformanceError
from googlenet.proof.conformance.exact import exact_networks
from googlenet.proof.conformance.mutant import Mutant
from googlenet.proof.conformance.networks import probe
from googlenet.proof.exact.compare import compare_exact
from googlenet.proof.exact.problem import ExactProblem, draw_problem
from googlenet.proof.parity.compare import Yardsticks, compare, measure
from googlenet.proof.parity.problem import Problem, random_problem
from googlenet.proof.parity.rows import Comparison, Group
from googlenet.proof.parity.tolerance import VARIANTS, Variant
from googlenet.reference.layout import to_nchw, to_nhwc
from googlenet.reference.network import Model, Pass
from googlenet.spec.layers import (
    BatchNorm,
    Concat,
    Conv,
    Dense,
    Leaf,
    LocalResponseNorm,
    Network,
    ReLU,
    Residual,
    Scale,
)
from googlenet.spec.loss import Loss
from googlenet.spec.params import param_specs
from googlenet.spec.rewrite import map_leaves, resolve, with_children
from googlenet.spec.traversal import (
    LeafSite,
    child_path,
    composites,
    inputs,
    nodes,
    num_classes,
    walk,
)

#: Local response normalisation asks the exact proof for a power of two, as many as there are.
EXACT_CLASSES = 8
#: Here the last map of the probe network without norms allows exact training steps.
TRAINED_SHAPE = (2, 48, 32)
#: The networks of the suite in which slips are drawn.
SLIPPED = ("googlenet", "googlenet_bn", "inception_v4")
TRAIN_STEPS = 3


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


# The rules ----------------------------------------------------------------------------------------
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


# The runs -----------------------------------------------------------------------------------------


def subject_of(
    problem: Problem, exact: list[ExactProblem], *, gradients: bool = True, steps: int = TRAIN_STEPS
) -> Subject:
    """A problem with the reference's answers."""
    outputs, taken = {}, {}
    for dtype in (np.float32, np.float64):
        model = reference.build(problem.network, problem.params, dtype=dtype)
        outputs[dtype] = reference.forward(model, problem.images)
        if gradients:
            taken[dtype] = step_of(reference, problem, dtype=dtype)
    yardsticks = measure(problem, gradients=gradients, train_steps=steps)
    return Subject(problem, outputs, taken, yardsticks, exact)


def step_of(backend: Any, problem: Problem, **kwargs: Any) -> Step:
    still = problem.still()
    model = backend.build(still.network, still.params, **kwargs)
    return Step(*backend.gradients(model, still.images, still.labels, loss=still.loss))


def copied(problem: Problem) -> Problem:
    """The same with images and labels of its own, since a mutant may change them."""
    return replace(problem, images=problem.images.copy(), labels=problem.labels.copy())


def run_of(backend: Any, subject: Subject, within: Callable[[Callable[[], None]], None]) -> Run:
    """All that the rules need of a backend; `within` calls each part where it is spoilt."""
    run = Run()

    def forward() -> None:
        problem = copied(subject.problem)
        model = backend.build(problem.network, problem.params)
        run.params = backend.params_of(model)
        run.outputs = backend.forward(model, problem.images.copy())
        taps = [site.path for site in nodes(problem.network)]
        run.layers = backend.forward(model, problem.images.copy(), taps=taps)

    def step() -> None:
        if subject.steps:
            run.step = step_of(backend, copied(subject.problem))

    def limits() -> None:
        run.comparison = compare(backend, copied(subject.problem), subject.yardsticks)

    def exact() -> None:
        for each in subject.exact:
            found = compare_exact(backend, replace(each, problem=copied(each.problem)))
            run.differing += found.differences

    for part in (forward, step, limits, exact):

        def attempt(part: Callable[[], None] = part) -> None:
            try:
                with np.errstate(all="ignore"):
                    part()
            except Exception:  # a spoilt backend may raise anything
                run.stopped.add(part.__name__)

        within(attempt)
    return run


def plainly(call: Callable[[], None]) -> None:
    call()


def spoilt(mutant: Mutant, backend: ModuleType) -> Callable[[Callable[[], None]], None]:
    """Calls what it is given while a backend is sabotaged, whether or not that is reached."""

    def within(call: Callable[[], None]) -> None:
        try:
            with mutant.sabotage(backend):
                call()
        except ConformanceError:
            return  # nothing called what was replaced

    return within


class SlippedReference:
    """The reference in float32 with one slip, forward only."""

    name = "numpy"
    unbiased_running_variance = False
    params_of = staticmethod(reference.params_of)
    forward = staticmethod(reference.forward)

    def __init__(self, slip: Slip) -> None:
        self.slip = slip

    def build(self, network: Network, params: Params, *, device: str | None = None) -> Model:
        model = object.__new__(Slipped)
        model.slip = self.slip
        Model.__init__(model, network, params)
        return model


class VariedReference:
    """The reference in float32 that rounds in another way."""

    name = "numpy"
    unbiased_running_variance = False
    build = staticmethod(reference.build)
    params_of = staticmethod(reference.params_of)

    def __init__(self, variant: Variant) -> None:
        self.variant = variant

    def forward(
        self, model: Model, images: Array, *, train: bool = False, taps: Iterable[str] = ()
    ) -> Params:
        run = Pass(train=train, taps=frozenset(taps), dot=self.variant.dot)
        model.run(self.variant.prepare(images), run)
        return {
            name: np.ascontiguousarray(self.variant.restore(y)) for name, y in run.outputs.items()
        }

    def gradients(
        self, model: Model, images: Array, labels: Array, *, loss: Loss, train: bool = True
    ) -> tuple[float, Params]:
        images, labels = self.variant.prepare(images), self.variant.restore(labels)
        run = Pass(train=train, dot=self.variant.dot)
        return reference.run_gradients(model, images, labels, run, loss=loss)


def exact_problems(seed: int) -> list[ExactProblem]:
    """The network of the mutants with as many classes as the exact proof needs; and without norms,
    so that training is exact, too.
    """

    def wider(layer: Any) -> Any:
        last = isinstance(layer, Dense) and layer.out_features == num_classes(probe())
        return replace(layer, out_features=EXACT_CLASSES) if last else layer

    def without_norms(layer: Any) -> Any:
        """A mutant of a layer that is left out is not reached."""
        if isinstance(layer, Leaf):
            return layer
        kept = {
            name: without_norms(child)
            for name, child in layer.children
            if not isinstance(child, (LocalResponseNorm, BatchNorm))
        }
        return with_children(layer, kept)

    network = map_leaves(probe(), wider)
    trained = replace(network, layers=without_norms(network.layers)).at(TRAINED_SHAPE)
    return [draw_problem(each, seed=seed) for each in (network, trained)]


def spoilt_runs(backend: ModuleType) -> Iterator[tuple[str, bool, dict[str, bool]]]:
    """Of each mutant its name, whether it moves a bit of an output or a weight in evaluation mode,
    and which rules catch it.
    """
    problem = random_problem(probe(), loss=Loss(label_smoothing=0.1))
    subject = subject_of(problem, exact_problems(0))
    right = run_of(backend, subject, plainly)
    for mutant in mutants():
        run = run_of(backend, subject, spoilt(mutant, backend))
        moved = "forward" in run.stopped or any(
            not np.array_equal(ours[name], found.get(name))
            for ours, found in (
                (right.outputs, run.outputs),
                (right.layers, run.layers),
                (right.params, run.params),
            )
            for name in ours
        )
        try:
            mutant.check(backend)
            named = True
        except ConformanceError:
            named = False
        yield str(mutant), moved, {**caught_by(subject, run), SUITE: named}


def slipped_runs(count: int, seed: int) -> Iterator[tuple[str, dict[str, bool]]]:
    """Of each drawn slip its name, and which rules catch it."""
    subjects = []
    for name in SLIPPED:
        network = exact_networks()[name]
        problem = random_problem(network, classes=num_classes(network))
        subjects.append(subject_of(problem, [draw_problem(network)], gradients=False, steps=0))
    every = [(each, slip) for each in subjects for slip in slips(each.problem.network)]
    draw = uniform(seed, "rules")(len(every))
    for number in np.argsort(draw)[:count]:
        subject, slip = every[number]
        run = run_of(SlippedReference(slip), subject, plainly)
        where = f"{slip[0]} at {slip[1]} of {subject.problem.network.name}"
        yield where, caught_by(subject, run)


def right_runs(backend: ModuleType, seeds: int) -> Iterator[tuple[str, dict[str, bool]]]:
    """Of each right run its name, and which rules reject it: the framework, and the reference with
    the batch reversed and with its sums taken piece by piece.
    """
    others = {each.name: VariedReference(each) for each in VARIANTS[:2]}
    for seed in range(1, seeds + 1):
        problem = random_problem(probe(), seed=seed, loss=Loss(label_smoothing=0.1))
        subject = subject_of(problem, exact_problems(seed))
        for name, right in {backend.name: backend, **others}.items():
            run = run_of(right, subject, plainly)
            yield f"{name}, seed {seed}", caught_by(subject, run)


# Report -------------------------------------------------------------------------------------------


def counted(number: int, what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{what}: {number + 1}   ", end="", file=sys.stderr)


def report(framework: str, slip_count: int, seeds: int, seed: int) -> dict[str, Any]:
    backend = googlenet.get_backend(framework)
    spoiled, moving, slipped, right = {}, [], {}, {}
    for number, (name, moved, caught) in enumerate(spoilt_runs(backend)):
        counted(number, "mutants")
        spoiled[name] = caught
        moving += [name] * moved
    for number, (name, caught) in enumerate(slipped_runs(slip_count, seed)):
        counted(number, "slips")
        slipped[name] = caught
    for number, (name, caught) in enumerate(right_runs(backend, seeds)):
        counted(number, "right runs")
        right[name] = caught

    def among(runs: Mapping[str, Mapping[str, bool]], rule: str) -> list[str] | None:
        found = [name for name, caught in runs.items() if caught.get(rule)]
        return found if any(rule in caught for caught in runs.values()) else None

    return {
        "framework": framework,
        "mutants": len(spoiled),
        "mutants_in_evaluation_mode": moving,
        "slips": len(slipped),
        "right_runs": len(right),
        "rules": {
            rule: {
                "mutants": among(spoiled, rule),
                "slips": among(slipped, rule),
                "false_alarms": among(right, rule),
            }
            for rule in (*RULES, SUITE)
        },
        "missed": {
            "mutants": {
                rule: [name for name, caught in spoiled.items() if not caught[rule]]
                for rule in (*RULES, SUITE)
            },
            "slips": {
                rule: [name for name, caught in slipped.items() if not caught[rule]]
                for rule in RULES
            },
        },
    }


def number_of(found: list[str] | None) -> str:
    return "–" if found is None else str(len(found))


def table(answer: Mapping[str, Any]) -> str:
    lines = [
        f"| rule | of {answer['mutants']} mutants | of {answer['slips']} slips |"
        f" false alarms in {answer['right_runs']} right runs |",
        "|---|---|---|---|",
    ]
    for rule, found in answer["rules"].items():
        cells = (number_of(found[key]) for key in ("mutants", "slips", "false_alarms"))
        lines.append(f"| {rule} | {' | '.join(cells)} |")
    return "\n".join(lines)


@in_our_look
def figure_of(answer: Mapping[str, Any]) -> Any:
    """Two bars for each rule, and its false alarms."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    kinds = (("mutants", "#4477aa", -0.2), ("slips", "#66ccee", 0.2))
    rules = answer["rules"]
    figure = Figure()
    axes = figure.subplots()
    for row, found in enumerate(rules.values()):
        for key, colour, offset in kinds:
            if found[key] is None:
                continue
            share = len(found[key]) / max(answer[key], 1)
            axes.barh(row + offset, share, height=0.38, color=colour)
            axes.annotate(
                str(len(found[key])),
                (share, row + offset),
                xytext=(4, 0),
                textcoords="offset points",
                va="center_baseline",
            )
        if found["false_alarms"] is not None:
            alarms = len(found["false_alarms"])
            axes.annotate(
                str(alarms),
                (1.22, row),
                ha="right",
                va="center_baseline",
                color="#cc3311" if alarms else "0.35",
                fontweight="bold" if alarms else "normal",
            )
    axes.annotate("false alarms", (1.22, -0.75), ha="right", va="bottom", annotation_clip=False)
    axes.annotate("caught", (0, -0.75), ha="left", va="bottom", annotation_clip=False)
    axes.set_yticks(range(len(rules)), list(rules))
    axes.set_ylim(len(rules) - 0.5, -0.6)
    axes.set_xlim(0, 1.22)
    axes.tick_params(left=False)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    labels = {
        "mutants": f"{answer['mutants']} mutants of the {answer['framework']} adapter",
        "slips": f"{answer['slips']} slips of single layers",
    }
    arrange(
        figure,
        0.5 * len(rules) + 0.6,
        title="Which rule catches what",
        settings=f"how many of the wrong networks each rule rejects, and of"
        f" {answer['right_runs']} right runs (false alarms)",
        legends=[[Patch(color=colour, label=labels[key]) for key, colour, _ in kinds]],
    )
    return figure


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("framework")
    parser.add_argument("--slips", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=67, help="three right runs each (default: 67)")
    parser.add_argument("--seed", type=int, default=0, help="draws the slips")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    if arguments.picture is not None:
        check_picture(arguments.picture)
    answer = report(arguments.framework, arguments.slips, arguments.seeds, arguments.seed)
    if arguments.picture is not None:
        save_figure(arguments.picture, figure_of(answer), "Which rule catches what")
    if arguments.json:
        print(json.dumps(answer, indent=2))
    else:
        print(table(answer))
        moving = len(answer["mutants_in_evaluation_mode"])
        print(f"\n{moving} of {answer['mutants']} mutants move a bit in evaluation mode")
    ours = answer["rules"]["our limits and exact proof"]
    return 1 if ours["false_alarms"] else 0


if __name__ == "__main__":
    sys.exit(main())
