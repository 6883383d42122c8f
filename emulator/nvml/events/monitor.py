"""Samples of the engines as `nvidia-smi pmon` reads them, by a slot of the private table.

Learnt from what pmon passes and prints: (device, unsigned long long last seen, unsigned *type,
unsigned *count, sample *). A sample has the time and for each engine how busy it was with which
process; pmon adds up what is a process's and divides by the number of samples.
"""

from __future__ import annotations

import ctypes

from ...machine.engines import ENGINES
from ...machine.processes import shares
from .. import _constants as constants
from .. import _status as status
from ..library import Nvml, NvmlError
from ..processes import all_of, sample_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from ...machine import Device

    Put = Callable[[Nvml, Device, tuple[int, ...]], None]

__all__ = ["samples"]

COUNT = 100  # samples, so that each percent of an engine is one; as many as pmon has room for


class _Use(ctypes.Structure):
    _fields_ = (
        ("util", ctypes.c_uint),
        ("reserved", ctypes.c_uint),
        ("pid", ctypes.c_uint),
        ("subpid", ctypes.c_uint),
        ("name", ctypes.c_char * 64),
    )


def samples(engines: int) -> Put:
    """The slot of drivers whose samples have so many engines, in the order of `ENGINES`."""
    fields = [("timeStamp", ctypes.c_ulonglong), ("use", _Use * engines)]
    kind: Any = type("Sample", (ctypes.Structure,), {"_fields_": fields, "_pack_": 4})

    def put(nvml: Nvml, device: Device, words: tuple[int, ...]) -> None:
        count = ctypes.c_uint.from_address(words[3])
        if count.value < COUNT:
            count.value = COUNT
            raise NvmlError(status.INSUFFICIENT_SIZE)
        taken = sample_time(nvml, device)
        if taken <= words[1]:
            raise NvmlError(status.NOT_FOUND)
        count.value = COUNT
        ctypes.c_uint.from_address(words[2]).value = constants.VALUE_TYPE_UNSIGNED_INT
        ctypes.memset(words[4], 0, COUNT * ctypes.sizeof(kind))
        written = (kind * COUNT).from_address(words[4])
        for entry in written:
            entry.timeStamp = taken
        sharers = all_of(nvml, device)
        known = shares(device, sharers)
        for place, engine in enumerate(ENGINES[:engines]):
            busy = [
                process.pid for process, share in zip(sharers, known) for _ in range(share[engine])
            ]
            for entry, pid in zip(written, busy):
                entry.use[place].util, entry.use[place].pid = 100, pid

    return put
