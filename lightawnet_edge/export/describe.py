"""A bundle in a few lines: what it takes, what it really executes, how far it is from FP32."""

from __future__ import annotations

from lightawnet_edge.bundle.bundle import Bundle
from lightawnet_edge.bundle.manifest import Manifest
from lightawnet_edge.scores.text import change_text
from lightawnet_edge.specs import Precision
from lightawnet_edge.targets.tensorrt.kit_text import describe_kit, next_steps


def describe(bundle: Bundle) -> str:
    """Tell in a few lines what a bundle is and what it really executes."""
    manifest = bundle.manifest
    if manifest.kit is not None:
        choices = "".join(
            text(manifest) for text in (_chosen_text, _method_text, _judged_text)
        ).rstrip()
        return "\n".join(filter(None, (describe_kit(bundle), choices, next_steps(bundle))))
    ran = ", ".join(f"{share:.1%} {name}" for name, share in manifest.executed.items() if share)
    agreement = manifest.agreement
    assert agreement is not None, "an engine that was built here was compared"
    size = sum((bundle.path / name).stat().st_size for name in manifest.files)
    return (
        f"{bundle.path}\n"
        f"  takes     {manifest.contract.takes}, {manifest.routing} routing\n"
        f"{_chosen_text(manifest)}"
        f"{_method_text(manifest)}"
        f"{_judged_text(manifest)}"
        f"  executes  {ran} (share of the convolution MACs, read back from the engine)\n"
        f"{_dynamic_text(manifest)}"
        f"  differs   from FP32 PyTorch in {agreement.mask_disagreement:.3%} of the mask pixels "
        f"({agreement.frames} calibration frames)\n"
        f"  holds     {', '.join(manifest.files)}, {size / 1e6:.1f} MB"
    )


def _method_text(manifest: Manifest) -> str:
    """How INT8 ranges were found, as a line of `describe`; else nothing."""
    if manifest.method is None:
        return ""
    restored = manifest.method.restored
    return f"  ranges    {manifest.method}\n" + (f"  budget    {restored}\n" if restored else "")


def _judged_text(manifest: Manifest) -> str:
    """What is to be doubted of the calibration frames, a line of `describe` each."""
    judged = manifest.judged
    return "".join(f"  doubt     {doubt}\n" for doubt in (judged.doubts if judged else ()))


def _dynamic_text(manifest: Manifest) -> str:
    """How much of an INT8 engine is in float on purpose, as a line of `describe`; else nothing."""
    macs = [layer.macs for layer in manifest.layers if layer.computed]
    if manifest.precision is not Precision.INT8 or not macs:
        return ""
    share = sum(macs) / sum(layer.macs for layer in manifest.layers)
    return (
        f"  computes  the kernels of {len(macs)} layers per frame: these run in float on purpose, "
        f"{share:.1%} of the MACs\n"
    )


def _chosen_text(manifest: Manifest) -> str:
    """What `auto` routing chose, as a line of `describe`; else nothing."""
    chosen = manifest.chosen
    if chosen is None:
        return ""
    truth = "" if chosen.has_truth else " against the dynamic network's own mask"
    return (
        f"  freezes   {', '.join(chosen.frozen) or 'nothing'}; dynamic: "
        f"{', '.join(chosen.dynamic) or 'nothing'}; Dice{truth} changes by "
        f"{change_text(chosen.dice_drop)}, a drop of {chosen.max_dice_drop:g} allowed "
        f"({chosen.measured_frames} frames)\n"
    )
