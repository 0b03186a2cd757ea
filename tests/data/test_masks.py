"""A mask has one meaning, or is refused by name with what was found in it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lightawnet_edge.data.masks import Extent, doubt_inverted, extent, read_mask
from lightawnet_edge.data.pixels import Mask
from lightawnet_edge.errors import ArtifactError
from tests.data.files import animation, encoded, png, tiff, turned_jpeg

Pixels = NDArray[np.generic]


def disc(height: int = 64) -> Mask:
    y, x = np.mgrid[:height, :height]
    return np.asarray((y - height / 2) ** 2 + (x - height / 2) ** 2 < (height / 4) ** 2)


def levels(*values: int, dtype: type = np.uint8) -> Pixels:
    """A picture (64, 64) of stripes; the last value is in a disc."""
    found: Pixels = np.zeros((64, 64), dtype)
    for index, value in enumerate(values[:-1]):
        found[:, index * 64 // len(values) :] = value
    found[disc()] = values[-1]
    return found


def layer(colour: tuple[int, int, int], alpha: Pixels, ground: int = 0) -> Pixels:
    """BGRA: a disc of one colour, and an alpha channel."""
    colours = np.full((64, 64, 3), ground, np.uint8)
    colours[disc()] = colour
    return np.dstack([colours, alpha.astype(np.uint8)])


OPAQUE = np.full((64, 64), 255, np.uint8)


@pytest.fixture(params=["png", "tif", "npy"])
def suffix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def written(folder: Path, pixels: Pixels | bytes, suffix: str = "png") -> Path:
    path = folder / f"mask.{suffix}"
    if isinstance(pixels, bytes):
        path.write_bytes(pixels)
    elif suffix == "npy":
        np.save(path, pixels)
    else:
        path.write_bytes(encoded(f".{suffix}", pixels))
    return path


# --- what is read


@pytest.mark.parametrize(
    ("white", "dtype"),
    [
        (1, np.uint8),
        (255, np.uint8),
        (1, np.uint16),
        (255, np.uint16),
        (65535, np.uint16),
    ],
)
def test_white_of_each_depth_is_foreground(
    tmp_path: Path, suffix: str, white: int, dtype: type
) -> None:
    mask: Pixels = (disc() * white).astype(dtype)
    assert np.array_equal(read_mask(written(tmp_path, mask, suffix)), disc())


@pytest.mark.parametrize("dtype", [np.bool_, np.float32, np.int64, np.float64])
def test_arrays_of_zero_and_one_are_masks(tmp_path: Path, dtype: type) -> None:
    assert np.array_equal(read_mask(written(tmp_path, disc().astype(dtype), "npy")), disc())


def test_an_array_of_shares_is_cut_at_the_middle(tmp_path: Path) -> None:
    soft = cv2.blur(disc(200).astype(np.float32), (3, 3))
    assert np.array_equal(read_mask(written(tmp_path, soft, "npy")), np.rint(soft * 255) > 127)


def test_one_bit_is_enough(tmp_path: Path) -> None:
    gray = read_mask(written(tmp_path, png((1, 8), 1, 0, [b"\x0f"])))
    assert gray.tolist() == [[False] * 4 + [True] * 4]
    palette = {b"PLTE": bytes((0, 0, 0, 255, 255, 255))}
    assert read_mask(written(tmp_path, png((1, 8), 1, 3, [b"\x0f"], palette))).sum() == 4
    assert read_mask(written(tmp_path, tiff((1, 8), 1, b"\x0f"))).sum() == 4
    assert read_mask(written(tmp_path, tiff((1, 8), 1, b"\x03", {262: 0}))).sum() == 6


@pytest.mark.parametrize("value", [0, 1, 255])
def test_a_mask_of_one_value_is_empty_or_full(tmp_path: Path, suffix: str, value: int) -> None:
    mask = read_mask(written(tmp_path, np.full((8, 8), value, np.uint8), suffix))
    assert mask.all() if value else not mask.any()


def test_the_ringing_of_jpeg_masks_is_cut_off(tmp_path: Path) -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 16:48] = 255
    cv2.imwrite(str(tmp_path / "mask.jpg"), mask, [cv2.IMWRITE_JPEG_QUALITY, 70])
    assert np.array_equal(read_mask(tmp_path / "mask.jpg"), mask > 0)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_ringing_is_tolerated_at_curves_too(tmp_path: Path, channels: int) -> None:
    mask = np.repeat((disc() * 255).astype(np.uint8)[:, :, None], channels, axis=2)
    data = encoded(".jpg", mask, cv2.IMWRITE_JPEG_QUALITY, 85)
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert values is not None
    assert len(np.unique(values)) > 8
    assert (read_mask(written(tmp_path, data)) != disc()).mean() < 0.01


def test_the_soft_edges_of_one_resize_are_tolerated(tmp_path: Path) -> None:
    large = cv2.resize((disc() * 255).astype(np.uint8), (256, 256))
    mask = read_mask(written(tmp_path, large))
    assert mask.mean() == pytest.approx(disc().mean(), abs=0.005)


def test_alpha_is_the_mask_where_one_colour_lies_on_a_transparent_ground(tmp_path: Path) -> None:
    for colour, ground in (((255, 255, 255), 255), ((255, 255, 255), 0), ((0, 0, 255), 0)):
        picture = layer(colour, disc() * 255, ground)
        assert np.array_equal(read_mask(written(tmp_path, picture)), disc()), (colour, ground)
    nothing = layer((255, 255, 255), disc() * 0)
    assert not read_mask(written(tmp_path, nothing)).any()


@pytest.mark.parametrize(("clear", "words"), [(0, None), (255, "black where it is not transp")])
def test_a_transparent_gray_is_an_alpha_channel(
    tmp_path: Path, clear: int, words: str | None
) -> None:
    rows = [row.tobytes() for row in levels(0, 255)]
    data = png((64, 64), 8, 0, rows, {b"tRNS": bytes((0, clear))})
    path = written(tmp_path, data)
    if words is None:
        assert np.array_equal(read_mask(path), disc())
        return
    with pytest.raises(ArtifactError, match=words):
        read_mask(path)


def test_an_opaque_alpha_channel_says_nothing(tmp_path: Path) -> None:
    picture = layer((255, 255, 255), OPAQUE)
    assert np.array_equal(read_mask(written(tmp_path, picture)), disc())


# --- what is refused


@pytest.mark.parametrize(
    ("pixels", "problem"),
    [
        (levels(0, 128, 255), "its values are 0, 128, 255, expected 0 and 255"),
        (levels(0, 1, 2), "its brightest value is 2, foreground is 255"),
        (levels(0, 1, 255), "its values are 0, 1, 255, expected"),
        (levels(1, 255), "its values are 1, 255, expected"),
        (levels(0, 254, 255), "its values are 0, 254, 255, expected"),
        (levels(0, 100, dtype=np.uint16), "its brightest value is 100, foreground is 255"),
        (levels(0, 4095, dtype=np.uint16), "its brightest value is 4095, foreground is 65535"),
        (levels(0, 255, 65535, dtype=np.uint16), "its values are 0, 255, 65535, expected 0 and"),
        (np.dstack([levels(0, 255)] * 2 + [levels(0, 0)]), "its colours are #000000, #00ffff, e"),
        (np.dstack([levels(0, 0), levels(0, 255, 0), levels(0, 0, 255)]),
         r"its colours are #000000, #00ff00, #ff0000, expected black and white"),
        (layer((255, 255, 255), levels(0, 255, 255)), "another in its alpha channel"),
        (layer((0, 0, 0), disc() * 255, 255), "it is black where it is not transparent"),
    ],
)  # fmt: skip
def test_what_has_more_than_one_reading_is_refused(
    tmp_path: Path, pixels: Pixels, problem: str
) -> None:
    with pytest.raises(ArtifactError, match=rf"Mask '.*mask\.png' is not binary: .*{problem}"):
        read_mask(written(tmp_path, pixels))


def test_a_photograph_is_no_mask(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    with pytest.raises(ArtifactError, match=r"it is a picture of \d+ colours"):
        read_mask(written(tmp_path, noise))
    with pytest.raises(ArtifactError, match=r"\d\d\.\d% of its values lie between 48 and 207"):
        read_mask(written(tmp_path, noise[:, :, 0]))


def test_a_label_map_is_refused_however_small_the_label(tmp_path: Path) -> None:
    values = (disc() * 255).astype(np.uint8)
    values[0, 0] = 128
    with pytest.raises(ArtifactError, match="its values are 0, 128, 255, expected 0 and 255"):
        read_mask(written(tmp_path, values))


def test_a_small_label_in_a_jpeg_is_an_area_and_no_edge(tmp_path: Path) -> None:
    values = (disc(400) * 255).astype(np.uint8)
    values[10:40, 10:40] = 120
    data = encoded(".jpg", values, cv2.IMWRITE_JPEG_QUALITY, 80)
    with pytest.raises(ArtifactError, match="an area of it has values between 48 and 207"):
        read_mask(written(tmp_path, data))


def test_a_jpeg_cannot_hold_a_mask_of_zero_and_one(tmp_path: Path) -> None:
    data = encoded(".jpg", np.ones((64, 64), np.uint8), cv2.IMWRITE_JPEG_QUALITY, 100)
    with pytest.raises(ArtifactError, match="its brightest value is 1, foreground is 255"):
        read_mask(written(tmp_path, data))


@pytest.mark.parametrize("values", [[[-1, 1]], [[0, 70_000]], [[0.5, 2.0]]])
def test_arrays_of_other_numbers_are_refused(tmp_path: Path, values: list[list[float]]) -> None:
    with pytest.raises(ArtifactError, match=r"its values go from .* expected 0 and 1"):
        read_mask(written(tmp_path, np.array(values), "npy"))


def test_several_pages_and_turned_masks_are_refused(tmp_path: Path) -> None:
    pages = cv2.imencodemulti(".tif", [np.zeros((4, 4), np.uint8)] * 2)[1].tobytes()
    for data in (pages, animation(".gif", 2)):
        with pytest.raises(ArtifactError, match="it holds 2 pictures, and one is expected"):
            read_mask(written(tmp_path, data))
    turned = turned_jpeg((disc() * 255).astype(np.uint8), 8)
    with pytest.raises(ArtifactError, match=r"stored turned \(EXIF orientation 8\)"):
        read_mask(written(tmp_path, turned))


# --- masks together


@given(st.integers(2, 30), st.floats(0, 0.6))
def test_sets_of_lesions_are_not_doubted(count: int, area: float) -> None:
    assert doubt_inverted([Extent(area, 0.1)] * count) is None
    assert doubt_inverted([Extent(0.9, 0.7)] * count) is None, "lesions that fill the frame"


def test_a_set_whose_ground_is_white_is_doubted() -> None:
    found = [extent(~disc(size)) for size in (32, 48, 64)]
    assert doubt_inverted(found) == (
        "foreground covers 81% of the masks, and 100% of their border: they look inverted. "
        "Foreground is white (255, or 1)"
    )
    assert doubt_inverted(found[:1]) is None, "one mask alone cannot tell"
    assert doubt_inverted([]) is None
