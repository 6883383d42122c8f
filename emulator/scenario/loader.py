"""Loader states: what the dynamic loader finds of each library before any function is called.

    [loader]
    cuda = "absent"
    nvml = ["wrong-class", { state = "missing-symbols", symbols = ["nvmlDeviceGetMemoryInfo_v2"] }]

A list is one copy of the library after the other, in the order of the search path. The loader
passes over a copy that is absent, cannot be read or is of the wrong class, and takes the next; what
else is wrong with a copy ends its search.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import filter as matching
from typing import Any

from msgspec import Struct
from msgspec.structs import force_setattr

from ..machine.drivers import older
from . import checks
from .errors import Key, ScenarioError, UnknownNameError, nearest, within
from .vocabulary import Vocabulary

__all__ = [
    "DETAILS",
    "MOST_COPIES",
    "REQUIRED",
    "PRESENT",
    "STATES",
    "Loader",
    "check",
    "check_driver",
    "copies",
    "damages",
]

#: State -> what a reader is told of it.
STATES = {
    "present": "the library, as it should be",
    "absent": "no file of the library's name",
    "broken-symlink": "a link to a file that is not there",
    "unreadable": "a file that the program may not read",
    "empty": "a file of no bytes",
    "wrong-class": "a 32-bit library",
    "not-elf": "a file that is no library",
    "missing-dependency": "a library that needs another one, which is not there",
    "missing-symbols": "the library without some of its functions",
    "older-table": "the library with the functions of an older driver version",
}

#: What libcuda.so of a Jetson needs, and lacks where only that file was copied into a container.
_NEEDS = "libnvrm_gpu.so"

#: As long as the names of functions are that every recorded library has: it takes the place of one.
_LONGEST_NEEDS = 50

#: Detail -> the state that it belongs to.
DETAILS = {"symbols": "missing-symbols", "driver": "older-table", "needs": "missing-dependency"}

#: A search path of more copies is a mistake.
MOST_COPIES = 16


class Loader(Struct, frozen=True, repr_omit_defaults=True, forbid_unknown_fields=True):
    """The state of one copy of a library.

    Attributes:
        state: a word of ``STATES``.
        symbols: for "missing-symbols": names or globs of the functions that are missing.
        driver: for "older-table": the driver version whose functions are exported.
        needs: for "missing-dependency": the library that is not there; if not given,
            "libnvrm_gpu.so", as with a Jetson's libcuda.

    Raises:
        ScenarioError: a word that is no state, or a detail that is missing or does not belong to
            the state.
    """

    state: str = "present"
    symbols: str | Sequence[str] = ()
    driver: str | None = None
    needs: str | None = None

    def __post_init__(self) -> None:
        self._check("state", _state)
        for detail, state in DETAILS.items():
            if getattr(self, detail) not in ((), None) and self.state != state:
                problem = f"expected it only with the state {state!r}, found {self.state!r}"
                raise ScenarioError(problem, key=(detail,))
        if self.state in REQUIRED:
            detail, check = REQUIRED[self.state]
            if getattr(self, detail) is None:
                problem = f"expected a {detail!r} with the state {self.state!r}, found none"
                raise ScenarioError(problem, key=(detail,))
            self._check(detail, check)
        if self.state == "missing-dependency":
            self._check("needs", _needs)

    def _check(self, detail: str, check: checks.Check) -> None:
        with within(detail):
            force_setattr(self, detail, check(getattr(self, detail)))


def _state(value: object) -> str:
    if not isinstance(value, str) or value not in STATES:
        raise UnknownNameError(f"expected a loader state, found {value!r}{nearest(value, STATES)}")
    return value


def _symbols(value: object) -> tuple[str, ...]:
    if value == ():
        raise ScenarioError("expected the functions that are missing, names or globs; found none")
    names = checks.functions(value)
    return (names,) if isinstance(names, str) else names


def _needs(value: object) -> str:
    name = _NEEDS if value is None else checks.short(_LONGEST_NEEDS)(value)
    if "/" in name:
        problem = f"expected a library's name without a folder, such as {_NEEDS!r}"
        raise ScenarioError(f"{problem}, found {name!r}")
    return str(name)


#: State -> the detail that it must have, and its check.
REQUIRED: dict[str, tuple[str, checks.Check]] = {
    "missing-symbols": ("symbols", _symbols),
    "older-table": ("driver", checks.driver),
}

PRESENT = Loader()


def check(value: object) -> dict[str, tuple[Loader, ...]]:
    """Check a scenario's loader states: library -> its copies in the order of the search path.

    A library that is not named is there, in one copy.
    """
    if not isinstance(value, Mapping):
        raise ScenarioError(f"expected a table with 'nvml' and 'cuda', found {value!r}")
    checked = {}
    for name, entry in value.items():
        with within(str(name)):
            checked[checks.library(name)] = _copies(entry)
    return checked


def _copies(entry: Any) -> tuple[Loader, ...]:
    if not isinstance(entry, (list, tuple)):
        return (_copy(entry),)
    if not 0 < len(entry) <= MOST_COPIES:
        problem = f"expected 1 to {MOST_COPIES} copies of the library, found {len(entry)}"
        raise ScenarioError(problem)
    checked = []
    for index, one in enumerate(entry):
        with within(index):
            checked.append(_copy(one))
    return tuple(checked)


def _copy(entry: Any) -> Loader:
    if isinstance(entry, Loader):
        return entry
    if not isinstance(entry, Mapping):
        return Loader(_state(entry))
    for key in entry:
        if key not in Loader.__struct_fields__:
            raise UnknownNameError(
                f"no such key{nearest(key, Loader.__struct_fields__)}", key=(str(key),)
            )
    return Loader(**entry)


def copies(states: Mapping[str, Any]) -> Iterator[tuple[Key, str, Loader]]:
    """Yield the key path, library and state of each copy in a scenario's checked loader states."""
    for library, entries in states.items():
        for index, entry in enumerate(entries):
            at = (index,) if len(entries) > 1 else ()
            yield ("loader", library, *at), library, entry


def damages(states: Mapping[str, Any]) -> list[tuple[str, Loader]]:
    """Return library and state of each copy that is not as it should be."""
    return [(library, copy) for _, library, copy in copies(states) if copy.state != "present"]


def check_driver(states: Mapping[str, Any], driver: str, vocabulary: Vocabulary) -> None:
    """Check a scenario's loader states against its driver version.

    Raises:
        ScenarioError: with the key path of a driver that is not older than the scenario's, or of a
            function that its library does not export anyway.
    """
    for key, library, entry in copies(states):
        if entry.state == "older-table":
            _check_older(entry.driver, driver, (*key, "driver"))
        for index, pattern in enumerate(entry.symbols):
            exported = vocabulary.exported(library, driver)
            if not matching(exported, pattern):
                problem = f"expected a function that driver {driver}'s {library} exports"
                hint = nearest(pattern, exported)
                place = (*key, "symbols", index)
                raise UnknownNameError(f"{problem}, found {pattern!r}{hint}", key=place)


def _check_older(wanted: str | None, driver: str, key: Key) -> None:
    """Refuse the table of a driver that is not older than the scenario's."""
    possible = older(driver)
    if wanted not in possible:
        which = f"one of {', '.join(possible)}" if possible else "none: it is the oldest"
        problem = f"expected a driver older than the scenario's {driver} ({which})"
        raise ScenarioError(f"{problem}, found {wanted!r}", key=key)
