"""A parity run: the yardstick is measured once, then each framework is compared with it in its own
worker process.
"""

from __future__ import annotations

import math
import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, Final

from ...arrays import Params
from ...data.images import ImageSet
from ...errors import BackendError
from ...jobs.bounds import Bounds
from ...jobs.job import Answer, Job, run_job
from ...rounding import EPS
from ...spec.analysis import count_multiply_adds, count_parameters
from ...spec.layers import Network, plain
from ...spec.loss import Loss
from ...temporary import temporary_folder, unusable
from ...version import __version__
from ...weights.check import check_params
from ..exact.compare import ExactComparison
from ..exact.files import save_exact
from ..exact.problem import ExactProblem, draw_problem
from .compare import ATTEMPTS, GRADIENT_IMAGES, measure
from .files import Question
from .problem import Problem
from .rows import Comparison, Group, Row
from .tolerance import FACTOR, PROVABLE

#: Called often with `REFERENCE` or a framework, its stage, how much of it is done, and how much
#: there is.
Progress = Callable[[str, str, int, int], None]

#: The name under which the progress of the yardstick is reported.
REFERENCE = "reference"

#: What a framework is compared in, by the group of rows that shows that it was.
COMPARED: Final[Mapping[Group, str]] = {
    Group.OUTPUTS: "outputs",
    Group.GRADIENTS: "gradients",
    Group.TRAJECTORY: "training steps",
}

#: No more than this many pixels per side are asked for: networks are published at 299 and less.
LARGE = 448

MEMORY_HINT = "give fewer images (`count`) or a smaller `chunk`"


class Outcome(Enum):
    """What a run says of one framework, by the words that reports have for it."""

    SAME = "same"
    DIFFERENT = "differs"
    UNPROVED = "not proved"
    FAILED = "failed"


@dataclass(frozen=True)
class Result:
    """One framework's row: its results, or in `error` why there are none.

    `device` is the one that was asked for, None for the framework's default; `precision` are the
    settings under which it computed in float32.
    """

    framework: str
    comparison: Comparison = field(default_factory=Comparison)
    error: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    threads: str | None = None
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    device: str | None = None
    precision: Mapping[str, str] = field(default_factory=dict)
    exact: ExactComparison | None = None

    @property
    def outcome(self) -> Outcome:
        """Whether it is the same, as far as it was compared (`compared`), or why it is not called
        so.
        """
        if self.error is not None:
            return Outcome.FAILED
        if not self.comparison.passed or (self.exact is not None and self.exact.differences):
            return Outcome.DIFFERENT
        return Outcome.SAME if self.comparison.proved else Outcome.UNPROVED

    @property
    def passed(self) -> bool:
        """Whether it finished, no row is different, and enough could be proved."""
        return self.outcome is Outcome.SAME

    @property
    def compared(self) -> tuple[str, ...]:
        """What was compared, in words: outputs, gradients, training steps."""
        return tuple(words for group, words in COMPARED.items() if self.comparison[group])

    def worst(self, rows: Sequence[Row]) -> Row | None:
        """The row nearest to its limit, or farthest beyond it, of those that can be told."""
        told = [row for row in rows if row.provable]
        return max(told, key=lambda row: row.ratio, default=None)

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole words as keys."""
        worst, found = self.worst(self.comparison.rows), self.comparison
        share = found.largest_share
        return {
            "framework": self.framework,
            "passed": self.passed,
            "outcome": self.outcome.value,
            "error": self.error,
            "first_divergence": found.first_divergence,
            "compared": list(self.compared),
            "verdicts": {verdict.value: count for verdict, count in found.counts.items()},
            "not_proved": found.shortfall,
            "largest_share_of_limit": share if math.isfinite(share) else None,
            "worst": None if worst is None else worst.to_json(),
            **found.to_json(),
            "exact": None if self.exact is None else self.exact.to_json(),
            "device": self.device,
            "precision": dict(self.precision),
            "versions": dict(self.versions),
            "threads": self.threads,
            "seconds": round(self.seconds, 3),
            "peak_memory_bytes": self.peak_memory_bytes,
        }


@dataclass(frozen=True)
class Report:
    """A whole run: the network, the input, and a result for each framework."""

    network: Network
    image_set: ImageSet
    seed: int
    results: tuple[Result, ...]
    train_steps: int = 0
    gradients: bool = True
    exact: ExactProblem | None = None
    compiled: bool = False

    @property
    def passed(self) -> bool:
        """Whether every framework passed; see `Result.passed`."""
        return bool(self.results) and all(result.passed for result in self.results)

    @property
    def asked(self) -> tuple[str, ...]:
        """What was to be compared of every framework, in the words of `Result.compared`."""
        wanted = (True, self.gradients, self.train_steps > 0)
        return tuple(words for words, each in zip(COMPARED.values(), wanted, strict=True) if each)

    @property
    def advice(self) -> str:
        """What to give so that more can be proved."""
        more = ""
        if self.gradients and len(self.image_set.images) < GRADIENT_IMAGES:
            more += f"at least {GRADIENT_IMAGES} images (`count`), "
        side = 2 * min(self.network.input_shape[1:])
        if side <= LARGE:
            more += f"a larger `input_shape` (such as {side}×{side}), "
        return f"give {more}other images or other weights"

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole words as keys."""
        return {
            "name": self.network.name,
            "source": self.network.source,
            "input_shape": list(self.network.input_shape),
            "outputs": list(self.network.outputs),
            "parameters": count_parameters(self.network),
            "multiply_adds": count_multiply_adds(self.network),
            "images": self.image_set.description,
            "image_count": len(self.image_set.images),
            "gradient_image_count": min(len(self.image_set.images), GRADIENT_IMAGES),
            "train_steps": self.train_steps,
            "seed": self.seed,
            "factor": FACTOR,
            "smallest_yardstick": EPS,
            "version": __version__,
            "passed": self.passed,
            "provable_limit": PROVABLE,
            "exact_problem": None if self.exact is None else self.exact.to_json(),
            "frameworks": [result.to_json() for result in self.results],
        }


