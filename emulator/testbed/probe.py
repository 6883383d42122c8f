"""A program of its own, run in a child: it calls what may crash or hang.

    probe.py nvml libnvidia-ml.so.1      load the library, initialise it, ask who it is
    probe.py cuda libcuda.so.1
    probe.py load FILE...                load each file
    probe.py open FILE...                open each file to read and write, and close it

Prints a line of JSON before each step and one with its result, so that the last line tells where
it ended. Standard library only; nothing of nvemu is imported.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

TEXT_SIZE = 96

Names = tuple[str, ...]


def say(step: str, **result: Any) -> None:
    """A line about a step: without a result, that it begins."""
    print(json.dumps({"step": step, **result}), flush=True)


def load(name: str) -> ctypes.CDLL | None:
    """Load a library; says from where, or what the loader says."""
    say("dlopen")
    try:
        library = ctypes.CDLL(name)
    except OSError as error:
        say("dlopen", error=str(error))
        return None
    say("dlopen", path=path_of(library))
    return library


def path_of(library: ctypes.CDLL) -> str:
    """The file that a library was loaded from: the loader's handle begins with where the library
    is in memory and with this name."""
    name = ctypes.c_char_p.from_address(library._handle + ctypes.sizeof(ctypes.c_void_p)).value
    return os.path.abspath(os.fsdecode(name or b""))


def call(
    library: ctypes.CDLL,
    describe: Callable[[int], str],
    names: Names,
    *arguments: object,
    written: Callable[[], object] | None = None,
) -> bool:
    """Call the first of the functions that the library has; says its code and what it wrote."""
    name = next((name for name in names if hasattr(library, name)), None)
    if name is None:
        say(names[0], missing=True)
        return False
    say(name)
    code: int = getattr(library, name)(*arguments)
    value = {} if written is None or code else {"value": written()}
    say(name, code=code, text=describe(code) if code else "", **value)
    return code == 0


def nvml(library: ctypes.CDLL) -> None:
    """Initialise NVML and ask who it is."""
    text, number = ctypes.create_string_buffer(TEXT_SIZE), ctypes.c_int()
    ask = partial(call, library, partial(nvml_text, library))
    if not ask(("nvmlInit_v2", "nvmlInit")):
        return
    version = ("nvmlSystemGetDriverVersion",)
    ask(version, text, TEXT_SIZE, written=lambda: readable(text.value))
    for names in (
        ("nvmlSystemGetCudaDriverVersion_v2", "nvmlSystemGetCudaDriverVersion"),
        ("nvmlDeviceGetCount_v2", "nvmlDeviceGetCount"),
    ):
        ask(names, ctypes.byref(number), written=lambda: number.value)
    ask(("nvmlShutdown",))


def nvml_text(library: ctypes.CDLL, code: int) -> str:
    """NVML's text for a code."""
    if not hasattr(library, "nvmlErrorString"):
        return ""
    library.nvmlErrorString.restype = ctypes.c_char_p
    return readable(library.nvmlErrorString(code))


def cuda(library: ctypes.CDLL) -> None:
    """Initialise CUDA and ask who it is."""
    number = ctypes.c_int()
    ask = partial(call, library, partial(cuda_text, library))
    ask(("cuDriverGetVersion",), ctypes.byref(number), written=lambda: number.value)
    if ask(("cuInit",), 0):
        ask(("cuDeviceGetCount",), ctypes.byref(number), written=lambda: number.value)


def cuda_text(library: ctypes.CDLL, code: int) -> str:
    """CUDA's text for a code."""
    text = ctypes.c_char_p()
    if hasattr(library, "cuGetErrorString"):
        library.cuGetErrorString(code, ctypes.byref(text))
    return readable(text.value)


def readable(text: bytes | None) -> str:
    """What a library wrote, as text."""
    return (text or b"").decode("utf-8", "replace")


def open_all(*paths: str) -> None:
    """Open files to read and write; says the number of the error, 0 for none."""
    for path in paths:
        say(path)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as error:
            say(path, code=error.errno, text=error.strerror)
        else:
            say(path, code=0, text="")


def initialise(start: Callable[[ctypes.CDLL], None], name: str) -> None:
    """Load a library and start it."""
    library = load(name)
    if library is not None:
        start(library)


def load_all(*paths: str) -> None:
    """Load files, each after the other."""
    for path in paths:
        load(path)


KINDS: dict[str, Callable[..., None]] = {
    "nvml": partial(initialise, nvml),
    "cuda": partial(initialise, cuda),
    "load": load_all,
    "open": open_all,
}


def main(kind: str, *arguments: str) -> None:
    """Do one of the things above."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    # One byte: a limit of none at all does not keep the kernel from starting a crash reporter.
    resource.setrlimit(resource.RLIMIT_CORE, (1 if hard else 0, hard))
    KINDS[kind](*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
