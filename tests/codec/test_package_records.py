"""The records of the package are written as their schemas say, and any JSON is answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import MISSING, field, fields, make_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightawnet_edge.benchmarks.records import FrameScore, Record
from lightawnet_edge.benchmarks.result import BenchResult, Failure, Picture
from lightawnet_edge.benchmarks.timing import Timing
from lightawnet_edge.bundle.choices import (
    MethodRecord,
    RestoreRecord,
    RestoreStep,
    RoutingDecision,
    RoutingRecord,
)
from lightawnet_edge.bundle.contract import Contract
from lightawnet_edge.bundle.kit import Binding, BuilderSettings, Kit
from lightawnet_edge.bundle.layers import LayerRecord
from lightawnet_edge.bundle.limits import AgreementLimits
from lightawnet_edge.bundle.manifest import (
    DIGEST,
    SCHEMA,
    Manifest,
    Source,
    manifest_text,
    read_manifest,
)
from lightawnet_edge.calibration.record import (
    ChosenFrame,
    Coverage,
    KeptApart,
    LayerRange,
    SetRecord,
    Span,
    Stability,
)
from lightawnet_edge.codec import OMIT, CodecError, decode, dumps, encode, loads
from lightawnet_edge.codec.schema import json_schema
from lightawnet_edge.data.likeness import FramePrint, Match
from lightawnet_edge.evaluation.evaluation import Evaluation, FrameResult, Weights
from lightawnet_edge.machine.cuda_driver import CudaDevice
from lightawnet_edge.machine.gpu_state import GpuState
from lightawnet_edge.machine.machine import Machine, MachineState
from lightawnet_edge.model.metadata import CheckpointMeta
from lightawnet_edge.scores.agreement import Agreement
from lightawnet_edge.specs import (
    ColorOrder,
    Method,
    Normalization,
    Precision,
    Routing,
    Size,
    State,
    Target,
)
from lightawnet_edge.training.config import AugmentConfig, Phase, TrainConfig
from lightawnet_edge.training.metrics_log import EpochRecord

PRINT = FramePrint("polyp-01", "ab" * 32, "0f" * 128)
LAYER = LayerRecord(
    name="e1/depthwise", kind="convolution", requested=Precision.INT8, executed=Precision.FP32,
    kernel="dw_f32", macs=9_437_184, seconds=1.5e-5, computed=True,
)  # fmt: skip
RESIZE = LayerRecord(name="/Resize", kind="resize")
KIT = Kit(
    graph="int8.onnx", golden="golden.npz", device="jetson-orin-nano", jetpack="6.2",
    tensorrt="10.3", capabilities=(87,), typed=True, float_layers=("out",), dla=True,
    builder=BuilderSettings(workspace_mib=512, optimization_level=5),
    numerics={"onnx": {"frames": 16, "mean_abs_probability": 0.001, "dice_fp32": None}},
    tolerance=AgreementLimits(
        worst_abs_probability=0.02, worst_mask_disagreement=0.01, worst_dice=0.95
    ),
    min_int8_share=0.9, trtexec="trtexec --onnx=int8.onnx --saveEngine=engine.plan",
    bound=Binding(tensorrt="TensorRT 10.3.0", capabilities=(87, 86), device="Orin", cuda="12.6"),
    replay=Agreement(
        frames=4, mean_abs_probability=None, mask_disagreement=0.001, worst_abs_probability=None,
        worst_mask_disagreement=0.004, worst_dice=0.991,
    ),
)  # fmt: skip
PENDING = Kit(
    graph="g.onnx", golden="golden.npz", device="d", jetpack=None, tensorrt="10.3",
    capabilities=(87,), typed=False,
    tolerance=AgreementLimits(worst_abs_probability=0.02),
)  # fmt: skip
ROUTING = RoutingRecord(
    max_dice_drop=0.005, calibrated_frames=16, measured_frames=48, has_truth=True, dice=0.91,
    decisions=(
        RoutingDecision(block="e1", frozen=True, dice_drop=-0.0001, low=-0.001, high=0.0008),
        RoutingDecision(block="u3", frozen=False, dice_drop=0.02, low=0.01, high=0.03),
    ),
)  # fmt: skip
METHOD = MethodRecord(
    method=Method.ENTROPY, scale_frames=32, held_out=8, dice={"entropy": 0.98, "mse": 0.97},
    restored=RestoreRecord(
        max_dice_drop=0.005, frames=8, held_out=True, has_truth=False, dice_drop=0.01,
        steps=(
            RestoreStep(layer="u1/expand", dice_drop=0.006),
            RestoreStep(layer="out", dice_drop=0.004),
        ),
    ),
)  # fmt: skip
MANIFEST = Manifest(
    name="polypgen-int8", target=Target.TENSORRT_RTX, precision=Precision.INT8,
    routing=Routing.AUTO,
    contract=Contract(
        frame=Size(1080, 1920), color=ColorOrder.BGR, network=Size(352, 480),
        normalization=Normalization(method="minmax"), threshold=0.4, probability=True,
    ),
    engine="engine.plan", device_graph="device.onnx",
    files={"engine.plan": "01" * 32, "device.onnx": "23" * 32},
    checkpoint=Source(name="polypgen", sha256="ab" * 32, frames=1),
    calibration=Source(name="samples", sha256="cd" * 32, frames=16),
    executed={"int8": 0.75, "fp32": 0.25}, agreement=Agreement(frames=16, mask_disagreement=0.001),
    inputs_sha256="ef" * 32, tools={"tensorrt-rtx": "1.7"},
    machine={"cpu": "a CPU", "isa": ["avx2"], "cores": 2}, layers=(LAYER,), state=State.UNCHECKED,
    kit=KIT, chosen=ROUTING, method=METHOD,
)  # fmt: skip
GPU = GpuState(
    clock_hz=1.3e9, clock_range_hz=(3.06e8, 1.3e9), temperature_c=52, power_w={"VDD_IN": 14.24},
    slowed=("heat",),
)  # fmt: skip
TIMING = Timing(
    load_s=0.4, first_s=0.1, rounds_s=((0.005, 0.0051), (0.0049,)), others=(0.01, 0.02),
    peak_memory_bytes=150_000_000, compute_s=((0.003, 0.003), (0.003,)),
    copy_s=((0.001, 0.001), (0.001,)), gpu=(GPU, GpuState()),
)  # fmt: skip
RECORD = Record(
    bundle="polypgen-int8", target="openvino", precision="int8", routing="static", frame="256x256",
    network="256x256", engine_bytes=3_000_000, executed={"int8": 0.967, "fp32": 0.033},
    baseline="pytorch-eager", timing=TIMING,
    scores=(
        FrameScore(frame="a", dice=0.9, iou=0.8, precision=1, recall=0.75, dice_drop=0.001),
        FrameScore(frame="b", dice=0, iou=0, precision=0, recall=0, dice_drop=0),
    ),
    layers=(LAYER,),
)  # fmt: skip
MACHINE = Machine(
    cpu="A CPU", isa=("avx2", "avx_vnni"), cores=2, cpus=4, memory_bytes=None, system="Linux",
    virtual=True, governor=None, versions={"python": "3.11"},
)  # fmt: skip
STATE = MachineState(load_1min=0.1, frequency_hz=2.8e9, throttled=0, temperature_c=None)
PICTURE = Picture(
    frame="a", width=40, height=30, jpeg="/9j/", truth=(((10, 10), (30, 10), (30, 20)),),
    masks={"polypgen-int8": (), "pytorch-eager": (((1, 2),),)},
)  # fmt: skip
RESULT = BenchResult(
    created="2026-01-31T12:00:00+00:00", version="0.1.0",
    settings={
        "data": "polyps", "split": None, "threads": 2, "rounds": 2, "calls": 200, "seconds": 20.0,
        "warmup": 10, "deadline_s": 0.04,
    },
    machine=MACHINE, before=STATE, after=STATE, records=(RECORD,),
    failures=(Failure(bundle="b", reason="it is not installed", exit_code=4),),
    skipped={"c": "no mask"}, pictures=(PICTURE,),
    gpu=CudaDevice(name="Orin", capability=87, cuda="12.6"), power_mode="MAXN",
    overlap={"polypgen-int8": ("a",), "other": None},
)  # fmt: skip
FRAME = FrameResult(
    stem="a", height=288, width=384, group="C1", truth_share=0.07, predicted_share=0.06, dice=0.9,
    iou=0.82, precision=0.95, recall=0.86, hd95_px=12.5,
)  # fmt: skip
EVALUATION = Evaluation(
    version="0.1.0", size="256x256",
    weights=Weights(
        name="polypgen", sha256="ab" * 32, parameters=2_350_000, in_channels=3, size=Size(256, 256),
    ),
    data="polyps", split=None, limit=8, frames_sha256="12" * 32, tools={"torch": "2.13"},
    frames=(FRAME,),
)  # fmt: skip
SET = SetRecord(
    data="polyps", split="train.txt", pool=1237, seed=0,
    evaluation=KeptApart(data="polyps", split="val.txt", frames=150),
    refused=(Match("a", "b", 0.93, same_pixels=False),), overlap=(Match("c", "c", 1, True),),
    coverage=Coverage(
        radius=2.5, random_radius=3.75, sources={"C1": (400, 12), "C2": (1, 0)},
        spans=(Span(feature="light", known=9, pool=(0, 1, 2, 3, 4), chosen=(0, 1.5, 2, 3, 3)),),
    ),
    stability=Stability(
        weights="polypgen", frames=32, half=16,
        layers=(LayerRange(layer="e1", ranges={Method.MSE: (-1, 2, -0.5, 2)}),),
    ),
    frames=(
        ChosenFrame(
            print=PRINT, image="images/a.png", mask=None, source="C1",
            features={"light": 0.5, "size": None},
        ),
    ),
    files={"images/a.png": "34" * 32},
)  # fmt: skip
META = CheckpointMeta(
    in_channels=3, size=Size(256, 256), training_data="PolypGen 1.0", license="CC BY 4.0",
    metrics={"dice": 0.9, "epoch": 59},
)  # fmt: skip
CONFIG = TrainConfig(
    data=Path("data/polyps"), out=Path("runs/a"), split=Path("train.txt"), size=Size(64, 96),
    phases=(Phase(size=Size(32, 48), epochs=5),), normalization=Normalization(mean=0.25), lr=1e-4,
    init="polypgen", training_data="Été\n\x7f", augment=AugmentConfig(strength=0, flip=0.25),
)  # fmt: skip
EPOCH = EpochRecord(
    epoch=1, size="64x96", loss=0.5, dice=0.8, iou=0.7, precision=0.9, recall=0.75, lr=1e-3,
    images_per_s=31.5, seconds=60, best=True,
)  # fmt: skip

TEXTS = json.loads((Path(__file__).parent / "texts.json").read_text(encoding="utf-8"))
"""Name to what the schema of the record says that it is written as: the contract of today."""
EQUAL: dict[str, Any] = {
    "device": RESULT.gpu, "epoch": EPOCH, "frame": FRAME, "gpu_state": GPU, "kit": KIT,
    "layer": LAYER, "machine": MACHINE, "method": METHOD, "normalization": Normalization(),
    "pending_kit": PENDING, "picture": PICTURE, "print": PRINT, "routing": ROUTING, "state": STATE,
    "timing": TIMING,
}  # fmt: skip


def text(plain: object) -> str:
    """As a document holds it: integers are told from other numbers."""
    return json.dumps(plain, sort_keys=True)


@pytest.mark.parametrize("name", EQUAL)
def test_records_are_written_by_their_fields(name: str) -> None:
    record = EQUAL[name]
    assert text(encode(record)) == text(TEXTS[name])
    assert decode(type(record), TEXTS[name]) == record


def test_sets_and_checkpoints_are_documents_with_a_schema() -> None:
    for record, schema, name in ((SET, 2, "set"), (META, 2, "checkpoint")):
        written = dumps(record, schema=schema, indent=1, sort_keys=False)
        assert text(json.loads(written)) == text(TEXTS[name])
        assert loads(type(record), json.dumps(TEXTS[name]), schema=schema) == record


def test_a_manifest_is_its_text_with_schema_and_digest() -> None:
    written = manifest_text(MANIFEST)
    told = json.loads(written)
    del told[DIGEST]
    assert text(told) == text({**TEXTS["manifest"], "schema": SCHEMA})
    assert read_manifest(written.encode()) == MANIFEST


def test_fields_at_their_defaults_are_left_out_where_they_are_marked() -> None:
    layer = marked(LayerRecord, "requested", "executed", "kernel", "seconds", "computed")
    source = marked(Source, "frames")
    for kind, record, name in (
        (layer, RESIZE, "layer_at_defaults"),
        (layer, LAYER, "layer"),
        (source, Source(name="n", sha256="s"), "source"),
    ):
        values = {one.name: getattr(record, one.name) for one in fields(record)}
        assert text(encode(kind(**values))) == text(TEXTS[name])
        assert decode(type(record), TEXTS[name]) == record


def marked(kind: type[Any], *names: str) -> type[Any]:
    """The same record, with fields that are left out at their defaults."""
    hints, own = get_type_hints(kind), []
    for one in fields(kind):
        default = {} if one.default is MISSING else {"default": one.default}
        metadata = OMIT if one.name in names else {}
        own.append((one.name, hints[one.name], field(**default, metadata=metadata)))
    return make_dataclass(kind.__name__, own, frozen=True, kw_only=True)


def test_a_config_of_training_is_written_as_its_toml_but_for_none() -> None:
    plain = {key: value for key, value in encode(CONFIG).items() if value is not None}
    later = {"dev_fraction", "weight", "more", "memory_format"}
    augment = {
        k: v for k, v in plain["augment"].items() if k not in ("aspect", "white_balance", "gamma")
    }
    earlier = {key: value for key, value in plain.items() if key not in later}
    assert text({**earlier, "augment": augment}) == text(TEXTS["config"])
    assert decode(TrainConfig, plain) == CONFIG
    for change, message in (
        ({"epoch": 3}, "epoch: unknown key, known are data, out, split"),
        ({"augment": {"flips": 1}}, "augment.flips: unknown key, known are strength, flip"),
        ({"augment": 3}, "augment: expected a table of keys and values, found 3"),
        ({"epochs": True}, "epochs: expected an integer, found True"),
        ({"lr": "fast"}, "lr: expected a number, found 'fast'"),
        ({"size": "100x9"}, "Network input 100x9 does not fit"),
        ({"phases": [{"size": "32x48"}]}, "phases[0].epochs: missing"),
        ({"phases": [{"size": "9x9", "epochs": 1}]}, "phases[0]: Network input 9x9 does not fit"),
        ({"seed": -1}, "seed=-1 must not be negative"),
        ({"size": "9" * 400 + "x1"}, ""),
    ):
        with pytest.raises(CodecError) as caught:
            decode(TrainConfig, plain | change)
        assert str(caught.value).startswith(message)


RECORDS = [*EQUAL.values(), MANIFEST, RECORD, RESULT, EVALUATION, SET, META, CONFIG]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
    | st.sampled_from([10**400, -(2**64), "fp32", "1x1", "0x0", "\ud800", ""]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def places(plain: Any) -> list[tuple[Any, Any]]:
    """Every container below a plain value, with each of its keys."""
    items = plain.items() if isinstance(plain, dict) else enumerate(plain)
    return [
        place
        for key, value in items
        for place in [(plain, key), *(places(value) if isinstance(value, dict | list) else ())]
    ]


@st.composite
def damaged(draw: Callable[[Any], Any]) -> tuple[Any, Any]:
    """A record, and its plain values with one of them replaced, removed or added."""
    record = draw(st.sampled_from(RECORDS))
    plain = json.loads(text(encode(record)))
    container, key = draw(st.sampled_from(places(plain)))
    match draw(st.sampled_from(["replace", "remove", "add"])):
        case "replace":
            container[key] = draw(JSON)
        case "remove":
            del container[key]
        case "add" if isinstance(container, dict):
            container[draw(st.text(max_size=9))] = draw(JSON)
        case "add":
            container.append(draw(JSON))
    return record, plain


def check_answer(kind: type[Any], plain: object) -> None:
    """A value is read that can be written and read again, or the one error says why not."""
    try:
        found = decode(kind, plain)
    except CodecError as error:
        found = str(error)  # can be shown, whatever was found
    assert decode(type(found), encode(found)) == found


@given(damaged())
def test_damaged_json_gives_the_record_or_the_one_error(case: tuple[Any, Any]) -> None:
    record, plain = case
    check_answer(type(record), plain)


@given(st.sampled_from(RECORDS), JSON)
def test_any_json_gives_the_record_or_the_one_error(record: Any, plain: object) -> None:
    check_answer(type(record), plain)


@given(st.sampled_from([MANIFEST, SET, RESULT]), st.text() | st.binary())
def test_any_text_is_no_document(record: Any, content: str | bytes) -> None:
    with pytest.raises(CodecError):
        loads(type(record), content, schema=1)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_every_record_has_a_schema(record: Any) -> None:
    found = json_schema(type(record), schema=1, title=type(record).__name__)
    assert found["properties"].keys() == {
        "schema", *(one.name for one in fields(record)), *getattr(record, "DERIVED", ()),
    }  # fmt: skip
    assert json.loads(json.dumps(found, allow_nan=False)) == found
