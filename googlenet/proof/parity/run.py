"""A parity run: the yardstick is measured once, then one worker process a framework is held against
it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...arrays import Params
from ...data.images import ImageSet
from ...jobs.workers import failure, run_worker, worker_environment
from ...spec.analysis import count_multiply_adds, count_parameters
from ...spec.layers import Network
from ...spec.loss import Loss
from ...version import __version__, source_digest
from ...weights.check import check_params
from .compare import GRADIENT_IMAGES, measure
from .job import Job
from .problem import Problem
from .rows import Comparison, Row
from .tolerance import EPS, FACTOR

#: (what, done, total) — `what` is "yardstick" or a framework; called often.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Result:
    """One framework's row: what it gave, or in `error` why it gave nothing."""

    framework: str
    comparison: Comparison = field(default_factory=Comparison)
    error: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    threads: str | None = None
    seconds: float = 0.0
    peak_memory_bytes: int = 0

    @property
    def passed(self) -> bool:
        """Whether it ran to the end and every row passed."""
        return self.error is None and self.comparison.passed

    def worst(self, rows: Sequence[Row]) -> Row | None:
        """The row nearest to its limit, or farthest beyond."""
        return max(rows, key=lambda row: row.ratio, default=None)

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole-word keys."""
        worst = self.worst(self.comparison.rows)
        return {
            "framework": self.framework,
            "passed": self.passed,
            "error": self.error,
            "first_divergence": self.comparison.first_divergence,
            "worst": None if worst is None else worst.to_json(),
            **self.comparison.to_json(),
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

    @property
    def passed(self) -> bool:
        """Whether every framework passed."""
        return all(result.passed for result in self.results)

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole-word keys."""
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
            "frameworks": [result.to_json() for result in self.results],
        }


@dataclass(frozen=True)
class ParityOptions:
    """How to run: workers at a time, images a piece, threads a worker, seconds without progress
    before a worker is ended.

    `train_steps` is the length of the trajectories that are compared, 0 for none.
    """

    jobs: int = 1
    chunk: int = 16
    threads: int | None = None
    timeout: float = 600.0
    label_smoothing: float = 0.1
    gradients: bool = True
    train_steps: int = 0
    interpreters: Mapping[str, str] = field(default_factory=dict)


def run_parity(
    network: Network,
    frameworks: Sequence[str],
    image_set: ImageSet,
    params: Params,
    *,
    seed: int,
    options: ParityOptions = ParityOptions(),
    progress: Progress = lambda what, done, total: None,
) -> Report:
    """Hold each of `frameworks` against the float64 reference on `image_set` with the weights
    `params`.

    Workers run one after another, or `options.jobs` at a time; one that crashes, hangs or runs out
    of memory fails its own row. Raises `WeightsError` if the weights do not fit the network.
    """
    params = check_params(network, params)
    loss = Loss(label_smoothing=options.label_smoothing)
    problem = Problem(network, params, image_set.images, image_set.labels, loss)
    total = len(problem.images)
    progress("yardstick", 0, total)
    yardsticks = measure(
        problem,
        chunk=options.chunk,
        gradients=options.gradients,
        train_steps=options.train_steps,
        report=lambda done: progress("yardstick", done, total),
    )
    with tempfile.TemporaryDirectory(prefix="googlenet-parity-") as name:
        folder = Path(name)
        Job(problem, options.chunk, yardsticks).save(folder)
        stop = threading.Event()

        def work(framework: str) -> Result:
            return _work(
                folder, framework, options, stop, lambda done: progress(framework, done, total)
            )

        with ThreadPoolExecutor(max_workers=options.jobs) as pool:
            try:
                results = tuple(pool.map(work, frameworks))
            except (
                BaseException
            ):  # Ctrl-C above all: the workers, in sessions of their own, do not hear it
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise
    return Report(network, image_set, seed, results, options.train_steps)


def _work(
    folder: Path,
    framework: str,
    options: ParityOptions,
    stop: threading.Event,
    report: Callable[[int], None],
) -> Result:
    """Start the worker, follow it, and read its answer."""
    interpreter = options.interpreters.get(framework, sys.executable)
    log, progress = folder / f"{framework}.log", folder / f"{framework}.progress"
    command = [interpreter, "-m", "googlenet.proof.parity.worker", str(folder), framework]

    def look() -> str:
        text = progress.read_text() if progress.exists() else ""
        report(int(text or 0))
        return text

    environment = worker_environment(options.threads, processes=options.jobs)
    ending = run_worker(command, log, environment, look=look, timeout=options.timeout, stop=stop)
    path = folder / f"{framework}.json"
    if ending.error is not None or ending.hung or not path.exists():
        error = failure(ending, log, timeout=options.timeout, memory_hint=MEMORY_HINT)
        return Result(framework, error=_older(interpreter, environment) or error)
    return _answer(path, framework)


def _older(interpreter: str, environment: Mapping[str, str]) -> str | None:
    """In words, that an interpreter which could not start its worker has another version of this
    project, in which the worker may have another name. None if it has this version, or none.
    """
    asked = [interpreter, "-c", "import googlenet; print(googlenet.__version__)"]
    try:
        done = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = done.stdout.strip()
    return _other_version(version) if version not in ("", __version__) else None


def _other_version(version: str) -> str:
    return (
        f"its interpreter has googlenet {version}, this one {__version__}; install the same in both"
    )


MEMORY_HINT = "give fewer images with --count or smaller pieces with --chunk"


def _answer(path: Path, framework: str) -> Result:
    answer = json.loads(path.read_text())
    error = _mismatch(answer) or answer.get("error")
    if error is not None:
        return Result(framework, error=error)
    return Result(
        framework,
        Comparison.from_json(answer),
        versions=answer["versions"],
        threads=answer["threads"],
        seconds=answer["seconds"],
        peak_memory_bytes=answer["peak_memory_bytes"],
    )


def _mismatch(answer: dict[str, Any]) -> str | None:
    """In words, why the worker that gave `answer` did not do what it was asked: its googlenet is
    another one than this. None if it is this one.
    """
    version = answer.get("versions", {}).get("googlenet", "unknown")
    if version != __version__:
        return _other_version(version)
    ours, theirs = source_digest(), answer.get("source", "unknown")
    if theirs != ours:
        return (
            f"its interpreter has other code of googlenet {version} (digest {theirs}) than this one"
            f" ({ours}); install the same checkout in both"
        )
    return None
