"""Which devices a fault or a change means: by index, UUID or profile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .errors import ScenarioError, UnknownNameError, nearest

__all__ = ["devices"]


def devices(
    written: int | str | Sequence[int | str] | None, gpus: Sequence[dict[str, Any]]
) -> list[int]:
    """Return the indices of the devices meant, in ascending order; None means all of them.

    Raises:
        UnknownNameError: no GPU of the machine has this UUID or profile.
        ScenarioError: the machine has no GPU of this index.
    """
    if written is None:
        return list(range(len(gpus)))
    entries = written if isinstance(written, (list, tuple)) else (written,)
    return sorted({index for entry in entries for index in _indices(entry, gpus)})


def _indices(entry: int | str, gpus: Sequence[dict[str, Any]]) -> list[int]:
    if isinstance(entry, int):
        if entry < len(gpus):
            return [entry]
        problem = f"expected the index of one of {len(gpus)} GPUs, found {entry}"
        raise ScenarioError(problem, key=("device",))
    found = [gpu["index"] for gpu in gpus if entry in (gpu["uuid"], gpu["profile"])]
    if not found:
        known = {gpu[key] for gpu in gpus for key in ("uuid", "profile")}
        problem = f"expected the UUID or the profile of a GPU of the scenario, found {entry!r}"
        raise UnknownNameError(problem + nearest(entry, known), key=("device",))
    return found
