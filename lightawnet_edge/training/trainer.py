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
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightawnet_edge.bundle.store import replace_file, sha256_of
from lightawnet_edge.codec import encode
from lightawnet_edge.errors import CheckFailedError, SpecError
from lightawnet_edge.model.checkpoint import load_checkpoint, not_finite, save_checkpoint
from lightawnet_edge.model.metadata import CheckpointMeta
from lightawnet_edge.model.packaged import BEST, LAST, resolve
from lightawnet_edge.model.preprocess import normalize
from lightawnet_edge.progress import Narrate
from lightawnet_edge.scores.masks import SegmentationScore
from lightawnet_edge.specs import Size
from lightawnet_edge.training import losses
from lightawnet_edge.training.augment import augment, draw
from lightawnet_edge.training.config import CONFIG, TrainConfig, to_toml
from lightawnet_edge.training.data import EpochSampler, Sets, TrainingSet, load
from lightawnet_edge.training.hints import Encoder, Student
from lightawnet_edge.training.made import keep_made, kept_made
from lightawnet_edge.training.metrics_log import (
    EpochRecord,
    Observer,
    StepRecord,
    TensorBoardLog,
    write_csv,
)
from lightawnet_edge.training.setup import (
    keep_depthwise_in_float,
    make_accelerator,
    make_network,
    make_optimizers,
    make_teacher,
    rate_factor,
)
from lightawnet_edge.training.split import keep_sides
from lightawnet_edge.training.state import Ema, RunState
from lightawnet_edge.training.validation import score

logger = logging.getLogger(__name__)

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
STATE = "state.pt"
METRICS = "metrics.csv"
_CALMER = "Lower --lr, lengthen --warmup-epochs, or train with --precision fp32."


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
        self.loss = losses.get(config.loss)
        self.init = self._started_from(resumed=resumed)
        self.records: list[EpochRecord] = []
        # A state holds what a run started from, which may not be on this machine.
        start = replace(config, init=None) if resumed else config
        network = make_network(start, self._inputs(sets.train)).train()
        if accelerator.mixed_precision == "bf16" and accelerator.device.type == "cpu":
            keep_depthwise_in_float(network)
        teacher = make_teacher(config)
        self.teacher = teacher.to(accelerator.device) if teacher else None
        self.ema = Ema(network.to(accelerator.device), config.ema_decay)
        encoder = Encoder().to(accelerator.device) if config.hints else None
        layout = LAYOUTS[config.memory_format]
        student = Student(network, config.normalization, encoder, layout).to(accelerator.device)
        optimizers = make_optimizers(config, network, student.heads.parameters())
        self.model = accelerator.prepare(student)
        self.optimizers = [accelerator.prepare(optimizer) for optimizer in optimizers]
        self._resize(config.size_at(0))

    def _inputs(self, frames: TrainingSet) -> Iterator[Tensor]:
        """Network inputs, not augmented."""
        for images in torch.split(frames.images, self.config.batch_size):
            yield normalize(images.float() / 255, self.config.normalization)

    def _resize(self, size: Size) -> None:
        """Train and validate at this size from now on."""
        self.size = size
        frames, self.judge = (part.at(size) for part in (self.sets.train, self.sets.judge))
        loader = DataLoader(
            frames, batch_size=self.config.batch_size, sampler=self.sampler, drop_last=True
        )
        self.loader = self.accelerator.prepare(loader)

    @property
    def student(self) -> Student:
        """The network and its heads, without what Accelerate wraps around them."""
        student: Student = self.accelerator.unwrap_model(self.model)
        return student

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
        self.student.load_state_dict(state.model)
        self.ema.model.load_state_dict(state.ema)
        for optimizer, values in zip(self.optimizers, state.optimizers, strict=True):
            optimizer.load_state_dict(values)
        if self.accelerator.scaler and state.scaler:
            self.accelerator.scaler.load_state_dict(state.scaler)
        self.records = list(state.records)

    def _epoch(self, epoch: int, observer: Observer) -> EpochRecord:
        start = time.perf_counter()
        if self.config.size_at(epoch) != self.size:
            self._resize(self.config.size_at(epoch))
        total = torch.zeros((), device=self.accelerator.device)
        self._train_mode()
        factor = 0.0
        for number, (images, masks, indices) in enumerate(self._batches(epoch)):
            step = epoch * len(self.loader) + number
            factor = rate_factor(self.config, step, len(self.loader))
            loss = self._step(images, masks, indices, epoch=epoch, factor=factor)
            self.ema.update(self.student.network, step)
            total += loss
            observer.on_step(
                StepRecord(
                    epoch=epoch + 1,
                    step=number + 1,
                    steps=len(self.loader),
                    loss=self._finite(loss, epoch, number),
                    images=self.config.batch_size,
                )
            )
        trained = time.perf_counter()
        self._share_norms()
        score = self._score(self.ema.model, self.judge)
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

    def _train_mode(self) -> None:
        self.model.train()
        if self.config.freeze_norm:
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def _step(
        self, images: Tensor, masks: Tensor, indices: Tensor, *, epoch: int, factor: float
    ) -> Tensor:
        """Make one optimizer step and return the loss of this process's frames."""
        draws = draw(self.config.seed, epoch, indices)
        frames, truth = augment(images.float() / 255, masks.float(), draws, self.config.augment)
        logits, hint_error = self.model(frames)
        loss = self.loss(logits.float(), truth) + self._distillation(frames, logits)
        self.accelerator.backward(loss + self.config.hints * hint_error)
        if self.config.clip_norm:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * factor
            optimizer.step()
            optimizer.zero_grad()
        return loss.detach()

    def _distillation(self, frames: Tensor, logits: Tensor) -> Tensor:
        """What the teacher adds to the loss of these frames; 0 without one."""
        if self.teacher is None:
            return logits.new_zeros(())
        with torch.no_grad(), self.accelerator.autocast():
            said = self.teacher(normalize(frames, self.config.normalization))
        return losses.distillation(logits.float(), said.float())

    def _finite(self, loss: Tensor, epoch: int, number: int) -> float:
        value = float(loss)
        if not math.isfinite(value):
            raise CheckFailedError(
                f"The loss is {value} at epoch {epoch + 1}, step {number + 1}. {_CALMER}"
            )
        return value

    def _score(self, network: nn.Module, frames: TrainingSet) -> SegmentationScore:
        config = self.config
        return score(network, frames, config.normalization, self.accelerator, config.batch_size)

    def _share_norms(self) -> None:
        """Give the averaged weights the mean of all processes' running statistics."""
        for buffer in self.ema.model.buffers():
            if buffer.is_floating_point():
                buffer.copy_(self.accelerator.reduce(buffer, "mean"))

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
        out, weights = self.config.out, self.ema.model.state_dict()
        if problem := not_finite(weights):  # the loss of the last step saw the weights before it
            raise CheckFailedError(
                f"After epoch {record.epoch} {problem}; what earlier epochs saved is kept. "
                f"{_CALMER}"
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
            model=self.student.state_dict(),
            ema=weights,
            optimizers=[optimizer.state_dict() for optimizer in self.optimizers],
            scaler=scaler.state_dict() if scaler else None,
            records=self.records,
            teacher=self._teacher_digest(),
        ).save(out / STATE)
        logger.info("epoch %d: loss %.4f, Dice %.4f", record.epoch, record.loss, record.dice)


def _metrics(record: EpochRecord, prefix: str) -> dict[str, float]:
    scores = {f"{prefix}{name}": value for name, value in dataclasses.asdict(record.score).items()}
    return {**scores, "epoch": record.epoch}
