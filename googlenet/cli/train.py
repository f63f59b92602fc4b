"""`googlenet train`: train a network as the book does, in any framework, from the same start."""

from __future__ import annotations

import math
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, get_args

import typer

from .. import backend
from ..checks import num_classes as classes_of
from ..errors import BackendError, UnknownNameError
from ..loss import Loss
from ..training.recipe import Recipe, Schedule
from .options import AsJson, AuxHeads, Channels, Classes, Dialect, Size, network_of, print_json, shape_text

_BOOK = Recipe()

FrameworkName = Annotated[
    str | None, typer.Option("--framework", metavar="X", help="The framework that trains; by default the first that is installed.")
]
Data = Annotated[
    str, typer.Option("--data", metavar="SET", help="fashion-mnist, digits (embedded), or the path of IDX files or of a folder of images.")
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="DIR", help="Where Fashion-MNIST's files are already; also GOOGLENET_DATA_DIR. Else downloaded."),
]
Epochs = Annotated[int, typer.Option("--epochs", metavar="N", help="Passes through the training images.")]
BatchSize = Annotated[int, typer.Option("--batch-size", metavar="N", help="Images in a step.")]
LearningRate = Annotated[float, typer.Option("--learning-rate", metavar="R", help="Of stochastic gradient descent.")]
Momentum = Annotated[float, typer.Option("--momentum", metavar="M", help="In [0, 1).")]
WeightDecay = Annotated[float, typer.Option("--weight-decay", metavar="D", help="Times each weight, added to its gradient.")]
LabelSmoothing = Annotated[float, typer.Option("--label-smoothing", metavar="E", help="In [0, 1).")]
AuxWeights = Annotated[
    list[float] | None, typer.Option("--aux-weight", metavar="W", help="Weight of an auxiliary head's loss, in their order; repeatable.")
]
ScheduleName = Annotated[str, typer.Option("--schedule", metavar="S", help=f"Of the learning rate: {', '.join(get_args(Schedule))}.")]
DecayEpochs = Annotated[int, typer.Option("--decay-epochs", metavar="N", help="Of the schedule step: epochs until the rate falls.")]
DecayFactor = Annotated[float, typer.Option("--decay-factor", metavar="F", help="Of the schedule step: what the rate is multiplied by.")]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of initial weights, of the images' order and of dropout.")]
Initializer = Annotated[str, typer.Option("--initializer", metavar="RULE", help="xavier_uniform, as in the book, or he_normal.")]
Weights = Annotated[Path | None, typer.Option("--weights", metavar="FILE", help="Initial weights, a safetensors file; else drawn.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where checkpoint, log, curves and weights go.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, bit for bit as if it had never stopped.")]
Minutes = Annotated[float, typer.Option("--checkpoint-minutes", metavar="M", min=0, help="A checkpoint after each epoch, and so often.")]
Picture = Annotated[str, typer.Option("--picture", metavar="KIND", help="Curves as png or svg.")]
Threads = Annotated[int | None, typer.Option("--threads", metavar="N", min=1, help="Threads to compute with; by default all cores.")]
Device = Annotated[str | None, typer.Option("--device", metavar="D", help="The framework's own name of a device.")]
Parallel = Annotated[bool, typer.Option("--parallel", help="One of several processes, started by the framework's own launcher.")]


