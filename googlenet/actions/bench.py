"""How fast frameworks are, side by side."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ..architectures import as_network
from ..backend.compiling import CALIBRATED
from ..backend.discovery import REFERENCE, canonical_name, chosen_frameworks
from ..data.images import load_image_set
from ..errors import DataError, SpecError, UnknownNameError
from ..jobs.own import Own, own_of
from ..paths import kind_at
from ..spec.analysis import smallest_input
from ..spec.layers import Network
from ..spec.memory import check_fits
from ..spec.traversal import num_classes as classes_of
from ..timing.cases import DTYPES, FORMS, INFERENCE, OWN, TRAINING, Case, at_depths, at_sides, cases
from ..timing.run import Progress, TimingOptions, Timings, run_timings
from ..timing.spread import LEAST_ROUNDS
from .arguments import by_framework, flag, integer, name_of, seconds, several, size_of, threads_of

#: The batches that are timed if none is given: one image, and as many as make a machine busy.
BATCHES: Final = (1, 32)
#: What may grow, and the batches with which cost is shown to grow.
SCALES: Final = ("batch", "side", "depth")
GROWING: Final = (1, 2, 4, 8, 16, 32)
#: The sides with which it is, in sixths of the network's own.
SIXTHS: Final = (4, 5, 6, 8, 10, 12)
#: How many images are compared with float64 for each network.
COMPARED: Final = 32
#: How many others int8 is calibrated by.
CALIBRATING: Final = 64
#: More would take longer than anyone waits.
MOST_ROUNDS, MOST_BATCH = 10_000, 65_536


def bench(
    network: str | Network = "googlenet",
    frameworks: str | Sequence[str] | None = None,
    *,
    base: str | None = None,
    forms: str | Sequence[str] = FORMS,
    own: Mapping[str, str] | None = None,
    training: bool = False,
    batches: int | Sequence[int] | None = None,
    input_sizes: Sequence[tuple[int, int]] | None = None,
    dtypes: str | Sequence[str] = "float32",
    scale: str | None = None,
    rounds: int = 7,
    num_classes: int | None = None,
    channels: int | None = None,
    dialect: str | None = None,
    initializer: str = "he_normal",
    seed: int = 0,
    interpreters: Mapping[str, str | os.PathLike[str]] | None = None,
    devices: Mapping[str, str] | None = None,
    threads: int | None = None,
    timeout: float = 600.0,
    progress: Progress = lambda who, stage, done, total: None,
) -> Timings:
    """Time `network` in each of `frameworks`, by default all that are installed or have an
    interpreter in `interpreters`.

    Each framework has a process of its own. All are started and make their models, and then each
    times each case in its turn, `rounds` times, so that what slows the machine down slows all of
    them. A case is a batch size of `batches`, a size (height, width) of `input_sizes`, one of
    `forms` ("native" as `build` makes it, "compiled" as `compile` does), one of `dtypes`, and
    either inference from NumPy to NumPy, or with `training` also a step of the trainer, native and
    in float32. `scale` shows how cost grows instead: with the "batch", with the "side" of square
    images, or with "depth", the network cut off after each stage.

    `own` has by framework FILE:NAME of your own code of the same network, or a .onnx file of it,
    whoever wrote that: it is timed, too, with its own weights, and the others are compared with it.

    Every output is compared with float64 first, on scikit-learn's digits: what is farther than the
    limit of its precision is not timed. That of bfloat16 is float32's by the ratio of their
    roundoffs, that of int8 is derived from how far the reference strays in int8
    (`googlenet.proof.parity.quantised`); other digits calibrate it. Ratios are to the native model
    of the framework `base`, or the compiled one if only that is timed, by default the first of
    `frameworks` that is no reference; `Ratio.told` says whether noise leaves something of one.

    Raises `UnknownNameError`, `BackendError`, `SpecError`, `ShapeError`, `ModelFileError` or
    `DataError` for arguments that are not valid. What goes wrong in a framework is an error in its
    own row alone; that a backend does not compile or train is none.
    """
    rounds = integer("rounds", rounds, LEAST_ROUNDS, MOST_ROUNDS)
    threads, timeout = threads_of(threads), seconds(timeout)
    seed, training = integer("seed", seed, 0), flag("training", training)
    channels = None if channels is None else integer("channels", channels, 1)
    chosen_forms = _of("forms", forms, FORMS)
    chosen_dtypes = _of("dtypes", dtypes, DTYPES)
    if scale is not None:
        (scale,) = _of("scale", name_of("scale", scale), SCALES)
        for argument, given, grows in (
            ("batches", batches, "batch"),
            ("input_sizes", input_sizes, "side"),
        ):
            if given is not None and scale == grows:
                raise UnknownNameError(
                    f"`{argument}`: does not go with `scale='{scale}'`, which has its own"
                )
    sizes = None if input_sizes is None else _sizes(input_sizes)
    many = GROWING if scale == "batch" else _batches(batches, (8,) if scale else BATCHES)

    spec = as_network(network, num_classes=num_classes, dialect=dialect)
    shape = spec.input_shape
    planes = shape[0] if channels is None else channels
    named = isinstance(network, str)

    def at(size: tuple[int, int]) -> Network:
        if named:
            return as_network(
                network,
                num_classes=num_classes,
                input_shape=(planes, *size),
                dialect=dialect,
            )
        return spec.at((planes, *size))

    networks = tuple(map(at, sizes or [(shape[1], shape[2])]))
    if scale == "side":
        networks = at_sides(networks[0], _sides(networks[0]))
    elif scale == "depth":
        networks = at_depths(networks[0])
    for each in networks:
        check_fits(each, max(many), training=training)

    paths = by_framework("interpreters", interpreters)
    chosen = chosen_frameworks(
        None if frameworks is None else several("frameworks", frameworks), paths
    )
    placed, theirs = by_framework("devices", devices), by_framework("own", own)
    for argument, given_by in (("devices", placed), ("own", theirs)):
        for framework in given_by:
            if framework not in chosen:
                raise UnknownNameError(
                    f"{argument}: '{framework}' is not timed here; choose from {', '.join(chosen)}"
                )
    if theirs and scale == "depth":
        raise UnknownNameError("`own`: does not go with `scale='depth'`: it is one whole network")
    files = {name: _own(text) for name, text in theirs.items()}
    first = next((each for each in chosen if each != REFERENCE), chosen[0])
    against = first if base is None else canonical_name(name_of("base", base))
    if against not in chosen:
        raise UnknownNameError(
            f"`base`: expected one of the frameworks that are timed, {', '.join(chosen)}, got"
            f" '{against}'"
        )
    calibrates = any(each in CALIBRATED for each in chosen_dtypes)
    count = COMPARED + (CALIBRATING if calibrates else 0)
    images = [
        load_image_set(None, each.input_shape, max(classes_of(each), 10), count=count).images
        for each in networks
    ]
    plan = cases(
        len(networks),
        forms=chosen_forms,
        works=(INFERENCE, TRAINING) if training else (INFERENCE,),
        batches=many,
        dtypes=chosen_dtypes,
    )
    hand = [
        Case(index, OWN, INFERENCE, batch)
        for index in range(len(networks))
        for batch in many
        if files
    ]
    return run_timings(
        networks,
        chosen,
        (*hand, *plan),
        [each[:COMPARED] for each in images],
        base=against,
        calibration=[each[COMPARED:] for each in images] if calibrates else (),
        scale=scale,
        options=TimingOptions(
            *(rounds, threads, timeout, paths, placed, seed, initializer),
            {name: (str(Path(each.file).absolute()), each.name) for name, each in files.items()},
        ),
        progress=progress,
    )


def _own(text: str) -> Own:
    """The file that `text` means, and the name in it, "" for a file that is a whole network."""
    if Path(text).suffix.lower() != ".onnx":
        return own_of(text)
    if kind_at(Path(text)) != "file":
        raise DataError(f"{text}: is not a file")
    return Own(text, "")


def _of(argument: str, given: str | Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """What is `given`, each once and in the order of `known`."""
    asked = several(argument, given)
    for each in asked:
        if each not in known:
            raise UnknownNameError(
                f"`{argument}`: expected one of {', '.join(known)}, got {each!r}"
            )
    if not asked:
        raise UnknownNameError(f"`{argument}`: expected at least one of {', '.join(known)}")
    return tuple(each for each in known if each in asked)


def _batches(given: int | Sequence[int] | None, default: tuple[int, ...]) -> tuple[int, ...]:
    if given is None:
        return default
    found = several("batches", given, int)
    if not found:
        raise SpecError("`batches`: expected at least one, got none")
    return tuple(sorted({integer("batches", each, 1, MOST_BATCH) for each in found}))


def _sizes(given: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    found = [size_of("input_sizes", each) for each in several("input_sizes", given, ())]
    if not found:
        raise SpecError("`input_sizes`: expected at least one (height, width), got none")
    return list(dict.fromkeys(found))


def _sides(network: Network) -> list[int]:
    """Sides around that of `network` which fit it."""
    own = min(network.input_shape[1:])
    least = smallest_input(network) or 1
    return sorted({max(sixths * own // 6, least) for sixths in SIXTHS})
