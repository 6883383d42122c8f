"""vGPU hosts: what a GPU can be divided into, what runs on it, and in which modes."""

from __future__ import annotations

from ...machine.drivers import branch
from ...machine.vgpu.places import fits, mixes
from ...machine.vgpu.running import hosts, vgpus
from ...machine.vgpu.types import WITH_GSP, types_of
from .. import _constants as constants
from .. import _status as status
from ..library import Nvml, NvmlError, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from ...machine import Device
    from ...machine.vgpu.vgpu import Vgpu

__all__ = ["check_host", "check_whole", "host_devices"]

#: Release branch -> the newest vGPU version (major << 16 | minor) of its vGPU manager, and the
#: oldest that each still takes, as NVIDIA's open kernel modules have them.
VERSIONS = {470: 0xB0001, 525: 0x110001, 535: 0x120001, 550: 0x140001, 555: 0x150001, 580: 0x190001}
OLDEST_VERSION = 0x70001

#: nvmlDeviceVgpuCapability_t that can be set -> its figure.
SETTABLE = {
    constants.DEVICE_VGPU_CAP_MINI_QUARTER_GPU: "mini_quarter",
    constants.DEVICE_VGPU_CAP_COMPUTE_MEDIA_ENGINE_GPU: "compute_media_engine",
    constants.DEVICE_VGPU_CAP_MIG_TIMESLICING_ENABLED: "mig_timeslicing",
}

#: Architectures without several vGPUs of parts of a GPU in one VM (vgpuConfig.xml).
WHOLE_ONLY = ("KEPLER", "MAXWELL", "PASCAL")
BEFORE_SRIOV = (*WHOLE_ONLY, "VOLTA", "TURING")


def check_host(device: Device) -> Vgpu:
    """What a vGPU host's GPU has; other GPUs do not support it."""
    if not hosts(device):
        raise NvmlError(status.NOT_SUPPORTED)
    return device.vgpu


def check_whole(device: Device) -> Vgpu:
    """As `check_host`, for what is of the GPU instances while MIG is on."""
    if device.mig.current:
        raise NvmlError(status.NOT_SUPPORTED)
    return check_host(device)


def host_devices(nvml: Nvml) -> list[Device]:
    """The GPUs that host vGPUs and answer."""
    return [device for device in nvml.devices if not device.failure and hosts(device)]


@implements("nvmlDeviceGetSupportedVgpus")
def supported(device: Device) -> list[int]:
    check_host(device)
    return [kind.id for kind in types_of(device)]


@implements("nvmlDeviceGetCreatableVgpus")
def creatable(device: Device) -> list[int]:
    """Those that one more would fit of."""
    check_host(device)
    running = vgpus(device)
    return [kind.id for kind in types_of(device) if fits(device, kind, running)]


@implements("nvmlDeviceGetActiveVgpus")
def active(device: Device) -> list[int]:
    check_host(device)
    return [each.number for each in vgpus(device)]


@implements("nvmlDeviceGetHostVgpuMode")
def host_mode(device: Device) -> int:
    given = check_host(device).host_mode
    mode = given or ("NON_SRIOV" if device.architecture in BEFORE_SRIOV else "SRIOV")
    value: int = getattr(constants, "HOST_VGPU_MODE_" + mode)
    return value


# ---- capabilities


def mixes_sizes(nvml: Nvml, device: Device) -> bool:
    """Vgpu software 17 (550) brought sizes that run beside each other."""
    return mixes(device) and branch(nvml.machine.driver) >= 550


#: nvmlDeviceVgpuCapability_t -> what it says of a device; others are not supported.
CAPABILITIES: dict[int, Callable[[Nvml, Device], Optional[int]]] = {
    constants.DEVICE_VGPU_CAP_FRACTIONAL_MULTI_VGPU: (
        lambda nvml, device: device.architecture not in WHOLE_ONLY
    ),
    constants.DEVICE_VGPU_CAP_HETEROGENEOUS_TIMESLICE_PROFILES: lambda nvml, device: 1,
    constants.DEVICE_VGPU_CAP_HETEROGENEOUS_TIMESLICE_SIZES: mixes_sizes,
    constants.DEVICE_VGPU_CAP_READ_DEVICE_BUFFER_BW: (
        lambda nvml, device: device.vgpu.read_bandwidth
    ),
    constants.DEVICE_VGPU_CAP_WRITE_DEVICE_BUFFER_BW: (
        lambda nvml, device: device.vgpu.write_bandwidth
    ),
    constants.DEVICE_VGPU_CAP_DEVICE_STREAMING: (
        lambda nvml, device: device.architecture not in BEFORE_SRIOV
    ),
    constants.DEVICE_VGPU_CAP_MINI_QUARTER_GPU: lambda nvml, device: bool(device.vgpu.mini_quarter),
    constants.DEVICE_VGPU_CAP_COMPUTE_MEDIA_ENGINE_GPU: (
        lambda nvml, device: bool(device.vgpu.compute_media_engine)
    ),
    constants.DEVICE_VGPU_CAP_WARM_UPDATE: lambda nvml, device: bool(device.vgpu.warm_update),
    constants.DEVICE_VGPU_CAP_HOMOGENEOUS_PLACEMENTS: lambda nvml, device: 1,
    constants.DEVICE_VGPU_CAP_MIG_TIMESLICING_SUPPORTED: (
        lambda nvml, device: device.vgpu.mig_timeslicing is not None
    ),
    constants.DEVICE_VGPU_CAP_MIG_TIMESLICING_ENABLED: (
        lambda nvml, device: bool(device.vgpu.mig_timeslicing)
    ),
    constants.DEVICE_VGPU_CAP_UVM_STUN: lambda nvml, device: 0,
}


