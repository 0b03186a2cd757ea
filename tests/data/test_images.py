"""An image is read as its bytes are, or refused by name with what is wrong with it."""

from __future__ import annotations

import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lightawnet_edge.data.formats import format_of
from lightawnet_edge.data.images import MAX_BYTES, MAX_PX, MAX_SIDE_PX, read_frame
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.errors import ArtifactError
from lightawnet_edge.specs import ColorOrder
from tests.data.files import TURNED, animation, chunk, encoded, exif, png, tiff, turned_jpeg

RED, GREEN = (200, 10, 30), (20, 180, 40)


def two_colours() -> UInt8:
    """RGB frame (12, 16, 3): red on the left, green on the right."""
    frame = np.empty((12, 16, 3), np.uint8)
    frame[:, :8], frame[:, 8:] = RED, GREEN
    return frame


def textured(height: int = 96, width: int = 128) -> UInt8:
    """A frame with as much detail as a photograph."""
    coarse = np.random.default_rng(3).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.fixture(params=[".png", ".bmp", ".tif", ".webp", ".npy"])
def lossless(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"frame{request.param}"
    if path.suffix == ".npy":
        np.save(path, two_colours())
    else:
        cv2.imwrite(str(path), two_colours()[:, :, ::-1])
    return path


def written(folder: Path, data: bytes, name: str = "frame.png") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


# --- pixels as they are


def test_colour_frames_come_in_the_order_that_is_asked_for(lossless: Path) -> None:
    rgb, bgr = read_frame(lossless), read_frame(lossless, ColorOrder.BGR)
    assert np.array_equal(rgb, two_colours())
    assert np.array_equal(bgr, two_colours()[:, :, ::-1])
    assert rgb.flags.c_contiguous
    assert bgr.flags.c_contiguous


def test_gray_frames_are_the_luma_of_the_colours(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "frame.png"), two_colours()[:, :, ::-1])
    gray = read_frame(tmp_path / "frame.png", ColorOrder.GRAY)
    luma = two_colours() @ np.array([0.299, 0.587, 0.114])
    assert gray.shape == (12, 16)
    np.testing.assert_allclose(gray, luma, atol=1)


def test_gray_files_become_three_equal_channels(tmp_path: Path) -> None:
    gray = np.arange(48, dtype=np.uint8).reshape(6, 8)
    cv2.imwrite(str(tmp_path / "a.png"), gray)
    np.save(tmp_path / "b.npy", gray)
    for name in ("a.png", "b.npy"):
        assert np.array_equal(read_frame(tmp_path / name), np.stack([gray] * 3, axis=2)), name
        assert np.array_equal(read_frame(tmp_path / name, ColorOrder.GRAY), gray), name


def test_the_content_of_a_file_counts_and_not_its_suffix(tmp_path: Path) -> None:
    path = written(tmp_path, encoded(".png", two_colours()[:, :, ::-1]), "frame.npy")
    assert np.array_equal(read_frame(path), two_colours())
    np.save(tmp_path / "b.npy", two_colours())
    (tmp_path / "b.npy").rename(tmp_path / "b.jpg")
    assert np.array_equal(read_frame(tmp_path / "b.jpg"), two_colours())


def test_palettes_are_read_as_the_colours_that_they_mean(tmp_path: Path) -> None:
    palette = bytes((*RED, *GREEN))
    path = written(tmp_path, png((1, 8), 1, 3, [b"\x0f"], {b"PLTE": palette}))
    assert [tuple(pixel) for pixel in read_frame(path)[0, ::4]] == [RED, GREEN]