def command(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="The network; `googlenet list` shows them.")] = "googlenet",
    framework: FrameworkName = None,
    data: Data = "digits",
    data_dir: DataDir = None,
    epochs: Epochs = _BOOK.epochs,
    batch_size: BatchSize = _BOOK.batch_size,
    learning_rate: LearningRate = _BOOK.learning_rate,
    momentum: Momentum = _BOOK.momentum,
    weight_decay: WeightDecay = _BOOK.weight_decay,
    label_smoothing: LabelSmoothing = _BOOK.label_smoothing,
    aux_weight: AuxWeights = None,
    schedule: ScheduleName = _BOOK.schedule,
    decay_epochs: DecayEpochs = _BOOK.decay_epochs,
    decay_factor: DecayFactor = _BOOK.decay_factor,
    seed: Seed = _BOOK.seed,
    initializer: Initializer = "xavier_uniform",
    weights: Weights = None,
    num_classes: Classes = None,
    channels: Channels = None,
    size: Size = None,
    aux: AuxHeads = False,
    dialect: Dialect = None,
    out: Out = None,
    resume: Resume = False,
    checkpoint_minutes: Minutes = 10.0,
    picture: Picture = "png",
    threads: Threads = None,
    device: Device = None,
    parallel: Parallel = False,
    as_json: AsJson = False,
) -> None:
    """Train a network, by default as section 8.4 of Dive into Deep Learning does.

    Every framework starts from the same weights and sees the same images in the same order. Ctrl-C saves, and says how to go on.
    """
    recipe = recipe_of(
        epochs, batch_size, learning_rate, momentum, weight_decay, label_smoothing, aux_weight, schedule, decay_epochs, decay_factor, seed
    )
    if picture not in ("png", "svg"):
        raise UnknownNameError(f"--picture: expected png or svg, got '{picture}'")
    from ..params import init_params, load_params
    from ..threads import use_threads
    from ..training.data import load_data
    from ..training.loop import Run
    from ..workers import end_with_parent

    chosen = _framework(framework)
    use_threads(threads)
    module = backend.load(chosen)
    if "trainer" not in module.capabilities:
        raise BackendError(f"framework '{chosen}': its backend has no trainer; choose another with --framework")
    if parallel and "parallel" not in module.capabilities:
        raise BackendError(f"framework '{chosen}': trains in one process alone; leave out --parallel")
    network = network_of(name, num_classes=num_classes, channels=channels, size=size, aux=aux, dialect=dialect)
    with preparing(as_json) as report:
        loaded = load_data(data, network.input_shape, data_dir=data_dir, report=report)
    if num_classes is None and len(loaded.classes) != classes_of(network):
        network = network_of(name, num_classes=len(loaded.classes), channels=channels, size=size, aux=aux, dialect=dialect)
    params = load_params(weights, network) if weights is not None else init_params(network, seed=seed, initializer=initializer)
    watch = _Watch(as_json)
    folder = out or Path("runs") / f"{network.name.replace(':', '-')}-{loaded.name}-{chosen}-seed{seed}"
    end_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))  # a race that was killed: save, and leave
    with _stopping() as stop:
        run = Run(
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
        code = 128 + stop[0]
        print(
            f"googlenet: stopped after step {outcome.step} of {run.steps}; saved. Go on with: {_again(folder, out)}",
            file=sys.stderr,
        )
        sys.exit(code)
    watch.end(outcome)


def recipe_of(
    epochs: int,
    batch_size: int,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
    label_smoothing: float,
    aux_weight: list[float] | None,
    schedule: str,
    decay_epochs: int,
    decay_factor: float,
    seed: int,
) -> Recipe:
    """The recipe that the options mean. Raises `SpecError` for a value out of range."""
    return Recipe(
        learning_rate=learning_rate,
        momentum=momentum,
        weight_decay=weight_decay,
        label_smoothing=label_smoothing,
        aux_weights=tuple(aux_weight) if aux_weight else None,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        schedule=schedule,  # type: ignore[arg-type]  # the recipe checks it
        decay_epochs=decay_epochs,
        decay_factor=decay_factor,
    )


def recipe_arguments(recipe: Recipe) -> list[str]:
    """The options that mean `recipe`, without its seed: the inverse of `recipe_of`."""
    values = {name.replace("_", "-"): value for name, value in recipe.to_json().items() if name not in ("seed", "aux_weights")}
    arguments = [word for name, value in values.items() for word in (f"--{name}", str(value))]
    return [*arguments, *(word for weight in recipe.aux_weights or () for word in ("--aux-weight", str(weight)))]


@contextmanager
def preparing(as_json: bool) -> Iterator[Any]:
    """A bar for downloads and resizing, on standard error and only where a person looks; yields what reports (what, done, total)."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    tasks: dict[str, Any] = {}
    with Progress(console=console, disable=as_json or not console.is_terminal, transient=True) as bars:

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done)

        yield report


def say(text: str) -> None:
    """A line on standard output, never wrapped."""
    print(text, flush=True)


def _framework(name: str | None) -> str:
    """The framework that is meant: by default the first installed one that is not the reference, else that."""
    installed = [found for found in backend.entry_points() if found != "numpy"]
    return backend.canonical_name(name) if name else next((found for found in backend.SHIPPED if found in installed), "numpy")


def _again(folder: Path, out: Path | None) -> str:
    """The command that goes on with this run."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--resume"]
    return shlex.join(["googlenet", *arguments, *([] if out else ["--out", str(folder)]), "--resume"])


@contextmanager
def _stopping() -> Iterator[list[int]]:
    """The signals heard meanwhile, Ctrl-C and SIGTERM: the run ends after its step. A second one ends it at once."""
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


