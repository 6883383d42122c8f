"""What a program that uses numba-cuda gets, as one line of JSON.

    python numba_client.py PART [ARGUMENT]

`hold` allocates ARGUMENT bytes, says so, and waits for a line on its standard input.
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda

SIZE = 100_003  # elements: no power of two, and more than a page


def devices() -> dict[str, Any]:
    """The table that `cuda.detect()` prints, and the devices that `cuda.gpus` has."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        supported = cuda.detect()
    found = [(gpu.name, list(gpu.compute_capability), gpu._device.uuid) for gpu in cuda.gpus]
    return {"supported": supported, "printed": printed.getvalue(), "devices": found}


def arrays() -> dict[str, Any]:
    """Arrays to the device and back, from device to device, in parts and with strides."""
    numbers = np.arange(SIZE, dtype=np.float64)
    free, _ = cuda.current_context().get_memory_info()
    there = cuda.to_device(numbers)
    left, total = cuda.current_context().get_memory_info()
    copy = cuda.device_array_like(there)
    copy.copy_to_device(there)
    there[10:20].copy_to_device(np.zeros(10))
    matrix = np.asfortranarray(np.arange(12, dtype=np.int32).reshape(3, 4))
    record = np.array([(1, 2.5), (3, 4.5)], dtype=[("a", "i4"), ("b", "f8")])
    return {
        "back": bool((copy.copy_to_host() == numbers).all()),
        "part": there[8:22].copy_to_host().tolist(),
        "matrix": cuda.to_device(matrix).copy_to_host().tolist(),
        "records": cuda.to_device(record).copy_to_host().tolist(),
        "taken": free - left >= numbers.nbytes,
        "total": total,
    }


def streams() -> dict[str, Any]:
    """Copies in a stream, between two events."""
    stream = cuda.stream()
    start, end = cuda.event(), cuda.event()
    with cuda.pinned(numbers := np.arange(SIZE, dtype=np.int64)):
        start.record(stream)
        there = cuda.to_device(numbers, stream=stream)
        back = there.copy_to_host(stream=stream)
        end.record(stream)
        stream.synchronize()
    return {
        "back": bool((back == numbers).all()),
        "finished": end.query(),
        "milliseconds": cuda.event_elapsed_time(start, end),
    }


def host_memory() -> dict[str, Any]:
    """Pinned, mapped and managed arrays are both the host's and the device's."""
    pinned = cuda.pinned_array(SIZE, dtype=np.uint16)
    pinned[:] = 7
    mapped = cuda.mapped_array(SIZE, dtype=np.uint16)
    mapped[:] = 8
    managed = cuda.managed_array(SIZE, dtype=np.uint16)
    managed[:] = 9
    cuda.synchronize()
    return {
        "pinned": int(cuda.to_device(pinned).copy_to_host().sum()),
        "mapped": int(cuda.as_cuda_array(mapped).copy_to_host().sum()),
        "managed": int(cuda.as_cuda_array(managed).copy_to_host().sum()),
    }


def _other_process(handle: Any, pipe: Any) -> None:
    with handle as there:
        pipe.send(int(there.copy_to_host().sum()))
        there.copy_to_device(np.full(there.shape, 2, dtype=there.dtype))


def ipc() -> dict[str, Any]:
    """Another process reads and writes an array of this one."""
    there = cuda.to_device(np.ones(SIZE, dtype=np.int32))
    spawn = multiprocessing.get_context("spawn")
    mine, its = spawn.Pipe()
    other = spawn.Process(target=_other_process, args=(there.get_ipc_handle(), its))
    other.start()
    its.close()
    read = mine.recv()
    other.join()
    status, now = other.exitcode, int(there.copy_to_host().sum())
    return {"read": read, "status": status, "now": now}


@cuda.jit
def scale(source, factor, result):
    place = cuda.grid(1)
    if place < source.size:
        result[place] = source[place] * factor


def launch() -> dict[str, Any]:
    """A kernel over 1000 numbers, in a grid of 8 blocks of 128 threads."""
    source = cuda.to_device(np.arange(1000, dtype=np.float64))
    result = cuda.to_device(np.zeros(1000))
    scale[8, 128](source, 2.5, result)
    cuda.synchronize()
    [kernel] = scale.overloads.values()
    return {
        "result": result.copy_to_host().tolist(),
        "pointers": [array.device_ctypes_pointer.value for array in (source, result)],
        "registers": kernel.regs_per_thread,
        "name": kernel.entry_name,
    }


def hold(size: str) -> dict[str, Any]:
    """`size` bytes of device memory, kept until a line comes."""
    there = cuda.device_array(int(size), dtype=np.uint8)
    print(json.dumps({"held": there.nbytes}), flush=True)
    sys.stdin.readline()
    return {"released": there.nbytes}


if __name__ == "__main__":
    PARTS: tuple[Callable[..., dict[str, Any]], ...] = (
        *(devices, arrays, streams, host_memory, ipc, launch, hold),
    )
    name, *arguments = sys.argv[1:]
    print(json.dumps({part.__name__: part for part in PARTS}[name](*arguments)))
