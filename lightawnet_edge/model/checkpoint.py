"""Checkpoints: safetensors with metadata, written and read whole, without executing code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightawnet_edge.bundle.store import replace_file
from lightawnet_edge.codec import dumps
from lightawnet_edge.errors import ArtifactError, CheckFailedError
from lightawnet_edge.model.metadata import KEY, SCHEMA, CheckpointMeta, opened, read_metadata
from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.model.packaged import resolve

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def save_checkpoint(path: Path, state: Mapping[str, Tensor], meta: CheckpointMeta) -> None:
    """Write tensors and metadata aside, then rename: a killed save leaves the old file.

    Raises:
        CheckFailedError: A tensor is not finite; the old file stays, too.
    """
    from safetensors.torch import save

    if problem := not_finite(state):
        raise CheckFailedError(f"'{path}' was not written: {problem}.")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    replace_file(path, save(tensors, {KEY: dumps(meta, schema=SCHEMA, indent=None).strip()}))


def load_checkpoint(path: str | Path) -> LightAWNet:
    """Load a network in eval mode from a file, or from the name of packaged weights.

    Raises:
        ArtifactError: The file is missing, broken, or its tensors do not fit LightAWNet or are not
            finite.
    """
    file_path = resolve(path)
    meta = read_metadata(file_path)
    with opened(file_path, "pt") as file:
        state = {name: file.get_tensor(name) for name in sorted(file.keys())}
    model = LightAWNet(in_channels=meta.in_channels, experts=meta.experts)
    check_fit(state, model.state_dict(), f"Checkpoint '{file_path}'")
    check_finite(state, f"Checkpoint '{file_path}'")
    model.load_state_dict(state)
    return model.eval()


def check_fit(state: Mapping[str, Any], expected: Mapping[str, Tensor], what: str) -> None:
    """Name the first tensor that is missing, unexpected or misshapen."""
    for name in expected:
        if name not in state:
            raise ArtifactError(f"{what}: tensor '{name}' is missing.")
    for name, found in state.items():
        if name not in expected:
            raise ArtifactError(f"{what}: tensor '{name}' is unexpected.")
        if not isinstance(found, Tensor) or found.shape != expected[name].shape:
            raise ArtifactError(
                f"{what}: tensor '{name}' has shape {describe(found)}, "
                f"expected {tuple(expected[name].shape)}."
            )
        if expected[name].is_floating_point() and found.dtype not in _FLOATS:
            raise ArtifactError(
                f"{what}: tensor '{name}' is {str(found.dtype).removeprefix('torch.')}, expected "
                "float32, or float16, bfloat16 or float64: a scale that belongs to other numbers "
                "is not known."
            )


def check_finite(state: Mapping[str, Tensor], what: str) -> None:
    """Refuse tensors with which nothing can be computed, and name the first."""
    if problem := not_finite(state):
        raise ArtifactError(
            f"{what}: {problem}. Take an earlier checkpoint of the run, or train it again with a "
            "lower learning rate."
        )


def not_finite(state: Mapping[str, Tensor]) -> str | None:
    """Say which tensor is the first to hold NaN or infinity, or to lead to it; None without any."""
    for name, tensor in state.items():
        if count := int((~torch.isfinite(tensor)).sum()):
            return f"tensor '{name}' holds {count} of {tensor.numel()} values that are not finite"
        if name.endswith("running_var") and bool((tensor < 0).any()):
            return f"tensor '{name}' is a variance, and holds {float(tensor.min()):g}"
    return None


def describe(value: object) -> str:
    """Shape of a tensor, or the kind of anything else, for messages."""
    if isinstance(value, Tensor):
        return str(tuple(value.shape))
    if isinstance(value, dict):
        return f"a dict with {sorted(map(str, value))[:4]}"
    return f"a {type(value).__name__}"
