"""What decoders say is heard, and what others say on standard error is passed on."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from lightawnet_edge.data.overheard import hush, overhear


def say(text: str) -> None:
    os.write(2, text.encode())


def test_decoders_are_heard_and_others_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    with overhear() as words:
        say("Corrupt JPEG data: bad Huffman code\n")
        say("a line of somebody else\n")
        say("[mpeg4 @ 0x55d0c0] Error at MB: 7\n")
        say("[ERROR:0@0.049] global grfmt_tiff.cpp:117 TIFF_Error Read error\n")
        say("[ WARN:0@0.040] global grfmt_tiff.cpp:123 TIFF_Warning Unknown tag\n")
        say("libpng warning: iCCP: known incorrect sRGB profile\n")
        say("libpng error: Not enough image data\n")
        say(
            "[ERROR:0@0.2] global loadsave.cpp:1390 imdecode_ imdecode_(''): can't read data: "
            "OpenCV(5.0.0) /src/bitstrm.cpp:59: error: (-2:Unspecified error) Unexpected end of "
            "input stream in function 'readBlock'\n"
        )
        assert not words
    assert words == [
        "Corrupt JPEG data: bad Huffman code",
        "Error at MB: 7",
        "TIFF_Error Read error",
        "Not enough image data",
        "Unexpected end of input stream",
    ]
    assert capfd.readouterr().err == "a line of somebody else\n"
    say("after\n")
    assert capfd.readouterr().err == "after\n"


def test_standard_error_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    words = []

    def fail() -> None:
        nonlocal words
        with overhear() as words:
            say("Premature end of JPEG file\n")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert words == ["Premature end of JPEG file"]
    say("after\n")
    assert capfd.readouterr().err == "after\n"


def test_only_one_listens_at_a_time() -> None:
    heard = dict[int, list[str]]()

    def speak(number: int) -> None:
        for _ in range(50):
            with overhear() as words:
                say(f"[mjpeg @ 0x{number}] {number}\n")
            heard.setdefault(number, []).extend(words)

    threads = [threading.Thread(target=speak, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert heard == {number: [str(number)] * 50 for number in range(4)}


def test_any_number_is_hushed_at_a_time_and_others_are_passed_on(
    capfd: pytest.CaptureFixture[str],
) -> None:
    gate = threading.Barrier(4)

    def speak() -> None:
        for _ in range(20):
            with hush():
                gate.wait(timeout=60)
                say("libpng error: x\n")

    threads = [threading.Thread(target=speak) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    with hush():
        say("libpng error: x\na line of somebody else\n")
    with overhear() as words:
        say("libpng error: y\n")
    assert words == ["y"]
    assert capfd.readouterr().err == "a line of somebody else\n"


def test_a_process_without_standard_error_hears_too() -> None:
    code = (
        "import os; os.close(2)\n"
        "from lightawnet_edge.data.overheard import overhear\n"
        "with overhear() as words:\n"
        "    os.write(2, b'Corrupt JPEG data: x\\nother\\n')\n"
        "print(words)"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert done.stdout.decode().strip() == "['Corrupt JPEG data: x']"
