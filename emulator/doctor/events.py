"""What the audit module saw: the records of a testbed's evidence.jsonl, as stubs/src/audit/ writes
them.

Each has `t` (nanoseconds of the wall clock, as a trace's records have it), `pid` and `tid`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

__all__ = [
    "Event",
    "Exec",
    "File",
    "Fork",
    "Load",
    "Search",
    "Start",
    "Stop",
    "SymbolBound",
    "Try",
    "Unload",
    "is_variant",
    "line",
    "parse",
]


class Event(msgspec.Struct, frozen=True, tag_field="event"):
    """Something that a program did."""

    t: int
    pid: int
    tid: int


class Start(Event, tag="start", frozen=True):
    """A program was started in this process, with these variables among others."""

    parent: int
    exe: str
    argv: list[str]
    environment: dict[str, str]


class Stop(Event, tag="end", frozen=True):
    """The process ended of its own accord, by exit() or by returning from main()."""


class Fork(Event, tag="fork", frozen=True):
    """The process began as a copy of its parent."""

    parent: int


class Search(Event, tag="search", frozen=True):
    """A library is asked for: by dlopen, or since an object needs it.

    Attributes:
        name: what was asked for, with or without a folder.
        by: the object that asked; None is the program itself.
        file: for a name with a folder, what was there (see `Try`).
        redirected: the path that was looked at instead.
    """

    name: str
    by: str | None = None
    file: str = ""
    redirected: str | None = None


class Try(Event, tag="try", frozen=True):
    """The loader looks whether a library is at a path.

    Attributes:
        how: what led to this folder: LD_LIBRARY_PATH, RUNPATH, ld.so.cache, default folders.
        file: "library", "absent", "broken-symlink", "unreadable", "empty", "not-elf", or
            "wrong-class" for one of another kind of machine, "passed-over" for one that was not
            looked at since --redirect is to bring the testbed's.
    """

    path: str
    how: str
    file: str


class Load(Event, tag="load", frozen=True):
    """A library is mapped into the process; it may still be refused."""

    path: str
    soname: str | None = None


class Unload(Event, tag="unload", frozen=True):
    """A library is taken out of the process."""

    path: str


class SymbolBound(Event, tag="symbol", frozen=True):
    """A function of NVML or CUDA was asked for by its name, or bound for an object that uses it."""

    name: str
    library: str
    by: str | None = None
    found: bool = True
    dlsym: bool = True


class File(Event, tag="file", frozen=True):
    """The program looked at a file that has to do with GPUs."""

    call: str
    path: str
    found: bool


class Exec(Event, tag="exec", frozen=True):
    """The process starts a program, or tries to."""

    path: str
    found: bool
    argv: list[str]


_LINES: dict[type[Event], Callable[[Any], str]] = {
    Start: lambda event: f"starts: {' '.join(event.argv)}",
    Stop: lambda event: "ends",
    Fork: lambda event: f"starts as a copy of process {event.parent}",
    Search: lambda event: (
        f"looks for {event.name}"
        + (f" ({event.file})" if event.file not in ("", "library") else "")
        + (f", for {event.by}" if event.by else "")
        + (f", is given {event.redirected}" if event.redirected else "")
    ),
    Try: lambda event: f"tries {event.path} ({event.how}): {event.file}",
    Load: lambda event: f"loads {event.path}",
    Unload: lambda event: f"unloads {event.path}",
    SymbolBound: lambda event: (
        f"{'asks for' if event.dlsym else 'is linked to'} {event.name}" + _unless(event.found)
    ),
    File: lambda event: f"{event.call} {event.path}" + _unless(event.found, ": failed"),
    Exec: lambda event: (
        f"runs {' '.join(event.argv)}" + _unless(event.found, f" ({event.path}: not there)")
    ),
}


def _unless(found: bool, missing: str = ": not there") -> str:
    return "" if found else missing


def line(event: Event) -> str:
    """An event as a line for people."""
    return _LINES[type(event)](event)


_KINDS = Start | Stop | Fork | Search | Try | Load | Unload | SymbolBound | File | Exec

#: Folders below a library folder that the loader tries first, for builds for this very processor.
_VARIANTS = ("glibc-hwcaps", "tls", "haswell", "avx512_1", "x86_64")


def parse(records: Iterable[Mapping[str, Any]]) -> list[Event]:
    """The events of evidence.jsonl, without those that say nothing: a library that is not there in
    a folder for one kind of processor, and records that no audit module of this version wrote."""
    events = (event for record in records for event in _converted(record))
    return [event for event in events if not _is_idle(event)]


def _converted(record: Mapping[str, Any]) -> list[Event]:
    try:
        return [msgspec.convert(record, _KINDS)]
    except msgspec.ValidationError:
        return []


def _is_idle(event: Event) -> bool:
    if not isinstance(event, Try) or event.file not in ("absent", "passed-over"):
        return False
    return is_variant(event.path)


def is_variant(path: str) -> bool:
    """Whether a path leads into a folder for one kind of processor."""
    folders = os.path.dirname(path).split(os.sep)[-2:]
    return any(folder in _VARIANTS for folder in folders)
