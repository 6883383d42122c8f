"""What VM managers compare before they move a VM with a vGPU to another GPU.

The opaque part of both structs is the device id of the product here: a vGPU can only move to a GPU
of the same product. Real ones hold more, which nothing but the driver reads.
"""

from __future__ import annotations

import ctypes

from .. import _constants as constants
from ..buffers import put_bytes, put_text
from ..library import Nvml, api, implements
from .hosts import check_host, newest_version, version
from .instances import find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...machine import Device

__all__: list[str] = []

#: Of both structs.
VERSION, REVISION = 2, 1


@implements("nvmlVgpuInstanceGetMetadata", raw=("bufferSize",))
def instance_metadata(nvml: Nvml, vgpu_instance: int, vgpu_metadata: int, buffer_size: int) -> None:
    each = find(nvml, vgpu_instance)
    known = each.row.driver_version is not None
    made = api.types["nvmlVgpuMetadata_t"]()
    made.version, made.revision = VERSION, REVISION
    made.guestInfoState = int(known)  # NVML_VGPU_INSTANCE_GUEST_INFO_STATE_*
    made.guestDriverVersion = (each.row.driver_version or "").encode()[:79]
    made.hostDriverVersion = nvml.machine.driver_version.encode()
    made.vgpuVirtualizationCaps = constants.VGPU_VIRTUALIZATION_CAP_MIGRATION_YES
    if known:
        made.guestVgpuVersion = each.row.version or newest_version(nvml)
    put_bytes(vgpu_metadata, buffer_size, sealed(made, each.device))


@implements("nvmlDeviceGetVgpuMetadata", raw=("bufferSize",))
def device_metadata(nvml: Nvml, device: Device, pgpu_metadata: int, buffer_size: int) -> None:
    check_host(device)
    made = api.types["nvmlVgpuPgpuMetadata_t"]()
    made.version, made.revision = VERSION, REVISION
    made.hostDriverVersion = nvml.machine.driver_version.encode()
    made.pgpuVirtualizationCaps = constants.VGPU_PGPU_VIRTUALIZATION_CAP_MIGRATION_YES
    current = version(nvml)[1]
    made.hostSupportedVgpuRange.minVersion = current["minVersion"]
    made.hostSupportedVgpuRange.maxVersion = current["maxVersion"]
    put_bytes(pgpu_metadata, buffer_size, sealed(made, device))


def sealed(made: Any, device: Device) -> bytes:
    """A struct with its opaque part. Not by setattr, which stops at a zero byte."""
    made.opaqueDataSize = 4
    start = type(made).opaqueData.offset
    data = bytearray(made)
    data[start : start + 4] = device.pci.device_id.to_bytes(4, "little")
    return bytes(data)


def opaque(struct: Any) -> bytes:
    address = ctypes.addressof(struct) + type(struct).opaqueData.offset
    return ctypes.string_at(address, 4)


@implements("nvmlGetVgpuCompatibility")
def compatibility(vgpu_metadata: Any, pgpu_metadata: Any) -> dict[str, int]:
    """A VM whose driver has not started can only be booted there; a running one moves as it is."""
    allowed = pgpu_metadata.hostSupportedVgpuRange
    limit = constants.VGPU_COMPATIBILITY_LIMIT_NONE
    running = vgpu_metadata.guestInfoState
    if opaque(vgpu_metadata) != opaque(pgpu_metadata):
        limit = constants.VGPU_COMPATIBILITY_LIMIT_GPU
    elif running and vgpu_metadata.guestVgpuVersion < allowed.minVersion:
        limit = constants.VGPU_COMPATIBILITY_LIMIT_GUEST_DRIVER
    elif running and vgpu_metadata.guestVgpuVersion > allowed.maxVersion:
        limit = constants.VGPU_COMPATIBILITY_LIMIT_HOST_DRIVER
    can = constants.VGPU_VM_COMPATIBILITY_COLD
    if running:
        can |= constants.VGPU_VM_COMPATIBILITY_LIVE
    possible = limit == constants.VGPU_COMPATIBILITY_LIMIT_NONE
    return {"vgpuVmCompatibility": can if possible else 0, "compatibilityLimitCode": limit}


@implements("nvmlDeviceGetPgpuMetadataString", raw=("pgpuMetadata", "bufferSize"))
def device_metadata_string(
    nvml: Nvml, device: Device, pgpu_metadata: int, buffer_size: int
) -> None:
    """Driver, PCI ids and the range of vGPU versions: text that hosts compare."""
    check_host(device)
    current = version(nvml)[1]
    parts = (
        nvml.machine.driver_version,
        f"{device.pci.device_id:08x}:{device.pci.subsystem_id:08x}",
        f"{current['minVersion']:x}-{current['maxVersion']:x}",
    )
    put_text(pgpu_metadata, buffer_size, ";".join(parts))
