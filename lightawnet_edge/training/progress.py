"""Progress of a run on a terminal: a bar with loss, Dice, speed and the time that is left."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from lightawnet_edge.training.metrics_log import EpochRecord, Observer, StepRecord

_SMOOTHING = 0.95
"""Weight of the past in the displayed loss and speed: about the last 20 steps count."""


class RichProgress(Observer):
    """Draws on a console, one line per epoch above the bar; silent where that is no terminal."""

    def __init__(self, console: Console) -> None:
        """`console` should write to stderr: stdout is for results."""
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]}  Dice {task.fields[dice]}"),
            TextColumn("{task.fields[speed]} images/s"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            disable=not console.is_terminal,
            transient=True,
            # Steps take seconds on a CPU: a short window would make the estimate jump.
            speed_estimate_period=600,
        )
        self._loss = 0.0
        self._step_s = 0.0
        self._last_s: float | None = None

    def on_start(self, *, epochs: int, steps: int, done: int) -> None:
        """Show the bar."""
        self._bar.start()
        self._task = self._bar.add_task(
            "", total=epochs * steps, completed=done * steps,
            epoch=done + 1, epochs=epochs, loss="-", dice="-", speed="-",
        )  # fmt: skip

    def on_step(self, record: StepRecord) -> None:
        """Advance the bar."""
        now_s = time.perf_counter()
        first = self._last_s is None
        self._loss = record.loss if first else _smooth(self._loss, record.loss)
        if self._last_s is not None:
            taken_s = now_s - self._last_s
            self._step_s = _smooth(self._step_s, taken_s) if self._step_s else taken_s
        self._last_s = now_s
        speed = f"{record.images / self._step_s:.1f}" if self._step_s else "-"
        self._bar.update(
            self._task, advance=1, epoch=record.epoch, loss=f"{self._loss:.4f}", speed=speed
        )

    def on_epoch(self, record: EpochRecord) -> None:
        """Leave a line behind."""
        self._bar.update(self._task, dice=f"{record.dice:.4f}")
        if self._bar.console.is_terminal:
            self._bar.console.print(epoch_line(record), highlight=False)
        # Validation is no step: the next one starts its own clock.
        self._last_s = time.perf_counter()

    def on_end(self) -> None:
        """Take the bar away."""
        self._bar.stop()


def epoch_line(record: EpochRecord) -> str:
    """An epoch in one line."""
    return (
        f"epoch {record.epoch:3d}  loss {record.loss:.4f}  Dice {record.dice:.4f}  "
        f"IoU {record.iou:.4f}  precision {record.precision:.4f}  recall {record.recall:.4f}  "
        f"{record.images_per_s:.1f} images/s{'  best' if record.best else ''}"
    )


def _smooth(past: float, now: float) -> float:
    return _SMOOTHING * past + (1 - _SMOOTHING) * now
