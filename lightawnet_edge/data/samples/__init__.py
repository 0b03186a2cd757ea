"""Packaged frames with masks, so that every command works out of the box; see ATTRIBUTION.md.

Each half holds `images/` and `masks/` with equal stems. The halves share no scene: scales are never
set on frames that an accuracy is measured on.
"""

from __future__ import annotations

from pathlib import Path

SAMPLES = Path(__file__).parent
"""Folder of the packaged frames."""
CALIBRATION = SAMPLES / "calibration"
"""16 frames of the training split: they set quantization scales and frozen routing."""
EVALUATION = SAMPLES / "evaluation"
"""16 frames of the validation split, none of which resembles a training frame."""
