"""The journal of a testbed: what live control has said since its start.

The file begins with eight bytes, the count of the bytes that follow and are complete; then comes
one JSON object a line. The C side keeps the count mapped and compares it on each call, so that news
cost a call nothing while there are none. One who writes holds a lock on the file.
"""

from __future__ import annotations

from .escape import say_once
from .flatjson import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["HEADER", "Journal"]

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


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        entry = loads(line.decode("ascii"))
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
