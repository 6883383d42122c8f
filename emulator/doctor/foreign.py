"""Libraries that programs had loaded from elsewhere, which redirection could not keep from them."""

from __future__ import annotations

import os

from ..stubfiles import SONAMES
from ..testbed import Testbed
from ..trace import records
from .events import Load, Start, parse

__all__ = ["foreign_loads"]


def foreign_loads(testbed: Testbed) -> list[str]:
    """For each of the two libraries that was not the testbed's, a line that says whose it was.

    Args:
        testbed: a watched one, in which programs have run.
    """
    programs: dict[int, str] = {}
    found: dict[str, None] = {}
    for event in parse(records(testbed.evidence_file)):
        if isinstance(event, Start):
            programs[event.pid] = os.path.basename(event.exe)
        elif isinstance(event, Load) and _is_foreign(testbed, event):
            who = f"{programs.get(event.pid, 'a program')} ({event.pid})"
            found[f"{who} has loaded {event.path}, under a name that is not {event.soname}"] = None
    return list(found)


def _is_foreign(testbed: Testbed, load: Load) -> bool:
    ours = os.path.realpath(testbed.folder) + os.sep
    known = load.soname in SONAMES.values()
    return known and not os.path.realpath(load.path).startswith(ours)
