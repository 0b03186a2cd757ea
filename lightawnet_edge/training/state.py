"""What a run must remember to go on to the bit: one file, replaced at the end of every epoch."""

from __future__ import annotations

import copy
import dataclasses
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lightawnet_edge.bundle.store import replace_file
from lightawnet_edge.codec import CodecError, decode, encode
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.model.packaged import BEST
from lightawnet_edge.training.config import CONFIG, TrainConfig
from lightawnet_edge.training.metrics_log import EpochRecord

SCHEMA = 2  # 1: first version. 2: several optimizers; the size of each epoch.
_FREE_KEYS = frozenset(
    {
        "data", "more", "out", "split", "val_split", "groups", "init", "teacher",
        "training_data", "license",
        "device", "threads", "precision", "memory_format",
    }
)  # fmt: skip
"""Config keys that may differ on resuming: places, words, and how a machine computes. Data and
teacher are compared by content, and what a run started from is in its state."""


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
    """Fingerprint of all frames and masks."""
    model: dict[str, Tensor]
    ema: dict[str, Tensor]
    optimizers: list[dict[str, Any]]
    scaler: dict[str, Any] | None
    records: list[EpochRecord] = field(default_factory=list)
    teacher: str | None = None
    """Digest of the teacher's weights; None without one, and from an earlier version."""

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

    def check_continues(self, config: TrainConfig, data: str, teacher: str | None = None) -> None:
        """Refuse to go on with another config, teacher or data: the weights would be of neither.

        Raises:
            SpecError: Names the keys that differ.
        """
        now, then = encode(config), _with_defaults(self.config)
        keys = sorted((now.keys() | then.keys()) - _FREE_KEYS)
        changed = [key for key in keys if now.get(key) != then.get(key)]
        if changed == ["epochs"]:
            raise SpecError(_other_epochs(config, then["epochs"]))
        if changed:
            raise SpecError(
                f"'{config.out}' was started with another config: "
                + ", ".join(f"{key} was {then.get(key)!r}, is {now.get(key)!r}" for key in changed)
                + ". Resume with the config.toml of the run, or choose another --out."
            )
        if self.teacher is not None and teacher != self.teacher:
            raise SpecError(
                f"'{config.out}' was started with another teacher than '{config.teacher}': the "
                "weights differ. Resume with that teacher, or choose another --out."
            )
        if data != self.data:
            raise SpecError(
                f"'{config.out}' was started on other frames or masks, or another split of them. "
                "Resume on the same data, or choose another --out."
            )


def _other_epochs(config: TrainConfig, planned: int) -> str:
    """What to do instead of resuming a run with another number of epochs."""
    best, more = config.out / BEST, config.epochs - planned
    told = (
        f"For more, begin a new run from its weights: lightawnet-edge train --config "
        f"{config.out / CONFIG} --init {best} --epochs {more} --out ANOTHER"
        if more > 0
        else f"'{best}' holds its best weights until now"
    )
    return (
        f"'{config.out}' was planned for {planned} epochs, with which its learning rate ends: "
        f"{config.epochs} would be another run. Leave --epochs out to finish it. {told}."
    )


def _with_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config as this version writes it: settings that came later have their defaults."""
    try:
        return dict(encode(decode(TrainConfig, config)))
    except CodecError:
        return dict(config)
