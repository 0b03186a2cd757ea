"""Frames in: images, masks, videos, and which of them show the same picture."""
