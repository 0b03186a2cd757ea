"""What a run reports: typed records, the observer that gets them, the CSV file and TensorBoard."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightawnet_edge.bundle.store import replace_file
from lightawnet_edge.scores.masks import SegmentationScore
from lightawnet_edge.specs import Size


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One optimizer step, as the main process sees it."""

    epoch: int
    """Counted from 1."""
    step: int
    """Within the epoch, counted from 1."""
    steps: int
    """In each epoch."""
    loss: float
    """Mean over this process's share of the batch."""
    images: int
    """Frames of the step, over all processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """One epoch, a row of the CSV file; scores are means over validation frames at network size."""

    epoch: int
    """Counted from 1."""
    size: str
    """Network input, HEIGHTxWIDTH."""
    loss: float
    """Mean training loss over all processes."""
    dice: float
    iou: float
    precision: float
    recall: float
    lr: float
    """AdamW's, at the last step."""
    images_per_s: float
    """Training frames per second, validation apart."""
    seconds: float
    """Duration of the epoch, with validation."""
    best: bool
    """Whether this epoch's Dice is the best so far at its size."""

    @property
    def score(self) -> SegmentationScore:
        """The validation scores."""
        return SegmentationScore(
            dice=self.dice, iou=self.iou, precision=self.precision, recall=self.recall
        )


class Observer:
    """Hears of a run's progress, in the main process only; this one ignores it."""

    def on_start(self, *, sizes: Sequence[Size], steps: int, done: int) -> None:
        """Training begins: an epoch a size, of `steps` each; `done` epochs were trained before."""

    def on_step(self, record: StepRecord) -> None:
        """An optimizer step was made."""

    def on_epoch(self, record: EpochRecord) -> None:
        """An epoch was trained, validated and saved."""

    def on_end(self) -> None:
        """Training ended: finished, stopped early, interrupted or failed."""


def to_csv(records: Sequence[EpochRecord]) -> str:
    """One row per epoch under a header."""
    text = io.StringIO()
    names = [item.name for item in dataclasses.fields(EpochRecord)]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for record in records:
        row = dataclasses.asdict(record)
        writer.writerow({key: _cell(value) for key, value in row.items()})
    return text.getvalue()


def write_csv(path: Path, records: Sequence[EpochRecord]) -> None:
    """Replace the CSV file by one with these records."""
    replace_file(path, to_csv(records).encode())


def _cell(value: object) -> object:
    return (
        f"{value:.6g}"
        if isinstance(value, float)
        else int(value)
        if isinstance(value, bool)
        else value
    )


class TensorBoardLog:
    """Event files for TensorBoard in the run folder."""

    def __init__(self, folder: Path, done: int) -> None:
        """Events of epochs after `done`, left by an interrupted process, are hidden."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=done + 1)

    def write(self, record: EpochRecord) -> None:
        """Add the scalars of an epoch."""
        for name in ("loss", "dice", "iou", "precision", "recall", "lr", "images_per_s"):
            group = "train" if name in ("loss", "lr", "images_per_s") else "validation"
            self._writer.add_scalar(f"{group}/{name}", getattr(record, name), record.epoch)
        self._writer.flush()

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()
