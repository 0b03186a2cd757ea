"""What a user would run without this toolkit: the plain export, and each toolchain's own quantizer.

Every peer takes the uint8 frame that a bundle takes and gives the uint8 mask that it gives; what is
in the graph of a bundle is numpy and OpenCV here, as an application would write it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.benchmarks.worker import Call, Frame, Worker, main
from lightawnet_edge.data.pixels import opencv
from lightawnet_edge.specs import Size

if TYPE_CHECKING:
    import torch

Inputs = list[NDArray[np.float32]]
"""Network inputs (1, 3, H, W) of real frames."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One way to run the network, or another one for scale."""

    what: str
    make: Callable[[torch.nn.Module, Inputs, Path], Path]
    """Network, calibration inputs and folder to the file that `open` takes."""
    open: Callable[[Path, int], Callable[[NDArray[np.float32]], NDArray[Any]]]
    """File and threads to a function from network input to logits or probabilities."""
    threshold: float = 0.0
    """Value from which a pixel is foreground."""


def _checkpointed(network: torch.nn.Module, _: Inputs, folder: Path) -> Path:
    import torch

    torch.save(network, folder / "network.pt")
    return folder / "network.pt"


def _plain_export(network: torch.nn.Module, inputs: Inputs, folder: Path) -> Path:
    """`torch.onnx.export` with its defaults."""
    import torch

    file = folder / "plain.onnx"
    if not file.exists():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's about itself
            torch.onnx.export(network, (torch.from_numpy(inputs[0]),), file, external_data=False)
    return file


