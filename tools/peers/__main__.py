"""Speed beside what a user would run without this toolkit.

Started as `python -m tools.peers`.

One run measures everything: each engine in its own process, rounds interleaved, medians and ratios.
A peer that cannot be made or run is a row of the table, with its error.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from lightawnet_edge.benchmarks.process import COMMAND, WorkerProcess
from lightawnet_edge.codec import json_text
from lightawnet_edge.data.images import read_frame
from lightawnet_edge.data.listing import image_files
from lightawnet_edge.data.pixels import UInt8, fit
from lightawnet_edge.data.samples import CALIBRATION
from lightawnet_edge.errors import EdgeError
from lightawnet_edge.export.pipeline import export
from lightawnet_edge.export.spec import ExportSpec
from lightawnet_edge.machine.machine import default_threads, machine_summary
from lightawnet_edge.model.checkpoint import load_checkpoint
from lightawnet_edge.scores.latency import is_steady, summarize
from lightawnet_edge.specs import Precision, Routing, Size, Target
from tools.peers.engines import PEERS, Inputs, network_input

WORKER = (*COMMAND[:-1], "tools.peers.engines")
BASELINE = "pytorch-eager"
AT_NETWORK = "ours-openvino-int8-at-network-size"
"""The same engine for frames that need no scaling: what the camera's size costs."""
_WARMUP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is compared."""

    network: Size
    frame: Size
    weights: str
    static_weights: str
    rounds: int
    calls: int
    threads: int

    @property
    def title(self) -> str:
        """Sizes, as files and tables name them."""
        return str(self.network if self.frame == self.network else f"{self.frame}-{self.network}")


@dataclass(slots=True)
class Row:
    """One engine of the comparison."""

    name: str
    what: str
    error: str | None = None
    samples_s: list[float] = field(default_factory=list)

    @property
    def p50_s(self) -> float | None:
        """Median seconds per frame; None where there is an error."""
        return summarize(self.samples_s).p50_s if self.samples_s and not self.error else None

    @property
    def is_steady(self) -> bool:
        """Whether its median may be divided by another's."""
        return self.p50_s is not None and is_steady([self.samples_s])


def compare(spec: Comparison) -> list[Row]:
    """Make, open and time every peer and our bundles."""
    files = image_files(CALIBRATION / "images").values()
    frames = [fit(read_frame(file), spec.frame) for file in files]
    with tempfile.TemporaryDirectory(prefix="peers-") as scratch, ExitStack() as stack:
        folder = Path(scratch)
        np.save(folder / "frames.npy", frames[:8])
        small = [fit(frame, spec.network) for frame in frames[:8]]
        np.save(folder / f"{AT_NETWORK}.npy", small)
        rows, engines = _peers(spec, frames, folder)
        for row, engine in _ours(spec, folder):
            rows.append(row)
            engines[row.name] = engine
        running = _start(rows, engines, folder / "frames.npy", spec.threads, stack)
        for turn in range(spec.rounds):
            for row in rows[:: -1 if turn % 2 else 1]:
                _round(row, running, spec.calls)
    return rows


def _peers(
    spec: Comparison, frames: Sequence[UInt8], folder: Path
) -> tuple[list[Row], dict[str, Mapping[str, Any]]]:
    inputs: Inputs = [network_input(frame, spec.network) for frame in frames]
    rows: list[Row] = []
    engines: dict[str, Mapping[str, Any]] = {}
    for name, peer in PEERS.items():
        row = Row(name, peer.what)
        rows.append(row)
        typer.echo(f"· making {name}", err=True)
        try:
            file = peer.make(load_checkpoint(spec.weights), inputs, folder)
        except Exception as error:  # whatever a toolchain raises is the result
            row.error = _one_line(error)
        else:
            size = [spec.network.height, spec.network.width]
            engines[name] = {"peer": name, "file": str(file), "network": size}
    return rows, engines


def _ours(spec: Comparison, folder: Path) -> list[tuple[Row, Mapping[str, Any]]]:
    dynamic, static = spec.weights, spec.static_weights
    wanted = {
        "ours-openvino-fp32": (dynamic, Target.OPENVINO, Precision.FP32, Routing.DYNAMIC),
        "ours-openvino-bf16": (dynamic, Target.OPENVINO, Precision.BF16, Routing.DYNAMIC),
        "ours-onnx-int8": (static, Target.ONNX, Precision.INT8, None),
        "ours-openvino-int8": (static, Target.OPENVINO, Precision.INT8, None),
    }
    if spec.frame != spec.network:
        wanted[AT_NETWORK] = (static, Target.OPENVINO, Precision.INT8, None)
    found: list[tuple[Row, Mapping[str, Any]]] = []
    for name, (checkpoint, target, precision, routing) in wanted.items():
        typer.echo(f"· making {name}", err=True)
        frame = spec.network if name == AT_NETWORK else spec.frame
        row, engine = Row(name, f"bundle of {Path(checkpoint).stem}, frames of {frame}"), {}
        try:
            export_spec = ExportSpec(
                target=target, precision=precision, weights=checkpoint, routing=routing,
                network=spec.network, frame=frame, out=folder, name=name,
            )  # fmt: skip
            engine = {"bundle": str(export(export_spec).bundle.path)}
        except EdgeError as error:
            row.error = _one_line(error)
        found.append((row, engine))
    return found


