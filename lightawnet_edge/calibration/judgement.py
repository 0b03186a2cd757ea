"""What calibration frames are worth: how many pictures they show, and from how many scenes.

Pure: prints of frames in, so that a plain folder and a designed set are judged alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lightawnet_edge.calibration.record import SetRecord
from lightawnet_edge.data.likeness import FramePrint, alike_to, show_nothing
from lightawnet_edge.data.scenes import scenes
from lightawnet_edge.errors import SpecError

FEWEST = 4
"""Distinct pictures below which scales are chance: INT8 masks changed in 0.5 % of their pixels with
8, 16 or 32 frames whichever they were, in 1.0 % with the worst 4, and in 2.0 % and 3.6 % with the
worst 2 and 1 (docs/calibration.md)."""
ENOUGH = 8
"""From here on it mattered no more how many frames there were, or which."""
STRANGE = 0.09
"""Nats between a network's activations on frames and their statistics in training. The packaged
networks find colonoscopy at 0.02 to 0.06, whether or not of their own source, and all else at 0.11
or more: skin, CT, MR, and colonoscopy with red and blue swapped (docs/calibration.md)."""
SHOWN = 8
"""Names in one line; the rest are counted."""
MOVED = 0.1
"""A scale that changes more than this at half the size is worth a doubt: its layer then rounds a
tenth coarser, or clips a tenth of its range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a set of calibration frames shows."""

    frames: int
    blank: tuple[str, ...]
    """Names of those without content: black, white, of one colour."""
    distinct: int
    """Different pictures: copies and near-copies count once, frames without content not at all."""
    scene_of: tuple[str | None, ...]
    """Scene of each frame; None for a frame without content."""

    @property
    def scenes(self) -> int:
        """Scenes that the frames show."""
        return len(set(self.scene_of) - {None})

    def held_out(self, one_in: int) -> tuple[int, ...]:
        """Indices of frames that no other frame shares a scene with: about one of so many.

        Of every `one_in` scenes, in the order of their first frames, the smallest is held out, the
        last of equals. Where no two frames are alike, this is every `one_in`th frame.
        """
        members: dict[str, list[int]] = {}
        for index, scene in enumerate(self.scene_of):
            if scene is not None:
                members.setdefault(scene, []).append(index)
        all_of = list(members.values())
        turns = (all_of[end - one_in : end] for end in range(one_in, len(all_of) + 1, one_in))
        return tuple(sorted(index for turn in turns for index in min(turn[::-1], key=len)))


def judge(prints: Sequence[FramePrint]) -> Judgement:
    """Count what frames show, in the order that they are given in."""
    nothing = show_nothing(prints)
    shown = [one for one, empty in zip(prints, nothing, strict=True) if not empty]
    found = iter(scenes(shown))
    return Judgement(
        frames=len(prints),
        blank=tuple(one.stem for one, empty in zip(prints, nothing, strict=True) if empty),
        distinct=_distinct(shown),
        scene_of=tuple(None if empty else next(found) for empty in nothing),
    )


def refuse_few(found: Judgement, name: str) -> None:
    """Refuse frames that no scale can be taken from.

    Raises:
        SpecError: They show too few pictures.
    """
    if found.distinct >= FEWEST:
        return
    raise SpecError(
        f"The {found.frames} calibration frames of '{name}' show {_pictures(found.distinct)}"
        f"{_why(found)}, expected {FEWEST} at least: scales taken from them do not hold for other "
        "frames. Give real frames of many scenes with --calibration DIR."
    )


def doubts(found: Judgement) -> list[str]:
    """Reasons not to trust scales that are taken from these frames."""
    return list(_doubts(found))


def set_doubts(record: SetRecord) -> list[str]:
    """Reasons not to trust a designed set, or what is measured with it."""
    found = [
        f"{match}: it is in the evaluation set, too, and was allowed" for match in record.overlap
    ]
    if missing := record.coverage.missing:
        found.append(f"the set holds no frame of {listed(missing)}: ask for more --frames")
    stability = record.stability
    if stability is not None:
        found += [
            f"scales by {method} still change by {stability.median(method):.0%} in the middle "
            f"layer between {stability.half} and {stability.frames} frames: ask for more --frames"
            for method in stability.methods
            if stability.median(method) > MOVED
        ]
        if doubt := strange(stability.mismatch or 0.0, stability.weights):
            found.append(doubt)
    return found


def strange(mismatch: float, name: str) -> str | None:
    """Say that frames are not of the kind that a network was trained on; None where they are."""
    if mismatch <= STRANGE:
        return None
    return (
        f"the calibration frames are not like those that '{name}' was trained on: its activations "
        f"lie {mismatch:.2f} nats from their statistics in training, expected at most {STRANGE}; "
        "they may be few, of another domain, in another order of colours, or scaled otherwise"
    )


def listed(names: Sequence[str]) -> str:
    """Some of the names, and how many more there are."""
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f", and {rest} more" if rest > 0 else "")


def _doubts(found: Judgement) -> Iterator[str]:
    if found.distinct < ENOUGH:
        yield (
            f"the {found.frames} calibration frames show {_pictures(found.distinct)}, expected "
            f"{ENOUGH} at least: other frames will fall out of the scales"
        )
    if found.blank:
        yield (
            f"{len(found.blank)} of {found.frames} calibration frames show nothing "
            f"({listed(found.blank)}): they take part in scales and frozen routing"
        )
    if found.scenes == 1 and found.distinct >= ENOUGH:
        yield (
            f"the {found.frames} calibration frames show one scene, or are of one clip: scales "
            "hold for it"
        )


def _distinct(prints: Sequence[FramePrint]) -> int:
    """How many frames are left where of any two that are alike one is taken away."""
    alike, free = alike_to(prints), np.ones(len(prints), np.bool_)
    count = 0
    for index in range(len(prints)):
        if free[index]:
            free &= ~alike(index)
            count += 1
    return count


def _pictures(count: int) -> str:
    return f"{count or 'no'} distinct picture{'' if count == 1 else 's'}"


def _why(found: Judgement) -> str:
    """What the others are."""
    copies = found.frames - len(found.blank) - found.distinct
    parts = [f"{copies} are copies or near-copies"] if copies else []
    if found.blank:
        parts.append(f"{len(found.blank)} show nothing ({listed(found.blank)})")
    return f" ({', '.join(parts)})" if parts else ""
