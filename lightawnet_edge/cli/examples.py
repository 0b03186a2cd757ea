"""Lines to copy, under the help of each command; DIR and SET are folders of the reader's own."""

from __future__ import annotations

PROGRAM = "lightawnet-edge"

EXAMPLES = {
    "demo": ("demo", "demo --weights kvasir --out reports"),
    "doctor": ("doctor", "doctor --json"),
    "train": (
        "train --data DIR --out runs/mine",
        "train --config configs/polypgen.toml --resume",
    ),
    "import-checkpoint": ("import-checkpoint epoch50.pkl --out mine.safetensors",),
    "evaluate": ("evaluate --weights runs/mine/best.safetensors --data DIR --out scores",),
    "card": ("card scores --out cards",),
    "calibrate": ("calibrate --data DIR --frames 128 --out SET",),
    "export": (
        "export --int8",
        "export runs/mine/best.safetensors --target onnx --int8 --calibration SET",
        "export --target tensorrt --fp16 --frame 1080x1920",
    ),
    "build": ("build polypgen-tensorrt-fp16-jetson-orin",),
    "inspect": ("inspect polypgen-openvino-int8", "inspect --routing polypgen --calibration SET"),
    "verify": ("verify polypgen-openvino-int8", "verify engines/mine --json"),
    "sensitivity": ("sensitivity polypgen-openvino-int8",),
    "bench": ("bench", "bench polypgen-openvino-int8 --data DIR"),
    "report": ("report reports/2026-01-31T12-00-00/report.json --out pages",),
    "run": (
        "run polypgen-openvino-int8 DIR --out masks",
        "run polypgen-openvino-int8 clip.mp4 --out masks",
    ),
    "stream": (
        "stream polypgen-openvino-int8 clip.mp4 --scale --out shown.mp4",
        "stream polypgen-openvino-int8 0 --seconds 60 --log events.jsonl --max-missed 0.01",
    ),
}
"""Command to what may follow the name of the program."""


def examples_of(command: str) -> str:
    """The epilog of a command's help; paragraphs, since typer makes one line of each."""
    return "\n\n".join(("Examples:", *(f"$ {PROGRAM} {line}" for line in EXAMPLES[command])))