class _Watch:
    """What a person sees: a bar where they look, a line for each epoch, and the curves."""

    def __init__(self, as_json: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        from ..training.loop import Listener

        self.as_json = as_json
        self.speaks = False
        console = Console(stderr=True)
        self._quiet = as_json or not console.is_terminal
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"), TimeRemainingColumn())
        self._bars = Progress(*columns, console=console, disable=self._quiet, transient=True)
        self._task: Any = None
        self._hinted = False
        self._epochs: list[Any] = []
        self.listener = Listener(started=self._started, step=self._step, epoch=self._epoch, chance=self._chance)

    def begin(self, run: Any, picture: Path) -> None:
        """Know the run, and where its curves go."""
        self._run, self._picture = run, picture

    def __enter__(self) -> None:
        self._bars.start()

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def _started(self, position: Any, per_epoch: int, steps: int) -> None:
        self.speaks = True  # one of several processes speaks
        self._epochs = list(position.epochs)
        self._task = self._bars.add_task("epoch", total=steps, completed=position.step, state="")
        if not self.as_json:
            run = self._run
            data = run.data
            say(
                f"{run.network.name} {shape_text(run.network.input_shape)} in {run.backend.name}, on {len(data.train.labels)} images of "
                f"{data.description}; tested on {len(data.test.labels)}"
            )
            say(f"{_recipe_text(run.recipe)}; {steps} steps; in {run.folder}")
            if position.step:
                say(f"goes on after step {position.step}")

    def _step(self, step: int, loss: float, accuracy: float, speed: float) -> None:
        if not self._quiet:
            epoch = (step - 1) // self._run.per_epoch + 1
            state = f"loss {loss:.3f}  accuracy {accuracy:.3f}  {speed:.0f} examples/s"
            self._bars.update(self._task, completed=step, description=f"epoch {epoch}/{self._run.recipe.epochs}", state=state)

    def _epoch(self, epoch: Any) -> None:
        from ..training.picture import draw_curves

        self._epochs.append(epoch)
        run = self._run
        weights = Loss(aux_weights=run.recipe.aux_weights).output_weights(run.network)
        chance = math.log(classes_of(run.network)) * sum(weights.values())
        title = f"{run.network.name}, {run.data.name}, {run.backend.name}"
        draw_curves(self._picture, {run.backend.name: [self._epochs]}, title, chance=chance)
        if not self.as_json:
            say(
                f"epoch {epoch.epoch:>3}/{run.recipe.epochs}  loss {epoch.loss:.4f}  train accuracy {epoch.train_accuracy:.4f}  "
                f"test accuracy {epoch.test_accuracy:.4f}  {epoch.examples_per_second:.1f} examples/s"
            )

    def _chance(self, line: str) -> None:
        if not self._hinted:
            self._hinted = True
            (self._bars.console.print if not self._quiet else lambda text, **_: print(text, file=sys.stderr))(line, soft_wrap=True)

    def end(self, outcome: Any) -> None:
        """The last line, or the JSON."""
        from ..training.loop import WEIGHTS

        last = outcome.epochs[-1]
        if self.as_json:
            run = self._run
            print_json(
                {
                    "name": run.network.name,
                    "framework": run.backend.name,
                    "data": run.data.description,
                    "recipe": run.recipe.to_json(),
                    "train_image_count": len(run.data.train.labels),
                    "test_image_count": len(run.data.test.labels),
                    "epochs": [asdict(epoch) for epoch in outcome.epochs],
                    "folder": str(run.folder),
                }
            )
            return
        low, high = wilson(last.test_accuracy, len(self._run.data.test.labels))
        say(
            f"loss {last.loss:.3f}, train accuracy {last.train_accuracy:.3f}, test accuracy {last.test_accuracy:.3f} "
            f"(95 % of such tests: {low:.3f} to {high:.3f}); curves in {self._picture}, weights in {self._run.folder / WEIGHTS}"
        )


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share seen in `count` trials (E. B. Wilson, 1927)."""
    z = 1.959964
    centre, spread = share + z * z / (2 * count), z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return (centre - spread) / scale, (centre + spread) / scale


def _recipe_text(recipe: Recipe) -> str:
    settings = {"momentum": recipe.momentum, "weight decay": recipe.weight_decay, "label smoothing": recipe.label_smoothing}
    more = [f"{what} {value:g}" for what, value in settings.items() if value]
    schedule = "" if recipe.schedule == "constant" else f" ({recipe.schedule})"
    rate = f"learning rate {recipe.learning_rate:g}{schedule}"
    return ", ".join([f"{recipe.epochs} epochs of batches of {recipe.batch_size}", rate, *more, f"seed {recipe.seed}"])
