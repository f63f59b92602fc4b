"""One framework's part of a run, in its own process: the task of its job. It makes what is to be
timed, and times it whenever it is its turn.
"""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..arrays import Array, Params
from ..backend.compiling import CALIBRATED
from ..backend.discovery import get_backend
from ..backend.protocols import Backend, Compiles, Quantises, RunsFiles, RunsOwn, Trains
from ..backend.threads import use_threads
from ..errors import GoogLeNetError, TraceError
from ..jobs.job import Report
from ..jobs.own import load_own, users_code
from ..proof.parity.problem import Problem
from ..proof.parity.tolerance import Distance, forward_yardstick, limit
from ..reference import build
from ..reference.network import Pass
from ..spec.diff import differences
from ..spec.layers import Network
from ..spec.recipe import Recipe
from ..spec.serial import from_json
from ..spec.traversal import num_classes
from ..tracing.flat import flat
from ..tracing.lift import lift
from ..tracing.network import as_traced, foreign
from ..weights.formats import read_weights_file
from ..weights.initial import init_params
from ..weights.zoo.convert import import_graph
from .cases import CHUNK, OWN, SIDE, TRAINING, Case
from .turns import STOP, answer, asked

#: The framework's name under which the machine itself is timed, by NumPy.
MACHINE: Final = "machine"
#: A step that changes weights little, so that any number of them stays finite.
RATE: Final = 1e-6
WAITING: Final = "waiting"


def work(framework: str, values: Mapping[str, Any], folder: Path, report: Report) -> dict[str, Any]:
    """Take turns until told to stop."""
    beats = 0

    def alive() -> None:
        nonlocal beats
        beats += 1
        report(WAITING, beats, 0)

    timed = _Product() if values["machine"] else _Models(framework, values, folder)
    number = 0
    while (turn := asked(folder, number, alive)) != {STOP: True}:
        alive()
        answer(folder, number, _done(timed, turn))
        number += 1
    return {}


def _done(timed: _Product | _Models, turn: Mapping[str, Any]) -> dict[str, Any]:
    """What a turn gave: values, or an error in words, which ends this case alone."""
    try:
        if turn["prepare"]:
            return timed.prepare(Case(**turn["case"]))
        call = timed.call(Case(**turn["case"]))
        time.sleep(turn["settle"])
        return {"seconds": _seconds(call, turn["least"])}
    except MemoryError:
        return {"error": "ran out of memory"}
    except GoogLeNetError as error:
        return {"error": str(error)}
    # A framework may raise anything: only its own case fails, and the log keeps the traceback.
    except Exception as error:
        traceback.print_exc()
        first = next(iter(str(error).strip().splitlines()), "no message")
        return {"error": f"{type(error).__name__}: {first}"}


def _seconds(call: Callable[[], object], least: float) -> float:
    """The mean seconds of a call, made again and again for at least `least` seconds after a first
    one that does not count: another process had the caches before. No garbage is collected
    meanwhile.
    """
    call()
    gc.collect()
    gc.disable()
    try:
        count, start = 0, time.perf_counter()
        while True:
            call()
            count += 1
            taken = time.perf_counter() - start
            if taken >= least:
                return taken / count
    finally:
        gc.enable()


