"""What a checkpoint says of itself; imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightawnet_edge.errors import ArtifactError
from lightawnet_edge.model.traits import EXPERTS, check_channels, check_experts
from lightawnet_edge.specs import Normalization, Size, check_network_size

SCHEMA = 2  # 1: first version. 2: `experts`, which was 4 before.
KEY = "lightawnet_edge"
"""Of a safetensors file's metadata."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointMeta:
    """What a checkpoint says of itself; travels inside the file."""

    in_channels: int
    experts: int = EXPERTS
    """Kernels in each bank; 1 for a static twin."""
    size: Size
    """Network input that the weights are for."""
    normalization: Normalization = field(default_factory=Normalization)
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

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the schema number."""
        return {
            "schema": SCHEMA,
            "in_channels": self.in_channels,
            "experts": self.experts,
            "size": str(self.size),
            "normalization": self.normalization.to_json(),
            "training_data": self.training_data,
            "license": self.license,
            "metrics": dict(self.metrics),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CheckpointMeta:
        """Inverse of `to_json`."""
        return cls(
            in_channels=int(data["in_channels"]),
            experts=int(data.get("experts", EXPERTS)),
            size=Size.parse(data["size"]),
            normalization=Normalization.from_json(data["normalization"]),
            training_data=data["training_data"],
            license=data["license"],
            metrics=data["metrics"],
        )


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
        data = json.loads(text)
        if data["schema"] not in range(1, SCHEMA + 1):
            raise ArtifactError(
                f"Checkpoint '{path}' has schema {data['schema']!r}, this version reads 1 to "
                f"{SCHEMA}. "
                "Use the version of lightawnet-edge that wrote it."
            )
        return CheckpointMeta.from_json(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(f"Checkpoint '{path}' has unreadable metadata: {error!r}.") from error


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
