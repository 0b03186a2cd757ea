"""Train in a process of its own: takes a config file; says each step on stdout."""

from __future__ import annotations

import sys
from pathlib import Path

from lightawnet_edge.training.config import resolve
from lightawnet_edge.training.metrics_log import Observer, StepRecord
from lightawnet_edge.training.trainer import train


class Loud(Observer):
    def on_step(self, record: StepRecord) -> None:
        sys.stdout.write(f"step {record.epoch} {record.step}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    train(resolve(Path(sys.argv[1]), {}), observer=Loud())
