"""Features move with what they are named after, and distances with the features."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from lightawnet_edge.calibration.features import (
    FEATURES,
    OTHERS,
    SOURCE_DISTANCE,
    coordinates,
    frame_features,
    sources_of,
)
from tests.calibration.conftest import textured


def measured(frame: np.ndarray, mask: np.ndarray | None = None) -> dict[str, float]:
    return dict(zip(FEATURES, frame_features(frame, mask), strict=True))


def test_each_feature_follows_what_it_is_named_after() -> None:
    frame = textured(0)
    plain = measured(frame)
    blurred = measured(np.asarray(cv2.GaussianBlur(frame, (0, 0), 3), np.uint8))
    assert blurred["sharpness"] < plain["sharpness"]
    assert blurred["contrast"] < plain["contrast"]
    assert measured((frame * 0.5).astype(np.uint8))["brightness"] < plain["brightness"]
    glaring, red = frame.copy(), frame.copy()
    glaring[10:20, 10:20] = 255
    red[:, :, 1:] //= 2
    assert measured(glaring)["specular"] > plain["specular"]
    assert measured(red)["redness"] > plain["redness"]


def test_the_lesion_is_its_share_and_unknown_without_a_mask() -> None:
    mask = np.zeros((60, 80), np.bool_)
    mask[:30, :40] = True
    assert measured(textured(0), mask)["lesion"] == pytest.approx(0.5)
    assert measured(textured(0), ~mask & mask)["lesion"] == 0
    assert math.isnan(measured(textured(0))["lesion"])


def test_a_black_frame_has_finite_features() -> None:
    assert np.isfinite(frame_features(np.zeros((8, 8, 3), np.uint8), None)[:-1]).all()


def test_names_tell_sources_where_several_frames_share_a_prefix() -> None:
    stems = [f"C3_clip_{index}" for index in range(5)] + [f"{index}_pos_7" for index in range(5)]
    found = sources_of([*stems, "cju0q", "1234"], None)
    assert found == ["C3_clip"] * 5 + ["#_pos"] * 5 + [OTHERS, OTHERS]


def test_groups_tell_sources_better_than_names() -> None:
    assert sources_of(["a_1", "b_1"], {"a_1": "north"}) == ["north", OTHERS]


def test_distances_count_features_alike_and_sources_on_top() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(50, len(FEATURES))) * (1, 10, 100, 0.1, 0, 1)
    features[:, 5] = np.nan
    points = coordinates(features, ["a"] * 49 + ["b"])
    assert points[:, :4].std(0) == pytest.approx(np.ones(4), abs=0.1)
    assert not points[:, 4:6].any(), "a constant and an unknown feature say nothing"
    assert np.linalg.norm(points[0, 6:] - points[49, 6:]) == pytest.approx(SOURCE_DISTANCE)


def test_one_broken_frame_does_not_lie_at_infinity() -> None:
    features = np.zeros((100, len(FEATURES)))
    features[0] = 1e6
    assert np.abs(coordinates(features, ["a"] * 100)).max() <= 4
