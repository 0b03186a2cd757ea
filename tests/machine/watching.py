"""Run Python and see what of it leaves its folder: host names, connections, forks, files.

Three nets, since no single one needs no privilege and sees all: a library that is preloaded sees
the network calls of C++ and Python alike, where there is a C compiler; audit hooks see what Python
does; and a HOME and a folder for temporary files that start empty show what anything left there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import lightawnet_edge

_SOURCES = Path(__file__).with_name("watch")
_PACKAGE = Path(lightawnet_edge.__file__).parents[1]
COMPILER = shutil.which("cc") or shutil.which("gcc")


def watch(folder: Path, *arguments: str, home: Path | None = None) -> list[str]:
    """Run `python ARGUMENTS` in a folder, and say what it did beyond that, a line each.

    Its environment is made from nothing: in CI toolchains are silent on their own.

    Args:
        folder: Empty; receives HOME, the log, and `work`, which the program may write to.
        arguments: Of Python.
        home: HOME; None makes an empty one.
    """
    log, own_home, work = folder / "log", home or folder / "home", folder / "work"
    for path in (work, work / "tmp", *(() if home else (own_home,))):
        path.mkdir()
    log.touch()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{_SOURCES}{os.pathsep}{_PACKAGE}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(own_home),
        "TMPDIR": str(work / "tmp"),
        "WATCH_FOLDER": str(work),
        "WATCH_LOG": str(log),
    }
    if COMPILER:
        environment["LD_PRELOAD"] = str(_library())
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=work, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    left = [*(() if home else own_home.rglob("*")), *(work / "tmp").iterdir()]
    return [*log.read_text(encoding="utf-8").splitlines(), *(f"leaves {path}" for path in left)]


@cache
def _library() -> Path:
    assert COMPILER
    file = Path(mkdtemp(prefix="watch-")) / "network.so"
    source = _SOURCES / "network.c"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", file, source, "-ldl"], check=True)
    return file
