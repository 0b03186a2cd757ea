"""Scenes: frames that show one thing, which no split may part.

Frames are linked where they are alike, and what hangs together over any number of links is a scene
(single linkage). Names help where their numbers count time: frames of one video differ by too much
after some steps, yet show one patient.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.data.likeness import ALIKE, FramePrint, agreement_rows

_COUNTS_TIME = 0.2
"""Where at least this share of the neighbours in number is alike, numbers count time. Of two videos
at 13 and 25 frames a second it was 0.48 and 0.94, of every fifth frame of the second 0.41; of
single frames (PolypGen, ISIC) at most 0.01."""
_NUMBERED = re.compile(r"(.*?)(\d+)(\D*)")

Labels = NDArray[np.intp]


def scenes(prints: Sequence[FramePrint]) -> list[str]:
    """The scene of each frame, named by the first of its stems."""
    labels = _by_pixels(prints)
    for row in agreement_rows(prints, prints):
        _join(labels, np.flatnonzero(row >= ALIKE))
    stems = [one.stem for one in prints]
    for clip in _clips(stems):
        if (labels[clip[1:]] == labels[clip[:-1]]).mean() >= _COUNTS_TIME:
            _join(labels, clip)
    names: dict[int, str] = {}
    for stem, label in sorted(zip(stems, labels.tolist(), strict=True)):
        names.setdefault(label, stem)
    return [names[label] for label in labels.tolist()]


def _by_pixels(prints: Sequence[FramePrint]) -> Labels:
    """A number for each frame, the same for equal pixels: flat frames are alike in nothing else."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(p.pixels_sha256, i) for i, p in enumerate(prints)], np.intp)


def _join(labels: Labels, members: Labels) -> None:
    """Give all scenes of these frames one number."""
    if len(members) > 1 and len(found := np.unique(labels[members])) > 1:
        labels[np.isin(labels, found)] = found[0]


def _clips(stems: Sequence[str]) -> Iterator[Labels]:
    """Frames whose names differ in their last number alone, in its order."""
    clips: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for index, stem in enumerate(stems):
        if found := _NUMBERED.fullmatch(stem):
            clips[found[1], found[3]].append((int(found[2]), index))
    for members in clips.values():
        if len(members) > 1:
            yield np.array([index for _, index in sorted(members)], np.intp)
