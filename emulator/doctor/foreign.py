"""Libraries that programs had loaded from elsewhere, which redirection could not keep from them."""

from __future__ import annotations

import os

from ..stubfiles import SONAMES
from ..testbed import Testbed
from ..trace import records
from .events import Load, Start, parse

__all__ = ["foreign_loads", "is_foreign"]


def foreign_loads(testbed: Testbed) -> list[str]:
    """For each of the two libraries that was not the testbed's, a line that says whose it was.

    Args:
        testbed: a watched one, in which programs have run.
    """
    programs: dict[int, str] = {}
    found: dict[str, None] = {}
    known = SONAMES.values()
    for event in parse(records(testbed.evidence_file)):
        if isinstance(event, Start):
            programs[event.pid] = os.path.basename(event.exe)
        elif isinstance(event, Load) and event.soname in known and is_foreign(testbed, event.path):
            who = f"{programs.get(event.pid, 'a program')} ({event.pid})"
            found[f"{who} has loaded {event.path}, under a name that is not {event.soname}"] = None
    return list(found)


def is_foreign(testbed: Testbed, path: str) -> bool:
    """Whether a file is none of the testbed's."""
    folder = os.path.realpath(testbed.folder)
    return not os.path.realpath(path).startswith(folder + os.sep)