def test_a_gif_of_one_picture_is_an_image(tmp_path: Path) -> None:
    path = written(tmp_path, encoded(".gif", np.full((8, 8, 3), 255, np.uint8)), "frame.gif")
    assert read_frame(path).min() > 250


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bits_are_scaled_by_their_full_range(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 257, 32768, 65535]], np.uint16)
    path = written(tmp_path, encoded(suffix, values))
    assert read_frame(path, ColorOrder.GRAY).tolist() == [[0, 1, 128, 255]]


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_fewer_bits_in_a_16_bit_file_are_refused_and_never_black(tmp_path: Path, bits: int) -> None:
    values = np.full((4, 4, 3), (1 << bits) - 1, np.uint16)
    path = written(tmp_path, encoded(".png", values))
    with pytest.raises(
        ArtifactError, match=rf"is no frame: the brightest .* is {(1 << bits) - 1} of 65535.*8 bits"
    ):
        read_frame(path)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(("outlier", "count"), [(65535, 1), (65535, 400), (40000, 3)])
def test_a_hot_pixel_or_text_makes_no_16_bits_of_12(
    tmp_path: Path, suffix: str, outlier: int, count: int
) -> None:
    values = np.linspace(0, 4095, 64 * 64).astype(np.uint16).reshape(64, 64)
    values[8:].flat[:count] = outlier
    path = written(tmp_path, encoded(suffix, values))
    with pytest.raises(ArtifactError, match=r"is no frame: the brightest .* of 65535 but for .*%"):
        read_frame(path)


def test_white_on_black_is_a_16_bit_frame(tmp_path: Path) -> None:
    values = np.zeros((40, 40), np.uint16)
    values[3, 4] = 65535
    path = written(tmp_path, encoded(".png", values))
    assert set(np.unique(read_frame(path))) == {0, 255}


def test_a_black_16_bit_frame_is_black(tmp_path: Path) -> None:
    path = written(tmp_path, encoded(".png", np.zeros((4, 4), np.uint16)))
    assert not read_frame(path).any()


def test_an_opaque_alpha_channel_is_left_out_and_another_refused(tmp_path: Path) -> None:
    frame = np.dstack([two_colours()[:, :, ::-1], np.full((12, 16), 255, np.uint8)])
    path = written(tmp_path, encoded(".png", frame))
    assert np.array_equal(read_frame(path), two_colours())
    frame[3, 4, 3] = 254
    path.write_bytes(encoded(".png", frame))
    with pytest.raises(ArtifactError, match="parts of it are transparent"):
        read_frame(path)


@pytest.mark.parametrize(
    ("depth", "clear", "row"),
    [
        (1, 1, b"\x0f"),
        (2, 2, b"\x1b\xff"),
        (4, 9, b"\x01\x23\x45\x79"),
        (8, 200, bytes(range(193, 201))),
        (16, 513, b"\1\1" * 7 + b"\2\1"),
    ],
)
def test_a_transparent_gray_is_refused_where_a_pixel_has_it(
    tmp_path: Path, depth: int, clear: int, row: bytes
) -> None:
    size = (1, 8)
    found = png(size, depth, 0, [row], {b"tRNS": struct.pack(">H", clear)})
    with pytest.raises(ArtifactError, match="parts of it are transparent"):
        read_frame(written(tmp_path, found))
    unused = png(size, 8, 0, [bytes(8)], {b"tRNS": struct.pack(">H", 7)})
    assert not read_frame(written(tmp_path, unused)).any()


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_number_beyond_the_palette_is_damage(tmp_path: Path, depth: int) -> None:
    """One colour too few: the last number has none."""
    rows = {1: b"\x0f", 2: b"\x1b\x1b", 4: b"\x01\x23\x45\x67", 8: bytes(range(8))}
    row, count = rows[depth], min(8, 1 << depth)
    whole = png((1, 8), depth, 3, [row], {b"PLTE": bytes(3 * count)})
    assert read_frame(written(tmp_path, whole)).shape == (1, 8, 3)
    short = png((1, 8), depth, 3, [row], {b"PLTE": bytes(3 * (count - 1)), b"tRNS": b"\xff"})
    with pytest.raises(
        ArtifactError,
        match=f"damaged: its palette has {count - 1} colours, and a pixel has number {count - 1}",
    ):
        read_frame(written(tmp_path, short))


