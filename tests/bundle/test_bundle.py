from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.manifest import MANIFEST, SCHEMA, Manifest, Source, write_manifest
from lightawnet_edge.bundle.store import digest_of, replace_file, sha256_of, staged_folder
from lightawnet_edge.codec import CodecError, decode, encode
from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.scores.agreement import Agreement
from lightawnet_edge.specs import (
    ColorOrder,
    Matrix,
    Normalization,
    Precision,
    Range,
    Region,
    Routing,
    Size,
    Target,
    Yuv,
)

CONTRACT = Contract(
    frame=Size(1080, 1920),
    color=ColorOrder.BGR,
    network=Size(352, 480),
    normalization=Normalization(method="minmax"),
    threshold=0.4,
    probability=True,
)
FILES = {"engine.xml": b"<net/>", "engine.bin": b"\0\1\2", "device.onnx": b"graph"}


def manifest(folder: Path, **changes: Any) -> Manifest:
    made = Manifest(
        name="polypgen-int8",
        target=Target.OPENVINO,
        precision=Precision.INT8,
        routing=Routing.STATIC,
        contract=CONTRACT,
        engine="engine.xml",
        device_graph="device.onnx",
        files={name: sha256_of(folder / name) for name in FILES},
        checkpoint=Source(name="polypgen", sha256="ab" * 32),
        calibration=Source(name="samples", sha256="cd" * 32, frames=16),
        executed={"int8": 0.75, "fp32": 0.25},
        agreement=Agreement(frames=4, mask_disagreement=0.0),
        inputs_sha256="ef" * 32,
        tools={"openvino": "2026.4"},
        machine={"cpu": "a CPU"},
    )
    return replace(made, **changes)


def make_bundle(folder: Path) -> Bundle:
    folder.mkdir(parents=True)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    write_manifest(folder, manifest(folder))
    return Bundle.open(folder)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "engines" / "polypgen-int8")


def edit_manifest(bundle: Bundle, **changes: Any) -> None:
    file = bundle.path / MANIFEST
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | changes))


def interrupt() -> None:
    raise KeyboardInterrupt


def stage(path: Path, failure: Callable[[], None]) -> None:
    """Write half a bundle, then fail."""
    with staged_folder(path) as aside:
        (aside / "half").write_bytes(b"1")
        failure()


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# The manifest


def test_a_manifest_comes_back_equal(bundle: Bundle) -> None:
    assert bundle.manifest == manifest(bundle.path)
    assert bundle.engine.files == {"engine.xml": b"<net/>", "engine.bin": b"\0\1\2"}
    Bundle.open(bundle.path)


def test_a_bundle_without_calibration_probability_or_colour_comes_back_equal(
    bundle: Bundle,
) -> None:
    gray = replace(CONTRACT, color=ColorOrder.GRAY, probability=False)
    plain = manifest(bundle.path, calibration=None, contract=gray)
    write_manifest(bundle.path, plain)
    assert Bundle.open(str(bundle.path)).manifest == plain
    assert "probability" not in encode(plain)["contract"]["outputs"]
    assert "frames" not in encode(plain)["checkpoint"]


def test_a_frame_has_the_shape_of_its_colour_order() -> None:
    assert CONTRACT.frame_shape == (1080, 1920, 3)
    assert replace(CONTRACT, color=ColorOrder.GRAY).frame_shape == (1080, 1920)


def test_a_region_stands_in_the_manifest_and_not_where_there_is_none(bundle: Bundle) -> None:
    cropped = replace(CONTRACT, crop=Region(420, 0, 1080, 1080))
    write_manifest(bundle.path, manifest(bundle.path, contract=cropped))
    assert Bundle.open(bundle.path).manifest.contract == cropped
    assert encode(cropped)["crop"] == "420,0,1080,1080"
    assert "crop" not in encode(CONTRACT)
    assert cropped.picture == Size(1080, 1080)
    assert CONTRACT.picture == CONTRACT.frame
    assert cropped.takes == "frame 1080x1920 bgr uint8, crop 420,0,1080,1080, network 352x480"


