"""What an engine must hold: every limit that export, build and bench ask is a field here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

from lightawnet_edge.errors import SpecError
from lightawnet_edge.scores.agreement import Agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementLimits:
    """How far an engine may be from FP32; None asks for nothing."""

    mask_disagreement: float | None = None
    """Share of the mask pixels, mean over frames."""
    worst_mask_disagreement: float | None = None
    """The same on any frame."""
    worst_abs_probability: float | None = None
    """Mean over the pixels of any frame."""
    dice: float | None = None
    """Least mean Dice with the FP32 masks, over frames where these show a lesion."""
    worst_dice: float | None = None
    """The least of any such frame."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise SpecError(f"The limit {name}={value} must lie between 0 and 1.")

    def shortfalls(self, found: Agreement) -> Iterator[str]:
        """Say where an engine is out of these limits; nothing where it holds them."""
        if found.not_finite:
            yield f"{found.not_finite} probabilities are not finite, expected none"
        most = (
            ("masks differ in {:.2%} of the pixels", found.mask_disagreement,
             self.mask_disagreement, "{:.2%}"),
            ("masks differ in {:.2%} of the pixels of a frame", found.worst_mask_disagreement,
             self.worst_mask_disagreement, "{:.2%}"),
            ("probabilities differ by {:.2g} on average", found.worst_abs_probability,
             self.worst_abs_probability, "{:.2g}"),
        )  # fmt: skip
        for text, value, limit, digits in most:
            if value is not None and limit is not None and not value <= limit:
                yield f"{text.format(value)}, expected at most {digits.format(limit)}"
        least = (
            ("the masks of lesions have a mean Dice of {:.3f} with those of FP32", found.dice,
             self.dice),
            ("the mask of a lesion has a Dice of {:.3f} with that of FP32", found.worst_dice,
             self.worst_dice),
        )  # fmt: skip
        for text, value, limit in least:
            if value is not None and limit is not None and not value >= limit:
                yield f"{text.format(value)}, expected at least {limit:.3f}"


EXACT = AgreementLimits(mask_disagreement=1e-3)
"""Of an engine that is exact but for rounding in FP32. Rewrites and kernels move logits by about
1e-5, and few pixels lie that close to the threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an engine must hold; shares are of the convolution MACs."""

    int8_share: float = 0.90
    """Least share that an INT8 engine runs in INT8, of convolutions with a constant kernel."""
    fp16_share: float = 0.90
    """Least share that an FP16 engine of TensorRT runs in FP16, of all convolutions."""
    approximate: AgreementLimits = AgreementLimits(mask_disagreement=0.05, dice=0.80)
    """Of an engine that gives something up: INT8, FP16, BF16, frozen routing. Those of the packaged
    weights differ in less than 1 % of the pixels; what finds nothing, or everything, is far
    outside."""
    routing_dice_drop: float = 0.005
    """Mean Dice per frame that frozen kernels may cost with `auto` routing."""

    def __post_init__(self) -> None:
        for name in ("int8_share", "fp16_share", "routing_dice_drop"):
            value = getattr(self, name)
            if not (isfinite(value) and 0 <= value <= 1):
                raise SpecError(f"The limit {name}={value} must lie between 0 and 1.")

    def agreement(self, *, exact: bool) -> AgreementLimits:
        """The limits of an engine that is exact in real numbers, or of one that is not."""
        return EXACT if exact else self.approximate


USUAL = Limits()
"""What is asked where nobody says otherwise."""
