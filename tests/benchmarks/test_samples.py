from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lightawnet_edge.benchmarks.samples import (
    SAMPLES,
    SCHEMA,
    EngineSamples,
    Journal,
    Samples,
    folder_name,
)
from lightawnet_edge.codec import read_document
from lightawnet_edge.scores.masks import SegmentationScore

CREATED = "2026-01-31T12:00:00+00:00"


def engine(*rounds: tuple[float, ...], **scores: SegmentationScore) -> EngineSamples:
    return EngineSamples(
        bundle="a", load_s=0.4, first_s=0.1, rounds_s=rounds, compute_s=(), copy_s=(),
        others=(0.1,) * len(rounds), scores=scores,
    )  # fmt: skip


def read(file: Path) -> Samples:
    return read_document(Samples, file, schema=SCHEMA, again="")


def test_samples_are_written_now_and_then_and_in_the_end(tmp_path: Path) -> None:
    ticks: Iterator[float] = iter([10.0, 10.0, 11.0, 13.0, 13.0, 13.5, 14.0])
    file = tmp_path / "reports" / SAMPLES
    score = SegmentationScore(dice=0.5, iou=0.3, precision=1.0, recall=0.2)
    with Journal(file, CREATED, lambda: next(ticks)) as journal:
        assert journal.kept is None
        journal((engine((0.1,)),))
        assert len(read(file).engines[0].rounds_s) == 1
        journal((engine((0.1,), (0.2,)),))
        assert len(read(file).engines[0].rounds_s) == 1, "a second later"
        journal((engine((0.1,), (0.2,), (0.3,)),))
        assert len(read(file).engines[0].rounds_s) == 3
        journal((engine((0.1,), frame1=score),))
    assert read(file) == Samples(created=CREATED, engines=(engine((0.1,), frame1=score),))
    assert journal.kept == file


def test_nothing_is_written_before_something_was_measured(tmp_path: Path) -> None:
    with Journal(tmp_path / "new" / SAMPLES, CREATED) as journal:
        journal((engine(),))
    assert not (tmp_path / "new").exists()


def test_a_disk_that_takes_nothing_ends_no_benchmark(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Journal(tmp_path / "file" / SAMPLES, CREATED) as journal:
        journal((engine((0.1,)),))
    assert journal.kept is None


def test_a_folder_s_name_sorts_by_time() -> None:
    assert folder_name(CREATED) == "2026-01-31T12-00-00"


def test_samples_are_plain_json(tmp_path: Path) -> None:
    with Journal(tmp_path / SAMPLES, CREATED) as journal:
        journal((engine((0.1, 0.2)),))
    data: dict[str, Any] = json.loads((tmp_path / SAMPLES).read_text(encoding="utf-8"))
    assert data["engines"][0]["rounds_s"] == [[0.1, 0.2]]
    assert [file.name for file in tmp_path.iterdir()] == [SAMPLES]


def test_no_place_keeps_nothing() -> None:
    with Journal(None, CREATED) as journal:
        journal((engine((0.1,)),))
    assert journal.kept is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_all_samples(tmp_path: Path, error: type[BaseException]) -> None:
    file = tmp_path / SAMPLES

    def interrupted() -> None:
        with Journal(file, CREATED, lambda: 0.0) as journal:  # it is never time to write
            journal((engine((0.1,)),))
            journal((engine((0.1,), (0.2,)),))
            raise error

    with pytest.raises(error):
        interrupted()
    assert len(read(file).engines[0].rounds_s) == 2
