"""A bundle at work: numpy frame in, numpy mask out."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.camera import size_of
from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.manifest import Manifest
from lightawnet_edge.bundle.trust import UNSIGNED, Trust
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.runtime.layouts import rearranged
from lightawnet_edge.specs import ColorOrder
from lightawnet_edge.targets import table
from lightawnet_edge.targets.base import DeviceTime, Session, Tensors

_BOTH = ("mask", "probability")


class Segmenter:
    """A loaded bundle; owns its engine's memory until it is closed.

    For any number of threads: calls run one at a time, each gives the mask of its own frame, and
    the others wait for their turn. Threads that shall not wait have a segmenter each.

    Example:
        with Segmenter.load("engines/polypgen-openvino-int8") as segmenter:
            mask = segmenter(frame)
    """

    def __init__(self, session: Session, manifest: Manifest) -> None:
        """Wrap a session; use `Segmenter.load`."""
        self._session = session
        self.manifest = manifest

    @classmethod
    def load(
        cls, bundle: str | Path, *, threads: int | None = None, trust: Trust = UNSIGNED
    ) -> Segmenter:
        """Verify a bundle, load the bytes that were verified, and run the engine once.

        Args:
            bundle: The bundle's folder.
            threads: CPU threads of the engine; None takes the physical cores, within a CPU quota.
            trust: Whom bundles are taken from; every whole one by default.

        Raises:
            ArtifactError: The folder is no bundle, a file of it has changed, it is not trusted, or
                its engine is not what its contract says.
            BackendUnavailableError: The bundle's backend is not installed, or cannot run its
                precision on this machine; or it is a kit whose engine is not there yet or never
                ran.
            SpecError: `threads` is not positive.
        """
        if threads is not None and threads < 1:
            raise SpecError(f"threads={threads} must be at least 1.")
        opened = Bundle.open(bundle, trust=trust)
        manifest = opened.manifest
        engine = opened.engine
        session = table.get_for(manifest.target, manifest.precision).load(engine, threads)
        if misfits := session.ports.misfits(manifest.contract.ports):
            session.close()
            raise ArtifactError(
                f"The engine of bundle '{bundle}' {'; '.join(misfits)}, as its contract says. "
                "Export the bundle again."
            )
        return cls(session, manifest)

    def __call__(
        self, frame: NDArray[np.uint8], out: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        """Segment a frame; one call at a time, in whatever thread.

        Args:
            frame: uint8, shape (H, W, 3), (H, W) for gray, (H * 3 / 2, W) for NV12, (H, W, 2) for
                YUY2, as the manifest's contract says. It must not change during the call. A frame
                that is not contiguous is copied.
            out: Array (H, W), uint8, that receives the mask, for loops that allocate nothing; None
                makes a new one with each call. It need not be contiguous.

        Returns:
            Mask of shape (H, W), uint8, 0 or 255: `out`, or an array that is the caller's to keep.

        Raises:
            SpecError: Shape or dtype differ from the contract; `out` cannot be written to, or
                shares memory with the frame; or the segmenter is closed.
            BackendUnavailableError: The engine does not run, e.g. for want of memory.
        """
        self._check_frame(frame)
        if out is None:
            return self._session.infer(frame, ("mask",))["mask"]
        self._check_mask(out, frame)
        self._session.infer(frame, ("mask",), {"mask": out})
        return out

    def probability(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Foreground probability (h, w), float32, at the size that the network works at.

        With a contract's `crop` it is that of the region; outside of it, it is 0 everywhere.

        Raises:
            SpecError: As for a call; or the bundle was exported without this output.
            BackendUnavailableError: As for a call.
        """
        self._check_probability()
        self._check_frame(frame)
        return self._session.infer(frame, ("probability",))["probability"]

    def with_probability(
        self,
        frame: NDArray[np.uint8],
        out: tuple[NDArray[np.uint8], NDArray[np.float32]] | None = None,
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Mask (H, W) and probability (h, w) of a frame, by one run of the engine.

        Args:
            frame: As for a call.
            out: Arrays that receive the two; None makes new ones.

        Raises:
            SpecError: As for a call, and for `probability`.
            BackendUnavailableError: As for a call.
        """
        self._check_probability()
        self._check_frame(frame)
        arrays: Tensors = {}
        if out is not None:
            arrays = dict(zip(_BOTH, out, strict=True))
            self._check_mask(arrays["mask"], frame)
            self._check_values(arrays["probability"], frame)
        found = self._session.infer(frame, _BOTH, arrays)
        return found["mask"], found["probability"]

    def device_time(self) -> DeviceTime | None:
        """Seconds that the last call of any thread took on its device; None for the CPU's engines.

        Raises:
            SpecError: The segmenter is closed.
        """
        return self._session.device_time()

    def close(self) -> None:
        """Free the engine, once the call that runs has ended; closing twice does no harm.

        Calls that wait for their turn, and all later ones, raise SpecError.
        """
        self._session.close()

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _check_probability(self) -> None:
        if not self.manifest.contract.probability:
            raise SpecError(
                f"Bundle '{self.manifest.name}' has no output 'probability'. "
                "Export it again without --no-probability."
            )

    def _check_values(self, out: Any, frame: NDArray[np.uint8]) -> None:
        port = self.manifest.contract.ports["probability"]
        if not isinstance(out, np.ndarray) or (out.shape, out.dtype) != (port.shape, port.dtype):
            found = (
                f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
            )
            raise SpecError(f"The array for the probability is {found}, expected {port}.")
        if not out.flags.writeable or np.shares_memory(out, frame):
            raise SpecError(
                "The array for the probability is read-only, or shares memory with the frame. "
                "Give another."
            )

    def _check_mask(self, out: Any, frame: NDArray[np.uint8]) -> None:
        frame_size = self.manifest.contract.frame
        size = (frame_size.height, frame_size.width)
        if not isinstance(out, np.ndarray):
            raise SpecError(f"The mask goes into a numpy array, not {type(out).__name__}.")
        if out.dtype != np.uint8 or out.shape != size:
            raise SpecError(
                f"The array for the mask is {out.dtype} {out.shape}, expected uint8 {size}."
            )
        if not out.flags.writeable:
            raise SpecError("The array for the mask is read-only. Give one that can be written to.")
        if np.shares_memory(out, frame):
            raise SpecError("The array for the mask shares memory with the frame. Give another.")

    def _check_frame(self, frame: Any) -> None:
        contract = self.manifest.contract
        if not isinstance(frame, np.ndarray):
            raise SpecError(f"A frame is a numpy array, not {type(frame).__name__}.")
        if frame.dtype != np.uint8:
            raise SpecError(f"Frame has dtype {frame.dtype}, expected uint8 with values 0 to 255.")
        if frame.shape != contract.frame_shape:
            raise SpecError(
                f"Frame has shape {frame.shape}, bundle '{self.manifest.name}' takes "
                f"{contract.frame_shape} ({contract.color}). {_remedy(frame, contract)}"
            )


def _remedy(frame: NDArray[Any], contract: Contract) -> str:
    """What to do about a frame that is not of the contract's shape."""
    shape = frame.shape
    size = size_of(shape, contract.color)
    if size is None and contract.color is not ColorOrder.GRAY:
        for color in (ColorOrder.NV12, ColorOrder.YUY2, ColorOrder.RGB):
            other = size_of(shape, color)
            if other is not None and (color is not ColorOrder.NV12 or other == contract.frame):
                return (
                    f"Give {contract.color} frames, or export a bundle for frames like this one: "
                    f"--color {color} --frame {other}."
                )
    if contract.color.chroma is None and (told := rearranged(frame, contract.frame_shape)):
        return told
    given = "x".join(map(str, shape[:2])) if len(shape) >= 2 else "HEIGHTxWIDTH"
    return f"Scale the frame, or export a bundle for this size: --frame {size or given}."
