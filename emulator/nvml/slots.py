"""What the functions of the private table do: the slots that nvidia-smi's views call.

Learnt from what each view passes and prints. A slot gets the words it was called with, of which
the first is the device; (device, T *out) unless said otherwise. What it raises it returns.
"""

from __future__ import annotations

import ctypes

from ..machine.links.topology import ancestor, near_nodes
from . import _constants as constants
from . import _status as status
from . import resets
from .buffers import put_cropped
from .discovery import bus_address
from .events.monitor import samples
from .library import Nvml, NvmlError, api
from .links.links import lanes, link_of
from .pci import atomics_mask
from .permissions import check_root
from .processes import COMPUTE, GRAPHICS, MPS, info, of_kind
from .vgpu.guests import put_license_state
from .vgpu.instances import put_vm_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from ..machine import Device

    Put = Callable[[Nvml, Device, tuple[int, ...]], None]
    Free = Callable[[Nvml, tuple[int, ...]], None]

__all__ = ["FREE", "slots_of"]

UINT = 0xFFFFFFFF  # what of a word is an unsigned int; the caller leaves the rest undefined

#: One process in the lists; from 535 on with the memory that confidential computing protects.
ENTRY_525 = [
    ("pid", ctypes.c_uint),
    ("usedGpuMemory", ctypes.c_ulonglong),
    ("gpuInstanceId", ctypes.c_uint),
    ("computeInstanceId", ctypes.c_uint),
    ("name", ctypes.c_char * 4096),
]
ENTRY = [*ENTRY_525[:-1], ("usedGpuCcProtectedMemory", ctypes.c_ulonglong), ENTRY_525[-1]]


def number(read: Callable[[Device], Optional[int]]) -> Put:
    """A slot that puts out one number."""

    def put(nvml: Nvml, device: Device, words: tuple[int, ...]) -> None:
        ctypes.c_int.from_address(words[1]).value = known(read(device))

    return put


def known(value: Any) -> Any:
    """A quantity that the device has."""
    if value is None:
        raise NvmlError(status.NOT_SUPPORTED)
    return value


def text(read: Callable[[Device], Optional[str]], length: int = 0) -> Put:
    """A slot that puts out a string: (device, char *, unsigned length), or of a fixed length."""

    def put(nvml: Nvml, device: Device, words: tuple[int, ...]) -> None:
        put_cropped(words[1], length or words[2] & UINT, known(read(device)))

    return put


def processes(types: tuple[str, ...], fields: list[Any] = ENTRY) -> Put:
    """A slot that lists processes: (device, unsigned *count, entry *).

    `count` is the room on entry (500 in every view), and how many there are afterwards.
    """
    entry_type: Any = type("Entry", (ctypes.Structure,), {"_fields_": fields})

    def put(nvml: Nvml, device: Device, words: tuple[int, ...]) -> None:
        found = of_kind(nvml, device, types)
        counter = ctypes.c_uint.from_address(words[1])
        capacity, counter.value = counter.value, len(found)
        if len(found) > capacity:
            raise NvmlError(status.INSUFFICIENT_SIZE)
        for entry, process in zip((entry_type * len(found)).from_address(words[2]), found):
            for name, value in info(process).items():
                setattr(entry, name, value)
            entry.name = process.name.encode()[:4095]

    return put


def atomics(nvml: Nvml, device: Device, words: tuple[int, ...]) -> None:
    """Without any operation listed the row is N/A, as a mask of zero is."""
    for index, operations in enumerate((device.pci.atomics_outbound, device.pci.atomics_inbound)):
        ctypes.c_uint.from_address(words[1] + 4 * index).value = atomics_mask(operations or [])


def lane_errors(name: str) -> Put:
    """A slot that counts a link's errors by lane: (device, unsigned link, lanes, lanes, entry *).

    An entry is an unsigned long long; of ECC errors the lower half counts, and nvidia-smi reads off
    the upper whether there were more. All that a link has counted are its first lane's.
    """

    def put(nvml: Nvml, device: Device, words: tuple[int, ...]) -> None:
        count = known(getattr(link_of(device, words[1] & UINT), name)) & UINT
        entries = (ctypes.c_ulonglong * (words[2] & UINT)).from_address(words[4])
        entries[:] = [count, *[0] * (len(entries) - 1)]

    return put


def cpu_nodes(nvml: Nvml, device: Device, words: tuple[int, ...]) -> None:
    """(device, unsigned size, unsigned long *): NUMA nodes of the nearest CPUs, as bits."""
    near, size = near_nodes(nvml.machine.devices, device), words[1] & UINT
    held = near & (1 << 64 * size) - 1
    ctypes.memmove(words[2], held.to_bytes(8 * size, "little"), 8 * size)


def set_persistence(nvml: Nvml, device: Device, words: tuple[int, ...]) -> None:
    """(device, mode, unsigned *by_daemon): nobody runs nvidia-persistenced here."""
    check_root(nvml)
    nvml.machine.alter(device, {"persistence_mode": bool(words[1] & UINT)})
    ctypes.c_uint.from_address(words[2]).value = 0


#: Fields by number that the public nvmlDeviceGetFieldValues does not have.
FIELDS: dict[int, Callable[[Device], Optional[int]]] = {
    2: lanes,  # for the view of the counters by lane, from 525 on
    4: lambda device: device.reset_required,  # from 555 on; in 550 the public 226 and 227
    5: lambda device: device.drain_recommended,
}


def field_values(nvml: Nvml, device: Device, words: tuple[int, ...]) -> None:
    """Like the public function, (device, count, nvmlFieldValue_t *), with other fields."""
    kind: Any = api.types["nvmlFieldValue_t"]
    for value in (kind * (words[1] & UINT)).from_address(words[2]):
        read = FIELDS.get(value.fieldId)
        found = None if read is None else read(device)
        value.nvmlReturn = status.NOT_SUPPORTED if found is None else status.SUCCESS
        value.valueType = constants.VALUE_TYPE_UNSIGNED_INT
        value.value.uiVal = found or 0


