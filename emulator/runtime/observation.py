"""Calls that are looked at one by one: their faults are asked first, their records written."""

from __future__ import annotations

import time
from _thread import get_native_id

from .call import Call
from .escape import told
from .faults import Faults
from .trace import Trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from ..api import Function, Library
    from .faults import Rule
    from .session import Session, Sink

__all__ = ["Observer"]


class Observer:
    """Makes the calls that a session watches."""

    def __init__(self, session: Session) -> None:
        plan = session.plan
        self.session = session
        self.faults = Faults(plan["faults"])
        self.record: Optional[Sink] = session.sink
        if self.record is None and plan.get("trace"):
            self.record = Trace(plan["trace"]).write
        self._says_begun = bool(plan.get("begun"))
        self._is_exact = bool(plan.get("capture"))

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
        if self._says_begun:
            self._announce(call, began, call.words_shown, "CALLED")
        self.session.machine.catch_up()
        rule = self.faults.decide(call, self.session)
        replay = self.session.replay
        if replay is not None:
            answer = call.replayed_by(replay, answer)
            handled = handled or replay.has(function.name)
        if not handled and (rule is None or rule.code is None):
            self.session.miss(function.name)
        self.session.error = None
        if rule is None:
            status = answer(*words)
        elif not rule.effects and rule.code is not None:
            status = rule.code
        else:
            status = self._perform(rule, call, answer, began)
        if rule is not None and rule.code is not None:
            library.failed_with(function.name, rule.code)
        if self.record is not None:
            record = self._record(call, status, began)
            if rule is not None:
                record["fault"] = rule.name
            elif not handled:
                record["handler"] = False
            if call.unseen:
                record["unseen"] = True
            self.record(record)
        return status

    def _perform(self, rule: Rule, call: Call, answer: Callable[..., Any], began: int) -> Any:
        from .effects import perform  # here, as most faults only return a code

        def announce(what: str) -> None:
            self._announce(
                call, began, lambda: call.arguments(succeeded=False), what, fault=rule.name
            )

        return perform(rule, call, self.session, lambda: answer(*call.words), announce)

    def _announce(
        self, call: Call, began: int, arguments: Callable[[], Any], what: str, **more: str
    ) -> None:
        """Trace a call that may have no end, and what it has met with."""
        if self.record is not None:
            record = self._base(call.library, call.function.name, began)
            _show(record, arguments)
            self.record({**record, "code": None, "status": what, **more})

    def note(
        self,
        library: Library,
        function: str,
        arguments: dict[str, Any],
        code: int,
        began: Optional[int] = None,
    ) -> None:
        """Trace a call that came by no slot."""
        if self.record is not None:
            record = self._base(library, function, began or time.time_ns())
            status = library.api.status_name(code)
            self.record({**record, "arguments": arguments, "code": code, "status": status})

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
        _show(record, lambda: call.arguments(succeeded=not is_status or status == 0))
        record["code"] = status
        if is_status:
            record["status"] = api.status_name(status)
        if self._is_exact and is_status:
            _add_exact(record, call, status)
        if self.session.error:
            record["error"] = told(self.session.error)
            self.session.error = None  # it holds on to the frames that it came from
        return record


def _add_exact(record: dict[str, Any], call: Call, code: Any) -> None:
    """Put a call's exact values into its record; what cannot be told is in no capture."""
    from .exact import exact  # here, as few traces are captures

    try:
        record.update(exact(call, code))
    except Exception as error:
        record["error"] = f"exact values: {type(error).__name__}: {error}"


def _show(record: dict[str, Any], arguments: Callable[[], Any]) -> None:
    """Put a call's arguments into its record; what cannot be shown must not change the answer."""
    try:
        record["arguments"] = arguments()
    except Exception as error:
        record["arguments"] = {}
        record["error"] = f"arguments: {type(error).__name__}: {error}"
