"""What a device's record may add to a kit, and what it may not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.device_record import ANOTHER, RECORD, DeviceRecord, write_record
from lightawnet_edge.bundle.kit import Binding, Kit
from lightawnet_edge.bundle.layers import LayerRecord
from lightawnet_edge.bundle.limits import AgreementLimits
from lightawnet_edge.bundle.manifest import MANIFEST
from lightawnet_edge.bundle.store import sha256_of
from lightawnet_edge.errors import ArtifactError
from lightawnet_edge.scores.agreement import Agreement
from lightawnet_edge.specs import Precision, State, Target
from tests.conftest import MakeBundle

DATA = Path(__file__).parent / "data"
KIT = Kit(
    graph="device.onnx", golden="device.onnx", device="jetson-orin", jetpack="6.2",
    tensorrt="10.3", capabilities=(87,), typed=True,
    tolerance=AgreementLimits(worst_mask_disagreement=0.01, worst_dice=0.95),
)  # fmt: skip
ASKED = LayerRecord(name="out", requested=Precision.FP16, macs=3)
BOUND = Binding(tensorrt="TensorRT 10.3.0", capabilities=(87,), device="Orin")
REPLAY = Agreement(frames=4, mask_disagreement=0.002, worst_mask_disagreement=0.004)


@pytest.fixture
def kit(make_bundle: MakeBundle) -> Bundle:
    return make_bundle(
        "kit", target=Target.TENSORRT, kit=KIT, state=State.PENDING, engine="engine.plan",
        executed={}, layers=(ASKED,),
    )  # fmt: skip


def recorded(bundle: Bundle, **changes: Any) -> None:
    """Write a plan as a device does, and the record of it."""
    name = changes.get("engine", "engine.plan")
    if name not in bundle.manifest.files:
        (bundle.path / name).write_bytes(b"plan")
    made = DeviceRecord(
        manifest_sha256=bundle.exported_sha256,
        created="2026-01-01T00:00:00+00:00",
        state=State.BUILT,
        engine=name,
        engine_sha256=sha256_of(bundle.path / name),
        bound=BOUND,
        replay=REPLAY,
        layers=(replace(ASKED, executed=Precision.FP16),),
        executed={"fp16": 1.0},
        tools={"tensorrt": "10.3.0"},
        machine={},
    )
    write_record(bundle.path, replace(made, **changes))


def test_a_record_adds_an_engine_that_was_proven(kit: Bundle) -> None:
    before = (kit.path / MANIFEST).read_bytes()
    recorded(kit)
    built = Bundle.open(kit.path)
    assert (built.manifest.state, built.manifest.executed) == (State.BUILT, {"fp16": 1.0})
    assert (built.engine.data, built.engine.binding) == (b"plan", BOUND)
    assert (kit.path / MANIFEST).read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"engine": "device.onnx"}, "engine: 'device.onnx' is no engine of this kit"),
        ({"engine": "other.plan"}, "engine: 'other.plan' is no engine of this kit"),
        (
            {"bound": replace(BOUND, version_compatible=True)},
            "bound.version_compatible: the kit does not ask for it",
        ),
    ],
)
def test_a_record_that_makes_more_of_a_kit_than_it_is_is_refused(
    kit: Bundle, changes: dict[str, Any], message: str
) -> None:
    recorded(kit, **changes)
    with pytest.raises(ArtifactError, match=rf"{RECORD}' cannot be understood: {message}"):
        Bundle.open(kit.path)


def test_a_record_without_a_replay_proves_nothing(kit: Bundle) -> None:
    recorded(kit)
    data = json.loads((kit.path / RECORD).read_text(encoding="utf-8"))
    del data["replay"]
    (kit.path / RECORD).write_text(json.dumps(data))
    with pytest.raises(ArtifactError, match="state: built, though the engine never ran"):
        Bundle.open(kit.path)


def test_no_record_speaks_for_other_bytes_than_the_manifest_vouches_for(
    make_bundle: MakeBundle,
) -> None:
    exported = make_bundle("kit", kit=KIT, state=State.UNCHECKED)
    recorded(exported, engine="engine.txt")
    assert Bundle.open(exported.path).engine.data == b"kit", "proven as it was exported"
    (exported.path / "engine.txt").write_bytes(b"evil")
    recorded(exported, engine="engine.txt")
    with pytest.raises(ArtifactError, match="engine_sha256: the manifest vouches for another"):
        Bundle.open(exported.path)


def test_an_engine_that_differs_stands_beside_the_exported_one(make_bundle: MakeBundle) -> None:
    exported = make_bundle("kit", kit=KIT, state=State.UNCHECKED)
    recorded(exported, engine=ANOTHER)
    assert Bundle.open(exported.path).engine.data == b"plan"


def test_what_trtexec_leaves_in_a_kit_is_neither_loaded_nor_in_the_way(kit: Bundle) -> None:
    for name in ("engine.plan", "timing.cache"):
        (kit.path / name).write_bytes(b"by trtexec")
    assert Bundle.open(kit.path).manifest.state is State.PENDING
    recorded(kit, engine="engine.plan")
    assert Bundle.open(kit.path).engine.data == b"plan"


def test_a_timing_cache_belongs_to_kits_alone(make_bundle: MakeBundle) -> None:
    bundle = make_bundle("b")
    (bundle.path / "timing.cache").write_bytes(b"x")
    with pytest.raises(ArtifactError, match=r"holds 'timing\.cache'"):
        Bundle.open(bundle.path)


@pytest.mark.parametrize("name", ["pending", "unchecked", "built"])
def test_kits_of_schema_1_say_what_they_said(name: str, tmp_path: Path) -> None:
    """Manifests that the version of schema 1 wrote, over files that are empty."""
    data = json.loads((DATA / f"schema-1-kit-{name}.json").read_text(encoding="utf-8"))
    for file in data["files"]:
        (tmp_path / file).write_bytes(b"")
        data["files"][file] = sha256_of(tmp_path / file)
    (tmp_path / MANIFEST).write_text(json.dumps(data))
    manifest = Bundle.open(tmp_path).manifest
    assert str(manifest.state) == data["state"] == name
    assert (manifest.files, manifest.executed) == (data["files"], data["executed"])
    assert manifest.tools == data["tools"]
    if data["agreement"]:
        assert manifest.agreement is not None
        assert manifest.agreement.mask_disagreement == data["agreement"]["mask_disagreement"]
    assert [layer.kernel for layer in manifest.layers] == [
        layer.get("kernel") for layer in data["layers"]
    ]
    assert manifest.kit is not None
    assert (manifest.kit.bound is None) is (data["kit"]["bound"] is None)
    assert (manifest.kit.replay is None) is (data["kit"]["replay"] is None)
