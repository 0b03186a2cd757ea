"""Looking into ONNX Runtime's models, and putting single layers in float."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightawnet_edge.errors import SpecError
from lightawnet_edge.graph.view import GraphView
from lightawnet_edge.targets.base import PROBE


class OnnxProbe:
    """A `Probe` of ONNX Runtime's models."""

    def results(self, engine: Path, layers: Sequence[str]) -> list[str]:
        """As for a `Probe`: tensors.

        The quantizer takes a ReLU into the convolution before it: what engine and device graph have
        in common is the tensor behind it.
        """
        import onnx

        convs = GraphView(onnx.load(engine, load_external_data=False)).convs
        return [convs[layer].output[0] for layer in layers]

    def watch(self, model: Path, places: Sequence[str], file: Path) -> None:
        """As for a `Probe`."""
        import onnx

        proto = onnx.load(model)
        readers = {node.input[0]: node for node in proto.graph.node if node.input}
        for number, tensor in enumerate(places):
            if (reader := readers.get(tensor)) is not None and reader.op_type == "QuantizeLinear":
                tensor = readers[reader.output[0]].output[0]
            name = PROBE.format(number)
            proto.graph.node.append(onnx.helper.make_node("Identity", [tensor], [name], f"/{name}"))
            output = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
            proto.graph.output.append(output)
        onnx.save(proto, file)

    def in_float(self, engine: Path, exact: Path, layer: str, file: Path) -> None:
        """As for a `Probe`."""
        import onnx

        proto = onnx.load(engine)
        view, source = GraphView(proto), GraphView(onnx.load(exact))
        conv = view.convs.get(layer)
        if conv is None or view.operator(conv.input[0]) != "DequantizeLinear":
            raise SpecError(f"'{layer}' is not quantized in '{engine}'.")
        quantizer = view.makers[view.makers[conv.input[0]].input[0]]
        conv.input[0] = quantizer.input[0]
        for place, name in list(enumerate(source.convs[layer].input))[1:]:
            copy = onnx.TensorProto()
            copy.CopyFrom(source.constants[name])
            copy.name = f"{name}/float"
            proto.graph.initializer.append(copy)
            conv.input[place] = copy.name
        onnx.save(proto, file)
