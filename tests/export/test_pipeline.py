"""What `export` leaves behind: whole bundles that tell the truth, or nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.layers import mac_shares
from lightawnet_edge.bundle.lock import writing
from lightawnet_edge.bundle.manifest import MANIFEST, SCHEMA
from lightawnet_edge.bundle.store import sha256_of
from lightawnet_edge.data.likeness import PRINTS, read_prints
from lightawnet_edge.errors import (
    ArtifactError,
    BackendUnavailableError,
    CheckFailedError,
    SpecError,
)
from lightawnet_edge.export.describe import describe
from lightawnet_edge.export.pipeline import export
from lightawnet_edge.export.resolve import resolve
from lightawnet_edge.export.spec import Crop, ExportSpec
from lightawnet_edge.graph.device_graph import DeviceModel
from lightawnet_edge.graph.view import GraphView
from lightawnet_edge.model.checkpoint import load_checkpoint, save_checkpoint
from lightawnet_edge.model.metadata import CheckpointMeta
from lightawnet_edge.runtime.playback import play
from lightawnet_edge.runtime.segmenter import Segmenter
from lightawnet_edge.specs import (
    ColorOrder,
    Matrix,
    Method,
    Normalization,
    Precision,
    Range,
    Region,
    Routing,
    Size,
    Target,
)
from lightawnet_edge.targets import table
from tests.conftest import SIZE, blobs, random_network, write_pairs

Bundles = dict[tuple[str, str], Path]


def spec(checkpoint: Path, out: Path, **changes: object) -> ExportSpec:
    values: dict[str, object] = {
        "target": Target.ONNX,
        "precision": Precision.FP32,
        "weights": str(checkpoint),
        "out": out,
        **changes,
    }
    return ExportSpec(**values)  # type: ignore[arg-type] # changes by name, of any type


def test_a_manifest_says_all_about_its_bundle(
    bundles: Bundles, checkpoint: Path, dataset: Path
) -> None:
    manifest = Bundle.open(bundles["openvino", "int8"]).manifest
    assert manifest.name == "tiny-openvino-int8"
    assert (manifest.target, manifest.precision) == (Target.OPENVINO, Precision.INT8)
    assert manifest.routing is Routing.STATIC
    assert manifest.checkpoint.sha256 == sha256_of(checkpoint)
    assert manifest.calibration is not None
    assert manifest.calibration.frames == 8
    assert manifest.calibration.name == dataset.name
    assert set(manifest.files) == {"device.onnx", "engine.xml", "engine.bin", PRINTS}
    prints = read_prints(bundles["openvino", "int8"] / PRINTS)
    assert [one.stem for one in prints] == [f"frame{index}" for index in range(8)]
    assert {"torch", "openvino", "lightawnet-edge"} <= set(manifest.tools)
    assert manifest.contract.frame == manifest.contract.network == SIZE
    exact = Bundle.open(bundles["openvino", "fp32"]).manifest
    assert exact.routing is Routing.DYNAMIC
    assert exact.calibration is None, "no frame had a say in an exact engine"
    assert PRINTS not in exact.files
    text = (bundles["openvino", "int8"] / MANIFEST).read_text()
    assert str(checkpoint.parent) not in text, "a manifest must not carry paths of the machine"


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_int8_really_runs_in_int8_and_fp32_in_fp32(bundles: Bundles, target: str) -> None:
    executed = Bundle.open(bundles[target, "int8"]).manifest.executed
    assert executed["int8"] >= 0.9
    assert sum(executed.values()) == pytest.approx(1, abs=1e-5)
    assert Bundle.open(bundles[target, "fp32"]).manifest.executed["fp32"] == 1


@pytest.mark.parametrize("target", ["onnx", "openvino"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_manifest_has_every_convolution_with_what_was_asked_for_and_what_ran(
    bundles: Bundles, target: str, precision: str
) -> None:
    manifest = Bundle.open(bundles[target, precision]).manifest
    graph = onnx.load(bundles[target, precision] / "device.onnx")
    assert {layer.name: layer.macs for layer in manifest.layers} == GraphView(graph).macs
    assert mac_shares(manifest.layers) == dict(manifest.executed)
    assert all(layer.kernel for layer in manifest.layers)
    asked = {layer.name for layer in manifest.layers if layer.requested is Precision.INT8}
    if precision == "fp32":
        assert not asked
    else:
        floats = {layer.name for layer in manifest.layers} - asked
        border = {name for name in floats if name.startswith("out/border/")}
        assert len(border) == 16
        grouped = {f"{block}/depthwise" for block in ("e2", "e3", "a4", "a5")}
        pixel = {f"u{n}/{name}" for n in range(1, 5) for name in ("squeeze", "excite")}
        assert floats == border | (grouped | pixel if target == "openvino" else set())


@pytest.mark.slow
def test_too_little_int8_leaves_nothing_behind_and_names_the_layers(
    checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    wanted = spec(
        checkpoint, tmp_path, precision=Precision.INT8, calibration=dataset, min_int8_share=1.0
    )
    with pytest.raises(CheckFailedError, match="ran in INT8, expected at least 1") as caught:
        export(wanted)
    assert "'out/border/" in str(caught.value)
    assert "asked for fp32, ran in fp32" in str(caught.value)
    assert "No bundle was written; --min-int8-share 0 takes it" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_bundle_that_stands_there_is_held_to_the_share_of_int8_too(
    bundles: Bundles, checkpoint: Path, dataset: Path
) -> None:
    path = bundles["openvino", "int8"]
    values = {"target": Target.OPENVINO, "precision": Precision.INT8, "calibration": dataset}
    with pytest.raises(CheckFailedError, match=r"'e2/depthwise' \(.*; asked for fp32, ran in fp32"):
        export(spec(checkpoint, path.parent, min_int8_share=0.9999, **values))
    assert path.is_dir()
    assert not export(spec(checkpoint, path.parent, min_int8_share=0.0, **values)).built


@pytest.mark.parametrize("target", ["onnx", "openvino"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_engines_segment_as_pytorch_does(
    bundles: Bundles, checkpoint: Path, target: str, precision: str
) -> None:
    # FP32 engines round differently: 1e-4. INT8 has about 1/256 of each layer's range as its step;
    # on a network of random weights that adds up to a few hundredths of probability.
    tolerance = {"fp32": 1e-4, "int8": 0.08}[precision]
    with Segmenter.load(bundles[target, precision]) as segmenter:
        device = DeviceModel(load_checkpoint(checkpoint), segmenter.manifest.contract)
        for frame, _ in blobs(3, SIZE, seed=5):
            with torch.no_grad():
                expected = device(torch.from_numpy(frame))[1].numpy()
            error = np.abs(segmenter.probability(frame) - expected)
            assert float(error.mean()) < tolerance


def test_the_manifest_s_agreement_is_measured(bundles: Bundles) -> None:
    exact = Bundle.open(bundles["openvino", "fp32"]).manifest.agreement
    quantized = Bundle.open(bundles["openvino", "int8"]).manifest.agreement
    assert exact is not None
    assert quantized is not None
    assert exact.frames == quantized.frames == 8
    assert exact.mean_abs_probability is not None
    assert exact.mean_abs_probability < 1e-5
    assert quantized.mean_abs_probability is not None
    assert 1e-5 < quantized.mean_abs_probability < 0.08
    assert "8 calibration frames" in describe(Bundle.open(bundles["openvino", "int8"]))


def test_an_equal_export_does_nothing(bundles: Bundles, checkpoint: Path, dataset: Path) -> None:
    path = bundles["onnx", "fp32"]
    before = (path / MANIFEST).stat().st_mtime_ns
    wanted = spec(checkpoint, path.parent, calibration=dataset)
    assert not export(wanted).built
    assert (path / MANIFEST).stat().st_mtime_ns == before


def test_force_replaces_and_leaves_no_rubbish(
    bundles: Bundles, checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    shutil.copytree(bundles["onnx", "fp32"], tmp_path / "tiny-onnx-fp32")
    wanted = spec(checkpoint, tmp_path, calibration=dataset, threshold=0.25)
    with pytest.raises(SpecError, match=r"made from other inputs\. Choose another --name"):
        export(wanted)
    assert Bundle.open(tmp_path / "tiny-onnx-fp32").manifest.contract.threshold == 0.5
    result = export(spec(checkpoint, tmp_path, calibration=dataset, threshold=0.25, force=True))
    assert result.built
    assert Bundle.open(tmp_path / "tiny-onnx-fp32").manifest.contract.threshold == 0.25
    assert [path.name for path in tmp_path.iterdir()] == ["tiny-onnx-fp32"]


def test_a_folder_that_is_no_bundle_is_not_overwritten(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny-onnx-fp32").mkdir()
    (tmp_path / "tiny-onnx-fp32" / "thesis.txt").write_text("precious")
    for force in (False, True):
        with pytest.raises(SpecError, match=r"is in the way: it is no bundle"):
            export(spec(checkpoint, tmp_path, force=force))
    assert (tmp_path / "tiny-onnx-fp32" / "thesis.txt").read_text() == "precious"


def test_a_damaged_bundle_is_noticed_not_taken_for_done(
    bundles: Bundles, checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "tiny-onnx-fp32"
    shutil.copytree(bundles["onnx", "fp32"], copy)
    with (copy / "device.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(SpecError, match="has changed since it was built"):
        export(spec(checkpoint, tmp_path, calibration=dataset))


def test_a_killed_export_leaves_no_half_bundle(checkpoint: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "lightawnet_edge", "export",
        "--target", "onnx", "--weights", str(checkpoint), "--out", str(tmp_path),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not any(tmp_path.glob(".tiny-onnx-fp32.new-*")) and time.monotonic() < deadline:
        assert process.poll() is None, "the export ended before it could be killed"
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
    assert export(spec(checkpoint, tmp_path)).built


def test_a_failed_export_removes_what_it_wrote(checkpoint: Path, tmp_path: Path) -> None:
    broken = tmp_path / "frames"
    broken.mkdir()
    (broken / "a.png").write_bytes(b"no image")
    with pytest.raises(ArtifactError, match=r"a\.png' cannot be decoded"):
        export(spec(checkpoint, tmp_path / "engines", calibration=broken))
    assert not list((tmp_path / "engines").iterdir())


@pytest.mark.parametrize("target", [Target.ONNX, Target.OPENVINO])
def test_int8_with_dynamic_routing_leaves_computed_kernels_in_float_and_says_so(
    checkpoint: Path, dataset: Path, tmp_path: Path, target: Target
) -> None:
    bundle = export(
        spec(
            checkpoint, tmp_path, target=target, precision=Precision.INT8, routing=Routing.DYNAMIC,
            calibration=dataset,
        )
    ).bundle  # fmt: skip
    layers = bundle.manifest.layers
    computed = [layer for layer in layers if layer.computed]
    assert len(computed) == 10
    assert {str(layer.executed) for layer in computed} == {"fp32"}
    constant = [layer for layer in layers if not layer.computed]
    assert mac_shares(constant)["int8"] > 0.9
    assert "computes  the kernels of 10 layers per frame: these run in float on purpose" in (
        describe(bundle)
    )


def computed(block: str) -> str:
    """Name of the layer that computes a block's kernel."""
    following = {"u1": "u2", "u2": "u3", "u3": "u4"}.get(block)
    name = block if block == "out" else f"{block}/dynamic"
    return f"{name}+{following}/reduce" if following else name


