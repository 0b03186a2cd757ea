"""What a checkpoint is worth: scores of every frame, and its card."""
