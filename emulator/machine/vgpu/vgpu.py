"""A host's virtual GPUs: what it can divide a GPU into, and the vGPUs that its VMs have."""

from __future__ import annotations

from ..figures import Figures, Rows
from .rows import VgpuInstance
from .types import VgpuType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..words import (
        HostVgpuMode,
        Hypervisor,
        SchedulerFactor,
        SchedulerFrequency,
        SchedulerSlice,
        VgpuPolicy,
    )

__all__ = ["Vgpu", "VgpuGpuInstance", "VgpuScheduler"]


class VgpuScheduler(Figures):
    """How time is shared among vGPUs, with ``policy`` BEST_EFFORT, EQUAL_SHARE or FIXED_SHARE.

    ``adaptive`` is adaptive round robin, by ``average_factor`` and ``frequency`` (times a second);
    ``timeslice``, in nanoseconds, counts without it. What is not given is the driver's default.
    """

    __slots__ = ("adaptive", "average_factor", "frequency", "policy", "timeslice")

    policy: VgpuPolicy | None
    adaptive: bool | None
    timeslice: SchedulerSlice | None
    average_factor: SchedulerFactor | None
    frequency: SchedulerFrequency | None


class VgpuGpuInstance(Rows):
    """A GPU instance that vGPUs share in turn: ``id``, and its modes as the whole GPU has them."""

    __slots__ = ("heterogeneous", "id", "scheduler")
    kinds = (("scheduler", VgpuScheduler),)

    id: int
    heterogeneous: bool | None
    scheduler: VgpuScheduler | None


class Vgpu(Rows):
    """Virtual GPUs; they count where ``virtualization_mode`` of the device is HOST_VGPU.

    ``types`` are those that it can be divided into: the product's if not given. ``host_mode`` is
    SRIOV from Ampere on if not given, and ``hypervisor`` KVM. With ``heterogeneous``, vGPUs of
    different sizes run at once. ``mig_timeslicing`` says whether several vGPUs share a GPU
    instance, or that they cannot if not given, and ``gpu_instances`` what is set there.
    ``version_min`` and ``version_max`` are the range of vGPU versions that an administrator has
    set. ``read_bandwidth`` and ``write_bandwidth`` are those of a migration, in MB/s.
    """

    __slots__ = (
        *("compute_media_engine", "gpu_instances", "heterogeneous", "host_mode", "hypervisor"),
        "instances",
        *("mig_timeslicing", "mini_quarter", "read_bandwidth", "scheduler", "types"),
        *("version_max", "version_min", "warm_update", "write_bandwidth"),
    )
    kinds = (
        ("instances", VgpuInstance),
        ("gpu_instances", VgpuGpuInstance),
        ("types", VgpuType),
        ("scheduler", VgpuScheduler),
    )
    empty = (("instances", ()), ("gpu_instances", ()), ("scheduler", {}))

    host_mode: HostVgpuMode | None
    hypervisor: Hypervisor | None
    heterogeneous: bool | None
    mini_quarter: bool | None
    compute_media_engine: bool | None
    mig_timeslicing: bool | None
    warm_update: bool | None
    read_bandwidth: int | None
    write_bandwidth: int | None
    version_min: int | None
    version_max: int | None
    scheduler: VgpuScheduler
    gpu_instances: list[VgpuGpuInstance]
    types: list[VgpuType] | None
    instances: list[VgpuInstance]