def test_auto_routing_freezes_what_the_budget_allows_and_records_every_decision(
    checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    wanted = spec(checkpoint, tmp_path, routing=Routing.AUTO, calibration=dataset)
    made = {}
    for budget in (1.0, 0.0):
        bundle = export(replace(wanted, max_dice_drop=budget, name=f"b{budget}")).bundle
        chosen = Bundle.open(bundle.path).manifest.chosen
        assert chosen is not None
        assert len(chosen.decisions) == 10
        assert chosen.max_dice_drop == budget
        assert chosen.dice_drop <= budget
        assert {layer.name for layer in bundle.manifest.layers if layer.computed} == {
            computed(block) for block in chosen.dynamic
        }
        assert f"a drop of {budget:g} allowed" in describe(bundle)
        made[budget] = chosen
    assert len(made[1.0].frozen) == 10
    assert not export(replace(wanted, max_dice_drop=1.0, name="b1.0")).built


@pytest.mark.slow
def test_a_budget_for_int8_is_measured_and_recorded(
    checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    wanted = spec(
        checkpoint, tmp_path, precision=Precision.INT8, calibration=dataset, max_dice_drop=1.0
    )
    bundle = export(wanted).bundle
    method = Bundle.open(bundle.path).manifest.method
    assert method is not None
    assert method.restored is not None
    assert method.restored.frames == len(list((dataset / "images").iterdir()))
    assert method.restored.has_truth
    assert "budget    Dice changes by" in describe(bundle)
    assert not export(wanted).built


def test_a_static_twin_exports_exactly_without_calibration_frames(tmp_path: Path) -> None:
    network = random_network(experts=1)
    path = tmp_path / "twin.safetensors"
    save_checkpoint(
        path, network.state_dict(), CheckpointMeta(in_channels=3, experts=1, size=Size(32, 32))
    )
    manifest = export(spec(path, tmp_path)).bundle.manifest
    assert manifest.name == "twin-onnx-fp32"
    assert manifest.routing is Routing.STATIC
    assert manifest.calibration is None, "nothing was frozen: the weights are static"
    assert manifest.agreement is not None
    assert manifest.agreement.mask_disagreement < 1e-3
    with pytest.raises(SpecError, match="is a static twin: its kernels are the same for every"):
        export(spec(path, tmp_path, routing=Routing.DYNAMIC))


def test_int8_without_frames_is_refused_and_random_data_never_used(
    checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SpecError, match="random data is never used instead"):
        export(spec(checkpoint, tmp_path, precision=Precision.INT8, calibration=tmp_path / "empty"))


def test_precisions_that_would_be_emulated_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    for target in (Target.ONNX, Target.OPENVINO):
        for precision, reason in table.get(target).refusals().items():
            if reason is not None:
                with pytest.raises(BackendUnavailableError, match="cannot run here"):
                    export(spec(checkpoint, tmp_path, target=target, precision=precision))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"threshold": 0.0}, r"threshold=0\.0 must lie between 0 and 1"),
        ({"network": Size(100, 64)}, "nearest that fit are 96x64 and 112x64"),
        ({"method": Method.MSE}, "--method mse is for --int8, not --fp32"),
        ({"max_dice_drop": 0.01}, "--max-dice-drop is the budget of --routing auto, and of --int8"),
        ({"max_dice_drop": 2.0, "routing": Routing.AUTO}, "2.0 must lie between 0 and 1"),
        ({"name": "../elsewhere"}, "must be a plain folder name"),
        ({"crop": Crop(Region(0, 0, 32, 32))}, r"size is not known\. Give it with --frame, e\.g\."),
        ({"crop": Crop()}, r"--crop auto is a region .* not known\. Give it with --frame, e\.g\."),
        ({"min_int8_share": 1.5}, r"--min-int8-share 1\.5 must lie between 0 and 1"),
    ],
)
def test_impossible_requests_are_refused_at_birth(
    checkpoint: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        spec(checkpoint, Path(), **changes)


def test_a_frame_size_of_its_own_is_inside_the_engine(checkpoint: Path, tmp_path: Path) -> None:
    wanted = spec(checkpoint, tmp_path, frame=Size(270, 480), color=ColorOrder.BGR)
    bundle = export(wanted).bundle
    assert bundle.path.name == "tiny-onnx-fp32-270x480-bgr"
    with Segmenter.load(bundle.path) as segmenter:
        frame = blobs(1, Size(270, 480))[0][0]
        assert segmenter(frame).shape == (270, 480)
        assert segmenter.probability(frame).shape == (64, 64)


def test_a_region_is_inside_the_engine(checkpoint: Path, dataset: Path, tmp_path: Path) -> None:
    crop = Region(100, 0, 280, 270)
    wanted = spec(checkpoint, tmp_path, frame=Size(270, 480), crop=Crop(crop), calibration=dataset)
    bundle = export(wanted).bundle
    assert bundle.path.name == "tiny-onnx-fp32-270x480-crop100.0.280.270"
    assert "frame 270x480 rgb uint8, crop 100,0,280,270, network 64x64" in describe(bundle)
    assert bundle.manifest.contract.crop == crop
    with Segmenter.load(bundle.path) as segmenter:
        mask = segmenter(blobs(1, Size(270, 480))[0][0])
    assert mask.shape == (270, 480)
    assert mask[crop.slices].any()
    mask[crop.slices] = 0
    assert not mask.any()


def test_the_region_of_a_field_of_view_is_told_and_stands_in_the_contract(
    checkpoint: Path, tmp_path: Path
) -> None:
    black = [(np.zeros((80, 128, 3), np.uint8), np.zeros((80, 128), np.bool_)) for _ in range(4)]
    for (frame, _), (picture, _) in zip(black, blobs(4, Size(60, 60)), strict=True):
        frame[10:70, 40:100] = picture
    folder = write_pairs(tmp_path / "frames", black)
    told: list[str] = []
    wanted = spec(checkpoint, tmp_path, frame=Size(80, 128), crop=Crop(), calibration=folder)
    bundle = export(wanted, narrate=told.append).bundle
    assert bundle.manifest.contract.crop == Region(38, 8, 64, 64), "the blur adds its two pixels"
    assert told[0] == "--crop 38,8,64,64: the field of view of 4 calibration frames"
    same = spec(
        checkpoint, tmp_path, frame=Size(80, 128), crop=Crop(Region(38, 8, 64, 64)),
        calibration=folder,
    )  # fmt: skip
    assert not export(same).built, "numbers that were found are as good as numbers that were given"


def test_a_picture_without_border_has_no_region(
    checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    told: list[str] = []
    wanted = spec(checkpoint, tmp_path, frame=Size(80, 96), crop=Crop(), calibration=dataset)
    assert export(wanted, narrate=told.append).bundle.manifest.contract.crop is None
    assert (
        told[0] == "the picture fills the frame in the 8 calibration frames: no region is cut out"
    )


def test_a_yuv_bundle_runs_on_ordinary_pictures(
    checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    wanted = spec(
        checkpoint, tmp_path, frame=Size(80, 96), crop=Crop(Region(16, 0, 80, 80)),
        calibration=dataset, color=ColorOrder.YUY2, matrix=Matrix.BT709,
        target=Target.OPENVINO, precision=Precision.INT8,
    )  # fmt: skip
    bundle = export(wanted).bundle
    assert bundle.path.name == "tiny-openvino-int8-80x96-crop16.0.80.80-yuy2-bt709-limited"
    assert "frame 80x96 yuy2 (bt709, limited range) uint8, crop 16,0,80,80" in describe(bundle)
    written = json.loads((bundle.path / MANIFEST).read_text())["contract"]["input"]
    assert written == {
        "name": "frame", "dtype": "uint8", "shape": [80, 96, 2], "color": "yuy2",
        "matrix": "bt709", "range": "limited",
    }  # fmt: skip
    assert bundle.manifest.executed["int8"] >= 0.9
    with Segmenter.load(bundle.path) as segmenter:
        (played, *_) = play(segmenter, [dataset / "images" / "frame0.png"], tmp_path / "masks")
    assert played.error is None
    assert 0 < played.foreground < 1
    assert (tmp_path / "masks" / "frame0.overlay.jpg").is_file()


@pytest.mark.parametrize("asked", [{"matrix": Matrix.BT709}, {"range": Range.FULL}])
def test_matrix_and_range_are_of_yuv_alone(
    checkpoint: Path, tmp_path: Path, asked: dict[str, object]
) -> None:
    with pytest.raises(SpecError, match="--matrix and --range are for nv12 and yuy2 frames, not r"):
        resolve(spec(checkpoint, tmp_path, **asked))


def test_packaged_frames_are_doubted_where_there_is_a_region(
    checkpoint: Path, tmp_path: Path
) -> None:
    told: list[str] = []
    crop = Region(16, 0, 80, 80)
    export(spec(checkpoint, tmp_path, frame=Size(80, 96), crop=Crop(crop)), narrate=told.append)
    assert [text for text in told if "give frames of it with --calibration" in text]


def test_a_region_of_the_whole_frame_is_none(checkpoint: Path, tmp_path: Path) -> None:
    wanted = spec(checkpoint, tmp_path, frame=Size(96, 128), crop=Crop(Region(0, 0, 128, 96)))
    assert resolve(wanted).contract.crop is None
    with pytest.raises(SpecError, match=r"Region 0,0,129,96 reaches beyond the frame 96x128"):
        resolve(spec(checkpoint, tmp_path, frame=Size(96, 128), crop=Crop(Region(0, 0, 129, 96))))


def test_a_gray_network_with_minmax_scaling_runs_whole(dataset: Path, tmp_path: Path) -> None:
    weights = tmp_path / "ct.safetensors"
    meta = CheckpointMeta(
        in_channels=1, size=Size(32, 48), normalization=Normalization(method="minmax")
    )
    save_checkpoint(weights, random_network(in_channels=1).state_dict(), meta)
    with pytest.raises(
        SpecError, match=r"Color 'rgb' does not fit 'ct', a network of 1 input channel:"
    ):
        export(spec(weights, tmp_path, color=ColorOrder.RGB))
    wanted = spec(weights, tmp_path, routing=Routing.STATIC, calibration=dataset)
    bundle = export(wanted).bundle
    assert bundle.path.name == "ct-onnx-fp32-static"
    with Segmenter.load(bundle.path) as segmenter:
        frame = blobs(1, Size(32, 48))[0][0][:, :, 0]
        doubled = (frame // 2).astype(np.uint8)
        assert segmenter(frame).shape == (32, 48)
        np.testing.assert_allclose(
            segmenter.probability(doubled),
            segmenter.probability((doubled * 2).astype(np.uint8)),
            atol=1e-3,
        )


def test_the_json_of_a_manifest_is_sorted_and_has_its_schema(bundles: Bundles) -> None:
    data = json.loads((bundles["onnx", "int8"] / MANIFEST).read_text())
    assert data["schema"] == SCHEMA
    assert list(data) == sorted(data)
    assert data["contract"]["outputs"]["mask"]["values"] == [0, 255]


def test_a_run_s_checkpoint_exports_under_the_name_of_the_run(
    checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    made = []
    for run in ("first", "second"):
        (tmp_path / run).mkdir()
        best = tmp_path / run / "best.safetensors"
        shutil.copy(checkpoint, best)
        made.append(export(spec(best, tmp_path / "engines", calibration=dataset)).bundle)
    assert [one.path.name for one in made] == ["first-onnx-fp32", "second-onnx-fp32"]
    assert made[1].manifest.checkpoint.name == "second"


def test_an_export_that_goes_on_is_not_overtaken(
    checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    request = spec(checkpoint, tmp_path, calibration=dataset)
    with (
        writing(tmp_path / "tiny-onnx-fp32"),
        pytest.raises(SpecError, match=r"Another process is writing '.*tiny-onnx-fp32'"),
    ):
        export(request)
    assert export(request).built
