"""The config: TOML and back, flags over file over defaults, and what it refuses."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lightawnet_edge.errors import ArtifactError, SpecError
from lightawnet_edge.specs import Method, Normalization, Size
from lightawnet_edge.training import config as training_config
from lightawnet_edge.training.config import AugmentConfig, Phase, TrainConfig, resolve, to_toml

PLACES = {"data": "d", "out": "o"}

CONFIGS = Path(__file__).parents[2] / "configs"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(data=Path("d"), out=Path("o")),
        TrainConfig(
            data=Path('a "quoted" \\ folder'),
            out=Path("o"),
            split=Path("train.txt"),
            size=Size(64, 96),
            normalization=Normalization(method="minmax"),
            lr=1e-4,
            freeze_norm=True,
            init="polypgen",
            training_data="Été, 2023\n\x7f",
            augment=AugmentConfig(strength=0, flip=0.25),
        ),
    ],
)
def test_a_config_survives_its_toml(config: TrainConfig, tmp_path: Path) -> None:
    assert resolve(write(tmp_path / "c.toml", to_toml(config)), {}) == config


def test_a_run_of_an_earlier_version_reads_and_keeps_every_line(tmp_path: Path) -> None:
    earlier = Path(__file__).parents[1] / "codec" / "documents" / "config.toml"
    config = resolve(earlier, {})
    assert config.phases == (Phase(size=Size(32, 48), epochs=5),)
    kept = set(to_toml(config).splitlines())
    assert set(earlier.read_text(encoding="utf-8").splitlines()) <= kept


def test_a_field_of_any_plain_type_survives_its_toml(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Wider(TrainConfig):
        folders: tuple[Path, ...] = ()
        levels: Mapping[str, float] = field(default_factory=dict)
        nested: Mapping[str, tuple[Phase, ...]] = field(default_factory=dict)
        method: Method | None = None

    wider = Wider(
        data=Path("d"), out=Path("o"), folders=(Path("a"), Path("b")), levels={"é 1": 0.5, "b": 2},
        nested={"x": (Phase(size=Size(16, 32), epochs=1),)}, method=Method.MSE,
    )  # fmt: skip
    monkeypatch.setattr(training_config, "TrainConfig", Wider)
    assert resolve(write(tmp_path / "c.toml", to_toml(wider)), {}) == wider
    with pytest.raises(SpecError, match="method: expected one of min-max, percentile"):
        resolve(None, {**PLACES, "method": "best"})


def test_a_file_may_change_one_value_of_a_table(tmp_path: Path) -> None:
    file = write(tmp_path / "c.toml", '[normalization]\nmethod = "minmax"\n')
    assert resolve(file, PLACES).normalization == Normalization(method="minmax")


def test_flags_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    file = write(
        tmp_path / "c.toml",
        'data = "d"\nepochs = 7\nlr = 1\n[augment]\nflip = 0.1\nblur = 0.2\n',
    )
    flags = {"out": "o", "lr": 0.5, "loss": None, "augment": {"flip": 0.3, "blur": None}}
    config = resolve(file, flags)
    assert (config.epochs, config.lr, config.loss) == (7, 0.5, "bce-dice")
    assert config.augment == AugmentConfig(flip=0.3, blur=0.2)


def test_resuming_takes_the_config_of_the_run(tmp_path: Path) -> None:
    config = TrainConfig(data=Path("d"), out=tmp_path, epochs=9)
    write(tmp_path / "config.toml", to_toml(config))
    assert resolve(None, {"out": tmp_path}, resume=True) == config
    with pytest.raises(SpecError, match="'data'"):
        resolve(None, {"out": tmp_path})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epoch": 3}, "epoch: unknown key, known are data, out, split"),
        ({"augment": {"flips": 1}}, "augment.flips: unknown key, known are strength, flip, transp"),
        ({"augment": 3}, "augment: expected a table of keys and values, found 3"),
        ({"phases": {"epochs": 1}}, "phases: expected a list, found a table of 1"),
        ({"phases": [{"size": "32x48"}]}, r"phases\[0\].epochs: missing"),
        ({"epochs": "3"}, "epochs: expected an integer, found '3'"),
        ({"epochs": True}, "epochs: expected an integer, found True"),
        ({"lr": "fast"}, "lr: expected a number, found 'fast'"),
        ({"lr": math.inf}, "lr: expected a number, found inf"),
        ({"hints": math.nan}, "hints: expected a number, found nan"),
        ({"data": Path("\ud800")}, r"data: expected text, found '\\ud800'"),
        ({"size": "100"}, "multiples of 16"),
        ({"in_channels": 2}, "in_channels=2 must be 1 .* or 3"),
        ({"loss": "focal"}, "Unknown loss 'focal'. Known: bce-dice, bce"),
        ({"precision": "int8"}, "Unknown precision 'int8'"),
        ({"device": "tpu"}, "Unknown device 'tpu'"),
        ({"epochs": 0}, "epochs=0 must be greater than 0"),
        ({"lr": 0}, "lr=0 must be greater than 0"),
        ({"patience": -1}, "patience=-1 must not be negative"),
        ({"val_fraction": 1}, "val_fraction=1 must be between 0 and 1"),
        ({"ema_decay": 1}, "ema_decay=1 must be in"),
        ({"augment": {"blur": 1.5}}, "augment.blur=1.5 must be in"),
        ({"augment": {"hue_deg": -1}}, "augment.hue_deg=-1 must not be negative"),
    ],
)
def test_what_makes_no_sense_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        resolve(None, {**PLACES, **values})


@pytest.mark.parametrize("missing", ["data", "out"])
def test_data_and_out_are_needed(missing: str) -> None:
    values = {key: value for key, value in PLACES.items() if key != missing}
    with pytest.raises(SpecError, match=f"give --{missing}"):
        resolve(None, values)


def test_a_file_that_is_missing_or_no_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="No config"):
        resolve(tmp_path / "none.toml", {})
    broken = write(tmp_path / "broken.toml", "epochs = = 3")
    with pytest.raises(ArtifactError, match=re.escape(f"'{broken}' is not TOML")):
        resolve(broken, {})


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_of_the_project_can_be_read(path: Path) -> None:
    config = resolve(path, {})
    assert config.license != "unknown"
    assert config.training_data
    assert config.out == Path("runs") / path.stem
    assert config.val_split is not None
    if config.val_split.parent.name == "configs":
        assert (CONFIGS / config.val_split.name).is_file()
