"""The keys of DCGM's NVML injection: which functions each stands for, and what it says of inputs.

A key is what stands behind "Get" in a function's name. All versions of a function share it; those
whose inputs are not as many as the keys below it are not meant.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from ...api import Function, Parameter
from ...nvml.library import api
from ...runtime.exact import lengths

__all__ = ["SECTIONS", "Meant", "meant"]

#: What the recorder (nvml_api_recorder.py) takes off a function's name to make a key of it.
PREFIXES = (
    *("nvmlDeviceGet", "nvmlSystemGet", "nvmlVgpuTypeGet", "nvmlVgpuInstanceGet", "nvmlGet"),
    *("nvmlGpuInstanceGet", "nvmlComputeInstanceGet", "nvmlDeviceIs", "nvmlDeviceQuery"),
    *("nvmlDevice", "nvmlGpm"),
)

#: Functions that only look; beside getters.
_LOOKING = re.compile(
    r"nvml(\w*Get[A-Z]\w*|DeviceIs\w+|DeviceOnSameBoard|DeviceValidateInforom"
    r"|GpmQueryDeviceSupport|DeviceQueryDrainState)"
)

_VERSION = re.compile(r"_v\d+$")

#: A section of the file -> the type of the first parameter of its functions; none for the machine.
SECTIONS = {
    "Global": "",
    "Device": "nvmlDevice_t",
    "MigDevice": "nvmlDevice_t",
    "GpuInstance": "nvmlGpuInstance_t",
    "ComputeInstance": "nvmlComputeInstance_t",
    "vGPUType": "nvmlVgpuTypeId_t",
    "vGPUInstance": "nvmlVgpuInstance_t",
}


class Meant(NamedTuple):
    """A function that a key stands for.

    Attributes:
        function: its declaration.
        subject: the parameter that a section's entry stands for; None for the machine's functions.
        asked: the parameters that the keys below are for, in their order.
        sized: how many more keys say how much room the recorder gave.
    """

    function: Function
    subject: Parameter | None
    asked: tuple[Parameter, ...]
    sized: int


def meant(section: str, key: str) -> list[Meant]:
    """The functions that a key of a section stands for; of one that names a version, from that
    version on; none where NVML has no such function."""
    base = _VERSION.sub("", key)
    found = _known().get((SECTIONS[section], base), [])
    if base == key:
        return found
    return [each for each in found if _version(each.function.name) >= _version(key)]


def _version(name: str) -> int:
    found = _VERSION.search(name)
    return int(found[0][2:]) if found else 1


@cache
def _known() -> dict[tuple[str, str], list[Meant]]:
    known: dict[tuple[str, str], list[Meant]] = {}
    for name in sorted(api.names):
        function = api.find(name)
        if not _LOOKING.fullmatch(name) or function.parameters is None:
            continue
        subject, each = _read(function)
        for prefix in PREFIXES:
            if name.startswith(prefix):
                base = _VERSION.sub("", name.removeprefix(prefix))
                known.setdefault((subject, base), []).append(each)
    return known


def _read(function: Function) -> tuple[str, Meant]:
    parameters = function.parameters or ()
    room = lengths(function)
    first = parameters[0] if parameters and parameters[0].type in SECTIONS.values() else None
    rest = parameters[1:] if first is not None else parameters
    asked = tuple(p for p in rest if p.direction == "value" and p.name not in room)
    sized = sum(p.direction == "value" and p.name in room and p.type != "int" for p in rest)
    return first.type if first is not None else "", Meant(function, first, asked, sized)
