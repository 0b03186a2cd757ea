"""The one door: what comes through is what was written, whole, and is read once."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lightawnet_edge.bundle import bundle as door
from lightawnet_edge.bundle import files
from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.choices import MethodRecord, RestoreRecord, RestoreStep
from lightawnet_edge.bundle.manifest import MANIFEST, Manifest, write_manifest
from lightawnet_edge.bundle.store import sha256_of
from lightawnet_edge.errors import ArtifactError, BackendUnavailableError, EdgeError
from lightawnet_edge.specs import Method, State
from tests.conftest import MakeBundle

SCHEMA_1 = Path(__file__).with_name("manifest-schema1.json")
FILES = {"engine.xml": b"<net/>", "engine.bin": b"\0\1\2", "device.onnx": b"graph"}


@pytest.fixture
def bundle(make_bundle: MakeBundle) -> Bundle:
    return make_bundle("whole")


def edited(bundle: Bundle, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Change the manifest by hand, as an editor would."""
    file = bundle.path / MANIFEST
    data = json.loads(file.read_text(encoding="utf-8"))
    edit(data)
    file.write_text(json.dumps(data), encoding="utf-8")


# What a manifest may name


@pytest.mark.parametrize(
    "name",
    [
        "../device.onnx", "/etc/passwd", "a/b", "a\\b", "..", ".", "", ".hidden", "a\0b",
        "manifest.json", "x" * 200, "naïve.onnx", "a b",
    ],
)  # fmt: skip
@pytest.mark.parametrize("role", ["engine", "device_graph", "files"])
def test_only_plain_names_of_the_bundle_s_own_files_are_taken(
    bundle: Bundle, role: str, name: str
) -> None:
    value = {name: "0" * 64} if role == "files" else name
    edited(bundle, lambda data: data.update({role: value}))
    with pytest.raises(ArtifactError, match="is no plain name of a file in the bundle"):
        Bundle.open(bundle.path)


def test_a_file_that_no_manifest_names_is_refused(bundle: Bundle) -> None:
    (bundle.path / "extra.so").write_bytes(b"x")
    with pytest.raises(ArtifactError, match=r"holds 'extra\.so', which its manifest does not name"):
        Bundle.open(bundle.path)


def test_a_folder_inside_is_refused(bundle: Bundle) -> None:
    (bundle.path / "sub").mkdir()
    with pytest.raises(ArtifactError, match="holds 'sub'"):
        Bundle.open(bundle.path)


def test_what_an_interrupted_write_left_is_no_part_of_it(bundle: Bundle) -> None:
    (bundle.path / ".engine.txt.x1").write_bytes(b"half")
    assert Bundle.open(bundle.path) == bundle


# What a file may be


@pytest.mark.parametrize("name", ["engine.txt", MANIFEST])
def test_a_link_is_never_followed(bundle: Bundle, tmp_path: Path, name: str) -> None:
    aside = tmp_path / "aside"
    (bundle.path / name).rename(aside)
    (bundle.path / name).symlink_to(aside)
    with pytest.raises(ArtifactError, match="is a link, which is never followed"):
        Bundle.open(bundle.path)


