"""Kernels: the images that they come in, finding them, launching them."""
