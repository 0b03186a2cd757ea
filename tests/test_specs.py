from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightawnet_edge.codec import decode, encode
from lightawnet_edge.errors import (
    ArtifactError,
    BackendUnavailableError,
    CheckFailedError,
    EdgeError,
    SpecError,
)
from lightawnet_edge.specs import (
    STRIDE,
    ColorOrder,
    Normalization,
    Precision,
    Region,
    Routing,
    Size,
    Target,
    check_network_size,
)

SIDES = st.integers(1, 5000)


@pytest.mark.parametrize("word", [*Precision, *Routing, *ColorOrder])
def test_words_are_read_as_they_are_written(
    word: Precision | Routing | ColorOrder,
) -> None:
    assert type(word).parse(str(word)) is word
    assert type(word).parse(str(word).upper()) is word
    assert f"{word}" == word.value


def test_unknown_words_are_answered_with_all_known_ones() -> None:
    with pytest.raises(SpecError, match=r"Unknown precision 'int4'\. Known: fp32, fp16, bf16"):
        Precision.parse("int4")


def test_targets_are_an_open_vocabulary_read_as_they_are_written() -> None:
    assert Target.parse(" OpenVINO ") == Target("openvino") == Target.OPENVINO
    assert f"{Target.TENSORRT_RTX}" == str(Target.TENSORRT_RTX) == "tensorrt-rtx"
    assert type(Target.parse("coreml")) is Target, "what there is, the table of targets says"
    assert {Target.ONNX: 1}[Target("onnx")] == 1


@given(height=SIDES, width=SIDES)
def test_sizes_are_read_as_they_are_written(height: int, width: int) -> None:
    size = Size(height, width)
    assert Size.parse(str(size)) == size
    assert str(size) == f"{height}x{width}"


@pytest.mark.parametrize(
    ("text", "size"),
    [("352", Size(352, 352)), ("1080X1920", Size(1080, 1920)), (" 48 x 64 ", Size(48, 64))],
)
def test_sizes_may_be_typed_in_other_ways(text: str, size: Size) -> None:
    assert Size.parse(text) == size


@pytest.mark.parametrize("text", ["", "x", "10x", "1x2x3", "-1x5", "1.5", "big", "10²"])
def test_other_texts_are_no_sizes(text: str) -> None:
    with pytest.raises(SpecError, match=r"is no size\. Give HEIGHTxWIDTH in pixels"):
        Size.parse(text)


@pytest.mark.parametrize(("height", "width"), [(0, 5), (5, 0), (-1, 5)])
def test_sizes_are_positive(height: int, width: int) -> None:
    with pytest.raises(SpecError, match=f"Size {height}x{width} is not positive"):
        Size(height, width)


def test_a_side_that_no_camera_has_is_refused() -> None:
    with pytest.raises(SpecError, match="Size 40000x10 is too large: a side has at most 32768"):
        Size(40000, 10)


@given(x=st.integers(0, 5000), y=st.integers(0, 5000), width=SIDES, height=SIDES)
def test_regions_are_read_as_they_are_written(x: int, y: int, width: int, height: int) -> None:
    region = Region(x, y, width, height)
    assert Region.parse(str(region)) == region
    assert decode(Region, encode(region)) == region
    assert str(region) == f"{x},{y},{width},{height}"


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "a,0,1,1", "-1,0,5,5", "1.5,0,2,2"])
def test_other_texts_are_no_regions(text: str) -> None:
    with pytest.raises(SpecError, match=r"is no region\. Give X,Y,WIDTH,HEIGHT in pixels, e\.g\."):
        Region.parse(text)


@pytest.mark.parametrize("sides", [(0, 0, 0, 5), (0, 0, 5, 0), (-1, 0, 5, 5)])
def test_a_region_has_pixels(sides: tuple[int, int, int, int]) -> None:
    with pytest.raises(SpecError, match=r"is none: expected X and Y of at least 0, WIDTH and"):
        Region(*sides)


def test_a_region_cuts_its_rows_and_columns_out() -> None:
    region = Region(2, 1, 3, 4)
    assert region.size == Size(4, 3)
    assert region.slices == (slice(1, 5), slice(2, 5))


@given(rows=st.integers(1, 100), columns=st.integers(1, 100))
def test_multiples_of_the_stride_fit(rows: int, columns: int) -> None:
    check_network_size(Size(rows * STRIDE, columns * STRIDE))


@given(height=SIDES, width=SIDES)
def test_other_sizes_are_refused_with_two_that_fit_and_enclose(height: int, width: int) -> None:
    if height % STRIDE == 0 and width % STRIDE == 0:
        return
    with pytest.raises(SpecError, match=f"multiples of {STRIDE}") as caught:
        check_network_size(Size(height, width))
    words = str(caught.value).rstrip(".").split()
    below, above = Size.parse(words[-3]), Size.parse(words[-1])
    check_network_size(below)
    check_network_size(above)
    for side, low, high in [
        (height, below.height, above.height),
        (width, below.width, above.width),
    ]:
        assert low <= max(side, STRIDE) <= high
        assert high - low <= STRIDE


def test_specs_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Size(1, 2).height = 3  # type: ignore[misc] # the fault under test


@given(
    method=st.sampled_from(["standard", "minmax"]),
    mean=st.floats(-10, 10),
    std=st.floats(1e-3, 10),
)
def test_a_normalization_comes_back_equal(method: str, mean: float, std: float) -> None:
    normalization = Normalization(method=method, mean=mean, std=std)
    assert decode(Normalization, encode(normalization)) == normalization


@pytest.mark.parametrize("std", [0.0, -1.0, float("nan")])
def test_a_normalization_divides_by_something_positive(std: float) -> None:
    with pytest.raises(SpecError, match=r"std=.* must be greater than 0"):
        Normalization(std=std)


def test_unknown_normalizations_are_answered_with_the_known_ones() -> None:
    with pytest.raises(SpecError, match=r"'zscore'\. Known: standard, minmax"):
        Normalization(method="zscore")


def test_each_kind_of_error_has_its_exit_code() -> None:
    kinds: list[type[EdgeError]] = [
        SpecError,
        ArtifactError,
        BackendUnavailableError,
        CheckFailedError,
    ]
    assert [kind.exit_code for kind in kinds] == [2, 3, 4, 5]
    assert issubclass(SpecError, ValueError)


def test_an_absent_backend_says_its_name_and_the_reason() -> None:
    error = BackendUnavailableError("tensorrt", "no CUDA device is visible")
    assert str(error) == "'tensorrt' cannot run here: no CUDA device is visible"
    assert (error.name, error.reason) == ("tensorrt", "no CUDA device is visible")
