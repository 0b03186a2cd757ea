from __future__ import annotations

import json
import math
import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save, save_file
from torch import Tensor

from lightawnet_edge.bundle.store import sha256_of
from lightawnet_edge.codec import dumps, encode
from lightawnet_edge.errors import ArtifactError, CheckFailedError, SpecError
from lightawnet_edge.model import packaged
from lightawnet_edge.model.author_checkpoint import (
    author_name,
    convert_author_checkpoint,
    import_author_checkpoint,
    our_name,
)
from lightawnet_edge.model.checkpoint import load_checkpoint, save_checkpoint
from lightawnet_edge.model.metadata import KEY, SCHEMA, CheckpointMeta, opened, read_metadata
from lightawnet_edge.model.network import LightAWNet
from lightawnet_edge.model.packaged import find_by_sha256, name_of, packaged_names, resolve
from lightawnet_edge.specs import Normalization, Size

DATA = Path(__file__).parents[0] / "data"
META = CheckpointMeta(
    in_channels=1,
    size=Size(352, 480),
    normalization=Normalization(method="minmax"),
    training_data="PolypGen, CC BY 4.0",
    license="CC BY 4.0",
    metrics={"dice": 0.875},
)
AuthorState = Callable[[int], dict[str, Tensor]]


@pytest.fixture(scope="module")
def gray() -> LightAWNet:
    torch.manual_seed(0)
    return LightAWNet(in_channels=1)


@pytest.fixture
def saved(tmp_path: Path, gray: LightAWNet) -> Path:
    path = tmp_path / "new" / "weights.safetensors"
    save_checkpoint(path, gray.state_dict(), META)
    return path


def rewrite(path: Path, metadata: Mapping[str, Any] | str) -> None:
    """Give a file with one tensor other metadata."""
    text = metadata if isinstance(metadata, str) else json.dumps({"schema": SCHEMA, **metadata})
    save_file({"x": torch.zeros(1)}, path, {"lightawnet_edge": text})


def pickled(path: Path, state: object, **more: object) -> Path:
    torch.save({"state": state, "epoch": 7, **more}, path)
    return path


# Our own format


def test_checkpoints_come_back_to_the_bit_and_in_eval_mode(saved: Path, gray: LightAWNet) -> None:
    loaded = load_checkpoint(saved)
    state = loaded.state_dict()
    assert not loaded.training
    assert list(state) == list(gray.state_dict())
    for name, tensor in gray.state_dict().items():
        assert torch.equal(state[name], tensor), name
        assert state[name].dtype == tensor.dtype, name


def test_three_channels_come_back_as_three(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    meta = CheckpointMeta(in_channels=3, size=Size(64, 64))
    save_checkpoint(path, LightAWNet(3).state_dict(), meta)
    assert load_checkpoint(str(path)).in_channels == 3


def test_metadata_comes_back_equal(saved: Path) -> None:
    assert read_metadata(saved) == META


def test_equal_weights_give_equal_bytes(saved: Path, gray: LightAWNet, tmp_path: Path) -> None:
    again = tmp_path / "again.safetensors"
    save_checkpoint(again, gray.state_dict(), META)
    assert again.read_bytes() == saved.read_bytes()


def test_a_failed_save_leaves_the_old_file_alone(saved: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(TypeError):
        save_checkpoint(saved, {"x": None}, META)  # type: ignore[dict-item] # the fault under test
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def poisoned(gray: LightAWNet, name: str, value: float) -> dict[str, Tensor]:
    """Weights of which one value was replaced."""
    state = {key: tensor.clone() for key, tensor in gray.state_dict().items()}
    state[name].view(-1)[0] = value
    return state


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("e1.project.weight", math.nan, r"holds 1 of \d+ values that are not finite"),
        ("u4.dynamic.bank", math.inf, r"holds 1 of \d+ values that are not finite"),
        ("e1.expand_norm.running_var", math.nan, r"holds 1 of \d+ values that are not finite"),
        ("e1.expand_norm.running_var", -1.0, r"is a variance, and holds -1"),
    ],
)
def test_weights_that_compute_nothing_are_neither_written_nor_read(
    name: str, value: float, problem: str, saved: Path, gray: LightAWNet
) -> None:
    state = poisoned(gray, name, value)
    before = saved.read_bytes()
    with pytest.raises(CheckFailedError, match=f"was not written: tensor '{name}' {problem}"):
        save_checkpoint(saved, state, META)
    assert saved.read_bytes() == before
    with safe_open(saved, framework="pt") as file:
        metadata = file.metadata()
    save_file(state, saved, metadata)
    with pytest.raises(ArtifactError, match=f"tensor '{name}' {problem}.* an earlier checkpoint"):
        load_checkpoint(saved)


