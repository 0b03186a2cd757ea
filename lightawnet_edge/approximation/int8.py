"""The INT8 model of an export: the best method's, with layers back in float as a budget asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.approximation.method import HELD_OUT_STRIDE, MIN_HELD_OUT, quantize_best
from lightawnet_edge.approximation.restore import restore
from lightawnet_edge.approximation.sensitivity import Study
from lightawnet_edge.bundle.choices import MethodRecord, RestoreRecord
from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.engine import Engine
from lightawnet_edge.calibration.frames import CalibrationSet
from lightawnet_edge.calibration.judgement import Judgement
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.graph.quantization import MasksOf
from lightawnet_edge.progress import Narrate, OnStep
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
    judgement: Judgement
    """Says which of the frames may be held out."""
    narrate: Narrate
    on_step: OnStep

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
            held_out=self._held_out,
            method=self.method,
            narrate=self.narrate,
            on_step=self.on_step,
        )
        if self.max_dice_drop is not None:
            restored = self._restored(device_graph, file, record, self.max_dice_drop)
            record = replace(record, restored=restored)
        return file, record

    @property
    def _held_out(self) -> tuple[int, ...]:
        """Frames that may compare methods; none where they show too few scenes."""
        enough = self.judgement.scenes // HELD_OUT_STRIDE >= MIN_HELD_OUT
        return self.judgement.held_out(HELD_OUT_STRIDE) if enough else ()

    def _restored(
        self, device_graph: Path, model: Path, record: MethodRecord, budget: float
    ) -> RestoreRecord:
        """Put layers of the model back to float, as far as the budget asks for it."""
        backend = table.get_for(self.target, Precision.INT8)
        taken = self._held_out if record.held_out else range(len(self.calibration))
        read = backend.read_back(Engine.read(model, Precision.INT8)).layers
        study = Study(
            probe=table.probe(self.target),
            engine=model,
            exact=device_graph,
            backend=backend,
            frames=partial(self._labelled, self.calibration.only(taken), backend, device_graph),
        )
        return restore(
            study,
            [layer.name for layer in read if layer.requested is Precision.INT8],
            max_dice_drop=budget,
            held_out=bool(record.held_out),
            has_truth=self.calibration.has_masks,
            narrate=self.narrate,
            on_step=self.on_step,
        )

    def _labelled(
        self, taken: CalibrationSet, backend: Backend, graph: Path
    ) -> Iterator[tuple[UInt8, NDArray[np.bool_]]]:
        """Frames with their truths: masks, or what the FP32 graph says where there are none."""
        contract = self.contract
        frames = taken.frames(contract.camera)
        if taken.has_masks:
            yield from zip(frames, taken.truths(contract.frame), strict=True)
            return
        exact = backend.load(Engine.read(graph, Precision.FP32), None)
        try:
            for frame in frames:
                yield frame, exact.infer(frame, ("mask",))["mask"] > 0
        finally:
            exact.close()
