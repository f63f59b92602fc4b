"""Prove that frameworks compute the same function."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..architectures import as_network
from ..arrays import Array
from ..backend.discovery import chosen_frameworks
from ..data.images import load_image_set
from ..errors import ShapeError, UnknownNameError
from ..proof.exact.problem import check_fit, has_exact_loss, why_unfit
from ..proof.parity.run import ParityOptions, Progress, Report, run_parity
from ..spec.analysis import norm_of_one_value, smallest_input
from ..spec.layers import Network, Shape
from ..spec.memory import check_fits
from ..spec.traversal import num_classes as classes_of
from .arguments import by_framework, flag, integer, path_of, seconds, several, threads_of
from .common import weights_of
from .own import network_or_own
from .own_lifted import own_params

#: How many of the embedded digits are taken if no number is given.
DIGITS = 64
#: The most training steps that are compared: each is remembered.
MOST_STEPS = 100_000


def parity(
    network: str | Network = "googlenet",
    frameworks: str | Sequence[str] | None = None,
    *,
    images: str | os.PathLike[str] | None = None,
    count: int | None = None,
    weights: Mapping[str, Array] | str | os.PathLike[str] | None = None,
    key: str | None = None,
    head: str | None = None,
    initializer: str = "he_normal",
    seed: int = 0,
    num_classes: int | None = None,
    input_shape: Shape | None = None,
    aux: bool = False,
    dialect: str | None = None,
    own_framework: str | None = None,
    gradients: bool = True,
    exact: bool = False,
    compiled: bool = False,
    label_smoothing: float = 0.1,
    train_steps: int = 0,
    interpreters: Mapping[str, str | os.PathLike[str]] | None = None,
    devices: Mapping[str, str] | None = None,
    jobs: int = 1,
    threads: int | None = None,
    chunk: int = 16,
    timeout: float = 600.0,
    progress: Progress = lambda who, stage, done, total: None,
) -> Report:
    """Compare each of `frameworks` with the float64 reference, layer by layer: see
    docs/tolerances.md.

    `network` is a name, a `Network`, or FILE:NAME as for `own_network`, which has its own weights
    unless others are given; `input_shape` is (C, H, W). `frameworks` are by default all
    that are installed, or have an interpreter in `interpreters` (a path by framework). `images` is
    what `load_image_set` accepts, by default scikit-learn's digits; `count` of them are used, by
    default all, or 64 digits. `weights` is a mapping from path to array, or a file, where `key` and
    `head` are as for `import_weights`, of a user's model also one that its own framework loads into
    it; by default they are drawn by `initializer` from `seed`. `gradients` are compared with
    `label_smoothing` in the loss, and `train_steps` is the number of training steps to compare.

    With `exact`, the bits of every output and gradient are compared too, on weights and images with
    which float32 rounds nothing. A network given by name, without `input_shape` or `num_classes`,
    may be drawn smaller for it, or with 16 classes.

    With `compiled`, the outputs of what each framework's `compile` makes of its model are compared
    too, by the same limits, and with `exact` the bits of each compiled form that it has; compiling
    may take minutes.

    `devices` has the device of those that are not to use their default, in the framework's own
    words ("cuda:0"). None of them may compute float32 in less than float32.

    `jobs` frameworks run at a time, each in a process with `threads` threads and `chunk` images per
    pass. After `timeout` seconds without progress the process is killed, and only its own row
    fails.

    Raises `UnknownNameError`, `BackendError`, `SpecError`, `ShapeError`, `DataError` or
    `WeightsError` for arguments that are not valid. A framework that differs raises nothing, nor do
    images and weights on which too little can be proved: `report.passed` is False.
    """
    gradients, exact = flag("gradients", gradients), flag("exact", exact)
    compiled = flag("compiled", compiled)
    count = None if count is None else integer("count", count, 1)
    seed, chunk, jobs = (
        integer("seed", seed, 0),
        integer("chunk", chunk, 1),
        integer("jobs", jobs, 1),
    )
    threads = threads_of(threads)
    train_steps, timeout = integer("train_steps", train_steps, 0, MOST_STEPS), seconds(timeout)
    spec, own = network_or_own(
        network,
        own_framework=own_framework,
        num_classes=num_classes,
        input_shape=input_shape,
        aux=aux,
        dialect=dialect,
        interpreters=interpreters,
        timeout=timeout,
        progress=progress,
    )
    paths = by_framework("interpreters", interpreters)
    asked = None if frameworks is None else several("frameworks", frameworks)
    chosen = chosen_frameworks(asked, paths)
    placed = by_framework("devices", devices)
    for framework in placed:
        if framework not in chosen:
            raise UnknownNameError(
                f"devices: '{framework}' is not compared here; choose from {', '.join(chosen)}"
            )
    classes = classes_of(spec)
    # A user's model may have fewer classes than the digits: its labels are then theirs modulo that.
    digits = own is not None and images is None
    check_fits(spec, chunk if count is None else min(chunk, count))
    image_set = load_image_set(
        None if images is None else path_of("images", images),
        spec.input_shape,
        max(classes, 10) if digits else classes,
        count=DIGITS if count is None and images is None else count,
        seed=seed,
    )
    if digits:
        image_set = replace(image_set, labels=image_set.labels % classes)
    if (gradients or train_steps) and len(image_set.images) == 1:
        _check_norm(spec)
    if own is not None and weights is None:
        weights = own.params
    elif own is not None and isinstance(weights, (str, os.PathLike)):
        weights = own_params(
            own,
            weights,
            key=key,
            head=head,
            interpreters=interpreters,
            timeout=timeout,
            progress=progress,
        )
        key = head = None
    params = weights_of(weights, spec, seed=seed, initializer=initializer, key=key, head=head)
    options = ParityOptions(
        jobs=jobs,
        chunk=chunk,
        threads=threads,
        timeout=timeout,
        label_smoothing=label_smoothing,
        gradients=gradients,
        train_steps=train_steps,
        interpreters=paths,
        devices=placed,
        exact=exact_network(
            network if own is None else spec, spec, num_classes, input_shape, aux, dialect
        )
        if exact
        else None,
        compiled=compiled,
    )
    return run_parity(
        spec, chosen, image_set, params, seed=seed, options=options, progress=progress
    )


#: The classes of an exact problem if the network's own have no exact loss, and the sides that are
#: tried if its own image is larger than the first of them.
EXACT_CLASSES, EXACT_SIDES = 16, (96, 320)


def exact_network(
    network: str | Network,
    spec: Network,
    num_classes: int | None,
    input_shape: Shape | None,
    aux: bool,
    dialect: str | None,
) -> Network:
    """The network whose bits are compared: `spec`, where its size and classes were given or have an
    exact problem. Raises `SpecError` if there is none.
    """
    if isinstance(network, Network):
        return check_fit(spec)

    def made(classes: int | None, shape: Shape | None) -> Network:
        return as_network(network, num_classes=classes, input_shape=shape, aux=aux, dialect=dialect)

    classes = num_classes
    if classes is None and not has_exact_loss(spec):
        classes = EXACT_CLASSES
    channels, height, width = spec.input_shape
    least, most = EXACT_SIDES
    if input_shape is not None or (
        max(height, width) <= least and why_unfit(made(classes, None)) is None
    ):
        return check_fit(made(classes, input_shape))
    for side in range(max(least, smallest_input(spec) or least), most):
        found = made(classes, (channels, side, side))
        if why_unfit(found) is None:
            return found
    return check_fit(made(classes, None))


def _check_norm(network: Network) -> None:
    """Raises `ShapeError` if a training step of one image is not defined for `network`."""
    if (norm := norm_of_one_value(network)) is not None:
        raise ShapeError(
            f"a training step needs at least 2 images (the map of batch norm '{norm}' is 1×1), got"
            " 1; give more images, a larger `input_shape`, or `gradients=False`"
            " without `train_steps`"
        )
