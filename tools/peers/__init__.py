"""Speed beside what one would run without this toolkit: `python -m tools.peers`."""
