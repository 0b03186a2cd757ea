"""The text of a model card, in Markdown; from records alone."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lightawnet_edge.evaluation.evaluation import WORST, Evaluation, Summary
from lightawnet_edge.evaluation.report import NONE, interval_text, markdown, markdown_table, notes
from lightawnet_edge.evaluation.training_record import TrainingRecord, settings, side_by_side
from lightawnet_edge.scores.intervals import Interval, mean_interval

_TOLD_ELSEWHERE = ("out", "training_data", "license")
_TENTHS = 10
_CONVENTIONS = (
    "Means over images of equal weight, in brackets the 95 % bootstrap interval. Masks are "
    "compared at the frames' own size. Rows by lesion size (share of the image) hold frames with a "
    "lesion only. HD95: 95th percentile of border distances, in pixels of the frame and as a share "
    "of its diagonal."
)
_USE = (
    "For research and engineering evaluation of segmentation on edge devices. Not a medical "
    "device; not for diagnosis, and not for use during an examination."
)
_LIMITS = (
    "Scores hold for frames like those above. Other centres, endoscopes or preprocessing, and "
    "video rather than selected frames, were not measured unless a row above says so."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """All that a card says."""

    result: Evaluation
    stages: tuple[TrainingRecord, ...]
    also: tuple[Evaluation, ...]
    leakage: tuple[str, ...]
    """What is known of frames on both sides, a sentence each."""
    untold: tuple[str, ...]
    """What is not known of how the runs hang together, likewise."""
    notes: str
    hardware: str
    data_license: str
    """Terms of the evaluated frames."""
    attribution: str
    """Source of the evaluated frames."""
    worst: bytes | None
    """The contact sheet, where the terms allow it."""

    @property
    def name(self) -> str:
        """Of the weights, and of the card's files."""
        return self.result.weights.name


def render(sources: Sources) -> str:
    """The card's text."""
    sections = (
        ("", _summary(sources)),
        ("Data", _data(sources)),
        ("Recipe", _recipe(sources)),
        ("Scores", _scores(sources)),
        ("Worst frames", _worst(sources)),
        ("Intended use, limits, terms", _terms(sources)),
        ("Notes", sources.notes),
    )
    parts = (f"## {title}\n\n{text}" if title else text for title, text in sections if text)
    return "\n\n".join(parts) + "\n"


def _summary(sources: Sources) -> str:
    result, weights = sources.result, sources.result.weights
    mean, interval = interval_text(result.overall.dice)
    return (
        f"# `{sources.name}`: what these weights are, and how good\n\n"
        f"LightAWNet, {_routing(result)}{weights.in_channels} channel(s), input "
        f"{weights.size}, {weights.parameters:,} parameters, SHA-256 "
        f"`{weights.sha256[:16]}…`. Dice per image **{mean}** (95 % interval {interval}) on the "
        f"{result.overall.n} frames below, at {result.size}, FP32. Written by `lightawnet-edge "
        "card` from the records of training and evaluation."
    )


def _routing(result: Evaluation) -> str:
    experts = result.weights.experts
    return "static kernels, " if experts == 1 else f"{experts} routed kernels a bank, "


def _data(sources: Sources) -> str:
    result = sources.result
    split = f", split `{result.split}`" if result.split else ""
    rows = [
        ["training", result.weights.training_data],
        ["evaluation", f"{result.overall.n} frames of `{result.data}`{split}"],
        ["terms of these frames", sources.data_license],
        ["digest of these frames", f"`{result.frames_sha256}`"],
        ["SHA-256 of the weights", f"`{result.weights.sha256}`"],
    ]
    checks = "\n".join(f"- {line}" for line in sources.leakage)
    return f"{markdown_table(('', ''), rows)}\n\nLeakage:\n\n{checks}"


def _recipe(sources: Sources) -> str:
    stages = sources.stages
    if not stages:
        return ""
    told = [
        {
            "weights, SHA-256": ", ".join(f"`{sha[:16]}…`" for sha in sorted(stage.made.all)),
            "epochs trained": str(len(stage.epochs)),
            "duration": f"{stage.seconds / 3600:.2f} h",
            "best epoch": _best(stage),
            **{k: v for k, v in settings(stage.config).items() if k not in _TOLD_ELSEWHERE},
        }
        for stage in stages
    ]
    heads = ["", *(f"stage {number}" for number in range(1, len(stages) + 1))]
    hours = sum(stage.seconds for stage in stages) / 3600
    untold = "".join(f"\n\n{line[0].upper()}{line[1:]}." for line in sources.untold)
    return (
        f"Hardware: {sources.hardware}. Duration: {hours:.2f} h, "
        f"validation included.\n\n![loss and Dice by epoch]({sources.name}-curves.png)\n\n"
        f"{markdown_table(heads, side_by_side(told))}{untold}"
    )


