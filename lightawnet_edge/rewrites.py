"""Which of the exact rewrites that pay on some targets alone are made; to say so needs no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrites:
    """What `model.lowering` does beside the rewrites that every target gets: each is exact."""

    stacked: bool = True
    """Stack an encoder's projection and gate into one convolution, whose output is split. For ONNX
    Runtime that is a copy of rows; OpenVINO's split of interleaved channels takes longer than three
    convolutions."""
    cells: bool = False
    """Compute the first block in cells of pixels: its few channels leave vector lanes empty."""
    wide_cells: bool = False
    """Compute that block's last convolution in cells, too, where its kernel is constant."""
    tiled_head: bool = False
    """Compute logits from the last decoder's and the first block's inputs in tiles. It takes
    `cells`, one output channel, and constant kernels in `e1`, `u4` and `out`; else it is left out.
    """
    transposed: bool = False
    """Up-sample by a transposed convolution per channel in place of an interpolation."""
    gate_runs: bool = False
    """Compute the gates of `e2` and `e3` for runs of pixels: one channel leaves lanes empty."""


USUAL = Rewrites()
