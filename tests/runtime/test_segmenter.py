"""A loaded bundle takes the frames of its contract and refuses all others in words."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from lightawnet_edge import Segmenter
from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.manifest import write_manifest
from lightawnet_edge.data.yuv import seen_by
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.export.pipeline import export
from lightawnet_edge.export.spec import ExportSpec
from lightawnet_edge.specs import ColorOrder, Matrix, Precision, Range, Size, Target, Yuv
from tests.conftest import SIZE, blobs

Bundles = dict[tuple[str, str], Path]
CLOSED = "This engine is closed. Load the bundle again."
EACH = pytest.mark.parametrize("key", [("onnx", "fp32"), ("openvino", "int8")], ids="-".join)


def run(tasks: list[Callable[[], None]]) -> None:
    """Run each in a thread of its own, to its end."""
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@EACH
def test_masks_are_the_caller_s_and_repeat(bundles: Bundles, key: tuple[str, str]) -> None:
    (a, _), (b, _) = blobs(2, SIZE)
    with Segmenter.load(bundles[key], threads=1) as segmenter:
        first = segmenter(a)
        kept = first.copy()
        segmenter(b)
        np.testing.assert_array_equal(first, kept)
        np.testing.assert_array_equal(segmenter(a), kept)
        assert first.dtype == np.uint8
        assert first.flags.writeable


@EACH
def test_a_mask_is_written_into_the_caller_s_array(bundles: Bundles, key: tuple[str, str]) -> None:
    frame = blobs(1, SIZE)[0][0]
    wide = np.full((64, 128), 7, np.uint8)
    with Segmenter.load(bundles[key], threads=1) as segmenter:
        part = wide[:, 32:96]
        assert segmenter(frame, out=part) is part
        np.testing.assert_array_equal(part, segmenter(frame))
        assert (wide[:, :32] == 7).all()
        with pytest.raises(SpecError, match=r"is uint8 \(64, 128\), expected uint8 \(64, 64\)\."):
            segmenter(frame, out=wide)
        with pytest.raises(SpecError, match=r"is bool \(64, 64\), expected uint8"):
            segmenter(frame, out=np.zeros((64, 64), np.bool_))
        with pytest.raises(SpecError, match="goes into a numpy array, not list"):
            segmenter(frame, out=[])  # type: ignore[arg-type]


@EACH
def test_a_mask_is_not_written_where_it_does_harm(bundles: Bundles, key: tuple[str, str]) -> None:
    both = np.zeros((64, 64, 4), np.uint8)
    frame = both[:, :, :3]
    kept = np.zeros((64, 64), np.uint8)
    kept.flags.writeable = False
    with Segmenter.load(bundles[key], threads=1) as segmenter:
        with pytest.raises(SpecError, match=r"is read-only\. Give one that can be written to"):
            segmenter(frame, out=kept)
        with pytest.raises(SpecError, match=r"shares memory with the frame\. Give another"):
            segmenter(frame, out=both[:, :, 1])
        beside = both[:, :, 3]
        assert segmenter(frame, out=beside) is beside


@EACH
def test_frames_that_are_read_only_are_taken(bundles: Bundles, key: tuple[str, str]) -> None:
    frame = blobs(1, SIZE)[0][0]
    view = np.frombuffer(frame.tobytes(), np.uint8).reshape(frame.shape)
    with Segmenter.load(bundles[key]) as segmenter:
        np.testing.assert_array_equal(segmenter(view), segmenter(frame))


@EACH
def test_threads_get_the_masks_of_their_own_frames(bundles: Bundles, key: tuple[str, str]) -> None:
    frames = [frame for frame, _ in blobs(4, SIZE, seed=3)]
    wrong: list[int] = []
    with Segmenter.load(bundles[key], threads=1) as segmenter:
        masks = [segmenter(frame) for frame in frames]
        assert len({mask.tobytes() for mask in masks}) == 4

        def work(number: int) -> None:
            for _ in range(50):
                if not np.array_equal(segmenter(frames[number]), masks[number]):
                    wrong.append(number)

        run([partial(work, number) for number in range(4)])
    assert wrong == []


@EACH
def test_closing_while_threads_call_ends_each_with_one_error(
    bundles: Bundles, key: tuple[str, str]
) -> None:
    frame = blobs(1, SIZE)[0][0]
    segmenter = Segmenter.load(bundles[key], threads=1)
    running = threading.Barrier(4)
    errors: list[Exception] = []

    def work() -> None:
        segmenter(frame)
        running.wait(30)
        try:
            while True:
                segmenter(frame)
        except Exception as error:
            errors.append(error)

    def close() -> None:
        running.wait(30)
        segmenter.close()

    run([work, work, work, close])
    assert [str(error) for error in errors] == [CLOSED] * 3
    assert {type(error) for error in errors} == {SpecError}


@EACH
def test_segmenters_may_begin_in_several_threads_at_once(
    bundles: Bundles, key: tuple[str, str]
) -> None:
    """In a process of its own: what hangs may hold the interpreter's lock."""
    program = (
        "import threading, numpy as np; from lightawnet_edge import Segmenter\n"
        "def work():\n"
        f"    with Segmenter.load({str(bundles[key])!r}, threads=1) as segmenter:\n"
        "        segmenter(np.zeros((64, 64, 3), np.uint8))\n"
        "threads = [threading.Thread(target=work) for _ in range(4)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


@EACH
def test_frames_that_are_not_contiguous_are_handled(bundles: Bundles, key: tuple[str, str]) -> None:
    frame = blobs(1, SIZE)[0][0]
    view = np.asfortranarray(frame)
    wide = np.repeat(frame, 2, axis=1)[:, ::2]
    with Segmenter.load(bundles[key]) as segmenter:
        expected = segmenter.probability(frame)
        np.testing.assert_array_equal(segmenter.probability(view), expected)
        np.testing.assert_array_equal(segmenter.probability(wide), expected)


@EACH
def test_mask_and_probability_come_of_one_call(bundles: Bundles, key: tuple[str, str]) -> None:
    frame = blobs(1, SIZE)[0][0]
    mask, values = np.empty((64, 64), np.uint8), np.empty((64, 64), np.float32)
    with Segmenter.load(bundles[key], threads=1) as segmenter:
        both = segmenter.with_probability(frame)
        np.testing.assert_array_equal(both[0], segmenter(frame))
        np.testing.assert_array_equal(both[1], segmenter.probability(frame))
        into = segmenter.with_probability(frame, out=(mask, values))
        assert into[0] is mask
        assert into[1] is values
        np.testing.assert_array_equal(mask, both[0])
        np.testing.assert_array_equal(values, both[1])
        for wrong in (values.astype(np.float64), values[1:], [0.0]):
            with pytest.raises(
                SpecError, match=r"probability is .*, expected float32 \(64, 64\)\."
            ):
                segmenter.with_probability(frame, out=(mask, wrong))  # type: ignore[arg-type]
        values.setflags(write=False)
        with pytest.raises(SpecError, match="for the probability is read-only, or shares memory"):
            segmenter.with_probability(frame, out=(mask, values))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.zeros((64, 64, 3), np.float32), "dtype float32, expected uint8"),
        (np.zeros((64, 64), np.uint8), r"shape \(64, 64\), .* takes \(64, 64, 3\) \(rgb\)"),
        (np.zeros((64, 64), np.uint8), r"It is gray: give np\.stack\(\[frame\] \* 3, axis=-1\)\."),
        (np.zeros((64, 64, 4), np.uint8), r"shape \(64, 64, 4\).* give frame\[\.\.\., :3\]\."),
        (np.zeros((3, 64, 64), np.uint8), r"Its channels come first: give frame\.transpose\(1, "),
        (np.zeros((1, 64, 64, 3), np.uint8), r"It is a batch: give frame\[0\]\."),
        (np.zeros((1080, 1920, 3), np.uint8), "--frame 1080x1920"),
        (
            np.zeros((96, 64), np.uint8),
            r"Give rgb frames, or export a bundle for frames .*: --color nv12 --frame 64x64\.",
        ),
        (np.zeros((1080, 1920, 2), np.uint8), r"one: --color yuy2 --frame 1080x1920\."),
        ([[0]], "A frame is a numpy array, not list"),
    ],
)
def test_wrong_frames_are_refused_in_words(bundles: Bundles, frame: object, message: str) -> None:
    with (
        Segmenter.load(bundles["onnx", "fp32"]) as segmenter,
        pytest.raises(SpecError, match=message),
    ):
        segmenter(frame)  # type: ignore[arg-type] # the fault under test


