"""Segment one frame where everything is installed, then again where numpy and one backend are.

`record` also writes a folder `frames` of arrays beside its file, for `bench` on such a device.

Usage: lean.py record|check BUNDLE EXPECTED.npz
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import lightawnet_edge
from lightawnet_edge import Segmenter
from lightawnet_edge.bundle.camera import Camera
from lightawnet_edge.data.frameset import FrameSet
from lightawnet_edge.data.images import read_frame
from lightawnet_edge.data.listing import image_files
from lightawnet_edge.data.pixels import fit
from lightawnet_edge.data.samples import CALIBRATION, EVALUATION

ABSENT = ("torch", "onnx", "onnxruntime", "nncf", "cv2", "safetensors", "matplotlib")


def record(bundle: str, expected: str) -> None:
    """Keep a packaged frame at the bundle's size, and what the bundle makes of it."""
    with Segmenter.load(bundle) as segmenter:
        picture = read_frame(image_files(EVALUATION / "images")["EndoCV2021_C6_0100109"])
        frame = fit(picture, segmenter.manifest.contract.frame)
        mask, probability = segmenter(frame), segmenter.probability(frame)
        write_arrays(Path(expected).parent / "frames", segmenter.manifest.contract.camera)
    assert mask.any(), "nothing is segmented: nothing would be compared"
    np.savez(expected, frame=frame, mask=mask, probability=probability)


def write_arrays(folder: Path, camera: Camera) -> None:
    """Write packaged frames and masks as a device without OpenCV reads them: as arrays."""
    for file in FrameSet.open(EVALUATION, masks=True).files:
        frame, truth = file.pair_seen_by(camera)
        for kind, values in (("images", frame), ("masks", truth.astype(np.uint8) * 255)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            np.save(folder / kind / f"{file.stem}.npy", values)


def check(bundle: str, expected: str) -> None:
    """Compare with the record; prove that nothing heavy was there to help."""
    assert not [name for name in ABSENT if find_spec(name)], "this environment is not lean"
    assert "site-packages" in lightawnet_edge.__file__, "this is not the wheel"
    for half in (CALIBRATION, EVALUATION):
        assert len(image_files(half / "images")) == len(image_files(half / "masks")) == 16
    assert (Path(lightawnet_edge.__file__).parent / "py.typed").is_file()
    kept = np.load(expected)
    with Segmenter.load(bundle) as segmenter:
        mask, probability = segmenter(kept["frame"]), segmenter.probability(kept["frame"])
    # The same engine on the same machine; only the number of threads may differ.
    np.testing.assert_allclose(probability, kept["probability"], atol=1e-4)
    assert (mask != kept["mask"]).mean() < 1e-3
    sys.stdout.write(f"lean: {bundle} gives what it gave with everything installed\n")


if __name__ == "__main__":
    {"record": record, "check": check}[sys.argv[1]](*sys.argv[2:])
