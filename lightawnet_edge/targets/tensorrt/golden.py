"""Golden frames: by which a device can tell whether its engine computes what it should."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.bundle.kit import Replay, Tolerance
from lightawnet_edge.errors import ArtifactError, CheckFailedError
from lightawnet_edge.scores.masks import score_mask
from lightawnet_edge.targets.base import Session

GOLDEN = "golden.npz"
LESION = 0.01
"""Share of the pixels from which a mask shows a lesion: of fewer, Dice tells little."""
_NONE = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """Frames, and what the FP32 device graph makes of them; the first axis counts frames."""

    frames: NDArray[np.uint8]
    """(N, H, W, 3), or (N, H, W) for gray."""
    masks: NDArray[np.uint8]
    """(N, H, W), 0 or 255."""
    probabilities: NDArray[np.float32] | None
    """(N, h, w); None where the engine gives none."""

    def dices(self, masks: Sequence[NDArray[np.uint8]]) -> list[float]:
        """Dice of other masks with these, of the frames whose mask here shows a lesion."""
        return [
            score_mask(other > 0, mask > 0).dice
            for mask, other in zip(self.masks, masks, strict=True)
            if shows_lesion(mask)
        ]

    def write(self, path: Path) -> None:
        """Write all to one file, which must end in .npz."""
        given = _NONE if self.probabilities is None else self.probabilities
        np.savez_compressed(path, frames=self.frames, masks=self.masks, probabilities=given)

    @classmethod
    def read(cls, path: Path) -> Golden:
        """Inverse of `write`.

        Raises:
            ArtifactError: The file cannot be read.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                given = file["probabilities"]
                return cls(
                    frames=file["frames"],
                    masks=file["masks"],
                    probabilities=given if given.size else None,
                )
        except (OSError, ValueError, LookupError, BadZipFile) as error:
            raise ArtifactError(
                f"Golden frames '{path}' cannot be read ({error}). Export the kit again."
            ) from error


def shows_lesion(mask: NDArray[np.uint8]) -> bool:
    """Whether so much of a mask is set that its Dice tells something."""
    return bool(np.mean(mask > 0) >= LESION)


def replay(session: Session, golden: Golden) -> Replay:
    """Run an engine on the golden frames.

    Raises:
        CheckFailedError: It gives a probability that is not finite.
    """
    outputs = ("mask",) if golden.probabilities is None else ("mask", "probability")
    errors: list[float] = []
    masks: list[NDArray[np.uint8]] = []
    for index, frame in enumerate(golden.frames):
        found: dict[str, NDArray[Any]] = session.infer(frame, outputs)
        masks.append(found["mask"])
        if golden.probabilities is None:
            continue
        if not np.isfinite(found["probability"]).all():
            raise CheckFailedError(
                f"The engine gives probabilities that are not finite on golden frame {index}."
            )
        error = np.abs(found["probability"] - golden.probabilities[index])
        errors.append(float(error.mean()))
    pairs = zip(masks, golden.masks, strict=True)
    differing = [float(np.mean(mask != exact)) for mask, exact in pairs]
    return Replay(
        frames=len(masks),
        mean_abs_probability=float(np.mean(errors)) if errors else None,
        mask_disagreement=float(np.mean(differing)),
        worst_abs_probability=max(errors, default=None),
        worst_mask_disagreement=max(differing),
        worst_dice=min(golden.dices(masks), default=None),
    )


def shortfalls(found: Replay, tolerance: Tolerance) -> Sequence[str]:
    """Say where a replay is out of tolerance; nothing where it is not."""
    error = found.worst_abs_probability
    texts = []
    if error is not None and error > tolerance.mean_abs_probability:
        texts.append(
            f"probabilities differ by {error:.2g} on average, expected at most "
            f"{tolerance.mean_abs_probability:.2g}"
        )
    if found.worst_mask_disagreement > tolerance.mask_disagreement:
        texts.append(
            f"masks differ in {found.worst_mask_disagreement:.2%} of the pixels, expected at most "
            f"{tolerance.mask_disagreement:.2%}"
        )
    if found.worst_dice is not None and found.worst_dice < tolerance.dice:
        texts.append(
            f"the mask of a lesion has a Dice of {found.worst_dice:.3f} with that of FP32, "
            f"expected at least {tolerance.dice:.3f}"
        )
    return texts
