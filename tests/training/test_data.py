"""Data: what is read, how it is split, and the answers that bad data gets before the first step."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lightawnet_edge.data.images import read_frame
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.model.preprocess import Preprocess
from lightawnet_edge.specs import ColorOrder, Normalization, Size
from lightawnet_edge.training.data import EpochSampler, load
from tests.training.conftest import MakeConfig, write_pair

UInt8 = np.uint8


def solid(value: int) -> np.ndarray:
    return np.full((40, 48, 3), value, UInt8)


def test_frames_are_what_the_device_graph_computes(make_config: MakeConfig, frames: Path) -> None:
    train = load(make_config()).train
    frame = torch.from_numpy(read_frame(frames / "images" / "f0.png"))
    scaling = Normalization(mean=0.0, std=1.0)
    expected = Preprocess(Size(32, 32), scaling, ColorOrder.RGB)(frame)[0]
    assert train.images.dtype == torch.uint8
    # Eight bits hold a value to half a grey level.
    assert (train.images[0] / 255 - expected).abs().max() <= 0.5 / 255 + 1e-6


def test_masks_are_zero_and_one_and_may_be_empty(make_config: MakeConfig) -> None:
    sets = load(make_config())
    train, val = sets.train, sets.val
    assert train.masks.shape == (5, 1, 32, 32)
    assert set(np.unique(train.masks.numpy())) == {0, 1}
    assert val.stems == ("f2", "f6", "f7")
    assert val.masks[2].sum() == 0


def test_gray_networks_get_one_channel(make_config: MakeConfig) -> None:
    assert load(make_config(in_channels=1)).train.images.shape == (5, 1, 32, 32)


def test_numpy_slices_and_jpeg_pairs_are_read(make_config: MakeConfig, frames: Path) -> None:
    np.save(frames / "images" / "slice.npy", np.linspace(-1000, 400, 40 * 48).reshape(40, 48))
    mask = np.zeros((40, 48), np.int16)
    mask[10:20, 10:20] = 1
    np.save(frames / "masks" / "slice.npy", mask)
    write_pair(frames, "photo", solid(90), mask.astype(UInt8) * 255, ".jpg")
    train = load(make_config()).train
    assert {"slice", "photo"} <= set(train.stems)
    at = train.stems.index("slice")
    # Scaled from their own minimum and maximum; resizing averages both ends a little.
    assert int(train.images[at].min()) < 5
    assert int(train.images[at].max()) > 250
    assert train.masks[at].float().mean() == pytest.approx(100 / (40 * 48), rel=0.2)


def test_equal_data_have_equal_fingerprints(make_config: MakeConfig, frames: Path) -> None:
    before = load(make_config()).train.fingerprint()
    assert load(make_config()).train.fingerprint() == before
    mask = np.zeros((40, 48), UInt8)
    mask[:20] = 255
    assert cv2.imwrite(str(frames / "masks" / "f0.png"), mask)
    assert load(make_config()).train.fingerprint() != before


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    sampler = EpochSampler(50, seed=3)
    orders = []
    for sampler.epoch in (0, 1, 0):
        orders.append(list(sampler))
    assert sorted(orders[0]) == list(range(50))
    assert orders[0] == orders[2] != orders[1]
    assert list(EpochSampler(50, seed=4)) != orders[0]


# --- bad data


def test_no_pairs(make_config: MakeConfig, frames: Path) -> None:
    for mask in (frames / "masks").iterdir():
        mask.rename(mask.with_name(f"m_{mask.name}"))
    with pytest.raises(ArtifactError, match=r"No pairs in .*: 8 images and 8 masks"):
        load(make_config())
    shutil.rmtree(frames / "masks")
    with pytest.raises(ArtifactError, match=r"has no folder 'masks'"):
        load(make_config())


def test_a_missing_mask(make_config: MakeConfig, frames: Path) -> None:
    (frames / "masks" / "f3.png").unlink()
    with pytest.raises(
        ArtifactError, match=r"1 problem: image '.*f3\.png' has no mask: expected 'f3\."
    ):
        load(make_config())


def test_a_size_mismatch(make_config: MakeConfig, frames: Path) -> None:
    assert cv2.imwrite(str(frames / "masks" / "f3.png"), np.zeros((48, 40), UInt8))
    with pytest.raises(ArtifactError, match=r"f3.png' is 40x48, its mask '.*f3.png' is 48x40"):
        load(make_config())


def test_a_mask_that_is_not_binary(make_config: MakeConfig, frames: Path) -> None:
    shutil.copy(frames / "images" / "f3.png", frames / "masks" / "f3.png")
    with pytest.raises(ArtifactError, match=r"Mask '.*f3\.png' is not binary: .* colours"):
        load(make_config())


def test_an_unreadable_file_is_named(make_config: MakeConfig, frames: Path) -> None:
    (frames / "images" / "f3.png").write_bytes(b"\x89PNG\r\n\x1a\n no")
    with pytest.raises(ArtifactError, match=r"f3.png' cannot be decoded"):
        load(make_config())


def test_all_masks_empty(make_config: MakeConfig, frames: Path) -> None:
    for path in (frames / "masks").iterdir():
        assert cv2.imwrite(str(path), np.zeros((40, 48), UInt8))
    with pytest.raises(ArtifactError, match="No training mask of 5 has a foreground pixel"):
        load(make_config())


def test_no_background_anywhere(make_config: MakeConfig, frames: Path) -> None:
    for path in (frames / "masks").iterdir():
        assert cv2.imwrite(str(path), np.full((40, 48), 255, UInt8))
    with pytest.raises(ArtifactError, match="No training mask of 5 has a background pixel"):
        load(make_config())


def test_a_frame_that_is_in_both_sets_under_two_names(
    make_config: MakeConfig, frames: Path
) -> None:
    pixels = cv2.imread(str(frames / "images" / "f0.png"))
    assert pixels is not None
    (frames / "images" / "f6.png").unlink()
    assert cv2.imwrite(str(frames / "images" / "f6.bmp"), pixels)  # other bytes, equal pixels
    with pytest.raises(SpecError, match=r"1 validation frame\(s\) .* same pixels .*: f6 = f0"):
        load(make_config())


def test_problems_come_together_and_the_list_is_short(
    make_config: MakeConfig, frames: Path
) -> None:
    for index in range(7, 25):
        write_pair(frames, f"f{index}", solid(index), solid(0)[..., 0])
        (frames / "images" / f"f{index}.png").write_bytes(b"")
    assert cv2.imwrite(str(frames / "masks" / "f0.png"), np.zeros((4, 4), UInt8))
    with pytest.raises(ArtifactError, match=r"has 19 problems: .*and 9 more") as caught:
        load(make_config())
    assert len(re.findall("cannot be decoded", str(caught.value))) == 9
    assert "its mask" in str(caught.value)


# --- what is told before the first step


def test_what_is_not_used_is_told(make_config: MakeConfig, frames: Path) -> None:
    (frames / "images" / "clip.mpg").touch()
    (frames / "masks" / "f9.png").touch()
    told: list[str] = []
    load(make_config(), told.append)
    assert told == [
        "not used of 'images': 1 video (clip.mpg)",
        "not used of 'masks': 1 mask without an image (f9.png)",
    ]


def test_masks_of_several_depths_are_one_set(make_config: MakeConfig, frames: Path) -> None:
    before = load(make_config()).train.fingerprint()
    for index, white in enumerate((1, 255, 65535)):
        path = frames / "masks" / f"f{index}.png"
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert mask is not None
        values = (mask > 0) * np.uint16(white)
        assert cv2.imwrite(str(path), values.astype(np.uint16 if index else UInt8))
    assert load(make_config()).train.fingerprint() == before


def test_inverted_masks_are_doubted_aloud(make_config: MakeConfig, frames: Path) -> None:
    for path in (frames / "masks").iterdir():
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert mask is not None
        assert cv2.imwrite(str(path), 255 - mask)
    told: list[str] = []
    load(make_config(), told.append)
    assert len(told) == 1
    assert "they look inverted" in told[0]
