"""Kits: what `export --target tensorrt` leaves behind where no engine can be built."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.choices import MethodRecord, RoutingDecision, RoutingRecord
from lightawnet_edge.bundle.contract import Port
from lightawnet_edge.bundle.engine import Engine
from lightawnet_edge.bundle.kit import BuilderSettings
from lightawnet_edge.bundle.limits import AgreementLimits
from lightawnet_edge.calibration.frames import CalibrationSet
from lightawnet_edge.codec import encode
from lightawnet_edge.data.likeness import PRINTS
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.errors import BackendUnavailableError, CheckFailedError, SpecError
from lightawnet_edge.export.describe import describe
from lightawnet_edge.export.pipeline import export
from lightawnet_edge.export.spec import ExportSpec
from lightawnet_edge.graph.simulation import Runs
from lightawnet_edge.machine.machine import int8_saturates
from lightawnet_edge.specs import Method, Precision, Routing, State, Target
from lightawnet_edge.targets.base import Ports
from lightawnet_edge.targets.making import KitOptions
from lightawnet_edge.targets.onnx.engine import OnnxRuntimeBackend
from lightawnet_edge.targets.openvino.engine import OpenVinoBackend
from lightawnet_edge.targets.tensorrt import typed_graph
from lightawnet_edge.targets.tensorrt.devices import find_platform
from lightawnet_edge.targets.tensorrt.expected import golden_of, tolerance_for
from lightawnet_edge.targets.tensorrt.golden import GOLDEN, Golden, replay
from lightawnet_edge.targets.tensorrt.kit_text import next_steps
from lightawnet_edge.targets.tensorrt.request import check_set
from tests.conftest import SIZE, blobs, write_pairs

Kits = dict[str, Path]


class Replayed:
    """A session of a function."""

    ports = Ports(source=Port(shape=(10, 10, 3), dtype="uint8"), outputs={})

    def __init__(self, run: Runs) -> None:
        self.run = run

    def infer(self, frame: UInt8, outputs: tuple[str, ...], out: Any = None) -> dict[str, Any]:
        given = dict(zip(("mask", "probability"), self.run(frame), strict=True))
        return {name: given[name] for name in outputs}

    def device_time(self) -> None:
        pass

    def close(self) -> None:
        pass


def kit_of(
    checkpoint: Path, dataset: Path | None, out: Path, precision: Precision, **changes: Any
) -> Bundle:
    names = ("device", "jetpack", "dla", "builder", "check")
    options = {key: changes.pop(key) for key in names if key in changes}
    spec = ExportSpec(
        target=Target.TENSORRT,
        precision=precision,
        weights=str(checkpoint),
        calibration=dataset,
        out=out,
        kit=KitOptions(**{"device": "jetson-orin", **options}),
        **changes,
    )
    return export(spec).bundle


def test_a_kit_says_what_it_is_for_and_that_it_is_not_built(kits: Kits, dataset: Path) -> None:
    bundle = Bundle.open(kits["tensorrt"])
    manifest, kit = bundle.manifest, bundle.manifest.kit
    assert bundle.path.name == "tiny-tensorrt-fp16-jetson-orin"
    assert manifest.state is State.PENDING
    assert set(manifest.files) == {"device.onnx", "typed.onnx", GOLDEN, PRINTS}
    assert (manifest.executed, manifest.agreement) == ({}, None)
    assert {layer.requested for layer in manifest.layers} == {Precision.FP16, Precision.FP32}
    assert all(layer.macs and layer.executed is None for layer in manifest.layers)
    assert kit is not None
    assert (kit.device, kit.jetpack, kit.tensorrt) == ("jetson-orin", "6.2", "10.3")
    assert (kit.capabilities, kit.typed, kit.float_layers) == ((87,), True, ())
    assert kit.numerics["frames"] == 8
    assert kit.numerics["on"]["name"] == dataset.name
    assert 0 < kit.numerics["mean_abs_probability"] < 1e-3
    assert -0.01 < kit.numerics["dice_drop"] <= kit.numerics["worst_dice_drop"]
    assert (kit.bound, kit.replay) == (None, None)
    assert manifest.calibration is not None, "frames decide what FP16 leaves in FP32"


def test_a_kit_says_what_was_frozen_and_at_what_cost(kits: Kits) -> None:
    bundle = Bundle.open(kits["tensorrt"])
    costs = {"dice_drop": 0.001, "low": 0.0, "high": 0.002}
    record = RoutingRecord(
        max_dice_drop=0.005,
        calibrated_frames=4,
        measured_frames=4,
        has_truth=True,
        dice=0.9,
        decisions=(
            RoutingDecision(block="e1", frozen=True, **costs),
            RoutingDecision(block="u4", frozen=False, **costs),
        ),
    )
    text = describe(Bundle(bundle.path, replace(bundle.manifest, chosen=record)))
    assert "dynamic: u4; Dice changes by −0.0010, a drop of 0.005 allowed (4 frames)\n" in text
    assert "freezes" not in describe(bundle)


def test_a_kit_says_how_far_it_is_from_fp32_and_what_that_costs_where_masks_tell(
    kits: Kits, dataset: Path
) -> None:
    bundle = Bundle.open(kits["tensorrt"])
    kit, calibration = bundle.manifest.kit, bundle.manifest.calibration
    assert kit is not None
    assert calibration is not None

    def rows(**changes: object) -> list[str]:
        measured = {
            "frames": 8,
            "mean_abs_probability": 0.0064,
            "max_abs_probability": 0.33,
            "mask_disagreement": 0.00517,
            "on": {"name": "mine", "sha256": "0" * 64},
            **changes,
        }
        changed = replace(bundle.manifest, kit=replace(kit, numerics=measured))
        text = describe(Bundle(bundle.path, changed)).splitlines()
        return [row for row in text if row.split()[0] in ("differs", "Dice", "openvino")]

    difference = "0.0064 of probability on average, 0.33 at most, and in 0.517% of the mask pixels"
    simulated = f"  differs   from its FP32 graph by {difference} (8 "
    without = [f"{simulated}frames of 'mine', simulated on a CPU)"]
    assert rows(dice_fp32=None, dice_drop=None, worst_dice_drop=None, openvino=None) == without
    assert rows() == without, "a kit of an earlier version"
    drop = {"dice_drop": -0.041, "dice_drop_low": -0.1, "dice_drop_high": 0.02}
    drop |= {"worst_dice_drop": 0.28344, "dice_fp32": 0.678}
    changes = "+0.0410 (95 %: −0.0200 … +0.1000), −0.2834 on the worst frame"
    second = {
        "mean_abs_probability": 0.0064,
        "max_abs_probability": 0.33,
        "mask_disagreement": 0.00517,
    }
    assert rows(**drop, openvino={**second, **drop}) == [
        *without,
        f"  Dice      changes by {changes}; FP32 has 0.6780",
        f"  openvino  differs by {difference}; Dice changes by {changes} (FP32 with FP16 kernels)",
    ]
    assert rows(openvino=second) == [
        *without,
        f"  openvino  differs by {difference} (FP32 with FP16 kernels)",
    ]
    own = f"{simulated}frames of '{dataset.name}', which calibrated it, simulated on a CPU)"
    assert rows(on=encode(calibration)) == [own]
    packaged = {"name": "packaged evaluation frames", "sha256": "0" * 64}
    assert rows(on=packaged) == [f"{simulated}packaged evaluation frames, simulated on a CPU)"]


def test_openvino_runs_what_a_kit_holds_beside_the_simulation(kits: Kits) -> None:
    kit = Bundle.open(kits["tensorrt"]).manifest.kit
    assert kit is not None
    second = kit.numerics["openvino"]
    assert second["frames"] == 8
    assert second["dice_fp32"] == kit.numerics["dice_fp32"]
    assert 0 < second["mean_abs_probability"] < 1e-3


def test_without_openvino_there_is_no_second_opinion(
    checkpoint: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: onnx.ModelProto) -> None:
        raise BackendUnavailableError("openvino", "it is not installed.")

    monkeypatch.setattr(typed_graph, "in_openvino", missing)
    told: list[str] = []
    spec = ExportSpec(
        target=Target.TENSORRT,
        precision=Precision.FP32,
        weights=str(checkpoint),
        calibration=dataset,
        out=tmp_path,
    )
    kit = export(spec, narrate=told.append).bundle.manifest.kit
    assert kit is not None
    assert kit.numerics["openvino"] is None
    assert any("no second opinion: " in line and "not installed" in line for line in told)


def test_the_typed_graph_passes_its_own_golden_frames(kits: Kits) -> None:
    bundle = Bundle.open(kits["tensorrt"])
    kit = bundle.manifest.kit
    assert kit is not None
    golden = Golden.read(bundle.path / kit.golden)
    assert golden.frames.shape == (4, 64, 64, 3)
    session = OnnxRuntimeBackend().load(Engine.read(bundle.path / kit.graph, Precision.FP32), 1)
    assert not list(kit.tolerance.shortfalls(replay(session, golden)))


def test_an_engine_for_rtx_is_built_at_once_and_says_that_it_never_ran(kits: Kits) -> None:
    bundle = Bundle.open(kits["tensorrt-rtx"])
    manifest = bundle.manifest
    assert bundle.path.name == "tiny-tensorrt-rtx-fp16"
    assert (manifest.engine, manifest.state) == ("engine.plan", State.UNCHECKED)
    assert len(bundle.unchecked_engine.data) > 10_000
    assert manifest.executed["fp16"] > 0.99
    assert "unknown" not in manifest.executed
    assert not any(layer.fell_back for layer in manifest.layers)
    assert manifest.kit is not None
    assert manifest.kit.bound is not None
    assert manifest.kit.bound.capabilities == (80, 86, 89, 120, 121)
    assert manifest.kit.bound.device is None, "it was built without a GPU"
    assert manifest.kit.trtexec is None
    assert "lightawnet-edge build tiny-tensorrt-rtx-fp16" in next_steps(bundle)


def test_an_equal_export_keeps_the_kit_and_another_device_is_another_bundle(
    checkpoint: Path, dataset: Path, kits: Kits
) -> None:
    spec = ExportSpec(
        target=Target.TENSORRT,
        precision=Precision.FP16,
        weights=str(checkpoint),
        calibration=dataset,
        out=kits["tensorrt"].parent,
        kit=KitOptions(device="jetson-orin"),
    )
    assert not export(spec).built
    thor = replace(spec, name=kits["tensorrt"].name, kit=KitOptions(device="jetson-thor"))
    with pytest.raises(SpecError, match="It was made from other inputs"):
        export(thor)


def test_int8_for_tensorrt_8_goes_by_flags_and_is_told_its_float_layers(
    checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    bundle = kit_of(checkpoint, dataset, tmp_path, Precision.INT8, jetpack="5.1", method=Method.MSE)
    kit = bundle.manifest.kit
    assert bundle.manifest.method == MethodRecord(method=Method.MSE, scale_frames=8)
    assert "  ranges    mse over 8 frames\n" in describe(bundle)
    assert bundle.path.name == "tiny-tensorrt-int8-jetson-orin-jp5.1"
    assert bundle.manifest.routing is Routing.STATIC
    assert kit is not None
    assert not kit.typed
    model = onnx.load(bundle.path / kit.graph)
    assert [entry.version for entry in model.opset_import] == [17]
    assert not any(tensor.data_type == tensor.FLOAT16 for tensor in model.graph.initializer)
    assert any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    operators = {node.name: node.op_type for node in model.graph.node}
    held = {operators[name] for name in kit.float_layers}
    assert "Softmax" in held
    assert not held & {"QuantizeLinear", "DequantizeLinear", "Cast"}
    assert not held & {"GreaterOrEqual", "Shape"}, "they give no floats"
    quantized = [layer for layer in bundle.manifest.layers if layer.requested is Precision.INT8]
    assert quantized
    assert not {layer.name for layer in quantized} & set(kit.float_layers)
    assert kit.trtexec is not None
    assert "--fp16 --int8 --precisionConstraints=obey" in kit.trtexec
    assert "Python 3.8, too old" in next_steps(bundle)


def test_a_kit_without_probability_is_checked_by_it_all_the_same(
    checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    bundle = kit_of(checkpoint, dataset, tmp_path, Precision.FP16, probability=False)
    kit = bundle.manifest.kit
    assert kit is not None
    assert kit.numerics["mean_abs_probability"] > 0
    for name in (bundle.manifest.device_graph, kit.graph):
        outputs = onnx.load(bundle.path / name).graph.output
        assert [output.name for output in outputs] == ["mask"]
    golden = Golden.read(bundle.path / kit.golden)
    assert golden.probabilities is None
    session = OnnxRuntimeBackend().load(Engine.read(bundle.path / kit.graph, Precision.FP32), 1)
    found = replay(session, golden)
    assert found.mean_abs_probability is None
    assert not list(kit.tolerance.shortfalls(found))


def test_fp32_needs_no_second_graph_and_settings_go_along(
    checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    settings = BuilderSettings(workspace_mib=64, optimization_level=5, version_compatible=True)
    bundle = kit_of(
        checkpoint, dataset, tmp_path, Precision.FP32, device="jetson-thor", builder=settings
    )
    kit = bundle.manifest.kit
    assert kit is not None
    assert bundle.path.name == "tiny-tensorrt-fp32-jetson-thor-ws64-opt5-vc"
    assert kit.builder == settings, "the device builds with it"
    assert kit.trtexec is not None
    assert "workspace:64 --builderOptimizationLevel=5 --versionCompatible" in kit.trtexec
    assert kit.graph == bundle.manifest.device_graph == "device.onnx"
    assert set(bundle.manifest.files) == {"device.onnx", GOLDEN}
    assert bundle.manifest.calibration is None


def test_a_kit_that_asks_for_too_little_int8_is_refused_and_the_limit_goes_with_it(
    checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        CheckFailedError,
        match=r"If all runs as the graph asks, 0\.9\d* of the convolution",
    ):
        kit_of(checkpoint, dataset, tmp_path, Precision.INT8, min_int8_share=1.0)
    assert not list(tmp_path.glob("*"))
    bundle = kit_of(checkpoint, dataset, tmp_path, Precision.INT8, min_int8_share=0.5)
    assert bundle.manifest.kit is not None
    assert bundle.manifest.kit.min_int8_share == 0.5


@pytest.mark.parametrize(
    ("precision", "changes", "message"),
    [
        (Precision.FP16, {"jetpack": "5.0"}, "takes neither uint8 frames nor computed kernels"),
        (Precision.INT8, {"jetpack": "5.1", "routing": Routing.DYNAMIC}, "fails on INT8"),
        (Precision.FP16, {"device": "jetson-thor", "dla": True}, "it has no DLA"),
        (Precision.FP16, {"dla": True}, "a DLA takes no computed kernels"),
        (Precision.INT8, {"dla": True}, "takes INT8 from a calibrator alone"),
        (Precision.BF16, {}, "writes no BF16 graph"),
        (Precision.FP16, {"device": "jetson-nano"}, "Unknown device 'jetson-nano'. Known: jetson"),
        (Precision.FP16, {"jetpack": "4.6"}, "Unknown JetPack '4.6'. Known for jetson-orin: 6.2"),
        (Precision.FP16, {"device": "rtx"}, "Use --target tensorrt-rtx"),
    ],
)
def test_what_a_device_cannot_do_is_refused_with_the_reason(
    checkpoint: Path, tmp_path: Path, precision: Precision, changes: Any, message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        kit_of(checkpoint, None, tmp_path, precision, **changes)
    assert message in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        (Target.ONNX, KitOptions(device="jetson-orin"), "--device is for --target tensorrt"),
        (Target.OPENVINO, KitOptions(must_build=True), "--must-build is for --target tens"),
        (Target.TENSORRT_RTX, KitOptions(jetpack="6.2"), "engines are portable over the GPUs"),
        (
            Target.OPENVINO,
            KitOptions(builder=BuilderSettings(workspace_mib=64)),
            "--workspace is for --target tensorrt, not openvino",
        ),
        (
            Target.ONNX,
            KitOptions(builder=BuilderSettings(optimization_level=1)),
            "--opt-level is for --target tensorrt, not onnx",
        ),
        (
            Target.ONNX,
            KitOptions(builder=BuilderSettings(version_compatible=True)),
            "--version-compatible is for --target tensorrt, not onnx",
        ),
        (
            Target.ONNX,
            KitOptions(builder=BuilderSettings(hardware_compatible=True)),
            "--hardware-compatible is for --target tensorrt, not onnx",
        ),
    ],
)
def test_options_of_tensorrt_mean_nothing_elsewhere(
    target: Target, options: KitOptions, message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        ExportSpec(target=target, precision=Precision.FP32, kit=options)


def test_an_engine_that_must_be_built_here_is_refused_where_it_cannot(
    checkpoint: Path, tmp_path: Path
) -> None:
    options = KitOptions(device="jetson-orin", must_build=True)
    spec = ExportSpec(
        target=Target.TENSORRT,
        precision=Precision.FP32,
        weights=str(checkpoint),
        out=tmp_path,
        kit=options,
    )
    with pytest.raises(BackendUnavailableError, match=r"built on the device.*Leave --must-build"):
        export(spec)
    assert not list(tmp_path.iterdir())


def test_packaged_frames_that_set_scales_are_not_those_that_check(dataset: Path) -> None:
    packaged = CalibrationSet.open(None)
    apart = check_set(packaged, None, packaged=True)
    assert apart.source.name == "packaged evaluation frames"
    assert not set(apart.listed.files) & set(packaged.listed.files)
    mine = CalibrationSet.open(dataset)
    assert check_set(mine, None, packaged=False) is mine


def test_the_device_of_rtx_engines_may_be_said() -> None:
    options = KitOptions(device="RTX")
    ExportSpec(target=Target.TENSORRT_RTX, precision=Precision.FP16, kit=options)
    options = KitOptions(device="jetson-orin")
    with pytest.raises(SpecError, match="--device is for --target tensorrt"):
        ExportSpec(target=Target.TENSORRT_RTX, precision=Precision.FP16, kit=options)


def test_frames_of_ones_own_check_a_kit_and_are_none_of_those_that_calibrate_it(
    checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    others = write_pairs(tmp_path / "others", blobs(3, SIZE, seed=7))
    bundle = kit_of(checkpoint, dataset, tmp_path / "out", Precision.FP16, check=others)
    kit = bundle.manifest.kit
    assert kit is not None
    assert (kit.numerics["frames"], kit.numerics["on"]["name"]) == (3, "others")
    assert kit.numerics["dice_drop"] is not None
    assert len(Golden.read(bundle.path / kit.golden).frames) == 3
    assert "which calibrated it" not in describe(bundle)
    with pytest.raises(SpecError, match=r"8 of 8 frames are in the calibration set, too, e\.g\. "):
        kit_of(checkpoint, dataset, tmp_path / "out", Precision.FP16, check=dataset)
    with pytest.raises(SpecError, match="--check is for --target tensorrt, not onnx"):
        ExportSpec(target=Target.ONNX, precision=Precision.FP32, kit=KitOptions(check=others))


def test_a_kit_whose_check_masks_changed_is_another_one(
    checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    others = write_pairs(tmp_path / "others", blobs(2, SIZE, seed=7))
    request = {"check": others, "routing": Routing.STATIC}
    kit = kit_of(checkpoint, dataset, tmp_path / "out", Precision.FP32, **request)
    first, second = ((others / "masks" / f"frame{index}.png") for index in range(2))
    first.write_bytes(second.read_bytes())
    with pytest.raises(SpecError, match="It was made from other inputs"):
        kit_of(checkpoint, dataset, tmp_path / "out", Precision.FP32, **request)
    again = kit_of(checkpoint, dataset, tmp_path / "out", Precision.FP32, replace=True, **request)
    numerics = [one.manifest.kit.numerics for one in (kit, again) if one.manifest.kit]
    assert numerics[0]["dice_fp32"] != numerics[1]["dice_fp32"], "it is measured against them"


def square(side: int) -> tuple[UInt8, NDArray[np.float32]]:
    """Mask and probability (10, 10): a square of so many pixels a side, of probability 0.5."""
    mask = np.zeros((10, 10), np.uint8)
    mask[:side, :side] = 255
    return mask, (mask / 510).astype(np.float32)


def exact(frame: UInt8) -> tuple[UInt8, NDArray[np.float32]]:
    return square(int(frame.max()))


def nothing(_: UInt8) -> tuple[UInt8, NDArray[np.float32]]:
    return square(0)


def flat(*shades: int) -> list[UInt8]:
    return [np.full((10, 10, 3), shade, np.uint8) for shade in shades]


def test_golden_frames_show_a_lesion_where_there_are_such_frames() -> None:
    golden = golden_of(flat(0, 3, 0, 0, 1, 0, 5, 0, 9, 7), exact)
    assert [int(frame.max()) for frame in golden.frames] == [3, 1, 5, 9]
    assert [int(frame.max()) for frame in golden_of(flat(0, 2, 0), exact).frames] == [2, 0, 0]


def test_the_tolerance_grows_with_what_the_simulation_gives_on_the_worst_golden_frame() -> None:
    def simulation(frame: UInt8) -> tuple[UInt8, NDArray[np.float32]]:
        """Misses two pixels of each square."""
        mask, probability = exact(frame)
        mask[0, :2], probability[0, :2] = 0, 0
        return mask, probability

    golden = golden_of(flat(4, 8), exact)
    tolerance = tolerance_for(golden, simulation)
    assert tolerance.worst_abs_probability == pytest.approx(0.001 + 3 * 2 * 0.5 / 100)
    assert tolerance.worst_mask_disagreement == pytest.approx(0.001 + 3 * 2 / 100)
    assert tolerance.worst_dice == pytest.approx(0.98 - 3 * (1 - 28 / 30))
    assert tolerance_for(golden, exact) == AgreementLimits(
        worst_abs_probability=1e-3, worst_mask_disagreement=1e-3, worst_dice=0.98
    )
    assert tolerance_for(golden, nothing).worst_dice == 0.5, "whatever is simulated"


def test_an_engine_that_loses_a_lesion_is_out_of_tolerance() -> None:
    golden = golden_of(flat(2, 0), exact)
    tolerance = AgreementLimits(worst_abs_probability=1, worst_mask_disagreement=1, worst_dice=0.9)
    found = replay(Replayed(nothing), golden)
    assert found.worst_dice == 0
    (reason,) = tolerance.shortfalls(found)
    assert reason == (
        "the mask of a lesion has a Dice of 0.000 with that of FP32, expected at least 0.900"
    )
    assert not list(tolerance.shortfalls(replay(Replayed(exact), golden)))
    empty = replay(Replayed(exact), golden_of(flat(0), exact))
    assert empty.worst_dice is None
    assert not list(tolerance.shortfalls(empty))


def test_openvinos_integer_kernels_pass_the_golden_frames_of_an_int8_kit(
    checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    """As an engine on a device must: another implementation of the same graph.

    A CPU on which its integers saturate, as a GPU's do not, has no say.
    """
    bundle = kit_of(checkpoint, dataset, tmp_path, Precision.INT8)
    kit = bundle.manifest.kit
    assert kit is not None
    if int8_saturates():
        assert kit.numerics["openvino"] is None
        with pytest.raises(BackendUnavailableError, match="may saturate"):
            OpenVinoBackend().load(Engine.read(bundle.path / kit.graph, Precision.FP32), 1)
        return
    session = OpenVinoBackend().load(Engine.read(bundle.path / kit.graph, Precision.FP32), 1)
    found = replay(session, Golden.read(bundle.path / kit.golden))
    assert found.mean_abs_probability is not None
    assert found.mean_abs_probability > 1e-5, "it does not compute in FP32"
    assert not list(kit.tolerance.shortfalls(found))


def test_golden_frames_that_cannot_be_read_say_so(tmp_path: Path) -> None:
    from lightawnet_edge.errors import ArtifactError

    (tmp_path / GOLDEN).write_bytes(b"broken")
    with pytest.raises(ArtifactError, match="Export the kit again"):
        Golden.read(tmp_path / GOLDEN)
    np.savez(tmp_path / GOLDEN, frames=np.zeros(3))
    with pytest.raises(ArtifactError, match="Export the kit again"):
        Golden.read(tmp_path / GOLDEN)


def test_only_jetpack_5_has_a_python_too_old_for_this_package() -> None:
    assert find_platform("jetson-orin").runs_the_package
    assert find_platform("jetson-thor").runs_the_package
    assert find_platform("rtx").runs_the_package
    assert not find_platform("jetson-xavier").runs_the_package
    assert not find_platform("jetson-orin", "5.1").runs_the_package
