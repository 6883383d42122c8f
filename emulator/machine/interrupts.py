"""The interrupts that the machine's devices have."""

from __future__ import annotations

from os import listdir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .device import Device
    from .machine import Machine

__all__ = ["interrupt"]

#: The sixteen of the PC's first interrupt controllers are no device's on PCI Express.
LEGACY = 16


def interrupt(machine: Machine, device: Device) -> int:
    """The number of a device's interrupt: the scenario's, or one behind those of this system."""
    if device.interrupt is not None:
        return device.interrupt
    return _free() + machine.devices.index(device)


def _free() -> int:
    """The first number behind the interrupts of this system."""
    try:
        taken = [int(name) for name in listdir("/proc/irq") if name.isdigit()]
    except OSError:  # a container may hide it
        taken = []
    return max([LEGACY - 1, *taken]) + 1
