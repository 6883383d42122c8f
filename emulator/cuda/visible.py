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
"""

from __future__ import annotations

import ctypes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ..machine import Device

__all__ = ["visible_devices"]

UUID_PREFIXES = ("GPU-", "MIG-")


def visible_devices(devices: list[Device]) -> list[Device]:
    """The devices that this process's environment lets it see, by ordinal."""
    ordered = list(devices)
    if environment("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        ordered.sort(key=_slowness)
    value = environment("CUDA_VISIBLE_DEVICES")
    return ordered if value is None else _chosen(ordered, value)


def environment(name: str) -> Optional[str]:
    """An environment variable as it is now: os.environ is a copy, made when Python started."""
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_char_p
    value = getenv(name.encode())
    return None if value is None else value.decode("utf-8", "replace")


def _slowness(device: Device) -> int:
    # NVIDIA does not say what its heuristic is; this is what single precision can reach.
    return -device.processor.cores * (device.clocks.sm.max or 1)


def _chosen(devices: list[Device], value: str) -> list[Device]:
    by_uuid = value.startswith(UUID_PREFIXES)
    chosen: list[Device] = []
    for entry in value.split(","):
        device = _by_uuid(devices, entry) if by_uuid else _by_index(devices, entry)
        if device is None:
            break
        if device in chosen:
            return []
        chosen.append(device)
    return chosen


def _by_uuid(devices: list[Device], entry: str) -> Optional[Device]:
    if not entry.startswith(UUID_PREFIXES):
        return None
    meant = [device for device in devices if device.uuid.startswith(entry)]
    return meant[0] if len(meant) == 1 else None


def _by_index(devices: list[Device], entry: str) -> Optional[Device]:
    text = entry.strip()
    sign = text[:1] in ("+", "-")
    end = sign + len(text[sign:]) - len(text[sign:].lstrip("0123456789"))
    if end == sign:
        return None
    index = int(text[:end])
    return devices[index] if 0 <= index < len(devices) else None
