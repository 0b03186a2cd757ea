"""Sensitivity: measured on the engine's own file, which a layer in float brings closer to FP32."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from lightawnet_edge.approximation.sensitivity import sensitivity
from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.engine import Engine
from lightawnet_edge.data.pixels import UInt8
from lightawnet_edge.errors import CheckFailedError, SpecError
from lightawnet_edge.specs import Precision, Target
from lightawnet_edge.targets import table
from lightawnet_edge.targets.onnx.probe import OnnxProbe
from tests.conftest import SIZE, blobs

Bundles = dict[tuple[str, str], Path]
TARGETS = ["onnx", "openvino"]


def frames() -> Iterable[tuple[UInt8, NDArray[np.bool_]]]:
    return blobs(3, SIZE, seed=5)


@pytest.mark.parametrize("target", TARGETS)
def test_every_int8_layer_has_its_noise_and_the_noisiest_their_worth(
    bundles: Bundles, target: str
) -> None:
    bundle = Bundle.open(bundles[target, "int8"])
    found = sensitivity(bundle, frames, worst=2)
    asked = [one.name for one in bundle.manifest.layers if one.requested is Precision.INT8]
    assert {one.layer.name for one in found.layers} == set(asked)
    assert all(one.sqnr_db > 3 for one in found.layers), "infinite where a layer gives zeros"
    assert found.masks_differ < 1e-3
    measured = [one for one in found.layers if one.gains]
    assert found.layers[:2] == tuple(measured), "what was put in float stands first"
    assert max(one.sqnr_db for one in measured) <= min(one.sqnr_db for one in found.layers[2:])
    assert all(len(one.gains) == len(found.dice) == len(found.exact_dice) == 3 for one in measured)


@pytest.mark.parametrize("target", TARGETS)
def test_a_layer_in_float_is_the_fp32_layer(bundles: Bundles, target: str, tmp_path: Path) -> None:
    # The first convolution that is quantized reads what FP32 reads: in float it has no noise left.
    bundle = Bundle.open(bundles[target, "int8"])
    probe = table.probe(Target(target))
    engine, exact = bundle.path / bundle.manifest.engine, bundle.path / bundle.manifest.device_graph
    layer = "e1/depthwise"
    probe.in_float(engine, exact, layer, tmp_path / f"float{engine.suffix}")
    seen = {}
    backend = table.get(Target(target))
    for kind, model in (
        ("exact", exact),
        ("int8", engine),
        ("float", tmp_path / f"float{engine.suffix}"),
    ):
        file = tmp_path / f"{kind}-watched{engine.suffix}"
        probe.watch(model, probe.results(engine, [layer]), file)
        session = backend.load(Engine.read(file, Precision.INT8), 1)
        seen[kind] = session.infer(next(iter(frames()))[0], ("probe_0",))["probe_0"]
        session.close()
    error = {kind: np.abs(seen[kind] - seen["exact"]).max() for kind in ("int8", "float")}
    # In ONNX Runtime the result is seen behind its own quantizer, whose noise stays.
    assert error["float"] <= (0.5 if target == "openvino" else 1.0) * error["int8"]
    if target == "onnx":
        graph = onnx.load(tmp_path / "float.onnx").graph
        (conv,) = [node for node in graph.node if node.name == layer]
        makers = {name: node.op_type for node in graph.node for name in node.output}
        assert "DequantizeLinear" not in {makers.get(name) for name in conv.input}


def test_what_has_no_int8_is_refused(bundles: Bundles, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="is fp32: there is no INT8 to be sensitive to"):
        sensitivity(Bundle.open(bundles["onnx", "fp32"]), frames)
    bundle = Bundle.open(bundles["onnx", "int8"])
    with pytest.raises(SpecError, match="No frame to measure on"):
        sensitivity(bundle, lambda: ())
    bundle = Bundle.open(bundles["openvino", "int8"])
    engine, exact = bundle.path / bundle.manifest.engine, bundle.path / bundle.manifest.device_graph
    for layer in ("e2/depthwise", "u1/excite"):
        with pytest.raises(SpecError, match=f"'{layer}' is not quantized"):
            table.probe(Target.OPENVINO).in_float(engine, exact, layer, tmp_path / "x.xml")


def test_a_copy_that_is_not_the_engine_is_noticed(
    bundles: Bundles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = OnnxProbe.watch

    def other(probe: OnnxProbe, model: Path, places: list[str], file: Path) -> None:
        watch(probe, model, places, file)
        if model.name == "engine.onnx":
            proto = onnx.load(file)
            (last,) = [node for node in proto.graph.node if node.op_type == "GreaterOrEqual"]
            least = next(t for t in proto.graph.initializer if t.name == last.input[1])
            values = onnx.numpy_helper.to_array(least) + np.float32(9)
            least.CopyFrom(onnx.numpy_helper.from_array(values, least.name))
            onnx.save(proto, file)

    monkeypatch.setattr(OnnxProbe, "watch", other)
    with pytest.raises(CheckFailedError, match="is not what the engine computes"):
        sensitivity(Bundle.open(bundles["onnx", "int8"]), frames, worst=0)
