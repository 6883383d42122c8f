"""Recording what CUDA functions look at before they ask for cuInit, from the real libraries.

    python -m stubs.generate.before_init DRIVERS

DRIVERS is the folder of real libraries (`<version>/libcuda.so.1`); no GPU is needed. Most
functions answer 3 (NOT_INITIALIZED) to any arguments. Some refuse a null pointer, a null handle or
a zero before that. Each function is called with arguments that it has no objection to, then with
each of them zero in turn, every call in a child of its own, as some crash. A function that always
objects to something else gets its answer recorded as it is, or as its null handle's.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from emulator.api import Function, Parameter
from emulator.cuda import api
from stubs.generate.emit import load
from stubs.generate.paths import API
from stubs.generate.symbols import recorded_tables

__all__ = ["record", "write"]

TARGET = Path(__file__).resolve().parents[2] / "emulator" / "cuda" / "_before_init.py"
NOT_INITIALIZED = 3
SPACE = 1 << 13  # zeroed memory behind each pointer
SECONDS = 5  # a call that takes longer is given up

Rows = dict[str, str]
"""By function: `name=code` for each parameter that is looked at, in order; `=code`: any call."""


def record(drivers: Path) -> dict[str, Rows]:
    """The rows of the oldest driver, and of each later one those that differ."""
    recorded: dict[str, Rows] = {}
    known: Rows = {}
    for driver, table in recorded_tables("cuda").items():
        library = drivers / driver / "libcuda.so.1"
        if library.exists():
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                heard = pool.submit(ask_library, library, table.of_type("FUNC")).result()
            recorded[driver] = {n: row for n, row in heard.items() if row != known.get(n, "")}
            known |= heard
    return recorded


def ask_library(path: Path, names: list[str]) -> Rows:
    """Load the real libcuda in this process and ask about each function."""
    library = ctypes.CDLL(str(path))
    asked = (name for name in names if api.find(name).returns == api.status)
    return {name: " ".join(Question(library, api.find(name)).checks()) for name in asked}


class Question:
    """One function of a real library that was not initialised."""

    def __init__(self, library: ctypes.CDLL, function: Function) -> None:
        description = load(API, "cuda")
        self.target = getattr(library, function.name)
        self.parameters = function.parameters or ()
        pointers = {name for name, kind in description["handles"].items() if kind == "pointer"}
        self.handles = pointers | set(description["callbacks"])
        self.memory = ctypes.create_string_buffer(SPACE * (len(self.parameters) + 1))

    def checks(self) -> Iterator[str]:
        """What is looked at, in order: the check that answers when all are zero comes first."""
        found = list(self._found())
        first = self._ask(set(range(len(self.parameters))), True, 1)
        for name, code in sorted(found, key=lambda check: check[1] != first):
            yield f"{name}={code}"

    def _found(self) -> Iterator[tuple[str, int]]:
        for with_handles, number in product((True, False), (1, 0)):
            if self._ask(set(), with_handles, number) == NOT_INITIALIZED:
                yield from self._zeroed(with_handles, number, NOT_INITIALIZED)
                return
        usual = self._ask(set(), False, 1)
        if usual:
            yield from self._zeroed(False, 1, usual)
            handles = [p.name for p in self.parameters if self._is_handle(p)]
            yield (handles or [""])[0], usual

    def _zeroed(self, with_handles: bool, number: int, usual: int) -> Iterator[tuple[str, int]]:
        for index, parameter in enumerate(self.parameters):
            code = self._ask({index}, with_handles, number)
            if code and code != usual:
                yield parameter.name, code

    def _ask(self, zero: set[int], with_handles: bool, number: int) -> int | None:
        """The status of one call; None when it did not return."""
        words = [
            self._word(index, parameter, index in zero, with_handles, number)
            for index, parameter in enumerate(self.parameters)
        ]
        read_end, write_end = os.pipe()
        child = os.fork()
        if not child:
            self._call(words, write_end)
        os.close(write_end)
        with open(read_end, encoding="ascii") as pipe:
            answer = pipe.read()
        os.waitpid(child, 0)
        return int(answer) if answer else None

    def _call(self, words: list[Any], pipe: int) -> None:
        try:
            signal.alarm(SECONDS)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            os.write(pipe, str(self.target(*words)).encode())
        finally:
            os._exit(0)

    def _word(
        self, index: int, parameter: Parameter, zero: bool, with_handles: bool, number: int
    ) -> Any:
        kind = ctypes.c_size_t if parameter.is_pointer else api.types[parameter.type]
        if zero or parameter.type == "CUdevice" or hasattr(kind, "_fields_"):
            return kind()
        if parameter.is_pointer or (self._is_handle(parameter) and with_handles):
            return kind(ctypes.addressof(self.memory) + index * SPACE)
        if self._is_handle(parameter):
            return kind()
        return kind(bytes([number]) if kind is ctypes.c_char else number)

    def _is_handle(self, parameter: Parameter) -> bool:
        return not parameter.is_pointer and parameter.type in self.handles


def write(recorded: dict[str, Rows], path: Path = TARGET) -> None:
    """Write the module that the package reads."""
    drivers = ", ".join(recorded)
    lines = [
        '"""What functions look at before they ask for cuInit: parameter=code, `=code` for any.',
        "",
        f"Recorded by stubs/generate/before_init.py from the real libraries {drivers};",
        "each driver's rows that differ from the one before it. Newer drivers: as the last.",
        '"""',
        "",
        "CHECKS = {",
    ]
    for driver, rows in recorded.items():
        lines.append(f"    {json.dumps(driver)}: {{")
        lines += [f"        {json.dumps(n)}: {json.dumps(row)}," for n, row in sorted(rows.items())]
        lines.append("    },")
    path.write_text("\n".join([*lines, "}"]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(record(Path(sys.argv[1])))
