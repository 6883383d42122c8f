"""How far each process got with each of the two libraries."""

from __future__ import annotations

from ..stubfiles import SONAMES
from .called import CALLED
from .evidence import Evidence
from .library import Library
from .stages import Outcome
from .uncalled import UNCALLED

__all__ = ["outcomes"]


def outcomes(evidence: Evidence) -> list[Outcome]:
    """One for each process and library, where there is anything to say."""
    seen = (Library(evidence, pid, name) for pid in evidence.processes for name in SONAMES)
    return list(filter(None, map(_outcome, seen)))


def _outcome(seen: Library) -> Outcome | None:
    return next(filter(None, (step(seen) for step in (*CALLED, *UNCALLED))), None)
