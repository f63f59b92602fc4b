"""A user's model of one framework as code and weights of another, proved to be the same
function.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from ..arrays import Params
from ..backend.discovery import REFERENCE, chosen_frameworks
from ..data.images import ImageSet
from ..errors import BackendError, DataError, GoogLeNetError, SpecError, UnknownNameError
from ..files import writing
from ..jobs.job import Job, run_job
from ..jobs.own import BOUNDS, framework_of, own_of, run_own
from ..paths import kind_at
from ..proof.exact.problem import why_unfit
from ..proof.parity.run import Outcome, ParityOptions, Report, Task, run_parity
from ..source.folder import Files
from ..spec.analysis import count_multiply_adds
from ..spec.layers import Network, Shape, check_input_shape
from ..spec.memory import check_fits
from ..spec.params import param_specs
from ..spec.serial import from_json
from ..spec.traversal import num_classes
from ..temporary import remove_leftovers, temporary_folder
from ..weights.files import load_params
from ..weights.samples import random_images, random_labels, with_moved_norms
from .arguments import by_framework, integer, name_of, path_of, seconds, threads_of
from .own import default_shape
from .own_weights import weights_file
from .translated import STEPS, Translation, install, place_of
from .translating import FILES

#: How many images both models are compared on: at most and at least, and how many multiplications
#: that may take together.
MOST_IMAGES, LEAST_IMAGES, MULTIPLY_ADDS = 16, 4, 16e9
#: How many times as many are taken where these do not suffice to tell, and nothing else can.
MORE = 3
#: The sides that are tried for the exact proof if the model's own images have none.
EXACT_SIDES: Final = range(64, 160)

#: Told the framework, the stage of its work, and how much of how much of that is done.
Progress = Callable[[str, str, int, int], None]


def translate(
    model: str,
    to: str,
    out: str | os.PathLike[str],
    *,
    own_framework: str | None = None,
    weights: str | os.PathLike[str] | None = None,
    input_shape: Shape | None = None,
    interpreters: Mapping[str, str | os.PathLike[str]] | None = None,
    seed: int = 0,
    threads: int | None = None,
    timeout: float = 600.0,
    progress: Progress = lambda who, stage, done, total: None,
) -> Translation:
    """Write the model FILE:NAME, of `own_framework`, as source and weights of the framework `to`,
    and prove that both are the same function.

    The folder `out` gets `model.py` with the names of the user's own layers and classes, the
    weights in the target's own format, `load.py`, which loads them, a README with what was proved,
    and the same as `proof.json`; nothing in it needs this project. `weights` is a file of the
    user's framework that is loaded into the model first. `input_shape` is (C, H, W), by default the
    book's. Each framework runs in a process of its own, by the interpreter that `interpreters` has
    for it (a path by framework).

    Both models are compared with one float64 reference, by derived limits: outputs, and for the
    written one every layer; every gradient, batch norm's statistics, and three steps of stochastic
    gradient descent; then, with weights on which float32 is exact, bit for bit. Dropout is at rate
    0 for that.

    Raises what `own_network` raises; `TraceError` for what cannot be carried, such as a layer that
    the spec has not, with its place, and then nothing is written; `DataError` for a folder that
    cannot be written or holds other files. A proof that fails raises nothing: `passed` is False,
    and the folder says so.
    """
    own, timeout = own_of(name_of("model", model)), seconds(timeout)
    shape = default_shape() if input_shape is None else check_input_shape(input_shape)
    seed = integer("seed", seed, 0)
    threads = threads_of(threads)
    paths = by_framework("interpreters", interpreters)
    asked = None if own_framework is None else name_of("own_framework", own_framework)
    source = framework_of(own, asked, paths)
    (target,) = chosen_frameworks([name_of("to", to)], paths)
    if source == target:
        raise UnknownNameError(
            f"`to`: the model is one of {source} already; name another framework"
        )
    if target == REFERENCE:
        raise BackendError(f"`to`: {target} is the reference, and no model is written for it")
    folder = _empty(path_of("out", out))
    file = weights_file(weights)
    asked_of = {"input_shape": list(shape), "weights": file}
    with temporary_folder("translate") as work:
        traced = run_own(
            "googlenet.actions.translating:traced",
            own,
            source,
            work,
            asked_of,
            interpreter=paths.get(source),
            threads=threads,
            timeout=timeout,
            report=partial(progress, source),
        )
        theirs = traced.give(_Theirs.of)
        answered = run_job(
            Job("googlenet.actions.translating:written", target, dict(traced.values)),
            work,
            interpreter=paths.get(target),
            threads=threads,
            timeout=timeout,
            report=partial(progress, target),
        )
        answered.check(target, "writing the model")
        written = answered.give(_Written.of)
        network = written.network
        params = load_params(work / f"{target}.safetensors", network)
        options = ParityOptions(
            threads=threads,
            timeout=timeout,
            train_steps=STEPS,
            interpreters=paths,
            exact=_exact(network),
            tasks={
                source: Task(
                    "googlenet.actions.translating:prove_own",
                    {**asked_of, "file": own.file, "name": own.name, "taken": written.taken},
                    BOUNDS,
                ),
                target: Task("googlenet.actions.translating:prove_written"),
            },
        )
        parity, moved, not_exact = _proved(
            *(network, params, [source, target], seed, options, progress)
        )
        found = Translation(
            str(own),
            source,
            target,
            str(out),
            written.files,
            network,
            written.places,
            parity,
            not_exact,
            (theirs.unbiased, written.unbiased),
            moved,
            theirs.opened,
        )
        install(work / FILES, folder, found)
    return found


@dataclass(frozen=True)
class _Theirs:
    """What the worker of the user's own model answers, as far as it is looked at here."""

    unbiased: bool
    opened: bool

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> _Theirs:
        return cls(values["unbiased"], values["opened"])


