"""A client that notes how a library answers: `witness.py NAME LIBRARY TOPIC`, JSON on stdout.

NAME is cuda or nvml, LIBRARY a path. Run once with a real library and once with ours, and compared
by oracle.py. No GPU is needed. Calls that a real library may not survive are made in child
processes.

Answers are by call, `cuInit(null)` or `cuGetErrorName(100)`; where a call is made in many ways an
answer is again by those.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from emulator.symbols import read_library
from emulator.vocabulary import apis

__all__ = ["ARGUMENTS", "DIED", "TOPICS", "WITNESSES"]

DIED = "died"
SECONDS = 3  # a call that takes longer is given up
BATCH = 50  # calls that one child makes
COUNTING = ("cudbg",)  # functions whose answer depends on how often they were called
UNTOUCHED = 0x1234
BUFFER = 4096
WORDS = 12  # what a function without a prototype is called with
# The debugger's back end, which takes over the calling thread; and what `initialisation` is about.
NOT_CALLED = ("cudbgMain", "cuInit")

ARGUMENTS = ("null", "buffers", "words")
"""What functions are called with: zeros; zeroed buffers of 4 KB where the prototype has pointers,
else zeros; addresses of such buffers in all places, as a caller without a prototype does it."""

CODES = [*range(-3, 1101), 9999, 2**31 - 1, -(2**31)]
# Each CUDA release with driver API additions, the numbers around some of them, and nonsense.
RELEASES = [2000, 2010, 2020, 2030, 3000, 3010, 3020, 4000, 4010, 4020, 5000, 5050, 6000, 6050]
RELEASES += [7000, 7050, 8000, 9000, 9010, 9020, 10000, 10010, 10020, 11000, 11010, 11020, 11030]
RELEASES += [11040, 11050, 11060, 11070, 11080, 12000, 12010, 12020, 12030, 12040, 12050, 12060]
RELEASES += [12080, 12090, 13000, 13010, 13020]
VERSIONS = [-1, 0, 1999, 2001, 3019, 11039, 11041, 12049, 99999, *RELEASES]
FLAGS = [0, 1, 2, 3, 4, 1 << 32, (1 << 64) - 1]
MANY_FLAGS = ("cuInit", "cuStreamQuery", "cuNix")  # names that are asked for with all of them


class Witness:
    """A library at a path, and the functions that it exports."""

    def __init__(self, name: str, path: str) -> None:
        self.library = ctypes.CDLL(path)
        self.api = apis()[name]
        self.exported = sorted(read_library(Path(path).resolve()).of_type("FUNC"))
        # At an address that is the same in each process: half of it may be taken for a number.
        self.memory = mapped(0x7E00_0000_0000, BUFFER * 512)

    def initialise(self) -> None:
        """Have the library try, and fail."""
        raise NotImplementedError

    def before(self) -> dict[str, Any]:
        """Every function, never initialised."""
        return self._every_function()

    def after(self) -> dict[str, Any]:
        """Every function after an initialisation that failed."""
        self.initialise()
        return self._every_function()

    def _every_function(self) -> dict[str, Any]:
        calls = {
            f"{name}({kind})": partial(self._call, name, kind)
            for name in self.exported
            if name not in NOT_CALLED
            for kind in ARGUMENTS
        }
        alone = {call: made for call, made in calls.items() if call.startswith(COUNTING)}
        together = {call: made for call, made in calls.items() if call not in alone}
        answers = dict(zip(together, in_children([*together.values()]), strict=True))
        return answers | {call: in_child(made) for call, made in alone.items()}

    def _call(self, name: str, kind: str) -> int:
        """Call a function, with buffers as good as new."""
        ctypes.memset(self.memory, 0, BUFFER * WORDS)
        status: int = getattr(self.library, name)(*self._words(name, kind))
        return status

    def _words(self, name: str, kind: str) -> list[ctypes.c_size_t]:
        parameters = self.api.find(name).parameters
        pointers = [True] * WORDS
        if parameters is not None and kind != "words":
            pointers = [p.is_pointer or p.type.endswith("*") for p in parameters]
        return [
            ctypes.c_size_t(self.memory + index * BUFFER if pointer and kind != "null" else 0)
            for index, pointer in enumerate(pointers)
        ]


class CudaWitness(Witness):
    """A libcuda."""

    def initialise(self) -> None:
        self.library.cuInit(0)

    def errors(self) -> dict[str, Any]:
        """Names and texts of status codes; the pointer is one that must be overwritten."""
        return {
            function: {str(code): self._text(function, code) for code in CODES}
            for function in ("cuGetErrorName", "cuGetErrorString")
        }

    def _text(self, function: str, code: int) -> list[Any]:
        text = ctypes.c_char_p(b"untouched")
        status = getattr(self.library, function)(code, ctypes.byref(text))
        return [status, text.value and text.value.decode()]

    def addresses(self) -> dict[str, Any]:
        """What cuGetProcAddress finds, by the name of the symbol found."""
        bare = {re.sub(r"(_v\d+)?(_pt[sd][sz])?$", "", name) for name in self.api.names}
        names = sorted({*self.exported, *bare, "", "cuNix", "cuinit", "cuInit "})
        symbols = {self._address(name): name for name in self.exported}
        return {
            f"{function}({name!r}, {flag})": {
                str(version): self._resolve(function, name, version, flag, symbols)
                for version in VERSIONS
            }
            for function in ("cuGetProcAddress", "cuGetProcAddress_v2")
            if function in self.exported
            for name in names
            for flag in (FLAGS if name in MANY_FLAGS else FLAGS[:3])
        }

    def _resolve(
        self, function: str, name: str, version: int, flag: int, symbols: dict[int, str]
    ) -> list[Any]:
        found, outcome = ctypes.c_size_t(UNTOUCHED), ctypes.c_int(UNTOUCHED)
        arguments = [name.encode(), ctypes.byref(found), version, ctypes.c_uint64(flag)]
        if function == "cuGetProcAddress_v2":
            arguments.append(ctypes.byref(outcome))
        status = getattr(self.library, function)(*arguments)
        return [status, symbols.get(found.value, found.value), outcome.value]

    def _address(self, name: str) -> int:
        return ctypes.cast(getattr(self.library, name), ctypes.c_void_p).value or 0

    def initialisation(self) -> dict[str, Any]:
        """cuInit on a machine without a GPU, its flags, and a child forked after it."""
        library, word = self.library, ctypes.byref(ctypes.c_size_t())
        return {
            "flags": in_child(lambda: library.cuInit(1)),
            "no device": in_child(lambda: library.cuInit(0)),
            "again": in_child(lambda: [library.cuInit(0), library.cuInit(0), library.cuInit(7)]),
            "version": in_child(self._version),
            "count before": in_child(lambda: library.cuDeviceGetCount(word)),
            "count after": in_child(lambda: [library.cuInit(0), library.cuDeviceGetCount(word)]),
            "forked": in_child(lambda: [library.cuInit(0), in_child(self._in_a_fork)]),
            "export table": in_child(self._export_table),
            "export table after": in_child(lambda: [library.cuInit(0), self._export_table()]),
        }

    def _in_a_fork(self) -> list[int]:
        library, word = self.library, ctypes.byref(ctypes.c_size_t())
        codes = [library.cuInit(1), library.cuInit(0), library.cuDeviceGetCount(word)]
        return [*codes, library.cuDriverGetVersion(word)]

    def _version(self) -> list[int]:
        version = ctypes.c_int(UNTOUCHED)
        return [self.library.cuDriverGetVersion(ctypes.byref(version)), version.value]

    def _export_table(self) -> list[Any]:
        found = ctypes.c_size_t(UNTOUCHED)
        return [self.library.cuGetExportTable(ctypes.byref(found), bytes(range(16))), found.value]


class NvmlWitness(Witness):
    """A libnvidia-ml."""

    def initialise(self) -> None:
        self.library.nvmlInit_v2()

    def before(self) -> dict[str, Any]:
        return self._without_texts(super().before())

    def after(self) -> dict[str, Any]:
        return self._without_texts(super().after())

    def _without_texts(self, answers: dict[str, Any]) -> dict[str, Any]:
        """nvmlErrorString returns a pointer, whose number says nothing (see `errors`)."""
        return {call: a for call, a in answers.items() if not call.startswith("nvmlErrorString(")}

    def errors(self) -> dict[str, Any]:
        """Texts of status codes."""
        text = self.library.nvmlErrorString
        text.restype = ctypes.c_char_p
        return {"nvmlErrorString": {str(code): text(code).decode() for code in CODES}}

    def initialisation(self) -> dict[str, Any]:
        """The forms of nvmlInit without a driver, what is balanced by nvmlShutdown, the version."""
        library = self.library
        flags = [0, 1, 2, 3, 4, 1 << 31]
        return {
            "init": in_child(lambda: [library.nvmlInit(), library.nvmlInit_v2()]),
            "flags": in_child(lambda: [library.nvmlInitWithFlags(flag) for flag in flags]),
            "shutdown": in_child(lambda: [library.nvmlShutdown(), library.nvmlShutdown()]),
            "init, shutdown": in_child(lambda: [library.nvmlInit_v2(), library.nvmlShutdown()]),
            "version": in_child(lambda: [self._version(length) for length in (80, 5, 0)]),
        }

    def _version(self, length: int) -> list[Any]:
        text = ctypes.create_string_buffer(b"untouched", 80)
        return [self.library.nvmlSystemGetNVMLVersion(text, length), text.value.decode()]


WITNESSES: dict[str, type[Witness]] = {"cuda": CudaWitness, "nvml": NvmlWitness}

TOPICS = {
    "cuda": ("addresses", "errors", "initialisation", "before", "after"),
    "nvml": ("errors", "initialisation", "before", "after"),
}
"""By library, the methods of its witness that a run may ask for."""


def mapped(address: int, size: int) -> int:
    """Zeroed memory at an address."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_size_t
    words = [ctypes.c_size_t(address), ctypes.c_size_t(size)]
    access = mmap.PROT_READ | mmap.PROT_WRITE
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    found = libc.mmap(*words, access, flags, -1, ctypes.c_size_t(0))
    if found != address:
        raise MemoryError(f"something lies at {address:#x}")
    return address


def in_child(call: Callable[[], Any]) -> Any:
    """What `call` returns in a forked child; DIED when it does not return."""
    return in_children([call])[0]


def in_children(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each of `calls` returns, in forked children: a new one after each that died."""
    answers: list[Any] = []
    while len(answers) < len(calls):
        answers += _answers_of_a_child(calls[len(answers) :][:BATCH])
    return answers


def _answers_of_a_child(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """As many answers as there are calls; fewer, with DIED as the last, when it died."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            for call in calls:
                signal.alarm(SECONDS)
                os.write(write_end, json.dumps(call()).encode() + b"\n")
        finally:
            os._exit(0)
    os.close(write_end)
    with open(read_end, encoding="ascii") as pipe:
        answers = [json.loads(line) for line in pipe]
    os.waitpid(child, 0)
    return answers if len(answers) == len(calls) else [*answers, DIED]


if __name__ == "__main__":
    _, name, path, topic = sys.argv
    print(json.dumps(getattr(WITNESSES[name](name, path), topic)()))
