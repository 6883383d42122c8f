"""Faults: which calls a scenario wants something else to happen to than the answer.

The plan names the functions of a rule one by one (globs are resolved by the launcher), so that a
function that no rule names pays nothing for the others. What then happens is in `effects`.
"""

from __future__ import annotations

from _thread import RLock, get_ident, get_native_id

from ..machine.chance import chance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Optional

    from .call import Call
    from .session import Session

__all__ = ["Faults", "Rule"]

#: What a rule may have that takes more than returning its code.
EFFECTS = ("delay", "block", "signal", "exit", "run", "writes", "corrupt")


class Rule:
    """One fault: the calls that it is about, and what happens to them.

    A call's number counts, from 1, those calls of this process that match all else but the
    probability.
    """

    __slots__ = (
        "after",
        "armed",
        "calls",
        "cleared",
        "code",
        "count",
        "devices",
        "effects",
        "functions",
        "library",
        "name",
        "probability",
        "process",
        "released",
        "running",
        "seed",
        "thread",
        "time",
    )

    def __init__(self, plan: dict[str, Any]) -> None:
        get = plan.get
        self.name: str = plan["name"]
        self.functions = frozenset(plan["functions"])
        self.library: str = plan["library"]
        self.devices: Optional[list[int]] = plan["devices"]
        # (first, last, step), both ends in them; a last of None is open. None at all: every call.
        self.calls: list[tuple[int, Optional[int], int]] = [tuple(entry) for entry in plan["calls"]]
        self.process: Any = get("process")
        self.thread: Any = get("thread")
        self.time: Any = get("time")
        self.after = frozenset(get("after", ()))
        self.armed = not self.after
        self.probability: Optional[float] = get("probability")
        self.seed: int = get("seed", 0)
        self.code: Optional[int] = get("code")
        self.effects: dict[str, Any] = {key: plan[key] for key in EFFECTS if key in plan}
        self.count = 0
        self.cleared = False
        self.released = 0  # how often live control has let go of the calls that it blocks
        # Threads that run its Python function: the calls that they make meanwhile pass over it.
        # By the number that a thread keeps through a fork.
        self.running: set[int] = set()

    def fires(self, call: Call, session: Session) -> bool:
        """Whether this is a call that the rule decides; counts it when it matches."""
        armed = self.armed
        if call.function.name in self.after:
            self.armed = True
        if not armed or call.function.name not in self.functions or get_ident() in self.running:
            return False
        if self.devices is not None and call.device_index not in self.devices:
            return False
        if self.process is not None and not session.is_process(self.process):
            return False
        if self.thread is not None and not session.is_thread(self.thread):
            return False
        if self.time is not None and not self._is_time(session.machine.clock.elapsed()):
            return False
        self.count += 1
        return self._is_number() and self._is_drawn()

    def _is_time(self, now: int) -> bool:
        first, last = self.time
        return bool(first <= now and (last is None or now <= last))

    def _is_number(self) -> bool:
        return not self.calls or any(
            first <= self.count
            and (last is None or self.count <= last)
            and (self.count - first) % step == 0
            for first, last, step in self.calls
        )

    def _is_drawn(self) -> bool:
        return self.probability is None or chance(self.seed, self.count) < self.probability


class Faults:
    """The rules of a session, in their order: the first that fires decides.

    What live control adds stands before what the scenario has.
    """

    def __init__(self, plans: list[dict[str, Any]]) -> None:
        self.rules = [Rule(plan) for plan in plans]
        # Reentrant: a signal handler of the host may call the library in the middle of a call.
        self._lock = RLock()
        self._threads: dict[int, int] = {}  # the kernel's number -> ours

    @property
    def watched(self) -> set[str]:
        """The functions whose calls must be looked at; "*" when it is those of all functions."""
        names = {name for rule in self.rules for name in (*rule.functions, *rule.after)}
        return names | {"*" for rule in self.rules if isinstance(rule.thread, int)}

    def decide(self, call: Call, session: Session) -> Optional[Rule]:
        """The rule that fires on this call. All that match count it, also those behind it."""
        thread = get_native_id()
        if not self.rules and thread in self._threads:
            return None  # as on most calls that are looked at: those of a trace
        with self._lock:
            self._threads.setdefault(thread, len(self._threads) + 1)
            firing = [rule for rule in self.rules if rule.fires(call, session)]
        return firing[0] if firing else None

    def thread_number(self) -> int:
        """Which thread of this process the current one is, by the order of their first calls."""
        return self._threads[get_native_id()]

    def add(self, plans: list[dict[str, Any]]) -> None:
        """Put rules before all others."""
        with self._lock:
            self.rules = [*map(Rule, plans), *self.rules]

    def clear(self, name: Optional[str]) -> None:
        """Drop the rules of a name, or all; what they block goes on."""
        with self._lock:
            gone = list(self._named(name))
            self.rules = [rule for rule in self.rules if rule not in gone]
        for rule in gone:
            rule.cleared = True

    def release(self, name: Optional[str]) -> None:
        """Let go of the calls that the rules of a name, or all, block at this moment."""
        for rule in self._named(name):
            rule.released += 1

    def forked(self) -> None:
        """Begin to count anew: this is another process."""
        self._threads = {}
        for rule in self.rules:
            rule.count, rule.armed = 0, not rule.after
            rule.running &= {get_ident()}  # of the parent's other threads nothing is left

    def renew_lock(self) -> None:
        """Forget a lock that a thread of a fork's parent holds."""
        self._lock = RLock()

    def _named(self, name: Optional[str]) -> Iterator[Rule]:
        return (rule for rule in self.rules if name is None or rule.name == name)
