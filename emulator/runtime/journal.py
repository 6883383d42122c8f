"""The journal of a testbed: what live control and the programs have said since its start.

The file begins with eight bytes, the count of the bytes that follow and are complete; then comes
one JSON object a line. The C side keeps the count mapped and compares it on each call, so that news
cost a call nothing while there are none. One who writes holds a lock on the file.
"""

from __future__ import annotations

import os
from time import time_ns

from .escape import say_once
from .flatjson import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

__all__ = ["HEADER", "Journal", "Writer"]

HEADER = 8


class Journal:
    """Reads what was appended since the last look.

    Attributes:
        read: how much of it is done: bytes, without the header.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.read = 0

    def news(self) -> Iterator[dict[str, Any]]:
        """The entries that have not been done yet, in order.

        Each counts as done when the next is asked for. What is damaged is said and passed over.
        """
        for line in self._unread().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                say_once(f"{self.path} is damaged: it is shorter than it was")
                return
            entry = _parsed(line)
            if entry is not None:
                yield entry
            else:
                say_once(f"{self.path} is damaged: passing over {line[:60]!r}")
            self.read += len(line)

    def _unread(self) -> bytes:
        try:
            with open(self.path, "rb", buffering=0) as file:
                written = int.from_bytes(file.read(HEADER), "little")
                file.seek(HEADER + self.read)
                return file.read(max(written - self.read, 0))
        except FileNotFoundError:
            return b""  # the testbed is gone
        except OSError as error:  # it is tried again on the next call
            say_once(f"what live control says cannot be read: {self.path}: {error.strerror}")
            return b""


class Writer:
    """One who writes: the journal is locked from `with` to its end.

    Raises:
        OSError: on entering; the journal may not be written to, or is gone.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = -1

    def __enter__(self) -> Writer:
        from fcntl import LOCK_EX, flock

        self._file = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        flock(self._file, LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        from fcntl import LOCK_UN, flock

        if self._file >= 0:
            flock(self._file, LOCK_UN)  # a fork's child may have the file open, too
        self.close()

    def close(self) -> None:
        """Let go of the file; in a fork's child the lock is the parent's, and stays."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    __del__ = close  # a signal handler of the host may raise before `with` has begun

    def written(self) -> bytes:
        """What was said so far.

        Raises:
            EOFError: the journal is damaged: it is shorter than it was.
        """
        count = int.from_bytes(os.pread(self._file, HEADER, 0), "little")
        text = os.pread(self._file, count, HEADER)
        if len(text) < count or os.fstat(self._file).st_size < HEADER:
            raise EOFError(self.path)
        return text

    def append(self, entry: Mapping[str, Any]) -> None:
        """Say something: `t` is put before it.

        Raises:
            OSError: there is no room for it; nothing is said.
            ValueError: the journal is damaged: it has no beginning.
        """
        from errno import ENOSPC
        from mmap import mmap

        line = dumps({"t": time_ns(), **entry}).encode("ascii") + b"\n"
        with mmap(self._file, HEADER) as header, memoryview(header).cast("Q") as count:
            # Over what a writer that was killed has left.
            if os.pwrite(self._file, line, HEADER + count[0]) < len(line):
                raise OSError(ENOSPC, os.strerror(ENOSPC))
            count[0] += len(line)  # in one step: now it is said


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        entry = loads(line.decode("ascii"))
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
