"""A device runs a bundle on numpy and its toolchain: what a workstation has is never imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WORKSTATION = ("torch", "onnx", "typer", "rich", "cv2", "nncf", "safetensors", "matplotlib")
CODE = """
import sys
import numpy as np
from lightawnet_edge.runtime.segmenter import Segmenter
with Segmenter.load(sys.argv[1]) as segmenter:
    segmenter(np.zeros(segmenter.manifest.contract.frame_shape, np.uint8))
print(*sys.modules)
"""


@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_a_bundle_runs_without_what_only_a_workstation_has(
    bundles: dict[tuple[str, str], Path], target: str
) -> None:
    command = [sys.executable, "-c", CODE, str(bundles[target, "int8"])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "lightawnet_edge.runtime.segmenter" in loaded
    assert not loaded.intersection(WORKSTATION)
    rooms = {name.split(".")[1] for name in loaded if name.startswith("lightawnet_edge.")}
    assert not rooms & {"cli", "export", "model", "calibration", "approximation", "benchmarks"}


def test_what_supervises_an_engine_needs_no_more() -> None:
    """The process that runs the engine imports it, too."""
    code = "import sys, lightawnet_edge.runtime.supervised, lightawnet_edge.runtime.watchdog\n"
    command = [sys.executable, "-c", code + "print(*sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "lightawnet_edge.runtime.serving" in loaded
    assert not loaded.intersection(WORKSTATION)