def test_the_bundle_s_folder_itself_may_be_a_link(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(bundle.path)
    assert Bundle.open(tmp_path / "current").manifest == bundle.manifest


@pytest.mark.parametrize("name", ["engine.txt", MANIFEST])
def test_a_pipe_neither_blocks_nor_passes(bundle: Bundle, name: str) -> None:
    (bundle.path / name).unlink()
    os.mkfifo(bundle.path / name)
    with pytest.raises(ArtifactError, match="is no regular file"):
        Bundle.open(bundle.path)


def test_sizes_are_capped(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "MAX_MANIFEST_BYTES", 10)
    with pytest.raises(ArtifactError, match=r"manifest\.json' has \d+ bytes, expected at most 10"):
        Bundle.open(bundle.path)


def test_a_sparse_file_of_a_terabyte_is_refused_unread(bundle: Bundle) -> None:
    with (bundle.path / "engine.txt").open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(ArtifactError, match=f"expected at most {files.MAX_FILE_BYTES}"):
        Bundle.open(bundle.path)


@pytest.mark.parametrize("path", ["", "nowhere", "a\0b", "x" * 300])
def test_what_is_no_folder_is_no_bundle(path: str) -> None:
    with pytest.raises(ArtifactError, match="is no bundle"):
        Bundle.open(path)


# What a manifest says


@pytest.mark.parametrize(
    "edit",
    [
        lambda data: data["contract"]["input"].update(color="bgr"),
        lambda data: data["contract"].update(threshold=0.6),
        lambda data: data["contract"]["normalization"].update(mean=0.4),
        lambda data: data["executed"].update(int8=1.0),
        lambda data: data.update(name="other"),
    ],
)
def test_what_was_edited_by_hand_is_refused(
    bundle: Bundle, edit: Callable[[dict[str, Any]], None]
) -> None:
    edited(bundle, edit)
    with pytest.raises(ArtifactError, match="it was changed by hand"):
        Bundle.open(bundle.path)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (
            lambda data: data["contract"]["input"].update(shape=[24, 32]),
            r"contract: input\.shape: \(24, 32\) is no rgb frame",
        ),
        (
            lambda data: data["contract"]["outputs"]["mask"].update(shape=[24, 33]),
            "contract: shapes, types and color order contradict",
        ),
        (
            lambda data: data["contract"]["outputs"]["mask"].update(dtype="int64"),
            "contract: shapes, types and color order contradict",
        ),
    ],
)
def test_a_contract_that_contradicts_itself_is_refused(
    bundle: Bundle, edit: Callable[[dict[str, Any]], None], told: str
) -> None:
    edited(bundle, edit)
    with pytest.raises(ArtifactError, match=told):
        Bundle.open(bundle.path)


def test_a_policy_sees_the_manifest_before_anything_parses_it(bundle: Bundle) -> None:
    seen = []

    class Nobody:
        def check(self, folder: Path, manifest: bytes) -> None:
            seen.append((folder, manifest))
            raise ArtifactError("Nobody is trusted.")

    (bundle.path / MANIFEST).write_bytes(b"{ no JSON")
    with pytest.raises(ArtifactError, match="Nobody is trusted"):
        Bundle.open(bundle.path, trust=Nobody())
    assert seen == [(bundle.path, b"{ no JSON")]


def test_a_bundle_of_schema_1_still_opens(tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / MANIFEST).write_text(SCHEMA_1.read_text(encoding="utf-8"))
    opened = Bundle.open(tmp_path)
    assert opened.manifest.contract.frame_shape == (1080, 1920, 3)
    assert opened.manifest.layers[0].name == "e1/expand"
    assert opened.engine.files == {name: FILES[name] for name in ("engine.xml", "engine.bin")}


def mutated(data: Any, rng: random.Random) -> Any:
    """The same values with one of them changed, taken away, doubled or nested."""
    strange: list[Any] = [
        None, True, -1, 0, 7, 2**70, 1e400, float("nan"), "", "x" * 5000, "\ud800", "../x", [], {},
        [[[[[[]]]]]], {"a": {"b": {}}}, "int4", "0" * 64,
    ]  # fmt: skip
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        for key in keys:
            places.append((value, key))
            if isinstance(value[key], dict | list):
                walk(value[key])

    walk(data)
    holder, key = rng.choice(places)
    kind = rng.randrange(4)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[f"{key}2"] = holder[key]
    elif kind == 2:
        value: Any = holder[key]
        for _ in range(rng.choice([1, 50, 200])):
            value = [value]
        holder[key] = value
    else:
        holder[key] = rng.choice(strange)
    return data


