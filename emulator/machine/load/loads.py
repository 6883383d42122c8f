"""The loads of a machine's devices, looked at together."""

from __future__ import annotations

from ..clock import SAMPLE
from ..figures import read
from .follower import Follower

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ..device import Device
    from .load import Path

__all__ = ["Loads"]


class Loads:
    """The devices of a machine that are busy, or were.

    Attributes:
        lasting: whether a reading changes as time passes.
    """

    def __init__(self, rate: float) -> None:
        """`rate` is that of the machine's clock.

        Readings are taken as often as the driver takes samples, by the wall's clock: a busy machine
        of eight would else cost each call half a millisecond.
        """
        self.lasting = False
        self._period = round(SAMPLE * max(rate, 1))
        self._followers: dict[int, Follower] = {}
        self._taken = -1  # the time of the last sample

    def begin(self, devices: list[Device], now: int) -> None:
        """Let the readings of devices follow their loads."""
        for device in devices:
            if device.index not in self._followers:
                device.power.count(now)
                self._followers[device.index] = Follower(device, now)
        self._judge()

    def look(self, devices: Iterable[Device], now: int) -> None:
        """Let the readings of devices be those of a time since the start."""
        for device in devices:
            self.settle(device, now)
        self._judge()

    def sample(self, now: int) -> None:
        """Let all readings be those of the last sample before a time since the start."""
        time = now - now % self._period
        if time != self._taken:
            self._taken = time
            self.look([follower.device for follower in self._followers.values()], time)

    def settle(self, device: Device, now: int) -> bool:
        """Let a device's readings and counters be those of a time; False if it idles."""
        follower = self._followers.get(device.index)
        if follower is not None:
            follower.look(now)
        return follower is not None

    def reading(self, device: Device, path: Path, when: int) -> Any:
        """What a reading was at a time since the start."""
        follower = self._followers.get(device.index)
        return read(device, path) if follower is None else follower.reading(path, when)

    def _judge(self) -> None:
        self.lasting = any(follower.course.lasting for follower in self._followers.values())
