"""Everything that a device, a test or a report needs to know about a bundle."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightawnet_edge.bundle.choices import CalibrationRecord, MethodRecord, RoutingRecord
from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.kit import Kit
from lightawnet_edge.bundle.layers import LayerRecord
from lightawnet_edge.bundle.store import digest_of
from lightawnet_edge.codec import OMIT, decode, dumps, encode, loads
from lightawnet_edge.errors import SpecError
from lightawnet_edge.scores.agreement import Agreement
from lightawnet_edge.specs import Precision, Routing, State, Target

# 1: first version. 2: `digest`, over all that it says; one record of agreement, one of limits.
SCHEMA = 2
MANIFEST = "manifest.json"
DIGEST = "digest"
"""Key of the digest that binds contract, files and all else that a manifest says."""
MAX_FILES = 64
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_SHOWN = 60
_Turn = Callable[[dict[str, Any]], dict[str, Any]]
_LIMITS_1 = {
    "mean_abs_probability": "worst_abs_probability",
    "mask_disagreement": "worst_mask_disagreement",
    "dice": "worst_dice",
}
"""What schema 1 called the limits of golden frames; each was of the worst frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Something that a bundle was made from."""

    name: str
    """Packaged name, or file or folder name; never an absolute path."""
    sha256: str
    frames: int | None = field(default=None, metadata=OMIT)
    """Number of frames, where the source is a calibration set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything that a device, a test or a report needs to know about a bundle."""

    name: str
    target: Target
    precision: Precision
    """Requested precision; what ran stands in `executed`."""
    routing: Routing
    contract: Contract
    engine: str
    """File name that the backend loads."""
    device_graph: str
    """File name of the FP32 ONNX graph that the engine was made from."""
    files: Mapping[str, str]
    """File name to SHA-256, of every file but the manifest."""
    checkpoint: Source
    calibration: Source | None
    executed: Mapping[str, float]
    """Precision to share of the convolution MACs that the built engine runs in it; sums to 1."""
    agreement: Agreement | None
    """How the built engine compares with the FP32 network on calibration frames. An engine from a
    kit is compared with the FP32 device graph, on the kit's golden frames; None until it ran."""
    inputs_sha256: str
    """Digest of all that determines the bundle: equal inputs give interchangeable bundles."""
    tools: Mapping[str, str]
    """Name to version, of all that touched the bytes."""
    machine: Mapping[str, Any] = field(default_factory=dict)
    layers: tuple[LayerRecord, ...] = ()
    """Every convolution, in the order of the graph, as read back when the engine was built; empty
    in bundles that were made before this was recorded."""
    state: State = State.BUILT
    """How far the engine has come; bundles that do not say it are built."""
    kit: Kit | None = field(default=None, metadata=OMIT)
    """How a device builds and checks the engine; None where it is built where it is exported."""
    chosen: RoutingRecord | None = field(default=None, metadata=OMIT)
    """How `auto` routing was chosen; None with another routing."""
    judged: CalibrationRecord | None = field(default=None, metadata=OMIT)
    """What the calibration frames were found to be; None where they had no say, and in bundles that
    were made before this was recorded."""
    method: MethodRecord | None = field(default=None, metadata=OMIT)
    """How the ranges of INT8 activations were found; None where there are none."""

    def __post_init__(self) -> None:
        for name in (self.engine, self.device_graph, *self.files):
            check_file_name(name)
        if len(self.files) > MAX_FILES:
            raise SpecError(f"files: {len(self.files)} are too many, a bundle has few")


def check_file_name(name: str) -> None:
    """Refuse what is no plain name of a file in a bundle's own folder.

    Raises:
        SpecError: It could lead out of the folder, or is no name of a bundle's file.
    """
    if not _PLAIN.fullmatch(name) or name == MANIFEST:
        raise SpecError(f"{name[:_SHOWN]!r} is no plain name of a file in the bundle")


def manifest_text(manifest: Manifest) -> str:
    """The manifest as it is written: JSON, keys sorted, one per line, with its own digest."""
    plain = encode(manifest)
    return dumps({**plain, DIGEST: digest_of(plain)}, schema=SCHEMA)


def manifest_json(manifest: Manifest) -> dict[str, Any]:
    """Plain values of the manifest, as it is written."""
    found: dict[str, Any] = json.loads(manifest_text(manifest))
    return found


def read_manifest(data: bytes) -> Manifest:
    """Inverse of `manifest_text`.

    Raises:
        CodecError: This is no manifest.
        ValueError: It was changed after it was written.
    """
    plain = loads(dict[str, Any], data, schema=SCHEMA, upgrades={1: _from_1})
    told = plain.pop(DIGEST, None)
    manifest = decode(Manifest, plain)
    if told != digest_of(encode(manifest)):
        raise ValueError("what it says is not what was written: it was changed by hand")
    return manifest


def manifest_schema(data: bytes) -> int:
    """Number of the schema that a manifest was written with; only 1 has no digest.

    Raises:
        CodecError: This is no manifest.
    """
    plain = loads(dict[str, Any], data, schema=SCHEMA, upgrades={1: lambda _: {}})
    return SCHEMA if DIGEST in plain else 1


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into a folder that is being made."""
    (folder / MANIFEST).write_text(manifest_text(manifest), encoding="utf-8")


def _from_1(data: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 had no digest: nothing tells whether such a manifest was changed."""
    lifted = {
        **data,
        "agreement": data.get("agreement") or None,
        **_changed(data, "kit", "tolerance", _limits_from_1),
        **_changed(data, "method", "restored", _restored_from_1),
    }
    return {**lifted, DIGEST: digest_of(encode(decode(Manifest, lifted)))}


def _changed(data: dict[str, Any], outer: str, inner: str, change: _Turn) -> dict[str, Any]:
    """One table within another, changed; nothing where there is none."""
    holder = data.get(outer)
    if not (isinstance(holder, dict) and isinstance(holder.get(inner), dict)):
        return {}
    return {outer: {**holder, inner: change(holder[inner])}}


def _limits_from_1(limits: dict[str, Any]) -> dict[str, Any]:
    return {_LIMITS_1.get(name, name): value for name, value in limits.items()}


def _restored_from_1(restored: dict[str, Any]) -> dict[str, Any]:
    """Its steps were sorted by name when written. The last held the budget, none before it did."""
    steps = restored.get("steps")
    if not isinstance(steps, dict):
        return restored
    drops = sorted(steps.items(), key=lambda step: -float(step[1]))
    return {**restored, "steps": [{"layer": layer, "dice_drop": drop} for layer, drop in drops]}
