"""What a client of NVML (through pynvml) or CUDA (through ctypes) sees, a line an answer.

    python gallery_client.py nvml|cuda LIMIT [again]

It tries to initialise up to four times, and SIGALRM ends it LIMIT seconds after the first. With
`again` it waits for a line on its standard input when it is through, and then asks everything once
more, in the same process.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from ctypes import byref
from functools import partial
from pathlib import Path
from typing import Any

import pynvml

TRIES = 4
SLOW = 1.5  # seconds above which an initialisation is said to be slow
MIB = 1 << 20

Question = Callable[[], Any]


def say(name: str, answer: object) -> None:
    print(f"{name}: {answer}", flush=True)


class CudaError(Exception):
    """A CUresult; its text is the name that cuGetErrorName has for it."""


def ask(name: str, question: Question) -> Any:
    """Say the answer, or the name of the error; returns the answer, or None."""
    try:
        answer = question()
    except (pynvml.NVMLError, pynvml.NVMLLibraryMismatchError) as error:
        return say(name, type(error).__name__)
    except CudaError as error:
        return say(name, error)
    except AttributeError as error:  # ctypes: "PATH: undefined symbol: NAME"
        return say(name, str(error).partition(": ")[2])
    except OSError as error:
        return say(name, f"OSError: {shorten(str(error))}")
    say(name, answer)
    return answer


def shorten(message: str) -> str:
    """A message of the dynamic loader, without the folder of the library."""
    path, colon, rest = message.partition(": ")
    return os.path.basename(path) + colon + rest


def initialise(question: Question, limit: int) -> bool:
    say("init", "called")
    signal.alarm(limit)
    started = time.monotonic()
    for attempt in range(1, TRIES + 1):
        name = "init" if attempt == 1 else f"init, try {attempt}"
        if ask(name, question) is not None:
            if time.monotonic() - started > SLOW:
                say("init", "slow")
            return True
    return False


def done(function: Callable[..., Any], *arguments: Any) -> str:
    function(*arguments)
    return "ok"


class Nvml:
    """What pynvml finds."""

    def start(self, limit: int) -> bool:
        return initialise(partial(done, pynvml.nvmlInit), limit)

    def again(self) -> None:
        ask("init", partial(done, pynvml.nvmlInit))

    def ask(self) -> None:
        ask("driver", pynvml.nvmlSystemGetDriverVersion)
        for index in range(ask("count", pynvml.nvmlDeviceGetCount) or 0):
            found = partial(pynvml.nvmlDeviceGetHandleByIndex, index)
            handle = ask(f"gpu {index} handle", lambda get=found: Handle(get()))
            if handle is not None:
                for name, question in self.questions(handle.handle):
                    ask(f"gpu {index} {name}", question)

    def questions(self, gpu: Any) -> Iterator[tuple[str, Question]]:
        n = pynvml
        yield "name", lambda: n.nvmlDeviceGetName(gpu)
        yield "name in 64 bytes", lambda: short_name(gpu)
        yield "uuid", lambda: n.nvmlDeviceGetUUID(gpu)
        yield "memory", lambda: memory(n.nvmlDeviceGetMemoryInfo(gpu))
        yield "memory v2", lambda: memory(n.nvmlDeviceGetMemoryInfo(gpu, n.nvmlMemory_v2))
        yield "power", lambda: f"{n.nvmlDeviceGetPowerUsage(gpu)} mW"
        yield "compute mode", lambda: n.nvmlDeviceGetComputeMode(gpu)
        yield "processes", lambda: pids(n.nvmlDeviceGetComputeRunningProcesses, gpu)
        yield "processes v2", lambda: pids(n.nvmlDeviceGetComputeRunningProcesses_v2, gpu)
        yield "inforom", lambda: done(n.nvmlDeviceValidateInforom, gpu)
        yield "ecc errors", lambda: where_there_is(n.nvmlDeviceGetTotalEccErrors, gpu, 1, 0)
        yield "remapped rows", lambda: where_there_is(n.nvmlDeviceGetRemappedRows, gpu)
        yield "mig", lambda: where_there_is(n.nvmlDeviceGetMigMode, gpu)
        yield "mig devices", lambda: mig_devices(gpu)
        yield "fabric", lambda: where_there_is(fabric_state, gpu)

    def stop(self) -> None:
        ask("shutdown", partial(done, pynvml.nvmlShutdown))


class Handle:
    """A handle, said as "ok"."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle

    def __str__(self) -> str:
        return "ok"


