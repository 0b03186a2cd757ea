"""A device with numpy, one backend and the command line: `bench` measures, and names its gaps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import SIZE, blobs

ABSENT = ("torch", "cv2", "jinja2", "matplotlib", "onnx", "nncf", "safetensors", "kornia")
"""What a device has not: neither this process nor its workers can import it."""
QUICK = ("--calls", "4", "--rounds", "2", "--threads", "1")

Bundles = dict[tuple[str, str], Path]


@pytest.fixture
def device(tmp_path: Path) -> dict[str, str]:
    """Environment of a process that lacks these packages, as its children do."""
    (tmp_path / "device").mkdir()
    code = f"import sys; sys.modules.update(dict.fromkeys({ABSENT!r}))\n"
    (tmp_path / "device" / "sitecustomize.py").write_text(code)
    paths = [str(tmp_path / "device"), str(Path(__file__).parents[2])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "80"}


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    """Four pairs as arrays, of the size that the bundles take."""
    for kind in ("images", "masks"):
        (tmp_path / "arrays" / kind).mkdir(parents=True)
    for index, (frame, mask) in enumerate(blobs(4, SIZE, seed=7)):
        np.save(tmp_path / "arrays" / "images" / f"f{index}.npy", frame)
        np.save(tmp_path / "arrays" / "masks" / f"f{index}.npy", mask.astype(np.uint8) * 255)
    return tmp_path / "arrays"


def run(device: dict[str, str], *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lightawnet_edge", *map(str, words)],
        env=device, capture_output=True, text=True, check=False,
    )  # fmt: skip


def report_in(folder: Path) -> dict[str, Any]:
    (file,) = folder.glob("*/report.json")
    assert [one.name for one in file.parent.iterdir()] == ["report.json"]
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("target", ["openvino", "onnx"])
def test_a_lean_device_measures_and_writes_the_json(
    bundles: Bundles, device: dict[str, str], arrays: Path, tmp_path: Path, target: str
) -> None:
    paths = [bundles[target, "int8"], bundles[target, "fp32"]]
    out = tmp_path / "reports"
    done = run(device, "bench", *paths, "--data", arrays, *QUICK, "--out", out)
    assert done.returncode == 0, done.stderr
    assert f"tiny-{target}-int8" in done.stdout
    assert "PyTorch is not installed" in done.stdout
    assert "no page: " in done.stderr
    assert "make it later, or elsewhere: lightawnet-edge report" in done.stderr
    report = report_in(out)
    int8, fp32 = report["records"]
    assert (int8["baseline"], fp32["baseline"]) == (f"tiny-{target}-fp32", None)
    assert abs(int8["dice_drop"]["mean"]) < 0.5
    assert report["pictures"] == []
    doubts = " ".join(report["doubts"])
    for words in (
        f"tiny-{target}-int8: compared with tiny-{target}-fp32, not with PyTorch, since",
        "was calibrated on some of these frames is not known",
        "pictures of the worst frames are left out",
    ):
        assert words in doubts
    unread = f"tiny-{target}-int8: what it executes was not read back here"
    assert (unread in doubts) is (target == "onnx"), "kernels of ONNX Runtime are read with onnx"
    assert int8["executed"]["int8"] > 0.5


def test_a_lean_device_says_which_extra_reads_images_before_it_measures(
    bundles: Bundles, device: dict[str, str], dataset: Path, arrays: Path, tmp_path: Path
) -> None:
    out = tmp_path / "reports"
    for data in (("--data", dataset), ()):
        done = run(device, "bench", bundles["onnx", "fp32"], *data, *QUICK, "--out", out)
        assert (done.returncode, done.stdout) == (4, "")
        assert "is an image, and OpenCV is not installed" in done.stderr
        assert "pip install 'lightawnet-edge[media]', or give frames and masks as .n" in done.stderr
    frame = np.load(arrays / "images" / "f0.npy")
    np.save(arrays / "images" / "f0.npy", frame[:32])
    np.save(arrays / "masks" / "f0.npy", np.zeros((32, 64), np.uint8))
    done = run(device, "bench", bundles["onnx", "fp32"], "--data", arrays, *QUICK, "--out", out)
    assert done.returncode == 4
    assert "f0.npy' is 32x64, an engine takes 64x64, and OpenCV is not installed" in done.stderr
    assert not out.exists()
