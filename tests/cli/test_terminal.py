"""What is printed can be printed: letters that an encoding lacks, and names that are no UTF-8."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from lightawnet_edge.cli import terminal
from lightawnet_edge.data.overheard import overhear
from lightawnet_edge.progress import Step


@pytest.mark.parametrize(
    ("encoding", "text", "written"),
    [
        ("ascii", "✓ −0.123 … +0.010 → 3 °C ≥ 1", b"+ -0.123 ... +0.010 -> 3 deg C >= 1"),
        ("latin-1", "caf\u00e9 −1 ü ✗", b"caf\xe9 -1 \xfc x"),
        ("ascii", "漢 ─", b"? -"),
        ("utf-8", "caf\udce9.png ✓", b"caf\\xe9.png \xe2\x9c\x93"),
    ],
)
def test_letters_that_are_not_there_are_written_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch, encoding: str, text: str, written: bytes
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding=encoding))
    terminal.take_every_letter()
    terminal.out_console.print(text, soft_wrap=True, end="", highlight=False)
    sys.stdout.flush()
    assert raw.getvalue() == written


def test_a_bar_stays_on_its_terminal_while_decoders_are_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(terminal, "err_console", Console(stderr=True, force_terminal=True))
    with overhear():
        assert terminal.bar_console().is_terminal
    monkeypatch.setattr(terminal, "err_console", Console(stderr=True, force_terminal=False))
    assert not terminal.bar_console().is_terminal


def test_a_command_line_is_recorded_as_given_from_the_working_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [f"{tmp_path}/data", f"--split={tmp_path}/a b.txt", f"/mnt{tmp_path}/x", "caf\udce9"]
    monkeypatch.setattr(sys, "argv", ["/opt/bin/lightawnet-edge", "bench", *words])
    assert terminal.command_line() == (
        "lightawnet-edge", "bench", "data", "--split=a b.txt", f"/mnt{tmp_path}/x", "caf\\xe9",
    )  # fmt: skip


def test_what_is_told_while_a_bar_is_drawn_stands_above_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = io.StringIO()
    console = Console(file=raw, force_terminal=True, width=80)
    monkeypatch.setattr(terminal, "err_console", Console(stderr=True, force_terminal=True))
    monkeypatch.setattr(terminal, "bar_console", lambda: console)
    with terminal.progress_bar() as show:
        show(Step("first", 3, 4))
        terminal.narrate("something is going on")
        show(Step("second", 0, 4))
    assert "something is going on" in raw.getvalue()
    assert "0/4" in raw.getvalue(), "a new stage begins anew"
    assert not terminal._drawn
