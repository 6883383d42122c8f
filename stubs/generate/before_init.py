"""Recording what CUDA functions look at before they ask for cuInit, from the real libraries.

    python -m stubs.generate.before_init DRIVERS

DRIVERS is the folder of real libraries (`<version>/libcuda.so.1`); no GPU is needed. Most
functions answer 3 (NOT_INITIALIZED) to any arguments. Some refuse a null pointer, a null handle or
a zero before that. Each function is called with arguments that it has no objection to, then with
each of them zero in turn, every call in a child of its own, as some crash. Where no arguments were
found that lead to a 3, the objection is taken to be to the null handle: a real one cannot be had.
(To a null stream only where there is no other handle: it is the default stream.)
Some refuse two null pointers and take one, which is tried last of the zeros. Then each value that
is not a pointer is a number that is none, the low half of an address: flags and enumerators out of
range, and handles that the library never gave out, behind which it finds zeros.

All of it is asked twice: never initialised, and after a cuInit that failed. From then on some more
functions look at their arguments first.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from emulator.api import Function, Parameter
from emulator.cuda import api
from emulator.symbols import read_library
from stubs.generate.debian import RECORDED
from stubs.generate.paths import API

__all__ = ["record", "write"]

TARGET = Path(__file__).resolve().parents[2] / "emulator" / "cuda" / "_before_init.py"
SUCCESS, NOT_INITIALIZED = 0, 3
# These work without cuInit, or are it, or want more than zeros behind a pointer: their handlers
# know their arguments.
WORKING = (
    *("cuCoredumpGetAttribute", "cuCoredumpGetAttributeGlobal"),
    *("cuCoredumpSetAttribute", "cuCoredumpSetAttributeGlobal"),
    *("cuDriverGetVersion", "cuGetErrorName", "cuGetErrorString", "cuGetExportTable"),
    *("cuGetProcAddress", "cuGetProcAddress_v2", "cuInit"),
)
SPACE = 1 << 13  # zeroed memory behind each pointer
SECONDS = 5  # a call that takes longer is given up
BASES = tuple(product((True, False), (1, 0)))  # with handles, and which number: what may pass
OUT_OF_PLACE = 0x3000  # what an address ends in

Rows = dict[str, str]
"""By function: `name=code` for each parameter that is looked at, in order; `=code`: any call.
`one&other=code`: both are zero. `name~code`: it is a number or a handle out of place.
A `+` before the code: only once cuInit was called, whatever came of it."""


def record(drivers: Path) -> dict[str, Rows]:
    """The rows of the oldest driver, and of each later one those that differ."""
    recorded: dict[str, Rows] = {}
    known: Rows = {}
    for driver in RECORDED:
        library = drivers / driver / "libcuda.so.1"
        never, asked = (_ask_in_child(library, initialised) for initialised in (False, True))
        heard = {name: _row(never[name], asked[name]) for name in never}
        recorded[driver] = {n: row for n, row in heard.items() if row != known.get(n, "")}
        known |= heard
    return recorded


def _row(never: list[str], asked: list[str]) -> str:
    later = [re.sub("([=~])", r"\1+", check) for check in asked if check not in never]
    return " ".join([*never, *later])


def _ask_in_child(path: Path, initialised: bool) -> dict[str, list[str]]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(ask_library, path, initialised).result()


def ask_library(path: Path, initialised: bool) -> dict[str, list[str]]:
    """Load the real libcuda in this process and ask about each function."""
    library = ctypes.CDLL(str(path))
    names = read_library(path).of_type("FUNC")
    if initialised:
        library.cuInit(0)
    asked = (n for n in names if n not in WORKING and api.find(n).returns == api.status)
    return {name: list(Question(library, api.find(name)).checks()) for name in asked}


class Question:
    """One function of a real library that was not initialised."""

    def __init__(self, library: ctypes.CDLL, function: Function) -> None:
        description = json.loads((API / "cuda.json").read_text(encoding="utf-8"))
        self.target = getattr(library, function.name)
        self.parameters = function.parameters or ()
        pointers = {name for name, kind in description["handles"].items() if kind == "pointer"}
        self.handles = pointers | set(description["callbacks"])
        self.memory = ctypes.create_string_buffer(SPACE * (len(self.parameters) + 1))

    def checks(self) -> Iterator[str]:
        """What is looked at, in order: the check that answers when all are zero comes first."""
        found = dict(self._found())
        first = self._ask(set(range(len(self.parameters))), True, 1)
        for name, code in sorted(found.items(), key=lambda check: check[1] != first):
            yield f"{name}={code}"
        yield from self._pointers_together(set(found))
        yield from self._out_of_place(found)

    def _found(self) -> Iterator[tuple[str, int]]:
        for with_handles, number in BASES:
            if self._ask(set(), with_handles, number) == NOT_INITIALIZED:
                yield from self._zeroed(with_handles, number, NOT_INITIALIZED)
                return
        usual = self._ask(set(), False, 1)
        if usual:
            yield from self._zeroed(False, 1, usual)
            yield self._culprit(), usual

    def _pointers_together(self, looked_at: set[str]) -> Iterator[str]:
        """Pointers of which one may be null, and not all."""
        pointers = [i for i, p in enumerate(self.parameters) if p.is_pointer]
        names = [self.parameters[index].name for index in pointers]
        if len(pointers) > 1 and not looked_at & {*names, ""}:
            for with_handles, number in BASES:
                if self._ask(set(), with_handles, number) == NOT_INITIALIZED:
                    code = self._ask(set(pointers), with_handles, number)
                    if code not in (None, NOT_INITIALIZED):
                        yield f"{'&'.join(names)}={code}"
                    return

    def _out_of_place(self, zeros: Mapping[str, int]) -> Iterator[str]:
        """The first value that is refused as no number and no handle of the library's."""
        values = [i for i, p in enumerate(self.parameters) if self._is_plain(p)]
        refused = self._ask(set(), True, OUT_OF_PLACE)
        if refused in (None, NOT_INITIALIZED, SUCCESS) or "" in zeros or not values:
            return
        for base in BASES:
            if self._ask(set(), *base) == NOT_INITIALIZED:
                far = (i for i in values if self._ask(set(), *base, {i}) == refused)
                index = next(far, None)
                break
        else:  # what it finds behind the handle
            handles = [i for i in values if self._is_handle(self.parameters[i])]
            index = next(iter(handles), None)
        if index is not None:
            yield f"{self.parameters[index].name}~{refused}"

    def _is_plain(self, parameter: Parameter) -> bool:
        return not parameter.is_pointer and not api.types.is_struct(parameter.type)

    def _culprit(self) -> str:
        """The parameter that no value could be found for; empty when that is not clear."""
        handles = [p for p in self.parameters if self._is_handle(p)]
        handles.sort(key=lambda parameter: parameter.type == "CUstream")
        structs = [p for p in self.parameters if not p.is_pointer and api.types.is_struct(p.type)]
        return handles[0].name if handles and not structs else ""

    def _zeroed(self, with_handles: bool, number: int, usual: int) -> Iterator[tuple[str, int]]:
        for index, parameter in enumerate(self.parameters):
            code = self._ask({index}, with_handles, number)
            if code is not None and code != usual:
                yield parameter.name, code

    def _ask(
        self, zero: set[int], with_handles: bool, number: int, far: Collection[int] = ()
    ) -> int | None:
        """The status of one call; None when it did not return. `far`: which are out of place."""
        words = [
            self._word(index, parameter, index in zero, with_handles or index in far, number)
            if index not in far or self._is_handle(parameter)
            else api.types[parameter.type](OUT_OF_PLACE)
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
        kind: Any = ctypes.c_size_t if parameter.is_pointer else api.types[parameter.type]
        if zero or parameter.type == "CUdevice" or hasattr(kind, "_fields_"):
            return kind()
        if parameter.is_pointer or (self._is_handle(parameter) and with_handles):
            return kind(ctypes.addressof(self.memory) + index * SPACE)
        if self._is_handle(parameter):
            return kind()
        return kind(number)

    def _is_handle(self, parameter: Parameter) -> bool:
        return not parameter.is_pointer and parameter.type in self.handles


def write(recorded: dict[str, Rows], path: Path = TARGET) -> None:
    """Write the module that the package reads."""
    lines = [
        '"""What functions look at before they ask for cuInit: parameter=code, `=code` for any.',
        "",
        "`one&other=code`: both are zero. `name~code`: a number or a handle out of place.",
        "A `+` before the code: only once cuInit was called, whatever came of it.",
        "",
        "Recorded by stubs/generate/before_init.py from the real libraries of these drivers: of",
        "each the rows that differ from those of the one before it. Newer ones are as the last.",
        '"""',
        "",
        "CHECKS = {",
    ]
    for driver, rows in recorded.items():
        lines.append(f"    {json.dumps(driver)}: {{")
        lines += [f"        {json.dumps(n)}: {json.dumps(row)}," for n, row in sorted(rows.items())]
        lines.append("    },")
    path.write_text("\n".join([*lines, "}"]) + "\n", encoding="utf-8")
