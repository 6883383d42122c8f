"""A program that makes calls: `python -m emulator.recording.caller MODE FILE FD BEGIN [AVOIDED]`.

With MODE `list` it looks what there is, and writes the calls that a recording makes to FILE; with
`make` it makes the calls in FILE, from the one of number BEGIN on. What was answered is the trace's
affair. On the descriptor FD it says what it is about to call, a line each time: the number of the
call that it is for, and the function; in the end, `DONE`. So the one who reads there knows which
call crashed, or does not come back. AVOIDED are functions that it does not call, with commas
between.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from ctypes import ArgumentError
from pathlib import Path

import msgspec

from ..imports.deriving.asked import INITS
from .calls import Question, questions
from .client import Client

__all__ = ["DONE", "LIST", "MAKE"]

LIST, MAKE = "list", "make"

#: The last line that is said. What goes wrong after it is the driver's way to end.
DONE = "done"

#: What comes of a call that cannot be made: of a device that is not there, of inputs that are not
#: such as the function has.
UNMADE = (ArgumentError, LookupError, OverflowError, TypeError, ValueError)


def main(mode: str, file: Path, descriptor: int, begin: int, avoided: frozenset[str]) -> None:
    """Look what there is, or make calls."""
    os.set_inheritable(descriptor, False)

    for_call = begin

    def say(function: str) -> None:
        os.write(descriptor, f"{for_call} {function}\n".encode())

    client = Client(avoided, say)
    if mode == LIST:
        found = msgspec.json.encode(list(questions(client)))
        say("")  # that it cannot be written, say, is no function's doing
        file.write_bytes(found)
    else:
        calls = msgspec.json.decode(file.read_bytes(), type=list[Question])
        for for_call, call in enumerate(calls[begin:], begin):  # noqa: B007  (`say` says it)
            make(client, call)
    os.write(descriptor, f"{DONE}\n".encode())


def make(client: Client, call: Question) -> None:
    """Make a call, if that can be done."""
    if call.function not in INITS[call.library]:
        client.begin(call.library)
    with suppress(*UNMADE):
        client.call(call.library, call.function, call.inputs)


if __name__ == "__main__":
    _, mode, file, descriptor, begin, *avoided = sys.argv
    names = frozenset("".join(avoided).split(","))
    main(mode, Path(file), int(descriptor), int(begin), names)
