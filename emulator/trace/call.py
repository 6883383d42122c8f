"""One call of a trace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .lines import line

__all__ = ["Call", "identity"]


def identity(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """What all records of one call have in common: the one before it and the one after, say."""
    return record["pid"], record["tid"], record["t"], record["function"]


class Call:
    """A call that was made; as text, a line of a trace.

    Attributes:
        record: all there is about it, see `emulator.runtime.trace`.
    """

    __slots__ = ("record",)

    def __init__(self, record: Mapping[str, Any]) -> None:
        self.record = record

    @property
    def function(self) -> str:
        """The C name, such as "nvmlInit_v2"."""
        return str(self.record["function"])

    @property
    def library(self) -> str:
        """Either "nvml" or "cuda"."""
        return str(self.record["library"])

    @property
    def arguments(self) -> Mapping[str, Any]:
        """C parameter -> what was passed or, where the call succeeded, answered."""
        arguments: Mapping[str, Any] = self.record["arguments"]
        return arguments

    @property
    def code(self) -> int | None:
        """What the call returned; None for one that did not return."""
        code: int | None = self.record["code"]
        return code

    @property
    def status(self) -> str | None:
        """The code's name ("GPU_IS_LOST"); of a call that did not return, what it met with
        ("SIGNAL 11"); None where a function returns no status.
        """
        return self.record.get("status")

    @property
    def fault(self) -> str | None:
        """The name of the fault that decided it, if one did."""
        return self.record.get("fault")

    @property
    def handled(self) -> bool:
        """Whether nvemu has a handler for the function, or a fault decided the call."""
        return bool(self.record.get("handler", True))

    @property
    def seen(self) -> bool:
        """Whether the scenario's capture has the call; also where it has no capture."""
        return not self.record.get("unseen", False)

    @property
    def pid(self) -> int:
        """The process that made it."""
        return int(self.record["pid"])

    @property
    def thread(self) -> int:
        """The thread that made it, by the system's number."""
        return int(self.record["tid"])

    @property
    def failed(self) -> bool:
        """Whether it returned an error."""
        return self.status is not None and self.code not in (0, None)

    @property
    def succeeded(self) -> bool:
        """Whether it returned SUCCESS, or something that is no status."""
        return self.code is not None and not self.failed

    def __repr__(self) -> str:
        return line(self.record)
