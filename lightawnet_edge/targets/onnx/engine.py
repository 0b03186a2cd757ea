"""ONNX Runtime on the CPU: the engine is an ONNX file."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from lightawnet_edge.bundle.contract import Port
from lightawnet_edge.bundle.engine import Engine
from lightawnet_edge.bundle.layers import CONVOLUTION, LayerRecord
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError
from lightawnet_edge.graph.view import GraphView
from lightawnet_edge.machine.machine import default_threads
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
from lightawnet_edge.targets.session import SerialSession, warmed_up

if TYPE_CHECKING:
    import onnx

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
_TIME_SUFFIX = "_kernel_time"
_CALL = "model_run"
"""Names of a profile's events: of a node, and of a whole call."""
_RENAMED = re.compile(r"^fused |_token_\d+$")
"""What fusions and layout changes add to a node's name."""
_BLOCKED_SUFFIX = "_nchwc"
"""A convolution in ONNX Runtime's own layout is named by the tensor it made, and this."""
_DTYPES = {"float": "float32", "float16": "float16", "double": "float64"}
"""ONNX Runtime's names of types, where they are not numpy's."""
_OPEN = -1
_FUSED_ACTIVATIONS = frozenset({"Clip", "HardSigmoid", "LeakyRelu", "Relu", "Sigmoid", "Tanh"})


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
        """Take the graph as it is."""
        engine = source
        if source.parent != folder:
            engine = folder / ENGINE
            engine.write_bytes(source.read_bytes())
        layers = self.read_back(Engine.read(engine, precision)).layers
        return Built(engine=engine.name, layers=layers)

    def read_back(
        self,
        engine: Engine,
        threads: int | None = None,
        frames: Sequence[NDArray[Any]] = (),
    ) -> ReadBack:
        """Look at the optimized graph and, with frames, into the profile of a session.

        Raises:
            BackendUnavailableError: The package onnx, which reads graphs, is not installed.
        """
        try:
            import onnx
        except ImportError as error:
            raise BackendUnavailableError(
                "reading ONNX Runtime's kernels", f"{error}. Install it: pip install onnx"
            ) from error
        with tempfile.TemporaryDirectory() as scratch, _errors(self._ort, engine.path):
            options = self._options(threads)
            options.optimized_model_filepath = str(Path(scratch) / "optimized.onnx")
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(scratch) / "profile")
            session = self._opened(engine, options)
            for frame in frames:
                session.run(None, {session.get_inputs()[0].name: frame})
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
            optimized = onnx.load(options.optimized_model_filepath).graph
            model = onnx.load_model_from_string(engine.data)
        return _read_back(model, optimized, events)

    def load(self, engine: Engine, threads: int | None) -> OnnxRuntimeSession:
        """Create a session on the CPU provider.

        Raises:
            ArtifactError: ONNX Runtime does not take the engine.
        """
        options = self._options(threads)

        def make() -> OnnxRuntimeSession:
            with _errors(self._ort, engine.path):
                return OnnxRuntimeSession(self._opened(engine, options), engine.name)

        return warmed_up(make)

    def _opened(self, engine: Engine, options: Any) -> Any:
        return self._ort.InferenceSession(engine.data, options, providers=["CPUExecutionProvider"])

    def _options(self, threads: int | None) -> Any:
        options = self._ort.SessionOptions()
        options.log_severity_level = _WARNINGS_OFF
        # Spinning threads slow down whatever runs next to the session, an OpenVINO call by half.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Without VNNI, products of uint8 and int8 saturate: weights become uint8 there, which has
        # exact kernels. With VNNI this changes nothing.
        options.add_session_config_entry("session.x64quantprecision", "1")
        # Its own default sees neither the affinity mask nor a CPU quota.
        options.intra_op_num_threads = threads or default_threads()
        return options


class OnnxRuntimeSession(SerialSession):
    """One ONNX Runtime session."""

    def __init__(self, session: Any, name: str) -> None:
        """Wrap a session of the engine of a name."""
        super().__init__()
        self._session: Any = session
        inputs, outputs = (
            {one.name: _port(one) for one in ports}
            for ports in (session.get_inputs(), session.get_outputs())
        )
        self.ports = Ports.of(name, inputs, outputs)
        (self._input,) = inputs

    def _run(self, frame: NDArray[Any], outputs: tuple[str, ...], out: Tensors | None) -> Tensors:
        """Run one frame; outputs that are not asked for are not computed.

        ONNX Runtime makes new arrays with each call: `out` spares the caller none of them.
        """
        try:
            values = self._session.run(list(outputs), {self._input: frame})
        except _failures() as error:
            raise BackendUnavailableError(
                "onnx", f"the engine does not run: {_reason(error)}"
            ) from error
        wanted = out or {}
        return {
            name: handed_over(name, value, out) if name in wanted else value
            for name, value in zip(outputs, values, strict=True)
        }

    def _free(self) -> None:
        self._session = None


