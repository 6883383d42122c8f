"""The tree of figures that profiles and scenarios may set, read off the machine's own classes.

A figure is declared once, where the machine keeps it; its unit there says what may be written for
it here. ``check`` turns a table of a profile or a scenario into the table that the machine takes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

from ..machine import Device, Figures
from ..machine.board import Board
from ..machine.groups import modules
from ..machine.pci import Pci
from ..machine.words import PATTERNS, RANGES, WORDS
from . import checks
from .errors import ScenarioError, UnknownNameError, nearest, within
from .quantities import UNITS, Hexadecimal, parse_quantity, write_quantity

__all__ = ["ABSENT", "ATTRIBUTE", "PLACES", "Pattern", "check", "is_placed", "names", "written"]


class Pattern(NamedTuple):
    """What text of a kind matches, as a regular expression, and an example of it."""

    text: str
    example: str


#: What the machine's annotations mean: its classes, units ("Bytes"), words ("Brand"), ranges
#: ("NumaNode") and patterns ("CpuList"); all but the first as types that still know them.
_ANNOTATIONS = {
    **{name: kind for module in modules() for name, kind in vars(module).items()},
    **{unit.capitalize(): Annotated[int, unit] for unit in UNITS},
    **{kind: Annotated[int, numbers] for kind, numbers in RANGES.items()},
    **{kind: Annotated[str, words] for kind, words in WORDS.items()},
    **{kind: Annotated[str, Pattern(*pattern)] for kind, pattern in PATTERNS.items()},
}

#: What the launcher decides for each device by itself, from its place in the scenario.
_ASSIGNED: dict[type[Figures], set[str]] = {
    Device: {"index", "minor_number", "uuid", "serial", "profile"},
    Board: {"id"},
    Pci: {"domain", "bus", "device"},
}

#: What nvidia-smi prints for a figure that a product does not have; TOML has no null.
ABSENT = (None, "N/A")

#: CUdevice_attribute without its prefix; which of them exist is for the CUDA side to know.
ATTRIBUTE = re.compile("[A-Z][A-Z0-9_]*")

#: Elements of a list, where a table has rows for some of them: by number, in a range, or all.
PLACES = re.compile(r"\d{1,4}(-\d{1,4})?|all")

_KINDS: dict[type, str] = {
    **{int: "an integer", float: "a number", str: "a string", bool: "true or false"}
}


_known: dict[type[Figures], dict[str, Any]] = {}


def names(group: type[Figures]) -> dict[str, Any]:
    """Return the figures of a group that may be set, each with its declared type."""
    if group not in _known:
        hints = get_type_hints(group, localns=_ANNOTATIONS, include_extras=True)
        assigned = _ASSIGNED.get(group, ())
        _known[group] = {name: hint for name, hint in hints.items() if name not in assigned}
    return _known[group]


def check(table: object, group: type[Figures] = Device) -> dict[str, Any]:
    """Return a table of figures with every quantity in the machine's unit.

    Raises:
        UnknownNameError: a figure that the group does not have.
        ScenarioError: a figure of the wrong type, with its key path.
    """
    if not isinstance(table, dict):
        raise ScenarioError(f"expected a table of figures, found {table!r}")
    return {name: _entry(group, name, value) for name, value in table.items()}


def _entry(group: type[Figures], name: object, value: object) -> Any:
    known = names(group)
    if not isinstance(name, str) or name not in known:
        raise UnknownNameError(f"no figure {name!r}{nearest(name, known)}", key=(str(name),))
    try:
        return _convert(value, known[name])
    except ScenarioError as error:
        raise error.within(name) from None


def _convert(value: object, hint: Any) -> Any:
    """Return a value as the declared type wants it; None stands where the type allows it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType or type(None) in arguments:
        present = [argument for argument in arguments if argument is not NoneType]
        return None if value in ABSENT else _convert(value, present[0])
    if origin is Annotated:
        return _annotated(value, hint.__metadata__[0])
    if origin in (list, tuple):
        return _elements(value, arguments)
    if origin is dict:
        return _integers(value)
    if issubclass(hint, Figures):
        return check(value, hint)
    return _scalar(value, hint)


def _elements(value: object, arguments: tuple[Any, ...]) -> list[Any] | dict[str, Any]:
    if isinstance(value, dict) and is_placed(arguments[0]):
        return _places(value, arguments[0])
    return _sequence(value, arguments)


def is_placed(hint: Any) -> bool:
    """Whether elements of this declared type may be spoken of by their places in the list."""
    return isinstance(hint, type) and issubclass(hint, Figures) and hint.placed