BGR = (0xFF0000, 0xFF00, 0xFF)


def bitfields(masks: tuple[int, ...], pixel: bytes, header: int = 40) -> bytes:
    """A BMP of 2x2 such pixels of 32 bits, whose masks of colours stand in the file."""
    fields = struct.pack("<IiiHHIIiiII", header, 2, 2, 1, 32, 3, 16, 0, 0, 0, 0)
    fields = (fields + struct.pack(f"<{len(masks)}I", *masks)).ljust(header, b"\0")
    start = 14 + len(fields)
    return b"BM" + struct.pack("<IHHI", start + 16, 0, 0, start) + fields + pixel * 4


@pytest.mark.parametrize(
    "data",
    [
        bitfields(BGR, b"\1\2\3\0"),
        bitfields(BGR, b"\1\2\3\x09"),
        bitfields(BGR, b"\1\2\3\0", 52),
        bitfields(BGR, b"\1\2\3\0", 108),
        bitfields((*BGR, 0xFF000000), b"\1\2\3\xff", 108),
        bitfields((0xFF, 0xFF00, 0xFF0000), b"\3\2\1\0", 108),
    ],
)
def test_the_filler_of_a_bmp_of_32_bits_is_no_alpha(tmp_path: Path, data: bytes) -> None:
    frame = read_frame(written(tmp_path, data, "frame.bmp"), ColorOrder.BGR)
    assert (frame == (1, 2, 3)).all()


@pytest.mark.parametrize(
    "data",
    [
        bitfields((0xFF000000, 0xFF0000, 0xFF00), b"\xff\1\2\3"),
        bitfields((0xFF, 0xFF00, 0xFF0000), b"\3\2\1\xff"),
        bitfields((0x3FF00000, 0xFFC00, 0x3FF), b"\1\2\3\0", 108),
    ],
)
def test_a_bmp_whose_colours_lie_elsewhere_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ArtifactError, match=r"its colours lie in the bits 0x.* Save it as PNG"):
        read_frame(written(tmp_path, data, "frame.bmp"))


