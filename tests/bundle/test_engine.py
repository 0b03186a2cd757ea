from __future__ import annotations

from pathlib import Path

import pytest

from lightawnet_edge.bundle.engine import Engine, parts
from lightawnet_edge.errors import ArtifactError
from lightawnet_edge.specs import Precision


def test_an_engine_is_read_with_the_weights_that_lie_beside_it(tmp_path: Path) -> None:
    (tmp_path / "engine.xml").write_bytes(b"<net/>")
    (tmp_path / "engine.bin").write_bytes(b"\0\1")
    engine = Engine.read(tmp_path / "engine.xml", Precision.FP32)
    assert (engine.name, engine.data, engine.weights) == ("engine.xml", b"<net/>", b"\0\1")
    assert engine.path == tmp_path / "engine.xml"
    (tmp_path / "engine.bin").unlink()
    assert Engine.read(engine.path, Precision.FP32).weights == b"", "a net of no weights"


def test_other_engines_hold_their_weights_themselves(tmp_path: Path) -> None:
    (tmp_path / "engine.onnx").write_bytes(b"graph")
    (tmp_path / "engine.bin").write_bytes(b"of another")
    engine = Engine.read(tmp_path / "engine.onnx", Precision.FP32)
    assert (dict(engine.files), engine.weights) == ({"engine.onnx": b"graph"}, b"")
    assert parts("engine.plan") == ("engine.plan",)


def test_an_engine_that_is_not_there_is_said_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"engine\.xml' cannot be read: No such file"):
        Engine.read(tmp_path / "engine.xml", Precision.FP32)