def test_a_pickle_with_values_that_are_not_finite_is_refused(
    tmp_path: Path, gray: LightAWNet
) -> None:
    state = {author_name(k): v for k, v in poisoned(gray, "out.norm.weight", math.inf).items()}
    with pytest.raises(ArtifactError, match=r"'output.norm.weight' holds 1 of .* not finite"):
        import_author_checkpoint(pickled(tmp_path / "x.pkl", state))


def test_metadata_that_would_fill_the_memory_is_refused() -> None:
    with pytest.raises(SpecError, match="experts=10000 must lie between 1 and 64"):
        CheckpointMeta(in_channels=3, size=Size(96, 96), experts=10000)


def test_metadata_refuses_a_size_and_channels_that_no_network_takes() -> None:
    with pytest.raises(SpecError, match="nearest that fit are 96x96 and 112x112"):
        CheckpointMeta(in_channels=3, size=Size(100, 100))
    with pytest.raises(SpecError, match="in_channels=2"):
        CheckpointMeta(in_channels=2, size=Size(96, 96))


def test_missing_file_is_named_beside_the_packaged_names() -> None:
    with pytest.raises(ArtifactError, match=r"No checkpoint 'nowhere': neither a file nor .*"):
        load_checkpoint("nowhere")
    with pytest.raises(ArtifactError, match=r"No checkpoint 'nowhere\.safetensors'"):
        read_metadata(Path("nowhere.safetensors"))


def test_packaged_weights_are_found_by_name_and_by_bytes(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packaged, "WEIGHTS", saved.parent)
    assert packaged_names() == ["weights"]
    assert resolve("weights") == saved
    assert load_checkpoint("weights").in_channels == 1
    assert find_by_sha256(sha256_of(saved)) == saved
    assert find_by_sha256("0" * 64) is None


@pytest.mark.parametrize("content", [b"", b"not tensors", b"\x80\x04" + b"x" * 100])
def test_other_files_are_no_checkpoints(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"not a safetensors file.*import-checkpoint"):
        load_checkpoint(path)


def test_a_cut_off_checkpoint_is_noticed(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-1000])
    with pytest.raises(ArtifactError, match="not a safetensors file"):
        load_checkpoint(saved)


def test_a_pickle_under_our_suffix_is_refused_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(pickle.dumps(_Bomb(tmp_path / "ran")))
    with pytest.raises(ArtifactError, match="not a safetensors file"):
        load_checkpoint(path)
    assert not (tmp_path / "ran").exists()


def test_foreign_safetensors_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ArtifactError, match="without LightAWNet metadata"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "change",
    [
        {"in_channels": 2},
        {"size": "100x100"},
        {"size": 64},
        {"normalization": {}},
        "{",
        "[]",
        {"experts": 10_000},
        {"experts": True},
        {"metrics": {"dice": math.nan}},
        {"colour": "bgr"},
        '{"schema": 2}',
        '{"schema": 2, "in_channels": 3, "size": "64x64"}',
        " " * 2_000_000,
    ],
)
def test_metadata_that_makes_no_sense_is_refused(
    tmp_path: Path, change: dict[str, Any] | str
) -> None:
    path = tmp_path / "w.safetensors"
    rewrite(path, change if isinstance(change, str) else encode(META) | change)
    with pytest.raises(ArtifactError, match="unreadable metadata"):
        load_checkpoint(path)


def test_metadata_of_the_first_schema_speaks_of_four_experts(tmp_path: Path) -> None:
    first = {key: value for key, value in encode(META).items() if key != "experts"}
    rewrite(tmp_path / "w.safetensors", first | {"schema": 1})
    assert read_metadata(tmp_path / "w.safetensors") == META


def test_metadata_is_written_as_it_was_in_its_schema(tmp_path: Path) -> None:
    earlier = Path(__file__).parents[1] / "codec" / "documents" / "checkpoint.json"
    text = earlier.read_text(encoding="utf-8").strip()
    rewrite(tmp_path / "w.safetensors", text)
    meta = read_metadata(tmp_path / "w.safetensors")
    save_checkpoint(tmp_path / "again.safetensors", {}, meta)
    with opened(tmp_path / "again.safetensors", "np") as file:
        assert file.metadata() == {KEY: text}


