"""What one device made of a bundle, beside the manifest, which stays as it was exported.

A signature over the manifest survives `build`: engine, replay, executed precision and versions of
the device stand here, bound to the manifest by its SHA-256.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lightawnet_edge.bundle.kit import Binding, Kit
from lightawnet_edge.bundle.layers import LayerRecord
from lightawnet_edge.bundle.manifest import Manifest, check_file_name
from lightawnet_edge.bundle.store import replace_file
from lightawnet_edge.codec import OMIT, dumps, loads
from lightawnet_edge.errors import SpecError
from lightawnet_edge.scores.agreement import Agreement
from lightawnet_edge.specs import State

RECORD = "device-record.json"
ANOTHER = "device-engine.plan"
"""Engine of a device whose plan is not the one that was exported: it stands beside that."""
SCHEMA = 1  # 1: first version. Say here what every later number changed.


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRecord:
    """An engine that was built from a kit, and what became of it on its device."""

    manifest_sha256: str
    """Of the manifest's bytes that this belongs to."""
    created: str
    """UTC, ISO 8601."""
    state: State
    engine: str
    """Name of the engine's file in the bundle."""
    engine_sha256: str
    bound: Binding
    """What the engine was built for."""
    replay: Agreement | None = field(default=None, metadata=OMIT)
    """How far it is from the FP32 device graph on the golden frames; None where it did not run."""
    layers: tuple[LayerRecord, ...]
    """Every convolution as the engine executes it."""
    executed: Mapping[str, float]
    """Precision to share of the convolution MACs."""
    tools: Mapping[str, str]
    """Name to version, of all that touched the engine's bytes."""
    machine: Mapping[str, Any]
    """What it was built on."""

    def __post_init__(self) -> None:
        check_file_name(self.engine)
        if self.state is State.PENDING:
            raise SpecError("state: a device record tells of an engine, expected one")
        if self.state is State.BUILT and self.replay is None:
            raise SpecError("state: built, though the engine never ran")

    @classmethod
    def of(
        cls, built: Manifest, *, manifest_sha256: str, created: str, machine: Mapping[str, Any]
    ) -> DeviceRecord:
        """The record of a kit's manifest that tells of its engine.

        Args:
            built: As `applied` gives it.
            manifest_sha256: Of the manifest that was exported.
            created: UTC, ISO 8601.
            machine: What the engine was built on.
        """
        assert built.kit is not None
        assert built.kit.bound is not None
        return cls(
            manifest_sha256=manifest_sha256,
            created=created,
            state=built.state,
            engine=built.engine,
            engine_sha256=built.files[built.engine],
            bound=built.kit.bound,
            replay=built.kit.replay,
            layers=built.layers,
            executed=built.executed,
            tools=built.tools,
            machine=machine,
        )

    def applied(self, exported: Manifest) -> Manifest:
        """The manifest with what the device made of it.

        Raises:
            SpecError: The manifest is not that of a kit, or the record makes more of it than the
                manifest allows.
        """
        if exported.kit is None:
            raise SpecError("its bundle is no kit: no device adds anything to it")
        self._check(exported, exported.kit)
        return replace(
            exported,
            state=self.state,
            engine=self.engine,
            files={**exported.files, self.engine: self.engine_sha256},
            kit=replace(exported.kit, bound=self.bound, replay=self.replay),
            layers=self.layers,
            executed=self.executed,
            agreement=self.replay,
            tools=self.tools,
        )

    def _check(self, exported: Manifest, kit: Kit) -> None:
        """Nobody signs a record: it may add an engine, and change nothing that was exported."""
        if self.engine not in (exported.engine, ANOTHER):
            raise SpecError(f"engine: '{self.engine}' is no engine of this kit")
        if exported.files.get(self.engine, self.engine_sha256) != self.engine_sha256:
            raise SpecError("engine_sha256: the manifest vouches for another")
        for name in ("version_compatible", "hardware_compatible"):  # the first may carry code
            if getattr(self.bound, name) and not getattr(kit.builder, name):
                raise SpecError(f"bound.{name}: the kit does not ask for it")


def read_record(data: bytes) -> DeviceRecord:
    """Read a record.

    Raises:
        CodecError: This is none.
    """
    return loads(DeviceRecord, data, schema=SCHEMA)


def write_record(folder: Path, record: DeviceRecord) -> None:
    """Write a record into its bundle, whole or not at all."""
    replace_file(folder / RECORD, dumps(record, schema=SCHEMA).encode())
