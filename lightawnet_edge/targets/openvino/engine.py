"""OpenVINO on the CPU: builds IR files, runs them, reads back what they execute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from lightawnet_edge.bundle.contract import Port
from lightawnet_edge.bundle.engine import Engine
from lightawnet_edge.bundle.layers import CONVOLUTION, LayerRecord
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError
from lightawnet_edge.machine.machine import default_threads, int8_saturates
from lightawnet_edge.specs import Precision
from lightawnet_edge.targets.base import (
    WARMUP,
    Built,
    Ports,
    ReadBack,
    Tensors,
    handed_over,
    kind_of,
)
from lightawnet_edge.targets.openvino.convolutions import SUFFIX, asked, refuse_saturation
from lightawnet_edge.targets.openvino.scaling import specialize
from lightawnet_edge.targets.session import SerialSession, warmed_up

ENGINE = "engine.xml"
# The hint is never left to OpenVINO, whose default runs an FP32 model in BF16 on CPUs that have it.
# What an INT8 engine leaves in float stays FP32, so that it computes the same on every CPU.
_HINTS = {
    Precision.FP32: "f32",
    Precision.BF16: "bf16",
    Precision.FP16: "f16",
    Precision.INT8: "f32",
}
_EXECUTED = {
    "f32": Precision.FP32,
    "bf16": Precision.BF16,
    "f16": Precision.FP16,
    "i8": Precision.INT8,
    "u8": Precision.INT8,
}


class OpenVinoBackend:
    """Builds and runs engines with OpenVINO's CPU plugin."""

    def __init__(self) -> None:
        """Raise ImportError where OpenVINO is not installed."""
        import openvino

        self._ov = openvino
        self._core = openvino.Core()

    def version(self) -> str:
        """Version of OpenVINO, without the build number."""
        return str(self._ov.__version__).split("-")[0]

    def refusals(self) -> Mapping[Precision, str | None]:
        """Ask the CPU plugin what it executes natively; what it emulates counts as refused."""
        offered = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        native = [str(precision) for precision in Precision if str(precision).upper() in offered]
        reason = f"on this CPU OpenVINO computes in {' and '.join(native)} alone"
        return {precision: None if str(precision) in native else reason for precision in Precision}

    def build(self, source: Path, folder: Path, precision: Precision) -> Built:
        """Write `engine.xml` and `engine.bin` from an ONNX file or an OpenVINO model."""
        with _errors(source):
            model = self._core.read_model(source)
            specialize(model)
            # Weights stay as they are: compression to FP16 would change an FP32 engine silently.
            self._ov.save_model(model, folder / ENGINE, compress_to_fp16=False)
        layers = self.read_back(Engine.read(folder / ENGINE, precision)).layers
        return Built(engine=ENGINE, layers=layers)

    def read_back(
        self,
        engine: Engine,
        threads: int | None = None,
        frames: Sequence[NDArray[Any]] = (),
    ) -> ReadBack:
        """Ask the compiled model, whose layers carry the names of those that went into them.

        Raises:
            ArtifactError: OpenVINO does not take the engine.
            BackendUnavailableError: Its integers would saturate on this CPU.
        """
        with _errors(engine.path):
            model = self._read(engine)
            compiled = self._compile(model, engine.precision, threads, profiled=bool(frames))
            runtime = {
                op.get_friendly_name(): _info(op) for op in compiled.get_runtime_model().get_ops()
            }
            convolutions = asked(model, _EXECUTED[_HINTS[engine.precision]])
            layers, names = _records(convolutions, runtime)
            timed, call_s = _timed(compiled, frames)
        others = [
            LayerRecord(
                name=name,
                kind=kind_of(runtime[name]["layerType"]),
                executed=_EXECUTED.get(runtime[name]["runtimePrecision"]),
                kernel=runtime[name]["primitiveType"],
            )
            for name in timed
            if name not in names
        ]
        layer_s = {names.get(name, name): seconds for name, seconds in timed.items()}
        return ReadBack(layers=(*layers, *others), layer_s=layer_s, call_s=call_s)

    def load(self, engine: Engine, threads: int | None) -> OpenVinoSession:
        """Compile an IR, or an ONNX graph, for this CPU, for the latency of one stream.

        Raises:
            ArtifactError: OpenVINO does not take the engine.
            BackendUnavailableError: Its integers would saturate on this CPU.
        """

        def make() -> OpenVinoSession:
            with _errors(engine.path):
                model = self._read(engine)
                compiled = self._compile(model, engine.precision, threads)
                return OpenVinoSession(compiled, engine.name)

        return warmed_up(make)

    def _read(self, engine: Engine) -> Any:
        # OpenVINO copies what it is given as bytes; loaded by path, the weights would stay mapped,
        # and change with the file.
        return self._core.read_model(engine.data, engine.weights)

    def _compile(
        self, model: Any, precision: Precision, threads: int | None, *, profiled: bool = False
    ) -> Any:
        config: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "PERFORMANCE_HINT": "LATENCY",
            "PERF_COUNT": profiled,
            "INFERENCE_NUM_THREADS": threads or default_threads(),  # its own sees no CPU quota
        }
        if int8_saturates():
            refuse_saturation(model)
        return self._core.compile_model(model, "CPU", config)


