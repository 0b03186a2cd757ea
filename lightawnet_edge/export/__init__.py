"""From checkpoint to bundle: exact rewrites, the device graph, the pipeline."""