def test_yuv_stands_in_the_manifest(bundle: Bundle) -> None:
    yuv = Yuv(matrix=Matrix.BT709, range=Range.FULL)
    nv12 = replace(CONTRACT, color=ColorOrder.NV12, yuv=yuv)
    write_manifest(bundle.path, manifest(bundle.path, contract=nv12))
    assert Bundle.open(bundle.path).manifest.contract == nv12
    plain = encode(nv12)
    assert plain["input"]["shape"] == [1620, 1920]
    assert (plain["input"]["matrix"], plain["input"]["range"]) == ("bt709", "full")
    assert plain["outputs"]["mask"]["shape"] == [1080, 1920]
    assert not {"matrix", "range"} & encode(CONTRACT)["input"].keys()
    assert nv12.takes == "frame 1080x1920 nv12 (bt709, full range) uint8, network 352x480"
    del plain["input"]["range"]
    with pytest.raises(CodecError, match="needs a matrix and a range"):
        decode(Contract, plain)
    plain["input"] |= {"shape": [1080, 1920, 3]}
    with pytest.raises(CodecError, match=r"\(1080, 1920, 3\) is no nv12 frame"):
        decode(Contract, plain)


def test_a_region_lies_in_its_frame() -> None:
    with pytest.raises(
        SpecError,
        match=r"Region 960,0,1080,1080 reaches beyond the frame 1080x1920: expected X \+ WIDTH of "
        r"at most 1920 and Y \+ HEIGHT of at most 1080\.",
    ):
        replace(CONTRACT, crop=Region(960, 0, 1080, 1080))


def test_a_manifest_is_written_sorted_and_with_its_schema(bundle: Bundle) -> None:
    text = (bundle.path / MANIFEST).read_text(encoding="utf-8")
    data = json.loads(text)
    assert data["schema"] == SCHEMA
    assert list(data) == sorted(data)
    assert text.endswith("}\n")
    write_manifest(bundle.path, bundle.manifest)
    assert (bundle.path / MANIFEST).read_text(encoding="utf-8") == text


# What is no bundle, or no longer one


def test_a_folder_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"is no bundle: it has no manifest\.json.*export"):
        Bundle.open(tmp_path)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe"])
def test_a_manifest_that_is_not_json_is_refused(bundle: Bundle, raw: bytes) -> None:
    (bundle.path / MANIFEST).write_bytes(raw)
    with pytest.raises(ArtifactError, match=r"cannot be understood: .*(JSON|UTF-8)"):
        Bundle.open(bundle.path)


@pytest.mark.parametrize("raw", ["[]", "3", "{}", '{"schema": 99}', '{"schema": "1"}'])
def test_a_manifest_of_another_schema_is_refused(bundle: Bundle, raw: str) -> None:
    (bundle.path / MANIFEST).write_text(raw)
    with pytest.raises(
        ArtifactError,
        match=rf"(schema .*, this version reads 1, {SCHEMA}|expected)",
    ):
        Bundle.open(bundle.path)


@pytest.mark.parametrize(
    "changes",
    [
        {"target": "coreml"},
        {"precision": "int4"},
        {"routing": 3},
        {"checkpoint": {}},
        {"checkpoint": None},
        {"calibration": {"name": "x"}},
        {"contract": None},
        {"contract": []},
        {"contract": encode(CONTRACT) | {"network": 352}},
        {"contract": encode(CONTRACT) | {"input": {"shape": [], "color": "rgb"}}},
        {"contract": encode(CONTRACT) | {"input": {"shape": [0, 4, 3], "color": "rgb"}}},
        {"contract": encode(CONTRACT) | {"normalization": {"method": "magic"}}},
    ],
    ids=str,
)
def test_a_manifest_with_a_senseless_field_is_refused(
    bundle: Bundle, changes: dict[str, Any]
) -> None:
    edit_manifest(bundle, **changes)
    with pytest.raises(ArtifactError, match=r"cannot be understood.* Export the bundle again"):
        Bundle.open(bundle.path)


@pytest.mark.parametrize("field", ["engine", "files", "executed", "inputs_sha256", "contract"])
def test_a_manifest_that_lacks_a_field_is_refused(bundle: Bundle, field: str) -> None:
    file = bundle.path / MANIFEST
    data = json.loads(file.read_text(encoding="utf-8"))
    del data[field]
    file.write_text(json.dumps(data))
    with pytest.raises(ArtifactError, match=f"cannot be understood: {field}: missing"):
        Bundle.open(bundle.path)


@pytest.mark.parametrize("name", FILES)
def test_changed_bytes_are_noticed(bundle: Bundle, name: str) -> None:
    with (bundle.path / name).open("ab") as file:
        file.write(b"!")
    message = rf"{name}' has changed since it was built: sha256 is \w{{12}}…, the manifest says"
    with pytest.raises(ArtifactError, match=message):
        Bundle.open(bundle.path)


