"""Fixtures that several rooms share: a small network that is worth exporting, and frames for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import settings
from torch import nn

from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.manifest import Manifest, Source, write_manifest
from lightawnet_edge.bundle.store import sha256_of
from lightawnet_edge.errors import BackendUnavailableError
from lightawnet_edge.export.pipeline import export
from lightawnet_edge.export.spec import ExportSpec
from lightawnet_edge.machine.cuda_driver import find_device
from lightawnet_edge.model.checkpoint import save_checkpoint
from lightawnet_edge.model.metadata import CheckpointMeta
from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.model.traits import EXPERTS
from lightawnet_edge.specs import ColorOrder, Normalization, Precision, Routing, Size, Target
from lightawnet_edge.targets.making import KitOptions

# Tests share their cores with others: how long an example takes says nothing.
settings.register_profile("shared-cores", settings(), deadline=None)
settings.load_profile("shared-cores")

SIZE = Size(64, 64)
MakeBundle = Callable[..., Bundle]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a CUDA device where there is none, with the driver's reason."""
    if item.get_closest_marker("gpu"):
        try:
            find_device()
        except BackendUnavailableError as error:
            pytest.skip(str(error))


def blobs(count: int, size: Size, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Smooth reddish frames (H, W, 3) with one bright disc each, and the discs' masks (H, W)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size.height, : size.width]
    pairs = []
    for _ in range(count):
        coarse = rng.integers(40, 160, (4, 4, 3), dtype=np.uint8)
        frame = cv2.resize(coarse, (size.width, size.height), interpolation=cv2.INTER_CUBIC)
        cy, cx = rng.uniform(0.3, 0.7, 2) * (size.height, size.width)
        disc = (y - cy) ** 2 + (x - cx) ** 2 < (rng.uniform(0.1, 0.25) * size.height) ** 2
        frame[disc] = np.minimum(frame[disc] + np.array([80, 60, 40]), 255)
        pairs.append((frame.astype(np.uint8), disc))
    return pairs


def write_pairs(root: Path, pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> Path:
    """Write frames and masks as a data folder, and return it."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for index, (frame, mask) in enumerate(pairs):
        cv2.imwrite(str(root / "images" / f"frame{index}.png"), frame[:, :, ::-1])
        cv2.imwrite(str(root / "masks" / f"frame{index}.png"), mask.astype(np.uint8) * 255)
    return root


def random_network(in_channels: int = 3, seed: int = 0, experts: int = EXPERTS) -> LightAWNet:
    """A network in eval mode whose statistics are those of real activations, not 0 and 1."""
    torch.manual_seed(seed)
    model = LightAWNet(in_channels, experts=experts)
    nn.init.constant_(model.attention.gamma, 0.5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    model.train()
    with torch.no_grad():
        for _ in range(20):
            model(torch.randn(2, in_channels, 48, 48))
    return model.eval()


@pytest.fixture(scope="session")
def network() -> LightAWNet:
    return random_network()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, network: LightAWNet) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_checkpoint(path, network.state_dict(), CheckpointMeta(in_channels=3, size=SIZE))
    return path


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of eight pairs, `images/` and `masks/`."""
    return write_pairs(tmp_path_factory.mktemp("data"), blobs(8, Size(80, 96)))


@pytest.fixture(scope="session")
def bundles(
    tmp_path_factory: pytest.TempPathFactory, checkpoint: Path, dataset: Path
) -> dict[tuple[str, str], Path]:
    """One bundle per target and precision, exported once; tests that change one copy it first."""
    out = tmp_path_factory.mktemp("engines")
    made = {}
    for target in (Target.ONNX, Target.OPENVINO):
        for precision in (Precision.FP32, Precision.INT8):
            spec = ExportSpec(
                target=target,
                precision=precision,
                weights=str(checkpoint),
                calibration=dataset,
                out=out,
            )
            made[str(target), str(precision)] = export(spec).bundle.path
    return made


@pytest.fixture(scope="session")
def kits(
    tmp_path_factory: pytest.TempPathFactory, checkpoint: Path, dataset: Path
) -> dict[str, Path]:
    """A kit for a Jetson Orin, and an engine for RTX GPUs that never ran: one per target."""
    out = tmp_path_factory.mktemp("kits")
    made = {}
    for target in (Target.TENSORRT, Target.TENSORRT_RTX):
        spec = ExportSpec(
            target=target,
            precision=Precision.FP16,
            weights=str(checkpoint),
            calibration=dataset,
            out=out,
            kit=KitOptions(device="jetson-orin" if target == Target.TENSORRT else None),
        )
        made[str(target)] = export(spec).bundle.path
    return made


@pytest.fixture
def make_bundle(tmp_path: Path) -> MakeBundle:
    """Write a bundle whose engine is a text file."""

    def make(
        name: str,
        *,
        checkpoint: str = "c" * 64,
        checkpoint_name: str = "c.safetensors",
        frame: str = "24x32",
        **changes: Any,
    ) -> Bundle:
        folder = tmp_path / "engines" / name
        folder.mkdir(parents=True)
        for file in ("engine.txt", "device.onnx"):
            (folder / file).write_text(name)
        contract = Contract(
            frame=Size.parse(frame), color=ColorOrder.RGB, network=Size(16, 32),
            normalization=Normalization(), threshold=0.5, probability=True,
        )  # fmt: skip
        values: dict[str, Any] = {
            "name": name, "target": Target.ONNX, "precision": Precision.INT8, "agreement": None,
            "routing": Routing.STATIC, "contract": contract, "tools": {}, "inputs_sha256": "0",
            "engine": "engine.txt", "device_graph": "device.onnx", "calibration": None,
            "files": {file.name: sha256_of(file) for file in folder.iterdir()},
            "checkpoint": Source(name=checkpoint_name, sha256=checkpoint),
            "executed": {"int8": 0.9, "fp32": 0.1},
        }  # fmt: skip
        write_manifest(folder, Manifest(**(values | changes)))
        return Bundle.open(folder)

    return make
