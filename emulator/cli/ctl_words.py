"""What `nvemu ctl` is given in words, made into what faults and changes are made of."""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, get_args, get_origin

import click
import msgspec

from ..scenario import Fault, ScenarioError

__all__ = ["device_of", "fault_fields", "fault_options", "figures_of"]

FIELDS = {field.name: field for field in msgspec.structs.fields(Fault) if field.name != "function"}

ABOUT = re.compile(r"\n +(\w+): (.+?)(?=\n *\w+: |\n\n|\Z)", re.DOTALL)

#: Field -> what a value of it looks like.
LOOKS = {
    "after": "FUNCTION",
    "calls": "N|N-M|N-",
    "corrupt": "PARAMETER=HOW",
    "device": "DEVICE",
    "returns": "CODE",
    "run": "FILE:FUNCTION",
    "writes": "PARAMETER=VALUE",
}


def fault_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command an option for each field of `Fault`, with its description there."""
    about = dict(ABOUT.findall(inspect.getdoc(Fault) or ""))
    for name in reversed(FIELDS):
        function = _option(name, " ".join(about.get(name, "").split()))(function)
    return function


def _option(name: str, about: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    kinds = _kinds(name)
    return click.option(
        f"--{name}",
        is_flag=bool in kinds,
        multiple=Sequence in kinds or Mapping in kinds,
        metavar=None if bool in kinds else LOOKS.get(name, name.upper()),
        help=about[:1].upper() + about[1:].replace("``", "`"),
    )


def fault_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a fault, of what its options were given."""
    return {name: _field(name, words) for name, words in given.items() if words}


def _field(name: str, words: Any) -> Any:
    kinds = _kinds(name)
    if bool in kinds:
        return words
    if Mapping in kinds:
        # The names of `corrupt` have their dots in them.
        return tabled(words) if name == "writes" else dict(map(_assignment, words))
    read = value if kinds & {int, float} else str
    if Sequence in kinds:
        return read(words[0]) if len(words) == 1 else [read(word) for word in words]
    return read(words)


def _kinds(name: str) -> set[Any]:
    """The types that a field may have, without what is in them."""
    hint = FIELDS[name].type
    return {get_origin(kind) or kind for kind in (get_args(hint) or (hint,))} | {get_origin(hint)}


def device_of(word: str) -> Any:
    """Which devices are meant: "0", a UUID, a profile, several with commas, "all"."""
    if word == "all":
        return None
    entries = [int(part) if part.isdecimal() else part for part in word.split(",")]
    return entries[0] if len(entries) == 1 else entries


def figures_of(words: Iterable[str]) -> dict[str, Any]:
    """The tables of `memory.used=1GiB` and the like."""
    return tabled(words)


def tabled(words: Iterable[str]) -> dict[str, Any]:
    """Assignments to dotted names, as tables."""
    tree: dict[str, Any] = {}
    for word in words:
        path, written = _assignment(word)
        *tables, name = path.split(".")
        inner = tree
        for table in tables:
            inner = inner.setdefault(table, {})
            if not isinstance(inner, dict):
                raise ScenarioError(f"expected a figure or figures in it, found both: {table!r}")
        if name in inner:
            raise ScenarioError(f"expected each name once, found {path!r} twice")
        inner[name] = written
    return tree


def _assignment(word: str) -> tuple[str, Any]:
    name, equals, text = word.partition("=")
    if not equals or not all(name.split(".")):
        raise ScenarioError(f"expected NAME=VALUE, found {word!r}")
    return name, value(text)


def value(text: str) -> Any:
    """A value as TOML writes it; what is none is text, so that "10 GiB" needs no more quotes."""
    try:
        table = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    plain = isinstance(table["value"], (bool, int, float, str, list, dict))
    return table["value"] if plain and table.keys() == {"value"} else text