def test_a_later_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    rewrite(path, encode(META) | {"schema": 99})
    with pytest.raises(ArtifactError, match=r"schema 99, this version reads 1, 2\. Use the"):
        read_metadata(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"e1.gate.bias": None}, "tensor 'e1.gate.bias' is missing"),
        ({"e9.bias": torch.zeros(1)}, "tensor 'e9.bias' is unexpected"),
        (
            {"s4.bias": torch.zeros(7)},
            r"tensor 's4.bias' has shape \(7,\), expected \(128,\)",
        ),
    ],
)
def test_the_first_tensor_that_does_not_fit_is_named(
    tmp_path: Path, gray: LightAWNet, change: dict[str, Tensor | None], message: str
) -> None:
    state = {n: t for n, t in (gray.state_dict() | change).items() if t is not None}
    path = tmp_path / "w.safetensors"
    path.write_bytes(save(state, {"lightawnet_edge": dumps(META, schema=SCHEMA)}))
    with pytest.raises(ArtifactError, match=message):
        load_checkpoint(path)


# The authors' format


@pytest.mark.parametrize("channels", [1, 3])
def test_names_translate_one_to_one_and_back(
    channels: int, author_shapes: Callable[[int], dict[str, tuple[int, ...]]]
) -> None:
    shapes = author_shapes(channels)
    ours = {our_name(name): shape for name, shape in shapes.items()}
    found = {name: tuple(t.shape) for name, t in LightAWNet(channels).state_dict().items()}
    assert ours == found
    assert [author_name(our_name(name)) for name in shapes] == list(shapes)


def test_unknown_names_translate_to_themselves() -> None:
    assert our_name("head.weight") == author_name("head.weight") == "head.weight"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_authors_pickles_give_the_network_that_they_hold(
    tmp_path: Path, author_state: AuthorState, channels: int, prefix: str
) -> None:
    state = {prefix + name: tensor for name, tensor in author_state(channels).items()}
    model, epoch = import_author_checkpoint(pickled(tmp_path / "net.pkl", state))
    golden = np.load(DATA / f"golden_{channels}ch.npz")
    with torch.inference_mode():
        output = model.probability(torch.from_numpy(golden["case0_input"]))
    assert epoch == 7
    assert not model.training
    np.testing.assert_allclose(output, golden["case0_output"], rtol=0, atol=1e-5)


def test_pickles_of_old_torch_versions_are_read(tmp_path: Path, author_state: AuthorState) -> None:
    path = tmp_path / "net.pkl"
    torch.save({"state": author_state(1), "epoch": 49}, path, _use_new_zipfile_serialization=False)
    assert import_author_checkpoint(path)[1] == 49


def test_conversion_keeps_tensors_and_says_what_is_not_known(
    tmp_path: Path, author_state: AuthorState
) -> None:
    source = pickled(tmp_path / "net.pkl", author_state(1))
    meta = convert_author_checkpoint(source, tmp_path / "new.safetensors", Size(256, 256))
    assert read_metadata(tmp_path / "new.safetensors") == meta
    assert meta.normalization.method == "minmax"
    assert meta.license == "unknown"
    assert "epoch 7" in meta.training_data
    state = load_checkpoint(tmp_path / "new.safetensors").state_dict()
    for name, tensor in author_state(1).items():
        assert torch.equal(state[our_name(name)], tensor), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"De2.weight.weight": None}, "tensor 'De2.weight.weight' is missing"),
        ({"output.attention.net.bias": None}, "tensor 'output.attention.net.bias' is missing"),
        ({"layer1.dwconv.weight": None}, "tensor 'layer1.dwconv.weight' is missing"),
        ({"De5.up.0.bias": torch.zeros(1)}, "tensor 'De5.up.0.bias' is unexpected"),
        (
            {"conv1_1.bias": torch.zeros(3)},
            r"tensor 'conv1_1.bias' has shape \(3,\), expected \(128,\)",
        ),
        ({"conv1_1.bias": "text"}, "tensor 'conv1_1.bias' has shape a str, expected"),
        (
            {"layer1.dwconv.weight": torch.zeros(2, 1, 7, 7)},
            "'layer1.dwconv.weight' has 2 channels, not 1 or 3",
        ),
    ],
)
def test_the_first_author_tensor_that_does_not_fit_is_named_as_in_their_file(
    tmp_path: Path, author_state: AuthorState, change: dict[str, Any], message: str
) -> None:
    state = {n: t for n, t in (author_state(1) | change).items() if t is not None}
    with pytest.raises(ArtifactError, match=message):
        import_author_checkpoint(pickled(tmp_path / "net.pkl", state))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([1, 2], "found a list"),
        ({"model": {}}, r"found a dict with \['model'\]"),
        ({"state": 3, "epoch": 1}, "found a dict with"),
        ({"state": {}}, r"found a dict with \['state'\]"),
        ({"state": {}, "epoch": "last"}, "found a dict with"),
        (torch.zeros(2, 3), r"found \(2, 3\)"),
    ],
)
def test_other_contents_are_not_the_authors_format(
    tmp_path: Path, content: object, found: str
) -> None:
    path = tmp_path / "net.pkl"
    torch.save(content, path)
    message = f"not in the authors' format: expected a dict with 'state' and 'epoch', {found}"
    with pytest.raises(ArtifactError, match=message):
        import_author_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04 cut off"])
