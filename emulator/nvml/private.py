"""nvmlInternalGetExportTable: the private table through which nvidia-smi asks what NVML's
public functions do not say.

The table is an array of words: its size in bytes, then function pointers, each of which returns an
nvmlReturn_t. What is known of them was read off the real libraries' tables and off what each view
of nvidia-smi passes and prints. From driver to driver functions are appended, and some are moved:
slots.py has what they do. An unknown slot answers NOT_SUPPORTED for a device, which nvidia-smi
shows as N/A, and SUCCESS otherwise: slot 26, (const char *, ...), is called before everything in
every view, and an error there ends `topo -m`.
"""

from __future__ import annotations

import ctypes

from ..api import NULL_PAGE
from ..machine.drivers import branch
from . import _status as status
from .library import Nvml, NvmlError, implements
from .slots import FREE, slots_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from ..machine import Device
    from .slots import Free, Put

__all__: list[str] = []

IDENTIFIER = bytes.fromhex("c4fe3e6cc98f6c4ea327ee696e12f7c4")

#: Release branch -> size of its table in bytes, read off the real libraries; later ones have more.
SIZES = {470: 0x6A8, 525: 0x770, 535: 0x7A8, 550: 0x7D8, 555: 0x7F8}
LATER_SIZE = 0x1000

SHOWN = 5  # words that a function may look at, and that the trace shows
Slot = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_size_t] * SHOWN)

_table: list[Any] = []  # the words and the callbacks: what a client holds stays where it is


@implements("nvmlInternalGetExportTable", anytime=True)
def export_table(nvml: Nvml, p_export_table_id: int) -> int:
    if (
        p_export_table_id < NULL_PAGE
        or ctypes.string_at(p_export_table_id, len(IDENTIFIER)) != IDENTIFIER
    ):
        raise NvmlError(status.INVALID_ARGUMENT)
    if not _table:
        _table.extend(make_table(nvml))
    return ctypes.addressof(_table[0])


def make_table(nvml: Nvml) -> list[Any]:
    release = branch(nvml.machine.driver)
    size = SIZES.get(release, LATER_SIZE)
    puts = slots_of(release)
    callbacks = [Slot(answer(nvml, slot, puts.get(slot))) for slot in range(1, size // 8)]
    addresses = [ctypes.cast(callback, ctypes.c_void_p).value or 0 for callback in callbacks]
    return [(ctypes.c_size_t * (size // 8))(size, *addresses), *callbacks]


def answer(nvml: Nvml, slot: int, put: Optional[Put]) -> Callable[..., int]:
    """The function behind a slot; no exception may leave it, nor a call go unseen."""
    name = f"nvmlInternalGetExportTable[{slot}]"
    devices = nvml.handles("nvmlDevice_t").objects
    free = FREE.get(slot)

    def call(*words: int) -> int:
        device = devices.get(words[0])
        device = getattr(device, "partition", device)  # of a MIG device, which has a handle, too
        shown = [hex(word) for word in words]
        if device is not None:
            shown[0] = nvml.describe(device, words[0])
        try:
            code = perform(nvml, device, words, put, free)
        except BaseException as error:
            code = error.code if isinstance(error, NvmlError) else status.UNKNOWN
            shown.append(repr(error))
        nvml.note(name, {f"word{index}": word for index, word in enumerate(shown)}, code)
        return code

    return call


def perform(
    nvml: Nvml,
    device: Optional[Device],
    words: tuple[int, ...],
    put: Optional[Put],
    free: Optional[Free],
) -> int:
    if not nvml.ready:
        return status.UNINITIALIZED
    if device is None:
        if free is not None:
            free(nvml, words)
    elif put is None:
        return status.NOT_SUPPORTED
    else:
        put(nvml, device, words)
    return status.SUCCESS
