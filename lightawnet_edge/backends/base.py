"""What every backend offers: three verbs, and its capabilities as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from lightawnet_edge.specs import Precision

Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What `Backend.build` left behind."""

    engine: str
    """Name of the file to load."""
    precision_of: Mapping[str, Precision]
    """Convolution (by its name in the device graph) to the precision that it is executed in,
    read back from the built engine; a convolution that cannot be found there is missing here."""


class Session(Protocol):
    """A loaded engine that owns device memory until it is closed."""

    def infer(self, frame: NDArray[Any], outputs: tuple[str, ...]) -> Tensors:
        """Run one frame, synchronously; the outputs are the caller's to keep."""

    def close(self) -> None:
        """Free the engine; a closed session cannot be used again."""


class Backend(Protocol):
    """A toolchain that builds engines and runs them."""

    def version(self) -> str:
        """Version of the toolchain."""

    def refusals(self) -> Mapping[Precision, str | None]:
        """For each precision why this machine cannot execute it, or None where it can."""

    def build(self, source: Path, folder: Path, precision: Precision) -> Built:
        """Write into `folder` the engine of a device graph, and read back what it executes."""

    def load(self, engine: Path, precision: Precision, threads: int | None) -> Session:
        """Load a built engine; `threads` None leaves the choice to the toolchain."""


def mac_shares(
    precision_of: Mapping[str, Precision], macs_of: Mapping[str, int]
) -> dict[str, float]:
    """Share of the multiply-accumulates in convolutions by the precision that executes them.

    Args:
        precision_of: Convolution to executed precision.
        macs_of: Convolution to multiply-accumulates per frame; not empty.

    Returns:
        Every precision to its share, to six digits; shares sum to 1. A convolution that was not
        found in the engine counts as 'unknown', a key that is only there when it is needed.
    """
    total = sum(macs_of.values())
    counts = {str(precision): 0 for precision in Precision}
    for name, macs in macs_of.items():
        key = str(precision_of[name]) if name in precision_of else "unknown"
        counts[key] = counts.get(key, 0) + macs
    return {key: round(macs / total, 6) for key, macs in counts.items()}
