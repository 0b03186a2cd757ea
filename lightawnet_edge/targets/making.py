"""From device graph to bundle: what a target is asked, what it is given, what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lightawnet_edge.bundle.choices import MethodRecord
from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.kit import PANEL, USUAL_SETTINGS, BuilderSettings, Kit
from lightawnet_edge.bundle.layers import LayerRecord
from lightawnet_edge.bundle.limits import USUAL, Limits
from lightawnet_edge.bundle.manifest import Manifest
from lightawnet_edge.calibration.frames import CalibrationSet
from lightawnet_edge.graph.quantization import MasksOf
from lightawnet_edge.graph.simulation import Runs
from lightawnet_edge.graph.view import GraphView
from lightawnet_edge.options import flag_of, option, option_of
from lightawnet_edge.progress import Narrate, OnStep
from lightawnet_edge.scores.agreement import Agreement
from lightawnet_edge.specs import Precision, Routing, State, Target

if TYPE_CHECKING:
    import onnx

DEVICE_GRAPH = "device.onnx"


@dataclass(frozen=True, slots=True, kw_only=True)
class KitOptions:
    """What an export may be told that some targets alone take; `Traits.options` says which."""

    device: str | None = option(
        "jetson-orin, jetson-thor or jetson-xavier. Default: this machine's GPU; without one, "
        "jetson-orin.",
        default=None,
        panel=PANEL,
    )
    jetpack: str | None = option(
        "Version of the device's JetPack. Default: the usual one.", default=None, panel=PANEL
    )
    dla: bool = option(
        "Let the device's DLA core 0 take what it can.", "--dla", default=False, panel=PANEL
    )
    check: Path | None = option(
        "Folder of real frames, with masks or without, that the typed graph is compared with FP32 "
        "on. Default: packaged ones, or those of --calibration.",
        default=None,
        panel=PANEL,
    )
    must_build: bool = option(
        "Fail with 4 where only a kit could be made here.",
        "--must-build",
        default=False,
        panel=PANEL,
    )
    builder: BuilderSettings = USUAL_SETTINGS

    @property
    def given(self) -> tuple[str, ...]:
        """What is not as it usually is, as it stands on the command line."""
        records: tuple[Any, ...] = (self, self.builder)
        return tuple(
            flag_of(item)
            for record in records
            for item in fields(record)
            if option_of(item) and getattr(record, item.name) != item.default
        )


NO_OPTIONS = KitOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked of a target, before anything is made."""

    target: Target
    precision: Precision
    routing: Routing
    contract: Contract
    calibration: CalibrationSet
    """The frames that set scales."""
    packaged: bool = False
    """Whether these are the packaged ones."""
    kit: KitOptions = NO_OPTIONS
    min_int8_share: float | None = None
    """As in the spec of an export."""
    limits: Limits = USUAL
    """What the engine must hold."""


class Quantize(Protocol):
    """Turns a device graph into the INT8 model of its target, by the best method."""

    def __call__(
        self, device_graph: Path, folder: Path, masks: MasksOf
    ) -> tuple[Path, MethodRecord]:
        """Write the model into a folder; `masks` runs what methods are compared by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a target makes a bundle of."""

    folder: Path
    """Holds the device graph's file, and gets all others."""
    graph: onnx.ModelProto
    """The device graph, as `Prepared.contract` says."""
    quantize: Quantize
    reference: Runs
    """The FP32 network before it was lowered."""
    frozen: bool
    """Whether its kernels were frozen, so that the engine cannot give the same masks."""
    tools: Mapping[str, str]
    """Name to version, for messages."""
    narrate: Narrate
    on_step: OnStep = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a target leaves behind beside its files, for the manifest."""

    engine: str
    layers: tuple[LayerRecord, ...]
    executed: Mapping[str, float]
    agreement: Agreement | None
    state: State = State.BUILT
    kit: Kit | None = None
    method: MethodRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A request that can be met: everything that would be refused was refused."""

    contract: Contract
    """What the device graph is traced for."""
    calibrated: bool
    """Whether the calibration frames have a say, whatever the routing."""
    make: Callable[[Order], Made]
    """Turns the device graph into all other files of the bundle."""
    finish: Callable[[Path, Manifest, Path, Narrate], Manifest] | None = None
    """Builds the engine of a kit that this machine can build: takes the folder that is being made,
    its manifest, and where it will stand."""
    label: str | None = None
    """What the bundle's name says beside the target; None where there is nothing to say."""
    inputs: tuple[object, ...] = ()
    """What else decides about the bundle, as plain values."""
    tools: Mapping[str, str] = field(default_factory=dict)
    """Name to version of what builds here."""


Maker = Callable[[Request], Prepared]
"""Prepares a request, or raises an error that says what is in its way."""


def conv_layers(known: Iterable[LayerRecord], graph: onnx.ModelProto) -> tuple[LayerRecord, ...]:
    """The device graph's convolutions, in its order, as far as they are known."""
    found, view = {layer.name: layer for layer in known}, GraphView(graph)
    return tuple(
        replace(found.get(name, LayerRecord(name=name)), macs=macs, computed=name in view.computed)
        for name, macs in view.macs.items()
    )