@dataclass(frozen=True)
class Task:
    """What a worker runs, as in `Job`, which answers as `worker.answer` does; `bounds` for a user's
    code.
    """

    name: str = "googlenet.proof.parity.worker:answer"
    values: Mapping[str, Any] = field(default_factory=dict)
    bounds: Bounds | None = None


@dataclass(frozen=True)
class ParityOptions:
    """How to run: workers at a time, images per chunk, threads per worker, and seconds without
    progress before a worker is killed.

    `train_steps` is the length of the trajectories that are compared, 0 for none; `devices` are by
    framework, in its own words; `exact` is the network whose bits are compared, too, with
    `compiled` also in the compiled forms of each framework. `tasks` are those, by framework,
    that compare something else than a native model.
    """

    jobs: int = 1
    chunk: int = 16
    threads: int | None = None
    timeout: float = 600.0
    label_smoothing: float = 0.1
    gradients: bool = True
    train_steps: int = 0
    interpreters: Mapping[str, str] = field(default_factory=dict)
    devices: Mapping[str, str] = field(default_factory=dict)
    exact: Network | None = None
    compiled: bool = False
    tasks: Mapping[str, Task] = field(default_factory=dict)


def run_parity(
    network: Network,
    frameworks: Sequence[str],
    image_set: ImageSet,
    params: Params,
    *,
    seed: int,
    options: ParityOptions = ParityOptions(),
    progress: Progress = lambda who, stage, done, total: None,
) -> Report:
    """Compare each of `frameworks` with the float64 reference on `image_set` with the weights
    `params`.

    Workers run one after another, or `options.jobs` at a time; one that crashes, hangs or runs out
    of memory fails only its own row. Raises `WeightsError` if the weights do not fit the network,
    and `SpecError` if `options.exact` cannot be drawn exactly.
    """
    params = check_params(network, params)
    loss = Loss(label_smoothing=plain(options.label_smoothing))
    problem = Problem(network, params, image_set.images, image_set.labels, loss)
    yardsticks = measure(
        problem,
        chunk=options.chunk,
        gradients=options.gradients,
        train_steps=options.train_steps,
        report=partial(progress, REFERENCE),
    )
    exact = None
    if options.exact is not None:
        exact = draw_problem(
            options.exact,
            seed=seed,
            gradients=options.gradients,
            report=partial(progress, REFERENCE, ATTEMPTS),
        )
    with temporary_folder("parity") as folder:
        question = folder / "question"
        try:
            question.mkdir()
            Question(problem, options.chunk, yardsticks).save(question)
            if exact is not None:
                save_exact(question, exact)
        except OSError as error:
            raise unusable(error) from error
        stop = threading.Event()

        def work(framework: str) -> Result:
            device = options.devices.get(framework)
            task = options.tasks.get(framework, Task())
            try:
                place = _copied(question, folder / framework)
            except OSError as error:
                return Result(framework, error=str(unusable(error)), device=device)
            answer = run_job(
                Job(
                    task.name,
                    framework,
                    {"device": device, "compiled": options.compiled, **task.values},
                    memory_hint=MEMORY_HINT,
                ),
                place,
                interpreter=options.interpreters.get(framework),
                threads=options.threads,
                processes=options.jobs,
                timeout=options.timeout,
                stop=stop,
                report=partial(progress, framework),
                bounds=task.bounds,
            )
            if answer.error is not None:
                return Result(framework, error=answer.error, device=device)
            try:
                return answer.give(partial(_result, framework, answer, device, exact is not None))
            except BackendError as error:
                return Result(framework, error=str(error), device=device)

        with ThreadPoolExecutor(max_workers=options.jobs) as pool:
            try:
                running = [pool.submit(work, framework) for framework in frameworks]
                results = tuple(map(_awaited, running))
            except (
                BaseException
            ):  # Ctrl-C above all: the workers, in their own sessions, do not receive it
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise
    return Report(
        network,
        image_set,
        seed,
        results,
        train_steps=options.train_steps,
        gradients=options.gradients,
        exact=exact,
        compiled=options.compiled,
    )


def _copied(question: Path, place: Path) -> Path:
    """A folder of its own for a worker, with what it is asked: whatever it does there, the others
    have theirs.
    """
    place.mkdir()
    for each in question.iterdir():
        try:
            os.link(each, place / each.name)
        except OSError:  # a file system without links
            shutil.copyfile(each, place / each.name)
    return place


def _result(
    framework: str, answer: Answer, device: str | None, exact: bool, values: Mapping[str, Any]
) -> Result:
    """What a worker answered, as its row."""
    return Result(
        framework,
        Comparison.from_json(values),
        versions=answer.versions,
        threads=answer.threads,
        seconds=answer.seconds,
        peak_memory_bytes=answer.peak_memory_bytes,
        device=device,
        precision=values["precision"],
        exact=ExactComparison.from_json(values["exact"]) if exact else None,
    )


def _awaited(running: Future[Result]) -> Result:
    """What `running` returns. It is not awaited in one go: a signal that comes just before such a
    wait would be heard only after it.
    """
    while not running.done():
        wait([running], timeout=0.2)
    return running.result()
