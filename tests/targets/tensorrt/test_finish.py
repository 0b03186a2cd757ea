"""`build` on a kit: what it makes of it, what it refuses, and that nothing is pretended.

TensorRT-RTX builds for real; ONNX Runtime, which takes the same typed graph, stands for the engine
where one must run.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightawnet_edge import Segmenter
from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.contract import Port
from lightawnet_edge.bundle.device_record import ANOTHER, RECORD, read_record
from lightawnet_edge.bundle.engine import Engine
from lightawnet_edge.bundle.kit import Binding, BuilderSettings
from lightawnet_edge.bundle.limits import AgreementLimits
from lightawnet_edge.bundle.manifest import (
    MANIFEST,
    manifest_text,
    read_manifest,
    write_manifest,
)
from lightawnet_edge.bundle.store import sha256_of
from lightawnet_edge.codec import decode, encode
from lightawnet_edge.errors import (
    ArtifactError,
    BackendUnavailableError,
    CheckFailedError,
    SpecError,
)
from lightawnet_edge.machine.cuda_driver import CudaDevice, find_device
from lightawnet_edge.specs import Precision, State, Target
from lightawnet_edge.targets import table
from lightawnet_edge.targets.base import Built, Ports, Session
from lightawnet_edge.targets.onnx.engine import OnnxRuntimeBackend
from lightawnet_edge.targets.tensorrt import finish
from lightawnet_edge.targets.tensorrt.builder import build
from lightawnet_edge.targets.tensorrt.finish import build_kit
from lightawnet_edge.targets.tensorrt.golden import GOLDEN, Golden
from lightawnet_edge.targets.tensorrt.kit_text import describe_kit, next_steps
from lightawnet_edge.targets.tensorrt.options import BuildOptions

Kits = dict[str, Path]


@pytest.fixture
def rtx(kits: Kits, tmp_path: Path) -> Path:
    """An engine for RTX GPUs that never ran, as of a kit for one of them: it builds sooner."""
    copy = Path(shutil.copytree(kits["tensorrt-rtx"], tmp_path / "kit"))
    rewrite(copy, capabilities=(86,))
    return copy


@pytest.fixture
def orin(kits: Kits, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kits["tensorrt"], tmp_path / "kit"))


def no_driver(*_: Any) -> Session:
    raise BackendUnavailableError("cuda", "there is no NVIDIA driver.")


def on_a_cpu(trt: Any, plan: bytes, bound: Binding, folder: Path) -> Session:
    assert plan
    assert bound.tensorrt.startswith("TensorRT-RTX 1.")
    kit = Bundle.open(folder).manifest.kit
    assert kit is not None
    return OnnxRuntimeBackend().load(Engine.read(folder / kit.graph, Precision.FP32), 1)


def rewrite(path: Path, **changes: Any) -> None:
    """Change fields of the kit in a manifest, as another export would have."""
    bundle = Bundle.open(path)
    assert bundle.manifest.kit is not None
    kit = replace(bundle.manifest.kit, **changes)
    write_manifest(path, replace(bundle.manifest, kit=kit))


def pretend(path: Path, probability: float) -> None:
    """Expect something else on the golden frames."""
    bundle, golden = Bundle.open(path), Golden.read(path / GOLDEN)
    assert golden.probabilities is not None
    replace(golden, probabilities=np.full_like(golden.probabilities, probability)).write(
        path / GOLDEN
    )
    files = {**bundle.manifest.files, GOLDEN: sha256_of(path / GOLDEN)}
    write_manifest(path, replace(bundle.manifest, files=files))


def test_an_engine_that_computes_right_makes_a_built_bundle(rtx: Path) -> None:
    said: list[str] = []
    result = build_kit(rtx, narrate=said.append, open_session=on_a_cpu)
    assert (result.built, result.not_replayed) == (True, None)
    manifest = Bundle.open(rtx).manifest
    assert manifest.state is State.BUILT
    assert manifest.kit is not None
    assert manifest.kit.replay is not None
    assert manifest.kit.replay == manifest.agreement
    assert manifest.agreement is not None
    assert manifest.agreement.frames == 4
    assert manifest.agreement.mean_abs_probability is not None
    assert 0 <= manifest.agreement.mean_abs_probability < 1e-3
    assert manifest.executed["fp16"] > 0.9
    assert manifest.tools["tensorrt-rtx"].startswith("1.")
    assert Bundle.open(rtx).engine.binding is not None
    assert any(text.startswith("building the engine with TensorRT-RTX") for text in said)
    assert "built: the engine gave what was expected" in describe_kit(Bundle.open(rtx))
    assert next_steps(Bundle.open(rtx)) == ""


def test_a_built_bundle_is_left_alone_unless_forced(rtx: Path) -> None:
    build_kit(rtx, open_session=on_a_cpu)
    before = (rtx / MANIFEST).read_bytes()
    assert not build_kit(rtx, open_session=no_driver).built
    assert (rtx / MANIFEST).read_bytes() == before
    assert build_kit(rtx, force=True, open_session=on_a_cpu).built


def test_the_manifest_stays_as_it_was_exported_and_a_record_tells_of_the_device(rtx: Path) -> None:
    exported = (rtx / MANIFEST).read_bytes()
    files = {file.name: file.read_bytes() for file in rtx.iterdir()}
    build_kit(rtx, open_session=on_a_cpu)
    assert (rtx / MANIFEST).read_bytes() == exported
    assert {file.name for file in rtx.iterdir()} - files.keys() <= {RECORD, ANOTHER}
    assert {name: (rtx / name).read_bytes() for name in files} == files
    told = read_record((rtx / RECORD).read_bytes())
    assert told.manifest_sha256 == hashlib.sha256(exported).hexdigest()
    assert told.machine["cores"] >= 1
    (rtx / RECORD).unlink()
    assert Bundle.open(rtx).manifest.state is State.UNCHECKED, "as it was exported"


def test_an_engine_that_differs_from_the_exported_one_stands_beside_it(
    rtx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(*arguments: Any, **options: Any) -> Built:
        made = build(*arguments, **options)
        (arguments[2] / made.engine).write_bytes(plan)
        return made

    exported = plan = (rtx / "engine.plan").read_bytes()
    monkeypatch.setattr(finish, "build", other)
    assert build_kit(rtx, open_session=on_a_cpu).bundle.manifest.engine == "engine.plan"
    assert not (rtx / ANOTHER).exists()
    plan = exported + b"\0"
    opened = build_kit(rtx, force=True, open_session=on_a_cpu).bundle
    assert (opened.manifest.engine, opened.engine.data) == (ANOTHER, plan)
    assert (rtx / "engine.plan").read_bytes() == exported


def test_a_record_of_another_manifest_is_refused(rtx: Path) -> None:
    build_kit(rtx, open_session=on_a_cpu)
    manifest = Bundle.open(rtx).exported
    assert manifest is not None
    write_manifest(rtx, replace(manifest, name="renamed"))
    with pytest.raises(ArtifactError, match=r"device-record.json' belongs to another manifest"):
        Bundle.open(rtx)


@pytest.mark.parametrize("raw", [b"{}", b"[", b'{"schema": 1, "state": "pending"}'])
def test_a_record_that_makes_no_sense_is_refused(rtx: Path, raw: bytes) -> None:
    (rtx / RECORD).write_bytes(raw)
    with pytest.raises(ArtifactError, match=r"device-record.json' cannot be understood.*build"):
        Bundle.open(rtx)


def test_a_proven_engine_is_not_replaced_by_one_that_cannot_be(rtx: Path) -> None:
    build_kit(rtx, open_session=on_a_cpu)
    before = {file.name: file.read_bytes() for file in rtx.iterdir()}
    with pytest.raises(
        BackendUnavailableError, match=r"no NVIDIA driver\.\n.* keeps its engine \(state: built\)"
    ):
        build_kit(rtx, force=True, open_session=no_driver)
    assert {file.name: file.read_bytes() for file in rtx.iterdir()} == before


def run_in(monkeypatch: pytest.MonkeyPatch, executed: Precision | None) -> None:
    """Let every convolution execute this precision, as far as the read-back knows."""

    def built(*arguments: Any, **options: Any) -> Built:
        made = build(*arguments, **options)
        return replace(made, layers=tuple(replace(one, executed=executed) for one in made.layers))

    monkeypatch.setattr(finish, "build", built)


def test_an_engine_that_runs_in_another_precision_is_refused_and_nothing_changes(
    rtx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (rtx / MANIFEST).read_bytes()
    run_in(monkeypatch, Precision.FP32)
    with pytest.raises(
        CheckFailedError,
        match=r"another precision than its graph: 0 of the convolution MACs ran in "
        r"FP16, expected at least 0\.9\. Outside FP16.* is left as it was \(state: unchecked\)",
    ):
        build_kit(rtx, open_session=on_a_cpu)
    assert (rtx / MANIFEST).read_bytes() == before


def test_what_an_engine_does_not_tell_is_said_and_no_fault(
    rtx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_in(monkeypatch, None)
    said: list[str] = []
    assert build_kit(rtx, open_session=on_a_cpu, narrate=said.append).built
    assert any("does not tell what it executes of e1/depthwise" in line for line in said)
    assert Bundle.open(rtx).manifest.executed["unknown"] == 1
    assert "100.0% unknown" in describe_kit(Bundle.open(rtx))


def test_an_engine_that_cannot_run_here_is_left_unchecked(rtx: Path) -> None:
    result = build_kit(rtx, open_session=no_driver)
    assert result.not_replayed == "there is no NVIDIA driver."
    manifest = Bundle.open(rtx).manifest
    assert manifest.state is State.UNCHECKED
    assert manifest.agreement is None
    with pytest.raises(
        BackendUnavailableError, match=r"an engine that never ran .* lightawnet-edge build"
    ):
        Segmenter.load(rtx)


def test_an_engine_out_of_tolerance_is_refused_and_nothing_changes(rtx: Path) -> None:
    pretend(rtx, 0.25)
    before = {file.name: file.read_bytes() for file in rtx.iterdir()}
    with pytest.raises(
        CheckFailedError,
        match=r"probabilities differ by 0\.\d+ on average, expected at most 0\.00\d+ .*"
        r"left as it was \(state: unchecked\)",
    ):
        build_kit(rtx, open_session=on_a_cpu)
    assert {file.name: file.read_bytes() for file in rtx.iterdir()} == before


def test_masks_have_a_tolerance_of_their_own(rtx: Path) -> None:
    bundle, golden = Bundle.open(rtx), Golden.read(rtx / GOLDEN)
    replace(golden, masks=255 - golden.masks, probabilities=None).write(rtx / GOLDEN)
    files = {**bundle.manifest.files, GOLDEN: sha256_of(rtx / GOLDEN)}
    write_manifest(rtx, replace(bundle.manifest, files=files))
    with pytest.raises(CheckFailedError, match=r"masks differ in \d+\.\d+% of the pixels"):
        build_kit(rtx, open_session=on_a_cpu)


def test_an_engine_that_gives_nan_is_refused_whatever_the_tolerance(rtx: Path) -> None:
    class Broken:
        ports = Ports(source=Port(shape=(64, 64, 3), dtype="uint8"), outputs={})

        def infer(self, frame: Any, outputs: tuple[str, ...], out: Any = None) -> dict[str, Any]:
            return {
                "mask": np.zeros((64, 64), np.uint8),
                "probability": np.full((64, 64), np.nan, np.float32),
            }

        def device_time(self) -> None:
            pass

        def close(self) -> None:
            self.closed = True

    broken = Broken()
    rewrite(rtx, tolerance=AgreementLimits())
    with pytest.raises(CheckFailedError, match="not finite on golden frame 0"):
        build_kit(rtx, open_session=lambda *_: broken)
    assert broken.closed


@pytest.mark.parametrize("name", ["typed.onnx", GOLDEN])
def test_changed_bytes_are_noticed_before_anything_is_built(rtx: Path, name: str) -> None:
    (rtx / name).write_bytes(b"other")
    with pytest.raises(ArtifactError, match=f"{name}' has changed since it was built"):
        build_kit(rtx, open_session=on_a_cpu)


def test_a_graph_that_no_hash_vouches_for_is_not_built(rtx: Path) -> None:
    rewrite(rtx, graph="other.onnx")
    with pytest.raises(ArtifactError, match=r"no sha256 of its file 'other\.onnx'"):
        build_kit(rtx)


def test_a_bundle_that_is_no_kit_is_refused(rtx: Path) -> None:
    write_manifest(rtx, replace(Bundle.open(rtx).manifest, target=Target.ONNX, kit=None))
    with pytest.raises(SpecError, match="is no kit: its onnx engine was built when"):
        build_kit(rtx)


def test_without_tensorrt_a_kit_stays_pending(orin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(
        BackendUnavailableError,
        match=r"JetPack .*\n'.*' is for jetson-orin, and left as it was \(state: pending\)",
    ):
        build_kit(orin)
    assert Bundle.open(orin).manifest.state is State.PENDING


def test_a_kit_for_another_device_is_refused(orin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class TensorRt10:
        """What is looked at before a device is."""

        __name__, __version__ = "tensorrt", "10.3.0"
        Builder = NetworkDefinitionCreationFlag = None

    monkeypatch.setitem(sys.modules, "tensorrt", TensorRt10())
    hopper = CudaDevice(name="NVIDIA H200", capability=90, cuda="13.0")
    monkeypatch.setattr("lightawnet_edge.targets.tensorrt.finish.find_device", lambda: hopper)
    with pytest.raises(SpecError, match=r"for jetson-orin \(SM87\), the NVIDIA H200 here is SM90"):
        build_kit(orin)
    right = replace(hopper, name="Orin", capability=87)
    monkeypatch.setattr("lightawnet_edge.targets.tensorrt.finish.find_device", lambda: right)
    with pytest.raises(SpecError, match=r"made for TensorRT 10\.3, found TensorRT 10\.3\.0: "):
        build_kit(orin)  # this module knows no strong typing, as 8.x


def test_a_kit_is_built_with_the_settings_that_it_was_made_with(
    rtx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[BuildOptions] = []

    def watched(trt: Any, graph: Path, folder: Path, asked: Any, options: Any, **more: Any) -> Any:
        seen.append(options)
        return build(trt, graph, folder, asked, options, **more)

    settings = BuilderSettings(workspace_mib=64, optimization_level=1)
    rewrite(rtx, builder=settings)
    monkeypatch.setattr("lightawnet_edge.targets.tensorrt.finish.build", watched)
    manifest = build_kit(rtx, open_session=on_a_cpu).bundle.manifest
    assert [options.settings for options in seen] == [settings]
    assert manifest.kit is not None
    assert manifest.kit.builder == settings


def test_a_kit_of_an_earlier_version_has_the_usual_settings(rtx: Path) -> None:
    manifest = Bundle.open(rtx).manifest
    data = encode(manifest)
    del data["kit"]["builder"]
    found = decode(type(manifest), data).kit
    assert found is not None
    assert found.builder == BuilderSettings()


def test_a_pending_kit_tells_how_to_finish_it(orin: Path) -> None:
    bundle = Bundle.open(orin)
    with pytest.raises(
        BackendUnavailableError, match=r"no engine yet .* on the jetson-orin: lightawnet-ed"
    ):
        Segmenter.load(orin)
    steps = next_steps(bundle)
    assert "\n  lightawnet-edge build kit\n" in steps
    assert "\n  trtexec --onnx=typed.onnx --saveEngine=engine.plan --stronglyTyped" in steps
    assert "pending: there is no engine yet" in describe_kit(bundle)


def test_build_imports_no_torch_and_no_onnx(rtx: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from lightawnet_edge.targets.tensorrt.finish import build_kit\n"
        f"build_kit(Path({str(rtx)!r}))\n"
        "print(sorted({'torch', 'onnx', 'onnxruntime', 'cv2', 'typer'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_manifest_of_a_kit_survives_json(kits: Kits) -> None:
    for path in kits.values():
        manifest = Bundle.open(path).manifest
        assert read_manifest(manifest_text(manifest).encode()) == manifest


@pytest.mark.gpu
@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16, Precision.INT8], ids=str)
@pytest.mark.parametrize("target", [Target.TENSORRT, Target.TENSORRT_RTX], ids=str)
def test_a_device_builds_replays_segments_and_is_measured(
    target: Target, precision: Precision, checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    """On a device: `export` builds at once, the replay passes, the bundle loads, `bench` runs."""
    from lightawnet_edge.benchmarks.runner import BenchSpec, bench
    from lightawnet_edge.export.pipeline import export
    from lightawnet_edge.export.spec import ExportSpec

    try:
        table.get_for(target, precision)
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    spec = ExportSpec(
        target=target,
        precision=precision,
        weights=str(checkpoint),
        calibration=dataset,
        out=tmp_path,
    )
    made = export(spec).bundle
    _ = made.engine
    golden = Golden.read(made.path / GOLDEN)
    with Segmenter.load(made.path) as segmenter:
        masks = [segmenter(frame) for frame in golden.frames]
        again = segmenter(golden.frames[0])
        spent = segmenter.device_time()
    np.testing.assert_array_equal(again, masks[0])
    assert made.manifest.kit is not None
    assert np.mean(np.stack(masks) != golden.masks) <= made.manifest.kit.tolerance.mask_disagreement
    assert spent is not None
    assert min(spent.compute_s, spent.copy_s) > 0

    how = BenchSpec(data=dataset, calls=20, rounds=2, checkpoints=(checkpoint,), allow_overlap=True)
    result = bench([made.path], how)
    (record,) = (one for one in result.records if one.bundle == made.manifest.name)
    assert result.gpu is not None
    assert record.device is not None
    assert record.device.compute.p50_s + record.device.copies.p50_s < record.latency.p50_s
    assert len(record.timing.gpu) == 2


@pytest.mark.gpu
def test_a_kit_from_elsewhere_is_finished_on_a_device(
    checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    """The way of a user: `build` on a kit, again with the timing cache, and a plan of elsewhere."""
    from lightawnet_edge.export.pipeline import export
    from lightawnet_edge.export.spec import ExportSpec

    try:
        table.get_for(Target.TENSORRT, Precision.FP16)
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    spec = ExportSpec(
        target=Target.TENSORRT,
        precision=Precision.FP16,
        weights=str(checkpoint),
        calibration=dataset,
        out=tmp_path,
    )
    made = export(spec).bundle
    files = {name: sha for name, sha in made.manifest.files.items() if name != made.manifest.engine}
    write_manifest(made.path, replace(made.manifest, state=State.PENDING, files=files))
    made.engine.path.unlink()

    assert build_kit(made.path).built
    (cache,) = tmp_path.glob("*.timing")
    assert cache.stat().st_size > 0
    assert build_kit(made.path, force=True).built
    built = Bundle.open(made.path).manifest
    assert built.state is State.BUILT
    assert built.executed["fp16"] > 0.9
    assert built.kit is not None
    assert built.kit.bound is not None
    assert built.kit.bound.device == find_device().name
    rewrite(made.path, bound=replace(built.kit.bound, capabilities=(10,)))
    with pytest.raises(BackendUnavailableError, match=r"built for SM10, .* build --force"):
        Segmenter.load(made.path)
