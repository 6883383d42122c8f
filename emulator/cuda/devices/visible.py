"""Which of a machine's GPUs a process sees, and in what order: two environment variables.

CUDA_DEVICE_ORDER is FASTEST_FIRST (the default: "fastest to slowest using a simple heuristic") or
PCI_BUS_ID. CUDA_VISIBLE_DEVICES picks from that order: indices, or UUIDs of which as many digits
are enough as tell one GPU from the others. Sources: the CUDA programming guide's appendix on
environment variables; what it leaves open, from `torch.cuda.device_count`, which PyTorch keeps in
step with the driver:

- the first entry tells whether all are UUIDs (it starts with `GPU-` or `MIG-`) or all indices;
- an entry that names no device, or several, ends the list: those before it stay visible;
- an index is read as strtol does: `1gpu` is 1, `gpu1` is none;
- a device that is named twice leaves none visible.

A GPU in MIG mode is seen by its compute instances, and not at all while it has none. They are named
by their UUIDs, or `MIG-<GPU's UUID>/<GPU instance>/<compute instance>`, as before driver 470. From
570 on a process sees one compute instance of each GPU instance, and whole GPUs beside them. Before
it sees one compute instance in all, and no whole GPU beside it; an index then counts GPUs, each of
which stands for its first compute instance. Source: NVIDIA's MIG user guide, "CUDA Device
Enumeration", for both; what `CUDA_VISIBLE_DEVICES=0` is, pytorch/pytorch, pull request 92315.
"""

from __future__ import annotations

import ctypes

from ...machine.drivers import branch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Callable, Optional

    from ...machine import Device, Machine

__all__ = ["visible_devices"]

UUID_PREFIXES = ("GPU-", "MIG-")

#: Digits that a number may have: Python refuses to read one of thousands.
LONGEST = 9

#: From this driver version on a process may see several MIG devices.
SEES_SEVERAL = 570


def visible_devices(machine: Machine) -> list[Device]:
    """The devices that this process's environment lets it see, by ordinal."""
    gpus = machine.plugged()
    if environment("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        gpus.sort(key=_slowness)
    several = branch(machine.driver) >= SEES_SEVERAL
    value = environment("CUDA_VISIBLE_DEVICES")
    if value is None:
        chosen = _seen(gpus, several)
    elif value.startswith(UUID_PREFIXES):
        chosen = _chosen(_all(gpus), value, _by_uuid)
    else:
        chosen = _chosen(_seen(gpus, several), value, _by_index)
    return _several(chosen) if several else _single(chosen)


def _seen(gpus: list[Device], several: bool) -> list[Device]:
    """What indices count: GPUs, and for one in MIG mode what can be seen of it."""
    seen: list[Device] = []
    for gpu in gpus:
        if not gpu.mig.current:
            seen.append(gpu)
        else:
            seen += _several(gpu.partitions) if several else gpu.partitions[:1]
    return seen


def _all(gpus: list[Device]) -> list[Device]:
    """What a UUID can name."""
    found: list[Device] = []
    for gpu in gpus:
        found += gpu.partitions if gpu.mig.current else [gpu]
    return found


def _several(chosen: Sequence[Device]) -> list[Device]:
    """Of each GPU instance, the first compute instance; and every whole GPU."""
    known: list[tuple[int, Sequence[int]]] = []
    kept = []
    for device in chosen:
        if (device.index, device.places) not in known:
            known.append((device.index, device.places))
            kept.append(device)
    return kept


def _single(chosen: list[Device]) -> list[Device]:
    """The first compute instance alone, if there is one."""
    instances = [device for device in chosen if device.place]
    return instances[:1] or chosen


def environment(name: str) -> Optional[str]:
    """An environment variable as it is now: os.environ is a copy, made when Python started."""
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_char_p
    value = getenv(name.encode())
    return None if value is None else value.decode("utf-8", "replace")


def _slowness(device: Device) -> int:
    # NVIDIA does not say what its heuristic is; this is what single precision can reach.
    return -device.processor.cores * (device.clocks.sm.max or 1)


def _chosen(
    devices: list[Device], value: str, find: Callable[[list[Device], str], Optional[Device]]
) -> list[Device]:
    chosen: list[Device] = []
    for entry in value.split(","):
        device = find(devices, entry)
        if device is None:
            break
        if device in chosen:
            return []
        chosen.append(device)
    return chosen


def _by_uuid(devices: list[Device], entry: str) -> Optional[Device]:
    if not entry.startswith(UUID_PREFIXES):
        return None
    if "/" in entry:
        meant = [device for device in devices if device.place and entry == _old_name(device)]
    else:
        meant = [device for device in devices if device.uuid.startswith(entry)]
    return meant[0] if len(meant) == 1 else None


def _old_name(device: Device) -> str:
    """The name of a compute instance before driver 470."""
    gpu_instance, compute_instance = device.instance(device.place) or (0, 0)
    return f"MIG-{device.gpu_uuid}/{gpu_instance}/{compute_instance}"


def _by_index(devices: list[Device], entry: str) -> Optional[Device]:
    text = entry.strip()
    sign = text[:1] in ("+", "-")
    end = sign + len(text[sign:]) - len(text[sign:].lstrip("0123456789"))
    if end == sign:
        return None
    digits = text[sign:end].lstrip("0") or "0"
    index = int(digits) if len(digits) <= LONGEST and not text.startswith("-") else len(devices)
    return devices[index] if index < len(devices) else None
