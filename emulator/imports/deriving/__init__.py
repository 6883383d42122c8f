"""What the calls of a capture tell of the machine."""
