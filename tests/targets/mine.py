"""A target of its own, in one file: ONNX Runtime under another name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from lightawnet_edge.bundle.engine import Engine
from lightawnet_edge.graph.quantization import Frames
from lightawnet_edge.specs import Method, Precision
from lightawnet_edge.targets.base import Built, ReadBack, Session
from lightawnet_edge.targets.onnx.engine import OnnxRuntimeBackend
from lightawnet_edge.targets.onnx.int8 import OnnxDraft
from lightawnet_edge.targets.onnx.probe import OnnxProbe
from lightawnet_edge.targets.traits import Traits

ENGINE = "engine.mine"

TRAITS = Traits(
    module="onnxruntime",
    packages=("onnxruntime",),
    install="Install it: pip install mine",
    backend="tests.targets.mine:MineBackend",
    quantizer="tests.targets.mine:MineDraft",
    probe="tests.targets.mine:MineProbe",
    exports="engines of its own",
)


class MineBackend:
    """Builds engines under a name of their own, and runs them."""

    def __init__(self) -> None:
        self._theirs = OnnxRuntimeBackend()

    def version(self) -> str:
        return "0.1"

    def refusals(self) -> Mapping[Precision, str | None]:
        wide = {Precision.FP16: "it is not mine", Precision.BF16: "it is not mine"}
        return {**dict.fromkeys(Precision), **wide}

    def build(self, source: Path, folder: Path, precision: Precision) -> Built:
        (folder / ENGINE).write_bytes(source.read_bytes())
        layers = self.read_back(Engine.read(folder / ENGINE, precision)).layers
        return Built(engine=ENGINE, layers=layers)

    def load(self, engine: Engine, threads: int | None) -> Session:
        return self._theirs.load(engine, threads)

    def read_back(
        self,
        engine: Engine,
        threads: int | None = None,
        frames: Sequence[NDArray[Any]] = (),
    ) -> ReadBack:
        return self._theirs.read_back(engine, threads, frames)


class MineDraft:
    """Quantizes as ONNX Runtime does."""

    def __init__(self, device_graph: Path, frames: Frames, floats: Sequence[str]) -> None:
        self._theirs = OnnxDraft(device_graph, frames, floats)

    def write(self, folder: Path, method: Method) -> Path:
        file = self._theirs.write(folder, method)
        return file.rename(file.with_suffix(".mine"))


class MineProbe(OnnxProbe):
    """Its models are ONNX files."""
