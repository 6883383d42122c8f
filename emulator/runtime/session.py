"""The scenario that is played in this process."""

from __future__ import annotations

import os

from ..machine import Machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from .observation import Observer

__all__ = ["Session"]


class Session:
    """A plan at work: its machine, and which calls are watched."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.machine = Machine(plan)
        self.strict: bool = plan["strict"]
        self.pid = os.getpid()
        self.unhandled: dict[str, None] = {}  # functions called that have no handler, in order
        self.error: Optional[str] = None  # traceback of the exception in the call under way
        self._faulty = {name for rule in plan["faults"] for name in rule["functions"]}
        self._observer: Optional[Observer] = None
        if self.traced or self._faulty or self.strict:
            self.observer  # noqa: B018  (made now: two threads' first calls would make two)

    @property
    def traced(self) -> bool:
        """Whether every call is recorded."""
        return bool(self.plan.get("trace"))

    @property
    def observer(self) -> Observer:
        """What makes the watched calls; imported now, as most programs have none."""
        if self._observer is None:
            from .observation import Observer

            self._observer = Observer(self)
        return self._observer

    def miss(self, name: str) -> None:
        """Remember that a function without a handler was called; a testbed remembers it too."""
        if name not in self.unhandled:
            self.unhandled[name] = None
            if self.plan.get("unhandled"):
                with open(self.plan["unhandled"], "a", encoding="utf-8") as file:
                    file.write(name + "\n")

    def watches(self, name: str, handled: bool) -> bool:
        """Whether calls of this function must be looked at one by one."""
        return self.traced or name in self._faulty or (self.strict and not handled)
