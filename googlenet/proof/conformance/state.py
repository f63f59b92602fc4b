"""The cases of what a backend leaves alone: arrays of the caller's, weights, files, the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from ...arrays import Params
from ...backend.protocols import Backend, Differentiates, Saves, TrainsInParallel
from ...errors import BackendError, DeviceError, GoogLeNetError, WeightsError
from ...spec.params import param_specs
from ...temporary import temporary_folder
from ...weights.samples import random_params
from ..parity.compare import compare_forward, compare_weights
from ..parity.problem import Problem, random_problem
from ..parity.rows import Row
from ..parity.tolerance import distance, forward_yardstick, limit, step_yardstick
from .case import (
    FORWARD,
    GRADIENTS,
    PARALLEL,
    SAVE,
    AnyCase,
    Case,
    check_rows,
    expect,
    expect_errors,
)
from .networks import composites


def state_cases() -> Iterator[AnyCase]:
    """Every case of what must stay as it is."""
    yield Case("model-has-its-network", FORWARD, _check_model)
    yield Case("device-that-does-not-exist", FORWARD, _check_device)
    yield Case("gradients-change-nothing", GRADIENTS, _check_gradients)
    yield Case("save", SAVE, _check_save)
    yield Case("parallel-without-a-launcher", PARALLEL, _check_launcher)


def _check_model(backend: Backend) -> None:
    network = composites()["auxiliary"]
    model = backend.build(network, random_params(network))
    expect(
        getattr(model, "network", None) == network,
        "build: the model must have the attribute `network`, which is what it was built from;"
        " docs/adding-a-backend.md says what to do where a model takes no attributes",
    )


def _check_device(backend: Backend) -> None:
    network = composites()["dense_on_vector"]
    params = random_params(network)
    call = partial(backend.build, network, params, device="no such device")
    expect_errors([("a device that does not exist", DeviceError, call)], "build")


def _check_gradients(backend: Differentiates) -> None:
    """Two calls give the same gradients: nothing is added up, and no weight moves. In training
    mode running statistics do, and nothing else.
    """
    problem = random_problem(composites()["norm_residual"])
    network, params = problem.network, problem.params
    images, labels = problem.images.copy(), problem.labels.copy()
    model, specs = backend.build(network, params), param_specs(network)
    for train in (False, True):
        mode = f"in {'training' if train else 'evaluation'} mode"

        def gradients(mode: str = mode, train: bool = train) -> Params:
            found = backend.gradients(model, images, labels, loss=problem.loss, train=train)[1]
            moved = compare_weights(backend, model, params)
            if train:
                moved = [path for path in moved if path not in specs or specs[path].trainable]
            expect(not moved, f"gradients: {', '.join(moved[:1])} was changed {mode}")
            expect(np.array_equal(images, problem.images), f"gradients: changed the images {mode}")
            expect(np.array_equal(labels, problem.labels), f"gradients: changed the labels {mode}")
            return found

        first, second = gradients(), gradients()
        allowed = step_yardstick(problem, train=train).gradients
        rows = [
            Row(
                f"{path}, its gradient in a second call {mode}",
                distance(second.get(path), first[path].astype(np.float64)),
                limit(allowed[path]),
            )
            for path in reversed(first)
        ]
        check_rows(backend, network, rows)
    held = backend.params_of(model)
    after = Problem(network, held, images)
    rows = compare_forward(backend, model, after, forward_yardstick(after, chunk=8), chunk=8)
    check_rows(backend, network, rows)


def _check_save(backend: Saves) -> None:
    """A file under each of its endings, new or in an old one's place, and nothing beside it."""
    network = composites()["norm_residual"]
    params = random_params(network)
    model = backend.build(network, params)
    suffixes = backend.file_suffix
    for suffix in (suffixes,) if isinstance(suffixes, str) else suffixes:
        with temporary_folder("save") as folder:
            path = folder / f"model{suffix}"
            backend.save(model, path)
            size = path.stat().st_size if path.exists() else 0
            expect(
                size > sum(array.nbytes for array in params.values()) / 2,
                f"save: {path.name} has {size} bytes, which cannot be all the weights",
            )
            path.write_bytes(b"old")
            backend.save(model, str(path))
            expect(path.stat().st_size > 3, f"save: did not replace an old {path.name}")
            left = sorted(found.name for found in folder.iterdir())
            expect(left == [path.name], f"save: left {', '.join(left)} in place of {path.name}")
            missing = folder / "none" / path.name
            broken: list[tuple[str, type[GoogLeNetError], Callable[[], object]]] = [
                (what, WeightsError, partial(backend.save, model, other))
                for what, other in {
                    "a name that ends otherwise": folder / "model.other",
                    "a folder that does not exist": missing,
                }.items()
            ]
            expect_errors(broken, "save", advice="write within googlenet.files.native_file")
    expect(not compare_weights(backend, model, params), "save: changed the weights")


def _check_launcher(backend: TrainsInParallel) -> None:
    """This process was started by no launcher of the framework's."""
    what = "a process that no launcher started"
    expect_errors(
        [(what, BackendError, backend.start_parallel)],
        "start_parallel",
        advice="look for what the launcher sets in the environment",
    )
