"""What goes into an engine and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lightawnet_edge.codec import OMIT
from lightawnet_edge.errors import SpecError
from lightawnet_edge.specs import ColorOrder, Normalization, Region, Size, check_network_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """An input or output of an engine."""

    shape: tuple[int, ...]
    """Of the array; -1 for a side that the engine leaves open."""
    dtype: str
    """Name of numpy's type, e.g. 'uint8'."""

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"

    def may_be(self, other: Port) -> bool:
        """Whether an array of the other port fits."""
        sides = zip(self.shape, other.shape, strict=False)
        return (
            self.dtype == other.dtype
            and len(self.shape) == len(other.shape)
            and all(mine in (-1, theirs) for mine, theirs in sides)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """The input as a manifest shows it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    color: ColorOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class _Output:
    """An output as a manifest shows it."""

    shape: tuple[int, ...]
    dtype: str
    values: tuple[int, ...] | None = field(default=None, metadata=OMIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """A contract as a manifest shows it: shapes and types for whoever reads no Python."""

    input: _Frame
    outputs: Mapping[str, _Output]
    network: Size
    normalization: Normalization
    threshold: float
    crop: Region | None = field(default=None, metadata=OMIT)


THRESHOLD = 0.5
"""Probability from which a pixel is foreground, where none is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What goes into an engine and what comes out."""

    frame: Size
    """Size of the camera frame (input `frame`) and of the output `mask`, both uint8."""
    color: ColorOrder
    """Channel order of the frame: (H, W, 3), or (H, W) for gray."""
    network: Size
    """Size that the network works at; size of the output `probability` (float32), which is that of
    the region `crop` where there is one."""
    normalization: Normalization
    threshold: float
    """A pixel is foreground (255) where its probability is at least this."""
    probability: bool
    """Whether the engine has the output `probability`."""
    crop: Region | None = None
    """Region of the frame that goes through the network; outside of it the mask is 0. None: all."""

    def __post_init__(self) -> None:
        check_network_size(self.network)
        if self.crop is not None and not self.crop.fits(self.frame):
            raise SpecError(
                f"Region {self.crop} reaches beyond the frame {self.frame}: expected X + WIDTH of "
                f"at most {self.frame.width} and Y + HEIGHT of at most {self.frame.height}."
            )
        if not 0 < self.threshold < 1:
            raise SpecError(f"threshold={self.threshold} must lie between 0 and 1, both excluded.")

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of one frame as a numpy array."""
        size = (self.frame.height, self.frame.width)
        return size if self.color is ColorOrder.GRAY else (*size, 3)

    @property
    def picture(self) -> Size:
        """Size of what the network sees of a frame, before it is scaled."""
        return self.frame if self.crop is None else self.crop.size

    @property
    def takes(self) -> str:
        """What goes in, in words."""
        crop = "" if self.crop is None else f"crop {self.crop}, "
        return f"frame {self.frame} {self.color} uint8, {crop}network {self.network}"

    @property
    def ports(self) -> dict[str, Port]:
        """Inputs and outputs that an engine of this contract has."""
        found = {
            "frame": Port(shape=self.frame_shape, dtype="uint8"),
            "mask": Port(shape=self.frame_shape[:2], dtype="uint8"),
        }
        if self.probability:
            size = (self.network.height, self.network.width)
            found["probability"] = Port(shape=size, dtype="float32")
        return found

    def written(self) -> _Written:
        """What a manifest holds of it."""
        ports = self.ports
        frame = ports.pop("frame")
        values = {"mask": (0, 255)}
        return _Written(
            input=_Frame(name="frame", shape=frame.shape, dtype=frame.dtype, color=self.color),
            outputs={
                name: _Output(shape=port.shape, dtype=port.dtype, values=values.get(name))
                for name, port in ports.items()
            },
            network=self.network,
            normalization=self.normalization,
            threshold=self.threshold,
            crop=self.crop,
        )

    @classmethod
    def from_written(cls, found: _Written) -> Contract:
        """Inverse of `written`.

        Raises:
            ValueError: The parts contradict each other.
        """
        if len(found.input.shape) < 2:
            raise ValueError(f"input.shape: expected height and width, found {found.input.shape}")
        contract = cls(
            frame=Size(*found.input.shape[:2]),
            color=found.input.color,
            network=found.network,
            normalization=found.normalization,
            threshold=found.threshold,
            probability="probability" in found.outputs,
            crop=found.crop,
        )
        if contract.written() != found:
            raise ValueError("shapes, types and color order contradict each other")
        return contract
