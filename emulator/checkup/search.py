"""Where the dynamic loader looks for a library that is asked for by its name, and what is there.

glibc's order: LD_LIBRARY_PATH, the cache that ldconfig writes, the default folders (ld.so(8)). It
passes over what it may not read and what is for another machine, and stops at the first file that
is neither, also where that is no library. The search is explained here; what is loaded, the loader
itself is asked (`emulator.testbed.asking`).
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Candidate", "candidates", "look", "machine_code"]

LIBRARY_PATH, CACHE, DEFAULT = "LD_LIBRARY_PATH", "ld.so.cache", "default folder"

_HEADER_SIZE = 64  # of ELF, 64 bits; of a shorter file glibc says that it is too short

#: uname -m -> ELF's e_machine, the flags of its libraries in the cache, and its loader.
_MACHINES = {
    "x86_64": (62, 0x0303, "/lib64/ld-linux-x86-64.so.2"),
    "aarch64": (183, 0x0A03, "/lib/ld-linux-aarch64.so.1"),
}
#: Where glibc looks if it cannot be asked: it has --list-diagnostics since 2.33.
_FOLDERS = ("/lib64", "/usr/lib64", "/lib", "/usr/lib")

_CACHE_MAGIC = b"glibc-ld.so.cache1.1"
_CACHE_HEAD, _CACHE_ENTRY = struct.Struct("<20sIIB3xI12x"), struct.Struct("<iIIIQ")


@dataclass(frozen=True)
class Candidate:
    """A file that the loader looks at: what has it look there, and what becomes of it.

    `verdict` is "taken", "passed over", "stops the search" or "not there"; `reason` says why.
    """

    path: str
    how: str
    verdict: str
    reason: str = ""

    def __str__(self) -> str:
        reason = f", {self.reason}" if self.reason else ""
        return f"{self.path} ({self.how}): {self.verdict}{reason}"


def candidates(soname: str, environment: Mapping[str, str], root: Path) -> list[Candidate]:
    """All files that the loader would look at for `soname`, in its order.

    The cache is that below `root`. A file that is found again, through another name of its
    folder, is left out.
    """
    found, seen = [], set()
    for path, how in _places(soname, environment, root):
        real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        if real not in seen:
            seen.add(real)
            found.append(Candidate(path, how, *look(path)))
    return found


def _places(soname: str, environment: Mapping[str, str], root: Path) -> Iterator[tuple[str, str]]:
    path = environment.get("LD_LIBRARY_PATH", "")
    for folder in re.split("[:;]", path) if path else ():
        yield os.path.join(folder or ".", soname), LIBRARY_PATH
    for cached in _cached(soname, root / "etc/ld.so.cache"):
        yield cached, CACHE
    for folder in _default_folders():
        yield os.path.join(folder, soname), DEFAULT


def look(path: str) -> tuple[str, str]:
    """What becomes of a file that the loader looks at, and why."""
    if not os.path.lexists(path):
        return "not there", ""
    if not os.path.exists(path):
        return "passed over", f"a link to {os.readlink(path)}, which is not there"
    try:
        with open(path, "rb") as file:
            head = file.read(_HEADER_SIZE)
    except PermissionError:
        return "passed over", "may not be read by this user"
    except OSError as error:
        return "stops the search", str(error.strerror).lower()
    return _judge(head)


def _judge(head: bytes) -> tuple[str, str]:
    if len(head) < _HEADER_SIZE:
        return "stops the search", "an empty file" if not head else "too short for a library"
    if head[:4] != b"\x7fELF":
        return "stops the search", "no ELF file"
    if head[4] != 2:
        return "passed over", "for 32-bit programs (wrong ELF class)"
    if int.from_bytes(head[18:20], "little") != machine_code():
        return "passed over", "for another kind of processor"
    return "taken", ""


def machine_code() -> int | None:
    """ELF's number for this machine; None for one that nvemu does not know."""
    return _MACHINES.get(os.uname().machine, (None,))[0]


def _cached(soname: str, cache: Path) -> Iterator[str]:
    """The paths of a library in the loader's cache that are for this machine."""
    try:
        content = cache.read_bytes()
    except OSError:
        return
    start = content.find(_CACHE_MAGIC)  # an older format may stand in front of it
    if start < 0 or len(content) < start + _CACHE_HEAD.size or os.uname().machine not in _MACHINES:
        return
    view = content[start:]
    count = _CACHE_HEAD.unpack_from(view)[1]
    entries = view[_CACHE_HEAD.size : _CACHE_HEAD.size + count * _CACHE_ENTRY.size]
    whole = len(entries) // _CACHE_ENTRY.size * _CACHE_ENTRY.size
    for flags, key, value, _, _ in _CACHE_ENTRY.iter_unpack(entries[:whole]):
        if flags == _MACHINES[os.uname().machine][1] and _text(view, key) == soname:
            yield _text(view, value)


def _text(content: bytes, offset: int) -> str:
    return os.fsdecode(content[offset : content.find(b"\0", offset)])


def _default_folders() -> tuple[str, ...]:
    loader = _MACHINES.get(os.uname().machine, (0, 0, ""))[2]
    try:
        done = subprocess.run(
            [loader, "--list-diagnostics"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return _FOLDERS
    return tuple(re.findall(r'^path\.system_dirs\[.*\]="(.*)"$', done.stdout, re.M)) or _FOLDERS
