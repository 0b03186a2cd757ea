"""A bundle: a folder with an engine, its device graph and a manifest that says all about both.

Standard library only, so that a device application can verify a bundle with nothing installed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightawnet_edge.errors import ArtifactError, BackendUnavailableError
from lightawnet_edge.kit import Kit
from lightawnet_edge.layers import LayerRecord
from lightawnet_edge.method_record import MethodRecord
from lightawnet_edge.routing_record import RoutingRecord
from lightawnet_edge.specs import (
    ColorOrder,
    Normalization,
    Precision,
    Routing,
    Size,
    State,
    Target,
)

SCHEMA = 1  # 1: first version. Say here what every later number changed.
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What goes into an engine and what comes out."""

    frame: Size
    """Size of the camera frame (input `frame`) and of the output `mask`, both uint8."""
    color: ColorOrder
    """Channel order of the frame: (H, W, 3), or (H, W) for gray."""
    network: Size
    """Size that the network works at; size of the output `probability` (float32)."""
    normalization: Normalization
    threshold: float
    """A pixel is foreground (255) where its probability is at least this."""
    probability: bool
    """Whether the engine has the output `probability`."""

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of one frame as a numpy array."""
        size = (self.frame.height, self.frame.width)
        return size if self.color is ColorOrder.GRAY else (*size, 3)

    def to_json(self) -> dict[str, Any]:
        """Plain values, as they stand in the manifest."""
        mask = [self.frame.height, self.frame.width]
        outputs: dict[str, Any] = {"mask": {"shape": mask, "dtype": "uint8", "values": [0, 255]}}
        if self.probability:
            shape = [self.network.height, self.network.width]
            outputs["probability"] = {"shape": shape, "dtype": "float32"}
        return {
            "input": {
                "name": "frame",
                "shape": list(self.frame_shape),
                "dtype": "uint8",
                "color": str(self.color),
            },
            "outputs": outputs,
            "network": str(self.network),
            "normalization": self.normalization.to_json(),
            "threshold": self.threshold,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Contract:
        """Inverse of `to_json`."""
        shape = data["input"]["shape"]
        return cls(
            frame=Size(shape[0], shape[1]),
            color=ColorOrder(data["input"]["color"]),
            network=Size.parse(data["network"]),
            normalization=Normalization.from_json(data["normalization"]),
            threshold=float(data["threshold"]),
            probability="probability" in data["outputs"],
        )


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


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on disk: its folder and its manifest."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: str | Path) -> Bundle:
        """Read the manifest of a bundle; the other files are not looked at.

        Raises:
            ArtifactError: No manifest, not JSON, of an unknown schema, or lacking a field.
        """
        folder = Path(path)
        file = folder / MANIFEST
        if not file.is_file():
            raise ArtifactError(
                f"'{folder}' is no bundle: it has no {MANIFEST}. "
                "'lightawnet-edge export' makes bundles."
            )
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ArtifactError(
                f"'{file}' is not JSON ({error}). Export the bundle again."
            ) from error
        schema = data.get("schema") if isinstance(data, dict) else None
        if schema != SCHEMA:
            raise ArtifactError(
                f"'{file}' has schema {schema!r}, this version reads {SCHEMA}. "
                "Export the bundle again."
            )
        try:
            return cls(folder, Manifest.from_json(data))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(
                f"'{file}' cannot be understood: {error!r}. Export the bundle again."
            ) from error

    @property
    def engine(self) -> Path:
        """The file that the backend loads."""
        return self.path / self.manifest.engine

    def check_built(self) -> None:
        """Refuse a bundle whose engine is not there, or never ran.

        Raises:
            BackendUnavailableError: With the command that finishes it, and where to run that.
        """
        kit, state = self.manifest.kit, self.manifest.state
        if state is State.BUILT:
            return
        lacks = "has no engine yet" if state is State.PENDING else "has an engine that never ran"
        where = kit.device if kit else "device"
        raise BackendUnavailableError(
            str(self.manifest.target),
            f"bundle '{self.path}' {lacks} (state: {state}). Finish it on the {where}: "
            f"lightawnet-edge build {self.path}",
        )

    def verify(self) -> None:
        """Check that every file is there and has the bytes that it was built with.

        Raises:
            ArtifactError: Names the first file that is missing or changed.
        """
        has_engine = self.manifest.state is not State.PENDING
        required = (self.manifest.engine,) if has_engine else ()
        for name in (*required, self.manifest.device_graph):
            if name not in self.manifest.files:
                raise ArtifactError(
                    f"Bundle '{self.path}' has no sha256 of its file '{name}'. "
                    "Export the bundle again."
                )
        for name, expected in self.manifest.files.items():
            file = self.path / name
            if not file.is_file():
                raise ArtifactError(
                    f"Bundle '{self.path}' lacks its file '{name}'. "
                    "Restore it, or export the bundle again."
                )
            if (found := sha256_of(file)) != expected:
                raise ArtifactError(
                    f"'{file}' has changed since it was built: sha256 is {found[:12]}…, "
                    f"the manifest says {expected[:12]}…. "
                    "Restore the file, or export the bundle again."
                )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into a folder that is being made."""
    (folder / MANIFEST).write_text(manifest_text(manifest), encoding="utf-8")


def manifest_text(manifest: Manifest) -> str:
    """The manifest as it is written: JSON, keys sorted, one per line."""
    return json.dumps(manifest.to_json(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def digest_of(data: Mapping[str, Any]) -> str:
    """SHA-256 of plain values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def replace_file(path: Path, data: bytes) -> None:
    """Write a file aside and rename it into place: readers see the old bytes or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(aside).chmod(0o666 & ~umask)
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


@contextmanager
def staged_folder(path: Path) -> Iterator[Path]:
    """Give a folder to fill beside `path`; rename it to `path` when the block ends without error.

    An existing `path` stays whole until the new one is complete, and stays when the block fails.
    A process killed between the two renames of a replacement leaves it as `.NAME.old-*/bundle`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.new-"))
    aside.chmod(0o755)
    try:
        yield aside
        _move_into_place(aside, path)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _move_into_place(new: Path, path: Path) -> None:
    if not path.exists():
        new.replace(path)
        return
    old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old-"))
    path.replace(old / "bundle")
    try:
        new.replace(path)
    except BaseException:
        (old / "bundle").replace(path)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
