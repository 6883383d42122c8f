"""What this machine and this installation are like: `nvemu doctor` without a program."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..stubfiles import SONAMES
from . import hardware, initialisation, installation, libraries, nodes, surroundings, versions
from .facts import read
from .result import INSTALLATION, MACHINE, STATES, Check, worst

__all__ = ["INSTALLATION", "MACHINE", "STATES", "Check", "as_data", "check", "failed"]

#: Seconds that a child may take. A GPU that sleeps, or eight that start, take some of them.
LIMIT = 30.0


def check(
    root: Path = Path("/"),
    environment: Mapping[str, str] | None = None,
    limit: float = LIMIT,
) -> list[Check]:
    """Look at the machine whose /dev, /proc, /sys and /etc are below `root`, as programs with this
    environment would find it, and at this installation.

    What may crash or hang is done in children, which have `limit` seconds each.
    """
    own = os.environ if environment is None else environment
    facts = read(root)
    with ThreadPoolExecutor() as pool:
        examined = pool.map(lambda name: libraries.examine(name, own, root, limit), SONAMES)
        smi = pool.submit(versions.examine_smi, own, limit)
        below = list(examined)
    hidden = surroundings.hiding(own, below[0].count)
    lines = [*hardware.checks(facts, below), nodes.check(facts, own, limit)]
    for each in below:
        lines += [libraries.check(each, facts), *initialisation.checks(each, facts, hidden)]
    lines.append(versions.smi_check(smi.result(), facts))
    agreement = versions.agreement(facts, below, smi.result())
    lines += [agreement] if agreement else []
    return lines + surroundings.checks(own, facts) + installation.checks(own)


def failed(checks: Iterable[Check]) -> bool:
    """Whether something is broken."""
    return any(each.state == "failed" for each in checks)


def as_data(checks: Iterable[Check]) -> dict[str, Any]:
    """All lines, and the worst of their states, for JSON."""
    lines = list(checks)
    return {
        "state": worst(each.state for each in lines),
        "checks": [
            {
                "area": each.area,
                "name": each.name,
                "state": each.state,
                "text": each.text,
                "details": list(each.details),
                "next": each.next or None,
            }
            for each in lines
        ],
    }
