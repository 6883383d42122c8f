"""What CUDA calls cost, each beside a bare ctypes callback or memmove, and what the ledger costs.

Printed are medians of rounds that are measured in turn. The ledger is measured in a testbed of 1,
16 and 64 processes that each have a context and memory on the same device.
"""

from __future__ import annotations

import compileall
import ctypes
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from ctypes import byref, c_double, c_int, c_size_t, c_uint, c_ulonglong, c_void_p
from pathlib import Path

from budgets import HERE, compiled, medians, unit
from rich.console import Console
from rich.table import Table

import emulator
from emulator import Gpu, Scenario, Testbed

SCENARIO = Scenario(gpus=[Gpu("h100-sxm5-80gb")])
KIB, MIB = 1 << 10, 1 << 20
PTX = b""".version 7.0
.target sm_52
.address_size 64
.visible .entry nothing(.param .u64 buffer, .param .u32 count) { ret; }
"""
CLIENT = HERE / "ledger_client.py"


def calls(folder: Path) -> Iterator[tuple[str, str, float, float]]:
    """What, beside what, and the seconds of both."""
    loops = loaded(folder)
    prototype = ctypes.CFUNCTYPE(c_int, c_void_p, ctypes.POINTER(c_uint))

    @prototype
    def bare(_device: object, value: Sequence[int]) -> int:
        value[0] = 42  # type: ignore[index]
        return 0

    with emulator.emulate(SCENARIO):
        cuda = started()
        function = kernel(cuda)
        buffer, count = c_ulonglong(allocated(cuda, MIB)), c_uint(7)
        words = (c_void_p * 2)(ctypes.addressof(buffer), ctypes.addressof(count))

        def callback() -> float:
            return loops.callback(bare, 20_000) / 1e9

        def allocation(size: int) -> Callable[[], float]:
            return lambda: loops.allocate(cuda.cuMemAlloc_v2, cuda.cuMemFree_v2, size, 2_000) / 1e9

        beside = {
            "cuMemAlloc + cuMemFree, 1 KB": allocation(KIB),
            "cuMemAlloc + cuMemFree, 16 MB": allocation(16 * MIB),
            "cuMemGetInfo": lambda: loops.information(cuda.cuMemGetInfo_v2, 5_000) / 1e9,
            "cuLaunchKernel": lambda: (
                loops.launch(cuda.cuLaunchKernel, function, words, 2_000) / 1e9
            ),
        }
        for name, measure in beside.items():
            yield name, "bare callback", *medians(measure, callback)
        yield from copies(loops, cuda, callback)


def copies(
    loops: ctypes.CDLL, cuda: ctypes.CDLL, callback: Callable[[], float]
) -> Iterator[tuple[str, str, float, float]]:
    """Copies of 1 KB beside a callback, of 256 MB beside memmove between two host buffers."""
    size = 256 * MIB
    device = c_ulonglong(allocated(cuda, size))
    host, other = (ctypes.create_string_buffer(size) for _ in range(2))
    ctypes.memset(host, 1, size), ctypes.memset(other, 1, size)

    def into(size: int, count: int) -> float:
        return loops.copy_in(cuda.cuMemcpyHtoD_v2, device, host, c_size_t(size), count) / 1e9

    def out(size: int, count: int) -> float:
        return loops.copy_out(cuda.cuMemcpyDtoH_v2, host, device, c_size_t(size), count) / 1e9

    def move() -> float:
        return loops.move(other, host, c_size_t(size), 1) / 1e9

    into(size, 1)  # the pages of both are there now
    yield "cuMemcpyHtoD, 1 KB", "bare callback", *medians(lambda: into(KIB, 5_000), callback)
    yield "cuMemcpyDtoH, 1 KB", "bare callback", *medians(lambda: out(KIB, 5_000), callback)
    yield "cuMemcpyHtoD, 256 MB", "memmove", *medians(lambda: into(size, 1), move, rounds=15)
    yield "cuMemcpyDtoH, 256 MB", "memmove", *medians(lambda: out(size, 1), move, rounds=15)


def loaded(folder: Path) -> ctypes.CDLL:
    """The loops, which all return nanoseconds."""
    loops = ctypes.CDLL(str(compiled("cuda_loops.c", folder, "-shared", "-fPIC")))
    for name in ("callback", "allocate", "copy_in", "copy_out", "move", "launch", "information"):
        getattr(loops, name).restype = c_double
    return loops


def checked(status: int) -> None:
    """Raise where a call did not succeed: a benchmark of failures says nothing."""
    if status:
        raise RuntimeError(f"a CUDA call answered {status}")


def started() -> ctypes.CDLL:
    """libcuda, with a context on the first device."""
    cuda = ctypes.CDLL("libcuda.so.1")
    context = c_void_p()
    checked(cuda.cuInit(0))
    checked(cuda.cuCtxCreate_v2(byref(context), 0, 0))
    return cuda


def allocated(cuda: ctypes.CDLL, size: int) -> int:
    """The address of device memory."""
    pointer = c_ulonglong()
    checked(cuda.cuMemAlloc_v2(byref(pointer), c_size_t(size)))
    return pointer.value


def kernel(cuda: ctypes.CDLL) -> c_void_p:
    """A function of a pointer and a number."""
    module, function = c_void_p(), c_void_p()
    checked(cuda.cuModuleLoadData(byref(module), PTX))
    checked(cuda.cuModuleGetFunction(byref(function), module, b"nothing"))
    return function


@contextmanager
def neighbours(testbed: Testbed, count: int) -> Iterator[None]:
    """Other processes with a context and memory on the testbed's device."""
    with ExitStack() as stack:
        for _ in range(count):
            command = [sys.executable, str(CLIENT), "hold"]
            process = stack.enter_context(
                subprocess.Popen(
                    command,
                    env=testbed.environment(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            process.stdout.readline()
        yield


def ledger() -> Iterator[tuple[int, dict[str, float]]]:
    """How many processes are alive, and the seconds of calls that look at what they hold."""
    for count in (1, 16, 64):
        with Testbed(SCENARIO) as testbed, neighbours(testbed, count - 1):
            command = [sys.executable, str(CLIENT), "measure"]
            done = subprocess.run(
                command, env=testbed.environment(), capture_output=True, text=True, check=True
            )
            rows = (line.rpartition(" ") for line in done.stdout.splitlines())
            yield count, {name: float(value) for name, _, value in rows}


def main() -> None:
    """Measure all and print the tables."""
    compileall.compile_dir(Path(emulator.__file__).parent, quiet=1)
    console = Console(width=110)
    with tempfile.TemporaryDirectory() as folder:
        table = Table("what", "measured", "beside", "takes", "ratio", title="CUDA calls")
        for what, beside, ours, base in calls(Path(folder)):
            table.add_row(what, unit(ours), beside, unit(base), f"{ours / base:.2f}")
        console.print(table)
    rows = list(ledger())
    names = list(rows[0][1])
    table = Table("call", *(f"{count} processes" for count, _ in rows), title="The ledger")
    for name in names:
        table.add_row(name, *(unit(measured[name]) for _, measured in rows))
    console.print(table)


if __name__ == "__main__":
    main()
