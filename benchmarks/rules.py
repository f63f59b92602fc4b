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
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from rules_of_proof import RULES, SUITE, Run, Step, Subject, caught_by
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
from googlenet.proof.parity.compare import compare, measure
from googlenet.proof.parity.problem import Problem, random_problem
from googlenet.proof.parity.tolerance import VARIANTS, Variant
from googlenet.reference.network import Model, Pass
from googlenet.spec.layers import (
    BatchNorm,
    Dense,
    Leaf,
    LocalResponseNorm,
    Network,
)
from googlenet.spec.loss import Loss
from googlenet.spec.rewrite import map_leaves, with_children
from googlenet.spec.traversal import (
    nodes,
    num_classes,
)

#: Local response normalisation asks the exact proof for a power of two, as many as there are.
EXACT_CLASSES = 8
#: Here the last map of the probe network without norms allows exact training steps.
TRAINED_SHAPE = (2, 48, 32)
#: The networks of the suite in which slips are drawn.
SLIPPED = ("googlenet", "googlenet_bn", "inception_v4")
TRAIN_STEPS = 3


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
