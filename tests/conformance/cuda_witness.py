"""A client that notes how a libcuda answers: `cuda_witness.py LIBRARY TOPIC`, JSON on stdout.

Run once with a real library and once with ours; the test compares. No GPU is needed. Where the
real library may crash each call is made in a child process.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from emulator.symbols import read_library

API = Path(__file__).resolve().parents[2] / "stubs" / "api"
NOT_CALLED = ("cudbgMain",)  # the debugger's back end: it takes over the calling thread
UNTOUCHED = 0x1234
SPACE = 1 << 13

CODES = [*range(-3, 1100), 9999, 2**31 - 1, -(2**31)]
# Each CUDA release with driver API additions, the numbers around some of them, and nonsense.
RELEASES = [2000, 2010, 2020, 2030, 3000, 3010, 3020, 4000, 4010, 4020, 5000, 5050, 6000, 6050]
RELEASES += [7000, 7050, 8000, 9000, 9020, 10000, 10010, 10020, 11000, 11010, 11020, 11030, 11040]
RELEASES += [11060, 11070, 11080, 12000, 12010, 12020, 12030, 12040, 12050, 12060, 12080, 13000]
VERSIONS = [-1, 0, 1999, 2001, 3019, 11039, 11041, 12049, 99999, *RELEASES]
FLAGS = [0, 1, 2, 3, 4, 1 << 32, (1 << 64) - 1]


class Witness:
    """A libcuda at a path, and the functions that it exports."""

    def __init__(self, path: str) -> None:
        self.library = ctypes.CDLL(path)
        loaded = Path(path).resolve()
        self.exported = read_library(loaded).of_type("FUNC")

    def errors(self) -> dict[int, Any]:
        """Names and texts of status codes; the pointer is one that must be overwritten."""
        answers = {}
        for code in CODES:
            for function in ("cuGetErrorName", "cuGetErrorString"):
                text = ctypes.c_char_p(b"untouched")
                status = getattr(self.library, function)(code, ctypes.byref(text))
                answers[f"{function}({code})"] = [status, text.value and text.value.decode()]
        return answers

    def addresses(self) -> dict[str, Any]:
        """What cuGetProcAddress finds, by the name of the symbol found."""
        bare = {re.sub(r"(_v\d+)?(_pt[sd][sz])?$", "", name) for name in self.exported}
        names = sorted({*self.exported, *bare, "", "cuNix", "cuinit", "cuInit "})
        symbols = {self._address(name): name for name in self.exported}
        return {
            f"{function}({name!r}, {flag})": [
                self._resolve(function, name, version, flag, symbols) for version in VERSIONS
            ]
            for function in ("cuGetProcAddress", "cuGetProcAddress_v2")
            if function in self.exported
            for name in names
            for flag in (FLAGS if name in ("cuInit", "cuStreamQuery", "cuNix") else FLAGS[:3])
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
            "count before": in_child(lambda: library.cuDeviceGetCount(word)),
            "count after": in_child(lambda: [library.cuInit(0), library.cuDeviceGetCount(word)]),
            "forked": in_child(
                lambda: [
                    library.cuInit(0),
                    in_child(
                        lambda: [
                            library.cuInit(1),
                            library.cuInit(0),
                            library.cuDeviceGetCount(word),
                            library.cuDriverGetVersion(word),
                        ]
                    ),
                ]
            ),
            "export table": in_child(self._export_table),
        }

    def _export_table(self) -> list[Any]:
        found = ctypes.c_size_t(UNTOUCHED)
        return [self.library.cuGetExportTable(ctypes.byref(found), bytes(range(16))), found.value]

    def before(self) -> dict[str, Any]:
        """Every function, never initialised."""
        return self._every_function()

    def after(self) -> dict[str, Any]:
        """Every function after a cuInit that failed."""
        self.library.cuInit(0)
        return self._every_function()

    def _every_function(self) -> dict[str, Any]:
        description = json.loads((API / "cuda.json").read_text(encoding="utf-8"))
        memory = ctypes.create_string_buffer(SPACE * 16)
        answers = {}
        for name in sorted({*self.exported} - {*NOT_CALLED}):
            parameters = description["functions"][name]["params"]
            for valid in (False, True):
                words = arguments(parameters, ctypes.addressof(memory) if valid else 0)
                called = in_child(partial(getattr(self.library, name), *words))
                answers[f"{name}({'valid' if valid else 'null'})"] = called
        return answers


def arguments(parameters: Iterable[dict[str, Any]] | None, memory: int) -> list[ctypes.c_size_t]:
    """Pointers into `memory`, or null; everything else 0: words of the calling convention."""
    if parameters is None:
        return [ctypes.c_size_t(memory)] * 12
    pointers = [parameter["type"].endswith("*") for parameter in parameters]
    return [
        ctypes.c_size_t(memory + index * SPACE if memory and pointer else 0)
        for index, pointer in enumerate(pointers)
    ]


def in_child(call: Callable[[], Any]) -> Any:
    """What `call` returns in a forked child; "died" when it does not return."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        try:
            signal.alarm(10)
            os.write(write_end, json.dumps(call()).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with open(read_end, encoding="ascii") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else "died"


if __name__ == "__main__":
    print(json.dumps(getattr(Witness(sys.argv[1]), sys.argv[2])()))