def _onnxruntime_int8(network: torch.nn.Module, inputs: Inputs, folder: Path) -> Path:
    """`quantize_static` with its defaults, per channel."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    plain = _plain_export(network, inputs, folder)
    name = onnx.load(plain, load_external_data=False).graph.input[0].name

    class Reader(CalibrationDataReader):  # type: ignore[misc] # their class is untyped
        def __init__(self) -> None:
            self._left = iter(inputs)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            x = next(self._left, None)
            return None if x is None else {name: x}

    file = folder / "onnxruntime-int8.onnx"
    quantize_static(plain, file, Reader(), per_channel=True)
    return file


def _nncf_onnx(network: torch.nn.Module, inputs: Inputs, folder: Path) -> Path:
    """`nncf.quantize` of the ONNX file."""
    import nncf
    import onnx

    model = onnx.load(_plain_export(network, inputs, folder))
    name = model.graph.input[0].name
    quantized = nncf.quantize(
        model, nncf.Dataset([{name: x} for x in inputs]), subset_size=len(inputs)
    )
    file = folder / "nncf-onnx.onnx"
    onnx.save(quantized, file)
    return file


def _nncf_openvino(network: torch.nn.Module, inputs: Inputs, folder: Path) -> Path:
    """`nncf.quantize` of the OpenVINO model."""
    import openvino

    return _quantized_ir(
        openvino.Core().read_model(_plain_export(network, inputs, folder)),
        inputs,
        folder / "nncf-openvino.xml",
    )


def _unet(_: torch.nn.Module, inputs: Inputs, folder: Path) -> Path:
    """A U-Net on EfficientNet-Lite0, decoder untrained: its latency alone means something."""
    import openvino

    from tools.peers.unet import LightUNet

    plain = _plain_export(LightUNet().eval(), inputs, _subfolder(folder, "unet"))
    return _quantized_ir(openvino.Core().read_model(plain), inputs, folder / "unet.xml")


def _subfolder(folder: Path, name: str) -> Path:
    (folder / name).mkdir(exist_ok=True)
    return folder / name


def _quantized_ir(model: Any, inputs: Inputs, file: Path) -> Path:
    import nncf
    import openvino

    quantized = nncf.quantize(model, nncf.Dataset(inputs), subset_size=len(inputs))
    openvino.save_model(quantized, file, compress_to_fp16=False)
    return file


def _open_torch(file: Path, threads: int, *, compiled: bool) -> Callable[[Any], NDArray[Any]]:
    import torch

    torch.set_num_threads(threads)
    # Our own file of a moment ago, in a temporary folder.
    network = torch.load(file, weights_only=False).eval()
    if compiled:
        network = torch.compile(network)

    def call(x: NDArray[np.float32]) -> NDArray[Any]:
        with torch.inference_mode():
            logits: NDArray[Any] = network(torch.from_numpy(x)).numpy()
        return logits

    return call


def _open_onnxruntime(file: Path, threads: int) -> Callable[[Any], NDArray[Any]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def _open_openvino(file: Path, threads: int, hint: str) -> Callable[[Any], NDArray[Any]]:
    import openvino

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": hint,
    }
    request = openvino.Core().compile_model(file, "CPU", settings).create_infer_request()

    def call(x: NDArray[np.float32]) -> NDArray[Any]:
        request.infer([x], share_inputs=True)
        logits: NDArray[Any] = request.get_output_tensor(0).data
        return logits

    return call


PEERS: Mapping[str, Peer] = {
    "pytorch-eager": Peer(
        "PyTorch, eager", _checkpointed, lambda f, n: _open_torch(f, n, compiled=False)
    ),
    "torch-compile": Peer(
        "torch.compile", _checkpointed, lambda f, n: _open_torch(f, n, compiled=True)
    ),
    "onnxruntime-fp32": Peer(
        "torch.onnx.export, ONNX Runtime FP32", _plain_export, _open_onnxruntime
    ),
    "openvino-fp32": Peer(
        "torch.onnx.export, OpenVINO FP32",
        _plain_export,
        lambda f, n: _open_openvino(f, n, "f32"),
    ),
    "openvino-bf16": Peer(
        "torch.onnx.export, OpenVINO BF16",
        _plain_export,
        lambda f, n: _open_openvino(f, n, "bf16"),
    ),
    "onnxruntime-int8": Peer(
        "ONNX Runtime's quantize_static on the export", _onnxruntime_int8, _open_onnxruntime
    ),
    "nncf-onnx-int8": Peer(
        "NNCF on the export, ONNX Runtime", _nncf_onnx, _open_onnxruntime
    ),
    "nncf-openvino-int8": Peer(
        "NNCF on the export, OpenVINO",
        _nncf_openvino,
        lambda f, n: _open_openvino(f, n, "f32"),
    ),
    "unet-openvino-int8": Peer(
        "U-Net on EfficientNet-Lite0, NNCF, OpenVINO",
        _unet,
        lambda f, n: _open_openvino(f, n, "f32"),
    ),
}  # fmt: skip


class PeerWorker(Worker):
    """A worker for peers, too: `{"peer": name, "file": path, "network": [height, width]}`."""

    def open(self, engine: Mapping[str, Any], threads: int) -> Call:
        """Open a peer, or what the worker of the benchmark opens."""
        if "peer" not in engine:
            return super().open(engine, threads)
        peer = PEERS[engine["peer"]]
        infer = peer.open(Path(engine["file"]), threads)
        network = Size(*engine["network"])
        opencv().setNumThreads(threads)

        def call(frame: Frame) -> Frame:
            values = at_frame_size(infer(network_input(frame, network))[0, 0], frame)
            mask: Frame = (values >= peer.threshold) * np.uint8(255)
            return mask

        return call


def network_input(frame: Frame, network: Size) -> NDArray[np.float32]:
    """RGB frame (H, W, 3) to network input (1, 3, h, w) in [0, 1], as an application does it."""
    if frame.shape[:2] != (network.height, network.width):
        cv2 = opencv()
        frame = cv2.resize(frame, (network.width, network.height), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(frame.transpose(2, 0, 1)[None], dtype=np.float32) / np.float32(255)


def at_frame_size(values: NDArray[np.float32], frame: Frame) -> NDArray[np.float32]:
    """Logits (h, w) at the size of the frame (H, W, 3), bilinear."""
    if values.shape == frame.shape[:2]:
        return values
    cv2 = opencv()
    wide: NDArray[np.float32] = cv2.resize(
        values, frame.shape[1::-1], interpolation=cv2.INTER_LINEAR
    )
    return wide


if __name__ == "__main__":
    main(PeerWorker())
