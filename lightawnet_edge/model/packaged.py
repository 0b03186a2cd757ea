"""Checkpoints by file or by packaged name; imports no torch."""

from __future__ import annotations

from pathlib import Path

from lightawnet_edge.bundle.store import sha256_of
from lightawnet_edge.errors import ArtifactError

WEIGHTS = Path(__file__).parent / "weights"
"""Folder of the packaged checkpoints."""
DEFAULT_WEIGHTS = "polypgen"
BEST, LAST = "best.safetensors", "last.safetensors"
"""What every training run calls its checkpoints."""


def resolve(weights: str | Path) -> Path:
    """Find a checkpoint by path or by packaged name.

    Raises:
        ArtifactError: There is no such file, and no such name.
    """
    path = Path(weights)
    if path.is_file():
        return path
    if (packaged := _packaged().get(str(weights))) is not None:
        return packaged
    raise ArtifactError(
        f"No checkpoint '{weights}': neither a file nor packaged weights. "
        f"Packaged: {', '.join(packaged_names()) or 'none'}."
    )


def name_of(checkpoint: Path) -> str:
    """What a checkpoint is called wherever it is shown; one of a run goes by the run's folder.

    'runs/mine/best.safetensors' is 'mine', 'runs/mine/last.safetensors' is 'mine-last'.
    """
    run = checkpoint.absolute().parent.name
    if not run or checkpoint.name not in (BEST, LAST):
        return checkpoint.stem
    return run if checkpoint.name == BEST else f"{run}-{checkpoint.stem}"


def packaged_names() -> list[str]:
    """Names of the checkpoints that ship with the package."""
    return list(_packaged())


def packaged_files() -> list[Path]:
    """The checkpoints that ship with the package."""
    return list(_packaged().values())


def _packaged() -> dict[str, Path]:
    """Name to file. A folder of its own holds weights under terms of their own, beside these."""
    files = (*WEIGHTS.glob("*.safetensors"), *WEIGHTS.glob("*/*.safetensors"))
    return {path.stem: path for path in sorted(files, key=lambda path: path.stem)}


def find_by_sha256(sha256: str) -> Path | None:
    """Packaged checkpoint with these bytes, if there is one."""
    return next((path for path in _packaged().values() if sha256_of(path) == sha256), None)
