"""Training: data, augmentation, losses and the loop; needs the extra `train`."""
