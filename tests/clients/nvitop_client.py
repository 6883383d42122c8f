"""What nvitop's own interface for Python has of each GPU, as one line of JSON."""

from __future__ import annotations

import json
from typing import Any

from nvitop import Device

#: Methods of a device that take no argument and give a number, a text or "N/A".
ASKED = (
    "name",
    "uuid",
    "bus_id",
    "memory_total",
    "memory_used",
    "gpu_utilization",
    "memory_utilization",
    "encoder_utilization",
    "decoder_utilization",
    "temperature",
    "fan_speed",
    "power_usage",
    "power_limit",
    "sm_clock",
    "memory_clock",
    "performance_state",
    "compute_mode",
    "cuda_compute_capability",
)


def told(device: Any) -> dict[str, Any]:
    """What nvitop says of a device; its processes, by process id, with their bytes."""
    processes = device.processes().values()
    return {
        **{name: getattr(device, name)() for name in ASKED},
        "processes": {process.pid: process.gpu_memory() for process in processes},
    }


if __name__ == "__main__":
    print(json.dumps([told(device) for device in Device.all()]))