def _places(value: dict[Any, Any], group: type[Figures]) -> dict[str, Any]:
    """Return what is different about some elements of a list: place -> figures."""
    checked = {}
    for place, row in value.items():
        if not isinstance(place, str) or not PLACES.fullmatch(place):
            problem = f"expected 'all', a number or a range such as '0-3', found {place!r}"
            raise UnknownNameError(problem)
        with within(place):
            checked[place] = check(row, group)
    return checked


def _annotated(value: object, meaning: str | range | tuple[str, ...] | Pattern) -> object:
    """Return a number in a range, a value with a unit, by its kind, or text: a certain word, or of
    a certain form."""
    if isinstance(meaning, str):
        return parse_quantity(value, meaning)
    if isinstance(meaning, range):
        return checks.integer(meaning[0], meaning[-1])(value)
    if isinstance(meaning, Pattern):
        if not isinstance(value, str) or not re.fullmatch(meaning.text, value):
            raise ScenarioError(f"expected text such as {meaning.example!r}, found {value!r}")
        return value
    return checks.word(meaning)(value)


def _sequence(value: object, arguments: tuple[Any, ...]) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise ScenarioError(f"expected a list, found {value!r}")
    if len(arguments) > 1 and len(value) != len(arguments):
        raise ScenarioError(f"expected {len(arguments)} entries, found {value!r}")
    hints = arguments if len(arguments) > 1 else arguments * len(value)
    return [_item(index, item, hints[index]) for index, item in enumerate(value)]


def _item(index: int, item: object, hint: Any) -> Any:
    try:
        converted = _convert(item, hint)
        if isinstance(converted, dict):
            _check_row(converted, hint)
    except ScenarioError as error:
        raise error.within(index) from None
    return converted


def _check_row(row: dict[str, Any], group: type[Figures]) -> None:
    """Refuse a row that lacks a figure: unlike a device's, it has no profile to take it from."""
    for name, hint in names(group).items():
        if name not in row and NoneType not in get_args(hint):
            raise ScenarioError(f"expected a figure {name!r}, found none")


def _integers(value: object) -> dict[str, int]:
    if not isinstance(value, dict):
        raise ScenarioError(f"expected a table of integers, found {value!r}")
    for name, item in value.items():
        if not isinstance(name, str) or not ATTRIBUTE.fullmatch(name):
            problem = (
                f"expected an attribute's name such as 'MAX_THREADS_PER_BLOCK', found {name!r}"
            )
            raise UnknownNameError(problem)
        if not isinstance(item, int) or isinstance(item, bool) or abs(item) >= 1 << 31:
            problem = f"expected an integer of 32 bits, found {item!r}"
            raise ScenarioError(problem, key=(name,))
    return dict(value)


def _scalar(value: object, kind: type) -> object:
    expected = (int, float) if kind is float else kind
    if not isinstance(value, expected) or (kind is not bool and isinstance(value, bool)):
        raise ScenarioError(f"expected {_KINDS[kind]}, found {value!r}")
    if isinstance(value, (int, float)) and not 0 <= value < 1 << 64:
        raise ScenarioError(f"expected {_KINDS[kind]} of 64 bits, 0 or more, found {value!r}")
    if isinstance(value, str) and not value.isprintable():
        raise ScenarioError(f"expected printable text in one line, found {value!r}")
    return value


# ---- the way back


def written(table: Mapping[str, Any], group: type[Figures] = Device) -> dict[str, Any]:
    """Return a table that ``check`` has made as people write it: with units."""
    known = names(group)
    return {name: _written(value, known[name]) for name, value in table.items()}


def _written(value: Any, hint: Any) -> Any:
    """A value of the declared type as people write it."""
    arguments = get_args(hint)
    if value is None:
        return None
    if type(None) in arguments:
        return _written(value, next(each for each in arguments if each is not NoneType))
    if isinstance(value, dict) and is_placed(arguments[0] if arguments else None):
        return {place: written(row, arguments[0]) for place, row in value.items()}
    if get_origin(hint) is list:
        return [_written(each, arguments[0]) for each in value]
    if isinstance(value, dict) and isinstance(hint, type) and issubclass(hint, Figures):
        return written(value, hint)
    return _amount_written(value, hint.__metadata__[0]) if get_origin(hint) is Annotated else value


def _amount_written(value: Any, kind: object) -> Any:
    if kind == RANGES["PciId"]:
        return Hexadecimal(value)
    return write_quantity(value, kind) if isinstance(kind, str) else value