def test_files_that_are_no_pickles_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.pkl"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="cannot be read as tensors and plain values alone"):
        import_author_checkpoint(path)


def test_a_missing_pickle_is_named() -> None:
    with pytest.raises(ArtifactError, match=r"No file 'nowhere\.pkl'"):
        import_author_checkpoint(Path("nowhere.pkl"))


class _Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., int], tuple[str, int]]:
        return os.open, (str(self.path), os.O_CREAT)


def _pickle(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


@pytest.mark.parametrize(
    ("write", "run"),
    [
        (torch.save, lambda path: torch.load(path, weights_only=False)),
        (_pickle, lambda path: pickle.loads(path.read_bytes())),
    ],
    ids=["archive", "plain pickle"],
)
def test_code_in_a_pickle_is_refused_and_not_run(
    tmp_path: Path, write: Callable[[object, Path], None], run: Callable[[Path], object]
) -> None:
    path = tmp_path / "net.pkl"
    write({"state": {}, "epoch": _Bomb(tmp_path / "ran")}, path)
    with pytest.raises(ArtifactError, match="code in a pickle is never run"):
        import_author_checkpoint(path)
    assert not (tmp_path / "ran").exists()
    run(path)
    assert (tmp_path / "ran").exists(), "the code in this pickle does nothing: the test is void"


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("runs/mine/best.safetensors", "mine"),
        ("runs/mine/last.safetensors", "mine-last"),
        ("weights/liver.safetensors", "liver"),
        ("weights/best-liver.safetensors", "best-liver"),
        ("/best.safetensors", "best"),
    ],
)
def test_a_checkpoint_of_a_run_goes_by_the_name_of_its_run(file: str, name: str) -> None:
    assert name_of(Path(file)) == name


def test_a_checkpoint_of_a_run_has_that_name_where_the_run_is_the_folder_one_works_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    assert name_of(Path("best.safetensors")) == "mine"


@pytest.mark.parametrize(
    "dtype", [torch.int8, torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn]
)
def test_weights_of_other_numbers_are_refused(dtype: torch.dtype, tmp_path: Path) -> None:
    network = LightAWNet(experts=1)
    state = network.state_dict()
    state["u4.reduce.weight"] = state["u4.reduce.weight"].to(dtype)
    file = tmp_path / "w.safetensors"
    meta = CheckpointMeta(in_channels=3, experts=1, size=Size(32, 32))
    text = dumps(meta, schema=SCHEMA, indent=None)
    file.write_bytes(save({k: v.contiguous() for k, v in state.items()}, {KEY: text}))
    with pytest.raises(ArtifactError, match=r"tensor 'u4\.reduce\.weight' is .*, expected float32"):
        load_checkpoint(file)


def test_weights_of_half_and_double_precision_are_read(tmp_path: Path) -> None:
    meta = CheckpointMeta(in_channels=3, experts=1, size=Size(32, 32))
    state = LightAWNet(experts=1).half().state_dict()
    save_checkpoint(tmp_path / "w.safetensors", state, meta)
    assert next(load_checkpoint(tmp_path / "w.safetensors").parameters()).dtype == torch.float32
