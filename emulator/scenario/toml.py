"""Scenarios as TOML text: reading with messages for people, and writing."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from types import FunctionType
from typing import Any, TypeVar

from msgspec import Struct, structs

from .errors import ScenarioError, ScenarioFileError, UnknownNameError, nearest, within
from .hooks import portable
from .loader import Loader
from .quantities import Hexadecimal
from .schema import Change, Fault, Gpu, Kernel, Scenario
from .source import Source
from .tree import written

__all__ = ["dumps", "dumps_table", "loads"]

_POSITION = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)")

_BARE = re.compile("[A-Za-z0-9_-]+")

#: The tables that a scenario has many of.
_ROWS: dict[str, type[Struct]] = {"gpu": Gpu, "fault": Fault, "change": Change, "kernel": Kernel}

S = TypeVar("S", bound=Struct)

#: A struct's fields: to find them out takes longer than to read a scenario.
fields_of = cache(structs.fields)


def loads(text: str, file: str = "scenario.toml", name: str = "") -> Scenario:
    """Return the scenario that a TOML text describes.

    Args:
        text: the TOML.
        file: what messages call the text.
        name: the scenario's name if the text does not say it.

    Raises:
        ScenarioError: with file, line and key path, whatever is wrong with it.
    """
    source = Source(file, text)
    try:
        table = _parse(text)
        table.setdefault("name", name)
        rows = {key: _rows(table, key, kind) for key, kind in _ROWS.items()}
        scenario = _build(Scenario, {**table, **rows})
    except ScenarioError as error:
        raise source.locate(error) from None
    scenario.__dict__["source"] = source
    return scenario


def _parse(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ScenarioFileError("expected TOML, found tables nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, and int() on thousands of digits
        position = _POSITION.search(str(error))
        line = int(position[1] or text.count("\n") + 1) if position else None
        problem = f"expected TOML, but: {_POSITION.sub('', str(error))}"
        raise ScenarioFileError(problem, line=line) from None


def _rows(table: dict[str, Any], key: str, kind: type[S]) -> list[S]:
    rows = table.get(key, [])
    if not isinstance(rows, list):
        problem = f"expected tables under [[{key}]], found {_shown(rows)}"
        raise ScenarioError(problem, key=(key,))
    built = []
    for index, row in enumerate(rows):
        with within(key, index):
            built.append(_build(kind, row))
    return built


def _build(kind: type[S], table: object) -> S:
    """Call a struct with a table's entries, after checking that it has fields of these names."""
    if not isinstance(table, dict):
        raise ScenarioError(f"expected a table, found {_shown(table)}")
    fields = {field.encode_name: field for field in fields_of(kind)}
    for key in table:
        if key not in fields:
            raise UnknownNameError(f"no such key{nearest(key, fields)}", key=(key,))
    for key, field in fields.items():
        if field.required and key not in table:
            raise ScenarioError(f"expected a key {key!r}, found none")
    return kind(**{fields[key].name: value for key, value in table.items()})


def _shown(value: object) -> str:
    return "a table" if isinstance(value, dict) else repr(value)


def dumps(scenario: Scenario) -> str:
    """Return a scenario as TOML text that ``loads`` reads back as an equal scenario."""
    return "\n".join(_scenario_lines(scenario)) + "\n"


def dumps_table(table: dict[str, Any]) -> str:
    """Return a table of figures as TOML text, with a header for each table in it."""
    return "\n".join(_table_lines(table, "")).strip("\n") + "\n"


def _table_lines(table: dict[str, Any], path: str) -> Iterator[str]:
    tables = {key: value for key, value in table.items() if isinstance(value, dict)}
    entries = [f"{_key(key)} = {_value(table[key])}" for key in table if key not in tables]
    if path and (entries or not table):
        yield from ("", f"[{path}]")
    yield from entries
    for key, value in tables.items():
        yield from _table_lines(value, f"{path}.{_key(key)}" if path else key)


def _scenario_lines(scenario: Scenario) -> Iterator[str]:
    yield from _entries(scenario, without=(*_ROWS, "loader", "environment"))
    if scenario.environment:
        yield f"environment = {_value(scenario.environment)}"
    if scenario.loader:
        states = {name: _copies(entry) for name, entry in scenario.loader.items()}
        yield f"loader = {_value(states)}"
    for gpu in scenario.gpus:
        yield from ("", "[[gpu]]", *_entries(gpu, without=("figures",)))
        if gpu.figures:
            yield from _table_lines(written(gpu.figures), "gpu.figures")
    for fault in scenario.faults:
        yield from ("", "[[fault]]", *_entries(fault))
    for change in scenario.changes:
        yield from ("", "[[change]]", *_entries(change))
    for kernel in scenario.kernels:
        yield from ("", "[[kernel]]", *_entries(kernel))


def _copies(copies: Any) -> Any:
    """The states of a library's copies, each as the word that it is or with its details."""
    written = []
    for copy in copies:
        details = {
            f.name: v for f in fields_of(Loader) if (v := getattr(copy, f.name)) != f.default
        }
        written.append(copy.state if details.keys() <= {"state"} else details)
    return written[0] if len(written) == 1 else written


def _entries(struct: Struct, without: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield a line for each field that is not at its default, and for the driver: the default one
    becomes another when nvemu learns of a newer."""
    for field in fields_of(type(struct)):
        value = getattr(struct, field.name)
        is_given = field.name == "driver" or value not in (field.default, {})
        if is_given and field.encode_name not in without:
            yield f"{field.encode_name} = {_value(value)}"


def _value(value: object) -> str:
    if value is None:
        return '"N/A"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {_value(item)}" for k, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, FunctionType):
        value = ":".join(portable(value))
    if isinstance(value, (float, Hexadecimal)):
        return str(value)
    # A JSON string is a TOML string but for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _value(key)
