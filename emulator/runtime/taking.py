"""How the value of one parameter is taken exactly: out of the call, or out of the client's memory.

What a parameter's declaration decides is decided once, when its function is first asked for.
"""

from __future__ import annotations

import ctypes

from ..api import NULL_PAGE
from .forms import fields_of, has_address, holds_address, is_address, reader, struct_reader
from .showing import element_finder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from ..api import Api, Parameter
    from .call import Call

    #: A call, one of its words -> the plain value; UNTOLD where there is none.
    Take = Callable[[Call, Any], Any]

__all__ = ["UNTOLD", "leads_to_address", "take_in", "take_out"]

#: What means nothing in another process, or has no form in a capture.
UNTOLD: Any = object()

#: A UUID as text or, if its `type` says so (nvml.h, NVML_UUID_TYPE_BINARY), as bytes in its place.
UUID = "nvmlUUID_t"
BINARY_UUID = 2


def leads_to_address(api: Api, parameter: Parameter) -> bool:
    """Whether a parameter's value is an address, or has one in it."""
    if api.types.is_struct(parameter.type):
        return any(has_address(api, struct) for struct in parameter.versions)
    return is_address(api, parameter.type)


# ---- what is put in


def take_in(api: Api, parameter: Parameter) -> Optional[Take]:
    """How what a client puts in is taken; None for what says how much room it has alone."""
    if parameter.type in api.handle_types and not parameter.is_pointer:
        return _name_taker(parameter)
    if parameter.type != "void" and not parameter.is_pointer:
        return _value_taker(api, parameter)
    if parameter.direction == "inout":
        return _question_taker(api, parameter)
    if parameter.type == "void" or is_address(api, parameter.type):
        return lambda call, word: UNTOLD
    if parameter.type == UUID or leads_to_address(api, parameter):
        return _following(api, parameter, lambda found: _if_told(api, found))
    return _taker(api, parameter)


def _if_told(api: Api, found: Any) -> Any:
    """A client's struct that has room for addresses or bytes of a UUID, and none there."""
    is_binary = api.types.resolve(UUID) == type(found).__name__ and found.type == BINARY_UUID
    if is_binary or holds_address(api, found):
        return UNTOLD
    return struct_reader(api, type(found).__name__)(found)


def _value_taker(api: Api, parameter: Parameter) -> Take:
    if leads_to_address(api, parameter):
        return lambda call, word: UNTOLD if word else 0
    read = reader(api, parameter.type)
    return lambda call, word: word if read is None else read(word)


def _name_taker(parameter: Parameter) -> Take:
    """A handle by the name that traces give to what is behind it."""

    def take(call: Call, word: int) -> Any:
        return _name(call, parameter.type, word)

    return take


def _name(call: Call, kind: str, handle: int) -> Any:
    """None for a NULL where handles are addresses; a device's may be 0."""
    library = call.library
    known = library.handles(kind).objects.get(handle)
    if known is None:
        return UNTOLD if handle or kind in library.api.device_types else None
    if kind in library.api.device_types or hasattr(known, "trace_name"):
        return library.describe(known, handle)
    return UNTOLD


def _question_taker(api: Api, parameter: Parameter) -> Optional[Take]:
    """The fields of a client's struct that are questions; a scalar says how much room there is."""
    asked = {}
    for struct in parameter.versions if api.types.is_struct(parameter.type) else ():
        known = api.questions(struct)
        fields = [(name, reader(api, s)) for name, s in fields_of(api, struct) if name in known]
        asked[api.types[struct]] = fields
    if not any(asked.values()):
        return None

    def question(found: Any) -> dict[str, Any]:
        return {
            name: getattr(found, name) if read is None else read(getattr(found, name))
            for name, read in asked[type(found)]
        }

    return _following(api, parameter, question)


# ---- what is put out


def take_out(api: Api, parameter: Parameter) -> Take:
    """How what a call put out is taken."""
    if parameter.type in api.handle_types:
        return _names_taker(api, parameter)
    if is_address(api, parameter.type):
        return lambda call, word: UNTOLD
    return _taker(api, parameter)


def _names_taker(api: Api, parameter: Parameter) -> Take:
    follow = _following(api, parameter, None)

    def take(call: Call, word: int) -> Any:
        found = follow(call, word)
        if not isinstance(found, list):
            return found if found is UNTOLD else _name(call, parameter.type, found)
        names = [_name(call, parameter.type, each) for each in found]
        return UNTOLD if UNTOLD in names else names

    return take


# ---- memory of the client


def _taker(api: Api, parameter: Parameter) -> Take:
    if parameter.type == "char" and parameter.length:
        return lambda call, word: UNTOLD if word < NULL_PAGE else _text(word)
    if not api.types.is_struct(parameter.type):
        return _following(api, parameter, reader(api, parameter.type))
    readers = {api.types[struct]: struct_reader(api, struct) for struct in parameter.versions}
    return _following(api, parameter, lambda found: readers[type(found)](found))


def _text(address: int) -> str:
    return ctypes.string_at(address).decode("utf-8", "backslashreplace")


def _following(api: Api, parameter: Parameter, read: Optional[Callable[[Any], Any]]) -> Take:
    """What lies at a pointer, and each element of it with `read`."""
    find = element_finder(api, parameter)
    in_place = api.types.is_struct(parameter.type)
    trims = not parameter.counts and parameter.direction == "out"

    def elements(call: Call, address: int) -> list[Any]:
        if address < NULL_PAGE:
            return []
        array = (find(address) * max(call.length(parameter), 0)).from_address(address)
        values = list(array) if read is None else [read(element) for element in array]
        while trims and values and values[-1] == 0:
            values.pop()  # what a client had more room than the answer for
        return values

    def element(call: Call, address: int) -> Any:
        if address < NULL_PAGE:
            return UNTOLD
        found = find(address).from_address(address)
        value = found if in_place else found.value
        return value if read is None else read(value)

    return elements if parameter.length else element
