"""A typed graph run by OpenVINO's kernels, which are no simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.bundle.engine import Engine
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.graph.simulation import OUTPUTS, Runs
from lightawnet_edge.specs import Precision, Target
from lightawnet_edge.targets import table

if TYPE_CHECKING:
    import onnx


def in_openvino(model: onnx.ModelProto) -> Runs:
    """Open a device graph of both outputs in OpenVINO, whose kernels are no simulation.

    Convolutions between Q/DQ pairs multiply integers. What is FP16 is computed in FP32, with FP16
    kernels.

    Raises:
        BackendUnavailableError: OpenVINO is not installed.
        ArtifactError: It does not take the graph.
    """
    name = "graph.onnx"
    engine = Engine(name=name, files={name: model.SerializeToString()}, precision=Precision.FP32)
    session = table.get(Target.OPENVINO).load(engine, None)

    def run(frame: UInt8) -> tuple[UInt8, NDArray[np.float32]]:
        found = session.infer(frame, OUTPUTS)
        return found["mask"], found["probability"]

    return run
