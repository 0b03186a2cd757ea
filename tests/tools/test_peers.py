"""The comparison with other ways: a peer that fails is a row, ratios are of medians in one run."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lightawnet_edge.benchmarks.worker import serve
from lightawnet_edge.specs import Size
from tests.conftest import random_network
from tools.peers import engines as peer_engines
from tools.peers.__main__ import Row, _one_line, markdown, picture
from tools.peers.engines import PEERS, Peer, PeerWorker, at_frame_size, network_input
from tools.peers.unet import LightUNet

ROWS = [
    Row("pytorch-eager", "PyTorch, eager", samples_s=[0.0115, 0.012, 0.0125]),
    Row("nncf-openvino-int8", "NNCF", error="RuntimeError: ReduceMin axis"),
    Row("ours-openvino-int8", "bundle", samples_s=[0.004, 0.0038, 0.0042]),
]


def test_the_input_is_what_an_application_would_make() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8)
    x = network_input(frame, Size(4, 6))
    assert x.shape == (1, 3, 4, 6)
    assert x.dtype == np.float32
    assert x[0, 2, 1, 5] == pytest.approx(frame[1, 5, 2] / 255)


def test_a_peer_answers_as_a_bundle_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bright(x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(x.mean(1, keepdims=True) - 0.5, np.float32)

    peer = Peer("bright pixels", lambda *_: tmp_path, lambda *_: bright)
    monkeypatch.setattr(peer_engines, "PEERS", {"bright": peer})
    frame = np.zeros((4, 4, 3), np.uint8)
    frame[0] = 255
    np.save(tmp_path / "frames.npy", frame[None])
    np.save(tmp_path / "frame.npy", frame)
    requests = [
        {"do": "load", "threads": 1,
         "engine": {"peer": "bright", "file": str(tmp_path), "network": [4, 4]},
         "frames": str(tmp_path / "frames.npy")},
        {"do": "segment", "frame": str(tmp_path / "frame.npy"), "mask": str(tmp_path / "mask.npy")},
    ]  # fmt: skip
    answers = io.StringIO()
    serve([json.dumps(request) for request in requests], answers, PeerWorker())
    assert "error" not in answers.getvalue()
    mask = np.load(tmp_path / "mask.npy")
    assert mask.dtype == np.uint8
    assert mask[0].tolist() == [255] * 4
    assert not mask[1:].any()


def test_camera_frames_are_scaled_as_an_application_would() -> None:
    frame = np.zeros((8, 12, 3), np.uint8)
    frame[:4, :6] = 255
    x = network_input(frame, Size(4, 6))
    assert x.shape == (1, 3, 4, 6)
    assert x[0, 0, 1, 2] == 1
    assert x[0, 0, 2, 3] == 0
    wide = at_frame_size(x[0, 0], frame)
    assert wide.shape == (8, 12)
    assert np.array_equal(wide >= 0.5, frame[..., 0] > 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pytorch-eager", "onnxruntime-fp32", "openvino-fp32"])
def test_peers_compute_the_network(name: str, tmp_path: Path) -> None:
    network = random_network(experts=1)
    x = np.random.default_rng(0).random((1, 3, 32, 48), dtype=np.float32)
    peer = PEERS[name]
    found = peer.open(peer.make(network, [x], tmp_path), 1)(x)
    with torch.no_grad():
        expected = network(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_unet_keeps_the_size_of_its_frames() -> None:
    assert LightUNet().eval()(torch.zeros(1, 3, 64, 96)).shape == (1, 1, 64, 96)


def test_the_table_has_ratios_of_medians_and_the_errors() -> None:
    lines = markdown(ROWS, "256x256").splitlines()
    assert lines[2] == "| pytorch-eager | 12.0 | 1.00 | PyTorch, eager |"
    assert lines[3] == "| nncf-openvino-int8 | - | - | RuntimeError: ReduceMin axis |"
    assert lines[4] == "| ours-openvino-int8 | 4.0 | 3.00 | bundle |"


def test_no_ratio_is_told_of_times_that_were_not_steady() -> None:
    restless = Row("ours", "bundle", samples_s=[0.004, 0.002, 0.009])
    assert "| ours | 4.0 | not steady | bundle |" in markdown([ROWS[0], restless], "256x256")
    eager = Row("pytorch-eager", "PyTorch, eager", samples_s=[0.01, 0.02, 0.05])
    assert markdown([eager, ROWS[2]], "256x256").count("| not steady |") == 2


def test_the_picture_leaves_out_what_did_not_run(tmp_path: Path) -> None:
    picture(ROWS, "256x256", tmp_path / "peers.svg")
    text = (tmp_path / "peers.svg").read_text()
    assert text.startswith("<?xml")


def test_an_error_becomes_one_line() -> None:
    assert _one_line(ValueError("\n  first\nsecond")) == "ValueError: first"
    assert _one_line(AttributeError()) == "AttributeError: no message"
