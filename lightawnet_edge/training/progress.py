"""Progress of a run: a line an epoch, and on a terminal a bar; both say what time is left.

A step's cost goes by its pixels, so that the time left counts phases of another size rightly; the
times of this sitting alone count, since a run may go on at another machine's speed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from lightawnet_edge.specs import Size
from lightawnet_edge.training.metrics_log import EpochRecord, Observer, StepRecord

_SMOOTHING = 0.95
"""Weight of the past in the displayed loss and speed: about the last 20 steps count."""


class RichProgress(Observer):
    """Writes a line per epoch to a console; above a bar where that is a terminal."""

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
        self._console = console
        self._loss = 0.0
        self._step_s = 0.0
        self._last_s: float | None = None

    def on_start(self, *, sizes: Sequence[Size], steps: int, done: int) -> None:
        """Show the bar."""
        self._work_px = [size.height * size.width for size in sizes]
        self._done, self._first = done, done
        self._seconds = 0.0
        self._bar.start()
        self._task = self._bar.add_task(
            "", total=sum(self._work_px) * steps, completed=sum(self._work_px[:done]) * steps,
            epoch=done + 1, epochs=len(sizes), loss="-", dice="-", speed="-",
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
            self._task, advance=self._work_px[record.epoch - 1], epoch=record.epoch,
            loss=f"{self._loss:.4f}", speed=speed,
        )  # fmt: skip

    def on_epoch(self, record: EpochRecord) -> None:
        """Leave a line behind."""
        self._bar.update(self._task, dice=f"{record.dice:.4f}")
        self._done = record.epoch
        self._seconds += record.seconds
        left = self._left_s()
        text = f"  {timedelta(seconds=round(left))} left" if left else ""
        self._console.print(f"{epoch_line(record)}{text}", highlight=False, soft_wrap=True)
        # Validation is no step: the next one starts its own clock.
        self._last_s = time.perf_counter()

    def _left_s(self) -> float:
        spent_px = sum(self._work_px[self._first : self._done])
        return sum(self._work_px[self._done :]) * self._seconds / spent_px

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