@implements("nvmlDeviceGetVgpuCapabilities")
def capabilities(nvml: Nvml, device: Device, capability: int) -> Optional[int]:
    check_host(device)
    read = CAPABILITIES.get(capability)
    if read is None:  # the enumeration's own count
        raise NvmlError(status.INVALID_ARGUMENT)
    return read(nvml, device)


@implements("nvmlDeviceSetVgpuCapabilities")
def set_capabilities(nvml: Nvml, device: Device, capability: int, state: int) -> None:
    figure = SETTABLE.get(capability)
    if figure is None:
        raise NvmlError(status.INVALID_ARGUMENT)
    vgpu = check_host(device)
    if figure == "mig_timeslicing" and vgpu.mig_timeslicing is None:
        raise NvmlError(status.NOT_SUPPORTED)
    nvml.machine.alter(device, {"vgpu": {figure: bool(state)}})


@implements("nvmlGetVgpuDriverCapabilities")
def driver_capabilities(nvml: Nvml, capability: int) -> bool:
    found = host_devices(nvml)
    if capability == constants.VGPU_DRIVER_CAP_COUNT:
        raise NvmlError(status.INVALID_ARGUMENT)
    if not found:
        raise NvmlError(status.NOT_SUPPORTED)
    if capability == constants.VGPU_DRIVER_CAP_HETEROGENEOUS_MULTI_VGPU:
        return True
    return any(device.vgpu.warm_update for device in found)


# ---- sizes that run beside each other


@implements("nvmlDeviceGetVgpuHeterogeneousMode")
def heterogeneous_mode(nvml: Nvml, device: Device) -> dict[str, int]:
    vgpu = check_whole(device)
    if not mixes_sizes(nvml, device):
        raise NvmlError(status.NOT_SUPPORTED)
    return {"mode": int(bool(vgpu.heterogeneous))}


@implements("nvmlDeviceSetVgpuHeterogeneousMode")
def set_heterogeneous_mode(nvml: Nvml, device: Device, p_heterogeneous_mode: Any) -> None:
    check_whole(device)
    if not mixes_sizes(nvml, device):
        raise NvmlError(status.NOT_SUPPORTED)
    if p_heterogeneous_mode.mode > 1:
        raise NvmlError(status.INVALID_ARGUMENT)
    with nvml.machine.exclusive():
        if vgpus(device):
            raise NvmlError(status.IN_USE)
        mode = bool(p_heterogeneous_mode.mode)
        nvml.machine.alter(device, {"vgpu": {"heterogeneous": mode}})


# ---- what host and guest drivers agree upon


def newest_version(nvml: Nvml) -> int:
    """The newest vGPU version of the machine's driver."""
    known = branch(nvml.machine.driver)
    return VERSIONS[max(each for each in VERSIONS if each <= known)]


@implements("nvmlGetVgpuVersion")
def version(nvml: Nvml) -> tuple[dict[str, int], dict[str, int]]:
    found = host_devices(nvml)
    if not found:
        raise NvmlError(status.NOT_SUPPORTED)
    preset = {"minVersion": OLDEST_VERSION, "maxVersion": newest_version(nvml)}
    chosen = {"minVersion": found[0].vgpu.version_min, "maxVersion": found[0].vgpu.version_max}
    current = {name: value for name, value in chosen.items() if value is not None}
    return preset, {**preset, **current}


@implements("nvmlSetVgpuVersion")
def set_version(nvml: Nvml, vgpu_version: Any) -> None:
    found = host_devices(nvml)
    if not found:
        raise NvmlError(status.NOT_SUPPORTED)
    low, high = vgpu_version.minVersion, vgpu_version.maxVersion
    if not OLDEST_VERSION <= low <= high <= newest_version(nvml):
        raise NvmlError(status.INVALID_ARGUMENT)
    with nvml.machine.exclusive():
        if any(vgpus(device) for device in found):
            raise NvmlError(status.IN_USE)
        for device in found:
            nvml.machine.alter(device, {"vgpu": {"version_min": low, "version_max": high}})


@implements("nvmlDeviceVgpuForceGspUnload")
def force_gsp_unload(nvml: Nvml, device: Device) -> None:
    """The plugins of vGPUs run on the GSP, so that all end with it."""
    check_host(device)
    if device.architecture not in WITH_GSP or not device.gsp.enabled:
        raise NvmlError(status.NOT_SUPPORTED)
    firmware = {"enabled": False, "version": None}
    nvml.machine.alter(device, {"gsp": firmware, "vgpu": {"instances": []}})
