"""What this project knows: pure values and decisions, no I/O; the clock is always an argument."""
