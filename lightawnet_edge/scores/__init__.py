"""Pure numbers: masks against their truth, intervals, latencies."""
