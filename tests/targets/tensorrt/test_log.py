"""The builder's account of its layers is read for what a convolution executes."""

from __future__ import annotations

from lightawnet_edge.bundle.layers import LayerRecord
from lightawnet_edge.specs import Precision
from lightawnet_edge.targets.tensorrt.log import convolution_records, parse_layers, widest

_TENSOR = "{{ Name: t, Dimensions: [1,16], Strides: [16,1], Datatype: {}, Format: (Linear) rows }}"


def line(name: str, kind: str, inputs: list[str], outputs: list[str], nodes: list[str]) -> str:
    takes, gives = (", ".join(_TENSOR.format(t) for t in kinds) for kinds in (inputs, outputs))
    metadata = "".join(f"[ONNX Layer: {node}]" for node in nodes)
    return (
        f"Name: {name}, LayerType: {kind}, Inputs: [ {takes}], Constants: [ "
        f"{_TENSOR.format('Float')}], Outputs: [ {gives}], TacticName: kernel_0x1, StreamId: 0, "
        f"Metadata: {metadata}"
    )


LOG = "\n".join(
    [
        "Layers:",
        line("quantize", "kgen", ["Half"], ["Int8"], ["e1/expand", "e1/Quantize"]),
        line("e1/expand_myl0_3", "correlation", ["Int8", "Half"], ["Float"], ["e1/expand"]),
        line("fused", "kgen", ["Half", "Float", "Int32"], ["Half"], ["e2/depthwise"]),
        line("indices", "kgen", ["Int32"], ["Int32"], ["e3/gather"]),
        "",
        "I/O Tensors:",
        " Name: frame, IOMode: Input, DataType: UInt8",
    ]
)


def test_layers_are_read_and_other_lines_passed_over() -> None:
    layers = parse_layers(LOG)
    assert [layer.name for layer in layers] == ["quantize", "e1/expand_myl0_3", "fused", "indices"]
    assert layers[1].kind == "correlation"
    assert (layers[1].inputs, layers[1].outputs) == (("Int8", "Half"), ("Float",))
    assert layers[1].constants == ("Float",)
    assert layers[1].kernel == "kernel_0x1"
    assert layers[0].nodes == ("e1/expand", "e1/Quantize")


def test_a_library_kernel_tells_before_generated_ones() -> None:
    (record,) = convolution_records(parse_layers(LOG), {"e1/expand": Precision.INT8})
    assert record.executed is Precision.INT8
    assert not record.fell_back


def test_a_generated_kernel_computes_in_its_widest_type() -> None:
    (record,) = convolution_records(parse_layers(LOG), {"e2/depthwise": Precision.FP16})
    assert record.executed is Precision.FP32
    assert record.fell_back


def test_what_the_log_does_not_tell_stays_unknown() -> None:
    wanted = {"e3/gather": Precision.FP16, "u9/missing": Precision.FP16}
    assert [r.executed for r in convolution_records(parse_layers(LOG), wanted)] == [None, None]
    assert parse_layers("Layers:\nof some other form") == ()


def test_of_several_gpus_the_widest_precision_counts() -> None:
    def told(*executed: Precision | None) -> tuple[LayerRecord, ...]:
        return tuple(
            LayerRecord(name=str(index), executed=one) for index, one in enumerate(executed)
        )

    int8, fp16, fp32 = Precision.INT8, Precision.FP16, Precision.FP32
    one, other = told(int8, fp16, int8, fp32), told(int8, fp32, None, fp16)
    assert widest([one, other]) == told(int8, fp32, None, fp32)
    assert widest([one]) == one