class _Product:
    """The product of two square matrices, by which machines are measured."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self._a, self._b = random.random((2, SIDE, SIDE), dtype=np.float32)

    def prepare(self, case: Case) -> dict[str, Any]:
        start = time.perf_counter()
        self.call(case)()
        return {"first": time.perf_counter() - start}

    def call(self, case: Case) -> Callable[[], object]:
        return lambda: self._a @ self._b


@dataclass(frozen=True)
class _Own:
    """A user's model: what calls it on images (N, C, H, W), which of its outputs the logits are,
    those (N, K) of float64 on the first images, and how far it may be from them.
    """

    call: Callable[[Array], list[Array]]
    place: int
    logits: Array
    limit: float


class _Models:
    """A framework's models, by case."""

    def __init__(self, framework: str, values: Mapping[str, Any], folder: Path) -> None:
        self._backend = get_backend(framework)
        use_threads(self._backend)
        self._networks: list[Network] = [from_json(each) for each in values["networks"]]
        self._folder, self._device = folder, values["device"]
        self._drawn = {"seed": values["seed"], "initializer": values["initializer"]}
        self._calls: dict[Case, Callable[[], object]] = {}
        self._natives: dict[int, Any] = {}
        self._own: tuple[str, str] | None = None if values["own"] is None else tuple(values["own"])
        self._framework = framework
        self._theirs: dict[int, _Own] = {}

    def prepare(self, case: Case) -> dict[str, Any]:
        """Make what `case` times, and call it once."""
        if lacks := self._lacks(case):
            return {"lacks": lacks}
        images = self._images(case)
        if case.form == OWN:
            return self._prepared_own(case, images)
        start = time.perf_counter()
        self._calls[case] = call = self._made(case, images)
        found = call()
        first = time.perf_counter() - start
        return {"first": first, **self._compared(case, found)}

    def call(self, case: Case) -> Callable[[], object]:
        return self._calls[case]

    def _lacks(self, case: Case) -> str:
        """What the backend cannot do of a case, in words; empty if it can do all."""
        if case.work == TRAINING:
            return "" if isinstance(self._backend, Trains) else "does not train"
        compiles = case.form == "native" or isinstance(self._backend, Compiles)
        return "" if compiles else "does not compile"

    def _prepared_own(self, case: Case, images: Array) -> dict[str, Any]:
        """The same of the user's model, called as its user calls it."""
        if case.network not in self._theirs:
            assert self._own is not None
            _, name = self._own
            if name and isinstance(self._backend, RunsOwn):
                made = self._own_of(self._backend, case.network)
            elif not name and isinstance(self._backend, RunsFiles):
                made = self._in_file(self._backend, case.network)
            else:
                return {"lacks": f"does not run {'models' if name else 'files'} of users"}
            self._theirs[case.network] = made
        theirs = self._theirs[case.network]
        start = time.perf_counter()
        self._calls[case] = lambda: theirs.call(images)
        logits = theirs.call(images)[theirs.place]
        first = time.perf_counter() - start
        return {"first": first, **_told(logits, theirs.logits, theirs.limit)}

    def _own_of(self, backend: RunsOwn, index: int) -> _Own:
        """The user's model, with its own weights, and what float64 makes of the network that it was
        traced as. Raises `TraceError` if that is not the one that is timed.
        """
        assert self._own is not None
        network, (file, name) = self._networks[index], self._own
        model = load_own(file, name, self._framework)
        images: Array = np.load(self._folder / f"images-{index}.npy")[:CHUNK]
        with users_code(file):
            graph, _ = backend.trace(model, images)
            tree = lift(graph)
            if strange := next(foreign(tree), None):
                raise TraceError(f"{file}: {strange.place}: the spec does not have this layer")
            found = as_traced(tree, name, network.input_shape, f"{file}:{name}")
            apart = differences(flat(network).network, flat(found.network).network)
            if real := [each for each in apart if not each.training_alone]:
                raise TraceError(
                    f"{file}:{name}: is another network than {network.name}, whose times cannot be"
                    f" compared: {real[0].path}: {real[0].words}"
                )
            call = backend.own(model, found.network, found.outputs).evaluation()
            call(images)  # what the user's code builds when it is called first
        place = found.outputs.index("logits")
        return _own(call, place, Problem(found.network, found.params, images))

    def _in_file(self, backend: RunsFiles, index: int) -> _Own:
        """The same of a file that is a whole network; its first output are the logits."""
        assert self._own is not None
        network, (file, _) = self._networks[index], self._own
        images: Array = np.load(self._folder / f"images-{index}.npy")[:CHUNK]
        held = import_graph(read_weights_file(Path(file)), network.name, given=network)
        call = backend.run_file(file, device=self._device)
        return _own(call, 0, Problem(held.network, held.params, images))

    def _params(self, network: Network) -> Params:
        return init_params(network, **self._drawn)

    def _images(self, case: Case) -> Array:
        """As many images as the batch has: those of the run, over and over."""
        given = np.load(self._folder / f"images-{case.network}.npy")
        return np.ascontiguousarray(given[np.arange(case.batch) % len(given)])

    def _native(self, index: int) -> Any:
        if index not in self._natives:
            network = self._networks[index]
            self._natives[index] = self._backend.build(
                network, self._params(network), device=self._device
            )
        return self._natives[index]

    def _made(self, case: Case, images: Array) -> Callable[[], Any]:
        backend: Backend = self._backend
        network = self._networks[case.network]
        if case.work == TRAINING:
            assert isinstance(backend, Trains)
            model = backend.build(network, self._params(network), device=self._device)
            trainer = backend.trainer(model, Recipe(learning_rate=RATE, batch_size=case.batch))
            labels = np.arange(case.batch) % num_classes(network)
            return lambda: trainer.step(images, labels, learning_rate=RATE, seed=0)
        model = self._native(case.network)
        if case.form == "native":
            return lambda: backend.forward(model, images)
        assert isinstance(backend, Compiles)
        shape = network.input_shape
        if case.dtype in CALIBRATED and isinstance(backend, Quantises):
            few = np.load(self._folder / f"calibration-{case.network}.npy")
            run = backend.compile(model, input_shape=shape, dtype=case.dtype, calibration=few)
        else:
            run = backend.compile(model, input_shape=shape, dtype=case.dtype)
        return lambda: run(images)

    def _compared(self, case: Case, found: Any) -> dict[str, Any]:
        """How far the outputs are from float64, in shares of the limit of the case's precision, and
        on how many images the class of the largest logit is the same.
        """
        if case.work == TRAINING:
            return {}
        expected = np.load(self._folder / f"logits-{case.network}.npy")
        most = float(np.load(self._folder / f"limit-{case.dtype}-{case.network}.npy"))
        return _told(found["logits"], expected, most)


def _own(call: Callable[[Array], list[Array]], place: int, problem: Problem) -> _Own:
    """A user's model that should be that of `problem`, whose images are the first ones."""
    run = Pass()
    build(problem.network, problem.params, dtype=np.float64).run(problem.images, run)
    most = limit(forward_yardstick(problem, chunk=CHUNK)["logits"])
    return _Own(call, place, run.outputs["logits"], most)


def _told(logits: Array, expected: Array, most: float) -> dict[str, Any]:
    """How far `logits` (N, K) are from those expected of the first images, in shares of `most`, and
    how many classes are the same.
    """
    count = min(len(logits), len(expected))
    logits, right = logits[:count], expected[:count]
    distance = Distance()
    distance.add(logits, right)
    same = int(np.sum(np.argmax(logits, axis=1) == np.argmax(right, axis=1)))
    share = distance.value / most
    share = share if np.isfinite(share) else 1e9
    return {"share": share, "limit": most, "agreeing": same, "compared": count}
