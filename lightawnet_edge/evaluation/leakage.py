"""What the records say of frames that stand on both sides, of training and of evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from lightawnet_edge.data.faults import listed
from lightawnet_edge.data.frameset import FrameSet, read_each
from lightawnet_edge.data.likeness import Match, find_matches, print_frame, read_prints
from lightawnet_edge.data.splits import read_split
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.evaluation.evaluation import Evaluation
from lightawnet_edge.evaluation.training_record import TrainingRecord
from lightawnet_edge.progress import OnStep
from lightawnet_edge.specs import ColorOrder
from lightawnet_edge.training.split import TRAINED

Twins = tuple[tuple[str, str], ...]
"""Near-duplicates: an evaluated stem, and the training stem that it resembles."""


def leakage(
    result: Evaluation, stages: Sequence[TrainingRecord], twins: Twins | None
) -> Iterator[str]:
    """Say in sentences what was checked, what was found, and what was not looked for.

    Raises:
        SpecError: An evaluated frame was trained on, by its name or its pixels.
    """
    evaluated = {frame.stem for frame in result.frames}
    for number, stage in enumerate(stages, start=1):
        yield f"stage {number}: {_shared_stems(stage, result, evaluated)}"
    if stages and (init := stages[0].config.get("init")):
        yield (
            f"stage 1 started from `{Path(str(init)).name}`: what these weights had been trained "
            "on was not looked at; evaluated frames may be among it"
        )
    if stages:
        yield (
            "the trainer refuses to start where a validation frame has the pixels of a training "
            "frame"
        )
    if any(_selected_on(stage, result) for stage in stages):
        yield (
            "epochs were compared on the validation frames, which are those reported here: scores "
            "are optimistic by that choice"
        )
    if result.trained_on is not None:
        yield "pictures: " + _compared(result.trained_on)
    yield "near-duplicates: " + _resembling(twins, evaluated)


def shown_in_training(
    checkpoint: Path, frames: FrameSet, color: ColorOrder, on_step: OnStep | None = None
) -> tuple[Match, ...] | None:
    """Frames that show a picture of the training; None where the run is not beside its weights.

    Raises:
        ArtifactError: The record of the training frames, or a frame, cannot be read.
    """
    if not (file := checkpoint.parent / TRAINED).is_file():
        return None
    trained = read_prints(file, again="Move it away, and nothing is compared with it.")
    stage = "comparing with the training"
    found = read_each(
        frames.files, lambda one: print_frame(one.stem, one.read(color)), stage, on_step
    )
    return tuple(find_matches(list(found), trained))


def read_twins(path: Path) -> Twins:
    """Read a file with a pair a line: evaluated stem, comma, training stem; # starts a comment.

    Raises:
        ArtifactError: The file is missing, or a line is no pair.
    """
    pairs = []
    for line in read_split(path):
        first, _, second = (part.strip() for part in line.partition(","))
        if not (first and second):
            raise ArtifactError(f"'{path}': expected 'stem,training stem', found '{line}'.")
        pairs.append((first, second))
    return tuple(pairs)


def _resembling(twins: Twins | None, evaluated: set[str]) -> str:
    if twins is None:
        return "no list was given"
    inside = sorted(pair for pair in twins if pair[0] in evaluated)
    left_out = f"{len(twins) - len(inside)} listed pairs are about frames that were left out"
    if not inside:
        return f"none of the evaluated frames is listed; {left_out}"
    names = "; ".join(f"`{first}` ~ `{second}`" for first, second in inside)
    return (
        f"{len(inside)} pairs of an evaluated and a training frame are listed, so scores are "
        f"optimistic: {names}; {left_out}"
    )


def _shared_stems(stage: TrainingRecord, result: Evaluation, evaluated: set[str]) -> str:
    """Compare the names on both sides, where the split files of the training are at hand."""
    if (data := Path(str(stage.config.get("data", ""))).name) != result.data:
        return f"trained on another set, `{data}`"
    if stage.trained is not None:
        _refuse_trained(sorted(evaluated & stage.trained), f"'{TRAINED}'")
        return f"no evaluated frame was a training frame, by name (checked with `{TRAINED}`)"
    for key in ("split", "val_split"):
        if not (value := stage.config.get(key)):
            continue
        if not (file := Path(value)).is_file():
            return f"names were not compared: the split file `{file.name}` is not at hand"
        names = {name if name in evaluated else Path(name).stem for name in read_split(file)}
        # Where only validation frames are named, all others were trained on.
        shared = evaluated & names if key == "split" else evaluated - names
        _refuse_trained(sorted(shared), f"'{file}'")
        return f"no evaluated frame was a training frame, by name (checked with `{file.name}`)"
    return "names were not compared: the validation frames were drawn by a hash of their names"


def _compared(matches: Sequence[Match]) -> str:
    """What comparing pictures with those of the training found.

    Raises:
        SpecError: There are equal pixels.
    """
    _refuse_trained([match.stem for match in matches if match.same_pixels], "their pixels")
    if not matches:
        return f"no evaluated frame is like a training frame (checked with `{TRAINED}`)"
    return (
        f"{len(matches)} evaluated frames nearly show a training frame, so scores are optimistic: "
        f"{listed([str(match) for match in matches])}"
    )


def _refuse_trained(stems: Sequence[str], by: str) -> None:
    if stems:
        raise SpecError(
            f"{len(stems)} evaluated frame(s) were trained on, by {by}, e.g. '{stems[0]}': "
            "their scores say nothing. Evaluate on frames that were held out."
        )


def _selected_on(stage: TrainingRecord, result: Evaluation) -> bool:
    val_split = stage.config.get("val_split")
    return val_split is not None and Path(val_split).name == result.split
