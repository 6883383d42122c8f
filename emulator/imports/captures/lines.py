"""A trace written as a capture: the calls that a program makes, as they come."""

from __future__ import annotations

from ...trace import Format, Record
from .format import Call, Header, call_line, header_line

__all__ = ["CaptureLines", "call_of"]


class CaptureLines(Format):
    """A capture's lines.

    Args:
        header: what is recorded.
    """

    def __init__(self, header: Header) -> None:
        super().__init__()
        self._header = header

    def begin(self) -> bytes:
        """The header's line."""
        return header_line(self._header)

    def shown(self, record: Record) -> bytes:
        """The call's line; nothing for one that no capture holds, or that has not returned."""
        call = call_of(record)
        return b"" if call is None else call_line(call)


def call_of(record: Record) -> Call | None:
    """The call of a trace's record, if a capture can hold it."""
    fields = record.fields
    if "in" not in fields:
        return None
    made = fields["library"], fields["function"], fields["in"], fields["code"]
    return Call(*made, fields.get("out"))
