"""What a checkpoint says of itself; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightawnet_edge.codec import NEEDED, CodecError, loads
from lightawnet_edge.errors import ArtifactError
from lightawnet_edge.model.traits import EXPERTS, check_channels, check_experts
from lightawnet_edge.specs import ColorOrder, Normalization, Size, check_network_size

SCHEMA = 2  # 1: first version. 2: `experts`, which was 4 before.
KEY = "lightawnet_edge"
"""Of a safetensors file's metadata."""
_UPGRADES = {1: lambda data: {"experts": EXPERTS, **data}}
_LONGEST = 1 << 20
"""Characters: the names and terms of many data sets, and nothing that takes time to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointMeta:
    """What a checkpoint says of itself; travels inside the file."""

    in_channels: int
    experts: int = EXPERTS
    """Kernels in each bank; 1 for a static twin."""
    size: Size
    """Network input that the weights are for."""
    normalization: Normalization = field(default_factory=Normalization, metadata=NEEDED)
    training_data: str = "unknown"
    """Data set, version and attribution."""
    license: str = "unknown"
    """Terms under which the weights may be used."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Name to value, on the validation set named by `training_data`."""

    def __post_init__(self) -> None:
        check_channels(self.in_channels)
        check_experts(self.experts)
        check_network_size(self.size)

    @property
    def color(self) -> ColorOrder:
        """Color order of the frames where none is asked for."""
        return ColorOrder.GRAY if self.in_channels == 1 else ColorOrder.RGB


def read_metadata(path: Path) -> CheckpointMeta:
    """Read what a checkpoint says of itself, without its tensors.

    Raises:
        ArtifactError: The file is missing, no safetensors file, or not one of ours.
    """
    with opened(path, "np") as file:
        text = (file.metadata() or {}).get(KEY)
    if text is None:
        raise ArtifactError(
            f"Checkpoint '{path}' is a safetensors file without LightAWNet metadata. "
            "Train with 'lightawnet-edge train', or convert with "
            "'lightawnet-edge import-checkpoint'."
        )
    try:
        if len(text) > _LONGEST:
            raise CodecError(f"{len(text)} characters, expected at most {_LONGEST}")
        return loads(CheckpointMeta, text, schema=SCHEMA, upgrades=_UPGRADES)
    except CodecError as error:
        raise ArtifactError(
            f"Checkpoint '{path}' has unreadable metadata: {error}. Use the version of "
            "lightawnet-edge that wrote it, or restore the file."
        ) from error


def opened(path: Path, framework: str) -> Any:
    """Open a safetensors file; its tensors come as those of `framework`, 'np' or 'pt'.

    Raises:
        ArtifactError: There is no such file, or it is no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ArtifactError(f"No checkpoint '{path}'.")
    try:
        return safe_open(path, framework=framework)
    except (SafetensorError, OSError) as error:
        raise ArtifactError(
            f"Checkpoint '{path}' is not a safetensors file ({error}). For a pickle of the "
            "authors' code, run 'lightawnet-edge import-checkpoint'."
        ) from error
