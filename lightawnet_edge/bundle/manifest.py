"""Everything that a device, a test or a report needs to know about a bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightawnet_edge.bundle.choices import MethodRecord, RoutingRecord
from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.kit import Kit
from lightawnet_edge.bundle.layers import LayerRecord
from lightawnet_edge.specs import Precision, Routing, State, Target

SCHEMA = 1  # 1: first version. Say here what every later number changed.
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Something that a bundle was made from."""

    name: str
    """Packaged name, or file or folder name; never an absolute path."""
    sha256: str
    frames: int | None = None
    """Number of frames, where the source is a calibration set."""

    def to_json(self) -> dict[str, Any]:
        """Plain values, as they stand in the manifest."""
        frames = {} if self.frames is None else {"frames": self.frames}
        return {"name": self.name, "sha256": self.sha256, **frames}


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
    agreement: Mapping[str, float]
    """How the built engine compares with the FP32 network on calibration frames: `frames`,
    `mean_abs_probability`, `mask_disagreement` (share of pixels). An engine from a kit is compared
    with the FP32 device graph, on the kit's golden frames; empty until it ran."""
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
    kit: Kit | None = None
    """How a device builds and checks the engine; None where it is built where it is exported."""
    chosen: RoutingRecord | None = None
    """How `auto` routing was chosen; None with another routing."""
    method: MethodRecord | None = None
    """How the ranges of INT8 activations were found; None where there are none."""

    def to_json(self) -> dict[str, Any]:
        """Plain values with the schema number."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "target": str(self.target),
            "precision": str(self.precision),
            "routing": str(self.routing),
            "contract": self.contract.to_json(),
            "engine": self.engine,
            "device_graph": self.device_graph,
            "files": dict(self.files),
            "checkpoint": self.checkpoint.to_json(),
            "calibration": self.calibration and self.calibration.to_json(),
            "executed": dict(self.executed),
            "agreement": dict(self.agreement),
            "inputs_sha256": self.inputs_sha256,
            "tools": dict(self.tools),
            "machine": dict(self.machine),
            "layers": [layer.to_json() for layer in self.layers],
            "state": str(self.state),
            **({"kit": self.kit.to_json()} if self.kit else {}),
            **({"chosen": self.chosen.to_json()} if self.chosen else {}),
            **({"method": self.method.to_json()} if self.method else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Manifest:
        """Inverse of `to_json`."""
        return cls(
            name=data["name"],
            target=Target(data["target"]),
            precision=Precision(data["precision"]),
            routing=Routing(data["routing"]),
            contract=Contract.from_json(data["contract"]),
            engine=data["engine"],
            device_graph=data["device_graph"],
            files=data["files"],
            checkpoint=Source(**data["checkpoint"]),
            calibration=Source(**data["calibration"]) if data["calibration"] else None,
            executed=data["executed"],
            agreement=data["agreement"],
            inputs_sha256=data["inputs_sha256"],
            tools=data["tools"],
            machine=data["machine"],
            layers=tuple(LayerRecord.from_json(layer) for layer in data.get("layers", ())),
            state=State(data.get("state", State.BUILT)),
            kit=Kit.from_json(data["kit"]) if data.get("kit") else None,
            chosen=RoutingRecord.from_json(data["chosen"]) if data.get("chosen") else None,
            method=MethodRecord.from_json(data["method"]) if data.get("method") else None,
        )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into a folder that is being made."""
    (folder / MANIFEST).write_text(manifest_text(manifest), encoding="utf-8")


def manifest_text(manifest: Manifest) -> str:
    """The manifest as it is written: JSON, keys sorted, one per line."""
    return json.dumps(manifest.to_json(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
