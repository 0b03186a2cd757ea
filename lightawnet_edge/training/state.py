"""What a run must remember to go on to the bit: one file, replaced at the end of every epoch."""

from __future__ import annotations

import copy
import dataclasses
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lightawnet_edge.bundle.store import replace_file
from lightawnet_edge.codec import decode, encode
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.training.config import TrainConfig
from lightawnet_edge.training.metrics_log import EpochRecord

SCHEMA = 2  # 1: first version. 2: several optimizers; the size of each epoch.
_FREE_KEYS = ("data", "out", "split", "val_split", "groups", "device", "training_data", "license")
"""Config keys that may differ on resuming: places and words. The data are compared by content."""


class Ema:
    """Exponential moving average of a network's weights and batch-norm statistics."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Start from a copy of `model`; `decay` 0 follows it without delay."""
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after `step` (from 0); early on the average is short."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for mean, value in zip(
            self.model.state_dict().values(), model.state_dict().values(), strict=True
        ):
            if mean.is_floating_point():
                mean.lerp_(value.to(mean.dtype), 1 - decay)
            else:
                mean.copy_(value)


@dataclass(kw_only=True)
class RunState:
    """Everything besides the data that the next epoch depends on."""

    config: dict[str, Any]
    data: str
    """Fingerprint of the training and the validation set."""
    model: dict[str, Tensor]
    ema: dict[str, Tensor]
    optimizers: list[dict[str, Any]]
    scaler: dict[str, Any] | None
    records: list[EpochRecord] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write aside and rename: a killed save leaves the last state whole."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        values["records"] = encode(self.records)
        buffer = io.BytesIO()
        torch.save({"schema": SCHEMA, **values}, buffer)
        replace_file(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> RunState:
        """Read a state; no code in the file is run.

        Raises:
            ArtifactError: The file is broken, or of another schema.
        """
        try:
            values = torch.load(path, map_location="cpu", weights_only=True)
            schema = values.pop("schema")
            records = decode(list[EpochRecord], values.pop("records"))
        except Exception as error:  # torch raises half a dozen unrelated types here
            raise ArtifactError(
                f"'{path}' cannot be read as the state of a run: {error!r:.200}. Train anew with "
                "another --out; best.safetensors beside it can serve as --init."
            ) from error
        if schema != SCHEMA:
            raise ArtifactError(
                f"'{path}' has schema {schema!r}, this version reads {SCHEMA}. "
                "Train anew with another --out."
            )
        return cls(records=records, **values)

    def check_continues(self, config: TrainConfig, data: str) -> None:
        """Refuse to go on with another config or other data: the weights would be of neither run.

        Raises:
            SpecError: Names the keys that differ.
        """
        now = encode(config)
        keys = sorted((now.keys() | self.config.keys()) - set(_FREE_KEYS))
        if changed := [key for key in keys if now.get(key) != self.config.get(key)]:
            raise SpecError(
                f"'{config.out}' was started with another config: "
                + ", ".join(
                    f"{key} was {self.config.get(key)!r}, is {now.get(key)!r}" for key in changed
                )
                + ". Resume with the config.toml of the run, or choose another --out."
            )
        if data != self.data:
            raise SpecError(
                f"'{config.out}' was started on other frames or masks, or another split of them. "
                "Resume on the same data, or choose another --out."
            )