def _port(found: Any) -> Port:
    """An input or output, from what ONNX Runtime says of it, e.g. 'tensor(float)'."""
    kind = found.type.removeprefix("tensor(").removesuffix(")")
    sides = (side if isinstance(side, int) else _OPEN for side in found.shape)
    return Port(shape=tuple(sides), dtype=_DTYPES.get(kind, kind))


def _read_back(
    model: onnx.ModelProto, optimized: onnx.GraphProto, events: Iterable[Mapping[str, Any]]
) -> ReadBack:
    """Join the graph as it was written, the graph as it runs, and a profile of its calls."""
    names = _names(model.graph, optimized)
    ran = {names[node.name]: node for node in optimized.node if node.name in names}
    layers = [
        LayerRecord(
            name=name,
            requested=wanted,
            executed=_executed(ran[name].op_type) if name in ran else None,
            kernel=_kernel(ran[name]) if name in ran else None,
        )
        for name, wanted in GraphView(model).asked.items()
    ]
    operators, times = _events(events)
    others = [
        LayerRecord(name=node, kind=kind_of(operator), kernel=operator)
        for node, operator in operators.items()
        if node not in names
    ]
    call_s = times.pop(_CALL, None)
    layer_s = {names.get(node, node): seconds for node, seconds in times.items()}
    return ReadBack(layers=(*layers, *others), layer_s=layer_s, call_s=call_s)


def _events(events: Iterable[Mapping[str, Any]]) -> tuple[dict[str, str], dict[str, float]]:
    """Operator of each node that ran, and mean seconds of each, and of a call as a whole."""
    operators: dict[str, str] = {}
    samples: dict[str, list[float]] = {}
    for event in events:
        name = str(event["name"])
        if name.endswith(_TIME_SUFFIX):
            name = name.removesuffix(_TIME_SUFFIX)
            operators[name] = event["args"]["op_name"]
        elif name != _CALL:
            continue
        samples.setdefault(name, []).append(event["dur"] / 1e6)
    counted = {name: seconds[WARMUP:] for name, seconds in samples.items()}
    means = {name: sum(seconds) / len(seconds) for name, seconds in counted.items() if seconds}
    return {name: operators[name] for name in operators if name in means}, means


def _names(graph: onnx.GraphProto, optimized: onnx.GraphProto) -> dict[str, str]:
    """Nodes of the optimized graph that are convolutions, to their names in the graph itself."""
    named: dict[str, str] = {}
    made_by: dict[str, str] = {}  # the tensor that a convolution, or its activation, makes
    for node in graph.node:
        if kind_of(node.op_type) == CONVOLUTION:
            named[node.name] = made_by[node.output[0]] = node.name
        elif node.op_type in _FUSED_ACTIVATIONS and node.input[0] in made_by:
            made_by[node.output[0]] = made_by[node.input[0]]
    found = {}
    for node in optimized.node:
        if kind_of(node.op_type) == CONVOLUTION:
            name = named.get(_RENAMED.sub("", node.name)) or made_by.get(
                node.name.removesuffix(_BLOCKED_SUFFIX)
            )
            if name is not None:
                found[node.name] = name
    return found


def _executed(operator: str) -> Precision:
    """The CPU provider's integer convolutions have names of their own."""
    return Precision.INT8 if operator in ("QLinearConv", "ConvInteger") else Precision.FP32


def _kernel(node: onnx.NodeProto) -> str:
    """Operator, and ONNX Runtime's layout where it has one of its own, e.g. 'nchwc.Conv'."""
    layout = node.domain.removeprefix("com.microsoft").strip(".")
    return f"{layout}.{node.op_type}" if layout else str(node.op_type)


@contextmanager
def _errors(ort: Any, path: Path) -> Iterator[None]:
    """Turn ONNX Runtime's own errors into one sentence."""
    try:
        yield
    except _failures() as error:
        raise ArtifactError(
            f"ONNX Runtime {ort.__version__} cannot take '{path}': {_reason(error)}"
        ) from error


def _failures() -> tuple[type[Exception], ...]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return tuple(getattr(state, name) for name in _FAILURES)


def _reason(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
