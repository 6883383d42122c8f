"""Calls that a capture answers, in the place of handlers.

What a call is told by are its exact inputs. The nth call with the same inputs gets the nth answer
that was recorded for them, the last one again and again; each process counts for itself.

The client's memory is filled by the same written function as with a handler (`Binder`), so that a
NULL, a struct of another version, or too small a list are refused as ever. What the machine itself
was asked is not checked again: whether a device has a function, or root is needed, was recorded.

The plan has, by library and function, rows of inputs, code and outputs. A success without outputs
is the handler's to answer: it makes what the client is given.
"""

from __future__ import annotations

from ..api import NULL_PAGE, ApiError
from .call import Call
from .exact import answered, inputs, is_told
from .forms import as_c
from .refilling import Refiller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Callable, Optional

    from ..api import Function, Library, Parameter

    #: Inputs, code, and outputs or None.
    Row = tuple[dict[str, Any], int, Optional[dict[str, Any]]]

__all__ = ["Replay"]


class UnseenError(Exception):
    """The capture does not have the call."""


class HandedOverError(Exception):
    """The capture has the call, and the handler answers it."""


class Answers:
    """What was recorded for the same inputs, in its order; of threads each takes another one."""

    __slots__ = ("_last", "_left")

    def __init__(self) -> None:
        self._left: list[Any] = []
        self._last: Any = None

    def add(self, row: Any) -> None:
        """Put an answer behind the others."""
        self._left.append(row)

    def begin(self) -> None:
        """All have been added: the next one is to be at the end."""
        self._last = self._left[-1]
        self._left.reverse()

    def take(self) -> Any:
        """The answer to the next call."""
        try:
            return self._left.pop()
        except IndexError:
            return self._last

    def put_back(self, row: Any) -> None:
        """The answer that was taken is still to be given."""
        self._left.append(row)


class Replay:
    """The answers of a plan at work in one process."""

    def __init__(self, plan: Mapping[str, Mapping[str, list[Row]]]) -> None:
        self._plan = plan
        self._functions: dict[tuple[str, str], Replayed] = {}

    def has(self, name: str) -> bool:
        """Whether something was recorded of a function."""
        return any(name in functions for functions in self._plan.values())

    def answer(self, call: Call, otherwise: Callable[..., Any]) -> tuple[Any, bool]:
        """What the call returns, and whether the capture should have had it and has not.

        `otherwise` is what answers without a capture.
        """
        name = call.function.name
        if name not in self._plan.get(call.library.api.name, ()):
            code = otherwise(*call.words)
            return code, code != call.library.api.codes.uninitialized and is_told(call)
        replayed = self._replayed(call.library, call.function)
        try:
            return replayed.bound(*call.words), False
        except HandedOverError:
            return otherwise(*call.words), False
        except UnseenError:
            return otherwise(*call.words), True

    def _replayed(self, library: Library, function: Function) -> Replayed:
        key = library.api.name, function.name
        known = self._functions.get(key)
        if known is None:
            rows = self._plan[library.api.name][function.name]
            # Another thread may have come first, and its count is the one that goes on.
            known = self._functions.setdefault(key, Replayed(library, function, rows))
        return known


class Replayed:
    """One function's recorded answers.

    Attributes:
        bound: what to call with the C arguments; it raises `UnseenError` and `HandedOverError`.
    """

    def __init__(self, library: Library, function: Function, rows: list[Row]) -> None:
        self._library = library
        self._function = function
        self._outputs = answered(function)
        # A list of questions can be asked in other combinations than it was recorded in.
        self._list = next((p.name for p in self._outputs if p.is_input and p.length), "")
        self._answers: dict[Any, Answers] = {}
        for asked, code, out in rows:
            self._known(asked).add((code, out))
            if self._list and out is not None:
                self._add_elements(asked, out)
        for answers in self._answers.values():
            answers.begin()
        self.bound = Refiller(library, function, self._give).bind()

    def _known(self, asked: Any) -> Answers:
        return self._answers.setdefault(_frozen(asked), Answers())

    def _add_elements(self, asked: dict[str, Any], out: dict[str, Any]) -> None:
        rest = {name: value for name, value in asked.items() if name != self._list}
        for question, element in zip(asked.get(self._list, ()), out.get(self._list, ())):
            self._known([rest, question]).add(element)

    def _give(self, words: tuple[Any, ...]) -> Any:
        """The recorded outputs of a call, in the order of the declaration, as C takes them."""
        call = Call(self._library, self._function, words)
        asked = inputs(call)
        if asked is None:
            raise HandedOverError
        answers = self._answers.get(_frozen(asked))
        if answers is None:
            return self._composed(call, asked)
        row = answers.take()
        code, out = row
        if code:
            self._library.failed_with(self._function.name, code)
            raise ApiError(code)
        if out is None or not self._is_whole(call, out):
            raise HandedOverError
        if not self._has_room(call, out):
            answers.put_back(row)
        return self._as_c(call, out)

    def _composed(self, call: Call, asked: dict[str, Any]) -> Any:
        """The answers to a list of questions that were recorded in other lists."""
        rest = {name: value for name, value in asked.items() if name != self._list}
        found = [
            self._answers.get(_frozen([rest, question])) for question in asked.get(self._list, ())
        ]
        if not found or None in found or len(self._outputs) != 1:
            raise UnseenError
        elements = [answers.take() for answers in filter(None, found)]
        return self._as_c(call, {self._list: elements})

    def _is_whole(self, call: Call, out: dict[str, Any]) -> bool:
        """Whether all was recorded that the client has given a place for."""
        return all(
            parameter.name in out or call.words[self._place(parameter)] < NULL_PAGE
            for parameter in self._outputs
        )

    def _has_room(self, call: Call, out: dict[str, Any]) -> bool:
        """Whether the client's lists are long enough: else it asks again."""
        return all(
            call.words[self._place(parameter)] >= NULL_PAGE
            and call.length(parameter) >= len(out.get(parameter.name, {}))
            for parameter in self._outputs
            if parameter.counts
        )

    def _place(self, parameter: Parameter) -> int:
        return (self._function.parameters or ()).index(parameter)

    def _as_c(self, call: Call, out: dict[str, Any]) -> Any:
        found = [
            self._one_as_c(call, parameter, out.get(parameter.name, {}))
            for parameter in self._outputs
        ]
        return found[0] if len(found) == 1 else found

    def _one_as_c(self, call: Call, parameter: Parameter, value: Any) -> Any:
        word = call.words[self._place(parameter)]
        if word < NULL_PAGE or (parameter.type == "char" and parameter.length):
            return value
        kind = call.element_type(parameter, word)
        return [as_c(kind, each) for each in value] if parameter.length else as_c(kind, value)


def _frozen(value: Any) -> Any:
    """A value that can be looked up; tables are alike whatever the order of their keys."""
    if isinstance(value, dict):
        return tuple(sorted((key, _frozen(each)) for key, each in value.items()))
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
