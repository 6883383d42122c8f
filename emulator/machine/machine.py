"""The machine: the live state that NVML and the CUDA driver both answer from."""

from __future__ import annotations

from _thread import RLock

from .clock import Clock
from .device import Device
from .drivers import nvml_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Callable

    from .changes import Schedule
    from .ledger import Ledger

    Hook = Callable[[Any], Callable[..., Any]]

__all__ = ["FORMAT", "Machine"]

#: The plan format that this package reads. A plan and its reader travel together, so there is
#: one number and no migration: another number means that two installations got mixed.
FORMAT = 2


def _no_hook(what: Any) -> Callable[..., Any]:
    raise ValueError(f"a machine by itself has no Python function {what!r}")


class Machine:
    """A machine with NVIDIA GPUs, built from a resolved plan and free to change afterwards.

    Attributes:
        driver_version: for example "580.126.09".
        cuda_version: 1000 x major + 10 x minor, for example 13000.
        nvml_version: for example "13.580.126.09".
        devices: the GPUs, in NVML's order (by PCI bus id, as the plan lists them).
        clock: the time that everything on the machine is stamped with, and that changes go by.
        folder: that the machine's processes share, for the ledger; empty without one.
        say_once: told in a line, each but once, what is wrong with what they share.
        lock: held while something is changed that others must see in order. Reentrant: a change's
            function may call, and so may a signal handler of the host.

    Raises:
        ValueError: the plan is of another format.
    """

    __slots__ = (
        "_ledger",
        "_schedule",
        "clock",
        "cuda_version",
        "devices",
        "driver_version",
        "folder",
        "lock",
        "nvml_version",
        "say_once",
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
        self.driver_version: str = plan["driver"]
        self.cuda_version: int = plan["cuda"]
        self.nvml_version = nvml_version(self.driver_version, self.cuda_version)
        gpus = plan["gpus"]
        # A plan's file leaves out what a GPU has in common with an earlier one.
        self.devices = [
            Device({**gpus[gpu["like"]], **gpu} if "like" in gpu else gpu) for gpu in gpus
        ]
        self.folder = ""
        self.say_once: Callable[[str], object] = str
        self._ledger: Ledger | None = None
        self._schedule: Schedule | None = None
        if plan["changes"]:
            from .changes import Schedule

            self._schedule = Schedule(plan["changes"], hook)
            self.clock.advanced = self.catch_up
            if not behind:
                self.catch_up()

    @property
    def ledger(self) -> Ledger:
        """What processes hold of the devices; made when first asked for, as few programs ask."""
        if self._ledger is None:
            from .ledger import Ledger

            with self.lock:
                if self._ledger is None:
                    made = Ledger(self.devices)
                    made.folder, made.say_once = self.folder, self.say_once
                    self._ledger = made
        return self._ledger

    def catch_up(self, when: int | None = None) -> None:
        """Let happen what was to happen by now, or by a time of the wall's.

        Calls do it, and so does `clock.advance`.
        """
        if self._schedule is not None:
            with self.lock:
                self._schedule.run(self, self.clock.elapsed(when))

    def renew_lock(self) -> None:
        """Forget a lock that a thread of a fork's parent holds."""
        self.lock = RLock()
        if self._ledger is not None:
            self._ledger.renew_lock()
        if self._schedule is not None:
            self._schedule.taking = False

    def plugged(self) -> list[Device]:
        """Return the devices that a driver finds: those that are not unplugged."""
        return [device for device in self.devices if device.failure != "unplugged"]

    def __repr__(self) -> str:
        return f"Machine(driver_version={self.driver_version!r}, devices={self.devices!r})"
