"""Cheap features of a frame that move the ranges inside a network; numpy and OpenCV."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lightawnet_edge.data.likeness import field_of_view, thumbnail
from lightawnet_edge.data.pixels import UInt8, opencv

FEATURES = ("brightness", "contrast", "sharpness", "redness", "specular", "lesion")
"""`brightness` and `contrast`: mean and standard deviation of luminance in [0, 1].
`sharpness`: base-10 logarithm of the variance of the Laplacian, in grey levels squared.
`redness`: share of red in the sum of the channels; light sources and dyes change it.
`specular`: square root of the share of pixels that are bright and without color.
`lesion`: square root of the share of the frame that the mask covers; NaN without a mask.
All are of the field of view of a thumbnail, `lesion` apart; square roots spread small shares."""

OTHERS = "others"
MIN_SOURCE = 5
"""Fewer frames with a prefix are no source of their own."""
SOURCE_DISTANCE = 2.0
"""Two frames of different sources lie at least so far apart, in standard deviations of a feature.
A set that leaves every frame of the pool nearer than this holds all sources."""

_GLARE, _GRAY = 230, 40
"""A highlight's channels all reach some 90 % of full scale, and lie close together."""
_CLIP = 4.0
"""Standard deviations after which stranger is no stranger: one broken frame sets no scale."""

Values = NDArray[np.float64]


def frame_features(frame: UInt8, mask: NDArray[np.bool_] | None) -> tuple[float, ...]:
    """FEATURES of an RGB frame (H, W, 3); `mask` (H, W) is its lesion, where that is known."""
    cv2 = opencv()
    small = thumbnail(frame)
    gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    rows, columns = field_of_view(gray)
    view, light = small[rows, columns], np.asarray(gray[rows, columns])
    means = view.reshape(-1, 3).mean(0)
    low, high = view.min(2).astype(int), view.max(2).astype(int)
    glare = (low >= _GLARE) & (high - low <= _GRAY)
    return (
        float(light.mean() / 255),
        float(light.std() / 255),
        float(np.log10(cv2.Laplacian(light, cv2.CV_64F).var() + 1)),
        float(means[0] / max(means.sum(), 1.0)),
        float(np.sqrt(glare.mean())),
        float("nan") if mask is None else float(np.sqrt(mask.mean())),
    )


def sources_of(stems: Sequence[str], groups: Mapping[str, str] | None) -> list[str]:
    """Where each frame comes from: its group, or what its name begins with.

    A name without its last number, with # for a number in front, is its prefix: `C3_EndoCV2021_61`
    and `C3_EndoCV2021_62` share `C3_EndoCV2021`, `12_positive_3` and `7_positive_9` share
    `#_positive`. Frames without a group, and prefixes of few frames, are `others`.
    """
    if groups is not None:
        return [groups.get(stem, OTHERS) for stem in stems]
    prefixes = [re.sub(r"^\d+", "#", re.sub(r"[\d\W_]+$", "", stem)) for stem in stems]
    counts = Counter(prefixes)
    return [prefix if prefix and counts[prefix] >= MIN_SOURCE else OTHERS for prefix in prefixes]


def coordinates(features: Values, sources: Sequence[str]) -> Values:
    """Points whose distances say how different frames are, shape (N, features + sources).

    Each feature is scaled to a standard deviation of 1 over the pool; what is unknown lies at its
    mean. Sources are corners of a simplex, SOURCE_DISTANCE apart.

    Args:
        features: Shape (N, len(FEATURES)), NaN where unknown.
        sources: Source of each frame.
    """
    known = ~np.isnan(features)
    counts = np.maximum(known.sum(0), 1)
    centred = np.where(known, features - np.where(known, features, 0).sum(0) / counts, 0)
    deviation = np.sqrt((centred**2).sum(0) / counts)
    scaled = centred / np.where(deviation > 0, deviation, 1)
    names = sorted(set(sources))
    corners = np.array([[source == name for name in names] for source in sources], np.float64)
    return np.hstack([scaled.clip(-_CLIP, _CLIP), corners * SOURCE_DISTANCE / np.sqrt(2)])
