"""Addresses that are none, in the place of each pointer of each function: nothing crashes."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Calls every function of a library, each time with one pointer that leads into the first page, and
#: with room behind the others. The last line that it prints is the function under way.
HOST = """
import ctypes, sys
from itertools import product
import emulator
from emulator import Gpu, Scenario
from emulator.vocabulary import apis

library = sys.argv[1]
api = apis()[library]
A30 = Gpu("a30", figures={"mig": {"current": True, "instances": [{"profile": "1g.6gb"}]}})
HOST = Gpu(
    "a40",
    figures={
        "virtualization_mode": "HOST_VGPU", "vgpu": {"instances": [{"type": "NVIDIA A40-8Q"}]}
    },
)
SCENARIO = Scenario(driver="615.71", user="root", gpus=[A30, Gpu("b200-180gb"), HOST, Gpu("t4")])
ROOM = ctypes.create_string_buffer(1 << 16)


def nvml(lib):
    lib.nvmlInit_v2()
    devices = []
    for index in range(4):
        device = ctypes.c_void_p()
        lib.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device))
        devices.append(device)
    instance, vgpu = ctypes.c_void_p(), ctypes.c_uint()
    lib.nvmlDeviceGetGpuInstanceById(devices[0], 3, ctypes.byref(instance))
    lib.nvmlDeviceGetActiveVgpus(devices[2], ctypes.byref(ctypes.c_uint(1)), ctypes.byref(vgpu))
    assert instance and vgpu
    return {
        "nvmlDevice_t": devices, "nvmlGpuInstance_t": [instance], "nvmlVgpuInstance_t": [vgpu]
    }


def cuda(lib):
    lib.cuInit(0)
    context = ctypes.c_void_p()
    assert lib.cuDevicePrimaryCtxRetain(ctypes.byref(context), 1) == 0
    lib.cuCtxSetCurrent(context)
    return {"CUdevice": [ctypes.c_int(1)], "CUcontext": [context]}


NUMBERS = [ctypes.c_size_t(number) for number in (0, 1, 64)]
BAD = [ctypes.c_size_t(address) for address in (1, 4000)]
CHOICES = {"nvml": nvml, "cuda": cuda}[library]
LIBRARY = {"nvml": "libnvidia-ml.so.1", "cuda": "libcuda.so.1"}[library]


def behind(parameter):
    is_struct = api.types.is_struct(parameter.type)
    versions = api.types.versions(parameter.versions) if is_struct else None
    ctypes.memset(ROOM, 0, 4096)
    ctypes.c_uint.from_buffer(ROOM).value = [*(versions or [0])][-1]
    return [ROOM]


called = 0
for name in api.names:
    function = api.function(api.names.index(name))
    pointers = [each for each in function.parameters or () if each.is_pointer]
    if not pointers:
        continue
    print(name, flush=True)
    with emulator.emulate(SCENARIO):
        lib = ctypes.CDLL(LIBRARY)
        call = getattr(lib, name, None)
        objects = CHOICES(lib)
        for bad in pointers if call else ():
            choices = [
                BAD if each is bad
                else behind(each) if each.is_pointer
                else objects.get(each.type, NUMBERS)
                for each in function.parameters
            ]
            for number, arguments in zip(range(200), product(*choices)):
                call(*arguments)
                called += 1
print("called", called)
"""


@pytest.mark.parametrize("library", ["nvml", "cuda"])
def test_crash_no_host(library: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HOST, library], capture_output=True, text=True, check=False
    )
    *_, under_way = done.stdout.splitlines()
    assert done.returncode == 0, (under_way, done.stderr[-2000:])
    assert int(under_way.removeprefix("called ")) > 1000
