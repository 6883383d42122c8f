"""System calls of programs that the dynamic loader does not start, as strace sees them.

strace costs a program much of its speed, so it is used only when it is asked for.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from .events import Event, Exec, File, is_variant

__all__ = ["StraceMissingError", "events", "strace"]

#: What lies here has to do with GPUs; as stubs/src/audit/concern.c has it, and the names.
PLACES = (
    *("/dev/nvidia", "/proc/driver/nvidia", "/sys/bus/pci", "/sys/devices/pci"),
    *("/sys/module/nvidia", "/sys/class/drm", "/dev/dri"),
)
#: Libraries whose names contain one of these have to do with GPUs.
NAMES = (
    *("nvidia", "cuda", "cublas", "cudnn", "cufft", "curand", "cusolver", "cusparse", "cupti"),
    *("nccl", "nvrtc", "nvJitLink", "nvml", "nvToolsExt"),
)

_STRING = r"\"((?:[^\"\\]|\\.)*)\""
#: process id, seconds, call, the folder that a path is relative to, the first path, result
_LINE = re.compile(
    rf"(\d+) +(\d+)\.(\d+) (\w+)\((?:(?:AT_FDCWD|\d+)(?:<([^>]*)>)?, )?{_STRING}(.*)\)"
    r" += (-?\d+|0x[0-9a-f]+)"
)
_QUOTED = re.compile(_STRING)
_LISTED = re.compile(rf"\[((?:{_STRING}(?:\.\.\.)?,? ?)*)")
#: A call of which the result comes later, as another thread's calls come first.
_UNFINISHED = re.compile(r"((\d+) .*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"(\d+) +[\d.]+ <\.\.\. \w+ resumed>(.*)")


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
    options = ["-f", "-y", "-qq", "-ttt", "-s", "4096", "--trace=%file", "--signal=none"]
    return [path, *options, "-o", str(output), "--", *program]


def events(output: Path) -> Iterator[Event]:
    """What a file of strace tells about GPUs, and which programs were run."""
    if not output.exists():  # strace could not begin, and has said why
        return
    with output.open(encoding="utf-8", errors="replace") as file:
        for text in _whole(file):
            found = _LINE.match(text)
            if found is not None:
                yield from _event(found)


def _whole(lines: Iterable[str]) -> Iterator[str]:
    """Lines of whole calls: a beginning is put before what is said of its end."""
    begun: dict[str, str] = {}
    for text in lines:
        if beginning := _UNFINISHED.match(text):
            begun[beginning[2]] = beginning[1]
        elif end := _RESUMED.match(text):
            yield begun.pop(end[1], "") + end[2]
        else:
            yield text


def _event(found: re.Match[str]) -> Iterator[Event]:
    pid, seconds, fraction, call, folder, path, rest, result = found.groups()
    t = int(seconds) * 10**9 + int(fraction.ljust(9, "0"))
    path = os.path.join(_unquoted(folder or ""), _unquoted(path))
    succeeded = not result.startswith("-")
    if call in ("execve", "execveat") and (succeeded or _is_telling(path)):
        listed = _LISTED.search(rest)
        argv = [_unquoted(each) for each in _QUOTED.findall(listed[1] if listed else "")]
        yield Exec(t, int(pid), int(pid), path, succeeded, argv or [path])
    elif _is_telling(path) and (succeeded or not is_variant(path)):
        yield File(t, int(pid), int(pid), call, path, succeeded)


def _is_telling(path: str) -> bool:
    name = os.path.basename(path)
    library = name.startswith("lib") and ".so" in name
    return (
        path.startswith(PLACES)
        or name.startswith("nvidia-")
        or (library and any(each in name for each in NAMES))
    )


def _unquoted(text: str) -> str:
    """A string without strace's escapes, which are C's."""
    data = text.encode("latin-1", "backslashreplace").decode("unicode_escape")
    return os.fsdecode(data.encode("latin-1", "replace"))
