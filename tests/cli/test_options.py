"""A spec's fields on the command line: help, default and type stand beside the field alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from lightawnet_edge import __main__ as entry
from lightawnet_edge.cli.options import Options, takes
from lightawnet_edge.options import flag_of, option
from lightawnet_edge.specs import Routing, Size

Run = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Order:
    """Something to ask for."""

    data: Path = option("Folder of frames.")
    size: Size = option("Size of a frame.", default=Size(256, 256))
    routing: Routing | None = option("How kernels are picked.", default=None)
    limit: int | None = option("At most so many; 0: all.", default=None, none=0)
    probability: bool = option("Leave the probability out.", off="--no-probability", default=True)
    force: bool = option("Replace.", "--force", "-f", default=False)
    also: tuple[Path, ...] = option("More folders.", default=())
    inner: int = 7
    """Not for the command line."""


@pytest.fixture
def run() -> Run:
    """Give the order that a command line makes, or the options alone."""

    def call(*words: str, unset: bool = False) -> Any:
        seen: list[Any] = []
        app = typer.Typer(add_completion=False)

        @app.command()
        @takes(Order, unset=unset)
        def order(
            *,
            name: Annotated[str, typer.Argument(help="Whose order.")],
            options: Options,
            loud: Annotated[bool, typer.Option("--loud", help="Say it.")] = False,
        ) -> None:
            """Order frames."""
            seen.append((name, options if unset else Order(**options), loud))

        done = CliRunner().invoke(app, words)
        return seen[0] if seen else (done.exit_code, done.output, done.exception)

    return call


def test_defaults_are_those_of_the_spec(run: Run) -> None:
    assert run("Ada", "--data", "frames") == ("Ada", Order(data=Path("frames")), False)


def test_every_kind_of_field_is_read(run: Run) -> None:
    given = (
        "--data d --size 480x640 --routing auto --limit 3 --no-probability -f --also a --also b "
        "--loud"
    )
    expected = Order(
        data=Path("d"), size=Size(480, 640), routing=Routing.AUTO, limit=3, probability=False,
        force=True, also=(Path("a"), Path("b")),
    )  # fmt: skip
    assert run("Ada", *given.split()) == ("Ada", expected, True)


def test_a_number_may_stand_for_none(run: Run) -> None:
    assert run("Ada", "--data", "d", "--limit", "0")[1].limit is None


def test_options_that_are_left_out_may_stay_out(run: Run) -> None:
    assert run("Ada", "--limit", "3", unset=True)[1] == {"limit": 3}


def test_a_field_without_a_default_is_required(run: Run) -> None:
    code, text, _ = run("Ada")
    assert code == 2
    assert "Missing option '--data'" in text


def test_a_word_that_is_none_is_told_all_that_are(run: Run) -> None:
    _, _, error = run("Ada", "--data", "d", "--routing", "some")
    assert str(error) == "Unknown routing 'some'. Known: dynamic, static, auto."


def test_help_and_default_stand_in_the_help(run: Run) -> None:
    _, text, _ = run("--help")
    for words in ("Folder of frames.", "[default: 256x256]", "--no-probability", "--loud"):
        assert words in text
    assert "inner" not in text


def test_without_the_extra_the_command_line_says_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("lightawnet_edge.cli")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("lightawnet_edge.cli", raising=False)
    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(SystemExit) as stop:
        entry.main()
    assert stop.value.code == 4
    assert "pip install 'lightawnet-edge[cli]'" in capsys.readouterr().err


def test_a_command_may_take_the_options_of_several_specs() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Parcel:
        weight: int = option("In grams.", "--grams", default=1)

    seen: list[Any] = []
    app = typer.Typer(add_completion=False)

    @app.command()
    @takes(Order)
    @takes(Parcel, into="parcel")
    def order(*, options: Options, parcel: Options) -> None:
        """Order frames."""
        seen.append((Order(**options), Parcel(**parcel)))

    assert CliRunner().invoke(app, ["--data", "frames", "--grams", "7"]).exit_code == 0
    assert seen == [(Order(data=Path("frames")), Parcel(weight=7))]


def test_a_field_knows_its_flag() -> None:
    flags = {item.name: flag_of(item) for item in fields(Order)}
    assert flags["probability"] == "--no-probability"
    assert flags["force"] == "--force"
    assert flags["limit"] == "--limit"
