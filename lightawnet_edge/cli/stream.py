"""`stream`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lightawnet_edge.cli.paths import complete_bundle, find_bundle
from lightawnet_edge.cli.terminal import JsonFlag, narrate, out_console, print_json, warn
from lightawnet_edge.errors import ArtifactError, CheckFailedError, SpecError

if TYPE_CHECKING:
    from lightawnet_edge.runtime.stream_record import Event, StreamRecord, Tell


def stream(
    bundle: Annotated[
        Path,
        typer.Argument(
            help="Folder that 'export' wrote, or a name under engines/.",
            autocompletion=complete_bundle,
        ),
    ],
    source: Annotated[
        str,
        typer.Argument(
            help="Video, folder of images, camera (0, /dev/video0), rtsp://..., GStreamer "
            "pipeline, or - for raw frames on stdin.",
        ),
    ],
    fps: Annotated[
        float | None,
        typer.Option(help="Frames per second; default: the source's own, 30 where it has none."),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(help="How long; a file that ends earlier starts over. Default: to its end."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Video as the screen showed it (NAME.mp4), or a folder for masks."
        ),
    ] = None,
    window: Annotated[
        bool, typer.Option("--window", help="Show it, where there is a display.")
    ] = False,
    scale: Annotated[
        bool, typer.Option("--scale", help="Stretch frames of another size than the bundle's.")
    ] = False,
    threads: Annotated[
        int, typer.Option(min=0, help="CPU threads; 0 leaves it to the backend.")
    ] = 0,
    deadline_ms: Annotated[
        float | None,
        typer.Option(help="From a frame's capture to its mask; default: the camera's period."),
    ] = None,
    max_missed: Annotated[
        float | None,
        typer.Option(
            help="Share of the frames that may be without a mask at the deadline; beyond "
            "it the command ends with 5."
        ),
    ] = None,
    react: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION=REACTION",
            help="What the watchdog does: show, hide, restart or stop when late, stale, frozen, "
            "bad-numbers or hung. May be given again.",
        ),
    ] = None,
    log: Annotated[
        Path | None, typer.Option(help="File that events are appended to, a line of JSON each.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Segment a camera or a video at its pace; a watchdog says which masks may be shown."""
    from lightawnet_edge.bundle.lock import writing
    from lightawnet_edge.runtime.lens import Lens
    from lightawnet_edge.runtime.live import open_source
    from lightawnet_edge.runtime.sinks import sinks_for
    from lightawnet_edge.runtime.stream import Stream
    from lightawnet_edge.runtime.stream_record import SCHEMA, Log, describe
    from lightawnet_edge.runtime.supervised import Supervised
    from lightawnet_edge.runtime.watchdog import Rules, parse_reactions

    _check(seconds, max_missed)
    reactions = parse_reactions(react or ())
    deadline_s = None if deadline_ms is None else deadline_ms / 1e3
    Rules.at(fps or 1.0, deadline_s=deadline_s, reactions=reactions)  # refused before all else
    folder = find_bundle(bundle)
    worker = Supervised.of(folder, threads=threads or None)
    frames = open_source(source, Lens(worker.contract, scale=scale), fps)
    events = Log(log) if log else None
    running = Stream(
        worker,
        worker.contract,
        frames,
        Rules.at(frames.rate, deadline_s=deadline_s, reactions=reactions),
        name=folder.resolve().name,
        sinks=sinks_for(out, worker.contract, frames.rate, window=window, source=source),
        seconds=seconds,
        tell=_teller(events),
    )
    with writing(out) if out else nullcontext():
        record = running.run()
    if events is not None:
        events.close()
    if record.captured or running.error is None:
        if as_json:
            print_json(record, SCHEMA)
        else:
            out_console.print(describe(record), highlight=False, markup=False, soft_wrap=True)
    if running.error is not None:
        raise running.error
    if not record.captured:
        raise ArtifactError(f"The source '{source}' gave no whole frame.")
    _hold(record, max_missed)


def _check(seconds: float | None, max_missed: float | None) -> None:
    if seconds is not None and not 0 < seconds < float("inf"):
        raise SpecError(f"--seconds {seconds:g} must be greater than 0.")
    if max_missed is not None and not 0 <= max_missed <= 1:
        raise SpecError(f"--max-missed {max_missed:g} must lie between 0 and 1: it is a share.")


def _hold(record: StreamRecord, max_missed: float | None) -> None:
    if max_missed is not None and record.missed_share > max_missed:
        raise CheckFailedError(
            f"{record.missed} of {record.captured} frames ({record.missed_share:.2%}) had no mask "
            f"at the deadline of {record.deadline_s * 1e3:.1f} ms, and {max_missed:.2%} may be "
            "without one (--max-missed)."
        )


def _teller(log: Tell | None) -> Tell:
    """Tells of sources and restarts on stderr, and writes all events into a log."""
    told = set[str]()

    def tell(event: Event) -> None:
        if log is not None:
            log(event)
        if event.event == "source" and event.what == "skipped":
            warn(event.detail or "")
        elif event.event in ("source", "restart") and event.what not in told:
            told.add(event.what)  # a short clip starts over a thousand times an hour
            narrate(f"{event.what}: {event.detail}" if event.detail else f"restarts: {event.what}")

    return tell