def planes(bits: int, strips: int) -> bytes:
    """An RGB TIFF of 2x2 pixels, all red, then all green, then all blue, with this many strips."""
    step = 4 * bits // 8
    body = b"".join(bytes([value] * step) for value in (10, 20, 30))
    tags = [(256, 3, [2]), (257, 3, [2]), (258, 3, [bits] * 3), (259, 3, [1]), (262, 3, [2]),
            (273, 4, [8 + step * index for index in range(strips)]), (277, 3, [3]), (278, 3, [2]),
            (279, 4, [len(body) // strips] * strips), (284, 3, [2])]  # fmt: skip
    start, entries, extra = 8 + len(body), b"", b""
    end = start + 2 + 12 * len(tags) + 4
    for tag, kind, values in tags:
        field = struct.pack(f"<{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(field) > 4:
            field, extra = struct.pack("<I", end + len(extra)), extra + field
        entries += struct.pack("<HHI", tag, kind, len(values)) + field.ljust(4, b"\0")
    head = b"II*\0" + struct.pack("<I", start)
    return head + body + struct.pack("<H", len(tags)) + entries + bytes(4) + extra


def test_channels_that_lie_apart_are_read_as_they_are_or_refused(tmp_path: Path) -> None:
    assert (read_frame(written(tmp_path, planes(8, 3))) == (10, 20, 30)).all()
    with pytest.raises(ArtifactError, match=r"its channels of 16 bits lie apart \(planar\); such"):
        read_frame(written(tmp_path, planes(16, 3)))
    with pytest.raises(ArtifactError, match=r"lie apart \(planar\) in 1 strips, expected 3"):
        read_frame(written(tmp_path, planes(8, 1)))


@pytest.mark.parametrize(("count", "is_read"), [(1, True), (2, False)])
def test_a_jpeg_that_announces_several_pictures_is_refused(
    tmp_path: Path, count: int, is_read: bool
) -> None:
    block = b"MPF\0II*\0" + struct.pack("<IHHHIII", 8, 1, 0xB001, 4, 1, count, 0)
    data = encoded(".jpg", two_colours())
    data = data[:2] + b"\xff\xe2" + struct.pack(">H", len(block) + 2) + block + data[2:]
    path = written(tmp_path, data + data, "frame.jpg")
    if is_read:
        assert read_frame(path).shape == (12, 16, 3)
        return
    with pytest.raises(ArtifactError, match=r"it holds 2 pictures, .* Save the one"):
        read_frame(path)


# --- orientation


def quarters() -> UInt8:
    """A BGR frame (16, 32, 3) whose upper left quarter is white."""
    frame = np.zeros((16, 32, 3), np.uint8)
    frame[:8, :16] = 255
    return frame


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_frame_stands_as_opencv_would_show_it(tmp_path: Path, orientation: int) -> None:
    data = turned_jpeg(quarters(), orientation)
    path = written(tmp_path, data, "frame.jpg")
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    assert np.array_equal(read_frame(path, ColorOrder.BGR), shown)


@pytest.mark.parametrize(
    "data",
    [
        png((2, 2), 8, 0, [b"\0\xff"] * 2, {b"eXIf": exif(6)}),
        tiff((2, 2), 8, b"\0\xff\0\xff", {TURNED: 6}),
    ],
)
def test_png_and_tiff_are_turned_too(tmp_path: Path, data: bytes) -> None:
    path = written(tmp_path, data)
    assert read_frame(path, ColorOrder.GRAY).tolist() == [[0, 0], [255, 255]]


@pytest.mark.parametrize("size", [(16, 32), (16, 16)])
def test_a_turned_frame_is_refused_where_a_mask_belongs_to_it(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    frame = quarters()[: size[0], : size[1]]
    path = written(tmp_path, turned_jpeg(frame, 3), "frame.jpg")
    with pytest.raises(ArtifactError, match=r"stored turned \(EXIF orientation 3\).*Save it up"):
        read_frame(path, turn=False)
    path.write_bytes(turned_jpeg(frame, 1))
    assert read_frame(path, turn=False).shape == (*size, 3)


@pytest.mark.parametrize("block", [b"", b"Exif\0\0", exif(0), exif(9), exif(6)[:20]])
def test_an_orientation_that_makes_no_sense_is_none(tmp_path: Path, block: bytes) -> None:
    path = written(tmp_path, png((1, 2), 8, 0, [b"\0\xff"], {b"eXIf": block}))
    assert read_frame(path, turn=False).shape == (1, 2, 3)


# --- what is no frame


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (animation(".gif", 3), "it holds 3 pictures, and one is expected"),
        (animation(".png", 3), "it holds 3 pictures"),
        (animation(".webp", 3), "it holds 3 pictures"),
        (cv2.imencodemulti(".tif", [np.zeros((4, 4), np.uint8)] * 2)[1].tobytes(), "2 pictures"),
        (tiff((1, 2), 32, bytes(8), {339: 3}), "its values are signed or floating point"),
        (tiff((1, 2), 16, bytes(4), {339: 2}), "its values are signed or floating point"),
        (tiff((1, 2), 32, bytes(8)), "its values have 32 bits"),
        (tiff((1, 2), 16, bytes(4), {262: 0}), "its values mean light in way 0"),
        (tiff((1, 2), 16, bytes(4), {262: 3}), "its values mean light in way 3"),
        (tiff((1, 1), 8, bytes(4), {262: 5, 277: 4}), "its colours are CMYK"),
        (tiff((1, 1), 8, bytes(2), {277: 2}), "its pixels have 2 values"),
        (b"II+\0" + bytes(60), "it is a BigTIFF"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "its format is JPEG 2000, and PNG"),
        (b"\0\0\0\x20ftypheic", "its format is HEIF"),
        (b"\x76\x2f\x31\x01" + bytes(40), "its format is OpenEXR"),
        (bytes(128) + b"DICM", "its format is DICOM"),
        (b"\0\0\0\x20ftypisom" + bytes(40), "its format is MP4"),
        (b"<html>", "broken, or of an unknown format"),
    ],
)
def test_what_has_no_one_meaning_as_a_frame_is_refused(
    tmp_path: Path, data: bytes, message: str
) -> None:
    path = written(tmp_path, data)
    with pytest.raises(
        ArtifactError, match=rf"frame\.png' cannot be decoded as an image: .*{message}"
    ):
        read_frame(path)


def test_a_cmyk_jpeg_and_one_of_12_bits_are_refused(tmp_path: Path) -> None:
    data = bytearray(encoded(".jpg", two_colours()))
    frame = data.index(b"\xff\xc0")
    data[frame + 4] = 12
    with pytest.raises(ArtifactError, match="its values have 12 bits"):
        read_frame(written(tmp_path, bytes(data), "frame.jpg"))
    data[frame + 4], data[frame + 9] = 8, 4
    with pytest.raises(ArtifactError, match="its colours are CMYK"):
        read_frame(written(tmp_path, bytes(data), "frame.jpg"))


# --- damage


def damaged(data: bytes, way: str) -> bytes:
    start = data.index(b"\xff\xda") + 400
    changed = bytearray(data)
    if way == "cut off":
        return data[:start]
    if way == "closed":  # cut off, with an end marker behind
        return data[:start] + b"\xff\xd9"
    if way == "lost":
        del changed[start : start + 250]
    if way == "flipped":
        changed[start + 20] ^= 0x10
    return bytes(changed)


@pytest.mark.parametrize("way", ["cut off", "closed", "lost", "flipped"])
@pytest.mark.parametrize("progressive", [0, 1])
def test_a_jpeg_that_lost_data_is_named_and_not_filled_up(
    tmp_path: Path, way: str, progressive: int, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = encoded(".jpg", textured(), cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    assert read_frame(written(tmp_path, whole, "whole.jpg")).shape == (96, 128, 3)
    path = written(tmp_path, damaged(whole, way), "frame.jpg")
    with pytest.raises(
        ArtifactError,
        match=r"frame\.jpg' cannot be .*: it is (cut off|damaged, its decoder says: )",
    ):
        read_frame(path)
    assert not capfd.readouterr().err, "the decoder's own line is in ours"


def test_a_progressive_jpeg_without_its_last_scans_is_cut_off(tmp_path: Path) -> None:
    whole = encoded(".jpg", textured(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    last = whole.rindex(b"\xff\xc4")  # the tables of the last scan
    path = written(tmp_path, whole[:last] + b"\xff\xd9", "frame.jpg")
    with pytest.raises(ArtifactError, match="cut off: scans of a channel or of finer detail are"):
        read_frame(path)


def test_a_jpeg_without_the_scan_of_a_channel_is_cut_off(tmp_path: Path) -> None:
    """Its frame speaks of three channels, its one scan holds the first of them."""
    gray = encoded(".jpg", textured()[:, :, 0])
    at = gray.index(b"\xff\xc0") + 2
    frame = gray[at + 2 : at + 7] + bytes((3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0))
    segment = struct.pack(">H", len(frame) + 2) + frame
    data = gray[:at] + segment + gray[at + struct.unpack_from(">H", gray, at)[0] :]
    with pytest.raises(ArtifactError, match="it is cut off: scans of a channel"):
        read_frame(written(tmp_path, data, "frame.jpg"))


def test_bytes_after_the_end_of_an_image_change_nothing(tmp_path: Path) -> None:
    for suffix in (".jpg", ".png", ".webp", ".bmp"):
        path = written(tmp_path, encoded(suffix, textured()) + b"from the camera", f"f{suffix}")
        assert read_frame(path).shape == (96, 128, 3)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp", ".gif", ".npy"])
def test_a_file_that_breaks_off_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"frame{suffix}"
    if suffix == ".npy":
        np.save(path, textured())
    else:
        path.write_bytes(encoded(suffix, textured()))
    data = path.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.999):
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises(ArtifactError, match=rf"frame\{suffix}' cannot be decoded"):
            read_frame(path)


def test_a_png_is_held_against_its_checksums(tmp_path: Path) -> None:
    data = bytearray(encoded(".png", textured()))
    data[data.index(b"IDAT") + 200] ^= 1
    path = written(tmp_path, bytes(data))
    with pytest.raises(ArtifactError, match="the checksum of its part IDAT does not fit"):
        read_frame(path)


def test_words_of_decoders_stand_in_the_sentence_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    short = png((40, 8), 8, 0, [bytes(8)])
    runs = struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, 8, 1, 4, 0, 0, 256, 0) + bytes(1024)
    cut = b"BM" + struct.pack("<IHHI", 1082, 0, 0, 1078) + runs + b"\2\1\2\1"
    for name, data, words in (
        ("a.png", short, "Not enough image data"),
        ("b.bmp", cut, "Unexpected end of input stream"),
    ):
        with pytest.raises(ArtifactError, match=rf"it is damaged, its decoder says: {words}\.$"):
            read_frame(written(tmp_path, data, name))
    assert not capfd.readouterr().err


def test_a_tiff_whose_decoder_complains_is_damaged(tmp_path: Path) -> None:
    data = bytearray(encoded(".tif", textured(), cv2.IMWRITE_TIFF_COMPRESSION, 5))
    data[100:130] = b"\xff" * 30
    path = written(tmp_path, bytes(data))
    with pytest.raises(ArtifactError, match="it is damaged, its decoder says: "):
        read_frame(path)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_many_threads_tell_damaged_from_whole_files(tmp_path: Path, suffix: str) -> None:
    whole = encoded(suffix, textured())
    broken = damaged(whole, "closed") if suffix == ".jpg" else png((40, 8), 8, 0, [bytes(8)])
    paths = [
        written(tmp_path, whole if index % 3 else broken, f"{index}{suffix}") for index in range(60)
    ]
    gate = threading.Barrier(6)

    def is_damaged(path: Path) -> bool:
        if int(path.stem) < 6:
            gate.wait(timeout=60)
        try:
            read_frame(path)
        except ArtifactError:
            return True
        return False

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(is_damaged, paths)) == [index % 3 == 0 for index in range(60)]


@pytest.mark.parametrize("name", ["frame.png", "frame.jpg", "frame.npy"])
@pytest.mark.parametrize("raw", [b"", b"no picture"])
def test_broken_files_are_named(tmp_path: Path, name: str, raw: bytes) -> None:
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(ArtifactError, match=rf"{name}' cannot be (decoded|read)"):
        read_frame(tmp_path / name)


@pytest.mark.parametrize("name", ["frame.png", "frame.npy"])
def test_missing_files_are_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArtifactError, match=name):
        read_frame(tmp_path / name)


def test_a_file_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    path = written(tmp_path, b"x")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ArtifactError, match=r"frame\.png' cannot be read: Permission denied"):
        read_frame(path)


# --- limits


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((30_000, 30_000), f"30000x30000 pixels, and sides of at most {MAX_SIDE_PX}"),
        ((1, 100_000), "1x100000 pixels, and sides"),
        ((16_000, 16_000), f"16000x16000 pixels, and at most {MAX_PX // 2**20} Mi"),
    ],
)
def test_a_huge_image_is_refused_by_its_header(
    tmp_path: Path, size: tuple[int, int], message: str
) -> None:
    path = written(tmp_path, png(size, 8, 0, [b""]))
    with pytest.raises(ArtifactError, match=message):
        read_frame(path)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, encoded(".png", textured()))
    with path.open("r+b") as file:
        file.truncate(MAX_BYTES + 1)  # sparse: it takes no room
    with pytest.raises(
        ArtifactError, match=r"has 256 MiB, and an image of at most 256 MiB is read"
    ):
        read_frame(path)


