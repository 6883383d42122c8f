"""The audit module in a testbed: it sees what the dynamic loader does for programs, and can give
them the testbed's libraries where they look elsewhere.

The loader loads it into every process that inherits LD_AUDIT; see stubs/src/audit/.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..stubfiles import audit_module
from .replacing import write

__all__ = ["EVIDENCE", "lay_out", "variables"]

_MODULE, _REDIRECT = "audit.so", "redirect"

#: What makes room (in bytes, of each thread) for thread-local variables of a program's libraries.
#: With an audit module glibc lays them out before it knows the libraries, and starts no program
#: whose libraries need more than is left: jemalloc's 3 KB, say.
_ROOM, _BYTES = "glibc.rtld.optional_static_tls", 4096

#: The file in a testbed with what was seen.
EVIDENCE = "evidence.jsonl"


def lay_out(folder: Path, watch: bool, redirect: bool, exclusive: bool) -> None:
    """Put the module into a testbed's folder, and what tells it what to do.

    Args:
        folder: the testbed's.
        watch: whether to record.
        redirect: whether libraries are the testbed's also where they are asked for by a path, or
            LD_LIBRARY_PATH no longer leads there.
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
    modules = [str(module), environment.get("LD_AUDIT")]
    tunables = [environment.get("GLIBC_TUNABLES")]
    if _ROOM not in (tunables[0] or ""):
        tunables.append(f"{_ROOM}={_BYTES}")
    return {"LD_AUDIT": _joined(modules), "GLIBC_TUNABLES": _joined(tunables)}


def _joined(entries: list[str | None]) -> str:
    return ":".join(filter(None, entries))
