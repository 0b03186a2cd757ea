"""The designer of calibration sets: a pool of real frames in, a set that covers it out."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lightawnet_edge.bundle.lock import writing
from lightawnet_edge.bundle.store import check_writable, sha256_of, staged_folder
from lightawnet_edge.calibration.coverage import (
    Indices,
    Values,
    choose,
    radius,
    random_radius,
)
from lightawnet_edge.calibration.features import FEATURES, coordinates, sources_of
from lightawnet_edge.calibration.pool import Candidate, DesignSpec, Pool, read_pool
from lightawnet_edge.calibration.record import (
    QUANTILES,
    RECORD,
    ChosenFrame,
    Coverage,
    Five,
    SetRecord,
    Span,
    Stability,
    write_record,
)
from lightawnet_edge.data.likeness import alike_to
from lightawnet_edge.data.splits import read_groups
from lightawnet_edge.errors import SpecError
from lightawnet_edge.model.metadata import read_metadata
from lightawnet_edge.model.packaged import resolve
from lightawnet_edge.progress import Narrate, OnStep


def design(
    spec: DesignSpec,
    out: Path,
    *,
    on_step: OnStep = lambda _: None,
    narrate: Narrate = lambda _: None,
) -> SetRecord:
    """Choose frames, write them into the folder `out` with their record, and return the record.

    Frames that the evaluation set holds, too, are refused: they are not chosen, and the record
    names them. Of frames that are alike, one at most is chosen.

    Raises:
        SpecError: Too few frames are left, `out` is in the way, or another process writes it.
        ArtifactError: A folder, split, image, mask or checkpoint is missing or cannot be read, or
            `out` cannot be written.
        ModuleNotFoundError: Stability is asked for, and torch is not installed.
    """
    check_writable(out)
    if spec.stability:
        read_metadata(resolve(spec.weights))
    with writing(out):
        _refuse_in_the_way(out, spec.data, force=spec.force)
        return _design(spec, out, on_step, narrate)


def _design(spec: DesignSpec, out: Path, on_step: OnStep, narrate: Narrate) -> SetRecord:
    groups = read_groups(spec.groups) if spec.groups else None
    pool = read_pool(spec, on_step, narrate)
    prints = [one.print for one in pool.candidates]
    sources = sources_of([one.stem for one in prints], groups)
    points = coordinates(np.array([one.features for one in pool.candidates]), sources)
    chosen = choose(points, spec.frames, spec.seed, alike_to(prints))
    if len(chosen) < spec.frames:
        raise SpecError(
            f"The pool '{spec.data}' has {len(prints)} frames, but the choice ended with "
            f"{len(chosen)} of the {spec.frames} that were asked for: all others are near-copies "
            f"of these. Give more frames, or ask for --frames {len(chosen)}."
        )
    record = _record(spec, pool, sources, points, chosen)
    with staged_folder(out) as folder:
        files = {
            name: sha256_of(folder / name)
            for index in chosen
            for name in _copy(pool.candidates[index], folder)
        }
        images = [folder / frame.image for frame in record.frames]
        record = replace(record, files=files, stability=_stability(spec, images, on_step))
        write_record(folder, record)
    return record


def _record(
    spec: DesignSpec, pool: Pool, sources: Sequence[str], points: Values, chosen: Indices
) -> SetRecord:
    """All that is known before the files are copied."""
    stems = {pool.candidates[index].print.stem for index in chosen}
    overlap = pool.overlapping if spec.allow_overlap else ()
    return SetRecord(
        data=spec.data.resolve().name,
        split=spec.split.name if spec.split else None,
        pool=len(pool.candidates),
        seed=spec.seed,
        evaluation=pool.evaluation,
        refused=() if spec.allow_overlap else pool.overlapping,
        overlap=tuple(match for match in overlap if match.stem in stems),
        coverage=Coverage(
            radius=radius(points, chosen),
            random_radius=random_radius(points, len(chosen), spec.seed),
            spans=tuple(_spans(pool, chosen)),
            sources=_by_source(sources, chosen),
        ),
        stability=None,
        frames=tuple(_chosen_frame(pool.candidates[index], sources[index]) for index in chosen),
        files={},
    )


def _spans(pool: Pool, chosen: Indices) -> Iterator[Span]:
    values = np.array([one.features for one in pool.candidates])
    for feature, column in zip(FEATURES, values.T, strict=True):
        yield Span(
            feature=feature,
            known=int((~np.isnan(column)).sum()),
            pool=_quantiles(column),
            chosen=_quantiles(column[chosen]),
        )


def _quantiles(values: Values) -> Five:
    known = values[~np.isnan(values)]
    if not known.size:
        return 0.0, 0.0, 0.0, 0.0, 0.0
    low, some, half, most, high = np.quantile(known, QUANTILES).tolist()
    return low, some, half, most, high


def _by_source(sources: Sequence[str], chosen: Indices) -> dict[str, tuple[int, int]]:
    pool, taken = Counter(sources), Counter(sources[index] for index in chosen)
    return {name: (pool[name], taken[name]) for name in sorted(pool)}


def _chosen_frame(one: Candidate, source: str) -> ChosenFrame:
    values = dict(zip(FEATURES, one.features, strict=True))
    return ChosenFrame(
        print=one.print,
        image=f"images/{one.image.name}",
        mask=f"masks/{one.mask.name}" if one.mask else None,
        source=source,
        features={name: None if np.isnan(value) else value for name, value in values.items()},
    )


def _copy(one: Candidate, folder: Path) -> Iterator[str]:
    """Copy image and mask; yield their names in the folder."""
    for kind, file in (("images", one.image), ("masks", one.mask)):
        if file is not None:
            (folder / kind).mkdir(exist_ok=True)
            shutil.copyfile(file, folder / kind / file.name)
            yield f"{kind}/{file.name}"


def _stability(spec: DesignSpec, images: Sequence[Path], on_step: OnStep) -> Stability | None:
    if not spec.stability:
        return None
    from lightawnet_edge.calibration.stability import scale_stability

    return scale_stability(spec.weights, images, on_step)


def _refuse_in_the_way(out: Path, data: Path, *, force: bool) -> None:
    if not out.exists():
        return
    pool = data.resolve()
    if out.resolve() in (pool, *pool.parents):
        raise SpecError(
            f"'{out}' holds the frames to choose from: it is never replaced. Choose another --out."
        )
    if not (out / RECORD).is_file():
        raise SpecError(
            f"'{out}' is in the way: it is no calibration set, and is never replaced. "
            "Choose another --out."
        )
    if not force:
        raise SpecError(
            f"'{out}' is in the way: choose another --out, or replace the calibration set with "
            "--force."
        )