@pytest.mark.parametrize("name", FILES)
def test_a_lost_file_is_named(bundle: Bundle, name: str) -> None:
    (bundle.path / name).unlink()
    with pytest.raises(ArtifactError, match=f"lacks its file '{name}'. Restore it, or export"):
        Bundle.open(bundle.path)


@pytest.mark.parametrize("role", ["engine", "device_graph"])
def test_an_engine_that_the_manifest_does_not_vouch_for_is_refused(
    bundle: Bundle, role: str
) -> None:
    (bundle.path / "other.xml").write_bytes(b"not from here")
    write_manifest(bundle.path, replace(bundle.manifest, **{role: "other.xml"}))  # type: ignore[arg-type] # a name
    with pytest.raises(ArtifactError, match=r"has no sha256 of its file 'other\.xml'"):
        Bundle.open(bundle.path)


# Digests


def test_the_digest_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    digest = sha256_of(tmp_path / "abc")
    assert digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_digests_of_values_ignore_the_order_of_keys_alone() -> None:
    assert digest_of({"a": 1, "b": [2, 3]}) == digest_of({"b": [2, 3], "a": 1})
    assert digest_of({"a": 1, "b": [2, 3]}) != digest_of({"a": 1, "b": [3, 2]})


# Writing


def test_a_replaced_file_has_the_new_bytes_and_common_permissions(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    replace_file(path, b"old")
    replace_file(path, b"new")
    (tmp_path / "plain").write_bytes(b"")
    assert path.read_bytes() == b"new"
    assert [p.name for p in path.parent.iterdir()] == ["file"]
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_failed_replacement_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    replace_file(path, b"old")

    def full_disk(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"new")
    assert content(tmp_path) == {"file": b"old"}


def test_a_staged_folder_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "engines" / "new"
    with staged_folder(path) as aside:
        (aside / "a").write_bytes(b"1")
        assert not path.exists()
        assert aside.parent == path.parent
    assert content(tmp_path) == {"engines/new/a": b"1"}
    assert os.access(path, os.R_OK | os.X_OK)


def test_a_staged_folder_replaces_the_old_one_whole(bundle: Bundle) -> None:
    with staged_folder(bundle.path) as aside:
        (aside / "a").write_bytes(b"1")
        Bundle.open(bundle.path)
    assert content(bundle.path.parent) == {"polypgen-int8/a": b"1"}


def test_a_failed_stage_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        stage(tmp_path / "new", interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_stage_leaves_the_old_bundle(bundle: Bundle) -> None:
    before = content(bundle.path.parent)
    with pytest.raises(KeyboardInterrupt):
        stage(bundle.path, interrupt)
    assert content(bundle.path.parent) == before


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux swaps two names at once")
def test_a_replaced_folder_is_never_missing(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    ended, missed = threading.Event(), []

    def look() -> None:
        while not ended.is_set():
            try:
                path.stat()
            except FileNotFoundError as error:
                missed.append(error)

    stage(path, lambda: None)
    watcher = threading.Thread(target=look)
    watcher.start()
    for _ in range(300):
        stage(path, lambda: None)
    ended.set()
    watcher.join()
    assert not missed
    assert [file.name for file in tmp_path.iterdir()] == ["bundle"], "and nothing old is left"


def test_a_rename_that_fails_puts_the_old_bundle_back(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(bundle.path.parent)
    rename = Path.replace

    def fails_for_new_folders(self: Path, target: Path) -> Path:
        if ".new-" in self.name:
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr("lightawnet_edge.bundle.store._exchange", lambda *_: False)
    with pytest.raises(PermissionError):
        stage(bundle.path, lambda: monkeypatch.setattr(Path, "replace", fails_for_new_folders))
    assert content(bundle.path.parent) == before


@pytest.mark.parametrize("name", ["polypgen-int8", "another"])
def test_a_killed_export_leaves_old_bundles_and_no_half_one(bundle: Bundle, name: str) -> None:
    engines = bundle.path.parent
    before = content(engines)
    script = """
        import os, signal, sys
        from pathlib import Path
        from lightawnet_edge.bundle.store import staged_folder
        with staged_folder(Path(sys.argv[1])) as aside:
            (aside / "half").write_bytes(b"1")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(engines / name)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    visible = {file: raw for file, raw in content(engines).items() if not file.startswith(".")}
    assert visible == before
