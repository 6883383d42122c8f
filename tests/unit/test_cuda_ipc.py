"""Device memory that another process opens."""

from __future__ import annotations

import sys
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

COMMON = """
import ctypes, os, socket, subprocess, sys
from ctypes import byref, c_int, c_size_t, c_ulonglong
cuda = ctypes.CDLL("libcuda.so.1")
class Handle(ctypes.Structure):
    _fields_ = [("reserved", ctypes.c_char * 64)]
def call(name, *arguments):
    return getattr(cuda, name)(*arguments)
def must(name, *arguments):
    code = call(name, *arguments)
    assert code == 0, (name, code)
def free():
    value = c_size_t()
    must("cuMemGetInfo_v2", byref(value), None)
    return value.value
def read(pointer, size):
    data = ctypes.create_string_buffer(size)
    must("cuMemcpyDtoH_v2", data, c_size_t(pointer), c_size_t(size))
    return data.raw
must("cuInit", 0)
context = c_size_t()
must("cuCtxCreate_v2", byref(context), 0, 0)
"""

EXPORTER = (
    COMMON
    + """
first, pointer = c_size_t(), c_size_t()
must("cuMemAlloc_v2", byref(first), c_size_t(700))
must("cuMemAlloc_v2", byref(pointer), c_size_t(SIZE))
must("cuMemcpyHtoD_v2", pointer, b"from the exporter", c_size_t(17))
handle = Handle()
must("cuIpcGetMemHandle", byref(handle), c_size_t(pointer.value + INSIDE))
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE)
child.stdin.write(bytes(handle)); child.stdin.flush()
assert child.stdout.readline() == b"written\\n", child.wait()
assert read(pointer.value + 100, 8) == b"importer"
code = call("cuIpcOpenMemHandle_v2", byref(c_size_t()), handle, 1)
assert code == 201, code
must("cuMemFree_v2", pointer)
child.stdin.write(b"freed\\n"); child.stdin.flush()
assert child.stdout.readline() == b"stale\\n", child.wait()
child.stdin.close()
assert child.wait() == 0
print("ok")
"""
)

IMPORTER = (
    COMMON
    + """
handle = Handle.from_buffer_copy(sys.stdin.buffer.read(64))
before = free()
pointer, again = c_size_t(), c_size_t()
assert call("cuIpcOpenMemHandle_v2", byref(pointer), handle, 0) == 1
must("cuIpcOpenMemHandle_v2", byref(pointer), handle, 1)
must("cuIpcOpenMemHandle_v2", byref(again), handle, 1)
assert again.value == pointer.value
for place in (24, 32, 47, 55, 63):  # process, file, and what of it
    torn = bytearray(bytes(handle)); torn[place] ^= 0xFF
    code = call("cuIpcOpenMemHandle_v2", byref(again), Handle.from_buffer_copy(torn), 1)
    assert code == 1, (place, code)
assert free() == before
assert read(pointer.value, 17) == b"from the exporter"
must("cuMemcpyHtoD_v2", c_size_t(pointer.value + 100), b"importer", c_size_t(8))
assert call("cuMemFree_v2", pointer) == 1
base, size = c_size_t(), c_size_t()
must("cuMemGetAddressRange_v2", byref(base), byref(size), pointer)
assert (base.value, size.value) == (pointer.value, SIZE)
assert call("cuMemcpyHtoD_v2", c_size_t(pointer.value + SIZE), b"x", c_size_t(1)) == 1
print("written", flush=True)
assert sys.stdin.buffer.readline() == b"freed\\n"
must("cuIpcCloseMemHandle", pointer)
assert len(read(pointer.value, 1)) == 1
must("cuIpcCloseMemHandle", pointer)
assert call("cuIpcCloseMemHandle", pointer) == 1
assert call("cuMemsetD8_v2", pointer, 0, c_size_t(1)) == 1
assert call("cuIpcOpenMemHandle_v2", byref(pointer), handle, 1) == 1
garbage = Handle.from_buffer_copy(os.urandom(64))
assert call("cuIpcOpenMemHandle_v2", byref(pointer), garbage, 1) == 1
print("stale", flush=True)
"""
)

Run = Callable[..., CompletedProcess[str]]


@pytest.mark.parametrize(("size", "inside"), [(1000, 0), (3 << 20, 0), (5000, 123)])
def test_memory_of_another_process(nvemu: Run, size: int, inside: int) -> None:
    values = f"SIZE = {size}\nINSIDE = {inside}\n"
    result = nvemu(
        "run",
        *("--gpus", "t4", "--", sys.executable, "-c", values + EXPORTER, values + IMPORTER),
    )
    assert result.stdout == "ok\n", result.stderr


