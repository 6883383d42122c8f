"""Finding devices: how many there are, and handles by index, UUID, serial and bus id.

Every client begins here, so nothing is imported that a cold start would have to wait for.
"""

from __future__ import annotations

from . import _status as status
from .library import Nvml, NvmlError, api, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

    from ..machine import Device
    from ..machine.mig.partition import Partition

__all__ = ["bus_address"]


@implements("nvmlDeviceGetCount", "nvmlDeviceGetCount_v2")
def count(nvml: Nvml) -> int:
    return len(nvml.devices)


@implements("nvmlDeviceGetHandleByIndex", "nvmlDeviceGetHandleByIndex_v2")
def handle_by_index(nvml: Nvml, index: int) -> Device:
    if index >= len(nvml.devices):
        raise NvmlError(status.INVALID_ARGUMENT)
    return working(nvml.devices[index])


def working(device: Device) -> Device:
    """A device that a handle can be had of: a lost one says so, one that needs a reset does not."""
    if device.failure and device.failure != "reset_required":
        raise NvmlError(api.codes.failed[device.failure])
    return device


def find(nvml: Nvml, condition: Callable[[Device], bool]) -> Device:
    for device in nvml.devices:
        if condition(device):
            return working(device)
    raise NvmlError(status.NOT_FOUND)


@implements("nvmlDeviceGetIndex")
def index(nvml: Nvml, device: Device) -> int:
    """A MIG device's is that among those of its GPU."""
    is_gpu = device.uuid == device.gpu_uuid
    siblings: Sequence[Device] = nvml.devices if is_gpu else device.partitions
    if device not in siblings:  # it was plugged in again since the init
        raise NvmlError(status.GPU_IS_LOST)
    return siblings.index(device)


@implements("nvmlDeviceGetHandleBySerial")
def handle_by_serial(nvml: Nvml, serial: str) -> Device:
    """For one of several GPUs on a board NVIDIA's reference documents INVALID_ARGUMENT."""
    device = find(nvml, lambda device: device.serial == serial)
    if device.board.multi_gpu:
        raise NvmlError(status.INVALID_ARGUMENT)
    return device


# Without "GPU-", too: cuda.core looks its devices up so, and its tests hold that they are found.
@implements("nvmlDeviceGetHandleByUUID")
def handle_by_uuid(nvml: Nvml, uuid: str) -> Any:
    if uuid.startswith("MIG-"):
        return mig_device_by(nvml, lambda each: uuid in (each.uuid, old_name(each)))
    return find(nvml, lambda device: uuid in (device.uuid, device.uuid[4:]))


@implements("nvmlDeviceGetHandleByUUIDV")
def handle_by_uuid_v(nvml: Nvml, uuid: Any) -> Any:
    from . import _constants as constants

    if uuid.type == constants.UUID_TYPE_ASCII:
        return handle_by_uuid(nvml, uuid.value.str.decode("ascii", "replace"))
    if uuid.type != constants.UUID_TYPE_BINARY:
        raise NvmlError(status.INVALID_ARGUMENT)
    digits = bytes(uuid.value.bytes).hex()

    def same(device: Device) -> bool:
        return device.uuid[4:].replace("-", "") == digits

    return find(nvml, same) if any(map(same, nvml.devices)) else mig_device_by(nvml, same)


def old_name(partition: Partition) -> str:
    """The name of a MIG device before driver 470."""
    return "MIG-{}/{}/{}".format(partition.gpu_uuid, *partition.ids)


def mig_device_by(nvml: Nvml, condition: Callable[[Partition], bool]) -> Any:
    """A MIG device, as what its handle stands for."""
    from .mig.devices import mig_device

    for device in nvml.devices:
        for partition in device.partitions:
            if condition(partition):
                working(device)
                return mig_device(nvml, partition)
    raise NvmlError(status.NOT_FOUND)


@implements("nvmlDeviceGetHandleByPciBusId", "nvmlDeviceGetHandleByPciBusId_v2")
def handle_by_pci_bus_id(nvml: Nvml, pci_bus_id: str) -> Device:
    address = bus_address(pci_bus_id)
    return find(nvml, lambda device: device.pci.address == address)


def bus_address(text: str) -> tuple[int, int, int]:
    """Domain, bus and device of "00000000:19:00.0", "0000:19:00.0" or "19:00".

    Raises:
        NvmlError: INVALID_ARGUMENT: it is no address.
    """
    numbers = ["0", *text.partition(".")[0].split(":")][-3:]
    try:
        domain, bus, device = (int(number, 16) for number in numbers)
        return domain, bus, device
    except ValueError:
        raise NvmlError(status.INVALID_ARGUMENT) from None