@pytest.mark.parametrize("kit", [False, True])
def test_mutated_manifests_each_end_in_a_sentence(
    bundle: Bundle, kit: bool, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue("kits")["tensorrt"] if kit else bundle.path
    text = (path / MANIFEST).read_text(encoding="utf-8")
    scratch = bundle.path.with_name("mutated")
    scratch.mkdir()
    for file in () if kit else path.iterdir():  # those of a kit would take long to hash
        os.link(file, scratch / file.name)
    (scratch / MANIFEST).unlink(missing_ok=True)
    rng = random.Random(7)
    refused = 0
    for _ in range(1500):
        data = json.loads(text)
        for _ in range(rng.choice([1, 1, 2])):
            data = mutated(data, rng)
        (scratch / MANIFEST).write_text(json.dumps(data))
        try:
            Bundle.open(scratch)
        except ArtifactError:
            refused += 1
    assert refused > 1200


# What is handed over


def test_the_engine_is_the_bytes_that_were_hashed(bundle: Bundle) -> None:
    (bundle.path / "engine.txt").write_bytes(b"evil")
    assert bundle.engine.data == b"whole"
    with pytest.raises(ArtifactError, match="has changed since it was built"):
        bundle.read("engine.txt")
    with pytest.raises(ArtifactError, match="lacks its file 'other'"):
        bundle.read("other")


def test_a_file_that_is_swapped_while_it_is_opened_never_comes_through(bundle: Bundle) -> None:
    good, evil = (bundle.path.with_name(name) for name in ("good", "evil"))
    good.write_bytes(b"whole")
    evil.write_bytes(b"evil!")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for source in (evil, good):
                aside = bundle.path.with_name("next")
                aside.write_bytes(source.read_bytes())
                aside.replace(bundle.path / "engine.txt")

    thread = threading.Thread(target=swap)
    thread.start()
    outcomes = set()
    try:
        for _ in range(300):
            try:
                outcomes.add(Bundle.open(bundle.path).engine.data)
            except EdgeError as error:
                outcomes.add(str(error)[-20:].encode())
    finally:
        stop.set()
        thread.join()
    assert b"evil!" not in outcomes
    assert b"whole" in outcomes


@pytest.mark.parametrize(
    ("state", "reason"),
    [(State.PENDING, "has no engine yet"), (State.UNCHECKED, "has an engine that never ran")],
)
def test_an_engine_that_is_not_there_or_never_ran_is_not_handed_over(
    make_bundle: MakeBundle, state: State, reason: str
) -> None:
    with pytest.raises(BackendUnavailableError, match=f"{reason}.*lightawnet-edge build"):
        _ = make_bundle("kit", state=state).engine


def test_an_engine_that_was_exported_must_be_whole_whoever_makes_another(bundle: Bundle) -> None:
    (bundle.path / "engine.txt").write_bytes(b"broken")
    with pytest.raises(ArtifactError, match=r"engine\.txt' has changed"):
        Bundle.open(bundle.path, remakes_engine=True)
    (bundle.path / "engine.txt").write_bytes(b"whole")
    (bundle.path / "device.onnx").write_bytes(b"broken")
    with pytest.raises(ArtifactError, match=r"device\.onnx' has changed"):
        Bundle.open(bundle.path, remakes_engine=True)


def test_a_manifest_that_is_written_again_is_whole(bundle: Bundle) -> None:
    changed: Manifest = replace(bundle.manifest, name="renamed")
    write_manifest(bundle.path, changed)
    assert Bundle.open(bundle.path).manifest == changed
    assert sha256_of(bundle.path / MANIFEST) != ""


def test_a_manifest_that_is_nested_without_end_is_refused(bundle: Bundle) -> None:
    (bundle.path / MANIFEST).write_bytes(b'{"schema": ' + b"[" * 1_000_000)
    with pytest.raises(ArtifactError, match="cannot be understood"):
        Bundle.open(bundle.path)


def test_the_order_in_which_layers_went_back_to_float_survives(bundle: Bundle) -> None:
    """Names are sorted in a manifest: an order is a list."""
    steps = tuple(
        RestoreStep(layer=name, dice_drop=drop) for name, drop in (("z", 0.3), ("a", 0.1))
    )
    restored = RestoreRecord(
        max_dice_drop=0.2, frames=4, held_out=True, has_truth=True, dice_drop=0.5, steps=steps
    )
    method = MethodRecord(method=Method.MSE, scale_frames=8, restored=restored)
    write_manifest(bundle.path, replace(bundle.manifest, method=method))
    found = Bundle.open(bundle.path).manifest.method
    assert found is not None
    assert found.restored is not None
    assert found.restored.left == 0.1

    def as_schema_1(data: dict[str, Any]) -> None:
        data["schema"] = 1
        del data["digest"]
        data["method"]["restored"]["steps"] = {"a": 0.3, "z": 0.1}

    edited(bundle, as_schema_1)
    found = Bundle.open(bundle.path).manifest.method
    assert found is not None
    assert found.restored is not None
    assert found.restored.left == 0.1
