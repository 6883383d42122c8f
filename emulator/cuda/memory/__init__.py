"""Memory: where its bytes are, allocating it in all ways, copying and filling it."""
