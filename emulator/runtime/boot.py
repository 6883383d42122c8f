"""Entered from C on a stub's first call: find the scenario and answer the stub's empty slots.

In a program started by `nvemu run` the scenario is the plan in the testbed. A test in this very
process calls `play` itself, before or after the stubs are loaded, as often as it likes.
"""

from __future__ import annotations

import ctypes
import os
import sys
from _thread import allocate_lock

from .attachment import Attachment
from .planfile import plan as find_plan
from .session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from .session import Sink

__all__ = ["Shared", "attach", "current", "play", "resume"]


class Shared(ctypes.Structure):
    """`struct nvemu_control` of stubs/src/forward.h."""

    _fields_ = [
        ("library", ctypes.c_char_p),
        ("driver", ctypes.c_char_p),
        ("fingerprint", ctypes.c_char_p),
        ("testbed", ctypes.c_char_p),
        ("count", ctypes.c_uint64),
        ("slots", ctypes.c_void_p),
        ("bind", ctypes.c_void_p),
        ("raise_", ctypes.c_void_p),
        ("written", ctypes.POINTER(ctypes.c_uint64)),
        ("read", ctypes.c_uint64),
        ("embedded", ctypes.c_uint32),
    ]


attachments: list[Attachment] = []
_session: Optional[Session] = None
_attaching = allocate_lock()
_unraisable = sys.unraisablehook


def _forking() -> None:
    if _session is not None:
        _session.machine.fork()


def _forked() -> None:
    global _attaching
    _attaching = allocate_lock()  # other threads of the parent may have held these
    for attachment in attachments:
        attachment.renew_lock()
    if _session is not None:
        _session.renew_locks()
    _drop_half_imports()


def _drop_half_imports() -> None:
    """Forget the modules that other threads of the parent were importing: nobody finishes them
    here, and whoever asks for one would wait for ever. In a Python of ours that is any module."""
    embedded = hasattr(sys, "_nvemu_embedded")
    ours = "" if embedded else __package__.rpartition(".")[0] + "."
    locks = getattr(sys.modules["_frozen_importlib"], "_module_locks", {})
    for name, module in list(sys.modules.items()):
        if name.startswith(ours) and _is_half(module):
            del sys.modules[name]
    for name in [name for name in locks if name.startswith(ours)]:
        del locks[name]


def _is_half(module: Any) -> bool:
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


os.register_at_fork(before=_forking, after_in_child=_forked)


def attach(address: int) -> None:
    """Take over the stub whose control struct is at `address`; RuntimeError says why not."""
    global _session, _unraisable
    control = Shared.from_address(address)
    with _attaching:
        if control.bind:
            return  # another thread's first call came first
        if _session is None and control.testbed:
            folder = os.fsdecode(control.testbed)
            _session = Session(find_plan(folder), folder)
            _session.rewatch = _rewatch
        control.embedded = hasattr(sys, "_nvemu_embedded")
        attachment = Attachment(control, current)
        attachment.reset(_session)
        attachments.append(attachment)
        if not control.embedded and sys.unraisablehook is not rescue:
            _unraisable, sys.unraisablehook = sys.unraisablehook, rescue
        control.bind = attachment.bind_address


def rescue(unraisable: Any) -> None:
    """Python's unraisable hook: between the C side's look at the signals and the first line of a
    callback a signal handler can still raise, where only ctypes is to catch it. What it raised is
    raised when the call has returned, which nobody sees the status of then."""
    what = unraisable.object
    name = repr(what) if what is not None else str(unraisable.err_msg).partition("function ")[2]
    for attachment in attachments:
        if name in attachment.targets:
            attachment.raise_in_host(unraisable.exc_value)
            return
    _unraisable(unraisable)


def current() -> Optional[Session]:
    """The session that is played, told first when this process turns out to be a fork's child."""
    if _session is not None and _session.pid != os.getpid():
        _session.forked()
        for attachment in attachments:
            attachment.library.forked()
    return _session


def play(plan: dict[str, Any], sink: Optional[Sink] = None) -> Session:
    """Play `plan` from here on; `sink` is given the record of each call."""
    session = Session(plan, sink=sink)
    session.rewatch = _rewatch
    resume(session)
    return session


def _rewatch() -> None:
    """Have each function bound anew, as another way through it may be needed."""
    for attachment in attachments:
        attachment.rebind()


def resume(session: Optional[Session]) -> None:
    """Play `session`, with libraries as if they were just loaded.

    None plays nothing: calls answer as on a machine without a driver, and say so.
    """
    global _session
    _session = session
    for attachment in attachments:
        attachment.reset(session)
