"""The tree of figures as JSON Schemas; its rules are those of ``tree.check``."""

from __future__ import annotations

import re
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

from ..machine import Device, Figures
from . import tree
from .figures import SHORTCUTS
from .jsonshapes import Schema, any_case, any_of, array, integer, pattern, prose, record, ref, table
from .quantities import BOUNDS, EXAMPLES, UNITS

__all__ = ["Growths", "Tree", "quantity"]

_ABSENT: Schema = {"const": "N/A", "description": "The product does not have it."}

_SCALARS: dict[type, Schema] = {
    int: integer(0, (1 << 64) - 1),
    float: {**integer(0, (1 << 64) - 1), "type": "number"},
    str: {"type": "string"},
    bool: {"type": "boolean"},
}

_PLACE: Schema = {"pattern": f"^({tree.PLACES.pattern})$"}

_WORD = 1 << 31  # of a CUDA device attribute


def quantity(kind: str, least: int | None = None, most: int | None = None) -> Schema:
    """An integer in the machine's unit, or text with a unit in any case."""
    low, high = BOUNDS[kind]
    number = integer(low if least is None else least, high if most is None else most)
    written = rf"\s*[+-]?\d+(\.\d+)?\s*({any_case(UNITS[kind])})\s*"
    return {"description": EXAMPLES[kind], **any_of(number, pattern(written))}


class Tree:
    """The figures of a device, in tables as a profile has them.

    Attributes:
        definitions: the schemas of the groups and units met so far, by the names that they are
            referred to by.
    """

    prefix = "figures"

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}

    def device(self) -> Schema:
        """The table of all figures."""
        return self._table(Device)

    def device_with_shortcuts(self) -> Schema:
        """The same, in which the figures that most tests change may go by their short names."""
        device = self._table(Device)
        figures = device["properties"]
        places = {short: path for short, path in SHORTCUTS.items() if len(path) > 1}
        shortened = {short: self._find(figures, path) for short, path in places.items()}
        for short, found in shortened.items():
            if found is not None:
                figures[short] = any_of(figures[short], found) if short in figures else found
        return device

    def _find(self, figures: dict[str, Schema], path: tuple[str, ...]) -> Schema | None:
        group, name = path
        table = self.definitions[figures[group]["$ref"].rpartition("/")[2]]
        found: Schema | None = table["properties"].get(name)
        return found

    def _table(self, group: type[Figures]) -> Schema:
        said = prose(group)
        figures = {}
        for name, hint in tree.names(group).items():
            figure = self.figure(hint)
            if figure is not None:
                figures[name] = _sentence(said, name) | figure
        return {"description": said, **record(figures)}

    def _define(self, name: str, schema: Schema) -> Schema:
        name = f"{self.prefix}.{name}"
        self.definitions.setdefault(name, schema)
        return ref(name)

    def figure(self, hint: Any) -> Schema | None:
        """What may be written for a figure of this declared type; None: nothing."""
        if NoneType in get_args(hint):
            return any_of(self.figure(_present(hint)) or {}, _ABSENT)
        origin, arguments = get_origin(hint), get_args(hint)
        if origin is Annotated:
            return self.annotated(hint.__metadata__[0])
        if origin in (list, tuple):
            return self._rows(arguments)
        if origin is dict:
            return table(integer(1 - _WORD, _WORD - 1), {"pattern": f"^{tree.ATTRIBUTE.pattern}$"})
        if issubclass(hint, Figures):
            return self._define(hint.__name__, self._table(hint))
        return _SCALARS[hint]

    def annotated(self, meaning: Any) -> Schema | None:
        """What may be written for a figure with a unit, or for one of certain words."""
        if isinstance(meaning, str):
            return self._define(meaning, quantity(meaning))
        if isinstance(meaning, range):
            return integer(meaning[0], meaning[-1])
        if isinstance(meaning, tree.Pattern):
            return pattern(meaning.text, meaning.example)
        return {"enum": list(meaning)}

    def _rows(self, arguments: tuple[Any, ...]) -> Schema:
        kind, size = arguments[0], len(arguments)
        if get_origin(kind) is None and issubclass(kind, Figures):
            hints = tree.names(kind)
            required = [name for name, hint in hints.items() if NoneType not in get_args(hint)]
            row = self._table(kind)
            rows = array(self._define(kind.__name__, row | {"required": required}))
            return any_of(rows, self._places(kind)) if tree.is_placed(kind) else rows
        bounds = {"minItems": size, "maxItems": size} if size > 1 else {}
        kinds = [self.figure(argument) or {} for argument in dict.fromkeys(arguments)]
        return array(any_of(*kinds) if len(kinds) > 1 else kinds[0], **bounds)

    def _places(self, kind: type[Figures]) -> Schema:
        """Some elements of a list, by their places."""
        return table(self._define(f"{kind.__name__}.part", self._table(kind)), _PLACE)


class Growths(Tree):
    """By how much figures grow: numbers alone, with a sign."""

    prefix = "growths"

    def figure(self, hint: Any) -> Schema | None:
        """What may be written for a figure of this declared type; None: it is no number."""
        if NoneType in get_args(hint):
            return self.figure(_present(hint))
        if get_origin(hint) is list and tree.is_placed(get_args(hint)[0]):
            return self._places(get_args(hint)[0])
        if hint in (str, bool) or get_origin(hint) in (list, tuple):
            return None
        if hint in (int, float):
            return {**_SCALARS[hint], "minimum": -_SCALARS[hint]["maximum"]}
        return super().figure(hint)

    def annotated(self, meaning: Any) -> Schema | None:
        """What may be written for a figure with a unit."""
        if isinstance(meaning, range):
            return integer(-meaning[-1], meaning[-1])
        if not isinstance(meaning, str):
            return None
        return self._define(meaning, quantity(meaning, least=-BOUNDS[meaning][1]))


def _present(hint: Any) -> Any:
    return next(argument for argument in get_args(hint) if argument is not NoneType)


def _sentence(said: str, name: str) -> Schema:
    """The sentence of a group's docstring that speaks of a figure, as its description."""
    found = [s for s in re.split(r"(?<=\.) (?=[A-Z`])", said) if f"`{name}`" in s]
    return {"description": found[0]} if found else {}
