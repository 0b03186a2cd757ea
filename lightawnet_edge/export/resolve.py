"""From a request to all that follows from it; what can be refused is refused before torch works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lightawnet_edge import __version__
from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.manifest import Source
from lightawnet_edge.bundle.store import check_writable, digest_of, sha256_of
from lightawnet_edge.calibration.field_of_view import propose_crop
from lightawnet_edge.calibration.frames import CalibrationSet
from lightawnet_edge.codec import encode
from lightawnet_edge.export.spec import ExportSpec, contract_of, default_name
from lightawnet_edge.model.domain import refuse_packaged
from lightawnet_edge.model.metadata import CheckpointMeta, read_metadata
from lightawnet_edge.model.packaged import name_of
from lightawnet_edge.model.packaged import resolve as find_checkpoint
from lightawnet_edge.packages import require
from lightawnet_edge.specs import Precision, Routing
from lightawnet_edge.targets import table
from lightawnet_edge.targets.making import Prepared, Request

_NEEDED = ("torch", "onnx", "onnxscript", "safetensors", "cv2")
"""Modules of every export."""
_PACKAGES = ("torch", "onnx", "numpy")
"""What every export goes through; a target names its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """An export that can be made, and where it goes."""

    spec: ExportSpec
    checkpoint: Path
    source: Source
    """The checkpoint, as the manifest names it."""
    contract: Contract
    routing: Routing
    calibration: CalibrationSet
    calibrated: Source | None
    """The calibration set where it has a say in the bundle; else None."""
    prepared: Prepared
    tools: Mapping[str, str]
    """Name to version, of all that touches the bytes."""
    inputs_sha256: str
    path: Path
    """Where the bundle will stand."""

    @property
    def weighs_masks(self) -> bool:
        """Whether something is chosen by Dice, against the masks of the calibration set."""
        return _weighs_masks(self.spec, self.routing)


def resolve(spec: ExportSpec) -> Resolved:
    """Find all that an export is made of, and refuse what cannot be made.

    Raises:
        SpecError: The request contradicts the checkpoint, or the target cannot do it.
        ArtifactError: The checkpoint, a frame or a mask is missing or cannot be read, or the place
            of the bundle cannot be written.
        BackendUnavailableError: The target cannot execute the precision here, or a package is not
            installed.
    """
    check_writable(spec.out)
    _require(spec)
    checkpoint = find_checkpoint(spec.weights)
    meta = read_metadata(checkpoint)
    contract = contract_of(spec, name_of(checkpoint), meta)
    routing = spec.routing_for(meta.experts)
    if spec.calibration is None:
        refuse_packaged(contract.color, name_of(checkpoint), "--calibration DIR")
    calibration = CalibrationSet.open(spec.calibration)
    if spec.crop is not None and spec.crop.region is None:
        contract = replace(contract, crop=propose_crop(calibration.listed, contract.frame))
    prepared = table.maker(spec.target)(
        Request(
            target=spec.target,
            precision=spec.precision,
            routing=routing,
            contract=contract,
            calibration=calibration,
            packaged=spec.calibration is None,
            kit=spec.kit,
            min_int8_share=spec.min_int8_share,
            limits=spec.limits,
        )
    )
    freezes = routing is not Routing.DYNAMIC and meta.experts > 1
    source = Source(name=name_of(checkpoint), sha256=sha256_of(checkpoint))
    calibrated = calibration.source if freezes or prepared.calibrated else None
    traits = table.traits_of(spec.target)
    tools = {**_versions(traits.packages), **prepared.tools}
    return Resolved(
        spec=spec,
        checkpoint=checkpoint,
        source=source,
        contract=contract,
        routing=routing,
        calibration=calibration,
        calibrated=calibrated,
        prepared=prepared,
        tools=tools,
        inputs_sha256=digest_of(
            {
                "target": spec.target,
                "precision": spec.precision,
                "routing": routing,
                "contract": encode(contract),
                "checkpoint": source.sha256,
                "calibration": calibrated and calibrated.sha256,
                "budget": _budget(spec, routing, calibration),
                "method": spec.method if spec.precision is Precision.INT8 else None,
                "made for": prepared.inputs,
                "rewrites": encode(traits.rewrites_for(spec.precision)),
                "tools": tools,
            }
        ),
        path=spec.out / (spec.name or _name(spec, meta, checkpoint, contract, prepared)),
    )


def _require(spec: ExportSpec) -> None:
    """Check that all is installed that an export of this kind will import."""
    require("export", (*_NEEDED, *table.traits_of(spec.target).exports_with), "export")


def _budget(
    spec: ExportSpec, routing: Routing, calibration: CalibrationSet
) -> tuple[float | None, str | None] | None:
    """What a choice by measured Dice depends on; None where nothing is chosen by it."""
    if not _weighs_masks(spec, routing):
        return None
    return spec.max_dice_drop, calibration.listed.masks_digest()


def _weighs_masks(spec: ExportSpec, routing: Routing) -> bool:
    return routing is Routing.AUTO or spec.max_dice_drop is not None


def _name(
    spec: ExportSpec, meta: CheckpointMeta, checkpoint: Path, contract: Contract, prepared: Prepared
) -> str:
    routing = spec.routing_for(meta.experts)
    unusual = routing if meta.experts > 1 and routing is not spec.usual_routing else None
    return default_name(spec, checkpoint, contract, unusual, prepared.label)


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Versions of this package and of what is installed of others."""
    found = {"lightawnet-edge": __version__}
    for name in (*_PACKAGES, *packages):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
