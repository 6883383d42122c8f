"""The machine: the live state that NVML and the CUDA driver both answer from."""

from __future__ import annotations

from _thread import RLock

from .clock import SECOND, Clock
from .device import Device
from .drivers import nvml_version
from .figures import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Callable, ContextManager

    from .changes import Schedule
    from .events import Events
    from .ledger.ledger import Ledger
    from .load.loads import Loads
    from .words import User

    Hook = Callable[[Any], Callable[..., Any]]

__all__ = ["FORMAT", "Machine", "gpu_tables"]

#: The plan format that this package reads. A plan and its reader travel together, so there is
#: one number and no migration: another number means that two installations got mixed.
FORMAT = 3


def gpu_tables(gpus: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The tables of a plan's GPUs, whole: its file leaves out what one has in common with an
    earlier one."""
    return [{**gpus[gpu["like"]], **gpu} if "like" in gpu else gpu for gpu in gpus]


def _no_hook(what: Any) -> Callable[..., Any]:
    raise ValueError(f"a machine by itself has no Python function {what!r}")


class Machine:
    """A machine with NVIDIA GPUs, built from a resolved plan and free to change afterwards.

    Attributes:
        driver: which of `DRIVERS` it behaves like, for example "550.163.01".
        driver_version: what that says its version is: the same, or "550.54.15".
        cuda_version: 1000 x major + 10 x minor, for example 13000.
        nvml_version: for example "13.580.126.09".
        devices: the GPUs, in NVML's order (by PCI bus id, as the plan lists them).
        user: "root" or "unprivileged", as the scenario has it; None: who runs the process.
        clock: the time that everything on the machine is stamped with, and that changes go by.
        folder: that the machine's processes share, for the ledger; empty without one.
        say_once: told in a line, each but once, what is wrong with what they share.
        tell: given what is to change, as live control says it, has it happen on the machine of
            every process that shares this one's testbed, here before it returns.
        hear: has happen here what other processes have said by now.
        exclusive: makes a context in which no other process's machine is changed, and this one
            knows all that was said before.
        lock: held while something is changed that others must see in order. Reentrant: a change's
            function may call, and so may a signal handler of the host.

    Raises:
        ValueError: the plan is of another format.
    """

    __slots__ = (
        "_events",
        "_ledger",
        "_loads",
        "_schedule",
        "clock",
        "cuda_version",
        "devices",
        "driver",
        "driver_version",
        "exclusive",
        "folder",
        "hear",
        "lock",
        "nvml_version",
        "say_once",
        "tell",
        "user",
    )

    def __init__(
        self, plan: Mapping[str, Any], hook: Hook = _no_hook, behind: bool = False
    ) -> None:
        """`hook` makes a function of what a change of the plan has under `run`; a machine that is
        `behind` is as it was at the scenario's start until it catches up."""
        if plan["format"] != FORMAT:
            raise ValueError(f"plan of format {plan['format']!r}, expected {FORMAT}")
        self.lock = RLock()
        self.clock = Clock(**plan["clock"])
        self.driver: str = plan["driver"]
        self.driver_version: str = plan["driver_version"]
        self.cuda_version: int = plan["cuda"]
        self.nvml_version = nvml_version(self.driver_version, self.cuda_version)
        self.devices = [Device(table) for table in gpu_tables(plan["gpus"])]
        self.folder = ""
        self.user: User | None = plan["user"]
        self.say_once: Callable[[str], object] = str
        self.tell: Callable[[dict[str, Any]], object] = self._follow
        self.exclusive: Callable[[], ContextManager[object]] = lambda: self.lock
        self.hear: Callable[[], object] = int
        self._events: Events | None = None
        self._ledger: Ledger | None = None
        self._schedule: Schedule | None = None
        self._loads: Loads | None = None
        if any(device.is_loaded for device in self.devices):
            self.loads.begin([device for device in self.devices if device.is_loaded], 0)
            self.clock.advanced = self.leap
        if plan["changes"]:
            from .changes import Schedule

            self._schedule = Schedule(plan["changes"], hook)
            self.clock.advanced = self.leap
        if not behind:
            self.catch_up()

    @property
    def ledger(self) -> Ledger:
        """What processes hold of the devices; made when first asked for, as few programs ask."""
        if self._ledger is None:
            from .ledger.ledger import Ledger

            with self.lock:
                if self._ledger is None:
                    made = Ledger(self.devices)
                    made.folder, made.say_once = self.folder, self.say_once
                    made.now = self.clock.elapsed
                    self._ledger = made
        return self._ledger

    def fork(self) -> None:
        """A child is about to be forked: without a folder, only memory that is there is shared."""
        if not self.folder:
            self.ledger.open()

    @property
    def loads(self) -> Loads:
        """What keeps devices busy; made when the first one is, as most machines idle."""
        if self._loads is None:
            from .load.loads import Loads

            self._loads = Loads(self.clock.rate)
        return self._loads

    @property
    def has_loads(self) -> bool:
        """Whether a device is busy, or was."""
        return self._loads is not None

    @property
    def varies(self) -> bool:
        """Whether the machine changes as time passes."""
        return self._schedule is not None or (self._loads is not None and self._loads.lasting)

    @property
    def events(self) -> Events:
        """What happens to the devices; nothing is looked at until it is first asked for."""
        with self.lock:
            if self._events is None:
                from .events import Events

                self._events = Events(self)
            return self._events

    def changed(self, change: Mapping[str, Any], times: int) -> None:
        """A change was made so many times: whoever listens is told."""
        if self._events is not None:
            self._events.look(change, times)

    def hang_up(self) -> None:
        """Have those who listen to events hear of none any more."""
        if self._events is not None:
            self._events.hang_up()

    def until_change(self) -> float | None:
        """Seconds of the wall's clock until something is due that changes the machine by itself;
        None if nothing is."""
        due = None if self._schedule is None else self._schedule.due
        if due is None or not self.clock.rate:
            return None
        return max(due - self.clock.elapsed(), 0) / (self.clock.rate * SECOND)

    def catch_up(self, when: int | None = None) -> None:
        """Let happen what was to happen by now, or by a time of the wall's; calls do it."""
        if self._schedule is None and self._loads is None:
            return
        with self.lock:
            now = self.clock.elapsed(when)
            if self._schedule is not None:
                self._schedule.run(self, now)
            if self._loads is not None:
                self._loads.sample(now)

    def leap(self, when: int | None = None) -> None:
        """As `catch_up`, after the clock was put forward: readings are not of a sample before."""
        with self.lock:
            self.catch_up(when)
            if self._loads is not None:
                self._loads.look(self.devices, self.clock.elapsed(when))

    def reading(self, device: Device, path: tuple[str, ...], when: int) -> Any:
        """What a reading of a device was at a time since the start, as far as it followed a load
        then; else what it is."""
        with self.lock:
            whole = self.devices[device.index]  # of a MIG device
            if self._loads is None:
                return read(whole, path)
            return self._loads.reading(whole, path, when)

    def settle(self, device: Device, when: int | None = None) -> None:
        """Let a device's counters have grown by now, or by a time since the start."""
        with self.lock:
            now = self.clock.elapsed() if when is None else when
            whole = self.devices[device.index]  # of a MIG device
            if self._loads is None or not self._loads.settle(whole, now):
                whole.power.count(now)

    @property
    def privileged(self) -> bool:
        """Whether the user may change the machine: root, unless the scenario says who it is."""
        from os import geteuid

        return geteuid() == 0 if self.user is None else self.user == "root"

    def alter(self, device: Device, figures: Mapping[str, Any]) -> None:
        """Set figures of a device, in tables shaped like it, on every process's machine.

        An element of a list is a table under its position, as text: `{"fans": {"0": {...}}}`.
        """
        self.tell({"change": {"devices": [device.index], "set": figures}})

    def alter_all(self, figures: Mapping[str, Any]) -> None:
        """As `alter`, of all devices."""
        indices = [device.index for device in self.devices]
        self.tell({"change": {"devices": indices, "set": figures}})

    def _follow(self, entry: Mapping[str, Any]) -> None:
        """Change a machine that no session stands before."""
        from .changes import apply

        with self.lock:
            self.catch_up()
            apply(self, entry["change"], 1, _no_hook, self.clock.elapsed())

    def renew_lock(self) -> None:
        """Forget a lock that a thread of a fork's parent holds."""
        self.lock = RLock()
        Device.dividing = RLock()
        if self._ledger is not None:
            self._ledger.renew_lock()
        if self._schedule is not None:
            self._schedule.taking = False
        if self._events is not None:
            self._events.renew()

    def plugged(self) -> list[Device]:
        """Return the devices that a program finds that starts now."""
        return [
            device
            for device in self.devices
            if device.failure != "unplugged" and device.availability in (None, "REDISCOVERED")
        ]

    def __repr__(self) -> str:
        return f"Machine(driver_version={self.driver_version!r}, devices={self.devices!r})"
