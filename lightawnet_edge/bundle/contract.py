"""What goes into an engine and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lightawnet_edge.bundle.camera import Camera, size_of
from lightawnet_edge.codec import OMIT
from lightawnet_edge.errors import SpecError
from lightawnet_edge.specs import (
    ColorOrder,
    Matrix,
    Normalization,
    Range,
    Region,
    Size,
    Yuv,
    check_network_size,
)


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
    matrix: Matrix | None = field(default=None, metadata=OMIT)
    range: Range | None = field(default=None, metadata=OMIT)


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
    """How the bytes of the frame are laid out."""
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
    yuv: Yuv | None = None
    """What the values of NV12 and YUY2 frames mean; None for all others."""

    def __post_init__(self) -> None:
        check_network_size(self.network)
        camera = self.camera
        if self.crop is not None:
            camera.check_crop(self.crop)
        if not 0 < self.threshold < 1:
            raise SpecError(f"threshold={self.threshold} must lie between 0 and 1, both excluded.")

    @property
    def camera(self) -> Camera:
        """What gives the frames."""
        return Camera(size=self.frame, color=self.color, yuv=self.yuv)

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of one frame as a numpy array."""
        return self.camera.shape

    @property
    def picture(self) -> Size:
        """Size of what the network sees of a frame, before it is scaled."""
        return self.frame if self.crop is None else self.crop.size

    @property
    def takes(self) -> str:
        """What goes in, in words."""
        yuv = "" if self.yuv is None else f" ({self.yuv.matrix}, {self.yuv.range} range)"
        crop = "" if self.crop is None else f"crop {self.crop}, "
        return f"frame {self.frame} {self.color}{yuv} uint8, {crop}network {self.network}"

    @property
    def ports(self) -> dict[str, Port]:
        """Inputs and outputs that an engine of this contract has."""
        found = {
            "frame": Port(shape=self.frame_shape, dtype="uint8"),
            "mask": Port(shape=(self.frame.height, self.frame.width), dtype="uint8"),
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
            input=_Frame(
                name="frame",
                shape=frame.shape,
                dtype=frame.dtype,
                color=self.color,
                matrix=None if self.yuv is None else self.yuv.matrix,
                range=None if self.yuv is None else self.yuv.range,
            ),
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
        source = found.input
        if (frame := size_of(source.shape, source.color)) is None:
            raise ValueError(f"input.shape: {source.shape} is no {source.color} frame")
        yuv = None
        if source.matrix is not None and source.range is not None:
            yuv = Yuv(matrix=source.matrix, range=source.range)
        contract = cls(
            frame=frame,
            color=source.color,
            network=found.network,
            normalization=found.normalization,
            threshold=found.threshold,
            probability="probability" in found.outputs,
            crop=found.crop,
            yuv=yuv,
        )
        if contract.written() != found:
            raise ValueError("shapes, types and color order contradict each other")
        return contract
