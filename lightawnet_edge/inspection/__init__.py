"""What a built engine executes, and what this machine can."""
