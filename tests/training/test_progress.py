"""Progress: drawn on a terminal, and a line an epoch where there is none; time left in both."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

from rich.console import Console

from lightawnet_edge.specs import Size
from lightawnet_edge.training.metrics_log import EpochRecord, StepRecord
from lightawnet_edge.training.progress import RichProgress, epoch_line

EPOCH = EpochRecord(
    size="32x32",
    epoch=1, loss=0.5, dice=0.625, iou=0.5, precision=0.75, recall=0.25, lr=1e-3,
    images_per_s=12.3, seconds=4.0, best=True,
)  # fmt: skip


def drive(*, terminal: bool, sizes: Sequence[Size] = (Size(32, 32),) * 2, done: int = 0) -> str:
    text = io.StringIO()
    progress = RichProgress(Console(file=text, force_terminal=terminal, width=160))
    progress.on_start(sizes=sizes, steps=2, done=done)
    for step in (1, 2):
        progress.on_step(StepRecord(epoch=1, step=step, steps=2, loss=0.5, images=8))
    progress.on_epoch(EPOCH)
    progress.on_end()
    return text.getvalue()


def test_a_terminal_shows_loss_dice_speed_and_time_left() -> None:
    text = drive(terminal=True)
    for part in ("epoch 1/2", "loss 0.5000", "Dice 0.6250", "images/s"):
        assert part in text
    assert re.search(r"\d:\d\d:\d\d", text)
    assert epoch_line(EPOCH) in text


def test_without_a_terminal_there_is_a_line_an_epoch_and_no_bar() -> None:
    assert drive(terminal=False) == f"{epoch_line(EPOCH)}  0:00:04 left\n"


def test_time_left_counts_the_phases_that_come_by_their_pixels() -> None:
    """One epoch of 4 s at 32x32 is done: two at four times the pixels take 16 s each."""
    phases = (Size(32, 32), Size(64, 64), Size(64, 64))
    assert drive(terminal=False, sizes=phases).endswith("0:00:32 left\n")


def test_the_last_epoch_has_no_time_left() -> None:
    assert drive(terminal=False, sizes=(Size(32, 32),)) == f"{epoch_line(EPOCH)}\n"


def test_an_epoch_reads_as_one_line() -> None:
    assert epoch_line(EPOCH) == (
        "epoch   1  loss 0.5000  Dice 0.6250  IoU 0.5000  precision 0.7500  recall 0.2500  "
        "12.3 images/s  best"
    )