@dataclass(frozen=True)
class _Written:
    """What the worker that wrote the files answers."""

    files: Files
    network: Network
    places: Mapping[str, str]
    taken: list[str]
    unbiased: bool

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> _Written:
        rest = (values[name] for name in ("places", "taken", "unbiased"))
        return cls(Files(**values["files"]), from_json(values["network"]), *rest)


def _empty(folder: Path) -> Path:
    """A folder to write to. Raises `DataError` if it is a file, holds something, or has no
    parent.
    """
    if kind_at(folder) not in ("", "folder"):
        raise DataError(f"{folder}: is a file, expected a folder, or a name for a new one")
    if kind_at(folder) == "folder":
        remove_leftovers(folder)
    if kind_at(folder) == "folder" and any(folder.iterdir()):
        raise DataError(f"{folder}: is not empty; name a new folder, or empty this one")
    if kind_at(folder.absolute().parent) != "folder":
        raise DataError(f"{folder}: its parent folder does not exist; make it first")
    # Before any work is done for what cannot be written.
    with writing(folder), temporary_folder("translate", place_of(folder)):
        pass
    return folder


def _proved(
    network: Network,
    params: Params,
    frameworks: list[str],
    seed: int,
    options: ParityOptions,
    progress: Progress,
) -> tuple[Report, Report | None, str]:
    """The proof; where rounding hides too much another, with the biases of batch norm moved, or
    without batch norm the same on more images; and why there is no exact part, if there is none.
    """
    fitting = int(MULTIPLY_ADDS / max(count_multiply_adds(network), 1))
    count = max(LEAST_IMAGES, min(fitting, MOST_IMAGES))
    told = "" if options.exact is not None else _unfit(network)

    def run(count: int, options: ParityOptions, params: Params = params) -> Report:
        labels = random_labels(seed, count, num_classes(network))
        source = f"{count} random images of both signs"
        images = ImageSet(random_images(network, seed, count), labels, source)
        return run_parity(
            network, frameworks, images, params, seed=seed, options=options, progress=progress
        )

    try:
        found = run(count, options)
    except SpecError as error:
        if options.exact is None:
            raise
        told, options = str(error), replace(options, exact=None)
        found = run(count, options)
    if all(each.outcome is not Outcome.UNPROVED for each in found.results):
        return found, None, told
    moved = with_moved_norms(network, params, seed)
    if any(moved[path] is not params[path] for path in params):
        return found, run(count, replace(options, exact=None), moved), told
    more = min(MORE * count, MOST_IMAGES)
    if more > count:
        with suppress(SpecError):  # too large for this machine
            check_fits(network, more)
            found = run(more, options)
    return found, None, told


def _exact(network: Network) -> Network | None:
    """The network at a size that has an exact problem, its own if that has; None if there is
    none.
    """
    channels, *_ = network.input_shape
    shapes = [network.input_shape, *((channels, side, side) for side in EXACT_SIDES)]
    for shape in shapes:
        with suppress(GoogLeNetError):  # too small, or with other weights
            found = network.at(shape)
            if why_unfit(found) is None and _weights(found) == _weights(network):
                return found
    return None


def _unfit(network: Network) -> str:
    reason, _, _ = (why_unfit(network) or "").partition(";")  # without advice for other networks
    return f"{network.name} at {network.input_shape} {reason}" if reason else ""


def _weights(network: Network) -> dict[str, Shape]:
    return {path: spec.shape for path, spec in param_specs(network).items()}
