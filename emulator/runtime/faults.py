"""Faults: what a scenario wants to happen instead of the answer.

The plan names the functions of a rule one by one (globs are resolved by the launcher), so that a
function that no rule names pays nothing for the others.
"""

from __future__ import annotations

from _thread import allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from .call import Call

__all__ = ["Faults", "Rule"]


class Rule:
    """One fault: it fires on calls of its functions, of its device, with its numbers.

    A call's number counts, from 1, those calls of this process that the rule's functions and
    device match.
    """

    __slots__ = ("calls", "code", "count", "device", "functions", "library")

    def __init__(self, plan: dict[str, Any]) -> None:
        self.functions = frozenset(plan["functions"])
        self.library: str = plan["library"]
        self.device: Optional[int] = plan["device"]
        # Ranges with both ends in them; a last of None is open. None at all: every call.
        self.calls: list[tuple[int, Optional[int]]] = [(a, b) for a, b in plan["calls"]]
        self.code: int = plan["code"]
        self.count = 0

    def fires(self, call: Call) -> bool:
        """Whether this is a call that the rule decides; counts it when it matches."""
        if call.function.name not in self.functions:
            return False
        if self.device is not None and call.device_index != self.device:
            return False
        self.count += 1
        return not self.calls or any(
            first <= self.count and (last is None or self.count <= last)
            for first, last in self.calls
        )


class Faults:
    """The rules of a scenario, in their order: the first that fires decides."""

    def __init__(self, rules: list[dict[str, Any]]) -> None:
        self.rules = [Rule(rule) for rule in rules]
        self._counting = allocate_lock()

    def decide(self, call: Call) -> Optional[Rule]:
        """The rule that fires on this call. All that match count it, also those behind it."""
        with self._counting:
            firing = [rule for rule in self.rules if rule.fires(call)]
        return firing[0] if firing else None
