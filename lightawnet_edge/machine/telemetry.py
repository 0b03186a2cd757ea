"""No toolchain calls home: telemetry is switched off before any of them is imported.

By themselves ONNX Runtime, OpenVINO and NNCF look up their makers' hosts and write an identifier
into HOME; nobody is asked. docs/telemetry.md says what each does, and what a C++ program must do.
"""

from __future__ import annotations

import os
import sys
import warnings

VARIABLE = "ORT_DISABLE_TELEMETRY"
"""ONNX Runtime, from 1.29 on, reads it once, on import (in C++ with its first environment). Its
function `disable_telemetry_events` comes too late: the lookups went on."""
_SENDER = "openvino_telemetry"
"""What OpenVINO and NNCF send with. No variable of its own switches it off, and its command that
opts out sends that, too; but both do without it where it cannot be imported."""


def switch_off() -> None:
    """Switch off the telemetry of every toolchain in this process, ONNX Runtime's in its children.

    Warns of toolchains that were imported before, with their telemetry on.
    """
    begun = [
        name
        for name, is_on in (("onnxruntime", _onnxruntime_sends()), ("openvino", _openvino_sends()))
        if is_on
    ]
    os.environ[VARIABLE] = "1"
    sys.modules[_SENDER] = None  # type: ignore[assignment] # Python's way to refuse an import
    if begun:
        warnings.warn(
            f"{' and '.join(begun)} was imported before lightawnet_edge, and has begun to call its "
            "maker's host. Import lightawnet_edge first, or start the process with "
            f"{VARIABLE}=1 and without the package openvino-telemetry.",
            RuntimeWarning,
            stacklevel=3,
        )


def _onnxruntime_sends() -> bool:
    return "onnxruntime" in sys.modules and os.environ.get(VARIABLE) in (None, "", "0")


def _openvino_sends() -> bool:
    """Whether OpenVINO or NNCF sent until now; from here on they don't."""
    sender = sys.modules.get(_SENDER)
    if sender is None:
        return False
    try:
        only = sender.Telemetry()  # the process has one, which all senders share
    except RuntimeError:  # or none yet
        return False
    sent, only.consent = only.consent, False
    return bool(sent)
