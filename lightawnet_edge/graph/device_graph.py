"""One ONNX file from camera frame to mask: what comes before and after the network is inside."""

from __future__ import annotations

import math
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.graph.view import GraphView
from lightawnet_edge.model.lowering import LoweredNetwork
from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.model.preprocess import Preprocess, resize
from lightawnet_edge.specs import ColorOrder

if TYPE_CHECKING:
    import onnx

OPSET = 17
"""Pinned: the newest that TensorRT 8.x (JetPack 5) parses."""
INPUT = "frame"
OUTPUTS = ("mask", "probability")


class DeviceModel(nn.Module):
    """Frame in, mask out, around a network: the meaning of a device graph, in torch."""

    def __init__(self, network: LightAWNet | LoweredNetwork, contract: Contract) -> None:
        """`network` may be lowered or not; it works at `contract.network`."""
        super().__init__()
        turned = isinstance(network, LoweredNetwork) and network.takes_bgr
        # A network that takes BGR needs a frame of that order as it is.
        self.preprocess = Preprocess.of(
            replace(contract, color=ColorOrder.RGB) if turned else contract
        )
        self.network = network
        self.picture = contract.picture
        self.border = _border(contract)
        # Logits are compared, not probabilities: the mask then needs no sigmoid, and is the same.
        self.logit_threshold = math.log(contract.threshold / (1 - contract.threshold))

    def forward(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        """Turn one frame into its mask and its probability.

        Args:
            frame: uint8, of the contract's shape.

        Returns:
            Mask of shape (H, W), uint8, 0 or 255, and 0 outside of the contract's region;
            probability of shape (h, w), float32, of the region alone.
        """
        logits = self.network(self.preprocess(frame))
        mask = resize(logits, self.picture)[0, 0] >= self.logit_threshold
        # By way of float32: TensorRT and ONNX Runtime select floats, not all of them select bytes,
        # and TensorRT pads no bytes either.
        values = mask.float() * 255
        if self.border is not None:
            values = F.pad(values, self.border)
        return values.to(torch.uint8), torch.sigmoid(logits)[0, 0]


def _border(contract: Contract) -> tuple[int, int, int, int] | None:
    """Pixels to the left, right, above and below the contract's region; None where it has none."""
    crop, frame = contract.crop, contract.frame
    if crop is None:
        return None
    right, below = frame.width - crop.x - crop.width, frame.height - crop.y - crop.height
    return crop.x, right, crop.y, below


def to_onnx(network: LoweredNetwork, contract: Contract) -> onnx.ModelProto:
    """Trace a lowered network into its device graph; nodes carry the path of their module.

    The graph has static shapes and holds no operator that ONNX Runtime, OpenVINO or TensorRT's
    parser would refuse: no antialiased Resize, and every Conv states its kernel_shape.
    """
    import onnx
    from onnxscript import optimizer

    device = DeviceModel(network, contract).eval()
    frame = torch.zeros(contract.frame_shape, dtype=torch.uint8)
    names = list(OUTPUTS if contract.probability else OUTPUTS[:1])
    traced: nn.Module = device if contract.probability else _OneOutput(device)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The tracing exporter is 10x faster than the dynamo one and names nodes by module; its
        # deprecation and its remarks about branches on (static) shapes are known.
        warnings.simplefilter("ignore")
        file = Path(folder) / "traced.onnx"
        torch.onnx.export(
            traced,
            (frame,),
            file,
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=names,
        )
        model = onnx.load(file)
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    model = optimizer.optimize(model, onnx_shape_inference=True)
    _finish_convs(model)
    onnx.checker.check_model(model, full_check=True)
    return model


class _OneOutput(nn.Module):
    """A device model without its probability."""

    def __init__(self, device: DeviceModel) -> None:
        super().__init__()
        self.device = device

    def forward(self, frame: Tensor) -> Tensor:
        mask: Tensor = self.device(frame)[0]
        return mask


def _finish_convs(model: onnx.ModelProto) -> None:
    """Name every Conv by its module, and state its `kernel_shape`.

    The tracer names a convolution with a computed kernel by a counter, and leaves its shape out,
    which TensorRT before 10.4 then infers wrongly.
    """
    from onnx import helper

    view = GraphView(model)
    for node in model.graph.node:
        if node.op_type != "Conv":
            continue
        module = (
            node.input[2].removesuffix(".bias")
            if len(node.input) > 2
            else node.input[1].removesuffix(".weight")
        )
        node.name = module.removeprefix("network.").replace(".", "/")
        if all(attribute.name != "kernel_shape" for attribute in node.attribute):
            node.attribute.append(
                helper.make_attribute("kernel_shape", list(view.shape(node.input[1])[2:]))
            )
