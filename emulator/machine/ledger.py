"""What the processes of a machine hold of its devices."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .device import Device

__all__ = ["Ledger"]


class Ledger:
    """Bytes that processes hold, by device. (For now: of this process.)"""

    def __init__(self, devices: list[Device]) -> None:
        self._held: dict[Device, int] = {}

    def held(self, device: Device) -> int:
        """Bytes that all live processes hold of a device."""
        return self._held.get(device, 0)

    def free(self, device: Device) -> int:
        """Bytes of a device that a process can still take."""
        return device.memory.free - self.held(device)

    def take(self, device: Device, size: int) -> bool:
        """Let this process hold `size` bytes more; False, and nothing done, if there is no room."""
        if size > self.free(device):
            return False
        self._held[device] = self.held(device) + size
        return True

    def give(self, device: Device, size: int) -> None:
        """Give bytes back."""
        self._held[device] -= size

    def enter(self, device: Device, size: int) -> bool:
        """Take the memory of a context, which makes this process one of the device's."""
        return self.take(device, size)

    def leave(self, device: Device, size: int) -> None:
        """Give back a context's memory."""
        self.give(device, size)
