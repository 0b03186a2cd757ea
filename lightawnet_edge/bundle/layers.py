"""What an engine was asked for and what it executes, layer by layer; and the least that must run.

Standard library only: a manifest holds these records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lightawnet_edge.bundle.limits import USUAL
from lightawnet_edge.codec import OMIT
from lightawnet_edge.errors import SpecError
from lightawnet_edge.specs import Precision

CONVOLUTION = "convolution"
PARTS = FRAME_IN, NETWORK, MASK_OUT, REST = "frame in", "network", "mask out", "rest"
"""Parts of a call: from the camera's frame to the network's input; the network; from its logits to
mask and probability; and what belongs to no layer."""
_NAMED = 5
"""Layers that a message names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRecord:
    """One layer of an engine."""

    name: str
    """Of a convolution: as in the device graph, e.g. 'e1/depthwise'. Else: as in the engine."""
    kind: str = CONVOLUTION
    """Kind of work: 'convolution', 'resize', 'elementwise', ..."""
    requested: Precision | None = field(default=None, metadata=OMIT)
    """What the engine's graph asks for: INT8 where input and kernel are quantized. None for a layer
    that is no convolution."""
    executed: Precision | None = field(default=None, metadata=OMIT)
    """Read back from the engine; None where it says nothing of this layer."""
    kernel: str | None = field(default=None, metadata=OMIT)
    """The toolchain's name of the implementation, e.g. 'brgconv_avx512_I8'."""
    macs: int = 0
    """Multiply-accumulates per frame; 0 for a layer that is no convolution."""
    seconds: float | None = field(default=None, metadata=OMIT)
    """Per frame, where it was timed."""
    computed: bool = field(default=False, metadata=OMIT)
    """Whether its kernel is computed per frame: such a convolution runs in float on purpose."""

    @property
    def fell_back(self) -> bool:
        """Whether it runs, or may run, in another precision than it was asked for."""
        return self.requested is not None and self.executed is not self.requested


def mac_shares(layers: Iterable[LayerRecord]) -> dict[str, float]:
    """Share of the multiply-accumulates in convolutions by the precision that executes them.

    Args:
        layers: At least one of them with multiply-accumulates.

    Returns:
        Every precision to its share, to six digits; shares sum to 1. A convolution that was not
        found in the engine counts as 'unknown', a key that is only there when it is needed.
    """
    counts = {str(precision): 0 for precision in Precision}
    for layer in layers:
        if layer.macs:
            key = str(layer.executed or "unknown")
            counts[key] = counts.get(key, 0) + layer.macs
    total = sum(counts.values())
    return {key: round(macs / total, 6) for key, macs in counts.items()}


def part_of(layer: str) -> str:
    """Part of a call that a layer belongs to: its name holds the path of what made it."""
    if "/preprocess/" in layer:
        return FRAME_IN
    return MASK_OUT if "/mask/" in layer or layer in ("mask", "/Sigmoid") else NETWORK


def parts_of(layers: Iterable[LayerRecord], call_s: float | None) -> dict[str, float]:
    """Seconds of a call by its parts, which add up to it; empty where it was not timed."""
    if call_s is None:
        return {}
    found = dict.fromkeys((FRAME_IN, NETWORK, MASK_OUT), 0.0)
    for layer in layers:
        found[part_of(layer.name)] += layer.seconds or 0.0
    return {**found, REST: max(0.0, call_s - sum(found.values()))}


def check_share(share: float | None) -> None:
    """Refuse a share that is not in [0, 1]; None stands for the usual limit."""
    if share is not None and not 0 <= share <= 1:
        raise SpecError(f"--min-int8-share {share} must lie between 0 and 1.")


def int8_shortfall(
    precision: Precision,
    executed: Mapping[str, float],
    layers: Sequence[LayerRecord],
    minimum: float | None,
) -> str | None:
    """Say by how much an engine misses its share of INT8, and where; None where it does not.

    Only INT8 engines have such a share. It is that of the MACs of layers with a constant kernel:
    those that stay dynamic run in float on purpose.

    Args:
        precision: Requested precision of the engine.
        executed: Precision to share of all convolution MACs, for an engine without `layers`.
        layers: Of the engine; may be empty.
        minimum: Least share; None takes the usual one.
    """
    if precision is not Precision.INT8:
        return None
    minimum = USUAL.int8_share if minimum is None else minimum
    counted = [layer for layer in layers if layer.macs and not layer.computed]
    share = (mac_shares(counted) if counted else executed).get(str(Precision.INT8), 0.0)
    if share >= minimum:
        return None
    dynamic = sum(layer.computed for layer in layers)
    besides = f" beside {dynamic} dynamic layers" if dynamic else ""
    text = f"{share:g} of the convolution MACs{besides} ran in INT8, expected at least {minimum:g}"
    return f"{text}. {_outside(counted, precision)}" if counted else f"{text}."


def fp16_shortfall(precision: Precision, layers: Sequence[LayerRecord]) -> str | None:
    """As `int8_shortfall`, for an FP16 engine: all convolutions count, dynamic ones too."""
    counted = [layer for layer in layers if layer.macs]
    if precision is not Precision.FP16 or not counted:
        return None
    share = mac_shares(counted).get(str(Precision.FP16), 0.0)
    if share >= USUAL.fp16_share:
        return None
    text = f"{share:g} of the convolution MACs ran in FP16, expected at least {USUAL.fp16_share:g}"
    return f"{text}. {_outside(counted, precision)}"


def _outside(layers: Sequence[LayerRecord], precision: Precision) -> str:
    """The convolutions with the most MACs that did not run in a precision."""
    total = sum(layer.macs for layer in layers)
    outside = [layer for layer in layers if layer.macs and layer.executed is not precision]
    outside.sort(key=lambda layer: -layer.macs)
    named = [
        f"'{layer.name}' ({layer.macs / total:.1%}; asked for {layer.requested}, "
        f"ran in {layer.executed or 'unknown'})"
        for layer in outside[:_NAMED]
    ]
    more = f" and {len(outside) - _NAMED} more" if len(outside) > _NAMED else ""
    inside = str(precision).upper()
    return f"Outside {inside}, with their share of the MACs: {', '.join(named)}{more}."
