"""System calls of programs that the dynamic loader does not start, as strace sees them.

strace costs a program much of its speed, so it is used only when it is asked for.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from .events import Event, Exec, File

__all__ = ["StraceMissingError", "events", "strace"]

#: What lies here, or is called so, has to do with GPUs: as stubs/src/audit.c has it.
_TELLING = re.compile(
    r"/dev/nvidia|/proc/driver/nvidia|/sys/(bus/pci|devices/pci|module/nvidia|class/drm)|/dev/dri"
    r"|.*/(nvidia-[^/]*|lib[^/]*(nvidia|cuda|cublas|cudnn|nvml)[^/]*\.so[^/]*)$"
)

#: process id, seconds, call, the first path among its arguments, result
_LINE = re.compile(
    r"(\d+) +(\d+)\.(\d+) (\w+)\((?:[A-Z_]+, )?\"((?:[^\"\\]|\\.)*)\"(.*)\) += (-?\d+|0x[0-9a-f]+)"
)
_QUOTED = re.compile(r"\"((?:[^\"\\]|\\.)*)\"")


class StraceMissingError(RuntimeError):
    """strace is not installed."""


def strace(program: Sequence[str], output: Path) -> list[str]:
    """The command that runs a program under strace.

    Args:
        program: the command line.
        output: the file that strace writes.

    Raises:
        StraceMissingError: it is not installed.
    """
    path = shutil.which("strace")
    if path is None:
        raise StraceMissingError("--strace needs strace: install it (Debian: apt install strace)")
    options = ["-f", "-qq", "-ttt", "-s", "4096", "--trace=%file", "--signal=none"]
    return [path, *options, "-o", str(output), "--", *program]


def events(output: Path) -> Iterator[Event]:
    """What a file of strace tells about GPUs, and which programs were run."""
    with output.open(encoding="utf-8", errors="replace") as file:
        for text in file:
            found = _LINE.match(text)
            if found is not None:
                yield from _event(found)


def _event(found: re.Match[str]) -> Iterator[Event]:
    pid, seconds, fraction, call, path, rest, result = found.groups()
    t = int(seconds) * 10**9 + int(fraction.ljust(9, "0"))
    path = _unquoted(path)
    succeeded = not result.startswith("-")
    if call in ("execve", "execveat") and (succeeded or _TELLING.match(path)):
        listed = rest.partition("[")[2].partition("]")[0]
        argv = [_unquoted(each) for each in _QUOTED.findall(listed)]
        yield Exec(t, int(pid), int(pid), path, succeeded, argv or [path])
    elif _TELLING.match(path):
        yield File(t, int(pid), int(pid), call, path, succeeded)


def _unquoted(text: str) -> str:
    """A string without strace's escapes, which are C's."""
    data = text.encode("latin-1", "backslashreplace").decode("unicode_escape")
    return os.fsdecode(data.encode("latin-1", "replace"))
