"""Calibration frames of an export, judged before anything is made of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lightawnet_edge.bundle.choices import CalibrationRecord
from lightawnet_edge.calibration.judgement import (
    Judgement,
    doubts,
    judge,
    refuse_few,
    set_doubts,
    strange,
)
from lightawnet_edge.data.likeness import FramePrint
from lightawnet_edge.export.resolve import Resolved
from lightawnet_edge.model.domain import doubt_packaged
from lightawnet_edge.progress import Narrate, OnStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What is known of the frames; nothing is of those that have no say in the bundle."""

    name: str
    """Of the network."""
    prints: tuple[FramePrint, ...]
    judgement: Judgement
    doubts: tuple[str, ...]

    def record(self, mismatch: float | None) -> CalibrationRecord | None:
        """For the manifest, with how strange the network found the frames; None without a say."""
        if mismatch is None:
            return None
        found = strange(mismatch, self.name)
        return CalibrationRecord(
            distinct=self.judgement.distinct,
            scenes=self.judgement.scenes,
            mismatch=mismatch,
            doubts=(*self.doubts, found) if found else self.doubts,
        )


def judge_frames(resolved: Resolved, narrate: Narrate, on_step: OnStep) -> Judged:
    """Judge the calibration frames where they have a say, and tell what is to be doubted.

    Raises:
        SpecError: They show too little.
        ArtifactError: One of them cannot be read.
    """
    frames, name = resolved.calibration, resolved.source.name
    prints = frames.prints(on_step) if resolved.calibrated else ()
    judgement = judge(prints)
    if resolved.calibrated is None:
        return Judged(name=name, prints=(), judgement=judgement, doubts=())
    refuse_few(judgement, frames.source.name)
    found = tuple(_doubts(resolved, judgement))
    for doubt in found:
        narrate(f"doubt: {doubt}")
    return Judged(name=name, prints=prints, judgement=judgement, doubts=found)


def _doubts(resolved: Resolved, judgement: Judgement) -> Iterator[str]:
    source, record = resolved.source, resolved.calibration.record
    if resolved.spec.calibration is None and (
        doubt := doubt_packaged(source.sha256, source.name, "--calibration DIR")
    ):
        yield doubt
    if record is not None:
        yield from set_doubts(record)
    yield from doubts(judgement)
