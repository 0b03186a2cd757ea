"""The roles that a folder of this room fills: protocols of at most four verbs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.bundle.contract import Port
from lightawnet_edge.bundle.engine import Engine
from lightawnet_edge.bundle.layers import CONVOLUTION, LayerRecord
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.specs import Method, Precision

if TYPE_CHECKING:
    from lightawnet_edge.graph.quantization import Frames

Tensors = dict[str, NDArray[Any]]
PROBE = "probe_{}"
"""Name of an output that `Probe.watch` adds, by its number."""
WARMUP = 3
"""Calls before those that are timed: caches are cold, and toolchains still allocate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What `Builder.build` left behind."""

    engine: str
    """Name of the file to load."""
    layers: tuple[LayerRecord, ...]
    """The convolutions of the graph, read back from the built engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBack:
    """What a built engine executes, and how long it takes where frames were given."""

    layers: tuple[LayerRecord, ...]
    """Every convolution of the engine's graph, in its order; then, if it was timed, all other
    layers that ran. Their `macs` and `seconds` are not filled in here."""
    layer_s: Mapping[str, float] = field(default_factory=dict)
    """Layer to its mean seconds per call. Not a median: OpenVINO gives running means alone."""
    call_s: float | None = None
    """Mean seconds of a call as a whole; None where nothing was timed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What an engine takes and gives, as it says itself."""

    source: Port
    """Its one input."""
    outputs: Mapping[str, Port]

    @classmethod
    def of(cls, engine: str, inputs: Mapping[str, Port], outputs: Mapping[str, Port]) -> Ports:
        """The ports of an engine.

        Args:
            engine: Its name, for messages.
            inputs: Name to port.
            outputs: Name to port.

        Raises:
            ArtifactError: There is not one input, or its size is left open.
        """
        if len(inputs) != 1:
            named = ", ".join(inputs) or "none"
            raise ArtifactError(f"'{engine}' has {len(inputs)} inputs ({named}), expected one.")
        ((name, source),) = inputs.items()
        if min(source.shape, default=1) < 1:
            raise ArtifactError(
                f"The input '{name}' of '{engine}' is {source}, expected a size that is fixed."
            )
        return cls(source=source, outputs=outputs)

    def misfits(self, contract: Mapping[str, Port]) -> list[str]:
        """Say where the engine is not what a contract promises; nothing where it is.

        Args:
            contract: `frame`, the input, and the outputs.
        """
        expected = dict(contract)
        pairs = [("takes frames of", self.source, expected.pop("frame"))]
        for name, port in expected.items():
            if name not in self.outputs:
                return [f"has no output '{name}'"]
            pairs.append((f"gives as '{name}'", self.outputs[name], port))
        return [
            f"{does} {found}, expected {port}"
            for does, found, port in pairs
            if not found.may_be(port)
        ]

    def check(self, frame: NDArray[Any], outputs: Sequence[str]) -> None:
        """Refuse what an engine cannot be asked for.

        Raises:
            SpecError: The frame has another type or shape, or there is no such output.
        """
        source = self.source
        if frame.shape != source.shape or frame.dtype != source.dtype:
            raise SpecError(f"A frame is {frame.dtype} {frame.shape}, the engine takes {source}.")
        if missing := [name for name in outputs if name not in self.outputs]:
            given = ", ".join(self.outputs)
            raise SpecError(f"The engine gives {given}, and no {', '.join(missing)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTime:
    """What one call took on a device with a clock of its own; the rest of it was the host's."""

    copy_s: float
    """The frame to the device, and all outputs back."""
    compute_s: float
    """Between the copies."""


def handed_over(name: str, value: NDArray[Any], out: Tensors | None) -> NDArray[Any]:
    """Copy an output out of a session's memory: into the caller's array, or into a new one."""
    if out is None or name not in out:
        return np.array(value)
    np.copyto(out[name], value, casting="no")
    return out[name]


class Session(Protocol):
    """A loaded engine that ran once, and owns device memory until it is closed.

    For any number of threads: calls run one at a time, and closing waits for the one that runs.
    """

    ports: Ports
    """What the engine takes and gives."""

    def infer(
        self, frame: NDArray[Any], outputs: tuple[str, ...], out: Tensors | None = None
    ) -> Tensors:
        """Run one frame, synchronously; the outputs are the caller's to keep.

        Args:
            frame: The engine's input; one that is not contiguous is copied.
            outputs: Names of what is wanted.
            out: Arrays of the outputs' shapes and types that receive them, by name; an output
                without one gets a new array.

        Raises:
            SpecError: The session is closed.
            BackendUnavailableError: The engine does not run.
        """

    def device_time(self) -> DeviceTime | None:
        """Of the last call; None where the engine runs on the CPU, or its device does not say."""

    def close(self) -> None:
        """Free the engine; a closed session refuses to be used. Closing twice does no harm."""


class Backend(Protocol):
    """A toolchain that runs engines, and tells what they execute."""

    def version(self) -> str:
        """Version of the toolchain."""

    def refusals(self) -> Mapping[Precision, str | None]:
        """For each precision why this machine cannot execute it, or None where it can."""

    def read_back(
        self,
        engine: Engine,
        threads: int | None = None,
        frames: Sequence[NDArray[Any]] = (),
    ) -> ReadBack:
        """Ask a built engine what it executes; time its layers on `frames`, a call for each.

        The first `WARMUP` calls do not count; without more frames than that, nothing is timed.
        """

    def load(self, engine: Engine, threads: int | None) -> Session:
        """Load a built engine from its bytes; `threads` None takes `default_threads()`.

        Raises:
            ArtifactError: The toolchain does not take it.
            BackendUnavailableError: It does not run on this machine.
        """


class Builder(Backend, Protocol):
    """A toolchain that makes an engine of a model where it stands."""

    def build(self, source: Path, folder: Path, precision: Precision) -> Built:
        """Write into `folder` the engine of a device graph, and read back what it executes."""


class Draft(Protocol):
    """A graph whose quantizers are placed, and whose activations were counted."""

    def write(self, folder: Path, method: Method) -> Path:
        """Write the model with the ranges of a method into `folder`, and return its file."""


class Quantizer(Protocol):
    """Prepares a device graph for INT8, in the representation of its target."""

    def __call__(self, device_graph: Path, frames: Frames, floats: Sequence[str]) -> Draft:
        """Place quantizers, and count activations in one pass that serves every method.

        Memory does not grow with the number of frames.

        Args:
            device_graph: FP32 device graph.
            frames: Set the ranges of activations.
            floats: Patterns of the nodes that stay in float.

        Raises:
            BackendUnavailableError: The quantizer is not installed.
        """


class Probe(Protocol):
    """Copies of a model that show more, or run one layer in float; the model itself is kept.

    Both are made of the engine's own file, not by a second quantization of its graph.
    """

    def results(self, engine: Path, layers: Sequence[str]) -> list[str]:
        """Where engine and device graph both hold the results of convolutions, for `watch`."""

    def watch(self, model: Path, places: Sequence[str], file: Path) -> None:
        """Write a copy of a model that has the results at `places` as outputs, too, in their order.

        They are named by `PROBE`. A result that is quantized is taken behind its quantizer, so that
        fused kernels stay fused.
        """

    def in_float(self, engine: Path, exact: Path, layer: str, file: Path) -> None:
        """Write a copy of an INT8 engine whose named convolution reads and multiplies floats.

        Args:
            engine: Quantized model.
            exact: FP32 device graph that it was made from: an ONNX file, whose weights are taken.
            layer: Name of the convolution in the device graph.
            file: Where the copy goes.

        Raises:
            SpecError: The engine has no quantized convolution of that name.
        """


_KINDS = {
    CONVOLUTION: "Conv ConvInteger Convolution GroupConvolution",
    # Networks of this package have transposed convolutions to interpolate, and for nothing else.
    "resize": "ConvTranspose Deconvolution Interpolate Resize Upsample",
    "concat/split": "Concat Concatenation Gather Pad Slice Split StridedSlice VariadicSplit",
    "elementwise": "Add Clip Div Eltwise Equal Exp FakeQuantize Greater GreaterOrEqual LeakyRelu "
    "Less Math Mul PRelu Pow Relu Sigmoid Sqrt Sub Subgraph Where",
    "reorder/convert": "Cast Convert DepthToSpace DequantizeLinear QuantizeLinear Reorder "
    "ReorderInput ReorderOutput Reshape Squeeze Transpose Unsqueeze",
    "pooling": "AveragePool GlobalAveragePool MaxPool Pooling",
    "matrix product": "FullyConnected Gemm MatMul MatMulInteger MatMulIntegerToFloat",
    "reduction/softmax": "Reduce ReduceMax ReduceMean ReduceMin ReduceSum Softmax",
}
_KIND_OF = {name: kind for kind, names in _KINDS.items() for name in names.split()}
_VARIANTS = ("QLinear", "Nhwc", "Fused")
"""What ONNX Runtime puts before an operator's name for another type, layout or fusion."""


def kind_of(operator: str) -> str:
    """Kind of work that a toolchain's operator does; 'other' where the name is not known here."""
    for variant in _VARIANTS:
        operator = operator.removeprefix(variant)
    return _KIND_OF.get(operator, "other")
