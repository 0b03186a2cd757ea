"""The INT8 model of an export: the best method's, with layers back in float as a budget asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.approximation.method import is_taken, quantize_best
from lightawnet_edge.approximation.restore import restore
from lightawnet_edge.approximation.sensitivity import Study
from lightawnet_edge.bundle.choices import MethodRecord, RestoreRecord
from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.engine import Engine
from lightawnet_edge.calibration.frames import CalibrationSet
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.graph.quantization import MasksOf
from lightawnet_edge.progress import Narrate
from lightawnet_edge.specs import Method, Precision, Target
from lightawnet_edge.targets import table
from lightawnet_edge.targets.base import Backend


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8:
    """What decides about an INT8 model beside its device graph."""

    target: Target
    contract: Contract
    calibration: CalibrationSet
    method: Method | None
    """None: the best on frames held out for that."""
    max_dice_drop: float | None
    """Mean Dice per frame that INT8 may cost; None puts no layer back to float."""
    narrate: Narrate

    def __call__(
        self, device_graph: Path, folder: Path, masks: MasksOf
    ) -> tuple[Path, MethodRecord]:
        """Write the INT8 model of a device graph into `folder`; return its file and its record.

        Raises:
            BackendUnavailableError: The quantizer of the target is not installed, or a budget is
                asked for and its layers cannot be probed.
            ArtifactError: The quantizer refuses the graph.
            CheckFailedError: The budget cannot be held.
        """
        contract = self.contract
        file, record = quantize_best(
            device_graph,
            folder,
            self.target,
            partial(self.calibration.frames, contract.camera),
            masks=masks,
            method=self.method,
            narrate=self.narrate,
        )
        if self.max_dice_drop is not None:
            restored = self._restored(device_graph, file, record, self.max_dice_drop)
            record = replace(record, restored=restored)
        return file, record

    def _restored(
        self, device_graph: Path, model: Path, record: MethodRecord, budget: float
    ) -> RestoreRecord:
        """Put layers of the model back to float, as far as the budget asks for it."""
        backend = table.get_for(self.target, Precision.INT8)
        read = backend.read_back(Engine.read(model, Precision.INT8)).layers
        study = Study(
            probe=table.probe(self.target),
            engine=model,
            exact=device_graph,
            backend=backend,
            frames=partial(self._labelled, backend, device_graph, held_out=bool(record.held_out)),
        )
        return restore(
            study,
            [layer.name for layer in read if layer.requested is Precision.INT8],
            max_dice_drop=budget,
            held_out=bool(record.held_out),
            has_truth=self.calibration.has_masks,
            narrate=self.narrate,
        )

    def _labelled(
        self, backend: Backend, graph: Path, *, held_out: bool
    ) -> Iterator[tuple[UInt8, NDArray[np.bool_]]]:
        """Frames with their truths: masks, or what the FP32 graph says where there are none."""
        contract = self.contract
        frames = self.calibration.frames(contract.camera)
        truths = self.calibration.truths(contract.frame)
        if self.calibration.has_masks:
            pairs = zip(frames, truths, strict=True)
            yield from (pair for number, pair in enumerate(pairs, 1) if is_taken(number, held_out))
            return
        exact = backend.load(Engine.read(graph, Precision.FP32), None)
        try:
            for number, frame in enumerate(frames, 1):
                if is_taken(number, held_out):
                    yield frame, exact.infer(frame, ("mask",))["mask"] > 0
        finally:
            exact.close()
