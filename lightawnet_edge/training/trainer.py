"""The training loop, in one process or many (Hugging Face Accelerate).

A run is a pure function of its config, its data and the machine: the order of frames and their
augmentation depend on (seed, epoch, index) alone, and `state.pt` holds the rest at every epoch's
end. A run that was killed at any moment and resumed therefore ends with the bits of one that was
not (tested on CPU; CUDA kernels that add in no fixed order are outside the promise).

Several processes share the global batch of `batch_size` frames. With `freeze_norm` they compute
what one process computes, up to the order of float sums. Without, each normalizes by the statistics
of its own share, and the averaged network takes the mean of all running statistics for validation.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader

from lightawnet_edge.bundle.store import replace_file, sha256_of
from lightawnet_edge.codec import encode
from lightawnet_edge.errors import CheckFailedError, SpecError
from lightawnet_edge.model.checkpoint import load_checkpoint, not_finite, save_checkpoint
from lightawnet_edge.model.metadata import CheckpointMeta
from lightawnet_edge.model.packaged import BEST, LAST, resolve
from lightawnet_edge.progress import Narrate
from lightawnet_edge.scores.masks import SegmentationScore
from lightawnet_edge.specs import Size
from lightawnet_edge.training.config import CONFIG, TrainConfig, to_toml
from lightawnet_edge.training.data import EpochSampler, Sets, TrainingSet, load
from lightawnet_edge.training.learner import CALMER, Learner, finite
from lightawnet_edge.training.made import keep_made, kept_made
from lightawnet_edge.training.metrics_log import (
    EpochRecord,
    Observer,
    StepRecord,
    TensorBoardLog,
    write_csv,
)
from lightawnet_edge.training.setup import make_accelerator, rate_factor
from lightawnet_edge.training.split import keep_sides
from lightawnet_edge.training.state import RunState
from lightawnet_edge.training.validation import score

logger = logging.getLogger(__name__)

STATE = "state.pt"
METRICS = "metrics.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """How a run ended."""

    checkpoint: Path
    """The weights with the best validation Dice."""
    score: SegmentationScore
    """Validation scores of these weights, at network size; they chose the epoch too, unless frames
    were held out for that."""
    best_epoch: int
    epochs: int
    """Epochs trained, over all sittings."""
    stopped_early: bool
    seconds: float
    """Duration of all epochs, over all sittings."""


def train(
    config: TrainConfig,
    *,
    resume: bool = False,
    observer: Observer | None = None,
    narrate: Narrate = lambda _: None,
) -> TrainResult:
    """Train a LightAWNet into the folder `config.out`; with `resume`, go on where a run was left.

    Args:
        config: What to train, on what.
        resume: Go on with the run in the folder.
        observer: Hears of the progress, in the main process.
        narrate: Told, in the main process, what is to be said of the data before the first step.

    Raises:
        SpecError: The request does not fit the data, or the folder holds a run and `resume` is off.
        ArtifactError: A file is missing, unreadable or unfit.
        BackendUnavailableError: The device is not here.
        CheckFailedError: Loss or weights are no longer finite.
    """
    state_file = config.out / STATE
    if state_file.exists() and not resume:
        raise SpecError(
            f"'{config.out}' holds a run already. Go on with --resume, or choose another --out."
        )
    if config.threads:
        torch.set_num_threads(config.threads)
    accelerator = make_accelerator(config)
    is_main = accelerator.is_main_process
    resumed = state_file.exists()
    tell = narrate if is_main else lambda _: None
    sets = load(config, tell, resumed=resumed)
    run = _Run(config, accelerator, sets, resumed=resumed)
    if resumed:
        run.restore(RunState.load(state_file))
    elif is_main:
        replace_file(config.out / CONFIG, to_toml(config).encode())
    if is_main:
        dev = sets.dev.prints if sets.dev else ()
        keep_sides(config.out, sets.train.prints, sets.val.prints, dev)
    accelerator.wait_for_everyone()
    try:
        run.fit(observer if observer and is_main else Observer())
        return run.result()
    finally:
        accelerator.end_training()


class _Run:
    """One run: network, optimizer, average and records."""

    def __init__(
        self, config: TrainConfig, accelerator: Accelerator, sets: Sets, *, resumed: bool
    ) -> None:
        self.sampler = EpochSampler(len(sets.train), config.seed, sets.parts)
        if len(self.sampler) < config.batch_size:
            raise SpecError(
                f"batch_size={config.batch_size} is more than the {len(self.sampler)} training "
                "frames of an epoch."
            )
        self.config = config
        self.accelerator = accelerator
        self.sets = sets
        self.init = self._started_from(resumed=resumed)
        self.records: list[EpochRecord] = []
        self.learner = Learner(config, accelerator, sets.train, resumed=resumed)
        self._resize(config.size_at(0))

    def _resize(self, size: Size) -> None:
        """Train and validate at this size from now on."""
        self.size = size
        frames, self.judge = (part.at(size) for part in (self.sets.train, self.sets.judge))
        loader = DataLoader(
            frames, batch_size=self.config.batch_size, sampler=self.sampler, drop_last=True
        )
        self.loader = self.accelerator.prepare(loader)

    @property
    def best(self) -> EpochRecord:
        """Record of the best epoch so far; a Dice at another size does not compare."""
        size = self.records[-1].size
        same = [record for record in self.records if record.size == size]
        return max(same, key=lambda record: (record.dice, -record.epoch))

    @property
    def stopped_early(self) -> bool:
        """Whether patience ran out."""
        patience = self.config.patience
        if not patience or not self.records or self.records[-1].size != str(self.config.size):
            return False
        return len(self.records) - self.best.epoch >= patience

    def fit(self, observer: Observer) -> None:
        """Train the epochs that are left."""
        done = len(self.records)
        log = TensorBoardLog(self.config.out, done) if self.accelerator.is_main_process else None
        sizes = [self.config.size_at(epoch) for epoch in range(self.config.epochs)]
        observer.on_start(sizes=sizes, steps=len(self.loader), done=done)
        try:
            while len(self.records) < self.config.epochs and not self.stopped_early:
                record = self._epoch(len(self.records), observer)
                self.records.append(record)
                if log:
                    self._save(record)
                    log.write(record)
                observer.on_epoch(record)
        finally:
            observer.on_end()
            if log:
                log.close()

    def result(self) -> TrainResult:
        """How the run ended; the validation frames that were kept back are scored now."""
        best = self.best
        return TrainResult(
            checkpoint=self.config.out / BEST,
            score=self._final(best),
            best_epoch=best.epoch,
            epochs=len(self.records),
            stopped_early=self.stopped_early and len(self.records) < self.config.epochs,
            seconds=sum(record.seconds for record in self.records),
        )

    def restore(self, state: RunState) -> None:
        """Take over the state that an earlier sitting left."""
        state.check_continues(self.config, self.sets.fingerprint(), self._teacher_digest())
        self.learner.restore(state)
        self.records = list(state.records)

    def _epoch(self, epoch: int, observer: Observer) -> EpochRecord:
        start = time.perf_counter()
        if self.config.size_at(epoch) != self.size:
            self._resize(self.config.size_at(epoch))
        total = torch.zeros((), device=self.accelerator.device)
        self.learner.train_mode()
        factor = 0.0
        for number, (images, masks, indices) in enumerate(self._batches(epoch)):
            step = epoch * len(self.loader) + number
            factor = rate_factor(self.config, step, len(self.loader))
            loss = self.learner.step(images, masks, indices, epoch=epoch, factor=factor)
            self.learner.ema.update(self.learner.student.network, step)
            total += loss
            observer.on_step(
                StepRecord(
                    epoch=epoch + 1,
                    step=number + 1,
                    steps=len(self.loader),
                    loss=finite(loss, epoch, number),
                    images=self.config.batch_size,
                )
            )
        trained = time.perf_counter()
        self.learner.share_norms()
        score = self._score(self.learner.ema.model, self.judge)
        return EpochRecord(
            epoch=epoch + 1,
            size=str(self.size),
            loss=float(self.accelerator.reduce(total, "mean")) / len(self.loader),
            **dataclasses.asdict(score),
            lr=self.config.lr * factor,
            images_per_s=len(self.loader) * self.config.batch_size / (trained - start),
            seconds=time.perf_counter() - start,
            best=self._is_best(score.dice),
        )

    def _is_best(self, dice: float) -> bool:
        if not self.records or self.records[-1].size != str(self.size):
            return True
        return dice > self.best.dice

    def _batches(self, epoch: int) -> Iterator[Any]:
        self.sampler.epoch = epoch
        return iter(self.loader)

    def _score(self, network: nn.Module, frames: TrainingSet) -> SegmentationScore:
        config = self.config
        return score(network, frames, config.normalization, self.accelerator, config.batch_size)

    def _final(self, best: EpochRecord) -> SegmentationScore:
        """Score of the best weights; validation frames that chose nothing are scored now, once."""
        if self.sets.dev is None:
            return best.score
        file, frames = self.config.out / BEST, self.sets.val.at(self.config.size)
        network = load_checkpoint(file).to(self.accelerator.device)
        found = self._score(network, frames)
        if self.accelerator.is_main_process:
            meta = self._meta({**dataclasses.asdict(found), **_metrics(best, "dev_")})
            save_checkpoint(file, network.state_dict(), meta)
            keep_made(self.config.out, self.init)
        return found

    def _meta(self, metrics: Mapping[str, float]) -> CheckpointMeta:
        config = self.config
        return CheckpointMeta(
            in_channels=config.in_channels,
            experts=config.experts,
            size=self.size,
            normalization=config.normalization,
            training_data=config.training_data or config.data.name,
            license=config.license,
            metrics=metrics,
        )

    def _started_from(self, *, resumed: bool) -> str | None:
        """Digest of the weights that the run started from, which may not be on this machine."""
        if resumed:
            return kept_made(self.config.out).init
        return self.config.init and sha256_of(resolve(self.config.init))

    def _teacher_digest(self) -> str | None:
        return None if self.config.teacher is None else sha256_of(resolve(self.config.teacher))

    def _save(self, record: EpochRecord) -> None:
        """Write the epoch's files; the state comes last, so that it promises nothing missing."""
        out, weights = self.config.out, self.learner.ema.model.state_dict()
        if problem := not_finite(weights):  # the loss of the last step saw the weights before it
            raise CheckFailedError(
                f"After epoch {record.epoch} {problem}; what earlier epochs saved is kept. {CALMER}"
            )
        meta = self._meta(_metrics(record, "dev_" if self.sets.dev else ""))
        save_checkpoint(out / LAST, weights, meta)
        if record.best:
            save_checkpoint(out / BEST, weights, meta)
        keep_made(out, self.init)
        write_csv(out / METRICS, self.records)
        scaler = self.accelerator.scaler
        RunState(
            config=encode(self.config),
            data=self.sets.fingerprint(),
            model=self.learner.student.state_dict(),
            ema=weights,
            optimizers=[optimizer.state_dict() for optimizer in self.learner.optimizers],
            scaler=scaler.state_dict() if scaler else None,
            records=self.records,
            teacher=self._teacher_digest(),
        ).save(out / STATE)
        logger.info("epoch %d: loss %.4f, Dice %.4f", record.epoch, record.loss, record.dice)


def _metrics(record: EpochRecord, prefix: str) -> dict[str, float]:
    scores = {f"{prefix}{name}": value for name, value in dataclasses.asdict(record.score).items()}
    return {**scores, "epoch": record.epoch}
