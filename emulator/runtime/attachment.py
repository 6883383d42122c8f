"""One loaded stub: which function fills each of its slots."""

from __future__ import annotations

import ctypes
import sys
from _thread import RLock

from . import escape
from .binding import Binder, prototype

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from ..api import Function, Library
    from .forwarding import Forwarding
    from .session import Session

__all__ = ["Attachment"]

# What a function returns while no scenario is played: as on a machine without a driver.
IDLE = {"nvml": 9, "cuda": 100}
# What it returns when Python is ending and nothing can be imported any more.
CLOSED = {"nvml": 1, "cuda": 4}
INTERNAL = "{}: internal error, reported as UNKNOWN"
NO_TEXT = ctypes.create_string_buffer(b"nvemu plays no scenario")


def load_library(name: str) -> Library:
    """The state of the API of this name."""
    parent = __package__.rpartition(".")[0]
    package = __import__(f"{parent}.{name}", fromlist=["State"])
    return package.State()  # type: ignore[no-any-return]


class Attachment:
    """A stub and its slots.

    A slot's callbacks are made once and kept: another thread may be inside one while scenarios are
    switched. What changes between scenarios is the state that they look at, and, for a function
    that faults or the trace concern, which of its callbacks the slot holds.
    """

    def __init__(self, control: Any, current: Callable[[], Optional[Session]]) -> None:
        self.library = load_library(control.library.decode())
        self.api = self.library.api
        if control.fingerprint.decode() != self.api.fingerprint:
            raise RuntimeError(
                f"the {self.api.soname} stub and the Python package are from different versions "
                "of nvemu: install nvemu again"
            )
        self.library.symbol_address = self._symbol_address
        self.library.say_once = escape.say_once
        self._control = control
        self.session: Optional[Session] = None
        self._current = current
        self._filling = RLock()  # reentrant: a signal handler may call in the middle
        self._epoch = 0  # of the slots' contents
        self._slots = (ctypes.c_size_t * control.count).from_address(control.slots)
        self._callbacks: dict[tuple[int, str], Any] = {}
        self._answers: dict[int, Callable[..., Any]] = {}
        self._forwarding: Optional[Forwarding] = None
        self.targets = {repr(self.bind)}  # how Python names the callbacks that ctypes calls
        self._bind = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_void_p)(self.bind)
        self.bind_address = ctypes.cast(self._bind, ctypes.c_void_p).value

    def reset(self, session: Optional[Session]) -> None:
        """Play `session` from here on, or nothing."""
        self.session = session
        if session is not None:
            self.api.place(session.plan["handlers"][self.api.name])
            self.library.reset(session.machine, session.plan)
            self.library.find_function = session.find_function
            self.library.blames = session.blames
            self.library.miss = session.miss
            self.library.observer = session.observer.note if session.traced else None
        self.rebind()

    def rebind(self) -> None:
        """Empty the slots: what is to answer is asked anew."""
        with self._filling:
            self._epoch += 1
            ctypes.memset(self._slots, 0, ctypes.sizeof(self._slots))

    def renew_lock(self) -> None:
        """Forget a lock that a thread of a fork's parent holds."""
        self._filling = RLock()

    def _symbol_address(self, name: str) -> int:
        from .exports import symbol_finder  # here, as few programs ask

        self.library.symbol_address = symbol_finder(self._control.slots)
        return self.library.symbol_address(name)

    def bind(self, slot: int, put_out: int) -> None:
        """Fill an empty slot and write its content to the address `put_out`; nothing is written,
        after a line on stderr, when it fails.

        Any slot comes here, too, when live control has said something.
        """
        try:
            written = self._control.written[0]
            session = self._current()
            if written != self._control.read:
                self._control.read = written if session is None else session.refresh(written)
            epoch = self._epoch
            callback = self._callback(slot, session)
            address = ctypes.cast(callback, ctypes.c_void_p).value or 0
            with self._filling:
                # Else another thread switched scenarios, or what is watched, meanwhile.
                if session is self.session and epoch == self._epoch:
                    self._slots[slot] = address
            ctypes.c_size_t.from_address(put_out).value = address
        except BaseException as error:
            if self._is_the_hosts(error):
                self.raise_in_host(error)
            else:
                escape.report(INTERNAL.format(self.api.names[slot]), error)

    def _callback(self, slot: int, session: Optional[Session]) -> Any:
        function = self.api.function(slot)
        handled = self.api.is_handled(function.name)
        if session is None:
            way = "idle"
        elif session.plan.get("real"):
            way = "forwarded"
        else:
            way = "observed" if session.watches(function.name, handled) else "plain"
        made = self._callbacks.get((slot, way))
        if made is None:
            try:
                target = getattr(self, "_" + way)(function)
            except ImportError as error:
                target = self._closed(function, error)
            self.targets.add(repr(target))
            # Another thread may have come first: a slot may hold what that one has made.
            fresh = prototype(self.api, function)(target)
            made = self._callbacks.setdefault((slot, way), fresh)
        return made

    def _plain(self, function: Function) -> Callable[..., Any]:
        answer = self._answers.get(function.slot)
        if answer is None:
            handler = self.api.handler(function.name)
            binder = Binder(self.library, function, handler, self._escaped(function))
            answer = self._answers[function.slot] = binder.bind()
        return answer

    def _observed(self, function: Function) -> Callable[..., Any]:
        return self._watched(function, self._plain(function), self.api.is_handled(function.name))

    def _forwarded(self, function: Function) -> Callable[..., Any]:
        return self._watched(function, self._real().answer(function), handled=True)

    def _real(self) -> Forwarding:
        """The real library that answers in this session."""
        if self._forwarding is None:
            from .forwarding import Forwarding  # here, as few programs need it

            assert self.session is not None
            path = self.session.plan["real"][self.api.name]
            self._forwarding = Forwarding(self.library, path)
        return self._forwarding

    def _watched(
        self, function: Function, answer: Callable[..., Any], handled: bool
    ) -> Callable[..., Any]:
        idle = self._idle(function)

        def call(*words: Any) -> Any:
            try:
                session = self.session
                if session is None:
                    return idle(*words)
                return session.observer.observe(self.library, function, handled, answer, words)
            except BaseException as error:
                return escaped(error)

        escaped = self._escaped(function)
        return call

    def _idle(self, function: Function) -> Callable[..., Any]:
        if function.returns != self.api.status:
            return lambda *_: ctypes.addressof(NO_TEXT) if "*" in function.returns else 0
        text = f"{self.api.soname}: no scenario is played (`with emulator.emulate(...)`)"

        def call(*_: Any) -> int:
            escape.say_once(text)
            return IDLE[self.api.name]

        return call

    def _closed(self, function: Function, error: ImportError) -> Callable[..., Any]:
        """What answers a function that is called for the first time when Python is ending."""
        if sys.meta_path is not None:
            raise error
        code = CLOSED[self.api.name] if function.returns == self.api.status else 0
        return lambda *_: code

    def _escaped(self, function: Function) -> Callable[[BaseException], int]:
        """What becomes of an exception that no handler meant: it must not reach ctypes, which
        would return garbage to the host. A signal handler's (Ctrl-C) belongs to the host: the C
        side raises it when the call has returned."""
        has_status = function.returns == self.api.status
        code, closed = (self.api.codes.unknown, CLOSED[self.api.name]) if has_status else (0, 0)

        def escaped(error: BaseException) -> int:
            if self._is_the_hosts(error):
                self.raise_in_host(error)
            elif isinstance(error, ImportError) and sys.meta_path is None:
                return closed
            else:
                escape.report(INTERNAL.format(function.name), error)
                if self.session is not None:
                    self.session.failed(error)
            return code

        return escaped

    def _is_the_hosts(self, error: BaseException) -> bool:
        """Whether a signal handler of the host raised this while nvemu was at work."""
        if self._control.embedded:
            return False
        return not isinstance(error, Exception) or escape.is_foreign(error)

    def raise_in_host(self, error: BaseException) -> None:
        """Have the C side raise `error` once the call under way has returned."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(error))  # the C side lets go of it
        self._control.raise_ = id(error)
