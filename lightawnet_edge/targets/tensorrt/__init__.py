"""TensorRT and TensorRT-RTX on NVIDIA's GPUs."""
