"""A process that does what it is told on its standard input, one JSON line a call.

A line is [function of this module, arguments...]; the answer is {"value": ...} or {"error": ...}.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import sys
from ctypes import byref, c_size_t, c_ulonglong
from typing import Any

import pynvml
from cuda_client import Client, StatusError

client = Client()


def start() -> None:
    """cuInit."""
    client.cuInit(0)


def create(device: int) -> int:
    """A context of its own, which is current from here on."""
    return client.handle("cuCtxCreate_v2", 0, device)


def retain(device: int) -> int:
    """The primary context of a device, once more."""
    return client.handle("cuDevicePrimaryCtxRetain", device)


def release(device: int) -> None:
    """The primary context of a device, once less."""
    client.cuDevicePrimaryCtxRelease_v2(device)


def destroy(context: int) -> None:
    """End a context and all in it."""
    client.cuCtxDestroy_v2(c_size_t(context))


def allocate(context: int, size: int) -> int:
    """Bytes of the context's device."""
    client.cuCtxSetCurrent(c_size_t(context))
    pointer = c_ulonglong()
    client.cuMemAlloc_v2(byref(pointer), c_size_t(size))
    return pointer.value


def free(context: int, pointer: int) -> None:
    """Give bytes back."""
    client.cuCtxSetCurrent(c_size_t(context))
    client.cuMemFree_v2(c_ulonglong(pointer))


def fill(context: int, pointer: int, size: int, seed: int) -> str:
    """Put bytes that follow from `seed` into memory; their digest."""
    client.cuCtxSetCurrent(c_size_t(context))
    data = hashlib.shake_128(seed.to_bytes(8, "little")).digest(size)
    client.cuMemcpyHtoD_v2(c_ulonglong(pointer), data, c_size_t(size))
    return hashlib.sha256(data).hexdigest()


def copy(context: int, to: int, source: int, size: int) -> None:
    """Copy from one place in device memory to another."""
    client.cuCtxSetCurrent(c_size_t(context))
    client.cuMemcpyDtoD_v2(c_ulonglong(to), c_ulonglong(source), c_size_t(size))


def digest(context: int, pointer: int, size: int) -> str:
    """The digest of what is in memory."""
    client.cuCtxSetCurrent(c_size_t(context))
    data = ctypes.create_string_buffer(size)
    client.cuMemcpyDtoH_v2(data, c_ulonglong(pointer), c_size_t(size))
    return hashlib.sha256(data.raw).hexdigest()


def information(context: int) -> list[int]:
    """Free and total bytes of the context's device."""
    client.cuCtxSetCurrent(c_size_t(context))
    free, total = c_size_t(), c_size_t()
    client.cuMemGetInfo_v2(byref(free), byref(total))
    return [free.value, total.value]


def used(device: int) -> int:
    """The bytes of a device that are in use, as NVML counts them without what is reserved."""
    handle = pynvml.nvmlDeviceGetHandleByIndex(device)
    return int(pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2).used)


def processes(device: int) -> list[list[int]]:
    """The process ids on a device, each with its bytes, as NVML lists them."""
    handle = pynvml.nvmlDeviceGetHandleByIndex(device)
    found = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    return sorted([process.pid, process.usedGpuMemory] for process in found)


def keep_accounts(device: int, on: int) -> None:
    """Switch accounting on, or off."""
    pynvml.nvmlDeviceSetAccountingMode(pynvml.nvmlDeviceGetHandleByIndex(device), on)


def forget_accounts(device: int) -> None:
    """Clear the accounts of processes that have ended."""
    pynvml.nvmlDeviceClearAccountingPids(pynvml.nvmlDeviceGetHandleByIndex(device))


def accounts(device: int) -> dict[int, dict[str, int]]:
    """The accounts of a device, by process id."""
    handle = pynvml.nvmlDeviceGetHandleByIndex(device)
    found = {}
    for pid in pynvml.nvmlDeviceGetAccountingPids(handle):
        stats = pynvml.nvmlDeviceGetAccountingStats(handle, pid)
        names = ("maxMemoryUsage", "time", "startTime", "isRunning", "gpuUtilization")
        found[pid] = {name: getattr(stats, name) for name in names}
    return found


def answer(name: str, *arguments: Any) -> dict[str, Any]:
    """What a call gives."""
    try:
        return {"value": globals()[name](*arguments)}
    except (StatusError, pynvml.NVMLError) as error:
        return {"error": str(error)}


def main() -> None:
    """Answer until the input ends."""
    pynvml.nvmlInit()
    for line in sys.stdin:
        print(json.dumps(answer(*json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
