"""What decoders print while they work: their only way to say that data were lost.

libjpeg, libtiff and FFmpeg go on where a file is damaged, fill in what is missing, and print a line
on standard error; OpenCV hands on the picture alone. So standard error is taken away while they
decode. What others print meanwhile is passed on.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

_STDERR = 2
_ONE_AT_A_TIME = threading.Lock()
"""A process has one standard error: of two decoders at work nobody could tell who spoke."""
_COUNTING = threading.Lock()
_hushed = [0]
"""How many are within `hush`."""
_session = ExitStack()
"""What the first of them began and the last one ends."""

_DECODER = re.compile(
    r"\[ ?(?P<level>[A-Z]+):\d+@[\d.]+\] global \S+ (?P<opencv>.*)"
    r"|\[[\w,]+ @ 0x[0-9a-f]+\] (?P<ffmpeg>.*)"
    r"|(?P<jpeg>(Corrupt JPEG|Premature end of JPEG|Inconsistent progression|Invalid SOS|"
    r"Unknown Adobe|Warning: unknown JFIF|Unsupported marker).*)"
    r"|libpng error: (?P<png>.*)"
    r"|(libpng |OpenCV\(|OpenCV: ).*"
)
"""A line of a decoder: OpenCV's own, FFmpeg's, libjpeg's or libpng's."""
_THROWN = re.compile(r".*: error: \([^)]*\) (.*?)( in function '\w+')?")
"""OpenCV's line about an error of its own; places in its source say nothing to a reader."""


@contextmanager
def overhear() -> Iterator[list[str]]:
    """Yield a list that holds, after the block, what decoders complained of in it, a line each.

    Of OpenCV's lines only errors count: warnings of libtiff are about tags that nobody needs.
    Of libpng's, too: its warnings are about profiles of colours.
    """
    words: list[str] = []
    with _ONE_AT_A_TIME:
        ear = _scratch()
        terminal = _duplicate()
        os.dup2(ear, _STDERR)
        try:
            yield words
        finally:
            _give_back(terminal)
            found, others = _sorted_out(os.pread(ear, os.fstat(ear).st_size, 0))
            os.close(ear)
            words += found
            with suppress(OSError):  # a terminal that is gone, or was never there
                os.write(_STDERR, others)


@contextmanager
def hush() -> Iterator[None]:
    """Keep what decoders say off the terminal, for any number of them at a time; nobody hears it.

    For decoders that stop where a file is damaged, and so need no words to be believed.
    """
    with _COUNTING:
        if not _hushed[0]:
            _session.enter_context(overhear())
        _hushed[0] += 1
    try:
        yield
    finally:
        with _COUNTING:
            _hushed[0] -= 1
            if not _hushed[0]:
                _session.close()


def _sorted_out(said: bytes) -> tuple[list[str], bytes]:
    """What decoders complained of, and the rest, which was meant for others."""
    words, others = [], b""
    for line in said.splitlines(keepends=True):
        found = _DECODER.fullmatch(line.decode("utf-8", "replace").strip())
        if found is None:
            others += line
        elif spoken := found["jpeg"] or found["ffmpeg"] or found["png"]:
            words.append(spoken)
        elif found["level"] in ("ERROR", "FATAL"):
            thrown = _THROWN.fullmatch(found["opencv"])
            words.append(thrown[1] if thrown else found["opencv"])
    return words, others if others.strip() else b""


def _scratch() -> int:
    """A file in memory where there are such: a full or missing temporary folder is no matter."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("overheard")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _duplicate() -> int | None:
    """Keep standard error; None where the process has none."""
    try:
        return os.dup(_STDERR)
    except OSError:
        return None


def _give_back(terminal: int | None) -> None:
    if terminal is None:
        os.close(_STDERR)
        return
    os.dup2(terminal, _STDERR)
    os.close(terminal)
