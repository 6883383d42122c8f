"""What a vGPU has that a VM was given, and what runs in the VM."""

from __future__ import annotations

from ..engines import Utilization
from ..figures import Bytes, Figures, Microseconds, Percent, Rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..words import EncoderCodec, FbcSessionType, Moment, VgpuLicense, VmIdType

__all__ = [
    "VgpuCaptureSession",
    "VgpuEncoderSession",
    "VgpuInstance",
    "VgpuProcess",
    "row",
]


class VgpuProcess(Figures):
    """A process in a VM that uses its vGPU, in percent of the GPU.

    With ``ended`` it is remembered for accounting alone; ``time`` is how long it ran then, in
    milliseconds, and ``start_time`` microseconds since 1970.
    """

    __slots__ = (
        *("decoder", "encoder", "ended", "gpu", "jpeg", "max_memory", "memory", "name", "ofa"),
        *("pid", "start_time", "time"),
    )

    pid: int
    name: str
    gpu: Percent | None
    memory: Percent | None
    encoder: Percent | None
    decoder: Percent | None
    jpeg: Percent | None
    ofa: Percent | None
    max_memory: Bytes | None
    ended: bool | None
    time: int | None
    start_time: int | None


class VgpuEncoderSession(Figures):
    """A video encoder session of a VM. ``codec`` is H264, HEVC or AV1."""

    __slots__ = ("average_fps", "average_latency", "codec", "height", "id", "pid", "width")

    id: int
    pid: int
    codec: EncoderCodec
    width: int
    height: int
    average_fps: int
    average_latency: Microseconds


class VgpuCaptureSession(Figures):
    """A frame buffer capture session of a VM (FBC in nvidia-smi). ``type`` is where frames go."""

    __slots__ = (
        *("average_fps", "average_latency", "display", "flags", "height", "id", "pid", "type"),
        "width",
    )

    id: int
    pid: int
    type: FbcSessionType
    width: int
    height: int
    average_fps: int
    average_latency: Microseconds
    display: int | None
    flags: int | None


class VgpuInstance(Rows):
    """A vGPU that a VM has. ``type`` is its type's name, such as "NVIDIA A40-8Q".

    ``uuid``, ``mdev_uuid`` and ``id``, a number, are made up if not given. While no
    ``driver_version`` is given, none runs in the VM, and there is no licence either.
    ``license_expires`` is the end of the licence, in seconds since the epoch; None: it does not
    end. ``version`` is the vGPU version of the VM's driver, as nvmlGetVgpuVersion counts; the
    host's if not given. ``placement`` is a slot in a GPU for mixed sizes, ``gpu_instance`` the id
    of the GPU instance behind one of a MIG-backed type: the first that is free if not given.
    ``ecc`` is the GPU's, and ``frame_rate_limit`` the type's, if not given; 0 is no limit.
    """

    __slots__ = (
        *("accounting", "capture_sessions", "driver_version", "ecc", "encoder_capacity"),
        *("encoder_sessions", "frame_rate_limit", "gpu_instance", "id", "license"),
        *("license_expires", "mdev_uuid", "pci_bus_id", "placement", "processes"),
        *("runtime_state_size", "type", "used_memory", "utilization", "uuid", "version", "vm_id"),
        *("vm_id_type", "vm_name"),
    )
    kinds = (
        ("utilization", Utilization),
        ("processes", VgpuProcess),
        ("encoder_sessions", VgpuEncoderSession),
        ("capture_sessions", VgpuCaptureSession),
    )

    type: str
    id: int | None
    uuid: str | None
    mdev_uuid: str | None
    vm_id: str | None
    vm_id_type: VmIdType | None
    vm_name: str | None
    driver_version: str | None
    version: int | None
    license: VgpuLicense | None
    license_expires: Moment | None
    used_memory: Bytes | None
    runtime_state_size: Bytes | None
    frame_rate_limit: int | None
    ecc: bool | None
    accounting: bool | None
    encoder_capacity: Percent | None
    placement: int | None
    gpu_instance: int | None
    pci_bus_id: str | None
    utilization: Utilization | None
    processes: list[VgpuProcess] | None
    encoder_sessions: list[VgpuEncoderSession] | None
    capture_sessions: list[VgpuCaptureSession] | None


def row(figures: Any) -> Any:
    """The table that figures were made of: what a change sets a list of them to."""
    if isinstance(figures, list):
        return [row(each) for each in figures]
    if not isinstance(figures, Figures):
        return figures
    slots: tuple[str, ...] = figures.__slots__
    return {name: row(getattr(figures, name)) for name in slots}
