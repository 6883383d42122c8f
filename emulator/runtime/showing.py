"""A call's arguments as plain values by C name, for people and programs.

What a parameter's declaration decides is decided once, when its function is first shown: walking
the declaration for each call would cost more than the call.
"""

from __future__ import annotations

import ctypes

from ..api import NULL_PAGE
from . import convert

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from ..api import Api, Function, Library, Parameter
    from .call import Call

    #: One value as it is shown; None for one that is plain already.
    Plain = Optional[Callable[[Library, Any], Any]]
    #: A call, one of its words, which pointers may be followed -> what is shown.
    Show = Callable[[Call, Any, int], Any]

__all__ = ["ALL", "INPUTS", "WORDS", "element_finder", "shown"]

SHOWN = 16  # elements of an array

UUIDS = ("CUuuid",)  # structs of 16 bytes
UUID_PARTS = ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))

#: Which pointers may be followed: none, those to what the client put in, all.
WORDS, INPUTS, ALL = range(3)

_shows: dict[Function, tuple[tuple[str, Show], ...]] = {}
_finders: dict[Parameter, Callable[[int], Any]] = {}
_fields: dict[Any, tuple[tuple[str, Plain], ...]] = {}


def shown(call: Call, reach: int) -> dict[str, Any]:
    """The arguments by C name, with what they point to as far as `reach` says."""
    shows = _shows.get(call.function)
    if shows is None:
        api, parameters = call.library.api, call.function.parameters or ()
        shows = tuple((parameter.name, _show(api, parameter)) for parameter in parameters)
        _shows[call.function] = shows
    return {name: show(call, word, reach) for (name, show), word in zip(shows, call.words)}


def element_finder(api: Api, parameter: Parameter) -> Callable[[int], Any]:
    """Address -> C type of what lies there, a struct in the client's version."""
    find = _finders.get(parameter)
    if find is None:
        kind = api.types[parameter.type]
        tagged = api.types.is_struct(parameter.type)
        versions = api.types.versions(parameter.versions) if tagged else {}

        def find(address: int) -> Any:
            return versions.get(convert.int_at(address), kind) if versions else kind

        _finders[parameter] = find
    return find


def _show(api: Api, parameter: Parameter) -> Show:
    if parameter.is_pointer:
        return _show_pointer(api, parameter)
    plain = _scalar(api, parameter.type)
    if plain is None:
        return lambda call, word, reach: word
    return lambda call, word, reach: plain(call.library, word)


def _show_pointer(api: Api, parameter: Parameter) -> Show:
    follow = None if parameter.type == "void" else _follower(api, parameter)
    needed = INPUTS if parameter.is_input else ALL

    def show(call: Call, word: int, reach: int) -> Any:
        if word < NULL_PAGE:
            return hex(word) if word else None
        if follow is None or reach < needed:
            return hex(word)
        return follow(call, word)

    return show


def _follower(api: Api, parameter: Parameter) -> Callable[[Call, int], Any]:
    """What lies at an address that is safe to follow."""
    if parameter.type == "char" and parameter.length:
        return lambda call, address: convert.read_text(address)
    find, plain = element_finder(api, parameter), _scalar(api, parameter.type)
    in_place = api.types.is_struct(parameter.type)

    def elements(call: Call, address: int) -> list[Any]:
        count = max(0, min(call.filled(parameter), SHOWN))
        array = (find(address) * count).from_address(address)
        return [value if plain is None else plain(call.library, value) for value in array]

    def element(call: Call, address: int) -> Any:
        found = find(address).from_address(address)
        value = found if in_place else found.value
        return value if plain is None else plain(call.library, value)

    return elements if parameter.length else element


def _scalar(api: Api, type_name: str) -> Plain:
    """How a value of a type is shown, be it passed or pointed to."""
    if type_name in api.handle_types:
        return lambda library, value: library.describe(
            library.handles(type_name).objects.get(value), value
        )
    if api.types.is_enum(type_name):
        names: dict[int, str] = {}
        for name, number in api.types.members(type_name).items():
            names.setdefault(number, name)
        return lambda library, value: names.get(value, value)
    if api.types.is_struct(type_name):
        return _uuid if type_name in UUIDS else _struct
    if api.types[type_name] is ctypes.c_char:
        return lambda library, value: value.decode("latin-1")
    return None


def _struct(library: Library, value: Any) -> dict[str, Any]:
    kind = type(value)
    fields = _fields.get(kind)
    if fields is None:
        fields = tuple((name, _field(held)) for name, held, *_ in kind._fields_)
        _fields[kind] = fields
    return {
        name: getattr(value, name) if plain is None else plain(library, getattr(value, name))
        for name, plain in fields
    }


def _field(kind: Any) -> Plain:
    """How a field of a C type is shown."""
    if issubclass(kind, ctypes.Union):
        return _union
    if issubclass(kind, ctypes.Structure):
        return _uuid if kind.__name__ in UUIDS else _struct
    held = getattr(kind, "_type_", None)
    if kind is ctypes.c_char or held is ctypes.c_char:
        return _text
    if not issubclass(kind, ctypes.Array):
        return None
    inner = _field(held)
    if inner is None:
        return lambda library, value: value[:SHOWN]
    return lambda library, value: [inner(library, element) for element in value[:SHOWN]]


def _uuid(library: Library, value: Any) -> str:
    """As people write it: 8-4-4-4-12 digits."""
    digits = bytes(value).hex()
    return "-".join(digits[begin:end] for begin, end in UUID_PARTS)


def _text(library: Library, value: Any) -> str:
    return value.decode("utf-8", "replace")  # type: ignore[no-any-return]


def _union(library: Library, value: Any) -> str:
    """Which of its members it is, the call alone knows."""
    return hex(int.from_bytes(bytes(value), "little"))
