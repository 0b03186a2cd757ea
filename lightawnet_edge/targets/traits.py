"""What a target says of itself as data: to ask needs no toolchain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lightawnet_edge.rewrites import USUAL, Rewrites
from lightawnet_edge.specs import Precision, Scaling


@dataclass(frozen=True, slots=True)
class Absent:
    """In place of a role that a target does not have."""

    reason: str
    """Why, and what to do instead, in words for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """One target: what is known of it, and where its roles are found.

    A role is 'module:attribute', imported when it is asked for; `base` and `making` say what each
    must offer.
    """

    module: str
    """Python module of the toolchain."""
    packages: tuple[str, ...]
    """Distributions that touch the bytes of its bundles: manifests name their versions."""
    install: str
    """Where the toolchain comes from, as a sentence."""
    backend: str
    """A class that is a `Backend`; a `Builder` where `maker` is the usual one."""
    quantizer: str
    """A `Quantizer`: the class of its drafts."""
    probe: str | Absent
    """A class that is a `Probe`."""
    maker: str = "lightawnet_edge.targets.host:prepare"
    """A `Maker`: what `export` does for this target after the device graph."""
    on_gpu: bool = False
    """Whether its engines run on an NVIDIA GPU."""
    rewrites: Mapping[Precision, Rewrites] = field(default_factory=dict)
    """What the lowering does beside what it always does; a precision that is left out gets the
    usual `Rewrites`."""
    scaling: Scaling = Scaling.RESIZE
    """How its device graphs scale frames and masks of another size than the network's."""
    options: frozenset[str] = frozenset()
    """Options of `export` that it takes, of those that some target alone takes."""
    device: str | None = None
    """What `--device` may say though it is not among `options`; it changes nothing."""
    why_fixed: str = ""
    """Why options that other targets take mean nothing here, as a clause; may be empty."""
    exports: str = ""
    """What `export` makes for machines that this one need not be; empty where it makes nothing."""
    exports_with: tuple[str, ...] = ()
    """Modules that this takes beside those of every export."""

    @property
    def can_probe(self) -> bool:
        """Whether single layers can be looked at, and put in float."""
        return not isinstance(self.probe, Absent)

    def rewrites_for(self, precision: Precision) -> Rewrites:
        """What the lowering does for an engine of a precision."""
        return self.rewrites.get(precision, USUAL)
