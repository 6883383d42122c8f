"""What a load does to a device from one change of its circumstances to the next.

All of it follows from the beginning and the time asked for alone, however often it is asked: every
process of a testbed comes to the same, also one that starts later. Between two knots power and the
temperature's target are straight lines, for which the first-order response has a closed form.
"""

from __future__ import annotations

from _bisect import bisect_right
from math import exp

from ..chance import chance
from ..clock import SECOND
from .response import Body, Point, Wish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..device import Device

__all__ = ["Course"]

#: Seconds in which a temperature goes 63 % of its way: chip and heat sink of a server's GPU.
INERTIA = 20.0

PARTS = 8  # straight pieces that a slope of the curve is taken in: limits bend what follows from it

#: The reasons that a device counts, by its counter of that name.
COUNTED = ("sw_power_cap", "sw_thermal_slowdown", "hw_thermal_slowdown")


class Knot:
    """The state at a time: the point in force up to the next one, and what has grown till then.

    `energy` is in millijoules, `work` the seconds of a GPU busy all of the time, `held` the
    nanoseconds of each of the counted reasons, all since the course began.
    """

    __slots__ = ("begin", "energy", "gpu", "held", "point", "temperature", "work")

    def __init__(self, begin: int, gpu: float, point: Point, temperature: float) -> None:
        self.begin = begin
        self.gpu = gpu
        self.point = point
        self.temperature = temperature
        self.energy = self.work = 0.0
        self.held = [0] * len(COUNTED)


class Course:
    """A device's answer to its load, from `begin` on, as things stand when it is made.

    Attributes:
        lasting: whether readings change with time.
    """

    def __init__(self, device: Device, body: Body, begin: int, temperature: float | None) -> None:
        """`temperature` is that at the beginning; None: what the load there leads to."""
        self.begin = begin
        self.body = body
        self.load = device.load
        self.index = device.index
        self.wish = Wish(device, body)
        self.jitter, self.seed = self.load.jitter or 0, self.load.seed or 0
        times = self._times()
        first = self.point(times[0][1])
        if temperature is None:
            temperature = first.target
        self.knots = [Knot(begin, times[0][1], first, temperature)]
        for time, gpu in times[1:]:
            self._extend(time, gpu)
        self._begins = [knot.begin for knot in self.knots]
        still = len(times) == 1 and not self.jitter
        self.lasting = not still or round(temperature) != round(first.target)

    def _times(self) -> list[tuple[int, float]]:
        """When the load has which value, with straight lines between."""
        curve = self.load.curve
        if not curve:
            return [(self.begin, min(self.load.gpu or 0, 100))]
        times = [(self.begin, _between(curve, self.begin))]
        for time, gpu in curve:
            last, value = times[-1]
            if time < self.begin or (time == last and gpu == value):
                continue
            parts = PARTS if time > last and gpu != value else 1
            for part in range(1, parts + 1):
                share = part / parts
                times.append((last + round((time - last) * share), value + (gpu - value) * share))
        return times

    def point(self, gpu: float) -> Point:
        """The steady state at a load."""
        return Point(self.body, self.wish, self.load, gpu)

    def _extend(self, time: int, gpu: float) -> None:
        last, point = self.knots[-1], self.point(gpu)
        knot = Knot(time, gpu, point, _response(last, point.target, time, time))
        seconds = (time - last.begin) / SECOND
        knot.energy = last.energy + (last.point.power + point.power) / 2 * seconds
        knot.work = last.work + (last.gpu + gpu) / 200 * seconds
        knot.held = _held(last, time)
        self.knots.append(knot)

    def knot(self, when: int) -> Knot:
        """The state at a time, which is not before the beginning."""
        place = bisect_right(self._begins, max(when, self.begin)) - 1
        last = self.knots[place]
        span = max(when - last.begin, 0)
        ahead = self.knots[place + 1] if place + 1 < len(self.knots) else last
        share = span / (ahead.begin - last.begin) if ahead is not last else 0.0
        gpu = last.gpu + (ahead.gpu - last.gpu) * share
        power = last.point.power + (ahead.point.power - last.point.power) * share
        heat = _response(last, ahead.point.target, ahead.begin, last.begin + span)
        knot = Knot(last.begin + span, gpu, self.point(gpu) if share else last.point, heat)
        knot.energy = last.energy + (last.point.power + power) / 2 * span / SECOND
        knot.work = last.work + (last.gpu + gpu) / 200 * span / SECOND
        knot.held = _held(last, knot.begin)
        return knot

    def strayed(self, when: int) -> Knot:
        """The state at a time as readings show it: with the second's jitter."""
        knot = self.knot(when)
        if self.jitter and knot.gpu:
            drawn = chance(self.seed + (self.index << 32), when // SECOND)
            knot.gpu = min(max(knot.gpu + self.jitter * (2 * drawn - 1), 0), 100)
            knot.point = self.point(knot.gpu)
        return knot


def _between(curve: list[tuple[int, int]], when: int) -> float:
    """A curve's value at a time; of a step, the value after it."""
    before = [pair for pair in curve if pair[0] <= when]
    after = [pair for pair in curve if pair[0] > when]
    if not before or not after:
        return before[-1][1] if before else after[0][1]
    (begin, low), (end, high) = before[-1], after[0]
    return low + (high - low) * (when - begin) / (end - begin)


def _response(last: Knot, target: float, end: int, when: int) -> float:
    """The temperature at a time, on the way to a target that moves from the last knot's to another
    at `end`: dT/dt = (target - T) / INERTIA, solved for a target on a straight line."""
    seconds = (when - last.begin) / SECOND
    span = (end - last.begin) / SECOND
    slope = (target - last.point.target) / span if span else 0.0
    along = last.point.target + slope * (seconds - INERTIA)
    away = last.temperature - last.point.target + slope * INERTIA
    return along + away * exp(-seconds / INERTIA)


def _held(last: Knot, when: int) -> list[int]:
    return [
        held + (when - last.begin if reason in last.point.reasons else 0)
        for held, reason in zip(last.held, COUNTED)
    ]
