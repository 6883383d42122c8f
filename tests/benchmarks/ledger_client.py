"""A process of the ledger's benchmark: it holds device memory, or measures what that costs it."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from ctypes import byref, c_size_t, c_ulonglong, c_void_p
from statistics import median

SIZE = 8 << 20
ROUNDS, CALLS = 11, 200


def main(way: str) -> None:
    """`hold` until the input ends, or `measure` and print seconds a call."""
    cuda, nvml = ctypes.CDLL("libcuda.so.1"), ctypes.CDLL("libnvidia-ml.so.1")
    context, pointer = c_void_p(), c_ulonglong()
    if cuda.cuInit(0) or cuda.cuCtxCreate_v2(byref(context), 0, 0):
        sys.exit("no context")
    if cuda.cuMemAlloc_v2(byref(pointer), c_size_t(SIZE)):
        sys.exit("no memory")
    if way == "hold":
        print("held", flush=True)
        sys.stdin.read()
        return
    device, memory = c_void_p(), (c_ulonglong * 3)()
    nvml.nvmlInit_v2()
    nvml.nvmlDeviceGetHandleByIndex_v2(0, byref(device))

    def allocate() -> int:
        return cuda.cuMemAlloc_v2(byref(pointer), c_size_t(SIZE)) or cuda.cuMemFree_v2(pointer)

    def info() -> int:
        return cuda.cuMemGetInfo_v2(byref(c_size_t()), byref(c_size_t()))

    def nvml_info() -> int:
        return nvml.nvmlDeviceGetMemoryInfo(device, memory)

    measures: dict[str, Callable[[], int]] = {
        "cuMemAlloc + cuMemFree, 8 MB": allocate,
        "cuMemGetInfo": info,
        "nvmlDeviceGetMemoryInfo": nvml_info,
    }
    for name, call in measures.items():
        print(name, median(seconds(call) for _ in range(ROUNDS)))


def seconds(call: Callable[[], int]) -> float:
    """The seconds of one call."""
    began = time.perf_counter()
    for _ in range(CALLS):
        if call():
            sys.exit("a call failed")
    return (time.perf_counter() - began) / CALLS


if __name__ == "__main__":
    main(sys.argv[1])
