"""What a device is: its name, brand, board and the other facts of its identity."""

from __future__ import annotations

from ..machine.clock import SECOND
from ..machine.interrupts import interrupt
from . import _constants as constants
from . import _status as status
from .architectures import need
from .library import Nvml, NvmlError, implements, implements_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..machine import Device

__all__: list[str] = []


def uuid(device: Device) -> str:
    """What NVML calls it: without "GPU-" on a Jetson (NVIDIA/go-nvlib quotes its nvidia-smi -L)."""
    return device.uuid if device.nvml_functions is None else device.uuid[4:]


@implements("nvmlDeviceOnSameBoard")
def on_same_board(device1: Device, device2: Device) -> int:
    return int(device1.board.id == device2.board.id)


@implements("nvmlDeviceGetIrqNum")
def interrupt_number(nvml: Nvml, device: Device) -> int:
    return interrupt(nvml.machine, device)


@implements("nvmlDeviceGetPdi")
def per_device_identifier(device: Device) -> dict[str, int]:
    """64 bits that are the device's own: those that its UUID begins with, unless given."""
    need(device, "PASCAL")
    if device.pdi is not None:
        return {"value": device.pdi}
    return {"value": int(device.uuid[4:].replace("-", "")[:16], 16)}


@implements("nvmlDeviceGetGpuUptime_v1")
def uptime(nvml: Nvml, device: Device) -> dict[str, int]:
    seconds = nvml.machine.clock.elapsed() // SECOND
    return {"uptime": seconds + (device.uptime or 0)}


@implements("nvmlDeviceGetCapabilities")
def capabilities(device: Device) -> dict[str, int]:
    return {"capMask": constants.DEV_CAP_EGM if device.extended_memory else 0}


# ---- the name of the host, which a device of Blackwell's keeps for others on its fabric


@implements("nvmlDeviceGetHostname_v1")
def hostname(device: Device) -> dict[str, str]:
    need(device, "BLACKWELL")
    return {"value": device.hostname or ""}


@implements("nvmlDeviceSetHostname_v1")
def set_hostname(nvml: Nvml, device: Device, hostname: Any) -> None:
    need(device, "BLACKWELL")
    name = bytes(hostname)
    text = name.partition(b"\0")[0].decode("latin-1")
    if b"\0" not in name or not text or not is_hostname(text):
        raise NvmlError(status.INVALID_ARGUMENT)
    nvml.machine.alter(device, {"hostname": text})


def is_hostname(text: str) -> bool:
    """Letters, digits, dots and hyphens (RFC 1123)."""
    return text.isascii() and text.replace("-", "").replace(".", "").isalnum()


implements_each(
    {
        "nvmlDeviceGetArchitecture": lambda device: getattr(
            constants, "DEVICE_ARCH_" + device.architecture
        ),
        "nvmlDeviceGetBoardId": lambda device: device.board.id,
        "nvmlDeviceGetBrand": lambda device: getattr(constants, "BRAND_" + device.brand),
        "nvmlDeviceGetBusType": lambda device: constants.BUS_TYPE_PCIE,
        "nvmlDeviceGetCudaComputeCapability": lambda device: device.compute_capability,
        "nvmlDeviceGetMinorNumber": lambda device: device.minor_number,
        "nvmlDeviceGetModuleId": lambda device: device.board.module_id,
        "nvmlDeviceGetMultiGpuBoard": lambda device: device.board.multi_gpu,
        "nvmlDeviceGetName": lambda device: device.name,
        "nvmlDeviceGetNumGpuCores": lambda device: device.processor.cores,
        "nvmlDeviceGetSerial": lambda device: device.serial,
        "nvmlDeviceGetUUID": uuid,
    }
)
