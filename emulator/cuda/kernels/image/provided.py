"""Functions that device code calls and the driver itself has."""

from __future__ import annotations

__all__ = ["is_provided"]

#: CUDA C++ programming guide, "Formatted Output", "Dynamic Global Memory Allocation", "Assertion".
FUNCTIONS = frozenset(("vprintf", "malloc", "free", "__assertfail", "__nv_aligned_device_malloc"))

#: What NVIDIA's libcudadevrt.a leaves open: cooperative groups, launches by the device.
PREFIXES = ("__cuda_syscall_", "cnp")


def is_provided(name: str) -> bool:
    """Whether the driver has a function of this name for device code."""
    return name in FUNCTIONS or name.startswith(PREFIXES)
