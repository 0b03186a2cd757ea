"""What this machine can build and run, and the reason for what it cannot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from rich.markup import escape

from lightawnet_edge.errors import BackendUnavailableError
from lightawnet_edge.machine.cuda_driver import find_device
from lightawnet_edge.machine.machine import default_threads, int8_saturates, read_machine
from lightawnet_edge.specs import Target
from lightawnet_edge.targets import table
from lightawnet_edge.targets.traits import Traits

# Tool, the extra that installs it, and what it is needed for.
_TOOLS = (
    ("torch", "export", "training, export, the FP32 baseline"),
    ("onnx", "export", "export"),
    ("kornia", "train", "training"),
    ("accelerate", "train", "training"),
    ("opencv-python-headless", "media", "reading images and videos"),
)

_SATURATES = (
    "products of 8-bit integers saturate without VNNI: openvino engines get weights of 7 bits, "
    "onnx takes slower kernels that are exact"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the examination."""

    name: str
    version: str | None
    """None where it is not installed."""
    can: tuple[str, ...]
    """What works here."""
    cannot: tuple[str, ...]
    """What does not, each with its reason."""


def examine() -> list[Finding]:
    """Look at the CPU, the GPU, every backend and tool; installs nothing and starts no engine."""
    return [
        _cpu(),
        _gpu(),
        *(_backend(target, traits) for target, traits in table.known().items()),
        *(_tool(*tool) for tool in _TOOLS),
    ]


def render(findings: Iterable[Finding]) -> str:
    """One line per finding."""
    lines = []
    for finding in findings:
        mark = "[green]✓[/green]" if finding.can else "[yellow]✗[/yellow]"
        text = escape("; ".join([*finding.can, *finding.cannot]))
        lines.append(f"{mark} {finding.name:<20} {finding.version or '-':<11} {text}")
    return "\n".join(lines)


def _backend(target: Target, traits: Traits) -> Finding:
    try:
        backend = table.get(target)
    except BackendUnavailableError as error:
        return Finding(
            name=f"target {target}", version=None, can=_exports(traits), cannot=(error.reason,)
        )
    refusals = backend.refusals()
    can = [str(precision) for precision, reason in refusals.items() if reason is None]
    grouped: dict[str, list[str]] = {}
    for precision, reason in refusals.items():
        if reason is not None:
            grouped.setdefault(reason, []).append(str(precision))
    return Finding(
        name=f"target {target}",
        version=backend.version(),
        can=(*((f"runs {', '.join(can)}",) if can else ()), *_exports(traits)),
        cannot=tuple(f"no {', '.join(names)}: {reason}" for reason, names in grouped.items()),
    )


def _exports(traits: Traits) -> tuple[str, ...]:
    """What `export` makes for machines that this one need not be."""
    needed = ("torch", "onnx", *traits.exports_with)
    return (f"exports {traits.exports}",) if traits.exports and all(map(find_spec, needed)) else ()


def _tool(name: str, extra: str, purpose: str) -> Finding:
    try:
        return Finding(name=f"package {name}", version=version(name), can=(purpose,), cannot=())
    except PackageNotFoundError:
        reason = f"needed for {purpose}: pip install 'lightawnet-edge[{extra}]'"
        return Finding(name=f"package {name}", version=None, can=(), cannot=(reason,))


def _cpu() -> Finding:
    machine = read_machine()
    fast = {
        "int8": {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"},
        "bf16": {"avx512_bf16", "amx_bf16", "bf16"},
    }
    has = {name: sorted(flags & set(machine.isa)) for name, flags in fast.items()}
    can = tuple(f"fast {name} ({', '.join(flags)})" for name, flags in has.items() if flags)
    cannot = tuple(f"no fast {name}" for name, flags in has.items() if not flags)
    if int8_saturates():
        cannot = (*cannot, _SATURATES)
    cores = f"{machine.cores} core{'s' if machine.cores > 1 else ''}, {machine.cpus} threads"
    if machine.quota_cpus is not None:
        cores += f", a CPU quota of {machine.quota_cpus:g}: engines take {default_threads()}"
    return Finding(name="cpu", version=None, can=(machine.cpu, cores, *can), cannot=cannot)


def _gpu() -> Finding:
    """Ask NVIDIA's driver itself: no framework is imported, no context is made on a device."""
    try:
        device = find_device()
    except BackendUnavailableError as error:
        return Finding(name="nvidia gpu", version=None, can=(), cannot=(error.reason,))
    return Finding(
        name="nvidia gpu",
        version=f"CUDA {device.cuda}",
        can=(f"{device.name}, SM{device.capability}",),
        cannot=(),
    )
