"""Whether the values of a capture's call are such as its function takes and answers."""

from __future__ import annotations

from functools import cache
from typing import Any

from ...api import Api, Parameter, c_array, c_fields
from ...scenario.errors import ScenarioFileError, nearest
from ...vocabulary import apis

__all__ = ["check_call"]

#: Numbers that JSON has no other way to write.
NO_NUMBERS = frozenset(("nan", "inf", "-inf"))

#: Bits of the largest C number.
BITS = 64


def check_call(
    library: str, function: str, inputs: dict[str, Any], outputs: dict[str, Any] | None
) -> None:
    """Check what a function was given and what it answered.

    Raises:
        ScenarioFileError: there is no such parameter, or the value is of another shape.
    """
    api = apis()[library]
    for given, direction in ((inputs, "in"), (outputs or {}, "out")):
        known = _parameters(library, function, direction)
        for name, value in given.items():
            if name not in known:
                what = "takes" if direction == "in" else "answers in"
                problem = f"expected a parameter that {function} {what}, found {name!r}"
                raise ScenarioFileError(problem + nearest(name, known))
            _fit_parameter(api, known[name], value, f"{function}: {direction}.{name}")


@cache
def _parameters(library: str, function: str, direction: str) -> dict[str, Parameter]:
    return {
        parameter.name: parameter
        for parameter in apis()[library].find(function).parameters or ()
        if (parameter.is_input if direction == "in" else parameter.is_output)
    }


def _fit_parameter(api: Api, parameter: Parameter, value: Any, place: str) -> None:
    if parameter.type == "char" and parameter.length:
        _expect(isinstance(value, str), "text", value, place)
    elif parameter.length:
        _fit_list(api, parameter, value, place)
    else:
        _fit_any(api, parameter, value, place)


def _fit_list(api: Api, parameter: Parameter, value: Any, place: str) -> None:
    _expect(isinstance(value, list), "a list", value, place)
    for index, each in enumerate(value):
        _fit_any(api, parameter, each, f"{place}[{index}]")


def _fit_any(api: Api, parameter: Parameter, value: Any, place: str) -> None:
    """One value of a parameter, which may be one of several structs."""
    if api.types.is_struct(parameter.type):
        fields: dict[str, str] = {}
        for struct in parameter.versions:
            fields |= dict(c_fields(api.types.row(struct)))
        _fit_fields(api, fields, value, place)
    else:
        _fit(api, parameter.type, value, place)


def _fit_fields(api: Api, fields: dict[str, str], value: Any, place: str) -> None:
    _expect(isinstance(value, dict), "a table of fields", value, place)
    for name, each in value.items():
        if name not in fields:
            raise ScenarioFileError(f"{place}: no field {name!r}{nearest(name, fields)}")
        _fit(api, fields[name], each, f"{place}.{name}")


def _fit(api: Api, spelling: str, value: Any, place: str) -> None:
    """A value of a type, as a struct's row spells it."""
    element, dimensions, _ = c_array(spelling)
    if element == "char" and dimensions and isinstance(value, str):
        dimensions = dimensions[:-1]
    if dimensions:
        _expect(isinstance(value, list), "a list", value, place)
        for index, each in enumerate(value):
            inner = "".join(f"[{size}]" for size in dimensions[1:])
            _fit(api, element + inner, each, f"{place}[{index}]")
    elif api.types.is_struct(element):
        _fit_fields(api, dict(c_fields(api.types.row(element))), value, place)
    elif element in api.handle_types:
        _expect(value is None or isinstance(value, str), "a device's name", value, place)
    elif api.types.resolve(element) in ("float", "double"):
        _expect(_is_number(value), "a number", value, place)
    elif not (element == "char" and isinstance(value, str)):
        _expect(_is_integer(value), "an integer", value, place)


def _is_integer(value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and -(1 << BITS - 1) <= value < 1 << BITS


def _is_number(value: Any) -> bool:
    named = isinstance(value, str) and value in NO_NUMBERS
    return _is_integer(value) or isinstance(value, float) or named


def _expect(fits: bool, what: str, value: Any, place: str) -> None:
    if not fits:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:60] + "..."
        raise ScenarioFileError(f"{place}: expected {what}, found {shown}")
