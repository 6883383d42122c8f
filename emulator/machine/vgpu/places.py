"""Where vGPUs are on a GPU, and which fit together.

vGPUs that share a GPU's time have one size, unless the GPU is in heterogeneous mode. There the GPU
is halved again and again, and a vGPU gets the smallest part that holds it: that is how many fit in
NVIDIA's user guide (on 80 GiB: four of 16, eight of 8). Slots are GiB. A MIG-backed vGPU has a GPU
instance of its profile, alone unless GPU instances are shared in time.
"""

from __future__ import annotations

from .types import types_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..device import Device
    from .running import Running
    from .types import VgpuType

__all__ = ["arrange", "fits", "free", "instance_room", "mixes", "places", "span"]

#: Architectures whose GPUs have no heterogeneous mode.
ONE_SIZE = ("KEPLER", "MAXWELL", "PASCAL", "VOLTA")


def mixes(device: Device) -> bool:
    """Whether a GPU has heterogeneous mode."""
    return device.architecture not in ONE_SIZE


def places(device: Device, kind: VgpuType, mixed: bool) -> list[int]:
    """The slots that a vGPU of a type may begin at."""
    if not mixed:
        return [kind.gigabytes * place for place in range(kind.max_instances or 0)]
    whole, parts = _parts(device, kind)
    count = min(parts, kind.max_instances or 0)
    return [whole * place // parts for place in range(count)]


def span(device: Device, kind: VgpuType, mixed: bool) -> int:
    """The slots that a vGPU of a type takes."""
    if not mixed:
        return kind.gigabytes
    whole, parts = _parts(device, kind)
    return whole // parts


def _parts(device: Device, kind: VgpuType) -> tuple[int, int]:
    """The slots of the GPU, and into how many parts it is halved for a type."""
    sizes = [each.gigabytes for each in types_of(device) if each.mig_profile is None]
    whole, parts = max(sizes, default=kind.gigabytes), 1
    while whole >= 2 * parts * max(kind.gigabytes, 1):
        parts *= 2
    return whole, parts


def free(device: Device, kind: VgpuType, running: Sequence[Running]) -> list[int]:
    """The slots that one more vGPU of a type may begin at, in heterogeneous mode."""
    taken = [_span_of(each) for each in running]
    width = span(device, kind, True)
    return [
        start
        for start in places(device, kind, True)
        if all(start + width <= first or last <= start for first, last in taken)
    ]


def _span_of(each: Running) -> tuple[int, int]:
    first = each.placement
    return (0, 0) if first is None else (first, first + span(each.device, each.type, True))


def fits(device: Device, kind: VgpuType, running: Sequence[Running]) -> bool:
    """Whether one more vGPU of a type can be created beside those that run."""
    if kind.mig_profile is not None:
        return bool(device.mig.current) and _free_instance(device, kind, running) is not None
    if device.mig.current:
        return False
    if device.vgpu.heterogeneous:
        return bool(free(device, kind, running))
    alike = all(each.type.framebuffer == kind.framebuffer for each in running)
    return alike and len(running) < (kind.max_instances or 0)


def arrange(device: Device, chosen: Sequence[Running]) -> str | None:
    """Give each vGPU its placement or GPU instance, those with one of their own first.

    Returns what is wrong with the first that does not fit; it and those after it have none.
    """
    order = sorted(chosen, key=lambda each: (each.row.placement is None, each.gpu_instance is None))
    running: list[Running] = []
    for each in order:
        problem = _settle(device, each, running)
        if problem:
            return problem
        running.append(each)
    return None


def _settle(device: Device, each: Running, running: Sequence[Running]) -> str | None:
    kind = each.type
    if kind.mig_profile is not None:
        return _settle_in_instance(device, each, running)
    if device.mig.current:
        return f"expected no {kind.name}, as MIG is on: only MIG-backed types run then"
    if device.vgpu.heterogeneous:
        return _settle_mixed(device, each, running)
    if not fits(device, kind, running):
        if any(other.type.framebuffer != kind.framebuffer for other in running):
            return (
                f"expected vGPUs of one size, found {running[0].type.name} and {kind.name}: "
                "set heterogeneous = true to mix them"
            )
        return f"expected at most {kind.max_instances} of {kind.name}, found more"
    return None


def _settle_mixed(device: Device, each: Running, running: Sequence[Running]) -> str | None:
    spots = free(device, each.type, running)
    wanted = each.row.placement
    if wanted is None and not spots:
        return f"no room for {each.type.name} beside {_names(running)}"
    if wanted is not None and wanted not in spots:
        listed = ", ".join(map(str, spots)) or "none"
        return f"expected a free placement of {each.type.name} ({listed}), found {wanted}"
    each.placement = spots[0] if wanted is None else wanted
    return None


def _settle_in_instance(device: Device, each: Running, running: Sequence[Running]) -> str | None:
    if not device.mig.current:
        return f"expected no {each.type.name}, as MIG is off: set current = true"
    found = _free_instance(device, each.type, running, each.gpu_instance)
    if found is None:
        return f"no free GPU instance of profile {each.type.mig_profile} for {each.type.name}"
    each.gpu_instance = found
    return None


def _free_instance(
    device: Device, kind: VgpuType, running: Sequence[Running], wanted: int | None = None
) -> int | None:
    """A GPU instance of the type's profile that nobody has: the wanted one, or the first."""
    most = instance_room(device, kind)
    taken = [each.gpu_instance for each in running]
    for number in _gpu_instances(device, kind.mig_profile):
        if taken.count(number) < most and wanted in (None, number):
            return number
    return None


def instance_room(device: Device, kind: VgpuType) -> int:
    """How many vGPUs of a MIG-backed type a GPU instance holds: one unless they share its time."""
    shared = kind.max_per_gpu_instance if device.vgpu.mig_timeslicing else None
    return shared or 1


def _gpu_instances(device: Device, name: str | None) -> list[int]:
    """The ids of the GPU instances of a MIG profile."""
    return [each.id for each in device.gpu_instances if each.kind.name == name]


def _names(running: Sequence[Running]) -> str:
    return ", ".join(each.type.name for each in running)
