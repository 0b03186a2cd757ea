"""The device graph as ONNX: traced, typed, simulated and compared."""
