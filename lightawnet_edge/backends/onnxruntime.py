"""ONNX Runtime on the CPU: the engine is an ONNX file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from lightawnet_edge.backends.base import Built, Tensors
from lightawnet_edge.errors import ArtifactError
from lightawnet_edge.specs import Precision

ENGINE = "engine.onnx"
_FAILURES = (
    "Fail",
    "InvalidArgument",
    "InvalidGraph",
    "InvalidProtobuf",
    "NoSuchFile",
    "NotImplemented",
    "RuntimeException",
)
"""ONNX Runtime's exceptions: they have no base of their own."""
_WARNINGS_OFF = 3
"""ONNX Runtime's severity for errors only."""


class OnnxRuntimeBackend:
    """Builds and runs engines with ONNX Runtime's CPU provider."""

    def __init__(self) -> None:
        """Raise ImportError where ONNX Runtime is not installed."""
        import onnxruntime

        self._ort = onnxruntime

    def version(self) -> str:
        """Version of ONNX Runtime."""
        return str(self._ort.__version__)

    def refusals(self) -> Mapping[Precision, str | None]:
        """The CPU provider has convolution kernels for FP32 and INT8 alone."""
        reason = "its CPU provider has no such convolution and would cast to fp32 silently"
        return {
            Precision.FP32: None,
            Precision.FP16: reason,
            Precision.BF16: reason,
            Precision.INT8: None,
        }

    def build(self, source: Path, folder: Path, precision: Precision) -> Built:
        """Take the graph as it is; ONNX Runtime optimizes it once, to tell its kernels."""
        engine = source
        if source.parent != folder:
            engine = folder / ENGINE
            engine.write_bytes(source.read_bytes())
        return Built(engine=engine.name, precision_of=self._executed(engine))

    def load(self, engine: Path, precision: Precision, threads: int | None) -> OnnxRuntimeSession:
        """Create a session on the CPU provider."""
        options = self._options(threads)
        with _errors(self._ort, engine):
            return OnnxRuntimeSession(
                self._ort.InferenceSession(engine, options, providers=["CPUExecutionProvider"])
            )

    def _options(self, threads: int | None) -> Any:
        options = self._ort.SessionOptions()
        options.log_severity_level = _WARNINGS_OFF
        # Spinning threads slow down whatever runs next to the session, an OpenVINO call by half.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if threads is not None:
            options.intra_op_num_threads = threads
        return options

    def _executed(self, engine: Path) -> dict[str, Precision]:
        """Kernels of the optimized graph: QLinearConv runs in INT8, other convolutions in FP32."""
        import onnx

        with tempfile.TemporaryDirectory() as folder, _errors(self._ort, engine):
            options = self._options(None)
            options.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
            # The last level only changes the memory layout, and with it every node's name.
            options.graph_optimization_level = self._ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
            self._ort.InferenceSession(engine, options, providers=["CPUExecutionProvider"])
            graph = onnx.load(options.optimized_model_filepath).graph
        found: dict[str, Precision] = {}
        for node in graph.node:
            if "Conv" in node.op_type:
                integer = node.op_type.startswith("QLinear")
                found[node.name] = Precision.INT8 if integer else Precision.FP32
        return found


class OnnxRuntimeSession:
    """One ONNX Runtime session."""

    def __init__(self, session: Any) -> None:
        self._session: Any = session
        self._input = session.get_inputs()[0].name

    def infer(self, frame: NDArray[Any], outputs: tuple[str, ...]) -> Tensors:
        """Run one frame; outputs that are not asked for are not computed."""
        values = self._session.run(list(outputs), {self._input: frame})
        return dict(zip(outputs, values, strict=True))

    def close(self) -> None:
        """Free the session."""
        self._session = None


@contextmanager
def _errors(ort: Any, path: Path) -> Iterator[None]:
    """Turn ONNX Runtime's own errors into one sentence."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = tuple(getattr(state, name) for name in _FAILURES)
    try:
        yield
    except kinds as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(
            f"ONNX Runtime {ort.__version__} cannot take '{path}': {reason}"
        ) from error