@pytest.mark.parametrize("shape", [(1 << 40, 1 << 20), (100_000, 1), (20_000, 20_000), (-1, 4)])
def test_the_header_of_an_array_is_read_before_its_data(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    path = tmp_path / "bomb.npy"
    path.write_bytes(b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text.encode())
    with pytest.raises(ArtifactError, match=r"bomb\.npy' cannot be decoded as an image: it"):
        read_frame(path)


# --- arrays


def test_slices_are_scaled_from_their_own_range(tmp_path: Path) -> None:
    np.save(tmp_path / "slice.npy", np.array([[-1000, 0], [500, 1000]], np.int16))
    frame = read_frame(tmp_path / "slice.npy", ColorOrder.GRAY)
    assert frame.tolist() == [[0, 128], [191, 255]]
    assert frame.dtype == np.uint8


def test_flat_slices_are_black_where_they_are_0_and_refused_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "slice.npy"
    np.save(path, np.zeros((4, 4), np.int32))
    assert not read_frame(path).any()
    for flat in (np.int16(-3), np.uint16(7), np.float64(7.5)):
        np.save(path, np.full((4, 4), flat))
        with pytest.raises(ArtifactError, match=rf"all of its values are {flat:g}: nothing says"):
            read_frame(path)


@pytest.mark.parametrize("values", [[0, 0, 1], [0, 1, 2], [9, 9, 9]])
def test_bytes_are_kept_as_they_are(tmp_path: Path, values: list[int]) -> None:
    np.save(tmp_path / "x.npy", np.array([values], np.uint8))
    assert read_frame(tmp_path / "x.npy", ColorOrder.GRAY).tolist() == [values]


def test_truth_values_are_black_and_white(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([[True, False]]))
    assert read_frame(tmp_path / "x.npy", ColorOrder.GRAY).tolist() == [[255, 0]]


@pytest.mark.parametrize("brightest", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_fractions_of_1_have_one_scale_whatever_the_brightest_is(
    tmp_path: Path, brightest: float, kind: type[np.floating]
) -> None:
    np.save(tmp_path / "x.npy", np.array([[0, brightest]], kind))
    frame = read_frame(tmp_path / "x.npy", ColorOrder.GRAY)
    assert frame.tolist() == [[0, round(brightest * 255)]]


def sensor(dtype: type[np.generic] = np.uint16) -> NDArray[np.generic]:
    """A frame (64, 64) as a sensor of 12 bits gives it."""
    return np.linspace(0, 4095, 64 * 64).astype(dtype).reshape(64, 64)


@pytest.mark.parametrize(
    ("outlier", "dtype", "count"),
    [
        (65535, np.uint16, 1),
        (65535, np.uint16, 400),  # text
        (60000, np.uint16, 3),
        (-32768, np.int16, 900),  # padding
        (-1e6, np.float32, 2),
    ],
)
def test_outliers_make_no_range(
    tmp_path: Path, outlier: float, dtype: type[np.generic], count: int
) -> None:
    values = sensor(dtype)
    np.save(tmp_path / "x.npy", values)
    assert read_frame(tmp_path / "x.npy").max() == 255
    values[8:].flat[:count] = outlier
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(ArtifactError, match=r"is no frame: its values go from .* Clip the others"):
        read_frame(tmp_path / "x.npy")


def test_one_bright_value_on_a_flat_ground_is_an_outlier_and_two_areas_are_not(
    tmp_path: Path,
) -> None:
    values = np.full((40, 40), 800, np.uint16)
    values[3, 4] = 65535
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(ArtifactError, match=r"go from 800 to 65535, and nearly all .* 800 to 800"):
        read_frame(tmp_path / "x.npy")
    values[:20] = 65535
    np.save(tmp_path / "x.npy", values)
    assert set(np.unique(read_frame(tmp_path / "x.npy"))) == {0, 255}


def test_a_ct_slice_with_metal_is_scaled_by_its_range(tmp_path: Path) -> None:
    slice_ = np.linspace(-1000, 400, 64 * 64).astype(np.int16).reshape(64, 64)
    slice_[30, 30:32] = 3071
    np.save(tmp_path / "slice.npy", slice_)
    frame = read_frame(tmp_path / "slice.npy", ColorOrder.GRAY)
    assert frame[0, 0] == 0
    assert frame[-1, -1] == round(1400 / 4071 * 255)


def test_the_widest_numbers_do_not_overflow(tmp_path: Path) -> None:
    top = np.finfo(np.float64).max
    np.save(tmp_path / "slice.npy", np.array([[-top, 0, top]]))
    assert read_frame(tmp_path / "slice.npy", ColorOrder.GRAY).tolist() == [[0, 128, 255]]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 4, 2)), r"has shape \(3, 4, 2\), expected \(H, W\) or \(H, W, 3\)"),
        (np.zeros(5), r"has shape \(5,\)"),
        (np.zeros((0, 4)), r"has shape \(0, 4\)"),
        (np.array([[0, np.nan]]), "holds values that are not finite"),
        (np.array([[0, np.inf]]), "holds values that are not finite"),
        (np.array([["a", "b"]]), "does not hold one array of real numbers"),
        (np.array([[1j, 2]]), "does not hold one array of real numbers"),
    ],
)
def test_arrays_that_are_no_image_are_refused(
    tmp_path: Path, array: NDArray[np.generic], message: str
) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(ArtifactError, match=message):
        read_frame(tmp_path / "x.npy")


