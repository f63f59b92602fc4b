"""What a person sees of training: a bar in a terminal, a line for each epoch, the curves, and the
result.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError
from .command import in_words
from .output import Bars, counted, print_json, say, say_aside, shape_text

if TYPE_CHECKING:
    from ..actions.train import Trained
    from ..training.loop import Listener, TrainingRun
    from ..training.position import Epoch, Position

#: The name of a run's bar.
TRAINING = "training"


class Watch:
    """What a person sees of one run; its curves go to `picture`, by default in its folder."""

    def __init__(self, bars: Bars, picture: Path | None, *, as_json: bool) -> None:
        self.as_json = as_json
        #: Whether this process prints: of several that train together, only one does.
        self.speaks = False
        self._bars, self._picture = bars, picture
        self._hinted = self._drawn = False
        self._epochs: list[Epoch] = []

    def begins(self, run: TrainingRun) -> Listener:
        """Take the run; returns what is to be told of its progress."""
        from ..training.folders import CURVES
        from ..training.loop import Listener

        self._run = run
        self._picture = self._picture or run.folder / CURVES
        return Listener(
            started=self._started,
            step=self._step,
            tested=lambda done, total: self._bars("testing", done, total),
            epoch=self._epoch,
            chance=self._chance,
        )

    def _started(self, position: Position, per_epoch: int, steps: int) -> None:
        from ..training.captions import settings_text

        self.speaks = True
        self._epochs = list(position.epochs)
        if self._epochs:  # a resumed run may draw to another file
            self._draw()
        if self.as_json:
            return
        run = self._run
        self._say(
            f"{run.network.name} at {shape_text(run.network.input_shape)} in {run.backend.name}, on"
            f" {counted(len(run.data.train.labels), 'image')} from {run.data.description}; tested"
            f" on {len(run.data.test.labels):,}"
        )
        self._say(f"{settings_text(run.recipe)}; {counted(steps, 'step')}; in {run.folder}")
        if position.step:
            self._say(f"resuming after step {position.step:,}")

    def _step(self, step: int, loss: float, accuracy: float, speed: float) -> None:
        epoch = (step - 1) // self._run.per_epoch + 1
        self._bars.show(
            TRAINING,
            f"epoch {epoch}/{self._run.recipe.epochs}, step {step:,}/{self._run.steps:,},"
            f" loss {loss:.3f}, {speed:.0f} images/s",
            step,
            self._run.steps,
        )

    def _epoch(self, epoch: Epoch) -> None:
        self._epochs.append(epoch)
        self._draw()
        if not self.as_json:
            width = len(str(self._run.recipe.epochs))
            self._say(
                f"epoch {epoch.epoch:>{width}}/{self._run.recipe.epochs}  loss {epoch.loss:.4f} "
                f" accuracy {epoch.train_accuracy:.3f}, test {epoch.test_accuracy:.3f} "
                f" {epoch.examples_per_second:.1f} images/s",
                indent="  ",
            )

    def _draw(self) -> None:
        from ..training.captions import settings_text
        from ..training.curves import draw_curves

        run = self._run
        assert self._picture is not None
        try:
            draw_curves(
                self._picture,
                {run.backend.name: [self._epochs]},
                f"{run.network.name} at {shape_text(run.network.input_shape)} on {run.data.name},"
                f" in {run.backend.name}",
                chance=run.recipe.chance_loss(run.network),
                settings=settings_text(run.recipe),
            )
            self._drawn = True
        except DataError as error:  # no reason to end a run of hours
            self._drawn = False
            say_aside(f"curves not drawn: {error}")

    def _say(self, text: str, *, indent: str = "") -> None:
        """A line, unless who read them has left, as `| head` does: no reason to end a run."""
        try:
            say(text, indent=indent)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def _chance(self, line: str) -> None:
        if not self._hinted:
            self._hinted = True
            say_aside(in_words(line))

    def end(self, trained: Trained) -> None:
        """The last line, or the JSON."""
        if self.as_json:
            print_json(trained.to_json())
            return
        last = trained.epochs[-1]
        low, high = trained.interval
        self._say(
            f"loss {last.loss:.3f}, train accuracy {last.train_accuracy:.3f}, test accuracy"
            f" {last.test_accuracy:.3f} (95 %: {low:.3f} to {high:.3f})"
        )
        if self._drawn:
            self._say(f"Curves: {self._picture}")
        self._say(f"Weights: {trained.weights}")
