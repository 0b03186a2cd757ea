"""A model card, written from records: an evaluation, run folders, notes of a person."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lightawnet_edge.bundle.store import replace_file, sha256_of
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.evaluation.belonging import check_belonging, untold
from lightawnet_edge.evaluation.card_text import Sources, render
from lightawnet_edge.evaluation.curves import curves
from lightawnet_edge.evaluation.evaluation import WORST_JPEG, Evaluation, read_evaluation
from lightawnet_edge.evaluation.leakage import leakage, read_twins
from lightawnet_edge.evaluation.training_record import read_run
from lightawnet_edge.options import option

_COPYABLE = re.compile(r"(CC0|CC[- ]BY([- ]SA)?)([- ]\d\.\d)?", re.IGNORECASE)
"""Terms of frames that let anyone copy them, companies too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardSpec:
    """What a card is written from."""

    evaluation: Path
    """Folder that `evaluate --out` wrote."""
    runs: tuple[Path, ...] = option(
        "Run folder of 'train'; give it once for each stage, in their order.",
        "--run",
        default=(),
    )
    also: tuple[Path, ...] = option(
        "Evaluation on another set, at another size, or of other weights: a row more.",
        default=(),
    )
    data_license: str = option(
        "Terms of the evaluated frames, e.g. CC-BY-4.0. Frames are shown only where these are "
        "CC0, CC BY or CC BY-SA.",
        default="",
    )
    attribution: str = option(
        "Source of the frames shown. Default: the checkpoint's training data.",
        default="",
    )
    twins: Path | None = option(
        "File with a near-duplicate pair a line: 'stem,training stem'.",
        "--near-duplicates",
        default=None,
    )
    hardware: str = option("What the training ran on, in words.", default="")
    notes: Path | None = option("Markdown to put into the section 'Notes'.", default=None)
    out: Path = option("Folder of the card: that of the weights.", "--out", "-o", default=Path())
    replace: bool = option("Replace an existing card.", "--force", default=False)


def write_card(spec: CardSpec) -> Path:
    """Write `NAME.md`, `NAME-curves.png` and `NAME-worst.jpg` beside the weights.

    A picture that the card has no source for, or may not hold, is taken away where an earlier card
    left one.

    Raises:
        ArtifactError: A source is missing or unreadable, or is about other weights than the others.
        SpecError: There is a card already, or a training frame was evaluated.
    """
    sources = _read(spec)
    card = spec.out / f"{sources.name}.md"
    if card.exists() and not spec.replace:
        raise SpecError(f"'{card}' exists. Replace it with --force, or choose another --out.")
    _check_weights(spec.out / f"{sources.name}.safetensors", sources.result)
    pictures = {
        f"{sources.name}-curves.png": curves(sources.stages) if sources.stages else None,
        f"{sources.name}-worst.jpg": sources.worst,
    }
    for file, data in pictures.items():
        if data is None:
            (spec.out / file).unlink(missing_ok=True)
        else:
            replace_file(spec.out / file, data)
    replace_file(card, render(sources).encode())
    return card


def may_copy(terms: str) -> bool:
    """Whether these terms let anyone copy frames, also in a product."""
    return _COPYABLE.fullmatch(terms.strip()) is not None


def _read(spec: CardSpec) -> Sources:
    path = spec.evaluation
    result = read_evaluation(path)
    sheet = (path if path.is_dir() else path.parent) / WORST_JPEG
    stages = tuple(map(read_run, spec.runs))
    check_belonging(result, stages)
    twins = None if spec.twins is None else read_twins(spec.twins)
    return Sources(
        result=result,
        stages=stages,
        also=tuple(map(read_evaluation, spec.also)),
        leakage=tuple(leakage(result, stages, twins)),
        untold=tuple(untold(stages)),
        notes="" if spec.notes is None else _prose(spec.notes),
        hardware=spec.hardware or "not recorded",
        data_license=spec.data_license or "not stated",
        attribution=spec.attribution or result.weights.training_data,
        worst=_sheet(sheet) if may_copy(spec.data_license) else None,
    )


def _sheet(file: Path) -> bytes:
    if not file.is_file():
        raise ArtifactError(
            f"No contact sheet '{file}'. Write it with 'lightawnet-edge evaluate --out'."
        )
    return file.read_bytes()


def _prose(file: Path) -> str:
    if not file.is_file():
        raise ArtifactError(f"No notes '{file}'.")
    try:
        return file.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as error:
        raise ArtifactError(f"Notes '{file}' are no text: expected Markdown.") from error


def _check_weights(file: Path, result: Evaluation) -> None:
    if file.is_file() and sha256_of(file) != result.weights.sha256:
        raise ArtifactError(
            f"The evaluation is about other weights than '{file}': their SHA-256 differ. Run "
            "'lightawnet-edge evaluate' on that file."
        )
