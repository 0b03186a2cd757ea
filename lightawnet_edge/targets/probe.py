"""Copies of an INT8 engine that show more, or run one layer in float; the engine itself is kept.

Both work on the engine's own file, not on a second quantization of its graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightawnet_edge.errors import SpecError
from lightawnet_edge.specs import Target

if TYPE_CHECKING:
    import onnx

PROBE = "probe_{}"
"""Name of an added output, by the number of its layer."""


def results(target: Target, engine: Path, layers: Sequence[str]) -> list[str]:
    """Where engine and device graph both hold the results of convolutions, for `watch`.

    ONNX Runtime's quantizer takes a ReLU into the convolution before it: what both have in common
    is the tensor behind it.
    """
    if target is Target.OPENVINO:
        return list(layers)
    import onnx

    convs = _convs(onnx.load(engine, load_external_data=False).graph)
    return [convs[layer].output[0] for layer in layers]


def watch(target: Target, model: Path, places: Sequence[str], file: Path) -> None:
    """Write a copy of a model that has the results at `places` as outputs, too, in their order.

    A result that is quantized is taken behind its quantizer, so that fused kernels stay fused.
    """
    {Target.ONNX: _watch_onnx, Target.OPENVINO: _watch_openvino}[target](model, places, file)


def in_float(target: Target, engine: Path, exact: Path, layer: str, file: Path) -> None:
    """Write a copy of an INT8 engine whose named convolution reads and multiplies floats.

    Args:
        target: Of the engine.
        engine: Quantized model.
        exact: FP32 device graph that it was made from: an ONNX file, whose weights are taken.
        layer: Name of the convolution in the device graph.
        file: Where the copy goes.

    Raises:
        SpecError: The engine has no quantized convolution of that name.
    """
    {Target.ONNX: _float_onnx, Target.OPENVINO: _float_openvino}[target](engine, exact, layer, file)


# --- ONNX Runtime


def _watch_onnx(model: Path, tensors: Sequence[str], file: Path) -> None:
    import onnx

    proto = onnx.load(model)
    readers = {node.input[0]: node for node in proto.graph.node if node.input}
    for number, tensor in enumerate(tensors):
        if (reader := readers.get(tensor)) is not None and reader.op_type == "QuantizeLinear":
            tensor = readers[reader.output[0]].output[0]
        name = PROBE.format(number)
        proto.graph.node.append(onnx.helper.make_node("Identity", [tensor], [name], f"/{name}"))
        output = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        proto.graph.output.append(output)
    onnx.save(proto, file)


def _float_onnx(engine: Path, exact: Path, layer: str, file: Path) -> None:
    import onnx

    proto, source = onnx.load(engine), onnx.load(exact).graph
    conv, original = _convs(proto.graph).get(layer), _convs(source)[layer]
    makers = {output: node for node in proto.graph.node for output in node.output}
    dequantizer = makers.get(conv.input[0]) if conv else None
    if conv is None or dequantizer is None or dequantizer.op_type != "DequantizeLinear":
        raise SpecError(f"'{layer}' is not quantized in '{engine}'.")
    conv.input[0] = makers[dequantizer.input[0]].input[0]
    tensors = {tensor.name: tensor for tensor in source.initializer}
    for place, name in list(enumerate(original.input))[1:]:
        copy = onnx.TensorProto()
        copy.CopyFrom(tensors[name])
        copy.name = f"{name}/float"
        proto.graph.initializer.append(copy)
        conv.input[place] = copy.name
    onnx.save(proto, file)


def _convs(graph: onnx.GraphProto) -> Mapping[str, onnx.NodeProto]:
    return {node.name: node for node in graph.node if node.op_type == "Conv"}


# --- OpenVINO


def _watch_openvino(model: Path, layers: Sequence[str], file: Path) -> None:
    import openvino

    network = openvino.Core().read_model(model)
    convs = _openvino_convs(network)
    outputs = network.add_outputs([convs[layer].output(0) for layer in layers])
    for number, output in enumerate(outputs):
        output.tensor.set_names({PROBE.format(number)})
    openvino.save_model(network, file, compress_to_fp16=False)


def _float_openvino(engine: Path, exact: Path, layer: str, file: Path) -> None:
    import openvino

    core = openvino.Core()
    network = core.read_model(engine)
    conv = _openvino_convs(network).get(layer)
    quantizer = conv.input_value(0).get_node() if conv else None
    if conv is None or quantizer is None or quantizer.get_type_name() != "FakeQuantize":
        raise SpecError(f"'{layer}' is not quantized in '{engine}'.")
    original = _openvino_convs(core.read_model(exact))[layer]
    weights = openvino.opset13.constant(original.input_value(1).get_node().data)
    conv.input(0).replace_source_output(quantizer.input_value(0))
    conv.input(1).replace_source_output(weights.output(0))
    openvino.save_model(network, file, compress_to_fp16=False)


def _openvino_convs(network: Any) -> dict[str, Any]:
    """Convolutions by their name in the device graph."""
    return {
        node.get_friendly_name().removesuffix("/WithoutBiases"): node
        for node in network.get_ordered_ops()
        if node.get_type_name() in ("Convolution", "GroupConvolution")
    }
