"""What a program that uses cuda-bindings gets, as one line of JSON.

python cuda_bindings_client.py PART
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from cuda.bindings import driver, nvrtc

SOURCE = rb"""
__constant__ float offsets[4];
extern "C" __global__ void saxpy(float factor, const float *x, float *y, unsigned long long size) {
    unsigned long long place = blockIdx.x * blockDim.x + threadIdx.x;
    if (place < size)
        y[place] = factor * x[place] + y[place] + offsets[0];
}
"""
SIZE = 1000
MIB = 1 << 20


def ask(answer: tuple[Any, ...]) -> Any:
    """What a call gave: nothing, a value or a tuple of them. Its error becomes an exception."""
    code, *values = answer
    if int(code):
        raise RuntimeError(str(code))
    return values[0] if len(values) == 1 else tuple(values) or None


def begin() -> Any:
    """The first device, its primary context current."""
    ask(driver.cuInit(0))
    device = ask(driver.cuDeviceGet(0))
    ask(driver.cuCtxSetCurrent(ask(driver.cuDevicePrimaryCtxRetain(device))))
    return device


def properties() -> dict[str, Any]:
    """What the device is, asked function by function, and each attribute that the header has."""
    device = begin()
    kinds = driver.CUdevice_attribute
    attributes = {
        kind.name: ask(driver.cuDeviceGetAttribute(kind, device))
        for kind in (
            kinds.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
            kinds.CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK,
            kinds.CU_DEVICE_ATTRIBUTE_WARP_SIZE,
            kinds.CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING,
        )
    }
    return {
        "version": ask(driver.cuDriverGetVersion()),
        "name": ask(driver.cuDeviceGetName(100, device)).partition(b"\0")[0].decode(),
        "memory": ask(driver.cuDeviceTotalMem(device)),
        "attributes": attributes,
    }


def buffers() -> dict[str, Any]:
    """Copies from host to device, between devices' buffers, two-dimensional, and fills."""
    begin()
    data = np.random.default_rng(1).integers(0, 256, MIB, dtype=np.uint8)
    first, second = ask(driver.cuMemAlloc(MIB)), ask(driver.cuMemAlloc(MIB))
    back = np.zeros_like(data)
    ask(driver.cuMemcpyHtoD(first, data.ctypes.data, MIB))
    ask(driver.cuMemcpyDtoD(second, first, MIB))
    ask(driver.cuMemcpyDtoH(back.ctypes.data, second, MIB))
    ask(driver.cuMemsetD32(first, 0x01020304, MIB // 4))
    filled = np.zeros_like(data)
    ask(driver.cuMemcpy(filled.ctypes.data, int(first), MIB))
    pitched, pitch = ask(driver.cuMemAllocPitch(100, 20, 4))
    rows = driver.CUDA_MEMCPY2D()
    rows.srcMemoryType = driver.CUmemorytype.CU_MEMORYTYPE_HOST
    rows.srcHost, rows.srcPitch = data.ctypes.data, 100
    rows.dstMemoryType = driver.CUmemorytype.CU_MEMORYTYPE_DEVICE
    rows.dstDevice, rows.dstPitch = pitched, pitch
    rows.WidthInBytes, rows.Height = 100, 20
    ask(driver.cuMemcpy2D(rows))
    last = np.zeros(100, dtype=np.uint8)
    ask(driver.cuMemcpyDtoH(last.ctypes.data, int(pitched) + 19 * pitch, 100))
    base, size = ask(driver.cuMemGetAddressRange(int(second) + 77))
    for pointer in (first, second, pitched):
        ask(driver.cuMemFree(pointer))
    again = driver.cuMemFree(first)[0]
    return {
        "back": bool((back == data).all()),
        "filled": bytes(filled[:8]).hex(),
        "same": len(set(filled.reshape(-1, 4).view(np.uint32).ravel().tolist())) == 1,
        "row": bool((last == data[1900:2000]).all()),
        "range": [int(base) == int(second), size],
        "freed_twice": again.name,
    }


def compiled(architecture: bytes) -> bytes:
    """The cubin of SOURCE, made by NVIDIA's run-time compiler."""
    program = ask(nvrtc.nvrtcCreateProgram(SOURCE, b"saxpy.cu", 0, [], []))
    ask(nvrtc.nvrtcCompileProgram(program, 1, [b"--gpu-architecture=" + architecture]))
    image = b" " * ask(nvrtc.nvrtcGetCUBINSize(program))
    ask(nvrtc.nvrtcGetCUBIN(program, image))
    return image


def launch() -> dict[str, Any]:
    """A kernel that this program compiles: found by its name, looked at, launched."""
    device = begin()
    major, minor = (
        ask(driver.cuDeviceGetAttribute(kind, device))
        for kind in (
            driver.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
            driver.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
        )
    )
    module = ask(driver.cuModuleLoadData(compiled(b"sm_%d%d" % (major, minor))))
    kernel = ask(driver.cuModuleGetFunction(module, b"saxpy"))
    offsets, offsets_size = ask(driver.cuModuleGetGlobal(module, b"offsets"))
    one = np.array([1, 0, 0, 0], dtype=np.float32)
    ask(driver.cuMemcpyHtoD(offsets, one.ctypes.data, offsets_size))
    x, y = np.arange(SIZE, dtype=np.float32), np.full(SIZE, 0.5, dtype=np.float32)
    there = [ask(driver.cuMemAlloc(array.nbytes)) for array in (x, y)]
    for pointer, array in zip(there, (x, y), strict=True):
        ask(driver.cuMemcpyHtoD(pointer, array.ctypes.data, array.nbytes))
    stream = ask(driver.cuStreamCreate(0))
    values = (3.0, *map(int, there), SIZE)
    types = (ctypes.c_float, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ulonglong)
    ask(driver.cuLaunchKernel(kernel, 4, 1, 1, 256, 1, 1, 0, stream, (values, types), 0))
    ask(driver.cuStreamSynchronize(stream))
    ask(driver.cuMemcpyDtoH(y.ctypes.data, there[1], y.nbytes))
    block = ask(driver.cuOccupancyMaxPotentialBlockSize(kernel, None, 0, 0))
    kinds = driver.CUfunction_attribute
    return {
        "result": y.tolist(),
        "pointers": [int(pointer) for pointer in there],
        "offsets": offsets_size,
        "missing": driver.cuModuleGetFunction(module, b"saxpi")[0].name,
        "too_many": driver.cuLaunchKernel(
            *(kernel, 4, 1, 1, 1025, 1, 1, 0, stream, (values, types), 0)
        )[0].name,
        "threads": ask(
            driver.cuFuncGetAttribute(kinds.CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, kernel)
        ),
        "occupancy": [value > 0 for value in block],
    }


if __name__ == "__main__":
    PARTS: tuple[Callable[[], dict[str, Any]], ...] = (properties, buffers, launch)
    print(json.dumps({part.__name__: part for part in PARTS}[sys.argv[1]]()))
