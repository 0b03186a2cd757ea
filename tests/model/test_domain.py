"""The packaged frames are a default for networks that they may fit."""

from __future__ import annotations

import pytest

from lightawnet_edge.bundle.store import sha256_of
from lightawnet_edge.errors import SpecError
from lightawnet_edge.model.domain import doubt_packaged, refuse_packaged
from lightawnet_edge.model.packaged import packaged_names, resolve
from lightawnet_edge.specs import ColorOrder


def test_a_network_of_gray_frames_is_told_to_bring_its_own() -> None:
    with pytest.raises(
        SpecError,
        match=r"^'ct' takes gray frames, and the packaged ones are colonoscopy in colour, with "
        r"polyps \(PolypGen\)\. Give --data DIR of frames of its own domain\.$",
    ):
        refuse_packaged(ColorOrder.GRAY, "ct", "--data DIR")
    refuse_packaged(ColorOrder.RGB, "polyp", "--data DIR")
    refuse_packaged(ColorOrder.BGR, "polyp", "--data DIR")


def test_of_packaged_weights_it_is_known_that_the_frames_fit() -> None:
    for name in packaged_names():
        assert doubt_packaged(sha256_of(resolve(name)), name, "--data DIR") is None
    assert doubt_packaged("0" * 64, "mine", "--data DIR") == (
        "'mine' is not made of packaged weights, and the packaged frames are colonoscopy in "
        "colour, with polyps (PolypGen): where it was trained on others, give --data DIR of frames "
        "of its own domain"
    )