class OpenVinoSession(SerialSession):
    """One compiled model with one inference request."""

    def __init__(self, compiled: Any, name: str) -> None:
        """Wrap the compiled model of the engine of a name."""
        super().__init__()
        self._request: Any = compiled.create_infer_request()
        inputs = {port.get_any_name(): _port(port) for port in compiled.inputs}
        # A tensor may have several names, where what made one of them was folded away.
        outputs = {name: port for port in compiled.outputs for name in port.get_names()}
        self.ports = Ports.of(name, inputs, {name: _port(port) for name, port in outputs.items()})
        self._outputs: Any = outputs

    def _run(self, frame: NDArray[Any], outputs: tuple[str, ...], out: Tensors | None) -> Tensors:
        """Run one frame; copies the outputs, which are views that the next call overwrites."""
        try:
            self._request.infer([frame], share_inputs=True)
        except RuntimeError as error:
            raise BackendUnavailableError(
                "openvino", f"the engine does not run: {_reason(error)}"
            ) from error
        return {
            name: handed_over(name, self._request.get_tensor(self._outputs[name]).data, out)
            for name in outputs
        }

    def _free(self) -> None:
        """Free the request and with it the compiled model."""
        self._request = self._outputs = None


def _port(found: Any) -> Port:
    sides = (-1 if side.is_dynamic else side.get_length() for side in found.get_partial_shape())
    return Port(shape=tuple(sides), dtype=found.get_element_type().to_dtype().name)


def _info(op: Any) -> dict[str, str]:
    """What the CPU plugin says of a layer of a compiled model."""
    info = op.get_rt_info()
    keys = ("layerType", "originalLayersNames", "primitiveType", "runtimePrecision")
    return {key: str(info[key].astype(str)) if key in info else "" for key in keys}


def _records(
    convolutions: Mapping[str, Precision], runtime: Mapping[str, Mapping[str, str]]
) -> tuple[list[LayerRecord], dict[str, str]]:
    """A record for each convolution; and the runtime layers that they became, by their name."""
    ran, names = {}, {}
    for layer, info in runtime.items():
        for original in info["originalLayersNames"].split(","):
            name = original.removesuffix(SUFFIX)
            if name in convolutions and kind_of(info["layerType"]) == CONVOLUTION:
                ran[name], names[layer] = info, name
    records = []
    for name, requested in convolutions.items():
        info = ran.get(name, {})
        executed = _EXECUTED.get(info.get("runtimePrecision", ""))
        kernel = info.get("primitiveType")
        records.append(
            LayerRecord(name=name, requested=requested, executed=executed, kernel=kernel)
        )
    return records, names


def _timed(compiled: Any, frames: Sequence[NDArray[Any]]) -> tuple[dict[str, float], float | None]:
    """Mean seconds of each layer that ran, by its name in the runtime model; and of a call.

    The counters are means over all calls since the model was compiled, in whole microseconds: what
    the warm-up took is taken out again.
    """
    if len(frames) <= WARMUP:
        return {}, None
    request = compiled.create_infer_request()
    latencies = []
    cold: dict[str, float] = {}
    for count, frame in enumerate(frames, 1):
        request.infer([frame], share_inputs=True)
        latencies.append(request.latency / 1000)
        if count == WARMUP:
            cold = _counters(request)
    calls = len(frames) - WARMUP
    means = {
        name: max(0.0, (mean * len(frames) - cold.get(name, 0.0) * WARMUP) / calls)
        for name, mean in _counters(request).items()
    }
    return means, sum(latencies[WARMUP:]) / calls


def _counters(request: Any) -> dict[str, float]:
    return {
        layer.node_name: layer.real_time.total_seconds()
        for layer in request.get_profiling_info()
        if layer.status.name == "EXECUTED"
    }


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Turn OpenVINO's RuntimeErrors, which carry C++ traces, into one sentence."""
    try:
        yield
    except RuntimeError as error:
        raise ArtifactError(f"OpenVINO cannot take '{path}': {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The line of a message that tells what is wrong; the others tell where in the sources."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = (line for line in lines if not line.startswith(("Exception from", "Check")))
    return next(telling, lines[-1] if lines else type(error).__name__)
