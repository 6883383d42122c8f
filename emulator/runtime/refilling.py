"""The written function that fills a client's memory with recorded answers."""

from __future__ import annotations

import ctypes

from ..api import NULL_PAGE, ApiError, Handler
from . import convert
from .binding import Binder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from ..api import Function, Library, Parameter

__all__ = ["Refiller"]


class Refiller(Binder):
    """Writes the Python function behind an API function whose answers were recorded.

    Args:
        library: the API's state in this process.
        function: the function.
        give: the recorded outputs in the order of the declaration, given the C arguments.
    """

    def __init__(
        self, library: Library, function: Function, give: Callable[[tuple[Any, ...]], Any]
    ) -> None:
        own = library.api.handler(function.name)

        def answer(words: tuple[Any, ...]) -> Any:
            return give(words)

        handler = Handler(
            answer,
            anytime=own is not None and own.anytime,
            sizes=own is not None and own.sizes,
            nullable=own.nullable if own else (),
            raw=(),
            given={},
        )
        super().__init__(library, function, handler, _rise)
        words = "".join(f"a{index}, " for index in range(len(self.parameters)))
        self.values["words"] = f"({words})"
        self.names.update(put_text=_put_text, put_count=_put_count)

    def _check_privilege(self) -> None:
        """Whether it takes root was recorded."""

    def _decode_value(self, index: int, parameter: Parameter) -> None:
        """What a handle stands for, and whether a number means something, was recorded."""

    def _write_array(self, index: int, parameter: Parameter) -> None:
        """Beside what handlers leave to the binder, what they write by themselves."""
        counted = parameter.counts and self.function.parameter(parameter.counts)
        if not counted or (counted.direction == "inout" and parameter.type != "char"):
            super()._write_array(index, parameter)
            return
        length = self._length(parameter)
        count = length[length.index("(") + 1 : -1]
        self.names[f"kind{index}"] = self.api.types[counted.type]
        if parameter.type == "char":
            self._refuse_if(f"a{index} < {NULL_PAGE} and kind{index}.from_address({count}).value")
            code = self.codes.insufficient_size
            self.lines.append(f"put_text(a{index}, r{index}, {count}, kind{index}, {code})")
        else:
            self.lines.append(f"put_count(a{index}, r{index}, {count}, kind{index}, type{index})")


def _put_text(address: int, text: str, count: int, kind: Any, code: int) -> None:
    """Text into as many bytes as the client says; it is told how many are needed."""
    size = kind.from_address(count)
    data = text.encode() + b"\0"
    room, size.value = size.value, len(data)
    if room < len(data):
        raise ApiError(code)
    ctypes.memmove(address, data, len(data))


def _put_count(address: int, values: list[Any], count: int, kind: Any, element: Any) -> None:
    """A list whose length is only put out: the client has asked before how long it is."""
    kind.from_address(count).value = len(values)
    if address >= NULL_PAGE:
        convert.update_array(address, values, len(values), element, 0)


def _rise(error: BaseException) -> int:
    raise error
