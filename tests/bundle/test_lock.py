"""Two processes that would write the same folder: the second is told so, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lightawnet_edge.bundle.lock import writing
from lightawnet_edge.errors import SpecError

HOLD = """
import sys, time
from pathlib import Path
from lightawnet_edge.bundle.lock import writing
with writing(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_writer_is_refused_until_the_first_is_done(tmp_path: Path) -> None:
    path = tmp_path / "engines" / "mine"
    with (
        writing(path),
        pytest.raises(SpecError, match=r"Another process is writing '.*mine'\. Wait until"),
        writing(path),
    ):
        pass
    with writing(path), writing(path.with_name("other")):
        pass
    assert list(path.parent.iterdir()) == []


def test_a_killed_writer_locks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(SpecError), writing(path):
            pass
        os.kill(process.pid, signal.SIGKILL)
    with writing(path):
        assert [file.name for file in tmp_path.iterdir()] == [".mine.lock"]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), writing(tmp_path / "file" / "mine"):
        pytest.fail("the work began")


def test_where_a_system_has_no_locks_writing_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with writing(tmp_path / "mine"):
        pass
    assert list(tmp_path.iterdir()) == []
