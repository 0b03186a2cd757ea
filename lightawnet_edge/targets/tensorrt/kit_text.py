"""What a kit is, how far it has come, and what to do next, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.kit import Kit
from lightawnet_edge.bundle.layers import mac_shares
from lightawnet_edge.bundle.manifest import Manifest
from lightawnet_edge.scores.intervals import Interval
from lightawnet_edge.scores.text import change_text, change_texts
from lightawnet_edge.specs import Precision, State
from lightawnet_edge.targets.tensorrt.devices import RTX, Platform


def describe_kit(bundle: Bundle) -> str:
    """Tell what a kit is for, what it asks for and executes, and how far from FP32 it is."""
    manifest, kit = bundle.manifest, _kit(bundle.manifest)
    size = sum((bundle.path / name).stat().st_size for name in manifest.files)
    rows = {
        "takes": f"{manifest.contract.takes}, {manifest.routing} routing",
        "for": f"{_platform(kit)}, {_capabilities(kit)}",
        **_precisions(manifest),
        **_simulated(manifest),
        **_replayed(kit),
        "state": _STATES[manifest.state],
        "holds": f"{', '.join(sorted(manifest.files))}, {size / 1e6:.1f} MB; golden frames are "
        f"{_source(kit)}",
    }
    return "\n".join([str(bundle.path), *(f"  {key:<9} {text}" for key, text in rows.items())])


def next_steps(bundle: Bundle) -> str:
    """How to finish a kit; empty where it is built."""
    kit = _kit(bundle.manifest)
    if bundle.manifest.state is State.BUILT:
        return ""
    command = f"  lightawnet-edge build {bundle.path.name}"
    if kit.device == RTX:
        return (
            "check it on a machine with such a GPU, beside a copy of the folder; that replays the "
            f"golden frames:\n{command}"
        )
    if _platform(kit).runs_the_package:
        how = (
            f"finish it on the {kit.device}, beside a copy of the folder:\n{command}\n"
            "(needs numpy and the device's TensorRT, and cuda-python for the golden frames); or "
            "build the plan alone, unchecked, inside the folder:"
        )
    else:
        how = (
            f"JetPack {kit.jetpack} has Python 3.8, too old for this package. Build the plan alone "
            "on the device, inside a copy of the folder; to load it and to check it against "
            "golden.npz is left to you, and the manifest stays pending:"
        )
    return f"{how}\n  {kit.trtexec}"


_SMALL = 0.001
_STATES = {
    State.PENDING: "pending: there is no engine yet, it is built on the device",
    State.UNCHECKED: "unchecked: the engine is built and never ran, golden frames not replayed",
    State.BUILT: "built: the engine gave what was expected on the golden frames",
}


def _kit(manifest: Manifest) -> Kit:
    assert manifest.kit is not None
    return manifest.kit


def _platform(kit: Kit) -> Platform:
    return Platform(
        device=kit.device,
        jetpack=kit.jetpack,
        tensorrt=kit.tensorrt,
        capabilities=kit.capabilities,
    )


def _capabilities(kit: Kit) -> str:
    named = ", ".join(f"SM{capability}" for capability in kit.capabilities)
    return f"{named}, DLA core 0 where it can" if kit.dla else named


def _precisions(manifest: Manifest) -> dict[str, str]:
    asked = mac_shares(replace(layer, executed=layer.requested) for layer in manifest.layers)
    rows = {"asks for": f"{_shares(asked)} (share of the convolution MACs)"}
    if manifest.executed:
        whose = "read back when it was built"
        if manifest.state is State.UNCHECKED:
            several = len(_kit(manifest).capabilities) > 1
            whose = f"planned by the builder{'; of the GPUs the widest counts' if several else ''}"
        rows["executes"] = f"{_shares(manifest.executed)} ({whose})"
    return rows


def _shares(shares: Mapping[str, float]) -> str:
    """Every precision that has a share; a small one is not rounded away."""
    return ", ".join(
        f"{share:.1%} {name}" if share >= _SMALL else f"<{_SMALL:.1%} {name}"
        for name, share in shares.items()
        if share
    )


def _simulated(manifest: Manifest) -> dict[str, str]:
    """How far the graph is from FP32 by simulation, and by OpenVINO's kernels where they ran."""
    kit = _kit(manifest)
    found, calibration = kit.numerics, manifest.calibration
    calibrated = calibration is not None and calibration.sha256 == found["on"]["sha256"]
    seen = ", which calibrated it" if calibrated else ""
    rows = {
        "differs": f"from its FP32 graph by {_difference(found)} ({found['frames']} {_source(kit)}"
        f"{seen}, simulated on a CPU)"
    }
    if drop := _drop(found):
        rows["Dice"] = f"changes by {drop}; FP32 has {found['dice_fp32']:.4f}"
    if second := found.get("openvino"):
        drop = _drop(second)
        how = " (FP32 with FP16 kernels)" if manifest.precision is Precision.FP16 else ""
        rows["openvino"] = (
            f"differs by {_difference(second)}{drop and f'; Dice changes by {drop}'}{how}"
        )
    return rows


def _difference(found: Mapping[str, Any]) -> str:
    return (
        f"{found['mean_abs_probability']:.2g} of probability on average, "
        f"{found['max_abs_probability']:.2g} at most, and in {found['mask_disagreement']:.3%} of "
        "the mask pixels"
    )


def _drop(found: Mapping[str, Any]) -> str:
    """What it costs against true masks; nothing where the frames had none."""
    if found.get("dice_drop") is None:
        return ""
    ends = (found[name] for name in ("dice_drop", "dice_drop_low", "dice_drop_high"))
    mean, interval = change_texts(Interval(*ends))
    return f"{mean} (95 %: {interval}), {change_text(found['worst_dice_drop'])} on the worst frame"


def _replayed(kit: Kit) -> dict[str, str]:
    found = kit.replay
    if found is None:
        return {}
    error = found.mean_abs_probability
    mean = "" if error is None else f"by {error:.2g} of probability on average, and "
    return {
        "replayed": f"{mean}in {found.mask_disagreement:.3%} of the mask pixels "
        f"({found.frames} golden frames, on the device)"
    }


def _source(kit: Kit) -> str:
    name = str(kit.numerics["on"]["name"])
    return name if name.startswith("packaged ") else f"frames of '{name}'"