POOL_EXPORTER = (
    COMMON
    + """
props = (ctypes.c_char * 88)()
ctypes.memmove(props, bytes((ctypes.c_uint * 3)(1, 1, 1)), 12)
pool, pointer, descriptor = c_size_t(), c_size_t(), c_int()
must("cuMemPoolCreate", byref(pool), props)
must("cuMemAllocFromPoolAsync", byref(c_size_t()), c_size_t(5000), pool, None)
must("cuMemAllocFromPoolAsync", byref(pointer), c_size_t(5000), pool, None)
must("cuMemsetD8_v2", pointer, 0x41, c_size_t(5000))
must("cuMemPoolExportToShareableHandle", byref(descriptor), pool, 1, c_ulonglong(0))
data = Handle()
must("cuMemPoolExportPointer", byref(data), pointer)
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(descriptor.value)],
                         pass_fds=[descriptor.value], stdin=subprocess.PIPE)
child.communicate(bytes(data))
assert child.returncode == 0
assert read(pointer.value + 4999, 1) == b"Z"
print("ok")
"""
)

POOL_IMPORTER = (
    COMMON
    + """
data = Handle.from_buffer_copy(sys.stdin.buffer.read(64))
pool, pointer = c_size_t(), c_size_t()
before = free()
must("cuMemPoolImportFromShareableHandle", byref(pool), c_size_t(int(sys.argv[1])), 1,
     c_ulonglong(0))
assert call("cuMemAllocFromPoolAsync", byref(pointer), c_size_t(1), pool, None) == 1
must("cuMemPoolImportPointer", byref(pointer), pool, byref(data))
assert read(pointer.value, 5000) == b"A" * 5000
must("cuMemsetD8_v2", c_size_t(pointer.value + 4999), 0x5A, c_size_t(1))
assert call("cuMemsetD8_v2", pointer, 0, c_size_t(5001)) == 1
assert free() == before
must("cuMemFreeAsync", pointer, None)
assert call("cuMemsetD8_v2", pointer, 0, c_size_t(1)) == 1
assert call("cuMemPoolImportPointer", byref(pointer), pool, byref(Handle())) == 1
"""
)


def test_a_pool_of_another_process(nvemu: Run) -> None:
    result = nvemu(
        "run",
        *("--gpus", "h100-sxm5-80gb", "--", sys.executable, "-c", POOL_EXPORTER, POOL_IMPORTER),
    )
    assert result.stdout == "ok\n", result.stderr


def test_a_process_that_is_gone(nvemu: Run) -> None:
    first = """
pointer, handle = c_size_t(), Handle()
must("cuMemAlloc_v2", byref(pointer), c_size_t(100))
must("cuIpcGetMemHandle", byref(handle), pointer)
if len(sys.argv) > 1:
    sys.stdout.buffer.write(bytes(handle)); sys.exit()
data = subprocess.run([sys.executable, "-c", open("/proc/self/cmdline").read().split(chr(0))[2],
                       "child"], stdout=subprocess.PIPE).stdout
assert len(data) == 64
assert call("cuIpcOpenMemHandle_v2", byref(pointer), Handle.from_buffer_copy(data), 1) == 1
print("ok")
"""
    result = nvemu("run", "--gpus", "t4", "--", sys.executable, "-c", COMMON + first)
    assert result.stdout == "ok\n", result.stderr


KILLED = """
pointer, handle = c_size_t(), Handle()
must("cuMemAlloc_v2", byref(pointer), c_size_t(1 << 30))
must("cuMemsetD8_v2", pointer, 0x4B, c_size_t(10))
must("cuIpcGetMemHandle", byref(handle), pointer)
sys.stdout.buffer.write(bytes(handle)); sys.stdout.flush()
sys.stdin.read()
"""

KILLER = """
before = free()
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE)
handle = Handle.from_buffer_copy(child.stdout.read(64))
assert before - free() >= 1 << 30
pointer = c_size_t()
must("cuIpcOpenMemHandle_v2", byref(pointer), handle, 1)
child.kill()
child.wait()
assert free() == before
assert read(pointer.value, 10) == b"K" * 10
must("cuIpcCloseMemHandle", pointer)
assert call("cuIpcOpenMemHandle_v2", byref(pointer), handle, 1) == 1
print("ok")
"""


def test_a_process_that_is_killed_gives_all_back(nvemu: Run) -> None:
    """What others have mapped of it stays readable, and counts nowhere."""
    result = nvemu(
        "run",
        *("--gpus", "t4", "--", sys.executable, "-c", COMMON + KILLER, COMMON + KILLED),
    )
    assert result.stdout == "ok\n", result.stderr
