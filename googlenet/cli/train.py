"""`googlenet train`: one network, one framework, one run."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..backend.protocols import LeavesParallel
from . import recipe_options as options
from .options import (
    AsJson,
    AuxHeads,
    Channels,
    Device,
    Dialect,
    Framework,
    Initializer,
    NetworkName,
    Size,
    Threads,
    shape_of,
)
from .output import bars, say_aside, say_text
from .watch import Watch
from .weight_options import Head, Key, NewHead

if TYPE_CHECKING:
    from ..training.loop import Listener, TrainingRun

Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        metavar="N",
        min=0,
        help="Seed for the initial weights, the order of the images, and dropout.",
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="Weights to start from, a file of this project or any framework; by default random.",
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Resume the run in --out, bit for bit as if it had never stopped."
    ),
]
Minutes = Annotated[
    float,
    typer.Option(
        "--checkpoint-minutes",
        metavar="M",
        min=0,
        help="Minutes between checkpoints within an epoch; one is also written after each epoch.",
    ),
]
Parallel = Annotated[
    bool,
    typer.Option(
        "--parallel",
        help="Train as one of several processes started by the framework's own launcher.",
    ),
]


def command(
    name: NetworkName = "googlenet",
    framework: Framework = None,
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
    initializer: Initializer = "xavier_uniform",
    weights: Weights = None,
    key: Key = None,
    head: Head = None,
    new_head: NewHead = False,
    num_classes: options.Classes = None,
    channels: Channels = None,
    size: Size = None,
    aux: AuxHeads = False,
    dialect: Dialect = None,
    out: options.Out = None,
    resume: Resume = False,
    checkpoint_minutes: Minutes = 10.0,
    picture: options.Curves = None,
    threads: Threads = None,
    device: Device = None,
    parallel: Parallel = False,
    as_json: AsJson = False,
) -> None:
    """Train a network, by default as section 8.4 of Dive into Deep Learning does.

    Every framework starts from the same weights and sees the same images in the same order; by
    default the first installed one that can train is used. Ctrl-C saves a checkpoint, and shows how
    to resume.
    """
    from ..actions.train import train
    from ..drawing.figures import check_picture
    from ..jobs.signals import stopping
    from ..jobs.workers import end_with_parent

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
    path = None if picture is None else Path(picture)
    if path is not None:
        check_picture(path)
    # The launcher was killed: save, and exit.
    end_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    with ExitStack() as stack:
        shown = stack.enter_context(bars(as_json))
        watch = Watch(shown, path, as_json=as_json)
        heard: list[int] = []

        def begins(run: TrainingRun) -> Listener:
            nonlocal heard
            heard = stack.enter_context(stopping())  # before there is nothing to save
            return watch.begins(run)

        trained = train(
            name,
            data,
            recipe,
            framework=framework,
            out=out,
            num_classes=num_classes,
            input_shape=shape_of(name, channels=channels, size=size, aux=aux, dialect=dialect),
            aux=aux,
            dialect=dialect,
            weights=weights,
            key=key,
            head=head,
            new_head=new_head,
            initializer=initializer,
            data_dir=data_dir,
            resume=resume,
            checkpoint_minutes=checkpoint_minutes,
            device=device,
            parallel=parallel,
            threads=threads,
            stop=lambda: bool(heard),
            tell=say_aside,
            report=shown,
            begins=begins,
        )
    backend, code = trained.run.backend, 0
    if watch.speaks and trained.finished:
        watch.end(trained)
    elif watch.speaks:
        again = (
            "Resume by starting all processes as before, with --resume"
            if parallel
            else f"Resume with: {_again(trained.run.folder, out)}"
        )
        with suppress(OSError):  # a terminal that was closed, which is no error of the run
            # A command to copy is never broken.
            say_text(
                f"googlenet: stopped after step {trained.step:,} of {trained.run.steps:,}; saved."
                f" {again}",
                aside=True,
            )
        # Of several processes, another may have heard the signal.
        code = 128 + (heard[0] if heard else signal.SIGTERM)
    if parallel and isinstance(backend, LeavesParallel):
        backend.leave_parallel(code)
    if code:
        sys.exit(code)


def _again(folder: Path, out: str | None) -> str:
    """The command that continues this run."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--resume"]
    return shlex.join(
        ["googlenet", *arguments, *([] if out else ["--out", str(folder)]), "--resume"]
    )
