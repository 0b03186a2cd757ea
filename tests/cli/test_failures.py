"""What ends a command early is a sentence and an exit code, never a traceback."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lightawnet_edge.cli.failures import explain
from lightawnet_edge.errors import SpecError
from tests.cli.conftest import Cli


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (SpecError("Say less."), 2, "Say less."),
        (ModuleNotFoundError("No module named 'cv2'"), 4, "'cv2'. Install all that"),
        (MemoryError(), 4, "There is not enough memory for this. Ask for fewer"),
        (MemoryError("Unable to allocate 8 GiB"), 4, "memory for this (Unable to allocate 8 GiB)."),
        (PermissionError(errno.EACCES, "Permission denied", "a/b"), 3, "'a/b': Permission denied."),
        (PermissionError(errno.EACCES, "Permission denied", b"a"), 3, "'a': Permission denied."),
        (OSError(errno.ENOSPC, "No space left on device", "x"), 3, "'x': No space left on device."),
        (OSError(errno.ENOSPC, "No space left on device"), 3, "Free some space, or write elsewh"),
        (OSError(errno.EIO, "Input/output error"), 3, "Input/output error."),
        (OSError("no number at all"), 3, "no number at all."),
        (OSError(), 3, "OSError."),
        (
            FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"),
            3,
            "Name a folder that can be written: TMPDIR=DIR",
        ),
        (RuntimeError("two\nlines"), 1, "RuntimeError (two lines). This is a fault of lightawn"),
    ],
)
def test_every_error_has_a_sentence_and_a_code(error: Exception, code: int, told: str) -> None:
    text, found = explain(error)
    assert found == code
    assert told in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("error", "code"), [(OSError(errno.EIO, "Input/output error"), 3), (MemoryError(), 4),
                        (RuntimeError("odd"), 1), (KeyboardInterrupt(), 130)]
)  # fmt: skip
def test_a_command_that_fails_ends_in_one_line(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise error

    monkeypatch.setattr("lightawnet_edge.inspection.doctor.examine", fail)
    done = cli("doctor")
    assert done.code == code
    assert len(done.err.splitlines()) == (0 if code == 130 else 1)


def test_a_full_disk_behind_stdout_is_a_sentence() -> None:
    done = _shell("doctor --json > /dev/full")
    assert done.returncode == 3
    assert done.stderr == (
        "error: No space left on device. Free some space, or write elsewhere, and run the same "
        "command again.\n"
    )


@pytest.mark.parametrize("words", ["doctor", "doctor --json", "verify /nowhere"])
def test_streams_that_were_closed_from_the_start_are_no_fault(words: str) -> None:
    expected = 3 if "nowhere" in words else 0
    done = _shell(f"{words} >&-")
    assert "Traceback" not in done.stderr
    assert done.returncode == expected
    assert _shell(f"{words} >&- 2>&-").returncode == expected


def test_a_reader_that_goes_away_gets_no_traceback() -> None:
    for words in ("doctor --json", "doctor", "--help"):
        assert _shell(f"{words} | true").stderr == ""


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_a_terminal_with_few_letters_shows_what_it_can(encoding: str) -> None:
    done = _shell(f"PYTHONIOENCODING={encoding} {{}} doctor", encoding=encoding)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("+ cpu")


def test_ctrl_c_ends_a_command_with_130_and_no_traceback(tmp_path: Path) -> None:
    script = (
        "import signal, sys, time\n"
        # A test run in the background of a shell hands down that SIGINT is ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from lightawnet_edge.inspection import doctor\n"
        "def wait():\n    print('here', flush=True); time.sleep(60)\n"
        "doctor.examine = wait\n"
        "from lightawnet_edge.__main__ import main\n"
        "sys.argv = ['lightawnet-edge', 'doctor']; main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        time.sleep(0.1)  # until it sleeps
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told == ""


def _shell(words: str, encoding: str = "utf-8") -> subprocess.CompletedProcess[str]:
    program = f"{sys.executable} -m lightawnet_edge"
    line = words.format(program) if "{}" in words else f"{program} {words}"
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, encoding=encoding, check=False,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
