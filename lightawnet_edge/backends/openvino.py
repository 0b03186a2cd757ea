"""OpenVINO on the CPU: builds IR files, runs them, reads back what they execute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.backends.base import Built, Tensors
from lightawnet_edge.errors import ArtifactError
from lightawnet_edge.specs import Precision

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
# The ONNX reader splits Conv with a bias into a convolution of this suffix and an addition.
_SUFFIX = "/WithoutBiases"


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
            # Weights stay as they are: compression to FP16 would change an FP32 engine silently.
            self._ov.save_model(model, folder / ENGINE, compress_to_fp16=False)
            runtime = self._compile(folder / ENGINE, precision, None).get_runtime_model()
        return Built(engine=ENGINE, precision_of=_executed(runtime))

    def load(self, engine: Path, precision: Precision, threads: int | None) -> OpenVinoSession:
        """Compile an IR file for this CPU, for the latency of one stream."""
        with _errors(engine):
            return OpenVinoSession(self._compile(engine, precision, threads))

    def _compile(self, engine: Path, precision: Precision, threads: int | None) -> Any:
        config: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "PERFORMANCE_HINT": "LATENCY",
        }
        if threads is not None:
            config["INFERENCE_NUM_THREADS"] = threads
        return self._core.compile_model(engine, "CPU", config)


class OpenVinoSession:
    """One compiled model with one inference request."""

    def __init__(self, compiled: Any) -> None:
        self._request: Any = compiled.create_infer_request()
        self._names = [port.get_any_name() for port in compiled.outputs]

    def infer(self, frame: NDArray[Any], outputs: tuple[str, ...]) -> Tensors:
        """Run one frame; copies the outputs, which are views that the next call overwrites."""
        self._request.infer([frame], share_inputs=True)
        return {
            name: np.array(self._request.get_output_tensor(self._names.index(name)).data)
            for name in outputs
        }

    def close(self) -> None:
        """Free the request and with it the compiled model."""
        self._request = None


def _executed(runtime_model: Any) -> dict[str, Precision]:
    """Executed precision of each convolution, by the names that it had in the device graph."""
    found: dict[str, Precision] = {}
    for op in runtime_model.get_ops():
        info = op.get_rt_info()
        if "layerType" not in info or "Convolution" not in info["layerType"].astype(str):
            continue
        precision = _EXECUTED.get(info["runtimePrecision"].astype(str))
        if precision is None:
            continue
        for name in info["originalLayersNames"].astype(str).split(","):
            found[name.removesuffix(_SUFFIX)] = precision
    return found


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Turn OpenVINO's RuntimeErrors, which carry C++ traces, into one sentence."""
    try:
        yield
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = next(
            (line for line in lines if not line.startswith(("Exception from", "Check"))), ""
        )
        raise ArtifactError(f"OpenVINO cannot take '{path}': {reason or lines[-1]}") from error
