"""A checkpoint at work on frames with their truth: FP32, PyTorch, on the CPU.

Each frame goes through `DeviceModel`, the meaning of every engine, at the frame's own size: the
preprocessing is the network's own, logits are resized back, and masks are compared there.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lightawnet_edge import __version__
from lightawnet_edge.benchmarks.provenance import frames_digest
from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.store import replace_file, sha256_of
from lightawnet_edge.codec import dumps
from lightawnet_edge.data.frameset import FrameFile, FrameSet
from lightawnet_edge.data.listing import describe_unused
from lightawnet_edge.data.pixels import Mask, UInt8, opencv
from lightawnet_edge.errors import CheckFailedError, SpecError
from lightawnet_edge.evaluation.contact_sheet import Cell, contact_sheet
from lightawnet_edge.evaluation.evaluation import (
    EVALUATION_JSON,
    SCHEMA,
    UNKNOWN,
    WORST,
    WORST_JPEG,
    Evaluation,
    FrameResult,
    Weights,
)
from lightawnet_edge.evaluation.leakage import shown_in_training
from lightawnet_edge.model.packaged import DEFAULT_WEIGHTS, name_of
from lightawnet_edge.options import option
from lightawnet_edge.packages import require
from lightawnet_edge.progress import Narrate, OnStep, Step
from lightawnet_edge.scores.masks import hd95, score_mask
from lightawnet_edge.specs import ColorOrder, Size, check_network_size

if TYPE_CHECKING:
    from lightawnet_edge.model.metadata import CheckpointMeta

THRESHOLD = 0.5
"""Probability from which a pixel is foreground."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalSpec:
    """What to evaluate, on what."""

    weights: str = option("Checkpoint file, or name of packaged weights.", default=DEFAULT_WEIGHTS)
    data: Path = option("Folder with images/ and masks/, of equal stems.")
    split: Path | None = option(
        "File with the names of the frames to use, one a line.",
        default=None,
    )
    size: Size | None = option(
        "Network input, HEIGHTxWIDTH. Default: the checkpoint's.",
        default=None,
    )
    groups: Path | None = option(
        "CSV file 'stem,group': scores are given by group, e.g. by centre, too.",
        default=None,
    )
    limit: int | None = option(
        "Use at most this many frames, evenly spaced; 0 uses all.",
        default=None,
        none=0,
    )
    threads: int | None = option("CPU threads; 0 leaves it to PyTorch.", default=None, none=0)

    def __post_init__(self) -> None:
        for name in ("limit", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SpecError(f"{name}={value} must be at least 1.")
        if self.size is not None:
            check_network_size(self.size)


class TorchSegmenter:
    """A checkpoint as a function from frame to mask, whatever the frame's size."""

    def __init__(self, checkpoint: Path, meta: CheckpointMeta, size: Size) -> None:
        """`size` is the network's input.

        Raises:
            ArtifactError: The file is broken, or does not fit LightAWNet.
        """
        from lightawnet_edge.model.checkpoint import load_checkpoint

        self.color = ColorOrder.RGB if meta.in_channels == 3 else ColorOrder.GRAY
        self._network = load_checkpoint(checkpoint)
        self._meta = meta
        self._size = size

    @property
    def parameters(self) -> int:
        """Number of trained values in the network."""
        return sum(parameter.numel() for parameter in self._network.parameters())

    def __call__(self, frame: UInt8) -> Mask:
        """Segment a frame (H, W, 3) or (H, W); the mask is (H, W).

        Raises:
            CheckFailedError: The network gives probabilities that are not finite.
        """
        import torch

        from lightawnet_edge.graph.device_graph import DeviceModel

        contract = Contract(
            frame=Size(*frame.shape[:2]),
            color=self.color,
            network=self._size,
            normalization=self._meta.normalization,
            threshold=THRESHOLD,
            probability=True,
        )
        with torch.inference_mode():
            mask, probability = DeviceModel(self._network, contract)(torch.from_numpy(frame))
        if count := int((~torch.isfinite(probability)).sum()):
            raise CheckFailedError(
                f"The weights give {count} of {probability.numel()} probabilities that are not "
                "finite: they are too large for FP32. Take an earlier checkpoint of the run."
            )
        found: UInt8 = mask.numpy()
        return found > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """An evaluation, and what its pictures are made with."""

    result: Evaluation
    segment: TorchSegmenter
    frames: FrameSet


def evaluate(
    spec: EvalSpec, on_step: OnStep = lambda _: None, narrate: Narrate = lambda _: None
) -> Measured:
    """Score a checkpoint on frames; every frame counts, so one that cannot be read is an error.

    All frames are read once before the first is scored.

    Args:
        spec: What to evaluate, on what.
        on_step: Told of each step.
        narrate: Told what lies in the folder and is not used, and what is to be doubted.

    Raises:
        SpecError: The request does not fit the checkpoint or the data.
        ArtifactError: A file is missing, unreadable or unfit.
        BackendUnavailableError: A package is not installed.
        CheckFailedError: The network gives probabilities that are not finite.
    """
    require("evaluate", ("torch", "cv2", "safetensors"), "export")
    from lightawnet_edge.model.metadata import read_metadata
    from lightawnet_edge.model.packaged import resolve

    checkpoint = resolve(spec.weights)
    meta = read_metadata(checkpoint)
    data = FrameSet.open(spec.data, masks=True, split=spec.split, limit=spec.limit)
    groups = data.groups(spec.groups) if spec.groups else None
    color = ColorOrder.RGB if meta.in_channels == 3 else ColorOrder.GRAY
    doubted = tuple(data.check_pairs(color, on_step))
    for text in (*describe_unused(data.unused), *doubted):
        narrate(text)
    import torch  # seconds, once nothing is refused

    if spec.threads:
        torch.set_num_threads(spec.threads)
    segment = TorchSegmenter(checkpoint, meta, spec.size or meta.size)
    frames = []
    for done, file in enumerate(data.files):
        on_step(Step("scoring", done, len(data)))
        group = None if groups is None else groups.get(file.stem, UNKNOWN)
        frames.append(_frame(file, segment, group))
    result = Evaluation(
        version=__version__,
        weights=Weights(
            name=name_of(checkpoint),
            sha256=sha256_of(checkpoint),
            parameters=segment.parameters,
            **{field.name: getattr(meta, field.name) for field in fields(meta)},
        ),
        size=str(spec.size or meta.size),
        data=spec.data.resolve().name,
        split=None if spec.split is None else spec.split.name,
        limit=spec.limit,
        frames_sha256=frames_digest(data.files),
        tools=_tools(),
        frames=tuple(frames),
        trained_on=shown_in_training(checkpoint, data, color, on_step),
        doubted=doubted,
    )
    return Measured(result=result, segment=segment, frames=data)


def write_evaluation(measured: Measured, folder: Path) -> Path:
    """Write `evaluation.json` and `worst.jpg` into a folder; return the former."""
    result = measured.result
    files = {file.stem: file for file in measured.frames.files}
    tiles = []
    for number, frame in enumerate(result.worst(WORST), start=1):
        file = files[frame.stem]
        picture, truth = file.read_pair()
        mask = measured.segment(file.read(measured.segment.color))
        tiles.append(Cell(f"{number}  Dice {frame.dice:.2f}", picture, truth, mask))
    text = dumps(result, schema=SCHEMA, indent=1, sort_keys=False)
    replace_file(folder / WORST_JPEG, contact_sheet(tiles))
    replace_file(folder / EVALUATION_JSON, text.encode())
    return folder / EVALUATION_JSON


def _frame(file: FrameFile, segment: TorchSegmenter, group: str | None) -> FrameResult:
    frame, truth = file.read_pair(segment.color)
    mask = segment(frame)
    score = score_mask(mask, truth)
    return FrameResult(
        stem=file.stem,
        height=truth.shape[0],
        width=truth.shape[1],
        group=group,
        truth_share=float(truth.mean()),
        predicted_share=float(mask.mean()),
        dice=score.dice,
        iou=score.iou,
        precision=score.precision,
        recall=score.recall,
        hd95_px=hd95(mask, truth),
    )


def _tools() -> dict[str, str]:
    import torch

    return {
        "numpy": np.__version__, "opencv": opencv().__version__, "torch": str(torch.__version__),
    }  # fmt: skip
