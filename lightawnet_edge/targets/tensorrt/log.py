"""What a TensorRT says that it executes, as records.

The builder's `Layers:` message comes with VERBOSE logging and detailed profiling verbosity. It is
the one account of executed precision that needs no GPU; the format is that of TensorRT-RTX 1.7. An
engine on its device is asked itself: its inspector answers in JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lightawnet_edge.bundle.layers import LayerRecord
from lightawnet_edge.specs import Precision

HEADER = "Layers:"
"""How the message begins."""
_SECTIONS = re.compile(
    r"^Name: (?P<name>.*?), LayerType: (?P<kind>\w*), Inputs: \[(?P<inputs>.*?)\], "
    r"Constants: \[(?P<constants>.*?)\], Outputs: \[(?P<outputs>.*?)\], "
    r"TacticName: (?P<kernel>.*?), StreamId: \d+, Metadata: (?P<metadata>.*)$"
)
_DATATYPE = re.compile(r"Datatype: (\w+)")
_ONNX_LAYER = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
_PRECISION_OF = {
    "Float": Precision.FP32,
    "Half": Precision.FP16,
    "BFloat16": Precision.BF16,
    "Int8": Precision.INT8,
}
_WORDS = {"Half": ("FP16", "HALF"), "BFloat16": ("BF16", "BFLOAT16"), "Int8": ("INT8",)}
"""How an inspector names a datatype, amid words about the tensor's layout."""
_NARROW_FIRST = (Precision.INT8, Precision.FP16, Precision.BF16, Precision.FP32)
_GENERATED = frozenset({"kgen", "runtime_function"})
"""Generated kernels, which a convolution may share with what prepares and what finishes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLayer:
    """One layer of an engine, as its builder logs it."""

    name: str
    kind: str
    """Layer type in the builder's words: 'correlation', 'gemm', 'kgen', ..."""
    inputs: tuple[str, ...]
    """Datatypes of the activations: 'Half', 'Int8', 'Float', ..."""
    constants: tuple[str, ...]
    outputs: tuple[str, ...]
    kernel: str
    """Name of the implementation; may be empty."""
    nodes: tuple[str, ...]
    """ONNX nodes that the layer computes, alone or in part."""


def parse_layers(message: str) -> tuple[EngineLayer, ...]:
    """Read the message that begins with `Layers:`; lines of another form are passed over."""
    found = []
    for line in message.splitlines():
        if (match := _SECTIONS.match(line.strip())) is None:
            continue
        found.append(
            EngineLayer(
                name=match["name"],
                kind=match["kind"],
                inputs=tuple(_DATATYPE.findall(match["inputs"])),
                constants=tuple(_DATATYPE.findall(match["constants"])),
                outputs=tuple(_DATATYPE.findall(match["outputs"])),
                kernel=match["kernel"],
                nodes=tuple(_ONNX_LAYER.findall(match["metadata"])),
            )
        )
    return tuple(found)


def parse_inspector(text: str) -> tuple[EngineLayer, ...]:
    """Read what an engine's inspector gives as JSON; layers without details are passed over.

    The format is that of TensorRT 8.6 and 10, as published with bug reports; it was not seen on a
    device here.
    """
    layers = json.loads(text).get("Layers", ())
    return tuple(
        EngineLayer(
            name=str(layer.get("Name", "")),
            kind=str(layer.get("LayerType", "")),
            inputs=tuple(_datatype(tensor) for tensor in layer.get("Inputs", ())),
            constants=(),
            outputs=tuple(_datatype(tensor) for tensor in layer.get("Outputs", ())),
            kernel=str(layer.get("TacticName", "")),
            nodes=tuple(_ONNX_LAYER.findall(str(layer.get("Metadata", "")))),
        )
        for layer in layers
        if isinstance(layer, dict)
    )


def _datatype(tensor: Mapping[str, Any]) -> str:
    """The datatype in a text such as 'Thirty-two wide channel vectorized row major Int8 format'."""
    text = str(tensor.get("Format/Datatype", "")).upper()
    for name, words in _WORDS.items():
        if any(re.search(rf"\b{word}\b", text) for word in words):
            return name
    return "Float" if re.search(r"\b(FP32|FLOAT)\b", text) else "Other"


def convolution_records(
    layers: Iterable[EngineLayer], requested: Mapping[str, Precision]
) -> tuple[LayerRecord, ...]:
    """Tell for each convolution of the graph what was asked for and what is executed.

    Args:
        layers: From `parse_layers`.
        requested: Every convolution of the graph to the precision that the graph states.
    """
    layers = tuple(layers)
    records = []
    for name, precision in requested.items():
        layer = _layer_of(name, layers)
        records.append(
            LayerRecord(
                name=name,
                requested=precision,
                executed=_executed(layer) if layer else None,
                kernel=layer.kernel or layer.kind if layer else None,
            )
        )
    return tuple(records)


def widest(told: Iterable[tuple[LayerRecord, ...]]) -> tuple[LayerRecord, ...]:
    """Of several accounts of the same convolutions: for each, the one of the widest precision.

    One that does not tell counts as wider than any.
    """
    return tuple(max(records, key=_width) for records in zip(*told, strict=True))


def _width(record: LayerRecord) -> int:
    known = record.executed is not None
    return _NARROW_FIRST.index(record.executed) if known else len(_NARROW_FIRST)


def _layer_of(node: str, layers: tuple[EngineLayer, ...]) -> EngineLayer | None:
    """The layer that does a convolution's arithmetic: a library kernel before generated ones."""
    candidates = [layer for layer in layers if node in layer.nodes and layer.inputs]
    candidates.sort(key=lambda layer: layer.kind in _GENERATED)
    return candidates[0] if candidates else None


def _executed(layer: EngineLayer) -> Precision | None:
    """Precision of the arithmetic, from the types of what is multiplied.

    A library kernel may add a wider tensor to its product, so its narrowest input tells; a
    generated kernel computes in its widest type.
    """
    known = {_PRECISION_OF[kind] for kind in layer.inputs if kind in _PRECISION_OF}
    ordered = sorted(known, key=_NARROW_FIRST.index)
    if not ordered:
        return None
    return ordered[-1] if layer.kind in _GENERATED else ordered[0]
