"""What each bundle's masks are compared with: the FP32 network of its own weights.

In eager PyTorch, where that is installed and the checkpoint is found; else by an FP32 bundle of the
same weights, which is an exact rewrite of the network; else by nothing, and a doubt says so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.store import sha256_of
from lightawnet_edge.errors import SpecError
from lightawnet_edge.model.packaged import packaged_files, resolve
from lightawnet_edge.packages import missing
from lightawnet_edge.specs import Precision

BASELINE = "pytorch-eager"
RUNS = Path("runs")
"""Where the checkpoints of training runs are looked for, beside the packaged ones."""

_Twin = tuple[str, Contract]


@dataclass(frozen=True, slots=True, kw_only=True)
class Eager:
    """The FP32 network of some bundles in eager PyTorch."""

    bundle: Bundle
    """One of them: its frames, and its weights."""
    checkpoint: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Baselines:
    """What bundles are compared with, all by their names in a report."""

    eager: Mapping[str, Eager] = field(default_factory=dict)
    baseline: Mapping[str, str] = field(default_factory=dict)
    """Bundle to what it is compared with: one of `eager`, or an FP32 bundle."""
    doubts: tuple[str, ...] = ()


def find_baselines(bundles: Mapping[str, Bundle], given: Sequence[Path]) -> Baselines:
    """Find a baseline for each bundle; bundles of equal weights and frames share one.

    Args:
        bundles: By their names in a report.
        given: Checkpoints to look among first: files, or names of packaged weights.

    Raises:
        ArtifactError: There is no such checkpoint.
        SpecError: A checkpoint that was given is that of no bundle.
    """
    files = find_checkpoints(bundles, given)
    torch = not missing(["torch"])
    groups: dict[_Twin, dict[str, Bundle]] = {}
    for name, bundle in bundles.items():
        groups.setdefault(_twin(bundle), {})[name] = bundle
    firsts = {
        twin: next(iter(group.values()))
        for twin, group in groups.items()
        if torch and twin[0] in files
    }
    names = _names(firsts)
    eager = {
        name: Eager(bundle=firsts[twin], checkpoint=files[twin[0]]) for twin, name in names.items()
    }
    baseline: dict[str, str] = {}
    doubts = []
    for twin, group in groups.items():
        against = names.get(twin) or _exact(group)
        if against is not None:
            baseline |= {name: against for name in group if name != against}
        if twin not in firsts:
            doubts.append(_doubt(group, against, torch=torch))
    return Baselines(eager=eager, baseline=baseline, doubts=tuple(doubts))


def find_checkpoints(bundles: Mapping[str, Bundle], given: Sequence[Path]) -> dict[str, Path]:
    """Files of the checkpoints that bundles were made from, by SHA-256.

    Looks among those given, the packaged ones, and those of the runs under `runs/`; what is not
    there is left out.

    Raises:
        ArtifactError: A checkpoint that was given is not there.
        SpecError: It is that of no bundle.
    """
    wanted = {one.manifest.checkpoint.sha256: one.manifest.checkpoint for one in bundles.values()}
    found = {}
    for path in map(resolve, given):
        if (sha256 := sha256_of(path)) not in wanted:
            known = ", ".join(f"'{one.name}' ({one.sha256[:12]}…)" for one in wanted.values())
            raise SpecError(
                f"Checkpoint '{path}' (sha256 {sha256[:12]}…) is none that the bundles to measure "
                f"were made from: these are {known}. Leave it out, or give theirs."
            )
        found[sha256] = path
    for path in (*packaged_files(), *sorted(RUNS.glob("*/*.safetensors"))):
        if len(found) == len(wanted):
            break
        with suppress(OSError):  # what cannot be read is not found
            if (sha256 := sha256_of(path)) in wanted:
                found.setdefault(sha256, path)
    return found


def _twin(bundle: Bundle) -> _Twin:
    """What bundles have in common that share a baseline."""
    return bundle.manifest.checkpoint.sha256, replace(bundle.manifest.contract, probability=False)


def _names(firsts: Mapping[_Twin, Bundle]) -> dict[_Twin, str]:
    """Names of eager baselines: by their weights, and by their frames, where there are several."""
    if len(firsts) == 1:
        return dict.fromkeys(firsts, BASELINE)
    weights = [
        f"{BASELINE}-{one.manifest.checkpoint.name.removesuffix('.safetensors')}"
        for one in firsts.values()
    ]
    frames = [
        f"{name}-{twin[1].frame}" if weights.count(name) > 1 else name
        for name, twin in zip(weights, firsts, strict=True)
    ]
    return {
        twin: f"{name}-{number}" if frames.count(name) > 1 else name
        for number, (name, twin) in enumerate(zip(frames, firsts, strict=True), 1)
    }


def _exact(group: Mapping[str, Bundle]) -> str | None:
    """A bundle that gives the masks of the FP32 network: nothing in it was set by frames."""
    for name, bundle in group.items():
        manifest = bundle.manifest
        if manifest.precision is Precision.FP32 and manifest.calibration is None:
            return name
    return None


def _doubt(group: Mapping[str, Bundle], exact: str | None, *, torch: bool) -> str:
    source = next(iter(group.values())).manifest.checkpoint
    why = "PyTorch is not installed"
    remedy = "pip install 'lightawnet-edge[export]'"
    if torch:
        why = (
            f"checkpoint '{source.name}' (sha256 {source.sha256[:12]}…) is neither packaged nor "
            f"under '{RUNS}'"
        )
        remedy = "give it with --checkpoint FILE"
    if exact is None:
        return (
            f"{_listed(group)}: what this loses is not measured, since {why}; {remedy}, or measure "
            "an FP32 bundle of the same weights beside it"
        )
    if others := [name for name in group if name != exact]:
        return f"{_listed(others)}: compared with {exact}, not with PyTorch, since {why}; {remedy}"
    return f"{exact}: not compared with PyTorch, since {why}; {remedy}"


def _listed(names: Collection[str]) -> str:
    return " and ".join(names)
