"""A picture as a bundle takes it, and what a source tells beside its pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.data.pixels import UInt8, fit, in_order, opencv
from lightawnet_edge.data.yuv import seen_by
from lightawnet_edge.errors import SpecError
from lightawnet_edge.specs import ColorOrder, Size


@dataclass(frozen=True, slots=True)
class Shot:
    """A frame of a source."""

    frame: UInt8
    """As the bundle's contract says. Not changed any more by whoever gave it."""
    picture: UInt8 | None
    """The same in BGR, (H, W, 3), where it came as one."""


@dataclass(frozen=True, slots=True)
class Note:
    """What a source tells beside its frames."""

    what: str
    """`skipped`, one frame that cannot be decoded; `lost` and `reconnected`, a camera."""
    detail: str


class Lens:
    """Brings pictures into the form that a contract asks for."""

    def __init__(self, contract: Contract, *, scale: bool = False) -> None:
        """Make frames of a contract.

        Args:
            contract: Of the bundle.
            scale: Stretch pictures of another size.
        """
        self.contract, self._scale = contract, scale

    def shot(self, picture: UInt8, where: str) -> Shot:
        """A frame from a picture, BGR (H, W, 3) or gray (H, W).

        Raises:
            SpecError: The picture has another size, and is not to be scaled.
        """
        wanted, found = self.contract.frame, Size(*picture.shape[:2])
        if found != wanted and not self._scale:
            raise SpecError(
                f"{where} gives frames of {found}, and the bundle takes {wanted}. Use --scale to "
                f"stretch them, or export a bundle for this size: --frame {found}."
            )
        bgr = fit(in_order(picture, ColorOrder.BGR), wanted)
        return Shot(self._bytes(bgr), bgr)

    def _bytes(self, bgr: UInt8) -> UInt8:
        cv2, color = opencv(), self.contract.color
        if color is ColorOrder.BGR:
            return bgr
        kind = cv2.COLOR_BGR2GRAY if color is ColorOrder.GRAY else cv2.COLOR_BGR2RGB
        return seen_by(self.contract.camera, np.asarray(cv2.cvtColor(bgr, kind), np.uint8))
