"""The JSON Schemas in the documentation are those of the records, and hold for real documents."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from lightawnet_edge.benchmarks import result
from lightawnet_edge.benchmarks.samples import EngineSamples, Samples
from lightawnet_edge.bundle.device_record import DeviceRecord
from lightawnet_edge.bundle.kit import Binding
from lightawnet_edge.bundle.layers import LayerRecord
from lightawnet_edge.bundle.manifest import manifest_text, read_manifest
from lightawnet_edge.calibration.record import UPGRADES, SetRecord
from lightawnet_edge.codec import CodecError, dumps, loads
from lightawnet_edge.scores.masks import SegmentationScore
from lightawnet_edge.specs import Precision, State
from tests.codec.validator import accepts
from tools.schemas import DOCUMENTS, FOLDER, main, stale

OLDER = {"calibration-set": UPGRADES, "report": result.UPGRADES}
EARLIER = Path(__file__).parents[1] / "codec" / "documents"


DEVICE = DeviceRecord(
    manifest_sha256="ab" * 32, created="2026-01-31T12:00:00+00:00", state=State.UNCHECKED,
    engine="engine.plan", engine_sha256="cd" * 32, executed={"int8": 1.0},
    bound=Binding(tensorrt="TensorRT 10.3.0", capabilities=(87,), device="Orin", cuda="12.6"),
    layers=(LayerRecord(name="e1", requested=Precision.INT8, executed=Precision.INT8, macs=9),),
    tools={"tensorrt": "10.3.0"}, machine={"cpu": "a CPU", "isa": ["asimd"], "cores": 6},
)  # fmt: skip

MEASURED = Samples(
    created="2026-01-31T12:00:00+00:00",
    engines=(
        EngineSamples(
            bundle="polyp-onnx-int8", load_s=0.4, first_s=0.1, rounds_s=((0.01, 0.02), (0.01,)),
            compute_s=(), copy_s=(), others=(0.1, 0.0),
            scores={"a": SegmentationScore(dice=0.5, iou=0.3, precision=1.0, recall=0.3)},
        ),
    ),
)  # fmt: skip
WRITTEN = {"device-record": DEVICE, "samples": MEASURED}
"""Documents that the first version did not have."""


def committed(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))


def written(name: str) -> Any:
    """A document of today, from one of the first version."""
    if name == "manifest":
        return json.loads(manifest_text(read_manifest((EARLIER / "manifest.json").read_bytes())))
    kind, schema = DOCUMENTS[name]
    if name in WRITTEN:
        return json.loads(dumps(WRITTEN[name], schema=schema))
    text = (EARLIER / f"{name}.json").read_text(encoding="utf-8")
    return json.loads(
        dumps(loads(kind, text, schema=schema, upgrades=OLDER.get(name)), schema=schema)
    )


def test_the_committed_schemas_are_current() -> None:
    assert stale(FOLDER) == [], "run: python -m tools.schemas"
    assert {file.name for file in FOLDER.glob("*.json")} == {f"{n}.schema.json" for n in DOCUMENTS}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_hold_their_schema_and_changed_ones_do_not(name: str) -> None:
    schema, document = committed(name), written(name)
    assert accepts(schema, document)
    assert not accepts(schema, document | {"schema": 99})
    assert not accepts(schema, document | {"unheard_of": 1})
    for key in schema["required"]:
        assert not accepts(schema, {k: v for k, v in document.items() if k != key})


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_field_says_what_it_is_or_is_plain(name: str) -> None:
    schema = committed(name)
    for form in (schema, *schema["$defs"].values()):
        assert form["description"], form


def test_check_names_what_is_not_current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["schemas", "--out", str(tmp_path)])
    main()
    monkeypatch.setattr(sys, "argv", ["schemas", "--check", "--out", str(tmp_path)])
    main()
    (tmp_path / "report.schema.json").write_text("{}")
    with pytest.raises(SystemExit, match=r"not current: report\.schema\.json\. Run: python -m"):
        main()


def test_documents_that_break_their_schema_are_not_read() -> None:
    document = written("calibration-set")
    document["frames"][0]["print"]["stem"] = 7
    assert not accepts(committed("calibration-set"), document)
    with pytest.raises(CodecError):
        loads(SetRecord, json.dumps(document), schema=DOCUMENTS["calibration-set"][1])


def test_a_manifest_of_a_kit_holds_the_schema(kits: dict[str, Path]) -> None:
    for folder in kits.values():
        text = (folder / "manifest.json").read_text(encoding="utf-8")
        assert accepts(committed("manifest"), json.loads(text))


def test_a_kit_of_the_first_schema_is_read_as_one_of_today() -> None:
    found = read_manifest((EARLIER / "kit-manifest.json").read_bytes())
    assert found.kit is not None
    assert accepts(committed("manifest"), json.loads(manifest_text(found)))
