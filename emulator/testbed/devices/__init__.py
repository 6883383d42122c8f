"""What a scenario's GPUs are to programs that look at files: in /dev, /proc and /sys."""

from __future__ import annotations

from .devices import Devices, obstacle

__all__ = ["Devices", "obstacle"]
