"""Facts of LightAWNet that can be had without torch."""

from __future__ import annotations

from lightawnet_edge.errors import SpecError

EXPERTS = 4
"""Kernels in the bank of each dynamic convolution (K) of LightAWNet; 1 is its static twin."""
MAX_EXPERTS = 64
"""More kernels than this in a bank are a mistake in a file, and would fill the memory."""


def check_channels(in_channels: int) -> None:
    """Refuse a number of input channels that LightAWNet does not take."""
    if in_channels not in (1, 3):
        raise SpecError(f"in_channels={in_channels}: LightAWNet takes 1 (gray) or 3 (colour).")


def check_experts(experts: int) -> None:
    """Refuse a number of kernels in a bank that no network of this kind has."""
    if not 1 <= experts <= MAX_EXPERTS:
        raise SpecError(f"experts={experts} must lie between 1 and {MAX_EXPERTS}.")
