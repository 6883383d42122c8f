"""The calls that a program made, for tests to assert on.

    assert calls.balanced("nvmlInit*", "nvmlShutdown")
    assert calls.in_order("cuInit", "cuDeviceGetCount")
    assert not calls.named("setters")

Functions are named as in a fault: exactly, by a glob, or by "getters" and "setters" for all such.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, overload

from ..trace import Call, Functions, identity

__all__ = ["Call", "Calls", "Verdict"]


class Verdict:
    """Whether something is true of the calls; as text, why."""

    def __init__(self, holds: bool, text: str) -> None:
        self._holds = holds
        self._text = text

    def __bool__(self) -> bool:
        return self._holds

    def __repr__(self) -> str:
        return self._text


class Calls:
    """Calls in the order of their ends, as they were when this was asked for."""

    def __init__(self, calls: Iterable[Call]) -> None:
        self._calls = tuple(calls)

    @classmethod
    def of(cls, records: Iterable[Mapping[str, Any]]) -> Calls:
        """The calls that a trace's records are about.

        One that a fault blocked has a record when it is blocked and one when it goes on: the later
        stands for both.
        """
        last: dict[Any, Mapping[str, Any]] = {}
        for record in records:
            last.pop(identity(record), None)
            last[identity(record)] = record
        return cls(map(Call, last.values()))

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls)

    @overload
    def __getitem__(self, index: int) -> Call: ...
    @overload
    def __getitem__(self, index: slice) -> Calls: ...
    def __getitem__(self, index: int | slice) -> Call | Calls:
        found = self._calls[index]
        return Calls(found) if isinstance(found, tuple) else found

    def __repr__(self) -> str:
        return f"<{_times(len(self), 'call')}: {', '.join(map(_short, self))}>"

    @property
    def functions(self) -> list[str]:
        """The functions called, in their order."""
        return [call.function for call in self]

    @property
    def failed(self) -> Calls:
        """Those that returned an error."""
        return Calls(call for call in self if call.failed)

    @property
    def succeeded(self) -> Calls:
        """Those that returned SUCCESS, or something that is no status."""
        return Calls(call for call in self if call.succeeded)

    def named(self, *functions: str) -> Calls:
        """Those of certain functions.

        Raises:
            UnknownNameError: neither API has such a function.
        """
        names = Functions(functions)
        return Calls(call for call in self if call.function in names)

    def count(self, *functions: str) -> int:
        """How many calls of certain functions there are.

        Raises:
            UnknownNameError: neither API has such a function.
        """
        return len(self.named(*functions))

    def balanced(self, opening: str, closing: str) -> Verdict:
        """Whether calls of `closing` succeeded as often as calls of `opening`: what failed to open
        need not be closed.
        """
        opened, closed = (self.named(name).succeeded for name in (opening, closing))
        text = f"{opening} succeeded {_times(len(opened))}, {closing} {_times(len(closed))}"
        return Verdict(len(opened) == len(closed), text)

    def in_order(self, *functions: str) -> Verdict:
        """Whether there is a call of each, one after the other; others may be in between."""
        position = 0
        for number, function in enumerate(functions):
            found = next(self._positions(function, position), None)
            if found is None:
                after = f" after call {position}, {_short(self[position - 1])}" if number else ""
                return Verdict(False, f"there is no call of {function}{after}")
            position = found + 1
        return Verdict(True, f"{', '.join(functions)} are called in this order")

    def only_after(self, function: str, first: str) -> Verdict:
        """Whether all calls of `function` come after one of `first` that succeeded."""
        opened = [at for at in self._positions(first, 0) if self[at].succeeded]
        early = next(self._positions(function, 0), len(self))
        if early < min(opened, default=len(self)):
            text = f"call {early + 1}, {_short(self[early])}, comes before any success of {first}"
            return Verdict(False, text)
        return Verdict(True, f"{function} is called only after {first} succeeded")

    def _positions(self, function: str, start: int) -> Iterator[int]:
        names = Functions((function,))
        return (at for at in range(start, len(self)) if self[at].function in names)


def _short(call: Call) -> str:
    return call.function if call.status is None else f"{call.function} = {call.status}"


def _times(number: int, what: str = "time") -> str:
    return f"{number} {what}" + "s" * (number != 1)
