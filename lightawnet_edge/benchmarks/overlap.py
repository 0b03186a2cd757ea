"""Frames that a bundle was calibrated on are no frames to measure its accuracy on."""

from __future__ import annotations

from collections.abc import Mapping

from lightawnet_edge.benchmarks.frames import has_opencv
from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.data.frameset import FrameSet
from lightawnet_edge.data.likeness import (
    PRINTS,
    FramePrint,
    Match,
    find_matches,
    print_frame,
    read_prints,
)
from lightawnet_edge.errors import ArtifactError, SpecError

Overlap = Mapping[str, tuple[Match, ...] | None]
"""Bundle to the frames that its calibration set shows, too; None where it does not say on which
frames it was calibrated. Bundles without overlap are left out."""

_SHOWN = 5


def find_overlap(bundles: Mapping[str, Bundle], frames: FrameSet) -> Overlap:
    """Compare evaluation frames with the calibration sets of bundles, by pixels and by likeness.

    Frames that cannot be read are left out, as they are in the measurement.

    Args:
        bundles: Name to bundle, all verified.
        frames: Those that accuracy will be measured on.

    Raises:
        ArtifactError: A bundle's record of its calibration frames cannot be read.
    """
    calibrated = {
        name: bundle for name, bundle in bundles.items() if bundle.manifest.calibration is not None
    }
    prints = _prints(frames) if calibrated else []
    found: dict[str, tuple[Match, ...] | None] = {}
    for name, bundle in calibrated.items():
        if PRINTS not in bundle.manifest.files:
            found[name] = None
        elif matches := find_matches(prints, read_prints(bundle.path / PRINTS)):
            found[name] = tuple(matches)
    return found


def look_for_overlap(
    bundles: Mapping[str, Bundle], frames: FrameSet
) -> tuple[Overlap, tuple[str, ...]]:
    """As `find_overlap`, where frames can be compared here; else nothing, and a doubt.

    Raises:
        ArtifactError: A bundle's record of its calibration frames cannot be read.
    """
    if has_opencv():
        return find_overlap(bundles, frames), ()
    names = [name for name, one in bundles.items() if one.manifest.calibration is not None]
    if not names:
        return {}, ()
    doubt = (
        f"whether {' and '.join(names)} was calibrated on some of these frames is not known: "
        "OpenCV, which compares them, is not installed"
    )
    return {}, (doubt,)


def refuse_overlap(overlap: Overlap) -> None:
    """Refuse to measure a bundle on frames that it was calibrated on.

    Raises:
        SpecError: Names the bundle and the frames.
    """
    for name, matches in overlap.items():
        if matches:
            shown = ", ".join(str(match) for match in matches[:_SHOWN])
            rest = len(matches) - _SHOWN
            more = f", and {rest} more" if rest > 0 else ""
            raise SpecError(
                f"'{name}' was calibrated on {len(matches)} of the frames to measure it on: "
                f"{shown}{more}. Leave them out with --split FILE, or insist with --allow-overlap."
            )


def _prints(frames: FrameSet) -> list[FramePrint]:
    found = []
    for file in frames.files:
        try:
            found.append(print_frame(file.stem, file.read()))
        except ArtifactError:
            continue
    return found
