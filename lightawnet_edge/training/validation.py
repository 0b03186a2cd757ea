"""Scores of a network in training: mean over frames at network size, over all processes."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from lightawnet_edge.model.preprocess import normalize
from lightawnet_edge.scores.masks import SegmentationScore, mean_score, score_mask
from lightawnet_edge.specs import Normalization
from lightawnet_edge.training.data import TrainingSet


@torch.no_grad()
def score(
    network: nn.Module,
    frames: TrainingSet,
    normalization: Normalization,
    accelerator: Accelerator,
    batch_size: int,
) -> SegmentationScore:
    """Mean score of a network; each process takes every n-th frame, all get the mean."""
    mine = torch.arange(accelerator.process_index, len(frames), accelerator.num_processes)
    scores: list[tuple[int, SegmentationScore]] = []
    for indices in torch.split(mine, batch_size):
        images = frames.images[indices].to(accelerator.device).float() / 255
        with accelerator.autocast():
            logits = network(normalize(images, normalization))
        found = (logits >= 0).cpu().numpy()
        truth = frames.masks[indices].bool().numpy()
        scores += zip(indices.tolist(), map(score_mask, found, truth), strict=True)
    ordered = sorted(gather_object(scores), key=lambda pair: pair[0])
    return mean_score([score for _, score in ordered])
