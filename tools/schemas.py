"""JSON Schemas of the documents that others read: `python -m tools.schemas` from the root.

They are made from the records' annotations and the words beside them, so they are never edited.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightawnet_edge.benchmarks import result, samples
from lightawnet_edge.bundle import device_record, manifest
from lightawnet_edge.calibration import record
from lightawnet_edge.codec import json_text
from lightawnet_edge.codec.schema import json_schema
from lightawnet_edge.evaluation import evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedManifest(manifest.Manifest):
    """Everything that a device, a test or a report needs to know about a bundle."""

    digest: str
    """SHA-256 over all else that the manifest says."""


FOLDER = Path(__file__).parents[1] / "docs" / "schemas"
DOCUMENTS: dict[str, tuple[type[Any], int]] = {
    "calibration-set": (record.SetRecord, record.SCHEMA),
    "device-record": (device_record.DeviceRecord, device_record.SCHEMA),
    "evaluation": (evaluation.Evaluation, evaluation.SCHEMA),
    "manifest": (SealedManifest, manifest.SCHEMA),
    "report": (result.BenchResult, result.SCHEMA),
    "samples": (samples.Samples, samples.SCHEMA),
}
"""Name of a document, without .json, to its record and the number of its schema."""


def schemas() -> dict[str, str]:
    """File name to text."""
    return {
        f"{name}.schema.json": json_text(
            json_schema(kind, schema=schema, title=f"{name}.json"), indent=2
        )
        + "\n"
        for name, (kind, schema) in DOCUMENTS.items()
    }


def stale(folder: Path) -> list[str]:
    """Names of files that are missing in a folder, or are not what the records say."""
    return [
        name
        for name, text in schemas().items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]


def main() -> None:
    """Write the files; with --check, exit with 1 where one is not current."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="Write nothing.")
    parser.add_argument("--out", type=Path, default=FOLDER, help="Folder of the files.")
    given = parser.parse_args()
    if given.check:
        names = stale(given.out)
        if names:
            sys.exit(f"not current: {', '.join(names)}. Run: python -m tools.schemas")
        return
    given.out.mkdir(parents=True, exist_ok=True)
    for name, text in schemas().items():
        (given.out / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
