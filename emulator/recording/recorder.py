"""From the calls that a testbed's caller made to a capture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ..imports.captures.format import Call
from ..imports.captures.lines import call_of
from ..runtime.exact import lengths
from ..testbed import Testbed
from ..trace import Splitter
from ..vocabulary import apis
from .calls import Question
from .following import SECONDS, Caller, Fatal

__all__ = ["Recording", "answered", "key", "record"]

Key = tuple[str, str, bytes]


class Recording(Struct, frozen=True):
    """What a driver answered.

    Attributes:
        calls: each call once, in the order in which they were made.
        fatal: the calls that it did not come back from.
    """

    calls: tuple[Call, ...]
    fatal: tuple[Fatal, ...]


def record(testbed: Testbed, seconds: float = SECONDS) -> Recording:
    """Make every safe call of what answers in a testbed, which captures its calls.

    Args:
        testbed: one that is set up, of a real driver or a scenario.
        seconds: how long a call may take.

    Raises:
        CallerError: no call could be made.
    """
    caller = Caller(testbed, seconds)
    return _made(testbed, caller, caller.questions())


def answered(testbed: Testbed, calls: Sequence[Question], seconds: float = SECONDS) -> Recording:
    """Make certain calls of what answers in a testbed, which captures its calls.

    Raises:
        CallerError: no call could be made.
    """
    return _made(testbed, Caller(testbed, seconds), calls)


def _made(testbed: Testbed, caller: Caller, calls: Sequence[Question]) -> Recording:
    begin = testbed.trace_file.stat().st_size
    caller.make(calls)
    # All calls of these functions: a trace may name a device otherwise than the caller does.
    asked = {call.function for call in calls}
    found = _each_once(c for c in _captured(testbed.trace_file, begin) if c.function in asked)
    return Recording(tuple(found), tuple(caller.fatal))


def _captured(file: Path, begin: int) -> Iterator[Call]:
    """The calls in a trace's file from a place on, less those that no capture can hold."""
    splitter = Splitter()
    with file.open("rb") as trace:
        trace.seek(begin)
        batches = (splitter.feed(trace.read()), splitter.end())
    for batch in batches:
        yield from filter(None, map(call_of, batch))


def _each_once(calls: Iterable[Call]) -> list[Call]:
    """The first answer to each call, or the first that is not about the client's memory.

    The client tries another version of a struct, or more room, where that is what was amiss; and
    one that goes on after a crash begins anew.
    """
    found: dict[Key, Call] = {}
    for call in calls:
        known = found.get(key_of(call))
        if known is None or _is_about_memory(known):
            found[key_of(call)] = call
    return list(found.values())


def _is_about_memory(call: Call) -> bool:
    codes = apis()[call.library].codes
    return call.code in (codes.version_mismatch, codes.insufficient_size)


def key(library: str, function: str, inputs: dict[str, Any]) -> Key:
    """What calls are told apart by; how much room a client has is no matter."""
    passed_over = lengths(apis()[library].find(function))
    told = {name: value for name, value in inputs.items() if name not in passed_over}
    return library, function, msgspec.json.encode(told, order="sorted")


def key_of(call: Call) -> Key:
    """As `key`, of a call that was answered."""
    return key(call.library, call.function, call.inputs)