def test_wrong_frames_of_yuv_are_refused_in_words(
    checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    wanted = ExportSpec(
        target=Target.ONNX, precision=Precision.FP32, weights=str(checkpoint), out=tmp_path,
        color=ColorOrder.NV12, calibration=dataset,
    )  # fmt: skip
    bundle = export(wanted).bundle
    assert bundle.manifest.contract.yuv == Yuv(matrix=Matrix.BT601, range=Range.LIMITED)
    with Segmenter.load(bundle.path) as segmenter:
        frame = seen_by(bundle.manifest.contract.camera, blobs(1, SIZE)[0][0])
        assert segmenter(frame).shape == (64, 64)
        assert segmenter(frame, out=np.zeros((64, 64), np.uint8)).shape == (64, 64)
        for shape, remedy in {
            (64, 64, 3): "Give nv12 frames, or export .*: --color rgb --frame 64x64",
            (64, 64, 2): "Give nv12 frames, or export .*: --color yuy2 --frame 64x64",
            (1620, 1920): "Scale the frame, or export a bundle for this size: --frame 1080x1920",
        }.items():
            with pytest.raises(SpecError, match=rf"takes \(96, 64\) \(nv12\)\. {remedy}\."):
                segmenter(np.zeros(shape, np.uint8))


@EACH
def test_changed_bytes_are_noticed_before_anything_is_loaded(
    bundles: Bundles, key: tuple[str, str], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundles[key], copy)
    engine = copy / Segmenter.load(copy).manifest.engine
    data = bytearray(engine.read_bytes())
    data[len(data) // 2] ^= 1
    engine.write_bytes(data)
    with pytest.raises(ArtifactError, match=f"{engine.name}' has changed since it was built"):
        Segmenter.load(copy)


@EACH
def test_what_is_changed_on_disk_does_not_reach_a_loaded_engine(
    bundles: Bundles, key: tuple[str, str], tmp_path: Path
) -> None:
    """A mapped file would give other masks when it is changed in place, or kill the process."""
    copy = shutil.copytree(bundles[key], tmp_path / "copy")
    frame = blobs(1, SIZE)[0][0]
    with Segmenter.load(copy, threads=1) as segmenter:
        mask = segmenter(frame)
        for file in copy.iterdir():
            with file.open("r+b") as opened:
                opened.write(b"\xff" * (file.stat().st_size // 2))
        np.testing.assert_array_equal(segmenter(frame), mask)
        for file in copy.iterdir():
            os.truncate(file, 0)
        np.testing.assert_array_equal(segmenter(frame), mask)


@EACH
def test_engines_of_the_cpu_have_no_time_on_a_device(
    bundles: Bundles, key: tuple[str, str]
) -> None:
    with Segmenter.load(bundles[key]) as segmenter:
        segmenter(blobs(1, SIZE)[0][0])
        assert segmenter.device_time() is None
    with pytest.raises(SpecError, match="closed"):
        segmenter.device_time()


def test_a_closed_segmenter_says_so(bundles: Bundles) -> None:
    segmenter = Segmenter.load(bundles["onnx", "fp32"])
    segmenter.close()
    segmenter.close()
    with pytest.raises(SpecError, match=r"closed\. Load the bundle again"):
        segmenter(blobs(1, SIZE)[0][0])


def test_threads_must_be_positive(bundles: Bundles) -> None:
    with pytest.raises(SpecError, match="threads=0 must be at least 1"):
        Segmenter.load(bundles["onnx", "fp32"], threads=0)


def test_no_bundle_says_which_command_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="'lightawnet-edge export' makes bundles"):
        Segmenter.load(tmp_path / "nowhere")


def test_a_missing_probability_says_how_to_get_one(checkpoint: Path, tmp_path: Path) -> None:
    spec = ExportSpec(
        target=Target.ONNX,
        precision=Precision.FP32,
        weights=str(checkpoint),
        out=tmp_path,
        probability=False,
    )
    with Segmenter.load(export(spec).bundle.path) as segmenter:
        frame = blobs(1, SIZE)[0][0]
        assert segmenter(frame).shape == (64, 64)
        with pytest.raises(SpecError, match=r"no output 'probability'\. Export it again"):
            segmenter.probability(frame)
        with pytest.raises(SpecError, match=r"no output 'probability'\. Export it again"):
            segmenter.with_probability(frame)


@EACH
def test_the_runtime_imports_neither_torch_nor_onnx(bundles: Bundles, key: tuple[str, str]) -> None:
    program = (
        "import sys, numpy as np; from lightawnet_edge import Segmenter\n"
        f"with Segmenter.load({str(bundles[key])!r}) as s: s(np.zeros((64, 64, 3), np.uint8))\n"
        "print(sorted({'torch', 'onnx', 'nncf', 'cv2', 'typer'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_an_engine_that_is_not_what_its_contract_says_is_refused(
    bundles: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    """The manifest is whole and wrong: as by an exporter with a fault."""
    for target in ("onnx", "openvino"):
        copy = tmp_path / target
        shutil.copytree(bundles[target, "fp32"], copy)
        manifest = Bundle.open(copy).manifest
        wide = replace(manifest.contract, frame=Size(64, 80))
        write_manifest(copy, replace(manifest, contract=wide))
        with pytest.raises(ArtifactError, match=r"takes frames of uint8 \(64, 64, 3\), expected"):
            Segmenter.load(copy)