def _start(
    rows: Sequence[Row],
    engines: Mapping[str, Mapping[str, Any]],
    frames: Path,
    threads: int,
    stack: ExitStack,
) -> dict[str, WorkerProcess]:
    running = {}
    for row in rows:
        if row.error:
            continue
        process = stack.enter_context(
            WorkerProcess(row.name, threads=threads, timeout_s=600.0, command=WORKER)
        )
        shown = frames.with_name(AT_NETWORK + ".npy") if row.name == AT_NETWORK else frames
        try:
            process.ask("load", engine=engines[row.name], threads=threads, frames=str(shown))
        except EdgeError as error:
            row.error = _one_line(error)
        else:
            running[row.name] = process
    return running


def _round(row: Row, running: Mapping[str, WorkerProcess], calls: int) -> None:
    if row.name not in running or row.error:
        return
    try:
        answer = running[row.name].ask("round", calls=calls, seconds=30.0, warmup=_WARMUP)
    except EdgeError as error:
        row.error = _one_line(error)
    else:
        row.samples_s += answer["samples_s"]


def _one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"[:200]


def markdown(rows: Sequence[Row], size: str) -> str:
    """The comparison as a table; ratios are against eager PyTorch in the same run.

    A ratio of times that were not steady is left out: the machine was busy.
    """
    eager = next((row.p50_s for row in rows if row.name == BASELINE and row.is_steady), None)
    lines = [f"| {size} | p50 ms | times as fast as eager | |", "|---|---|---|---|"]
    for row in rows:
        if (p50_s := row.p50_s) is None:
            lines.append(f"| {row.name} | - | - | {row.error} |")
        else:
            ratio = f"{eager / p50_s:.2f}" if eager and row.is_steady else "not steady"
            lines.append(f"| {row.name} | {1000 * p50_s:.1f} | {ratio} | {row.what} |")
    return "\n".join(lines) + "\n"


def picture(rows: Sequence[Row], size: str, file: Path) -> None:
    """Write a bar a row, the median in ms, as a PNG or SVG file."""
    from matplotlib.figure import Figure

    shown = [row for row in rows if row.p50_s is not None]
    figure = Figure(figsize=(8, 0.4 * len(shown) + 1.2), layout="constrained")
    axes = figure.subplots()
    values_ms = [1000 * (row.p50_s or 0) for row in shown]
    colors = ["#0072b2" if row.name.startswith("ours") else "#8a8f98" for row in shown]
    bars = axes.barh([row.name for row in shown], values_ms, color=colors)
    axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.invert_yaxis()
    axes.set_xlabel(f"ms per frame at {size}, median; blue: this toolkit")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=110)


def main(
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH of the network.")] = "256x256",
    frame: Annotated[
        str | None,
        typer.Option(
            help="HEIGHTxWIDTH of the camera's frames: peers scale with OpenCV, bundles in the "
            "engine. Default: the network's."
        ),
    ] = None,
    weights: Annotated[str, typer.Option(help="Dynamic weights.")] = "polypgen",
    static_weights: Annotated[
        str, typer.Option(help="Weights of our INT8 bundles.")
    ] = "polypgen-static",
    rounds: Annotated[int, typer.Option(min=1, help="Turns that each engine takes.")] = 10,
    calls: Annotated[int, typer.Option(min=1, help="Timed calls a turn.")] = 20,
    threads: Annotated[
        int, typer.Option(min=0, help="0: the physical cores, within a CPU quota.")
    ] = 0,
    out: Annotated[Path, typer.Option(help="Folder of table, picture and samples.")] = Path(
        "reports/peers"
    ),
) -> None:
    """Compare the speed of our bundles with what a user would run without this toolkit."""
    network = Size.parse(size)
    spec = Comparison(
        network=network, frame=Size.parse(frame) if frame else network, weights=weights,
        static_weights=static_weights, rounds=rounds, calls=calls,
        threads=threads or default_threads(),
    )  # fmt: skip
    rows, title = compare(spec), spec.title
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{title}.md").write_text(markdown(rows, title), encoding="utf-8")
    picture(rows, title, out / f"{title}.png")
    record = {"size": title, "machine": machine_summary(), "rows": [asdict(row) for row in rows]}
    (out / f"{title}.json").write_text(json_text(record, indent=1), encoding="utf-8")
    typer.echo(markdown(rows, title))


if __name__ == "__main__":
    typer.run(main)
