"""What a capture answers, as a plan has it: see ``emulator.runtime.replaying``."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from ...runtime.exact import answered, is_plain
from ...vocabulary import apis, vocabulary
from .format import Call, Capture

__all__ = ["answers", "asking"]

#: Functions that only ask, though they are no getters by their names.
ASKING = (
    *("nvmlDeviceIsMigDeviceHandle", "nvmlDeviceOnSameBoard", "nvmlDeviceQueryDrainState"),
    *("nvmlDeviceValidateInforom", "nvmlGpmQueryDeviceSupport", "nvmlGpmQueryIfStreamingEnabled"),
    *("cuDeviceCanAccessPeer", "cuDeviceComputeCapability"),
    *("cuDeviceTotalMem", "cuDeviceTotalMem_v2"),
)

Row = list[Any]


def answers(capture: Capture) -> dict[str, dict[str, list[Row]]]:
    """Library -> function -> rows of inputs, code, and outputs (None: the handler answers).

    Left out is what a library refuses before it looks at the machine: it is not initialised, the
    client has too little room, or a struct of a version that it does not know.
    """
    found: dict[str, dict[str, list[Row]]] = {}
    for call in capture.calls:
        if call.code not in _refusals(call.library, call.function):
            rows = found.setdefault(call.library, {}).setdefault(call.function, [])
            rows.append([call.inputs, call.code, _outputs(call)])
    return {
        library: {name: list(_shortened(rows)) for name, rows in functions.items()}
        for library, functions in found.items()
    }


@cache
def asking(library: str) -> frozenset[str]:
    """The functions that answer and change nothing, as far as their names say."""
    named = apis()[library].names
    return frozenset((*vocabulary().groups["getters"][library], *(n for n in ASKING if n in named)))


def _outputs(call: Call) -> dict[str, Any] | None:
    return call.outputs if call.code == 0 and _is_replayed(call.library, call.function) else None


@cache
def _is_replayed(library: str, name: str) -> bool:
    """Whether recorded outputs are put out: a function that changes something is to change it."""
    api = apis()[library]
    return name in asking(library) and is_plain(api, api.find(name))


@cache
def _refusals(library: str, name: str) -> frozenset[int]:
    codes = apis()[library].codes
    found = {codes.uninitialized}
    if codes.version_mismatch != codes.invalid_argument:
        found.add(codes.version_mismatch)
    if any(parameter.length for parameter in answered(apis()[library].find(name))):
        found.add(codes.insufficient_size)
    return frozenset(found)


def _shortened(rows: Iterable[Row]) -> Iterable[Row]:
    """The rows without those that say once more what the last one for the same inputs says, as long
    as no other comes for them: the last answer is given again and again."""
    kept: dict[str, list[Row]] = {}
    for row in rows:
        kept.setdefault(repr(row[0]), []).append(row)
    for same in kept.values():
        while len(same) > 1 and same[-1] == same[-2]:
            same.pop()
    return [row for same in kept.values() for row in same]
