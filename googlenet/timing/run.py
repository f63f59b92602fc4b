"""A run: every framework is started, makes what is to be timed, and is timed in its turn, in the
same order round after round, but beginning with another each time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..arrays import Array
from ..errors import BackendError
from ..jobs.job import Answer, Job, run_job
from ..proof.parity.problem import Problem
from ..proof.parity.quantised import int8_yardstick
from ..proof.parity.tolerance import forward_yardstick, limit
from ..reference import build
from ..reference.network import Pass
from ..spec.layers import Network
from ..spec.serial import to_json
from ..temporary import temporary_folder, unusable
from ..typed import made
from ..version import __version__
from ..weights.initial import init_params
from .cases import CHUNK, FORMS, INFERENCE, OWN, ROUNDOFF, SIDE, Case
from .spread import Ratio, median, spread
from .turns import STOP, answered, tell
from .worker import MACHINE

#: Called with who does what, how much of it is done, and how much there is.
Progress = Callable[[str, str, int, int], None]
TASK: Final = "googlenet.timing.worker:work"
#: How long a case is called again and again in one turn at least, in seconds.
LEAST: Final = 0.25
#: How long a worker waits before it begins, in seconds: threads of the one before it may still spin
#: for 0.2 s, as Intel's OpenMP lets them (KMP_BLOCKTIME).
SETTLE: Final = 0.25
PREPARING, ROUNDS, REFERENCE = "cases prepared", "rounds", "reference"


@dataclass(frozen=True)
class Timed:
    """One case in one framework: the seconds of a call in each round, those of the first call, with
    all that is made for it, and how far its outputs are from float64: in shares of the limit of its
    precision, that limit as a relative L2 distance, and the number of images of which the largest
    logit is the same, out of how many.

    In `error` is why it was not timed, or in `lacks` what the backend does not do at all, which is
    no failure.
    """

    framework: str
    case: Case
    seconds: tuple[float, ...] = ()
    first: float | None = None
    share: float | None = None
    agreeing: int | None = None
    compared: int | None = None
    error: str | None = None
    lacks: str | None = None
    limit: float | None = None

    @property
    def differs(self) -> bool:
        """Whether it is not the same function within the limit of its precision."""
        return self.share is not None and not self.share <= 1

    @property
    def vacuous(self) -> bool:
        """Whether the limit of its precision is so wide that zeros would pass."""
        return self.limit is not None and self.limit >= 1

    @property
    def median(self) -> float:
        """Seconds of a call."""
        return median(self.seconds)

    @property
    def spread(self) -> float:
        """Half of what lies between the quartiles, as a share of the median."""
        return spread(self.seconds)


@dataclass(frozen=True)
class Timings:
    """A whole run. `peak` is what the machine did in float32, in operations a second; None if it
    was not measured. `base` is the framework with which others are compared.
    """

    networks: tuple[Network, ...]
    timed: tuple[Timed, ...]
    peak: float | None
    base: str
    rounds: int
    threads: str | None
    scale: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    memory: Mapping[str, int] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether all that the backends do was timed, and nothing differs."""
        return not any(each.error is not None or each.differs for each in self.timed)

    @property
    def base_form(self) -> str:
        """In which form the base is: native, unless only the other was timed."""
        forms = {each.case.form for each in self.timed if each.case.work == INFERENCE}
        return next((form for form in FORMS if form in forms), FORMS[0])

    def ratio(self, timed: Timed) -> Ratio | None:
        """How many times as fast `timed` is as the base doing the same in float32; None for the
        base itself, or where one of them was not timed.
        """
        form = self.base_form if timed.case.work == INFERENCE else FORMS[0]
        case = Case(timed.case.network, form, timed.case.work, timed.case.batch)
        against = next(
            (each for each in self.timed if (each.framework, each.case) == (self.base, case)), None
        )
        if against is None or against is timed or not (against.seconds and timed.seconds):
            return None
        return Ratio.of(against.seconds, timed.seconds)

    def ratio_to_own(self, timed: Timed) -> Ratio | None:
        """How many times as fast `timed` is as the user's own model of the same framework; None for
        that itself, or where one of them was not timed.
        """
        case = Case(timed.case.network, OWN, INFERENCE, timed.case.batch)
        own = next(
            (each for each in self.timed if (each.framework, each.case) == (timed.framework, case)),
            None,
        )
        if own is None or own is timed or timed.case.work != INFERENCE:
            return None
        return Ratio.of(own.seconds, timed.seconds) if own.seconds and timed.seconds else None

    def share_of_peak(self, timed: Timed) -> float | None:
        """What part of the machine's operations a second it does; None in another precision."""
        if self.peak is None or timed.case.dtype != "float32" or not timed.seconds:
            return None
        return timed.case.operations(self.networks) / timed.median / self.peak

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole words as keys; times are in seconds."""
        return {
            "version": __version__,
            "networks": [
                {"name": each.name, "input_shape": list(each.input_shape)} for each in self.networks
            ],
            "rounds": self.rounds,
            "threads": self.threads,
            "base": self.base,
            "base_form": self.base_form,
            "scale": self.scale,
            "peak_operations_per_second": self.peak,
            "versions": dict(self.versions),
            "peak_memory_bytes": dict(self.memory),
            "passed": self.passed,
            "timed": [self._row(each) for each in self.timed],
        }

    def _row(self, each: Timed) -> dict[str, Any]:
        return {
            "framework": each.framework,
            **each.case.to_json(),
            "operations": each.case.operations(self.networks),
            "seconds": list(each.seconds),
            "median_seconds": each.median if each.seconds else None,
            "spread": each.spread if each.seconds else None,
            "images_per_second": each.case.batch / each.median if each.seconds else None,
            "first_call_seconds": each.first,
            "share_of_peak": self.share_of_peak(each),
            "share_of_limit": each.share,
            "limit": each.limit,
            "agreeing_images": each.agreeing,
            "compared_images": each.compared,
            "ratio_to_base": _ratio(self.ratio(each)),
            "ratio_to_own": _ratio(self.ratio_to_own(each)),
            "error": each.error,
            "lacks": each.lacks,
        }


def _ratio(ratio: Ratio | None) -> dict[str, Any] | None:
    return None if ratio is None else asdict(ratio) | {"told": ratio.told}


@dataclass(frozen=True)
class TimingOptions:
    """How to run: rounds, threads, the seconds without a sign of life after which a process is
    ended, and interpreters and devices by framework.
    """

    rounds: int = 7
    threads: int | None = None
    timeout: float = 600.0
    interpreters: Mapping[str, str] = field(default_factory=dict)
    devices: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    initializer: str = "he_normal"
    #: The file and the name of a user's own model by framework; "" for a whole file.
    own: Mapping[str, tuple[str, str]] = field(default_factory=dict)


class _Worker:
    """A process that takes turns."""

    def __init__(self, framework: str, folder: Path, running: Future[Answer]) -> None:
        self.framework, self.folder, self.running = framework, folder, running
        self._number = 0
        self.error: str | None = None

    def turn(self, values: dict[str, Any]) -> dict[str, Any]:
        """The answer to what is asked; an error if the process has ended."""
        if self.error is not None:
            return {"error": self.error}
        try:
            tell(self.folder, self._number, values)
            found = answered(self.folder, self._number, self._alive)
        except (OSError, ValueError, BackendError) as error:
            self.error = str(error)
            return {"error": self.error}
        self._number += 1
        return found

    def stop(self) -> None:
        if self.error is None:
            tell(self.folder, self._number, {STOP: True})

    def _alive(self) -> None:
        if self.running.done():
            found = self.running.result()
            raise BackendError(found.error or "its process ended before it was told to")


def run_timings(
    networks: Sequence[Network],
    frameworks: Sequence[str],
    cases: Sequence[Case],
    images: Sequence[Array],
    *,
    base: str,
    calibration: Sequence[Array] = (),
    scale: str | None = None,
    options: TimingOptions = TimingOptions(),
    progress: Progress = lambda who, stage, done, total: None,
) -> Timings:
    """Time `cases` in each of `frameworks`: of `networks`, on `images` (N, C, H, W), which has
    those of each network; if there are cases in int8, by those of `calibration`.

    Weights are drawn. A framework that crashes, hangs or cannot do a case has its error there, and
    the others go on. What is not the same function as the float64 reference is not timed. Raises
    `DataError` if the temporary folder cannot be used.
    """
    drawn = {"seed": options.seed, "initializer": options.initializer}
    with temporary_folder("bench") as folder:
        try:
            question = _question(networks, images, calibration, drawn, folder, progress)
            places = {name: folder / name for name in (MACHINE, *frameworks)}
            for place in places.values():
                place.mkdir()
                for each in question:
                    (place / each.name).symlink_to(each)
        except OSError as error:
            raise unusable(error) from error
        stop = threading.Event()
        values = {"networks": [to_json(each, labels=True) for each in networks], **drawn}
        with ThreadPoolExecutor(max_workers=len(places)) as pool:

            def started(name: str) -> _Worker:
                machine = name == MACHINE
                own, device = options.own.get(name), options.devices.get(name)
                asked = {**values, "machine": machine, "device": device, "own": own}
                framework = "numpy" if machine else name
                running = pool.submit(
                    run_job,
                    Job(TASK, framework, asked, memory_hint="give fewer or smaller cases"),
                    places[name],
                    interpreter=options.interpreters.get(framework),
                    threads=options.threads,
                    timeout=options.timeout,
                    stop=stop,
                )
                return _Worker(name, places[name], running)

            try:
                workers = [started(name) for name in places]
                found, peak = _timed(workers, cases, options, progress)
                for worker in workers:
                    worker.stop()
                answers = {each.framework: each.running.result() for each in workers}
            except BaseException:  # Ctrl-C above all
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise
    versions = {
        name: version for each in answers.values() for name, version in each.versions.items()
    }
    return Timings(
        tuple(networks),
        found,
        peak,
        base,
        options.rounds,
        next((each.threads for each in answers.values() if each.threads), None),
        scale,
        versions,
        {name: answers[name].peak_memory_bytes for name in frameworks if answers[name].versions},
    )


def _question(
    networks: Sequence[Network],
    images: Sequence[Array],
    calibration: Sequence[Array],
    drawn: Mapping[str, Any],
    folder: Path,
    progress: Progress,
) -> list[Path]:
    """The images of each network, what float64 makes of them, and how far each dtype may be from
    that, as files; those to calibrate int8 by, if there are any.
    """
    found = []
    for index, (network, given) in enumerate(zip(networks, images, strict=True)):
        progress(REFERENCE, "networks", index, len(networks))
        params = init_params(network, **drawn)
        run = Pass()
        build(network, params, dtype=np.float64).run(given, run)
        problem = Problem(network, params, given)
        most = limit(forward_yardstick(problem, chunk=CHUNK)["logits"])
        held: dict[str, Array] = {
            "images": given,
            "logits": run.outputs["logits"],
            **{f"limit-{dtype}": np.asarray(most * ratio) for dtype, ratio in ROUNDOFF.items()},
        }
        if calibration:
            few = calibration[index]
            yardstick = int8_yardstick(problem, few, chunk=CHUNK)["logits"]
            held |= {"calibration": few, "limit-int8": np.asarray(limit(yardstick))}
        for name, array in held.items():
            found.append(folder / f"{name}-{index}.npy")
            np.save(found[-1], array)
    progress(REFERENCE, "networks", len(networks), len(networks))
    return found


def _timed(
    workers: Sequence[_Worker],
    cases: Sequence[Case],
    options: TimingOptions,
    progress: Progress,
) -> tuple[tuple[Timed, ...], float | None]:
    """Every case of every worker, and the machine's operations a second."""
    matrices, rounds = Case(0, MACHINE, INFERENCE, 1), options.rounds
    plan = [
        (worker, case)
        for worker in workers
        for case in ((matrices,) if worker.framework == MACHINE else cases)
        if case.form != OWN or worker.framework in options.own
    ]
    first: list[dict[str, Any]] = []
    for done, (worker, case) in enumerate(plan):
        progress(worker.framework, PREPARING, done, len(plan))
        first.append(worker.turn({"prepare": True, "case": case.to_json()}))
    found = [
        _first(worker.framework, case, each)
        for (worker, case), each in zip(plan, first, strict=True)
    ]
    times: list[list[float]] = [[] for _ in plan]
    errors: list[str | None] = [each.error for each in found]
    for number in range(rounds + 1):  # of which the first is to warm up
        progress("all", ROUNDS, number, rounds + 1)
        for place in _order(len(plan), number):
            worker, case = plan[place]
            if errors[place] is not None or found[place].differs or found[place].lacks:
                continue
            asked = {"prepare": False, "case": case.to_json(), "least": LEAST, "settle": SETTLE}
            turn = worker.turn(asked)
            errors[place] = turn.get("error")
            if number and errors[place] is None:
                times[place].append(float(turn["seconds"]))
    progress("all", ROUNDS, rounds + 1, rounds + 1)
    rows = []
    peak = None
    for each, error, seconds in zip(found, errors, times, strict=True):
        whole = error is None and len(seconds) == rounds
        if each.framework == MACHINE:
            peak = 2 * SIDE**3 / median(seconds) if whole else None
        else:
            given = tuple(seconds) if whole else ()
            rows.append(replace(each, seconds=given, error=error))
    return tuple(rows), peak


def _order(count: int, number: int) -> list[int]:
    """The places of a plan in round `number`: all in turn, beginning with another each time, since
    what comes after something long may be slower.
    """
    start = number * max(count // 3, 1)
    return [(start + place) % count for place in range(count)]


def _first(framework: str, case: Case, answer: Mapping[str, Any]) -> Timed:
    """What a worker said of a case that it prepared."""
    if "error" in answer:
        return Timed(framework, case, error=str(answer["error"]))
    try:
        return made(lambda values: Timed(framework, case, **values), answer)
    except ValueError as error:
        return Timed(framework, case, error=f"its answer is not what was asked for ({error})")
