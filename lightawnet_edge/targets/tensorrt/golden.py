"""Golden frames: by which a device can tell whether its engine computes what it should."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.errors import ArtifactError, CheckFailedError
from lightawnet_edge.scores.agreement import Agreement, Comparison, shows_lesion
from lightawnet_edge.scores.masks import score_mask
from lightawnet_edge.targets.base import Session

GOLDEN = "golden.npz"
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
        return cls.parse(path.read_bytes(), str(path))

    @classmethod
    def parse(cls, data: bytes, name: str) -> Golden:
        """The same from the bytes of a file of a name.

        Raises:
            ArtifactError: They are no golden frames.
        """
        try:
            with np.load(BytesIO(data), allow_pickle=False) as file:
                given = file["probabilities"]
                return cls(
                    frames=file["frames"],
                    masks=file["masks"],
                    probabilities=given if given.size else None,
                )
        except (OSError, ValueError, LookupError, BadZipFile) as error:
            raise ArtifactError(
                f"Golden frames '{name}' cannot be read ({error}). Export the kit again."
            ) from error


def replay(session: Session, golden: Golden) -> Agreement:
    """Run an engine on the golden frames.

    Raises:
        CheckFailedError: It gives a probability that is not finite.
    """
    outputs = ("mask",) if golden.probabilities is None else ("mask", "probability")
    comparison = Comparison()
    for index, frame in enumerate(golden.frames):
        found: dict[str, NDArray[Any]] = session.infer(frame, outputs)
        probability = found.get("probability")
        if probability is not None and not np.isfinite(probability).all():
            raise CheckFailedError(
                f"The engine gives probabilities that are not finite on golden frame {index}."
            )
        exact = None if golden.probabilities is None else golden.probabilities[index]
        comparison.add((golden.masks[index], exact), (found["mask"], probability))
    return comparison.agreement()
