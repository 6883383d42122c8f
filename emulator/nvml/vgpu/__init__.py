"""Virtual GPUs, seen from the host and from a guest."""