def _best(stage: TrainingRecord) -> str:
    epoch, dice = stage.best
    return f"{epoch}, validation Dice {dice:.4f} at {stage.sizes[-1] or 'network size'}"


def _scores(sources: Sources) -> str:
    result = sources.result
    lines = "\n".join(f"- {note}" for note in notes(result))
    counts = [0] * _TENTHS
    for frame in result.frames:
        counts[min(int(frame.dice * _TENTHS), _TENTHS - 1)] += 1
    heads = [f"{tenth / _TENTHS:.1f}-" for tenth in range(_TENTHS)]
    parts = [
        _CONVENTIONS,
        markdown(result),
        lines,
        "Frames by Dice:",
        markdown_table(["Dice", *heads], [["frames", *map(str, counts)]]),
    ]
    if sources.also:
        parts += ["Other sets, sizes and weights:", _others(sources.also, result)]
    parts.append(_again(result))
    return "\n\n".join(parts)


def _others(results: Sequence[Evaluation], own: Evaluation) -> str:
    rows = []
    for result in results:
        scores = [result.overall.dice, result.overall.iou, _difference(result, own)]
        cells = ["{} ({})".format(*interval_text(score)) if score else NONE for score in scores]
        weights = f"`{result.weights.name}`"
        where = f"{result.data}{f', {result.split}' if result.split else ''}"
        rows.append([weights, where, result.size, str(result.overall.n), *cells])
    heads = ("weights", "frames", "input", "n", "Dice", "IoU", "Dice less that of this card")
    return markdown_table(heads, rows)


def _difference(other: Evaluation, own: Evaluation) -> Interval | None:
    """Dice of the other less ours, frame by frame; None where the frames are not the same."""
    if other.frames_sha256 != own.frames_sha256 or len(other.frames) != len(own.frames):
        return None
    pairs = zip(other.frames, own.frames, strict=True)
    return mean_interval([theirs.dice - ours.dice for theirs, ours in pairs])


def _again(result: Evaluation) -> str:
    """What measured these numbers, and the command that gives them again."""
    tools = {"lightawnet-edge": result.version, **result.tools}
    versions = ", ".join(f"{name} {version}" for name, version in tools.items())
    if result.asked is None:
        told = f"Measured with {versions}. The command was not recorded; with names for paths:"
        return f"{told}\n\n```bash\n{_by_names(result)}\n```"
    when = datetime.fromisoformat(result.asked.created).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"Measured on {when} with {versions}. Once more, to 1e-3, on any machine that has these "
        "files, from the folder that the paths start in:\n\n```bash\n"
        f"{shlex.join(result.asked.command)}\n```"
    )


def _by_names(result: Evaluation) -> str:
    words = [
        f"--weights {result.weights.name} --data {result.data}",
        f"--split {result.split}" if result.split else "",
        f"--size {result.size}" if result.size != str(result.weights.size) else "",
        f"--limit {result.limit}" if result.limit else "",
    ]
    return f"lightawnet-edge evaluate {' '.join(filter(None, words))}"


def _worst(sources: Sources) -> str:
    rows = [
        [
            str(number), f"`{frame.stem}`", frame.group or "", frame.size,
            f"{frame.truth_share:.1%}", f"{frame.predicted_share:.1%}", f"{frame.dice:.3f}",
        ]
        for number, frame in enumerate(sources.result.worst(WORST), start=1)
    ]  # fmt: skip
    heads = ("", "frame", "group", "lesion", "share of image", "predicted", "Dice")
    if sources.worst is None:
        words = (
            f"No pictures: the terms of the frames ({sources.data_license}) do not allow copies "
            "here."
        )
    else:
        words = (
            f"![worst frames]({sources.name}-worst.jpg)\n\n"
            f"Blue: truth. Orange: prediction. Frames: {sources.attribution}; "
            f"{sources.data_license}; made smaller, outlines added."
        )
    return f"{words}\n\n{markdown_table(heads, rows)}"


def _terms(sources: Sources) -> str:
    result = sources.result
    lines = [_USE, _LIMITS]
    for what, parts in (("lesion size", result.by_size), ("group", result.by_group)):
        if len(parts) > 1:
            lines.append(_weakest(what, parts))
    empty = result.empty
    if empty.false_alarms:
        lines.append(
            f"False alarms: something is segmented on {empty.false_alarms} of {empty.n} frames "
            "without a lesion. The mask is no detector."
        )
    lines.append(f"Terms of the weights: {result.weights.license}.")
    return "\n".join(f"- {line}" for line in lines)


def _weakest(what: str, parts: Mapping[str, Summary]) -> str:
    name, part = min(parts.items(), key=lambda item: item[1].dice.mean)
    return f"Weakest by {what}: {name}, Dice {part.dice.mean:.3f} over {part.n} frames."
