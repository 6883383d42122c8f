"""The audit module in a testbed: it sees what the dynamic loader does for programs, and can give
them the testbed's libraries for those that they ask for by a path.

The loader loads it into every process that inherits LD_AUDIT; see stubs/src/audit.c.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..stubfiles import audit_module
from .replacing import write

__all__ = ["EVIDENCE", "lay_out", "variables"]

_MODULE, _REDIRECT = "audit.so", "redirect"

#: The file in a testbed with what was seen.
EVIDENCE = "evidence.jsonl"


def lay_out(folder: Path, watch: bool, redirect: bool, exclusive: bool) -> None:
    """Put the module into a testbed's folder, and what tells it what to do.

    Args:
        folder: the testbed's.
        watch: whether to record.
        redirect: whether libraries that are asked for by a path are the testbed's.
        exclusive: whether those of other folders are passed over then.
    """
    if watch or redirect:
        write(folder / _MODULE, audit_module().read_bytes(), mode=0o700)
    if watch:
        write(folder / EVIDENCE, "", mode=0o600)
    if redirect:
        write(folder / _REDIRECT, "exclusive\n" if exclusive else "", mode=0o600)


def variables(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that have the module loaded, beside those that a user's environment names."""
    module = folder / _MODULE
    if not module.exists():
        return {}
    return {"LD_AUDIT": ":".join(filter(None, [str(module), environment.get("LD_AUDIT")]))}
