"""Resets, as `nvidia-smi --gpu-reset` asks for them by functions of the private table.

Learnt from what nvidia-smi passes and what it says of each answer: a group is made of the devices
to reset, it is asked which others must be reset along, and all are reset at once.
"""

from __future__ import annotations

import ctypes

from ..machine.reset import after_reset
from . import _status as status
from .library import Nvml, NvmlError
from .permissions import check_root
from .processes import all_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..machine import Device

__all__ = ["end_group", "fabric_state", "make_group", "members", "reset_devices", "reset_one"]

GROUPS = "reset group"  # what handles of groups are kept under
BUS_ID = 32  # bytes of each text that `members` fills

#: Architectures whose devices are reset along with those that NVLinks lead to (man nvidia-smi).
LINKED = ("PASCAL", "VOLTA", "TURING")


class Group:
    """The devices that are to be reset at once."""

    __slots__ = ("devices",)

    def __init__(self, devices: list[Device]) -> None:
        self.devices = devices


def devices_at(nvml: Nvml, address: int, count: int) -> list[Device]:
    """The devices of an array of handles."""
    objects = nvml.handles("nvmlDevice_t").objects
    found = [objects.get(word) for word in (ctypes.c_size_t * count).from_address(address)]
    if None in found:
        raise NvmlError(status.INVALID_ARGUMENT)
    return found  # type: ignore[return-value]


def fabric_state(nvml: Nvml, words: tuple[int, ...]) -> None:
    """(unsigned *): 1 where switches are reset along with the devices."""
    ctypes.c_uint.from_address(words[0]).value = 0


def make_group(nvml: Nvml, words: tuple[int, ...]) -> None:
    """(group *, nvmlDevice_t *, unsigned count, unsigned kind)"""
    made = Group(devices_at(nvml, words[1], words[2] & 0xFFFFFFFF))
    ctypes.c_size_t.from_address(words[0]).value = nvml.handles(GROUPS).give(made)


def group_of(nvml: Nvml, word: int) -> Group:
    found = nvml.handles(GROUPS).objects.get(word)
    if found is None:
        raise NvmlError(status.INVALID_ARGUMENT)
    return found  # type: ignore[no-any-return]


def members(nvml: Nvml, words: tuple[int, ...]) -> None:
    """(group, char *bus_ids[], unsigned *count): with room for each device of the machine."""
    wanted = group_of(nvml, words[0]).devices
    linked = any(is_linked(device) for device in wanted)
    found = [
        device for device in nvml.devices if device in wanted or (linked and is_linked(device))
    ]
    for address, device in zip((ctypes.c_size_t * len(found)).from_address(words[1]), found):
        ctypes.memmove(address, device.pci.bus_id.encode().ljust(BUS_ID, b"\0"), BUS_ID)
    ctypes.c_uint.from_address(words[2]).value = len(found)


def is_linked(device: Device) -> bool:
    return device.architecture in LINKED and any(link.active for link in device.nvlinks)


def end_group(nvml: Nvml, words: tuple[int, ...]) -> None:
    """(group)"""
    nvml.handles(GROUPS).drop(group_of(nvml, words[0]))


def reset_devices(nvml: Nvml, words: tuple[int, ...]) -> None:
    """(unsigned count, nvmlDevice_t *, nvmlReturn_t *results, unsigned *switches)

    UNKNOWN says that the results are to be looked at.
    """
    count = words[0] & 0xFFFFFFFF
    devices = devices_at(nvml, words[1], count)
    check_root(nvml)
    results = (ctypes.c_int * count).from_address(words[2])
    with nvml.machine.exclusive():
        busy = [bool(all_of(nvml, device)) for device in devices]
        for index, device in enumerate(devices):
            results[index] = status.IN_USE if busy[index] else status.SUCCESS
            if not any(busy):
                reset(nvml, device)
    ctypes.c_uint.from_address(words[3]).value = 0
    if any(busy):
        raise NvmlError(status.UNKNOWN)


def reset_one(nvml: Nvml, device: Device, words: tuple[int, ...]) -> None:
    """(device, ...): drivers of branch 470 reset older devices one by one."""
    check_root(nvml)
    with nvml.machine.exclusive():
        if all_of(nvml, device):
            raise NvmlError(status.IN_USE)
        reset(nvml, device)


def reset(nvml: Nvml, device: Device) -> None:
    nvml.machine.alter(device, after_reset(device, nvml.machine.clock.elapsed()))
