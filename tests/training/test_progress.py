"""Progress: drawn on a terminal, and no byte where there is none."""

from __future__ import annotations

import io
import re

from rich.console import Console

from lightawnet_edge.training.metrics_log import EpochRecord, StepRecord
from lightawnet_edge.training.progress import RichProgress, epoch_line

EPOCH = EpochRecord(
    size="32x32",
    epoch=1, loss=0.5, dice=0.625, iou=0.5, precision=0.75, recall=0.25, lr=1e-3,
    images_per_s=12.3, seconds=4.0, best=True,
)  # fmt: skip


def drive(*, terminal: bool) -> str:
    text = io.StringIO()
    progress = RichProgress(Console(file=text, force_terminal=terminal, width=120))
    progress.on_start(epochs=2, steps=2, done=0)
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


def test_nothing_is_written_where_there_is_no_terminal() -> None:
    assert drive(terminal=False) == ""


def test_an_epoch_reads_as_one_line() -> None:
    assert epoch_line(EPOCH) == (
        "epoch   1  loss 0.5000  Dice 0.6250  IoU 0.5000  precision 0.7500  recall 0.2500  "
        "12.3 images/s  best"
    )
