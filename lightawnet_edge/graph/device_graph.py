"""One ONNX file from camera frame to mask: what comes before and after the network is inside."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.graph.integer_sums import sum_integers
from lightawnet_edge.graph.view import GraphView
from lightawnet_edge.model.lowering import LoweredNetwork
from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.model.preprocess import Mask, Preprocess
from lightawnet_edge.model.scaling import ScaledFrame, ScaledMask
from lightawnet_edge.specs import ColorOrder, Scaling

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
        self.preprocess: nn.Module = _preprocess(network, contract)
        self.network = network
        self.mask: nn.Module = _mask(contract)

    def forward(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        """Turn one frame into its mask and its probability.

        Args:
            frame: uint8, of the contract's shape.

        Returns:
            Mask of shape (H, W), uint8, 0 or 255, and 0 outside of the contract's region;
            probability of shape (h, w), float32, of the region alone.
        """
        logits = self.network(self.preprocess(frame))
        return self.mask(logits), torch.sigmoid(logits)[0, 0]


def _preprocess(network: LightAWNet | LoweredNetwork, contract: Contract) -> Preprocess:
    turned = isinstance(network, LoweredNetwork) and network.takes_bgr
    # A network that takes BGR needs a frame of that order as it is.
    return Preprocess.of(replace(contract, color=ColorOrder.RGB) if turned else contract)


def _mask(contract: Contract) -> Mask:
    return Mask(contract.picture, contract.threshold, _border(contract))


def _border(contract: Contract) -> tuple[int, int, int, int] | None:
    """Pixels to the left, right, above and below the contract's region; None where it has none."""
    crop, frame = contract.crop, contract.frame
    if crop is None:
        return None
    right, below = frame.width - crop.x - crop.width, frame.height - crop.y - crop.height
    return crop.x, right, crop.y, below


def to_onnx(
    network: LoweredNetwork, contract: Contract, scaling: Scaling = Scaling.RESIZE
) -> onnx.ModelProto:
    """Trace a lowered network into its device graph; nodes carry the path of their module.

    The graph has static shapes, and where `scaling` is left as it is no operator that ONNX Runtime,
    OpenVINO or TensorRT's parser would refuse: no antialiased Resize, and every Conv states its
    kernel_shape.
    """
    import onnx
    from onnxscript import optimizer

    kind = DeviceModel if contract.probability else _MaskModel
    device = kind(network, contract).eval()
    if scaling is not Scaling.RESIZE:
        _scale_by_products(device, contract)
    frame = torch.zeros(contract.frame_shape, dtype=torch.uint8)
    names = list(OUTPUTS if contract.probability else OUTPUTS[:1])
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The tracing exporter is 10x faster than the dynamo one and names nodes by module; its
        # deprecation and its remarks about branches on (static) shapes are known.
        warnings.simplefilter("ignore")
        file = Path(folder) / "traced.onnx"
        torch.onnx.export(
            device,
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
    if scaling is Scaling.INTEGERS:
        sum_integers(model)
    onnx.checker.check_model(model, full_check=True)
    return model


class _MaskModel(DeviceModel):
    """A device model without its probability."""

    def forward(self, frame: Tensor) -> Tensor:  # type: ignore[override] # one output, not two
        """Turn one frame into its mask."""
        mask: Tensor = self.mask(self.network(self.preprocess(frame)))
        return mask


def _scale_by_products(device: DeviceModel, contract: Contract) -> None:
    """Exchange what scales frames and masks, where anything is scaled, for its fast equal."""
    if contract.picture != contract.network:
        device.preprocess = ScaledFrame(_preprocess(device.network, contract), contract.picture)
        device.mask = ScaledMask(_mask(contract), contract.network)


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
