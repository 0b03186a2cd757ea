"""Imported first by a watched Python: notes look-ups, connections, forks and files written."""

from __future__ import annotations

import os
import sys
from typing import Any

_LOG = os.open(os.environ["WATCH_LOG"], os.O_WRONLY | os.O_APPEND)
_FOLDERS = (os.environ["WATCH_FOLDER"], "/dev/", "/proc/self/")
"""Where a program may write."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def _watch(event: str, values: tuple[Any, ...]) -> None:
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        _note("looks up", values[0])
    elif event == "socket.connect" and not isinstance(values[1], (str, bytes)):
        _note("connects to", values[1])
    elif event == "os.fork":
        _note("forks", "")
    elif event == "os.mkdir" or (event == "open" and values[2] & _WRITES):
        _written(values[0])


def _written(path: Any) -> None:
    if isinstance(path, int):  # an open file
        return
    absolute = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - pathlib is not imported yet
    if not absolute.startswith(_FOLDERS):
        _note("writes", absolute)


def _note(did: str, what: Any) -> None:
    os.write(_LOG, f"{did} {what}\n".encode())


sys.addaudithook(_watch)
