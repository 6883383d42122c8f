"""What a device is: its name, brand, board and the other facts of its identity."""

from __future__ import annotations

from . import _constants as constants
from .library import implements, implements_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..machine import Device

__all__: list[str] = []


@implements("nvmlDeviceOnSameBoard")
def on_same_board(device1: Device, device2: Device) -> int:
    return int(device1.board.id == device2.board.id)


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
        "nvmlDeviceGetUUID": lambda device: device.uuid,
    }
)
