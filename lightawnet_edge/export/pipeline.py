"""Checkpoint to bundle: lowering, device graph, precision, engine, manifest."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from lightawnet_edge import __version__, backends
from lightawnet_edge.backends.base import Backend, Built
from lightawnet_edge.backends.tensorrt import ENGINE
from lightawnet_edge.bundle import (
    Bundle,
    Contract,
    Manifest,
    Source,
    digest_of,
    sha256_of,
    staged_folder,
    write_manifest,
)
from lightawnet_edge.calibration.frames import CalibrationSet
from lightawnet_edge.calibration.method import quantize_best
from lightawnet_edge.calibration.quantize import computed_kernels
from lightawnet_edge.calibration.routing_frames import masks_digest
from lightawnet_edge.errors import CheckFailedError
from lightawnet_edge.export.device_graph import OUTPUTS, DeviceModel, conv_macs, to_onnx
from lightawnet_edge.export.kit import KitOrder, check_set, make_kit
from lightawnet_edge.export.lowering import lower
from lightawnet_edge.export.routing import plan_routing
from lightawnet_edge.export.spec import (
    TENSORRT_TARGETS,
    ExportSpec,
    contract_of,
    default_name,
)
from lightawnet_edge.export.standing import standing_bundle
from lightawnet_edge.export.tensorrt import Request, finish_here, request_of
from lightawnet_edge.kit import Kit
from lightawnet_edge.layers import LayerRecord, int8_shortfall, mac_shares
from lightawnet_edge.likeness import PRINTS, write_prints
from lightawnet_edge.machine import machine_summary
from lightawnet_edge.method_record import MethodRecord
from lightawnet_edge.model.checkpoint import (
    load_checkpoint,
    read_metadata,
    resolve,
)
from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.model.routing import RoutingTable
from lightawnet_edge.runtime.kit_text import describe_kit, next_steps
from lightawnet_edge.specs import (
    Precision,
    Routing,
    State,
    Target,
)

if TYPE_CHECKING:
    import onnx

DEVICE_GRAPH = "device.onnx"
_TOOLS = ("torch", "onnx", "onnxruntime", "openvino", "nncf", "numpy")
_COMPARED_FRAMES = 4
_FP32_MASK_TOLERANCE = 1e-3
"""Share of pixels whose side of the threshold may differ between an exact FP32 engine and PyTorch.
Rewrites and kernels move logits by about 1e-5, and few pixels lie that close to the threshold."""

Narrate = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ExportResult:
    """Where the bundle is, and whether this call built it."""

    bundle: Bundle
    built: bool


def export(spec: ExportSpec, *, narrate: Narrate = lambda _: None) -> ExportResult:
    """Make the bundle that `spec` asks for, unless it is there already.

    Raises:
        SpecError: The request contradicts itself, the checkpoint, or a bundle of the same name.
        ArtifactError: The checkpoint or a calibration frame cannot be read.
        BackendUnavailableError: The target cannot execute the precision here.
        CheckFailedError: The engine was built, but disagrees with the FP32 network, or too little
            of it runs in INT8; the second also of a bundle that stands there already.
    """
    backend = None
    if spec.target not in TENSORRT_TARGETS:  # their engines may be built elsewhere
        backend = backends.get_for(spec.target, spec.precision)
    checkpoint = resolve(spec.weights)
    meta = read_metadata(checkpoint)
    contract = contract_of(spec, checkpoint.stem, meta)
    routing = spec.routing_for(meta.experts)
    freezes = routing is not Routing.DYNAMIC and meta.experts > 1
    calibration = CalibrationSet.open(spec.calibration)
    request = request_of(spec, routing)
    # FP16 for TensorRT leaves in FP32 what overflows on calibration frames.
    typed = request is not None and spec.precision is Precision.FP16
    is_calibrated = freezes or typed or spec.precision is Precision.INT8
    calibrated = calibration.source if is_calibrated else None
    source = Source(name=checkpoint.stem, sha256=sha256_of(checkpoint))
    tools = {**_tools(), **(request.tools if request else {})}
    auto = {}
    if routing is Routing.AUTO:
        auto = {"auto": [spec.max_dice_drop, masks_digest(calibration)]}
    inputs = digest_of(
        {
            "target": str(spec.target),
            "precision": str(spec.precision),
            "routing": str(routing),
            "contract": contract.to_json(),
            "checkpoint": source.sha256,
            "calibration": calibrated and calibrated.sha256,
            "tools": tools,
            **({"kit": [repr(request), calibration.source.sha256]} if request else {}),
            **auto,
            **({"method": str(spec.method)} if spec.precision is Precision.INT8 else {}),
        }
    )
    unusual = routing if meta.experts > 1 and routing is not spec.usual_routing else None
    path = spec.out / (
        spec.name
        or default_name(spec, checkpoint, contract, unusual, request.label if request else None)
    )
    if (standing := standing_bundle(path, inputs, spec)) is not None:
        _check_int8(standing.manifest, spec, f"The bundle '{path}' stands there")
        return ExportResult(standing, built=False)

    network = load_checkpoint(checkpoint)
    # A kit is checked by its probability, whether or not its engine gives one.
    traced = replace(contract, probability=True) if request else contract
    with staged_folder(path) as folder:
        plan = plan_routing(network, routing, contract, calibration, spec.max_dice_drop, narrate)
        stages = _Stages(spec, traced, calibration, network, backend, narrate, plan.frozen)
        graph = stages.device_graph(folder)
        made = stages.kit(folder, graph, request) if request else stages.made(folder, graph)
        if is_calibrated:
            write_prints(folder / PRINTS, calibration.prints())
        files = {file.name: sha256_of(file) for file in sorted(folder.iterdir())}
        manifest = Manifest(
            name=path.name,
            target=spec.target,
            precision=spec.precision,
            routing=routing,
            contract=contract,
            engine=made.engine,
            device_graph=DEVICE_GRAPH,
            files=files,
            checkpoint=source,
            calibration=calibrated,
            executed=made.executed,
            agreement=made.agreement,
            inputs_sha256=inputs,
            tools=tools,
            machine=machine_summary(),
            layers=made.layers,
            state=made.state,
            kit=made.kit,
            chosen=plan.chosen,
            method=made.method,
        )
        if request is not None and request.builds_here:
            manifest = finish_here(folder, manifest, path, narrate)
        _check_int8(manifest, spec, "No bundle was written")
        write_manifest(folder, manifest)
    return ExportResult(Bundle(path, manifest), built=True)


def describe(bundle: Bundle) -> str:
    """Tell in a few lines what a bundle is and what it really executes."""
    manifest = bundle.manifest
    if manifest.kit is not None:
        return "\n".join(filter(None, (describe_kit(bundle), next_steps(bundle))))
    ran = ", ".join(f"{share:.1%} {name}" for name, share in manifest.executed.items() if share)
    agreement = manifest.agreement
    size = sum((bundle.path / name).stat().st_size for name in manifest.files)
    contract = manifest.contract
    return (
        f"{bundle.path}\n"
        f"  takes     frame {contract.frame} {contract.color} uint8, network {contract.network}, "
        f"{manifest.routing} routing\n"
        f"{_chosen_text(manifest)}"
        f"{_method_text(manifest)}"
        f"  executes  {ran} (share of the convolution MACs, read back from the engine)\n"
        f"{_dynamic_text(manifest)}"
        f"  differs   from FP32 PyTorch in {agreement['mask_disagreement']:.3%} of the mask pixels "
        f"({agreement['frames']} calibration frames)\n"
        f"  holds     {', '.join(manifest.files)}, {size / 1e6:.1f} MB"
    )


def _method_text(manifest: Manifest) -> str:
    """How INT8 ranges were found, as a line of `describe`; else nothing."""
    return f"  ranges    {manifest.method}\n" if manifest.method else ""


def _dynamic_text(manifest: Manifest) -> str:
    """How much of an INT8 engine is in float on purpose, as a line of `describe`; else nothing."""
    macs = [layer.macs for layer in manifest.layers if layer.computed]
    if manifest.precision is not Precision.INT8 or not macs:
        return ""
    share = sum(macs) / sum(layer.macs for layer in manifest.layers)
    return (
        f"  computes  the kernels of {len(macs)} layers per frame: these run in float on purpose, "
        f"{share:.1%} of the MACs\n"
    )


def _chosen_text(manifest: Manifest) -> str:
    """What `auto` routing chose, as a line of `describe`; else nothing."""
    chosen = manifest.chosen
    if chosen is None:
        return ""
    truth = "Dice" if chosen.has_truth else "Dice against the dynamic network's own mask"
    return (
        f"  freezes   {', '.join(chosen.frozen) or 'nothing'}; dynamic: "
        f"{', '.join(chosen.dynamic) or 'nothing'}; costs {chosen.dice_drop:.4f} {truth} of at "
        f"most {chosen.max_dice_drop:g} ({chosen.measured_frames} frames)\n"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """What the stages after the device graph leave behind, for the manifest."""

    engine: str
    layers: tuple[LayerRecord, ...]
    executed: Mapping[str, float]
    agreement: Mapping[str, float]
    state: State = State.BUILT
    kit: Kit | None = None
    method: MethodRecord | None = None


@dataclass(frozen=True, slots=True)
class _Stages:
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

    def device_graph(self, folder: Path) -> onnx.ModelProto:
        """Lower the network and write its device graph."""
        import onnx

        self.narrate("tracing the device graph")
        stacked = self.spec.target is not Target.OPENVINO
        graph = to_onnx(lower(self.network, self.frozen, stacked=stacked), self.contract)
        onnx.save(graph, folder / DEVICE_GRAPH)
        return graph

    def made(self, folder: Path, graph: onnx.ModelProto) -> _Made:
        """Build the engine, and compare it with the FP32 network."""
        built, method = self.engine(folder)
        layers = _layers(built.layers, graph)
        self.narrate("comparing the engine with the FP32 network")
        return _Made(
            engine=built.engine,
            layers=layers,
            executed=mac_shares(layers),
            agreement=self.agreement(folder / built.engine),
            method=method,
        )

    def kit(self, folder: Path, graph: onnx.ModelProto, request: Request) -> _Made:
        """Write what a device needs to build the engine, and to check it."""
        order = KitOrder(
            request=request,
            precision=self.spec.precision,
            contract=replace(self.contract, probability=self.spec.probability),
            calibration=self.calibration,
            check=check_set(self.calibration, packaged=self.spec.calibration is None),
            device_graph=DEVICE_GRAPH,
        )
        kit, requested = make_kit(folder, graph, order, self.narrate)
        asked = (LayerRecord(name=name, requested=kind) for name, kind in requested.items())
        return _Made(
            engine=ENGINE,
            layers=_layers(asked, graph),
            executed={},
            agreement={},
            state=State.PENDING,
            kit=kit,
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
                backend=self.backend,
                floats=floats,
                method=self.spec.method,
                narrate=self.narrate,
            )
            self.narrate(f"building the {self.spec.target} engine")
            return self.backend.build(quantized, folder, self.spec.precision), record

    def agreement(self, engine: Path) -> Mapping[str, float]:
        """Compare the engine with the unlowered FP32 network on a few calibration frames."""
        device = DeviceModel(self.network, self.contract)
        outputs = OUTPUTS if self.contract.probability else OUTPUTS[:1]
        frames = self.calibration.frames(self.contract.frame, self.contract.color)
        assert self.backend is not None
        disagreement, difference = [], []
        session = self.backend.load(engine, self.spec.precision, None)
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
            raise CheckFailedError(
                f"The FP32 engine's masks differ from PyTorch's in {found_share:.2%} of the "
                f"pixels, expected at most {_FP32_MASK_TOLERANCE:.1%}. No bundle was written; the "
                f"versions were {', '.join(f'{name} {found}' for name, found in _tools().items())}."
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


def _check_int8(manifest: Manifest, spec: ExportSpec, outcome: str) -> None:
    if manifest.state is State.PENDING:
        return
    shortfall = int8_shortfall(
        manifest.precision,
        manifest.executed,
        manifest.layers,
        spec.min_int8_share,
    )
    if shortfall is not None:
        raise CheckFailedError(
            f"{manifest.name}: {shortfall} {outcome}; --min-int8-share 0 takes it as it is, for "
            "'lightawnet-edge inspect' to look at."
        )


def _tools() -> dict[str, str]:
    found = {"lightawnet-edge": __version__}
    for name in _TOOLS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
