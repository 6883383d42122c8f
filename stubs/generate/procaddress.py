"""Recording what cuGetProcAddress answers, with the real libcuda as the oracle.

All recorded drivers follow one rule, which is checked for every name, version and flag asked: a
base name (`cuMemAlloc`, never `cuMemAlloc_v2`) leads to a list of exported symbols, each from
some CUDA version on; the newest that the caller's version reaches and the driver exports answers.
With CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM (flag 2) the list is that of the per-thread
variants, where a name has any. So one table serves every driver:

    legacy      base name -> {symbol: CUDA version that it is from}
    per_thread  the same for flag 2, where it differs
    unanswered  exported functions that no name leads to
    unobserved  symbols that no recorded driver has; their versions are those of cudaTypedefs.h

How "no" is said depends on the form: cuGetProcAddress returns 500 (NOT_FOUND) and leaves the
pointer alone; cuGetProcAddress_v2 returns 0, writes a null pointer, and a status of 1 for a name
without any symbol, 2 for a version below the first. Flag 3
is flag 2, flags above get 1 (INVALID_VALUE) from both
and nothing is written; versions are unsigned: -1 is newer than all. A null name or a null pointer
crashes. None of it needs cuInit or a GPU.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from emulator.symbols import read_library, recorded_tables
from stubs.generate.debian import RECORDED, fetch_driver
from stubs.generate.fetch import fetch_headers
from stubs.generate.merge import base_name
from stubs.generate.releases import CUDA

__all__ = ["ProcAddressError", "answering", "ask_library", "record_proc_addresses"]

Answers = dict[str, dict[str, int]]
"""By base name: the symbols that answer, each with the CUDA version that it answers from."""

_LEGACY, _PER_THREAD = 1, 2
_VERSIONS = range(2000, 13100, 10)
# A typedef of cudaTypedefs.h: the base name, the version, the stream suffix.
_TYPEDEF = re.compile(r"\*PFN_(cu\w+?)_v(\d+)(_pt[sd][sz])?\)")


class ProcAddressError(RuntimeError):
    """A driver does not follow the rule that the table rests on."""


def record_proc_addresses(drivers: Path, headers: Path) -> dict[str, Any]:
    """Ask every recorded driver, check the rule, and add what only newer headers know.

    `drivers` and `headers` are the cache folders of real libraries and of header wheels. Raises
    ProcAddressError where a driver answers otherwise than the table says.
    """
    typedefs = _typedefs(headers)
    exported = {d: frozenset(t.of_type("FUNC")) for d, t in recorded_tables("cuda").items()}
    ever = frozenset().union(*exported.values())
    names = sorted(ever | {base_name(n) for n in ever} | {name for name, _, _ in typedefs})
    heard = {driver: _ask_in_child(fetch_driver(driver, drivers), names) for driver in RECORDED}
    legacy, per_thread = (_table(heard[d][flag] for d in RECORDED) for flag in (0, 1))
    for driver, answers in heard.items():
        _check(driver, answers, (legacy, per_thread), exported[driver])
    per_thread = {n: symbols for n, symbols in per_thread.items() if symbols != legacy[n]}
    unobserved = _extend(legacy, per_thread, sorted(typedefs), ever)
    return {
        "drivers": list(RECORDED),
        "legacy": legacy,
        "per_thread": per_thread,
        "unanswered": sorted(ever - _symbols(legacy) - _symbols(per_thread)),
        "unobserved": sorted(unobserved),
    }


def answering(symbols: Mapping[str, int], exported: Collection[str], version: int) -> str | None:
    """The symbol that answers under the rule, of those that a base name can lead to."""
    reached = [(v, s) for s, v in symbols.items() if v <= version and s in exported]
    return max(reached)[1] if reached else None


Row = list[tuple[int, str | None]]
"""The answers for one name in the order of versions: from which version on, which symbol."""


def ask_library(folder: Path, names: Iterable[str], flag: int) -> dict[str, Row]:
    """Load the real libcuda in this process and ask it; names without any answer are left out."""
    path = folder / "libcuda.so.1"
    library = ctypes.CDLL(str(path))
    exported = read_library(path).of_type("FUNC")
    by_address = {ctypes.cast(getattr(library, s), ctypes.c_void_p).value: s for s in exported}
    return {name: row for name in names if (row := _row(library, name, flag, by_address))}


def _row(library: ctypes.CDLL, name: str, flag: int, by_address: Mapping[int | None, str]) -> Row:
    pointer = ctypes.c_void_p()

    def ask(version: int) -> str | None:
        pointer.value = None
        flags = ctypes.c_uint64(flag)
        library.cuGetProcAddress(name.encode(), ctypes.byref(pointer), version, flags)
        return by_address[pointer.value] if pointer.value else None

    row: Row = []
    # Answers only ever grow with the version: most names are settled by asking for the newest.
    for version in _VERSIONS if ask(_VERSIONS[-1]) else ():
        if (symbol := ask(version)) != (row[-1][1] if row else None):
            row.append((version, symbol))
    return row


def _ask_in_child(folder: Path, names: list[str]) -> tuple[dict[str, Row], dict[str, Row]]:
    """Ask in a process of its own: one process holds one libcuda, and a real one may crash."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        asked = [pool.submit(ask_library, folder, names, f) for f in (_LEGACY, _PER_THREAD)]
        return asked[0].result(), asked[1].result()


def _table(heard: Iterable[dict[str, Row]]) -> Answers:
    """All drivers' answers as one table; the first driver to name a symbol sets its version."""
    table: Answers = {}
    for rows in heard:
        for name, row in rows.items():
            for version, symbol in row:
                if symbol:
                    table.setdefault(name, {}).setdefault(symbol, version)
    return table


def _check(
    driver: str,
    heard: tuple[dict[str, Row], dict[str, Row]],
    tables: tuple[Answers, Answers],
    exported: Collection[str],
) -> None:
    for rows, table in zip(heard, tables, strict=True):
        for name, symbols in table.items():
            versions = sorted({v for s, v in symbols.items() if s in exported})
            expected: Row = [(v, answering(symbols, exported, v)) for v in versions]
            if expected != rows.get(name, []):
                raise ProcAddressError(f"{driver}: {name}: {rows.get(name)}, not {expected}")


def _typedefs(headers: Path) -> set[tuple[str, int, str]]:
    found: set[tuple[str, int, str]] = set()
    for release in CUDA:
        for path in fetch_headers(release, headers).glob("*Typedefs.h"):
            text = path.read_text(encoding="utf-8", errors="replace")
            found |= {(name, int(v), suffix) for name, v, suffix in _TYPEDEF.findall(text)}
    return found


def _extend(
    legacy: Answers,
    per_thread: Answers,
    typedefs: Iterable[tuple[str, int, str]],
    exported: Collection[str],
) -> set[str]:
    """Add symbols of drivers that could not be asked: a name's versions are numbered in order."""
    added = set()
    for name, version, suffix in typedefs:
        table = per_thread if suffix else legacy
        known = table.get(name, {})
        number = f"_v{len(known) + 1}" if known else ""
        symbol = f"{name}{number}{suffix}"
        if version > max(known.values(), default=0) and symbol in exported:
            table[name] = known | {symbol: version}
            added.add(symbol)
    return added


def _symbols(table: Answers) -> set[str]:
    return {symbol for symbols in table.values() for symbol in symbols}
