"""Calls that are looked at one by one: their faults are asked first, their records written."""

from __future__ import annotations

import time
from _thread import get_native_id

from .call import Call
from .faults import Faults
from .trace import Trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from ..api import Function, Library
    from .session import Session

__all__ = ["Observer"]


class Observer:
    """Makes the calls that a session watches."""

    def __init__(self, session: Session) -> None:
        plan = session.plan
        self.session = session
        self.faults = Faults(plan["faults"])
        self.trace = Trace(plan["trace"]) if plan.get("trace") else None

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
            self.session.miss(function.name)
        self.session.error = None
        status = answer(*words) if rule is None else rule.code
        if self.trace is not None:
            record = self._record(call, status, began)
            if rule is not None:
                record["fault"] = True
            elif not handled:
                record["handler"] = False
            self.trace.write(record)
        return status

    def note(self, library: Library, function: str, arguments: dict[str, Any], code: int) -> None:
        """Trace a call that came by no slot."""
        if self.trace is not None:
            record = self._base(library, function, time.time_ns())
            status = library.api.status_name(code)
            self.trace.write({**record, "arguments": arguments, "code": code, "status": status})

    def _base(self, library: Library, function: str, began: int) -> dict[str, Any]:
        return {
            "t": began,
            "us": (time.time_ns() - began) // 1000,
            "pid": self.session.pid,
            "tid": get_native_id(),
            "library": library.api.name,
            "function": function,
        }

    def _record(self, call: Call, status: Any, began: int) -> dict[str, Any]:
        api = call.library.api
        is_status = call.function.returns == api.status
        record = self._base(call.library, call.function.name, began)
        try:
            record["arguments"] = call.arguments(succeeded=not is_status or status == 0)
        except Exception as error:  # what cannot be shown must not change what was answered
            record["arguments"] = {}
            record["error"] = f"arguments: {type(error).__name__}: {error}"
        record["code"] = status
        if is_status:
            record["status"] = api.status_name(status)
        if self.session.error:
            record["error"] = self.session.error
        return record
