"""Events that processes share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

from emulator import Gpu, Scenario

#: How both programs begin: with a context, a stream, and what their calls are made by.
BEGIN = """
import ctypes, os, subprocess, sys, time
from ctypes import byref, c_size_t, c_uint, c_void_p

cuda = ctypes.CDLL("libcuda.so.1")


class Handle(ctypes.Structure):
    _fields_ = [("reserved", ctypes.c_ubyte * 64)]


def expect(status, found):
    assert found == status, (found, status)


def make(function, *arguments):
    made = c_void_p()
    expect(0, function(byref(made), *arguments))
    return made


expect(0, cuda.cuInit(0))
make(cuda.cuCtxCreate_v2, 0, 0)
stream = make(cuda.cuStreamCreate, 1)
"""

PROGRAM = """
if len(sys.argv) > 1:
    handle = Handle.from_buffer_copy(bytes.fromhex(sys.argv[1]))
    event = make(cuda.cuIpcOpenEventHandle, handle)
    expect(600, cuda.cuEventQuery(event))
    expect(0, cuda.cuStreamWaitEvent(stream, event, 0))
    expect(600, cuda.cuStreamQuery(stream))
    print("waiting", flush=True)
    expect(0, cuda.cuStreamSynchronize(stream))
    expect(0, cuda.cuEventQuery(event))
    print("done", flush=True)
    word = make(cuda.cuMemAllocHost_v2, c_size_t(64))
    c_uint.from_address(word.value).value = 0
    expect(0, cuda.cuStreamWaitValue32_v2(stream, word, 1, 0))
    expect(0, cuda.cuEventRecord(event, stream))
    print("recorded", flush=True)
    assert sys.stdin.readline() == "go on\\n"
    c_uint.from_address(word.value).value = 1
    expect(0, cuda.cuEventSynchronize(event))
    sys.exit()

event, plain = make(cuda.cuEventCreate, 6), make(cuda.cuEventCreate, 0)
handle, opened = Handle(), c_void_p()
expect(400, cuda.cuIpcGetEventHandle(byref(handle), plain))
expect(0, cuda.cuIpcGetEventHandle(byref(handle), event))
expect(201, cuda.cuIpcOpenEventHandle(byref(opened), handle))
expect(1, cuda.cuIpcOpenEventHandle(byref(opened), Handle()))
word = make(cuda.cuMemAllocHost_v2, c_size_t(64))
c_uint.from_address(word.value).value = 0
expect(0, cuda.cuStreamWaitValue32_v2(stream, word, 1, 0))
expect(0, cuda.cuEventRecord(event, stream))
other = subprocess.Popen(
    [sys.executable, __file__, bytes(handle).hex()],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
)
assert other.stdout.readline() == "waiting\\n"
c_uint.from_address(word.value).value = 1
assert other.stdout.readline() == "done\\n"
assert other.stdout.readline() == "recorded\\n"
expect(600, cuda.cuEventQuery(event))
other.stdin.write("go on\\n")
other.stdin.flush()
expect(0, cuda.cuEventSynchronize(event))
assert other.wait() == 0
expect(0, cuda.cuEventDestroy_v2(event))
print("both")
"""


def test_two_processes(run_in: Callable[..., CompletedProcess[str]], tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(BEGIN + PROGRAM, encoding="utf-8")
    done = run_in(Scenario(gpus=[Gpu("t4")]), [sys.executable, program])
    assert (done.stdout, done.stderr, done.returncode) == ("both\n", "", 0)


DYING = """
if len(sys.argv) > 1:
    event, handle = make(cuda.cuEventCreate, 6), Handle()
    expect(0, cuda.cuIpcGetEventHandle(byref(handle), event))
    word = make(cuda.cuMemAllocHost_v2, c_size_t(64))
    c_uint.from_address(word.value).value = 0
    expect(0, cuda.cuStreamWaitValue32_v2(stream, word, 1, 0))
    expect(0, cuda.cuEventRecord(event, stream))
    print(bytes(handle).hex(), flush=True)
    sys.stdin.readline()

command = [sys.executable, __file__, "records"]
other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
handle = Handle.from_buffer_copy(bytes.fromhex(other.stdout.readline()))
event = make(cuda.cuIpcOpenEventHandle, handle)
expect(600, cuda.cuEventQuery(event))
expect(0, cuda.cuStreamWaitEvent(stream, event, 0))
other.kill()  # and it is not waited for: a zombie
expect(0, cuda.cuEventSynchronize(event))
expect(0, cuda.cuStreamSynchronize(stream))
expect(0, cuda.cuEventRecord(event, stream))
expect(0, cuda.cuEventQuery(event))
print("alone")
"""


def test_a_process_that_dies_is_not_waited_for(
    run_in: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(BEGIN + DYING, encoding="utf-8")
    done = run_in(Scenario(gpus=[Gpu("t4")]), [sys.executable, program])
    assert (done.stdout, done.stderr, done.returncode) == ("alone\n", "", 0)
