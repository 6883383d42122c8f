"""One call as faults and the trace see it: the C arguments, decoded when somebody looks."""

from __future__ import annotations

from ..api import NULL_PAGE
from . import convert
from .showing import ALL, INPUTS, WORDS, element_finder, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from ..api import Function, Library, Parameter
    from .replaying import Replay

__all__ = ["Call"]


class Call:
    """A call of `function` with the C arguments `words`.

    `unseen` says that the scenario has a capture, and the capture does not have the call.
    """

    __slots__ = ("_rooms", "function", "handled", "library", "unseen", "words")

    def __init__(self, library: Library, function: Function, words: tuple[Any, ...]) -> None:
        self.library = library
        self.function = function
        self.words = words
        self.unseen = False
        self._rooms: Optional[dict[str, int]] = None
        # Then the handler has followed the client's pointers itself: they are safe to follow.
        self.handled = library.api.is_handled(function.name) and (
            library.ready or library.api.is_anytime(function.name)
        )

    @property
    def device_index(self) -> Optional[int]:
        """The index of the device that the call is about; None when it names none."""
        parameter = self.library.api.device_parameter(self.function)
        if parameter is None:
            return None
        word = self.words[(self.function.parameters or ()).index(parameter)]
        if parameter.type in self.library.api.device_types:
            device = self.library.handles(parameter.type).objects.get(word)
            return None if device is None else int(device.index)
        return self._looked_up(self.library.api.device_keys[parameter.name], parameter, word)

    def _looked_up(self, key: str, parameter: Parameter, word: Any) -> Optional[int]:
        """The index of the device that a function which answers a handle is asked for."""
        devices = self.library.devices or self.library.machine.devices
        if not parameter.is_pointer:
            return int(devices[word].index) if 0 <= word < len(devices) else None
        if parameter.type != "char" or word < NULL_PAGE:
            return None
        text = convert.read_text(word)
        for device in devices:
            known = device.pci.bus_id if key == "pci" else getattr(device, key)
            if text == known or (key == "pci" and _address(text) == _address(known)):
                return int(device.index)
        return None

    def replayed_by(self, replay: Replay, answer: Callable[..., Any]) -> Callable[..., Any]:
        """What answers the call where a capture does, and `answer` what that does not have."""

        def replayed(*words: Any) -> Any:
            status, self.unseen = replay.answer(self, answer)
            return status

        return replayed

    def arguments(self, succeeded: bool) -> dict[str, Any]:
        """The arguments by C name, as plain values; outputs only when the call `succeeded`."""
        return shown(self, ALL if succeeded else INPUTS if self.handled else WORDS)

    def words_shown(self) -> dict[str, Any]:
        """The arguments by C name with pointers as they are: before anybody has followed them."""
        return shown(self, WORDS)

    def length(self, parameter: Parameter) -> int:
        """How many elements an array of the client has."""
        length = (parameter.length or "1").lstrip("*")
        if length.isdigit():
            return int(length)
        names = [other.name for other in self.function.parameters or ()]
        word = self.words[names.index(length)]
        if parameter.length == length:
            return int(word)
        return convert.int_at(word) if word >= NULL_PAGE else 0

    def rooms(self) -> dict[str, int]:
        """How many elements each array that is written to has, by C name: as the client says it.

        To be asked first before the call is made, and the same from then on: counts say something
        else afterwards. One that is only put out says nothing before.
        """
        if self._rooms is not None:
            return self._rooms
        counts = {p.name: p for p in self.function.parameters or ()}
        self._rooms = {
            parameter.name: max(self.length(parameter), 0)
            for parameter in self.function.parameters or ()
            if parameter.is_output
            and parameter.length
            and not (parameter.counts and counts[parameter.counts].direction == "out")
        }
        return self._rooms

    def filled(self, parameter: Parameter) -> int:
        """How many elements an array has after the call, as far as the client has room."""
        length = self.length(parameter)
        if self._rooms is None:
            return length
        return min(length, self._rooms.get(parameter.name, length))  # a fault may have written it

    def element_type(self, parameter: Parameter, address: int) -> Any:
        """The C type of what a pointer points to, a struct in the client's version."""
        return element_finder(self.library.api, parameter)(address)


def _address(text: str) -> list[str]:
    """What a bus id says, however many zeros and parts it is written with."""
    parts = ["0", *text.partition(".")[0].split(":")][-3:]
    return [part.upper().lstrip("0") for part in parts]