def test_archives_and_objects_under_the_suffix_of_an_array_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((4, 4)))
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    for name in ("a.npy", "b.npy"):
        with pytest.raises(ArtifactError, match=name):
            read_frame(tmp_path / name)


def test_a_colour_array_is_no_gray_frame(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", two_colours())
    with pytest.raises(ArtifactError, match=r"has three channels, expected gray"):
        read_frame(tmp_path / "x.npy", ColorOrder.GRAY)


def test_arrays_in_fortran_order_and_of_other_byte_orders_are_read(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.asfortranarray(two_colours()))
    assert np.array_equal(read_frame(tmp_path / "f.npy"), two_colours())
    np.save(tmp_path / "b.npy", np.array([[0, 256]], ">u2"))
    assert read_frame(tmp_path / "b.npy", ColorOrder.GRAY).tolist() == [[0, 255]]


# --- what a file is


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"RIFF\0\0\0\0AVI LIST", "AVI"),
        (b"\x1aE\xdf\xa3", "Matroska"),
        (b"\0\0\x01\xba!", "MPEG"),
        ((b"G" + bytes(187)) * 3, "MPEG transport stream"),
        (b"The free text of a note", None),
        (b"", None),
    ],
)
def test_first_bytes_tell_the_format(tmp_path: Path, data: bytes, name: str | None) -> None:
    found = format_of(written(tmp_path, data, "any.thing"))
    assert (found.name if found else None) == name
    assert format_of(tmp_path / "nowhere") is None


def test_chunks_that_do_not_follow_each_other_are_no_png(tmp_path: Path) -> None:
    path = written(tmp_path, b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""))
    with pytest.raises(ArtifactError, match="it holds no picture"):
        read_frame(path)
