"""How a product answers to a load: power, clocks and heat, in a steady state.

Three choices make the model, none of them a product's measured behaviour:

- Power rises in a line from the profile's idle reading to the default limit, which a device reaches
  when its engines and its memory are busy all of the time; it falls with the square of the clock.
- Clocks are the highest allowed as soon as there is work. Where the power limit or the heat does
  not allow that, they fall as far as the power must.
- Temperatures rise with power, to ten degrees below what the product may be operated at.
"""

from __future__ import annotations

from ..engines import ENGINES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..clocks import ClockDomain
    from ..device import Device
    from .load import Load

__all__ = ["FULL_FAN", "Body", "Point", "Wish", "busy", "held_temperature"]

#: What each engine adds to the power at full load, in percent of the way from idle to full.
SHARES = {"gpu": 80, "memory": 20, "encoder": 10, "decoder": 10, "jpeg": 10, "ofa": 10}

HEADROOM = 10  # degrees that a device stays below its operating limit at full power
HOTTEST = 90  # where a product names no temperature, in degrees Celsius
SPAN = 10  # times the idle power at full load, where a product has no limit (laptops before 530)
FULL_FAN = 75  # percent of a fan's speed that the driver gives it at full power


class Body:
    """What a device is capable of, taken from its figures while it idles."""

    def __init__(self, device: Device) -> None:
        load, power, clocks = device.load, device.power, device.clocks
        temperature = device.temperature
        self.full = power.default_limit or power.enforced_limit or 0
        pinned = load.is_pinned(("power", "usage"))
        self.idle = self.full // SPAN if pinned or power.usage is None else power.usage
        if self.full <= self.idle:
            self.full = SPAN * self.idle
        cold = temperature.gpu
        if cold is None or load.is_pinned(("temperature", "gpu")):
            cold = 35
        self.cold = cold
        self.slowdown = temperature.slowdown or HOTTEST
        self.limit = _operating_limit(device, cold)
        self.hot = max(self.limit - HEADROOM, cold + 1)
        self.boost = clocks.graphics.max or 0
        self.steps = _steps(device)
        self.slowest = min(clocks.supported_memory() or [0])  # memory clock

    def target(self, power: float, cooling: float) -> float:
        """The temperature that a power leads to."""
        return self.cold + (power - self.idle) * self.rise * cooling

    @property
    def rise(self) -> float:
        """Degrees for each milliwatt above idle."""
        return (self.hot - self.cold) / max(self.full - self.idle, 1)

    def hottest_power(self, limit: int, cooling: float) -> float:
        """The power that leads to the highest temperature that the device may work at."""
        return self.idle + max(limit - self.cold, 0) / (self.rise * cooling)


def _operating_limit(device: Device, cold: int) -> int:
    """The temperature above which the driver slows the device down, by what its profile says."""
    temperature = device.temperature
    if temperature.max_operating is not None:
        return temperature.max_operating
    if temperature.margin is not None and not device.load.is_pinned(("temperature", "margin")):
        return cold + temperature.margin
    return (temperature.slowdown or HOTTEST) - 4


def _steps(device: Device) -> tuple[int, int]:
    """The lowest graphics clock, and from one to the next."""
    rows = device.clocks.steps
    if not rows:
        return device.clocks.graphics.current or 0, 15
    _, _, lowest, step = rows[0]
    return int(lowest), max(int(step), 1)


def held_temperature(device: Device) -> int | None:
    """The temperature that somebody has set, which follows no load."""
    return device.temperature.gpu if device.load.is_pinned(("temperature", "gpu")) else None


class Wish:
    """What limits a device while it works: what somebody has set, and a temperature held high."""

    def __init__(self, device: Device, body: Body) -> None:
        clocks, graphics = device.clocks, device.clocks.graphics
        self.limit = device.power.enforced_limit or body.full
        target = device.temperature.target
        self.hottest = body.limit if target is None else min(body.limit, target)
        self.reasons: tuple[str, ...] = ()
        self.ceiling = self._ceiling(graphics, body.steps[0], body.boost)
        self.memory = self._ceiling(clocks.memory, body.slowest, clocks.memory.max or 0)
        self.floor = min(graphics.locked[0], body.boost) if graphics.locked else 0
        held = held_temperature(device)
        if held is not None and held >= body.slowdown:
            self.reasons += ("hw_slowdown", "hw_thermal_slowdown")
            self.ceiling //= 2  # "reducing the core clocks by a factor of 2 or more" (nvml.h)
        elif held is not None and held > self.hottest:
            self.reasons += ("sw_thermal_slowdown",)
            self.ceiling = self.ceiling * 3 // 4
        manual = [fan.target or 0 for fan in device.fans if fan.manual]
        others = len(device.fans) - len(manual)
        mean = (sum(manual) + FULL_FAN * others) / len(device.fans) if manual else FULL_FAN
        self.cooling = 1 + (FULL_FAN - mean) / 100  # a fan held below what it would do cools less

    def _ceiling(self, domain: ClockDomain, lowest: int, highest: int) -> int:
        """The highest clock that is allowed; what is locked to clocks that the product does not
        have runs at the nearest."""
        if domain.application is not None and domain.application != domain.default_application:
            highest = min(highest, domain.application)
            if "applications_clocks_setting" not in self.reasons:
                self.reasons += ("applications_clocks_setting",)
        return min(highest, max(domain.locked[1], lowest)) if domain.locked else highest


class Point:
    """A device at a load that lasts: power in milliwatts, clocks in MHz, target in degrees.

    ``graphics`` is None while the device idles: then all is as its profile has it.
    """

    __slots__ = ("graphics", "memory", "power", "reasons", "target")

    def __init__(self, body: Body, wish: Wish, load: Load, gpu: float) -> None:
        self.reasons = wish.reasons
        self.power: float = body.idle
        self.graphics: int | None = None
        self.memory = wish.memory
        share = activity(load, gpu)
        if share:
            self._work(body, wish, share)
        self.target = body.target(self.power, wish.cooling)

    def _work(self, body: Body, wish: Wish, share: float) -> None:
        full = (body.full - body.idle) * share  # above idle, at the highest clock
        boost = max(body.boost, 1)
        ceiling = max(wish.ceiling, wish.floor)
        wanted = body.idle + full * (ceiling / boost) ** 2
        hottest = body.hottest_power(wish.hottest, wish.cooling)
        self.power = min(wanted, wish.limit, hottest)
        if wanted >= wish.limit and wish.limit <= hottest:
            self.reasons += ("sw_power_cap",)
        elif wanted > hottest and "sw_thermal_slowdown" not in self.reasons:
            self.reasons += ("sw_thermal_slowdown",)
        clock = float(ceiling)
        if self.power < wanted:
            clock = boost * (max(self.power - body.idle, 0) / full) ** 0.5
        lowest, step = body.steps
        below = -int((clock - ceiling) // step)  # steps, such that it is not above what is allowed
        self.graphics = max(ceiling - below * step, min(lowest, ceiling))


def activity(load: Load, gpu: float) -> float:
    """How far a load takes a device from idle to full power, from 0 to 1."""
    total = sum(SHARES[engine] * busy(load, engine, gpu) for engine in ENGINES)
    return min(total / 10_000, 1)


def busy(load: Load, engine: str, gpu: float) -> float:
    """How busy an engine is, in percent, when the first one is busy that much."""
    if engine == "gpu":
        return gpu
    given: int | None = getattr(load, engine)
    if given is None:
        return gpu / 2 if engine == "memory" else 0
    return min(given, 100) * (gpu / 100 if load.curve else 1)
