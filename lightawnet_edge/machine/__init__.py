"""What a number was measured on: CPU, GPU, clocks."""
