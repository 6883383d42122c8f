"""The scenario that is played in this process, and the libraries that play it."""

from __future__ import annotations

import os
import time
from _thread import get_native_id

from ..machine import Machine
from .call import Call
from .faults import Faults
from .trace import Trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from ..api import Function, Library

__all__ = ["Session"]


class Session:
    """A plan at work: its machine, its faults, its trace."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.machine = Machine(plan)
        self.faults = Faults(plan["faults"])
        self.trace = Trace(plan["trace"]) if plan.get("trace") else None
        self.strict: bool = plan["strict"]
        self.pid = os.getpid()
        self.unhandled: dict[str, None] = {}  # functions called that have no handler, in order
        self.error: Optional[str] = None  # traceback of the exception in the call under way

    def watches(self, function: Function, handled: bool) -> bool:
        """Whether calls of this function must be looked at one by one."""
        if self.trace is not None or self.faults.concern(function.name):
            return True
        return self.strict and not handled

    def observe(
        self,
        library: Library,
        function: Function,
        handled: bool,
        answer: Callable[..., Any],
        words: tuple[Any, ...],
    ) -> Any:
        """Make one call with its faults asked first and its record written."""
        call = Call(library, function, words)
        began = time.time_ns()
        rule = self.faults.decide(call)
        if not handled and rule is None:
            self.unhandled[function.name] = None
        self.error = None
        status = answer(*words) if rule is None else rule.code
        if self.trace is not None:
            ended = time.time_ns()
            record = self._record(call, status, began, ended)
            if rule is not None:
                record["fault"] = True
            elif not handled:
                record["handler"] = False
            self.trace.write(record)
        return status

    def _record(self, call: Call, status: Any, began: int, ended: int) -> dict[str, Any]:
        api = call.library.api
        is_status = call.function.returns == api.status
        record = {
            "t": began,
            "us": (ended - began) // 1000,
            "pid": self.pid,
            "tid": get_native_id(),
            "library": api.name,
            "function": call.function.name,
            "arguments": call.arguments(succeeded=not is_status or status == 0),
            "code": status,
        }
        if is_status:
            record["status"] = api.status_name(status)
        if self.error:
            record["error"] = self.error
        return record
