"""`verify`: a bundle is whole, or the first thing that is wrong is named."""

from __future__ import annotations

import json

import pytest

from lightawnet_edge.bundle.kit import Kit
from lightawnet_edge.bundle.limits import AgreementLimits
from lightawnet_edge.bundle.manifest import MANIFEST, manifest_json
from lightawnet_edge.cli import app
from lightawnet_edge.errors import ArtifactError
from lightawnet_edge.inspection.verified import describe, verify
from lightawnet_edge.specs import State
from tests.conftest import MakeBundle


def test_a_whole_bundle_says_what_was_checked(make_bundle: MakeBundle) -> None:
    bundle = make_bundle("b")
    found = verify(bundle.path)
    assert (found.manifest_schema, found.files) == (2, bundle.manifest.files)
    assert (found.size_bytes, found.device_record) == (2, False)
    digest = f"{bundle.exported_sha256[:12]}…"
    assert describe(found).splitlines() == [
        f"{bundle.path}: b, onnx int8",
        "  whole     2 files, 0.0 MB: each has its SHA-256, and nothing else is there",
        f"  manifest  {digest}; contract, files and all else are bound by its digest",
        "  engine    there, and gave what was expected of it",
        "  signed    by nobody: what is whole may come from anywhere",
    ]


def test_a_kit_is_whole_before_its_engine_is_there(make_bundle: MakeBundle) -> None:
    kit = Kit(
        graph="device.onnx", golden="device.onnx", device="jetson-orin", jetpack="6.2",
        tensorrt="10.3", capabilities=(87,), typed=True, tolerance=AgreementLimits(),
    )  # fmt: skip
    bundle = make_bundle("kit", kit=kit, state=State.PENDING)
    assert "engine    none yet: this is a kit" in describe(verify(bundle.path))


def test_a_manifest_of_schema_1_is_not_said_to_be_bound(make_bundle: MakeBundle) -> None:
    bundle = make_bundle("old")
    data = manifest_json(bundle.manifest)
    del data["digest"]
    data |= {"schema": 1, "agreement": {}}
    (bundle.path / MANIFEST).write_text(json.dumps(data))
    assert "of schema 1, which has no digest" in describe(verify(bundle.path))


def test_what_is_hidden_beside_the_files_is_named(make_bundle: MakeBundle) -> None:
    bundle = make_bundle("b")
    (bundle.path / ".payload.so").write_bytes(b"x")
    found = verify(bundle.path)
    assert found.hidden == (".payload.so",)
    lines = describe(found).splitlines()
    assert lines[1].endswith("and nothing else is there but what is hidden")
    assert lines[2] == "  hidden    .payload.so: no part of the bundle, never loaded"


def test_what_is_wrong_is_named(make_bundle: MakeBundle) -> None:
    bundle = make_bundle("b")
    (bundle.path / "engine.txt").write_bytes(b"evil")
    with pytest.raises(ArtifactError, match=r"engine\.txt' has changed since it was built"):
        verify(bundle.path)


def test_a_changed_bundle_is_not_measured_layer_by_layer(make_bundle: MakeBundle) -> None:
    bundle = make_bundle("b")
    (bundle.path / "engine.txt").write_bytes(b"evil")
    with pytest.raises(ArtifactError, match=r"engine\.txt' has changed since it was built"):
        app(["sensitivity", str(bundle.path)], standalone_mode=False)


def test_the_command_prints_lines_or_json_and_lets_the_error_through(
    make_bundle: MakeBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle("b")

    def run(*words: object) -> str:
        app(["verify", *map(str, words)], standalone_mode=False)
        return capsys.readouterr().out

    told = json.loads(run(bundle.path, "--json"))
    assert (told["schema"], told["state"]) == (1, "built")
    assert told["files"] == dict(bundle.manifest.files)
    (bundle.path / "extra").write_bytes(b"")
    with pytest.raises(ArtifactError, match="holds 'extra'"):
        run(bundle.path)
