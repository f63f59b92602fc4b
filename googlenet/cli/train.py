"""`googlenet train`: train a network as the book does, in any framework, from the same start."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from ..backend import discovery as backend
from ..backend.protocols import Trains, TrainsInParallel
from ..errors import BackendError
from ..spec.traversal import num_classes as classes_of
from . import recipe_options as options
from .options import AsJson, AuxHeads, Channels, Classes, Dialect, Size, network_of
from .watch import Watch, preparing, say_aside

FrameworkName = Annotated[
    str | None,
    typer.Option(
        "--framework",
        metavar="X",
        help="The framework that trains; by default the first installed one that can.",
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        metavar="N",
        min=0,
        help="Of initial weights, of the images' order and of dropout.",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights", metavar="FILE", help="Initial weights by the spec's names; else drawn."
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Go on with the run in --out, bit for bit as if it had never stopped."
    ),
]
Minutes = Annotated[
    float,
    typer.Option(
        "--checkpoint-minutes",
        metavar="M",
        min=0,
        help="A checkpoint after each epoch, and so often.",
    ),
]
Device = Annotated[
    str | None, typer.Option("--device", metavar="D", help="The framework's own name of a device.")
]
Parallel = Annotated[
    bool,
    typer.Option(
        "--parallel", help="One of several processes, started by the framework's own launcher."
    ),
]


def command(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="The network; `googlenet list` shows them.")
    ] = "googlenet",
    framework: FrameworkName = None,
    data: options.Data = "digits",
    data_dir: options.DataDir = None,
    epochs: options.Epochs = options.BOOK.epochs,
    batch_size: options.BatchSize = options.BOOK.batch_size,
    learning_rate: options.LearningRate = options.BOOK.learning_rate,
    momentum: options.Momentum = options.BOOK.momentum,
    weight_decay: options.WeightDecay = options.BOOK.weight_decay,
    label_smoothing: options.LabelSmoothing = options.BOOK.label_smoothing,
    aux_weight: options.AuxWeights = None,
    schedule: options.ScheduleName = options.BOOK.schedule,
    decay_epochs: options.DecayEpochs = options.BOOK.decay_epochs,
    decay_factor: options.DecayFactor = options.BOOK.decay_factor,
    seed: Seed = options.BOOK.seed,
    initializer: options.Initializer = "xavier_uniform",
    weights: Weights = None,
    num_classes: Classes = None,
    channels: Channels = None,
    size: Size = None,
    aux: AuxHeads = False,
    dialect: Dialect = None,
    out: options.Out = None,
    resume: Resume = False,
    checkpoint_minutes: Minutes = 10.0,
    picture: options.Picture = "png",
    threads: options.Threads = None,
    device: Device = None,
    parallel: Parallel = False,
    as_json: AsJson = False,
) -> None:
    """Train a network, by default as section 8.4 of Dive into Deep Learning does.

    Every framework starts from the same weights and sees the same images in the same order. Ctrl-C
    saves, and says how to go on.
    """
    recipe = options.recipe_of(
        epochs,
        batch_size,
        learning_rate,
        momentum,
        weight_decay,
        label_smoothing,
        aux_weight,
        schedule,
        decay_epochs,
        decay_factor,
        seed,
    )
    options.check_picture(picture)
    from ..backend.threads import prepare_process, prepared_backend
    from ..data.sets import load_data
    from ..jobs.workers import end_with_parent
    from ..training.choice import default_trainer
    from ..training.loop import TrainingRun
    from ..weights.formats import load_weights
    from ..weights.initial import init_params

    prepare_process(threads)
    chosen = backend.canonical_name(framework) if framework else default_trainer(tell=say_aside)
    module = prepared_backend(chosen, threads)
    if not isinstance(module, Trains):
        raise BackendError(
            f"framework '{chosen}': its backend has no trainer; choose another with --framework"
        )
    if parallel and not isinstance(module, TrainsInParallel):
        raise BackendError(
            f"framework '{chosen}': trains in one process alone; leave out --parallel"
        )
    network = network_of(
        name, num_classes=num_classes, channels=channels, size=size, aux=aux, dialect=dialect
    )
    with preparing(as_json) as report:
        loaded = load_data(data, network.input_shape, data_dir=data_dir, report=report)
    if num_classes is None and len(loaded.classes) != classes_of(network):
        network = network_of(
            name,
            num_classes=len(loaded.classes),
            channels=channels,
            size=size,
            aux=aux,
            dialect=dialect,
        )
    params = (
        load_weights(weights, network)
        if weights is not None
        else init_params(network, seed=seed, initializer=initializer)
    )
    watch = Watch(as_json)
    folder = (
        out or Path("runs") / f"{network.name.replace(':', '-')}-{loaded.name}-{chosen}-seed{seed}"
    )
    end_with_parent(
        lambda: os.kill(os.getpid(), signal.SIGTERM)
    )  # a race that was killed: save, and leave
    with _stopping() as stop:
        run = TrainingRun(
            backend=module,
            network=network,
            params=params,
            data=loaded,
            recipe=recipe,
            folder=folder,
            resume=resume,
            checkpoint_seconds=60 * checkpoint_minutes,
            device=device,
            parallel=parallel,
            stop=lambda: bool(stop),
            listener=watch.listener,
        )
        watch.begin(run, folder / f"curves.{picture}")
        with watch:
            outcome = run.train()
    if not watch.speaks:
        return
    if not outcome.finished:
        code = 128 + (
            stop[0] if stop else signal.SIGTERM
        )  # of several processes, another may have heard it
        again = (
            "start all processes as before, with --resume"
            if parallel
            else f"go on with: {_again(folder, out)}"
        )
        print(
            f"googlenet: stopped after step {outcome.step} of {run.steps}; saved."
            f" {again[0].upper()}{again[1:]}",
            file=sys.stderr,
        )
        sys.exit(code)
    watch.end(outcome)


def _again(folder: Path, out: Path | None) -> str:
    """The command that goes on with this run."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--resume"]
    return shlex.join(
        ["googlenet", *arguments, *([] if out else ["--out", str(folder)]), "--resume"]
    )


@contextmanager
def _stopping() -> Iterator[list[int]]:
    """The signals heard meanwhile, Ctrl-C and SIGTERM: the run ends after its step. A second one
    ends it at once.
    """
    heard: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        if heard:
            raise KeyboardInterrupt
        heard.append(number)

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM is as Ctrl-C for a while, so that workers are ended, too."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
