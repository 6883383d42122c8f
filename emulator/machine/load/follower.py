"""One device's readings, which follow its load."""

from __future__ import annotations

from ..clock import SECOND
from ..engines import ENGINES
from ..figures import read
from .course import COUNTED, Course
from .load import DRIVEN
from .response import FULL_FAN, Body, busy, held_temperature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..device import Device
    from ..links.links import NvLink
    from .course import Knot
    from .load import Path

__all__ = ["Follower"]

#: KB/s through a PCI Express lane by generation: its rate less the encoding (PCI-SIG base
#: specifications; NVML counts by thousands).
LANE = {1: 250_000, 2: 500_000, 3: 984_600, 4: 1_969_000, 5: 3_938_000, 6: 7_563_000}


class Follower:
    """One device's readings, which follow its load.

    Attributes:
        course: from the last change of what matters to the load.
        seen: the time of the last look, in nanoseconds since the start.
    """

    def __init__(self, device: Device, begin: int) -> None:
        """The device idles before `begin`; at the scenario's start it has been busy for long."""
        self.device = device
        self.idle = {path: read(device, path) for path in DRIVEN if path != ("fans",)}
        self.fans = [fan.automatic or 0 for fan in device.fans]
        self.shown = dict(self.idle)
        self.speeds = [(fan.speed, fan.manual) for fan in device.fans]
        self.body = Body(device)
        self.seen = begin
        self._inward = self._used = 0.0  # seconds of slot and links used fully
        heat = None if not begin else float(self.body.cold)
        self._inputs = self._circumstances()
        self.course = Course(device, self.body, begin, heat)
        self.before: Course | None = None
        self._grown = self.course.knot(begin)

    def look(self, now: int) -> None:
        """Let the readings be those of a time.

        What was changed since the last look was changed at that look's time: whoever changes a
        device looks first.
        """
        self._notice()
        inputs = self._circumstances()
        if inputs != self._inputs:
            self._turn(inputs)
        self.seen = max(now, self.seen)
        self._grow()
        self._show(self.course.strayed(self.seen))

    def _turn(self, inputs: tuple[Any, ...]) -> None:
        """A new course begins."""
        self._grow()
        heat = self.course.knot(self.seen).temperature
        self.before, self._inputs = self.course, inputs
        self.course = Course(self.device, self.body, self.seen, heat)
        self._grown = self.course.knot(self.seen)

    def _circumstances(self) -> tuple[Any, ...]:
        """All that the answer to a load depends on."""
        device = self.device
        load, clocks = device.load, device.clocks
        return (
            *(getattr(load, name) for name in load.__slots__),
            device.power.limit,
            held_temperature(device),
            device.temperature.target,
            *((domain.application, domain.locked) for domain in (clocks.graphics, clocks.memory)),
            *((fan.manual, fan.target) for fan in device.fans if fan.manual),
        )

    def _notice(self) -> None:
        """A reading that is not what it was left at was set by somebody, and stays."""
        for path, value in self.shown.items():
            if read(self.device, path) != value:
                self.device.load.pin(path)
        for fan, (speed, manual) in zip(self.device.fans, self.speeds):
            if fan.speed != speed and fan.manual == manual and not manual:
                self.device.load.pin(("fans",))

    def reading(self, path: Path, when: int) -> Any:
        """What a reading was at a time, as far back as the course before this."""
        if self.idle.get(path) is None or self.device.load.is_pinned(path):
            return read(self.device, path)  # it follows no load
        return self.values(self.knot(when))[path]

    def knot(self, when: int) -> Knot:
        """The state at a time."""
        if when < self.course.begin and self.before is not None:
            return self.before.strayed(when)
        return self.course.strayed(when)

    def _show(self, knot: Knot) -> None:
        load = self.device.load
        for path, value in self.values(knot).items():
            if self.idle[path] is None or load.is_pinned(path):
                continue  # the product does not have it, or somebody has set it
            if self.shown[path] != value:
                _write(self.device, path, value)
        self.shown = {path: read(self.device, path) for path in self.shown}
        self._blow(knot)

    def values(self, knot: Knot) -> dict[Path, Any]:
        """The readings at a state; those that are missing are as they are when idle."""
        idle, body, point = self.idle, self.body, knot.point
        power = round(point.power)
        warmer = round(knot.temperature) - body.cold
        values: dict[Path, Any] = {("power", "usage"): power, ("power", "instant"): power}
        cold = idle["temperature", "memory"], idle["temperature", "margin"]
        values["temperature", "gpu"] = round(knot.temperature)
        values["temperature", "memory"] = None if cold[0] is None else cold[0] + warmer
        values["temperature", "margin"] = None if cold[1] is None else cold[1] - warmer
        for name in ("usage", "instant"):
            rest = idle["power", "module", name]
            values["power", "module", name] = None if rest is None else rest + power - body.idle
        if idle["power", "memory_usage"] is not None:
            grown = (point.power - body.idle) * busy(self.device.load, "memory", knot.gpu) / 400
            values["power", "memory_usage"] = round(idle["power", "memory_usage"] + grown)
        for engine in ENGINES:
            values["utilization", engine] = round(busy(self.device.load, engine, knot.gpu))
        if point.graphics is None:
            values.update((path, idle[path]) for path in idle if path not in values)
        else:
            values.update(self._working(knot))
        return values

    def _working(self, knot: Knot) -> dict[Path, Any]:
        """The readings that an idle device has by its profile."""
        device, point = self.device, knot.point
        top = device.clocks.graphics.max or 1
        video = device.clocks.video.max or 0
        given = device.load.pcie
        inward = round(self._room() * (knot.gpu / 10 if given is None else min(given, 100)) / 100)
        return {
            ("clocks", "graphics", "current"): point.graphics,
            ("clocks", "sm", "current"): point.graphics,
            ("clocks", "memory", "current"): point.memory,
            ("clocks", "video", "current"): video * (point.graphics or 0) // top,
            ("clocks", "event_reasons"): list(point.reasons),
            ("performance_state",): 0,
            ("pci", "current_generation"): device.pci.max_generation,
            ("pci", "rx_throughput"): inward,
            ("pci", "tx_throughput"): inward // 2,
        }

    def _blow(self, knot: Knot) -> None:
        """Turn the fans that follow the temperature."""
        body, device = self.body, self.device
        share = (knot.temperature - body.cold) / (body.hot - body.cold)
        for fan, speed in zip(device.fans, self.fans):
            if fan.manual or fan.speed is None or device.load.is_pinned(("fans",)):
                continue
            wanted = round(speed + (FULL_FAN - speed) * max(share, 0))
            if share > 0.05:
                wanted = max(wanted, fan.min_speed or 0)
            wanted = min(wanted, fan.max_speed or 100)
            if fan.rpm is not None:
                fan.rpm = fan.turns(wanted)
            fan.speed = wanted
            if fan.target is not None:
                fan.target = wanted
        self.speeds = [(fan.speed, fan.manual) for fan in device.fans]

    # ---- what grows

    def _grow(self) -> None:
        """Let the counters have grown until the last look."""
        knot, last, device = self.course.knot(self.seen), self._grown, self.device
        if knot.begin <= last.begin:
            return
        path = ("power", "usage")
        driven = self.idle[path] is not None and not device.load.is_pinned(path)
        device.power.count(self.seen, knot.energy - last.energy if driven else None)
        counters = device.clocks.event_counters
        for place, name in enumerate(COUNTED):
            held = getattr(counters, name)
            if held is not None:
                setattr(counters, name, held + knot.held[place] - last.held[place])
        self._carry(knot.work - last.work, (knot.begin - last.begin) / SECOND)
        self._grown = knot

    def _carry(self, work: float, seconds: float) -> None:
        """Let links and slot have been used, while the GPU worked for `work` of so many seconds."""
        load, pci = self.device.load, self.device.pci
        inward = work / 10 if load.pcie is None else seconds * load.pcie / 100
        room = self._room() * 1000
        before, self._inward = self._inward, self._inward + inward
        came = int(self._inward * room) - int(before * room)
        pci.rx_bytes = (pci.rx_bytes or 0) + came
        pci.tx_bytes = (pci.tx_bytes or 0) + came // 2
        used = work / 2 if load.nvlink is None else seconds * load.nvlink / 100
        before, self._used = self._used, self._used + used
        for link in self.device.nvlinks if used else ():
            if link.active:
                rate = link.speed * 1_000_000 / 1024  # KiB a second
                self._count(link, int(self._used * rate) - int(before * rate))

    @staticmethod
    def _count(link: NvLink, data: int) -> None:
        """A link has carried so many KiB each way, with a sixteenth more for its headers."""
        for name, amount in (("data", data), ("raw", data + data // 16)):
            for way in ("tx", "rx"):
                counter = f"{name}_{way}"
                setattr(link, counter, (getattr(link, counter) or 0) + amount)

    def _room(self) -> int:
        """What fits through the slot, in KB/s."""
        pci = self.device.pci
        return LANE.get(pci.max_generation or 0, 0) * (pci.current_width or 0)


def _write(device: Device, path: Path, value: Any) -> None:
    setattr(read(device, path[:-1]), path[-1], value)
