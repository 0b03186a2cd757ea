"""Checkpoints: safetensors with metadata, read without executing code; and the authors' pickles."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightawnet_edge.bundle.store import replace_file, sha256_of
from lightawnet_edge.errors import ArtifactError
from lightawnet_edge.model.network import EXPERTS, LightAWNet, check_channels
from lightawnet_edge.specs import Normalization, Size, check_network_size

SCHEMA = 2  # 1: first version. 2: `experts`, which was 4 before.
_KEY = "lightawnet_edge"
WEIGHTS = Path(__file__).parent / "weights"
"""Folder of the packaged checkpoints."""
DEFAULT_WEIGHTS = "polypgen"

# Prefixes of the authors' tensor names and ours, in the order in which they are tried.
_BLOCKS = {
    "layer1": "e1", "layer2": "e2", "layer3": "e3", "mul4": "a4", "mul5": "a5",
    "De1": "u1", "De2": "u2", "De3": "u3", "De4": "u4",
    "attention": "attention", "output": "out", "conv1_1": "b4", "conv1_2": "b5", "downconv": "s4",
}  # fmt: skip
_PARTS = {
    "dwconv": "depthwise", "conv1_1.0": "expand", "conv1_1.1": "expand_norm", "conv1_2.0": "gate",
    "down": "project", "up.0": "reduce", "up.1": "reduce_norm", "att.0": "squeeze",
    "att.2": "excite", "weight.weight": "dynamic.bank", "weight.norm": "dynamic.norm",
    "weight.attention.net": "dynamic.routing",
}  # fmt: skip
_OUT_PARTS = {"attention.net": "routing", "norm": "norm", "weight": "bank"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointMeta:
    """What a checkpoint says of itself; travels inside the file."""

    in_channels: int
    experts: int = EXPERTS
    """Kernels in each bank; 1 for a static twin."""
    size: Size
    """Network input that the weights are for."""
    normalization: Normalization = field(default_factory=Normalization)
    training_data: str = "unknown"
    """Data set, version and attribution."""
    license: str = "unknown"
    """Terms under which the weights may be used."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Name to value, on the validation set named by `training_data`."""

    def __post_init__(self) -> None:
        check_channels(self.in_channels)
        check_network_size(self.size)

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the schema number."""
        return {
            "schema": SCHEMA,
            "in_channels": self.in_channels,
            "experts": self.experts,
            "size": str(self.size),
            "normalization": self.normalization.to_json(),
            "training_data": self.training_data,
            "license": self.license,
            "metrics": dict(self.metrics),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CheckpointMeta:
        """Inverse of `to_json`."""
        return cls(
            in_channels=int(data["in_channels"]),
            experts=int(data.get("experts", EXPERTS)),
            size=Size.parse(data["size"]),
            normalization=Normalization.from_json(data["normalization"]),
            training_data=data["training_data"],
            license=data["license"],
            metrics=data["metrics"],
        )


def save_checkpoint(path: Path, state: Mapping[str, Tensor], meta: CheckpointMeta) -> None:
    """Write tensors and metadata aside, then rename: a killed save leaves the old file."""
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    replace_file(path, save(tensors, {_KEY: json.dumps(meta.to_json(), sort_keys=True)}))


def read_metadata(path: Path) -> CheckpointMeta:
    """Read what a checkpoint says of itself, without its tensors.

    Raises:
        ArtifactError: The file is missing, no safetensors file, or not one of ours.
    """
    with _opened(path) as file:
        text = (file.metadata() or {}).get(_KEY)
    if text is None:
        raise ArtifactError(
            f"Checkpoint '{path}' is a safetensors file without LightAWNet metadata. "
            "Train with 'lightawnet-edge train', or convert with "
            "'lightawnet-edge import-checkpoint'."
        )
    try:
        data = json.loads(text)
        if data["schema"] not in range(1, SCHEMA + 1):
            raise ArtifactError(
                f"Checkpoint '{path}' has schema {data['schema']!r}, this version reads 1 to "
                f"{SCHEMA}. "
                "Use the version of lightawnet-edge that wrote it."
            )
        return CheckpointMeta.from_json(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(f"Checkpoint '{path}' has unreadable metadata: {error!r}.") from error


def load_checkpoint(path: str | Path) -> LightAWNet:
    """Load a network in eval mode from a file, or from the name of packaged weights.

    Raises:
        ArtifactError: The file is missing, broken, or its tensors do not fit LightAWNet.
    """
    file_path = resolve(path)
    meta = read_metadata(file_path)
    with _opened(file_path) as file:
        state = {name: file.get_tensor(name) for name in sorted(file.keys())}
    model = LightAWNet(in_channels=meta.in_channels, experts=meta.experts)
    _check_fit(state, model.state_dict(), f"Checkpoint '{file_path}'")
    model.load_state_dict(state)
    return model.eval()


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


def packaged_names() -> list[str]:
    """Names of the checkpoints that ship with the package."""
    return list(_packaged())


def _packaged() -> dict[str, Path]:
    """Name to file. A folder of its own holds weights under terms of their own, beside these."""
    files = (*WEIGHTS.glob("*.safetensors"), *WEIGHTS.glob("*/*.safetensors"))
    return {path.stem: path for path in sorted(files, key=lambda path: path.stem)}


def find_by_sha256(sha256: str) -> Path | None:
    """Packaged checkpoint with these bytes, if there is one."""
    return next((path for path in _packaged().values() if sha256_of(path) == sha256), None)


def our_name(theirs: str) -> str:
    """Translate a tensor name of the authors' release; unknown names come back unchanged."""
    return _translate(theirs, _BLOCKS, _OUT_PARTS if theirs.startswith("output.") else _PARTS)


