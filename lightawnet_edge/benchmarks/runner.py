"""Measure bundles side by side, and the FP32 network that they were made from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lightawnet_edge import __version__
from lightawnet_edge.benchmarks.contest import Contest
from lightawnet_edge.benchmarks.domain import calibration_doubts, find_unfit
from lightawnet_edge.benchmarks.frames import check_readable
from lightawnet_edge.benchmarks.overlap import look_for_overlap, refuse_overlap
from lightawnet_edge.benchmarks.plan import BenchSpec, by_name, find_bundles, make_plans
from lightawnet_edge.benchmarks.process import COMMAND
from lightawnet_edge.benchmarks.provenance import Provenance, frames_digest, measured
from lightawnet_edge.benchmarks.result import BenchResult, Failure
from lightawnet_edge.benchmarks.samples import SAMPLES, Journal, folder_name
from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.data.frameset import FrameSet
from lightawnet_edge.data.listing import describe_unused
from lightawnet_edge.data.samples import EVALUATION
from lightawnet_edge.machine.gpu_state import read_power_mode
from lightawnet_edge.machine.machine import read_machine, read_state
from lightawnet_edge.progress import Narrate, OnStep

__all__ = ["BenchSpec", "bench", "find_bundles"]


def bench(
    bundles: Sequence[Path],
    spec: BenchSpec,
    *,
    on_step: OnStep = lambda _: None,
    narrate: Narrate = lambda _: None,
    command: Sequence[str] = COMMAND,
    asked: Sequence[str] = (),
    out: Path | None = None,
) -> BenchResult:
    """Measure latency and accuracy of bundles, and of the FP32 network in eager PyTorch.

    An engine that cannot run here, or whose process dies, becomes a failure of the result; the
    others are measured.

    Args:
        bundles: Folders of bundles.
        spec: How to measure, and on which frames.
        on_step: Told of each step.
        narrate: Told what lies in the folder of frames and is not used.
        command: Starts a worker process.
        asked: The command line that asked for this, for the record.
        out: Folder of reports. What is measured stands in `samples.json` of this report's folder
            there, from the first round on.

    Raises:
        ArtifactError: A bundle, the data or a checkpoint is missing, broken or changed.
        SpecError: There is no bundle or no frame, the checkpoint is not that of a bundle, or a
            frame stands in the calibration set of one; or no data is given, and a bundle takes gray
            frames.
        BackendUnavailableError: A bundle has no engine yet, or one that never ran.
        EdgeError: No bundle could be measured; the reason of the first.
    """
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    opened = [Bundle.open(path) for path in dict.fromkeys(bundles)]
    for bundle in opened:
        _ = bundle.engine  # a kit that waits for its device is refused before anything is measured
    unfit = find_unfit(by_name(opened)) if spec.data is None else {}
    plans, doubted = make_plans(opened, spec)
    frames = FrameSet.open(spec.data or EVALUATION, masks=True, split=spec.split, limit=spec.limit)
    for text in describe_unused(frames.unused):
        narrate(text)
    provenance = Provenance(
        command=tuple(asked),
        bundles={name: measured(bundle) for name, bundle in by_name(opened).items()},
        frames_sha256=frames_digest(frames.files),
    )
    check_readable(frames.files, {plan.contract.frame for plan in plans})
    overlap, unseen = look_for_overlap(by_name(opened), frames)
    if not spec.allow_overlap:
        refuse_overlap(overlap)
    with ExitStack() as stack:
        journal = Journal(out and out / folder_name(created) / SAMPLES, created)
        stack.enter_context(_telling(journal, narrate))
        contest = Contest(spec, frames, on_step, stack, keep=journal)
        contest.start(plans, command)
        before = read_state()
        contest.time()
        after = read_state()
        contest.score()
        contest.read_back()
        records = contest.records()
        pictures = contest.pictures(records)
    return BenchResult(
        created=created,
        version=__version__,
        settings={**_settings(spec, contest.threads), "scored_at": contest.scored_at},
        machine=read_machine(),
        before=before,
        after=after,
        records=records,
        failures=tuple(
            Failure(bundle=name, reason=str(error), exit_code=error.exit_code)
            for name, error in contest.errors.items()
        ),
        skipped=contest.skipped,
        doubted=(
            *doubted,
            *calibration_doubts(by_name(opened)),
            *unseen,
            *contest.doubts(),
        ),
        unfit=unfit,
        gpu=contest.gpu,
        power_mode=read_power_mode(),
        overlap={
            name: None if matches is None else tuple(match.stem for match in matches)
            for name, matches in overlap.items()
        },
        pictures=pictures,
        provenance=provenance,
    )


@contextmanager
def _telling(journal: Journal, narrate: Narrate) -> Iterator[None]:
    """Keep a journal; where the block is left early, say what there is to find in it."""
    try:
        with journal:
            yield
    except BaseException:
        if journal.kept is not None:
            narrate(f"what was measured until now is in '{journal.kept}'")
        raise


def _settings(spec: BenchSpec, threads: int) -> dict[str, Any]:
    """The spec as plain values; names in place of paths."""
    return {
        **asdict(spec),
        "data": spec.data.resolve().name if spec.data else "packaged samples, evaluation half",
        "split": spec.split and spec.split.name,
        "checkpoints": [path.name for path in spec.checkpoints],
        "threads": threads,
    }