def short_name(gpu: Any) -> str:
    """The name as a client sees it that has the buffer of the old headers, and wants no error."""
    buffer = ctypes.create_string_buffer(pynvml.NVML_DEVICE_NAME_BUFFER_SIZE)
    pynvml._nvmlCheckReturn(pynvml.nvmlLib.nvmlDeviceGetName(gpu, buffer, len(buffer)))
    return buffer.value.decode()


def memory(info: Any) -> str:
    return f"{info.free // MIB} of {info.total // MIB} MiB free"


def pids(question: Callable[..., Any], gpu: Any) -> str:
    return ", ".join(str(process.pid) for process in question(gpu)) or "none"


def where_there_is(question: Callable[..., Any], *arguments: Any) -> Any:
    """An answer that not all products have."""
    try:
        return question(*arguments)
    except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound):
        return "none"


def mig_devices(gpu: Any) -> int:
    count = 0
    for index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu)):
        try:
            pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index)
        except (pynvml.NVMLError_NotFound, pynvml.NVMLError_NotSupported):
            continue
        count += 1
    return count


def fabric_state(gpu: Any) -> int:
    info = pynvml.c_nvmlGpuFabricInfo_t()
    pynvml.nvmlDeviceGetGpuFabricInfo(gpu, byref(info))
    return info.state


class Cuda:
    """What a program finds that knows CUDA as Ollama does: with a context on each GPU."""

    def start(self, limit: int) -> bool:
        for folder in filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":")):
            path = Path(folder) / "libcuda.so.1"
            if path.exists():
                ask("by path", partial(done, ctypes.CDLL, str(path)))
        if ask("load", self.load) is None:
            return False
        return initialise(partial(self.call, "cuInit", 0), limit)

    def again(self) -> None:
        ask("init", partial(self.call, "cuInit", 0))

    def load(self) -> str:
        self.library = ctypes.CDLL("libcuda.so.1")
        return "ok"

    def call(self, name: str, *arguments: Any) -> str:
        status = getattr(self.library, name)(*arguments)
        if status:
            text = ctypes.c_char_p()
            self.library.cuGetErrorName(status, byref(text))
            raise CudaError((text.value or b"?").decode())
        return "ok"

    def get(self, name: str, kind: Any, *arguments: Any) -> Any:
        value = kind()
        self.call(name, byref(value), *arguments)
        return value.value

    def ask(self) -> None:
        ask("version", partial(self.get, "cuDriverGetVersion", ctypes.c_int))
        count = ask("count", partial(self.get, "cuDeviceGetCount", ctypes.c_int))
        for ordinal in range(count or 0):
            for name, question in self.questions(ordinal):
                ask(f"gpu {ordinal} {name}", question)

    def questions(self, ordinal: int) -> Iterator[tuple[str, Question]]:
        yield "name", lambda: self.name(ordinal)
        yield "uuid", lambda: self.uuid(ordinal)
        yield "total", lambda: self.total(ordinal)
        yield "context", lambda: self.memory_in_context(ordinal)

    def name(self, ordinal: int) -> str:
        buffer = ctypes.create_string_buffer(64)
        self.call("cuDeviceGetName", buffer, len(buffer), ordinal)
        return buffer.value.decode()

    def uuid(self, ordinal: int) -> str:
        buffer = (ctypes.c_ubyte * 16)()
        self.call("cuDeviceGetUuid", buffer, ordinal)
        text = bytes(buffer).hex()
        return "GPU-" + "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))

    def total(self, ordinal: int) -> str:
        return f"{self.get('cuDeviceTotalMem_v2', ctypes.c_size_t, ordinal) // MIB} MiB"

    def memory_in_context(self, ordinal: int) -> str:
        context = ctypes.c_void_p()
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self.call("cuCtxCreate_v3", byref(context), None, 0, 0, ordinal)
        try:
            self.call("cuMemGetInfo_v2", byref(free), byref(total))
        finally:
            self.call("cuCtxDestroy_v2", context)
        return f"{free.value // MIB} of {total.value // MIB} MiB free"

    def stop(self) -> None:
        """CUDA has no end."""


def main(library: str, limit: str, *more: str) -> None:
    client = Nvml() if library == "nvml" else Cuda()
    if client.start(int(limit)):
        client.ask()
        if "again" in more:
            say("again", "waits")
            sys.stdin.readline()
            client.again()
            client.ask()
        client.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
