"""What a person sees of training: bars where they look, a line for each epoch, the curves, and the
end.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..training.interval import wilson
from .options import print_json, shape_text


@contextmanager
def preparing(as_json: bool) -> Iterator[Any]:
    """A bar for downloads and resizing, on standard error and only where a person looks; yields
    what reports (what, done, total).
    """
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    tasks: dict[str, Any] = {}
    with Progress(
        console=console, disable=as_json or not console.is_terminal, transient=True
    ) as bars:

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done)

        yield report


def say(text: str) -> None:
    """A line on standard output, never wrapped."""
    print(text, flush=True)


def say_aside(text: str) -> None:
    """A line on standard error, which leaves the answer on standard output alone."""
    print(f"googlenet: {text}", file=sys.stderr, flush=True)


class Watch:
    """What a person sees: a bar where they look, a line for each epoch, and the curves."""

    def __init__(self, as_json: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        from ..training.loop import Listener

        self.as_json = as_json
        self.speaks = False
        console = Console(stderr=True)
        self._quiet = as_json or not console.is_terminal
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
        )
        self._bars = Progress(*columns, console=console, disable=self._quiet, transient=True)
        self._task: Any = None
        self._hinted = self._drawn = False
        self._epochs: list[Any] = []
        self.listener = Listener(
            started=self._started, step=self._step, epoch=self._epoch, chance=self._chance
        )

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
        if self._epochs:  # a run that goes on may draw to another file
            self._draw()
        self._task = self._bars.add_task("epoch", total=steps, completed=position.step, state="")
        if not self.as_json:
            from ..training.captions import settings_text

            run = self._run
            data = run.data
            say(
                f"{run.network.name} {shape_text(run.network.input_shape)} in {run.backend.name},"
                f" on {len(data.train.labels)} images of {data.description}; tested on"
                f" {len(data.test.labels)}"
            )
            say(f"{settings_text(run.recipe)}; {steps} steps; in {run.folder}")
            if position.step:
                say(f"goes on after step {position.step}")

    def _step(self, step: int, loss: float, accuracy: float, speed: float) -> None:
        if not self._quiet:
            epoch = (step - 1) // self._run.per_epoch + 1
            state = f"loss {loss:.3f}  accuracy {accuracy:.3f}  {speed:.0f} examples/s"
            self._bars.update(
                self._task,
                completed=step,
                description=f"epoch {epoch}/{self._run.recipe.epochs}",
                state=state,
            )

    def _epoch(self, epoch: Any) -> None:
        self._epochs.append(epoch)
        self._draw()
        if not self.as_json:
            say(
                f"epoch {epoch.epoch:>3}/{self._run.recipe.epochs}  loss {epoch.loss:.4f}  train"
                f" accuracy {epoch.train_accuracy:.4f}  test accuracy {epoch.test_accuracy:.4f} "
                f" {epoch.examples_per_second:.1f} examples/s"
            )

    def _draw(self) -> None:
        from ..training.captions import settings_text
        from ..training.curves import draw_curves

        run = self._run
        title = f"{run.network.name}, {run.data.name}, {run.backend.name}"
        try:
            draw_curves(
                self._picture,
                {run.backend.name: [self._epochs]},
                title,
                chance=run.recipe.chance_loss(run.network),
                settings=settings_text(run.recipe),
            )
            self._drawn = True
        except DataError as error:  # no reason to end a run of hours
            self._drawn = False
            print(f"googlenet: no curves: {error}", file=sys.stderr)

    def _chance(self, line: str) -> None:
        if not self._hinted:
            self._hinted = True
            print(line, file=sys.stderr)

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
        curves = f"curves in {self._picture}, " if self._drawn else ""
        say(
            f"loss {last.loss:.3f}, train accuracy {last.train_accuracy:.3f}, test accuracy"
            f" {last.test_accuracy:.3f} (95 % confidence interval {low:.3f} to {high:.3f});"
            f" {curves}weights in {self._run.folder / WEIGHTS}"
        )
