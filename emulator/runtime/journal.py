"""The journal of a testbed: what live control has said since its start.

The file begins with eight bytes, the count of the bytes that follow and are complete; then comes
one JSON object a line. The C side keeps the count mapped and compares it on each call, so that news
cost a call nothing while there are none. One who writes holds a lock on the file.
"""

from __future__ import annotations

from .flatjson import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["HEADER", "Journal"]

HEADER = 8


class Journal:
    """Reads what was appended since the last look."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.read = 0  # bytes, without the header

    def news(self) -> list[dict[str, Any]]:
        """The entries that have not been read yet, in order."""
        try:
            with open(self.path, "rb", buffering=0) as file:
                written = int.from_bytes(file.read(HEADER), "little")
                if written == self.read:
                    return []
                file.seek(HEADER + self.read)
                text = file.read(written - self.read).decode("ascii")
        except OSError:
            return []  # the testbed is gone
        self.read = written
        return [loads(line) for line in text.splitlines()]
