"""The network, its preprocessing and its checkpoints; needs torch."""
