"""What the records say of frames that stand on both sides, of training and of evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from lightawnet_edge.data.splits import read_split
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.evaluation.evaluation import Evaluation
from lightawnet_edge.evaluation.training_record import TrainingRecord

Twins = tuple[tuple[str, str], ...]
"""Near-duplicates: an evaluated stem, and the training stem that it resembles."""


def leakage(
    result: Evaluation, stages: Sequence[TrainingRecord], twins: Twins | None
) -> Iterator[str]:
    """Say in sentences what was checked, what was found, and what was not looked for.

    Raises:
        SpecError: A training split is at hand and names an evaluated frame.
    """
    evaluated = {frame.stem for frame in result.frames}
    for number, stage in enumerate(stages, start=1):
        yield f"stage {number}: {_shared_stems(stage, result, evaluated)}"
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
    yield "near-duplicates: " + _resembling(twins, evaluated)


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
    for key in ("split", "val_split"):
        if not (value := stage.config.get(key)):
            continue
        if not (file := Path(value)).is_file():
            return f"names were not compared: the split file `{file.name}` is not at hand"
        names = {name if name in evaluated else Path(name).stem for name in read_split(file)}
        # Where only validation frames are named, all others were trained on.
        shared = evaluated & names if key == "split" else evaluated - names
        _refuse_trained(sorted(shared), file)
        return f"no evaluated frame was a training frame, by name (checked with `{file.name}`)"
    return "names were not compared: the validation frames were drawn by a hash of their names"


def _refuse_trained(stems: Sequence[str], split: Path) -> None:
    if stems:
        raise SpecError(
            f"{len(stems)} evaluated frame(s) were trained on, by '{split}', e.g. '{stems[0]}': "
            "their scores say nothing. Evaluate on frames that were held out."
        )


def _selected_on(stage: TrainingRecord, result: Evaluation) -> bool:
    val_split = stage.config.get("val_split")
    return val_split is not None and Path(val_split).name == result.split
