"""TensorRT and TensorRT-RTX as backends: what they can do on this machine, and their sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from lightawnet_edge.bundle.engine import Engine
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError
from lightawnet_edge.machine.cuda_driver import find_device
from lightawnet_edge.specs import Precision, Target
from lightawnet_edge.targets.base import ReadBack
from lightawnet_edge.targets.tensorrt.builder import import_tensorrt
from lightawnet_edge.targets.tensorrt.devices import RTX_CAPABILITIES
from lightawnet_edge.targets.tensorrt.log import convolution_records, parse_inspector
from lightawnet_edge.targets.tensorrt.options import is_portable
from lightawnet_edge.targets.tensorrt.session import TensorRtSession, open_session


class TensorRtBackend:
    """Runs engines with the TensorRT of this machine; `finish` builds them."""

    target = Target.TENSORRT

    def __init__(self) -> None:
        """Raise BackendUnavailableError where the module is not installed, or has no builder."""
        self._trt: Any = import_tensorrt(self.target)

    def version(self) -> str:
        """Version of the module."""
        return str(self._trt.__version__)

    def refusals(self) -> Mapping[Precision, str | None]:
        """Without a device nothing runs, though TensorRT-RTX builds."""
        reason = self._no_device()
        refused: dict[Precision, str | None] = dict.fromkeys(Precision, reason)
        return {**refused, Precision.BF16: reason or "this version writes no BF16 graph for it"}

    def read_back(
        self,
        engine: Engine,
        threads: int | None = None,
        frames: Sequence[NDArray[Any]] = (),
    ) -> ReadBack:
        """Ask the engine's inspector; layers are not timed in this version."""
        session = self.load(engine, threads)
        try:
            layers = parse_inspector(inspect(self._trt, session.engine))
        finally:
            session.close()
        return ReadBack(layers=convolution_records(layers, engine.requested))

    def load(self, engine: Engine, threads: int | None) -> TensorRtSession:
        """Load a plan that was verified: it can carry code. `threads` are the CPU's.

        Raises:
            ArtifactError: It does not say what it was built for, or TensorRT does not take it.
            BackendUnavailableError: As for `open_session`.
        """
        if engine.binding is None:
            raise ArtifactError(
                f"'{engine.path}' does not say what it was built for. Export it again."
            )
        return open_session(self._trt, engine.data, engine.binding, engine.folder)

    def _no_device(self) -> str | None:
        try:
            device = find_device()
        except BackendUnavailableError as error:
            return error.reason
        if is_portable(self._trt) and device.capability not in RTX_CAPABILITIES:
            known = ", ".join(f"SM{capability}" for capability in RTX_CAPABILITIES)
            return f"the {device.name} here is SM{device.capability}, expected one of {known}"
        return None


class TensorRtRtxBackend(TensorRtBackend):
    """The same for TensorRT-RTX."""

    target = Target.TENSORRT_RTX


def inspect(trt: Any, engine: Any) -> str:
    """What an engine says of its layers, as JSON."""
    inspector = engine.create_engine_inspector()
    return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))
