"""Where the error of an INT8 engine comes from: noise of each layer, and what its float is worth.

Memory does not grow with the number of frames.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.engine import Engine
from lightawnet_edge.bundle.layers import LayerRecord
from lightawnet_edge.bundle.manifest import Manifest
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.errors import CheckFailedError, SpecError
from lightawnet_edge.progress import Narrate, OnStep, Stage
from lightawnet_edge.scores.decibels import decibels
from lightawnet_edge.scores.intervals import Interval, mean_interval
from lightawnet_edge.scores.masks import score_mask
from lightawnet_edge.specs import Precision
from lightawnet_edge.targets import table
from lightawnet_edge.targets.base import PROBE, Backend, Probe, Session

Labelled = Callable[[], Iterable[tuple[UInt8, NDArray[np.bool_]]]]
"""Starts over with each call: frames and their truths, both at the size of the bundle's frame."""

_SAME_MASKS = 5e-3
"""Share of mask pixels in which the watched copy may differ from the engine. It is 0 for most, and
was 0.09 % for one bundle of the shipped weights: a result that is an output, too, may not be fused
into the next kernel as it is in the engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSensitivity:
    """One convolution of an INT8 engine."""

    layer: LayerRecord
    mac_share: float
    sqnr_db: float
    """Energy of its FP32 result over that of the difference, errors of earlier layers included."""
    gains: tuple[float, ...] = field(default=())
    """Dice regained on each frame when this layer alone is in float; empty where not measured."""

    @property
    def gain(self) -> Interval | None:
        """Mean Dice regained per frame, paired, with its 95 % interval."""
        return mean_interval(self.gains) if self.gains else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """All convolutions of an engine, the worst first: by Dice regained, then by noise."""

    layers: tuple[LayerSensitivity, ...]
    dice: tuple[float, ...]
    """Of the engine, on each frame."""
    exact_dice: tuple[float, ...]
    """Of the FP32 device graph."""
    masks_differ: float
    """Share of mask pixels in which the copy that showed the results differs from the engine."""


@dataclass(slots=True)
class _Noise:
    signal: float = 0.0
    noise: float = 0.0

    def add(self, exact: NDArray[np.float32], found: NDArray[np.float32]) -> None:
        self.signal += float(np.square(exact, dtype=np.float64).sum())
        self.noise += float(np.square(exact - found, dtype=np.float64).sum())


def sensitivity(
    bundle: Bundle,
    frames: Labelled,
    *,
    worst: int = 12,
    narrate: Narrate = lambda _: None,
    on_step: OnStep = lambda _: None,
) -> Sensitivity:
    """Measure an INT8 bundle layer by layer, where its target can be probed.

    Args:
        bundle: Verified.
        frames: At least one.
        worst: So many layers, the noisiest, are put in float one at a time.
        narrate: Told what goes on.
        on_step: Told of each pass over the frames.

    Raises:
        SpecError: The bundle is not INT8, or there are no frames.
        BackendUnavailableError: Its target has no probe, or its engine cannot run here.
        CheckFailedError: The copy that shows the results is not the engine, or a layer gives
            results that are not finite.
    """
    manifest = bundle.manifest
    refuse_float(manifest)
    with tempfile.TemporaryDirectory() as scratch:
        exact = Path(scratch) / manifest.device_graph
        exact.write_bytes(bundle.read(manifest.device_graph))
        study = Study(
            probe=table.probe(manifest.target),
            engine=bundle.engine.write(Path(scratch)),  # what was verified is what is measured
            exact=exact,
            backend=table.get_for(manifest.target, Precision.INT8),
            frames=frames,
        )
        return _measured(study, manifest, worst, narrate, on_step)


def refuse_float(manifest: Manifest) -> None:
    """Refuse a bundle that has no INT8 to be sensitive to, or whose layers cannot be looked at.

    Raises:
        SpecError: It is not INT8.
        BackendUnavailableError: Its target has no probe, or cannot run here.
    """
    if manifest.precision is not Precision.INT8:
        raise SpecError(
            f"'{manifest.name}' is {manifest.precision}: there is no INT8 to be sensitive to. Give "
            "a bundle that was exported with --int8."
        )
    table.probe(manifest.target)
    table.get_for(manifest.target, Precision.INT8)


def _measured(
    study: Study, manifest: Manifest, worst: int, narrate: Narrate, on_step: OnStep
) -> Sensitivity:
    layers = [layer for layer in manifest.layers if layer.requested is Precision.INT8]
    stage = Stage("measuring layers", 3 + min(worst, len(layers)), on_step)
    stage.tell()
    narrate(f"comparing the results of {len(layers)} layers with FP32")
    noise, differ = study.noise([layer.name for layer in layers])
    stage.tell(1)
    narrate("measuring Dice")
    exact, found = study.dice(study.exact, Precision.FP32), study.dice(study.engine, Precision.INT8)
    stage.tell(2)
    by_noise = sorted(layers, key=lambda layer: noise[layer.name])
    gains: dict[str, tuple[float, ...]] = {}
    for number, layer in enumerate(stage.over(by_noise[:worst]), 1):
        narrate(f"putting {layer.name} in float ({number} of {min(worst, len(layers))})")
        gains[layer.name] = tuple((study.dice_in_float(layer.name) - found).tolist())
    total = sum(layer.macs for layer in manifest.layers)
    measured = [
        LayerSensitivity(
            layer=layer,
            mac_share=layer.macs / total,
            sqnr_db=noise[layer.name],
            gains=gains.get(layer.name, ()),
        )
        for layer in by_noise
    ]
    return Sensitivity(
        layers=tuple(sorted(measured, key=_damage)),
        dice=tuple(found.tolist()),
        exact_dice=tuple(exact.tolist()),
        masks_differ=differ,
    )


def _damage(layer: LayerSensitivity) -> tuple[float, float]:
    gain = layer.gain
    return (math.inf if gain is None else -gain.mean, layer.sqnr_db)


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """An INT8 model beside the FP32 device graph that it was made from, on labelled frames."""

    probe: Probe
    engine: Path
    exact: Path
    backend: Backend
    frames: Labelled

    def noise(self, names: Sequence[str]) -> tuple[dict[str, float], float]:
        """Signal-to-noise ratio of each layer, and the share of mask pixels that watching moves."""
        outputs = ("mask", *(PROBE.format(number) for number in range(len(names))))
        found, differ = [_Noise() for _ in names], []
        with tempfile.TemporaryDirectory() as scratch:
            folder, suffix = Path(scratch), self.engine.suffix
            copies, places = [], self.probe.results(self.engine, names)
            for source, kind in ((self.exact, "exact"), (self.engine, "found")):
                copies.append(folder / f"{kind}{suffix}")
                self.probe.watch(source, places, copies[-1])
            engine = self._load(self.engine, Precision.INT8)
            first = self._load(copies[0], Precision.FP32)
            second = self._load(copies[1], Precision.INT8)
            for frame, _ in self.frames():
                exact, shown = first.infer(frame, outputs), second.infer(frame, outputs)
                differ.append(np.mean(engine.infer(frame, ("mask",))["mask"] != shown["mask"]))
                for noise, name in zip(found, outputs[1:], strict=True):
                    noise.add(exact[name], shown[name])
            for session in (engine, first, second):
                session.close()
        if not differ:
            raise SpecError("No frame to measure on. Give frames with --data DIR.")
        share = float(np.mean(differ))
        if share > _SAME_MASKS:
            raise CheckFailedError(
                f"The copy of '{self.engine}' that shows the results of layers gives other masks "
                f"in {share:.2%} of the pixels, expected at most {_SAME_MASKS:.1%}: what it shows "
                "is not what the engine computes."
            )
        ratios = {
            name: decibels(one.signal, one.noise, f"Layer '{name}' of '{self.engine}'")
            for name, one in zip(names, found, strict=True)
        }
        return ratios, share

    def dice(self, model: Path, precision: Precision) -> NDArray[np.float64]:
        """Dice of a model on each frame."""
        session = self._load(model, precision)
        try:
            return np.asarray(
                [
                    score_mask(session.infer(frame, ("mask",))["mask"] > 0, truth).dice
                    for frame, truth in self.frames()
                ]
            )
        finally:
            session.close()

    def dice_in_float(self, layer: str) -> NDArray[np.float64]:
        """Dice of the engine with one layer in float."""
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / f"float{self.engine.suffix}"
            self.probe.in_float(self.engine, self.exact, layer, file)
            return self.dice(file, Precision.INT8)

    def _load(self, model: Path, precision: Precision) -> Session:
        return self.backend.load(Engine.read(model, precision), None)
