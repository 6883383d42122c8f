"""Asking the dynamic loader whether a scenario's libraries are to it what they are meant to be.

It passes over a library that is not there, and goes on to the system's folders: where NVIDIA's
driver is installed, no file of a testbed makes a library absent.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..scenario.loader import Loader
from ..stubfiles import SONAMES
from . import asking
from .libraries import States

__all__ = ["LoadingError", "ask", "verify"]

_LIMIT = 30.0  # seconds that the initialisers of the system's libraries may take

#: What the loader passes over, to go on along the search path.
_PASSED_OVER = ("absent", "broken-symlink", "unreadable", "wrong-class")

_NOT_FOUND = "{}: cannot open shared object file: No such file or directory"
_WRONG_CLASS = "{}: wrong ELF class: ELFCLASS32"


class LoadingError(RuntimeError):
    """A library of the system ends the process that loads it, or keeps it."""


def verify(states: States, path: str) -> str | None:
    """Ask the dynamic loader, in a process of its own, whether libraries that cannot be loaded
    cannot be loaded, along the search path `path` and in the system's folders.

    Returns:
        What is in the scenario's way, as a sentence; None if nothing is.
    """
    doubtful = {library: expected for library in states if (expected := _refusal(states, library))}
    if not doubtful:
        return None
    try:
        said = ask([SONAMES[library] for library in doubtful], path)
    except LoadingError as error:
        return str(error)
    for (library, expected), (kind, text) in zip(doubtful.items(), said, strict=True):
        if (kind, text) != ("error", expected):
            found = f"would find {text}" if kind == "path" else f"would be told {text!r}"
            return (
                f"the scenario wants {SONAMES[library]} {_decisive(states[library]).state}, but "
                f"programs {found}, which is this system's: play it where that is not, such as in "
                "a container"
            )
    return None


def _decisive(entries: Sequence[Loader]) -> Loader:
    """The copy that the loader stops at; the last one if it passes over all."""
    return next((copy for copy in entries if copy.state not in _PASSED_OVER), entries[-1])


def _refusal(states: States, library: str) -> str | None:
    """What the loader is to say of a library, where that depends on what the system has."""
    copy = _decisive(states[library])
    if copy.state == "missing-dependency":
        return _NOT_FOUND.format(copy.needs)
    if copy.state not in _PASSED_OVER:
        return None
    wrong = any(entry.state == "wrong-class" for entry in states[library])
    return (_WRONG_CLASS if wrong else _NOT_FOUND).format(SONAMES[library])


def ask(sonames: list[str], path: str) -> list[tuple[str, str]]:
    """What the dynamic loader, in a process of its own, says of each library along the search path
    `path` and in the system's folders: ("error", its message) or ("path", the file it loads).

    Raises:
        LoadingError: a library does not let the process go on.
    """
    answer = asking.ask(["load", *sonames], {"LD_LIBRARY_PATH": path}, _LIMIT)
    if answer.stuck:
        raise LoadingError(f"loading {sonames[len(answer.steps)]} {answer.ending}")
    return [
        ("error", step["error"]) if "error" in step else ("path", os.path.realpath(step["path"]))
        for step in answer.steps
    ]
