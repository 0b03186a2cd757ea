"""An inspection as people read it, and as programs do: sentences, tables, JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from lightawnet_edge.bundle.layers import LayerRecord, mac_shares
from lightawnet_edge.bundle.manifest import Manifest
from lightawnet_edge.codec import encode
from lightawnet_edge.inspection.inspection import Inspection
from lightawnet_edge.scores.text import milliseconds, percent, shares_text
from lightawnet_edge.specs import State
from lightawnet_edge.tables import Fitted, plain_table

_NAMED = 5
"""Layers, and kinds of work, that a sentence names."""
_WORTH = 5e-4
"""Share of the MACs from which a precision is named: what would not round to 0 %."""
_NONE = "–"


def verdict(found: Inspection) -> str:
    """What ran, what fell back, and where the time goes, in a few sentences."""
    if found.manifest.state is State.PENDING:
        return _asked(found.convolutions)
    kinds = sorted(found.executed.items(), key=lambda item: -item[1])
    shares = ", ".join(f"{percent(share)} in {name.upper()}" for name, share in kinds if share > 0)
    ran = _ran(found)
    where = f"{_where(found.manifest)}, " if ran and not found.here else ""
    told = f"{where}{shares} of the convolution MACs."
    if not ran:
        told = f"The builder planned {told} The engine never ran: lightawnet-edge build."
    sentences = [told, _fallbacks(found.convolutions, ran=ran)]
    if found.profile is not None:
        work = [f"{percent(part.share)} {part.kind}" for part in found.work[:_NAMED]]
        sentences.append(f"Time of the layers: {', '.join(work)}.")
        sentences.append(f"Of the call: {shares_text(found.parts)}.")
    return " ".join(sentences)


def console(found: Inspection) -> Group:
    """Everything for the terminal, within 80 columns."""
    manifest = found.manifest
    head = (
        f"{manifest.name}: {manifest.target}, {str(manifest.precision).upper()}, "
        f"{manifest.routing} routing, {manifest.contract.takes}"
    )
    notes = Table.grid(padding=(0, 1))
    for reason in found.missing:
        notes.add_row(Text("missing", "yellow"), Text(reason))
    for doubt in found.doubts:
        notes.add_row(Text("doubt", "yellow"), Text(doubt))
    parts = [Text(head, "bold"), Text(_source(found), "dim"), Text(verdict(found))]
    tables = [convolutions(found), *([work(found)] if found.profile is not None else [])]
    return Group(*parts, *map(Fitted, tables), notes)


def convolutions(found: Inspection) -> Table:
    """One convolution a row, in the order of the network."""
    table = plain_table()
    table.add_column("convolution", no_wrap=True)
    table.add_column("asked", no_wrap=True)
    table.add_column("ran" if _ran(found) else "planned", no_wrap=True)
    table.add_column("kernel", overflow="fold")
    timed = found.profile is not None
    for heading in ("MACs\n%", *(("time\nms", "\n%") if timed else ())):
        table.add_column(heading, justify="right", no_wrap=True)
    for layer in found.convolutions:
        cells = [
            Text(layer.name.replace("+", "\n+")),  # of several: a line each
            Text(str(layer.requested or _NONE)),
            Text(str(layer.executed or _NONE), "yellow" if layer.fell_back else ""),
            Text(layer.kernel or _NONE),
            Text(f"{100 * found.mac_share(layer):.1f}"),
        ]
        table.add_row(*cells, *(_times(found, layer) if timed else ()))
    return table


def work(found: Inspection) -> Table:
    """Time by kind of work, and its sum against a whole call."""
    table = plain_table(footer=True)
    profile = found.profile
    whole = "" if profile is None else milliseconds(profile.layers_s)
    table.add_column("work", footer="sum")
    table.add_column("layers", justify="right", footer=str(sum(w.layers for w in found.work)))
    table.add_column("ms", justify="right", footer=whole)
    table.add_column("%", justify="right", footer="100")
    for part in found.work:
        row = (part.kind, str(part.layers), milliseconds(part.seconds), f"{100 * part.share:.1f}")
        table.add_row(*row)
    return table


def document(found: Inspection) -> dict[str, Any]:
    """What `inspect --json` prints, but for the schema number; what is not known is None."""
    manifest = found.manifest
    return {
        "bundle": manifest.name,
        "target": manifest.target,
        "precision": manifest.precision,
        "routing": manifest.routing,
        "here": found.here,
        "toolchain": found.toolchain,
        "machine": found.machine,
        "missing": found.missing,
        "doubts": found.doubts,
        "verdict": verdict(found),
        "executed": found.executed,
        "executed_at_export": manifest.executed,
        "profile": found.profile,
        "work": found.work,
        "parts": found.parts,
        "layers": [_layer(found, layer) for layer in found.layers],
    }


def _layer(found: Inspection, layer: LayerRecord) -> dict[str, Any]:
    absent = dict.fromkeys(("requested", "executed", "kernel", "seconds"))
    shares = {"mac_share": found.mac_share(layer), "time_share": found.time_share(layer)}
    return {**absent, **encode(layer), **shares}


def _times(found: Inspection, layer: LayerRecord) -> tuple[str, str]:
    share = found.time_share(layer)
    if layer.seconds is None or share is None:
        return _NONE, _NONE
    return f"{1000 * layer.seconds:.3f}", f"{100 * share:.1f}"


def _asked(layers: Sequence[LayerRecord]) -> str:
    """What a kit asks for; nothing of it has run."""
    shares = mac_shares(replace(one, executed=one.requested) for one in layers)
    asked = sorted(shares.items(), key=lambda item: -item[1])
    named = (f"{percent(share)} in {name.upper()}" for name, share in asked if share >= _WORTH)
    return (
        f"Not built yet: the kit asks for {', '.join(named)} of the convolution MACs. What runs, "
        "its device tells: lightawnet-edge build."
    )


def _ran(found: Inspection) -> bool:
    """Whether the engine ran anywhere; what a builder planned is no more than that."""
    return found.here or found.manifest.state is not State.UNCHECKED


def _where(manifest: Manifest) -> str:
    """The machine that an engine was read back on, when it was finished."""
    bound = manifest.kit and manifest.kit.bound
    machine = bound.device if bound else manifest.machine.get("cpu")
    return f"On {machine or 'another machine'}"


def _fallbacks(layers: Sequence[LayerRecord], *, ran: bool) -> str:
    """Which layers run in another precision than they were asked for."""
    fallen = sorted((one for one in layers if one.fell_back), key=lambda one: -one.macs)
    if not fallen:
        return f"Every convolution {'ran' if ran else 'is planned'} as it was asked to."
    names = ", ".join(
        f"{one.name} ({one.requested} → {one.executed or 'not found'})" for one in fallen[:_NAMED]
    )
    more = f" and {len(fallen) - _NAMED} more" if len(fallen) > _NAMED else ""
    one = len(fallen) == 1
    verb = "did not run" if ran else f"{'is' if one else 'are'} not planned"
    return f"{len(fallen)} {verb} as {'it was' if one else 'they were'} asked to: {names}{more}."


def _source(found: Inspection) -> str:
    """What the numbers rest on."""
    cpu, profile = found.machine.get("cpu", "unknown CPU"), found.profile
    if not found.here:
        return "as recorded when it was exported"
    text = f"read back from {found.toolchain} on {cpu}"
    if profile is None:
        return text
    return (
        f"{text}; means of {profile.calls} calls on {profile.frames} packaged frames, "
        f"whole call {milliseconds(profile.call_s)} ms"
    )
