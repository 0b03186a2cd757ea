"""What is given up for speed, and what that costs."""