def author_name(ours: str) -> str:
    """Inverse of `our_name`."""
    parts = _OUT_PARTS if ours.startswith("out.") else _PARTS
    return _translate(ours, _inverse(_BLOCKS), _inverse(parts))


def _inverse(names: Mapping[str, str]) -> dict[str, str]:
    return {value: key for key, value in names.items()}


def _translate(name: str, blocks: Mapping[str, str], parts: Mapping[str, str]) -> str:
    block, _, rest = name.partition(".")
    if block not in blocks:
        return name
    for part in sorted(parts, key=len, reverse=True):
        if rest == part or rest.startswith(f"{part}."):
            rest = parts[part] + rest[len(part) :]
            break
    return f"{blocks[block]}.{rest}"


def import_author_checkpoint(path: Path) -> tuple[LightAWNet, int]:
    """Read a pickle `{"state": ..., "epoch": ...}` of the authors' code; return network and epoch.

    The file is read with `weights_only`: it can hold tensors and plain values, and runs no code.

    Raises:
        ArtifactError: Not readable that way, or a tensor is missing, unexpected or misshapen.
    """
    if not path.is_file():
        raise ArtifactError(f"No file '{path}'.")
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen unrelated types here
        reason = re.split(r"[\n.]", str(error))[0]
        raise ArtifactError(
            f"'{path}' cannot be read as tensors and plain values alone ({reason}). Only pickles "
            'of the form {"state": state_dict, "epoch": int} are taken; '
            "code in a pickle is never run."
        ) from error
    if (
        not isinstance(data, dict)
        or not isinstance(data.get("state"), Mapping)
        or not isinstance(data.get("epoch"), int)
    ):
        raise ArtifactError(
            f"'{path}' is not in the authors' format: expected a dict with 'state' and 'epoch', "
            f"found {_describe(data)}."
        )
    state = {str(name).removeprefix("module."): t for name, t in data["state"].items()}
    first = state.get("layer1.dwconv.weight")
    channels = int(first.shape[0]) if isinstance(first, Tensor) and first.ndim == 4 else 1
    if channels not in (1, 3):
        raise ArtifactError(
            f"'{path}': tensor 'layer1.dwconv.weight' has {channels} channels, not 1 or 3."
        )
    model = LightAWNet(in_channels=channels)
    expected = {author_name(name): tensor for name, tensor in model.state_dict().items()}
    _check_fit(state, expected, f"'{path}'")
    model.load_state_dict({our_name(name): tensor for name, tensor in state.items()})
    return model.eval(), data["epoch"]


def convert_author_checkpoint(path: Path, out: Path, size: Size) -> CheckpointMeta:
    """Write an authors' checkpoint as one of ours; their recipe scales each image by its own range.

    Raises:
        ArtifactError: As for `import_author_checkpoint`.
    """
    model, epoch = import_author_checkpoint(path)
    meta = CheckpointMeta(
        in_channels=model.in_channels,
        size=size,
        normalization=Normalization(method="minmax"),
        training_data=f"unknown; imported from an authors' checkpoint of epoch {epoch}",
    )
    save_checkpoint(out, model.state_dict(), meta)
    return meta


def _check_fit(state: Mapping[str, Any], expected: Mapping[str, Tensor], what: str) -> None:
    """Name the first tensor that is missing, unexpected or misshapen."""
    for name in expected:
        if name not in state:
            raise ArtifactError(f"{what}: tensor '{name}' is missing.")
    for name, found in state.items():
        if name not in expected:
            raise ArtifactError(f"{what}: tensor '{name}' is unexpected.")
        if not isinstance(found, Tensor) or found.shape != expected[name].shape:
            raise ArtifactError(
                f"{what}: tensor '{name}' has shape {_describe(found)}, "
                f"expected {tuple(expected[name].shape)}."
            )


def _describe(value: object) -> str:
    if isinstance(value, Tensor):
        return str(tuple(value.shape))
    if isinstance(value, dict):
        return f"a dict with {sorted(map(str, value))[:4]}"
    return f"a {type(value).__name__}"


def _opened(path: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ArtifactError(f"No checkpoint '{path}'.")
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise ArtifactError(
            f"Checkpoint '{path}' is not a safetensors file ({error}). For a pickle of the "
            "authors' code, run 'lightawnet-edge import-checkpoint'."
        ) from error
