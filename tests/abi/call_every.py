"""A client that calls every function of a library: `call_every.py LIBRARY PHASE ARGUMENTS`.

LIBRARY is nvml or cuda; PHASE is before (never initialised), failed (after an init that failed)
or ready; ARGUMENTS is null (every argument 0) or valid (pointers to zeroed memory, handles of
device 0, small numbers). The name of each function is written before it is called, so that the
last one stands there after a crash, and what it returned behind it; at the end, their number.
"""

from __future__ import annotations

import ctypes
import os
import sys

from emulator.vocabulary import apis

NOT_CALLED = {"cudbgMain"}  # the debugger's back end: it takes over the calling thread
BUFFER = 1 << 16


def main(library: str, phase: str, arguments: str) -> None:
    api = apis()[library]
    loaded = ctypes.CDLL(api.soname)
    if phase != "before":
        initialise(library, loaded)
    memory = ctypes.create_string_buffer(BUFFER * 16)
    device = handle(library, loaded) if phase == "ready" else 0
    called = 0
    for slot, name in enumerate(api.names):
        if name in NOT_CALLED or not hasattr(loaded, name):
            continue
        os.write(1, name.encode())
        function = api.function(slot)
        target = getattr(loaded, name)
        target.restype = ctypes.c_size_t if "*" in function.returns else ctypes.c_int
        ctypes.memset(memory, 0, len(memory))
        returned = target(*words(api, function, arguments, device, ctypes.addressof(memory)))
        os.write(1, f" {returned}\n".encode())
        if phase == "ready":
            initialise(library, loaded)  # whatever shutdown or reset was just called
        called += 1
    os.write(1, f"{called}\n".encode())


def initialise(library: str, loaded: ctypes.CDLL) -> None:
    loaded.nvmlInit_v2() if library == "nvml" else loaded.cuInit(0)


def handle(library: str, loaded: ctypes.CDLL) -> int:
    found = ctypes.c_size_t()
    if library == "nvml":
        loaded.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(found))
    return found.value


def words(api, function, arguments: str, device: int, memory: int) -> list[object]:
    """The arguments of one call; each pointer gets memory of its own."""
    if function.parameters is None:
        return [ctypes.c_size_t(memory if arguments == "valid" else 0)] * 12
    made: list[object] = []
    for index, parameter in enumerate(function.parameters):
        kind = ctypes.c_size_t if parameter.is_pointer else api.types[parameter.type]
        if arguments == "null":
            made.append(kind())
        elif parameter.is_pointer:
            made.append(kind(memory + index * BUFFER))
        elif parameter.type in ("nvmlDevice_t", "CUdevice"):
            made.append(kind(device))
        elif hasattr(kind, "_fields_"):
            made.append(kind())
        else:
            made.append(kind(b"\1" if kind is ctypes.c_char else 1))
    return made


if __name__ == "__main__":
    main(*sys.argv[1:])
