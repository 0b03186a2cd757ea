"""What a benchmark measures, and how: bundles, and the baselines that they are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightawnet_edge.benchmarks.baselines import Baselines, Eager, find_baselines
from lightawnet_edge.benchmarks.records import PYTORCH
from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.manifest import MANIFEST
from lightawnet_edge.codec import encode
from lightawnet_edge.data.likeness import PRINTS
from lightawnet_edge.errors import SpecError
from lightawnet_edge.options import option
from lightawnet_edge.specs import Precision, Routing

_MOST = 1e6
"""Of calls, rounds and seconds: eleven days, and no infinity."""
_NONE = "Make one: lightawnet-edge export --target openvino --int8"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSpec:
    """How to measure, and on which frames."""

    data: Path | None = option(
        "Folder with images/ and masks/. Default: the packaged evaluation frames.",
        default=None,
    )
    split: Path | None = option(
        "File with the names of the frames to use, one a line.",
        default=None,
    )
    limit: int | None = option(
        "Use at most this many frames, evenly spaced; 0 uses all.",
        default=None,
        none=0,
    )
    baseline: bool = option("Compare with PyTorch eager in FP32.", default=True)
    checkpoints: tuple[Path, ...] = option(
        "Weights that bundles were made from, for their FP32 baselines; may be given several "
        "times. Found by themselves: packaged ones, and those of runs/.",
        "--checkpoint",
        default=(),
    )
    calls: int = option("Timed calls of each engine, unless its time is up before.", default=200)
    seconds: float = option("Longest time for the timed calls of each engine.", default=20.0)
    rounds: int = option("Turns that each engine takes, interleaved.", default=10)
    warmup: int = 10
    """Untimed calls of each engine before the first round."""
    threads: int | None = option(
        "CPU threads of every engine; 0: the physical cores, within a CPU quota.",
        default=None,
        none=0,
    )
    deadline_s: float = 1 / 30
    """Time of one frame, for orientation: 33.3 ms at 30 frames per second."""
    timeout_s: float = 300.0
    """An engine that gives no answer for this long has failed."""
    allow_overlap: bool = option(
        "Score bundles on frames they were calibrated on.",
        "--allow-overlap",
        default=False,
    )

    def __post_init__(self) -> None:
        for name in ("calls", "seconds", "rounds", "deadline_s", "timeout_s"):
            if not 0 < getattr(self, name) <= _MOST:
                raise SpecError(
                    f"{name}={getattr(self, name)} must be greater than 0, at most {_MOST:.0e}."
                )
        for name in ("limit", "threads"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise SpecError(f"{name}={value} must be at least 1.")
        if self.warmup < 0:
            raise SpecError(f"warmup={self.warmup} must not be negative.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An engine to measure: how to open it, and what its record will say of it."""

    name: str
    target: str
    precision: str
    routing: str
    contract: Contract
    engine_bytes: int | None
    """Of the files that are needed to run it; None for a baseline."""
    executed: Mapping[str, float]
    baseline: str | None
    """Name of the plan that it is compared with; its own for a baseline."""
    engine: Mapping[str, Any]
    """Argument of the worker's `load`."""


def find_bundles(folder: Path) -> list[Path]:
    """Every bundle in a folder, in the order of their names.

    Raises:
        SpecError: There is none; says which command makes one.
    """
    found = sorted(manifest.parent for manifest in folder.glob(f"*/{MANIFEST}"))
    visible = [path for path in found if not path.name.startswith(".")]  # exports begin hidden
    if not visible:
        raise SpecError(f"No bundle in '{folder}'. {_NONE}")
    return visible


def make_plans(bundles: Sequence[Bundle], spec: BenchSpec) -> tuple[list[Plan], tuple[str, ...]]:
    """One plan for each bundle, after one for each eager baseline; and what is left out, and why.

    Bundles share a baseline when they come from one checkpoint and take the same frames.

    Raises:
        ArtifactError: A checkpoint that was given is not there.
        SpecError: There is no bundle, or a checkpoint that was given is that of none.
    """
    if not bundles:
        raise SpecError(f"No bundle to measure. {_NONE}")
    named = by_name(bundles)
    found = find_baselines(named, spec.checkpoints) if spec.baseline else Baselines()
    return [
        *(_baseline_plan(name, eager) for name, eager in found.eager.items()),
        *(_bundle_plan(one, name, found.baseline.get(name)) for name, one in named.items()),
    ], found.doubts


def by_name(bundles: Sequence[Bundle]) -> dict[str, Bundle]:
    """Bundles under the names that a report calls them by: where two share one, their paths."""
    given = [bundle.manifest.name for bundle in bundles]
    return {
        str(bundle.path) if given.count(bundle.manifest.name) > 1 else bundle.manifest.name: bundle
        for bundle in bundles
    }


def _baseline_plan(name: str, eager: Eager) -> Plan:
    contract = eager.bundle.manifest.contract
    return Plan(
        name=name,
        target=PYTORCH,
        precision=str(Precision.FP32),
        routing=str(Routing.DYNAMIC),
        contract=contract,
        engine_bytes=None,
        executed={str(precision): float(precision is Precision.FP32) for precision in Precision},
        baseline=name,
        engine={
            "contract": encode(contract),
            "checkpoint": str(eager.checkpoint),
            "sha256": eager.bundle.manifest.checkpoint.sha256,
        },
    )


def _bundle_plan(bundle: Bundle, name: str, baseline: str | None) -> Plan:
    manifest = bundle.manifest
    unused = {manifest.device_graph, PRINTS} - {manifest.engine}
    needed = (bundle.path / file for file in manifest.files if file not in unused)
    return Plan(
        name=name,
        target=str(manifest.target),
        precision=str(manifest.precision),
        routing=str(manifest.routing),
        contract=manifest.contract,
        engine_bytes=sum(file.stat().st_size for file in needed),
        executed=manifest.executed,
        baseline=baseline,
        engine={"bundle": str(bundle.path)},
    )
