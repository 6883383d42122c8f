"""Finding devices: how many there are, and handles by index, UUID, serial and bus id.

Every client begins here, so nothing is imported that a cold start would have to wait for.
"""

from __future__ import annotations

from . import _status as status
from .library import Nvml, NvmlError, api, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from ..machine import Device

__all__: list[str] = []


@implements("nvmlDeviceGetCount", "nvmlDeviceGetCount_v2")
def count(nvml: Nvml) -> int:
    return len(nvml.devices)


@implements("nvmlDeviceGetHandleByIndex", "nvmlDeviceGetHandleByIndex_v2")
def handle_by_index(nvml: Nvml, index: int) -> Device:
    if index >= len(nvml.devices):
        raise NvmlError(status.INVALID_ARGUMENT)
    return working(nvml.devices[index])


def working(device: Device) -> Device:
    """A device that a handle can be had of: a lost one says so."""
    if device.failure:
        raise NvmlError(api.codes.failed[device.failure])
    return device


def find(nvml: Nvml, condition: Callable[[Device], bool]) -> Device:
    for device in nvml.devices:
        if condition(device):
            return working(device)
    raise NvmlError(status.NOT_FOUND)


@implements("nvmlDeviceGetIndex")
def index(nvml: Nvml, device: Device) -> int:
    if device not in nvml.devices:  # it was plugged in again since the init
        raise NvmlError(status.GPU_IS_LOST)
    return nvml.devices.index(device)


@implements("nvmlDeviceGetHandleBySerial")
def handle_by_serial(nvml: Nvml, serial: str) -> Device:
    return find(nvml, lambda device: device.serial == serial)


# Without "GPU-", too: cuda.core looks its devices up so, and its tests hold that they are found.
@implements("nvmlDeviceGetHandleByUUID")
def handle_by_uuid(nvml: Nvml, uuid: str) -> Device:
    return find(nvml, lambda device: uuid in (device.uuid, device.uuid[4:]))


@implements("nvmlDeviceGetHandleByUUIDV")
def handle_by_uuid_v(nvml: Nvml, uuid: Any) -> Device:
    from . import _constants as constants

    if uuid.type == constants.UUID_TYPE_ASCII:
        return handle_by_uuid(nvml, uuid.value.str.decode("ascii", "replace"))
    if uuid.type != constants.UUID_TYPE_BINARY:
        raise NvmlError(status.INVALID_ARGUMENT)
    digits = bytes(uuid.value.bytes).hex()
    return find(nvml, lambda device: device.uuid[4:].replace("-", "") == digits)


@implements("nvmlDeviceGetHandleByPciBusId", "nvmlDeviceGetHandleByPciBusId_v2")
def handle_by_pci_bus_id(nvml: Nvml, pci_bus_id: str) -> Device:
    address = bus_address(pci_bus_id)
    return find(nvml, lambda d: (d.pci.domain, d.pci.bus, d.pci.device) == address)


def bus_address(text: str) -> tuple[int, ...]:
    """Domain, bus and device of "00000000:19:00.0", "0000:19:00.0" or "19:00"."""
    numbers = ["0", *text.partition(".")[0].split(":")][-3:]
    try:
        return tuple(int(number, 16) for number in numbers)
    except ValueError:
        raise NvmlError(status.INVALID_ARGUMENT) from None
