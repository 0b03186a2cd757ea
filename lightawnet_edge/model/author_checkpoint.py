"""Pickles of the authors' code as checkpoints of ours; no code in them runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from lightawnet_edge.errors import ArtifactError
from lightawnet_edge.model.checkpoint import check_finite, check_fit, describe, save_checkpoint
from lightawnet_edge.model.metadata import CheckpointMeta
from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.specs import Normalization, Size

# Prefixes of the authors' tensor names and ours, in the order in which they are tried.
_BLOCKS = {
    "layer1": "e1", "layer2": "e2", "layer3": "e3", "mul4": "a4", "mul5": "a5",
    "De1": "u1", "De2": "u2", "De3": "u3", "De4": "u4",
    "attention": "attention", "output": "out", "conv1_1": "b4", "conv1_2": "b5", "downconv": "s4",
}  # fmt: skip  # fmt: skip
_PARTS = {
    "dwconv": "depthwise", "conv1_1.0": "expand", "conv1_1.1": "expand_norm", "conv1_2.0": "gate",
    "down": "project", "up.0": "reduce", "up.1": "reduce_norm", "att.0": "squeeze",
    "att.2": "excite", "weight.weight": "dynamic.bank", "weight.norm": "dynamic.norm",
    "weight.attention.net": "dynamic.routing",
}  # fmt: skip  # fmt: skip
_OUT_PARTS = {"attention.net": "routing", "norm": "norm", "weight": "bank"}


def our_name(theirs: str) -> str:
    """Translate a tensor name of the authors' release; unknown names come back unchanged."""
    return _translate(theirs, _BLOCKS, _OUT_PARTS if theirs.startswith("output.") else _PARTS)


def author_name(ours: str) -> str:
    """Inverse of `our_name`."""
    parts = _OUT_PARTS if ours.startswith("out.") else _PARTS
    return _translate(ours, _inverse(_BLOCKS), _inverse(parts))


def _inverse(names: Mapping[str, str]) -> dict[str, str]:
    return {value: key for key, value in names.items()}


def _translate(name: str, blocks: Mapping[str, str], parts: Mapping[str, str]) -> str:
    block, _, rest = name.partition(".")
    if block not in blocks:
        return name
    for part in sorted(parts, key=len, reverse=True):
        if rest == part or rest.startswith(f"{part}."):
            rest = parts[part] + rest[len(part) :]
            break
    return f"{blocks[block]}.{rest}"


def import_author_checkpoint(path: Path) -> tuple[LightAWNet, int]:
    """Read a pickle `{"state": ..., "epoch": ...}` of the authors' code; return network and epoch.

    The file is read with `weights_only`: it can hold tensors and plain values, and runs no code.

    Raises:
        ArtifactError: Not readable that way, or a tensor is missing, unexpected, misshapen or not
            finite.
    """
    if not path.is_file():
        raise ArtifactError(f"No file '{path}'.")
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen unrelated types here
        reason = re.split(r"[\n.]", str(error))[0]
        raise ArtifactError(
            f"'{path}' cannot be read as tensors and plain values alone ({reason}). Only pickles "
            'of the form {"state": state_dict, "epoch": int} are taken; '
            "code in a pickle is never run."
        ) from error
    if (
        not isinstance(data, dict)
        or not isinstance(data.get("state"), Mapping)
        or not isinstance(data.get("epoch"), int)
    ):
        raise ArtifactError(
            f"'{path}' is not in the authors' format: expected a dict with 'state' and 'epoch', "
            f"found {describe(data)}."
        )
    state = {str(name).removeprefix("module."): t for name, t in data["state"].items()}
    first = state.get("layer1.dwconv.weight")
    channels = int(first.shape[0]) if isinstance(first, Tensor) and first.ndim == 4 else 1
    if channels not in (1, 3):
        raise ArtifactError(
            f"'{path}': tensor 'layer1.dwconv.weight' has {channels} channels, not 1 or 3."
        )
    model = LightAWNet(in_channels=channels)
    expected = {author_name(name): tensor for name, tensor in model.state_dict().items()}
    check_fit(state, expected, f"'{path}'")
    check_finite(state, f"'{path}'")
    model.load_state_dict({our_name(name): tensor for name, tensor in state.items()})
    return model.eval(), data["epoch"]


def convert_author_checkpoint(path: Path, out: Path, size: Size) -> CheckpointMeta:
    """Write an authors' checkpoint as one of ours; their recipe scales each image by its own range.

    Raises:
        ArtifactError: As for `import_author_checkpoint`.
    """
    model, epoch = import_author_checkpoint(path)
    meta = CheckpointMeta(
        in_channels=model.in_channels,
        size=size,
        normalization=Normalization(method="minmax"),
        training_data=f"unknown; imported from an authors' checkpoint of epoch {epoch}",
    )
    save_checkpoint(out, model.state_dict(), meta)
    return meta
