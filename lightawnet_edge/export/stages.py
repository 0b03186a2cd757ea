"""The stages of an export: lowering, device graph, precision, engine, and the check of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from lightawnet_edge import __version__
from lightawnet_edge.approximation.method import engine_masks, is_taken, quantize_best
from lightawnet_edge.approximation.restore import restore
from lightawnet_edge.approximation.sensitivity import Study
from lightawnet_edge.bundle.choices import MethodRecord, RestoreRecord
from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.engine import Engine
from lightawnet_edge.bundle.kit import Kit
from lightawnet_edge.bundle.layers import LayerRecord, mac_shares
from lightawnet_edge.calibration.frames import CalibrationSet
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.errors import CheckFailedError
from lightawnet_edge.export.kit import KitOrder, make_kit
from lightawnet_edge.export.spec import ExportSpec
from lightawnet_edge.export.tensorrt import Request
from lightawnet_edge.graph.device_graph import OUTPUTS, DeviceModel, conv_macs, to_onnx
from lightawnet_edge.model.lowering import lower
from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.model.routing import RoutingTable
from lightawnet_edge.progress import Narrate
from lightawnet_edge.specs import Precision, State, Target
from lightawnet_edge.targets.base import Backend, Built
from lightawnet_edge.targets.quantize import computed_kernels
from lightawnet_edge.targets.tensorrt.builder import ENGINE

if TYPE_CHECKING:
    import onnx

DEVICE_GRAPH = "device.onnx"
_TOOLS = ("torch", "onnx", "onnxruntime", "openvino", "nncf", "numpy")
_COMPARED_FRAMES = 4
_FP32_MASK_TOLERANCE = 1e-3
"""Share of pixels whose side of the threshold may differ between an exact FP32 engine and PyTorch.
Rewrites and kernels move logits by about 1e-5, and few pixels lie that close to the threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What the stages after the device graph leave behind, for the manifest."""

    engine: str
    layers: tuple[LayerRecord, ...]
    executed: Mapping[str, float]
    agreement: Mapping[str, float]
    state: State = State.BUILT
    kit: Kit | None = None
    method: MethodRecord | None = None


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages of one export; each takes files and writes files."""

    spec: ExportSpec
    contract: Contract
    calibration: CalibrationSet
    network: LightAWNet
    backend: Backend | None
    """None where engines may be built elsewhere."""
    narrate: Narrate
    frozen: RoutingTable
    """Blocks of a dynamic network that get constant kernels: an approximation."""
    spent: float = 0.0
    """Dice that freezing them cost, of a budget."""

    def device_graph(self, folder: Path) -> onnx.ModelProto:
        """Lower the network and write its device graph."""
        import onnx

        self.narrate("tracing the device graph")
        stacked = self.spec.target is not Target.OPENVINO
        graph = to_onnx(lower(self.network, self.frozen, stacked=stacked), self.contract)
        onnx.save(graph, folder / DEVICE_GRAPH)
        return graph

    def made(self, folder: Path, graph: onnx.ModelProto) -> Made:
        """Build the engine, and compare it with the FP32 network."""
        built, method = self.engine(folder)
        layers = _layers(built.layers, graph)
        self.narrate("comparing the engine with the FP32 network")
        return Made(
            engine=built.engine,
            layers=layers,
            executed=mac_shares(layers),
            agreement=self.agreement(folder / built.engine),
            method=method,
        )

    def kit(
        self, folder: Path, graph: onnx.ModelProto, request: Request, check: CalibrationSet
    ) -> Made:
        """Write what a device needs to build the engine, and to check it."""
        order = KitOrder(
            request=request,
            precision=self.spec.precision,
            method=self.spec.method,
            min_int8_share=self.spec.min_int8_share,
            contract=replace(self.contract, probability=self.spec.probability),
            calibration=self.calibration,
            check=check,
            device_graph=DEVICE_GRAPH,
        )
        kit, typed = make_kit(folder, graph, order, self.narrate)
        asked = (LayerRecord(name=name, requested=kind) for name, kind in typed.requested.items())
        return Made(
            engine=ENGINE,
            layers=_layers(asked, graph),
            executed={},
            agreement={},
            state=State.PENDING,
            kit=kit,
            method=typed.method,
        )

    def engine(self, folder: Path) -> tuple[Built, MethodRecord | None]:
        """Quantize where the precision asks for it, and build the engine."""
        import onnx

        assert self.backend is not None
        graph = folder / DEVICE_GRAPH
        if self.spec.precision is not Precision.INT8:
            self.narrate(f"building the {self.spec.target} engine")
            return self.backend.build(graph, folder, self.spec.precision), None
        frames = partial(self.calibration.frames, self.contract.frame, self.contract.color)
        with tempfile.TemporaryDirectory() as scratch:
            floats = computed_kernels(onnx.load(graph, load_external_data=False))
            quantized, record = quantize_best(
                graph,
                Path(scratch),
                self.spec.target,
                frames,
                masks=partial(engine_masks, self.backend),
                floats=floats,
                method=self.spec.method,
                narrate=self.narrate,
            )
            if self.spec.max_dice_drop is not None:
                record = replace(record, restored=self.restored(graph, quantized, record))
            self.narrate(f"building the {self.spec.target} engine")
            return self.backend.build(quantized, folder, self.spec.precision), record

    def restored(self, graph: Path, quantized: Path, record: MethodRecord) -> RestoreRecord:
        """Put layers of the quantized model back to float, as far as the budget asks for it."""
        assert self.backend is not None
        assert self.spec.max_dice_drop is not None
        with tempfile.TemporaryDirectory() as scratch:
            read = self.backend.build(quantized, Path(scratch), Precision.INT8).layers
        study = Study(
            target=self.spec.target,
            engine=quantized,
            exact=graph,
            backend=self.backend,
            frames=partial(self._labelled, graph, held_out=bool(record.held_out)),
        )
        return restore(
            study,
            [layer.name for layer in read if layer.requested is Precision.INT8],
            max_dice_drop=max(0.0, self.spec.max_dice_drop - self.spent),
            held_out=bool(record.held_out),
            has_truth=self.calibration.has_masks,
            narrate=self.narrate,
        )

    def _labelled(
        self, graph: Path, *, held_out: bool
    ) -> Iterator[tuple[UInt8, NDArray[np.bool_]]]:
        """Frames with their truths: masks, or what the FP32 graph says where there are none."""
        assert self.backend is not None
        contract = self.contract
        frames = self.calibration.frames(contract.frame, contract.color)
        truths = self.calibration.truths(contract.frame)
        if self.calibration.has_masks:
            pairs = zip(frames, truths, strict=True)
            yield from (pair for number, pair in enumerate(pairs, 1) if is_taken(number, held_out))
            return
        exact = self.backend.load(Engine.read(graph, Precision.FP32), None)
        try:
            for number, frame in enumerate(frames, 1):
                if is_taken(number, held_out):
                    yield frame, exact.infer(frame, ("mask",))["mask"] > 0
        finally:
            exact.close()

    def agreement(self, engine: Path) -> Mapping[str, float]:
        """Compare the engine with the unlowered FP32 network on a few calibration frames."""
        device = DeviceModel(self.network, self.contract)
        outputs = OUTPUTS if self.contract.probability else OUTPUTS[:1]
        frames = self.calibration.frames(self.contract.frame, self.contract.color)
        assert self.backend is not None
        disagreement, difference = [], []
        session = self.backend.load(Engine.read(engine, self.spec.precision), None)
        try:
            for frame in islice(frames, _COMPARED_FRAMES):
                with torch.no_grad():
                    mask, probability = device(torch.from_numpy(frame))
                found = session.infer(frame, outputs)
                disagreement.append(float(np.mean(found["mask"] != mask.numpy())))
                if self.contract.probability:
                    error = np.abs(found["probability"] - probability.numpy())
                    difference.append(float(error.mean()))
        finally:
            session.close()
        found_share = float(np.mean(disagreement))
        exact = self.spec.precision is Precision.FP32 and not self.frozen
        if exact and not found_share <= _FP32_MASK_TOLERANCE:
            versions = ", ".join(f"{name} {known}" for name, known in tool_versions().items())
            raise CheckFailedError(
                f"The FP32 engine's masks differ from PyTorch's in {found_share:.2%} of the "
                f"pixels, expected at most {_FP32_MASK_TOLERANCE:.1%}. No bundle was written; the "
                f"versions were {versions}."
            )
        means = {"mean_abs_probability": float(np.mean(difference))} if difference else {}
        return {"frames": len(disagreement), "mask_disagreement": found_share, **means}


def _layers(known: Iterable[LayerRecord], graph: onnx.ModelProto) -> tuple[LayerRecord, ...]:
    """The device graph's convolutions, in its order, as far as they are known."""
    found = {layer.name: layer for layer in known}
    computed = computed_kernels(graph)
    return tuple(
        replace(found.get(name, LayerRecord(name=name)), macs=macs, computed=name in computed)
        for name, macs in conv_macs(graph).items()
    )


def tool_versions() -> dict[str, str]:
    """Versions of this package and of the toolchains that are installed."""
    found = {"lightawnet-edge": __version__}
    for name in _TOOLS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