def bus_id(nvml: Nvml, words: tuple[int, ...]) -> None:
    """(unsigned index, char *, unsigned length): for the message about a device without handle."""
    index = words[0] & UINT
    if index >= len(nvml.devices):
        raise NvmlError(status.INVALID_ARGUMENT)
    put_cropped(words[1], words[2] & UINT, nvml.devices[index].pci.bus_id_legacy)


def put_numbers(numbers: tuple[int, ...], addresses: tuple[int, ...]) -> None:
    """Write each number to its `unsigned *`."""
    for number_, address in zip(numbers, addresses):
        ctypes.c_uint.from_address(address).value = number_


def parsed_bus_id(nvml: Nvml, words: tuple[int, ...]) -> None:
    """(const char *, unsigned *domain, *bus, *device, *function): what a user gave to `-i`."""
    given = ctypes.string_at(words[0]).decode("ascii", "replace")
    function = given.partition(".")[2]
    if not function.isdigit():
        raise NvmlError(status.INVALID_ARGUMENT)
    put_numbers((*bus_address(given), int(function)), words[1:])


def address_of(nvml: Nvml, words: tuple[int, ...]) -> None:
    """(unsigned index, unsigned *domain, *bus, *device): to be compared with what was parsed."""
    index = words[0] & UINT
    if index >= len(nvml.devices):
        raise NvmlError(status.INVALID_ARGUMENT)
    put_numbers(nvml.devices[index].pci.address, words[1:])


#: What two devices have in common -> PIX, PXB, PHB, NODE or SYS.
PATHS = {"INTERNAL": 0, "SINGLE": 0, "MULTIPLE": 1, "HOSTBRIDGE": 2, "NODE": 3, "SYSTEM": 4}


def common_ancestor(nvml: Nvml, words: tuple[int, ...]) -> None:
    """(char *, char *, unsigned *): how GPUs or network cards at two bus ids connect.

    The host's network cards are nowhere near the emulated GPUs: on the node, by other bridges.
    """
    at = {device.pci.bus_id.encode(): device for device in nvml.machine.devices}
    one, other = (at.get(ctypes.string_at(word).upper()) for word in words[:2])
    level = "NODE" if one is None or other is None else ancestor(one, other)
    ctypes.c_uint.from_address(words[2]).value = PATHS[level]


def architecture(device: Device) -> int:
    return getattr(constants, "DEVICE_ARCH_" + device.architecture)  # type: ignore[no-any-return]


def addressing_mode(device: Device) -> Optional[int]:
    mode = device.addressing_mode
    return None if mode is None else getattr(constants, "DEVICE_ADDRESSING_MODE_" + mode)


def license_state(device: Device) -> Optional[int]:
    """Of a guest's vGPU software: one feature that has its licence will do."""
    licensed = [each.licensed for each in device.licensing.licenses]
    state = "LICENSED" if any(licensed) else "UNLICENSED"
    return getattr(constants, "GRID_LICENSE_STATE_" + state) if licensed else None


#: Slots that name no device, the same in all drivers.
FREE: dict[int, Free] = {
    12: parsed_bus_id,
    23: common_ancestor,
    75: address_of,
    81: bus_id,
    168: resets.reset_devices,
    169: resets.fabric_state,
    182: resets.make_group,
    183: resets.members,
    184: resets.end_group,
    188: put_vm_name,
    190: put_license_state,
}

#: Release branch -> slots that it changes against the one before; None: moved or gone.
SLOTS: dict[int, dict[int, Optional[Put]]] = {
    470: {
        13: resets.reset_one,
        20: number(lambda device: 0),  # whether it is the primary GPU, which is not reset
        65: number(architecture),
        72: number(lambda device: 1),  # whether `dmon` and `pmon` work on it
        108: number(lambda device: device.power.enforced_limit),
        145: samples(4),
        156: lane_errors("crc_data_errors"),
        165: field_values,
        189: number(license_state),
        207: number(lambda device: device.board.module_id),
        208: lane_errors("ecc_errors"),
        209: number(lambda device: device.power.voltage),  # unsigned, microvolts
        211: text(lambda device: device.gsp.version, 80),
    },
    525: {
        211: None,
        213: processes(COMPUTE, ENTRY_525),
        214: processes(MPS, ENTRY_525),
        215: processes(GRAPHICS, ENTRY_525),
        223: cpu_nodes,
        226: atomics,  # unsigned [2]: outbound, inbound
        230: number(lambda device: device.pci.host_max_generation),
        231: text(lambda device: device.board.gpu_part_number),
        237: number(lambda device: device.temperature.margin),  # refused: thresholds are shown
    },
    535: {
        207: None,
        213: processes(COMPUTE),
        214: processes(MPS),
        215: processes(GRAPHICS),
        237: text(lambda device: device.board.fru_part_number),
        240: number(lambda device: device.temperature.margin),
        241: number(lambda device: device.topology.memory_node),
        242: number(addressing_mode),
        243: number(lambda device: device.sparse_operation_mode),
    },
    550: {
        145: samples(6),
        241: None,
        243: None,
        249: number(lambda device: device.sparse_operation_mode),
    },
    555: {251: set_persistence},
}


def slots_of(release: int) -> dict[int, Optional[Put]]:
    """What is known of a release branch's table."""
    known_slots: dict[int, Optional[Put]] = {}
    for since, changes in SLOTS.items():
        if release >= since:
            known_slots.update(changes)
    return known_slots
