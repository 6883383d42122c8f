"""Holds memory of GPUs until its input ends.

python holding_client.py DEVICE=BYTES...
"""

from __future__ import annotations

import ctypes
import sys


def hold(device: int, size: int) -> None:
    """A context on a device, and memory in it."""
    cuda = ctypes.CDLL("libcuda.so.1")
    context, memory = ctypes.c_void_p(), ctypes.c_size_t()
    assert not cuda.cuInit(0)
    assert not cuda.cuCtxCreate_v2(ctypes.byref(context), 0, device)
    assert not cuda.cuMemAlloc_v2(ctypes.byref(memory), ctypes.c_size_t(size))


def main(*held: str) -> None:
    """Hold it, say so, and wait."""
    for item in held:
        device, size = item.split("=")
        hold(int(device), int(size))
    print("holding", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
