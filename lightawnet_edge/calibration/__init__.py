"""Which frames set the scales, and quantization in the representation of each target."""
