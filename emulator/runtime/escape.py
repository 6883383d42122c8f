"""What nvemu says in a host process, and what it does with an exception it did not mean."""

from __future__ import annotations

import os

TYPE_CHECKING = False

__all__ = ["blame", "is_foreign", "report", "say", "say_once"]

OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STANDARD = os.path.dirname(os.__file__)

_said: set[str] = set()


def say(text: str) -> None:
    """One line on the process's stderr, past whatever the host made of sys.stderr."""
    try:
        os.write(2, f"nvemu: {text}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        pass  # stderr is closed: the host wants no words


def say_once(text: str) -> None:
    """The same line only the first time."""
    if text not in _said:
        _said.add(text)
        say(text)


def is_foreign(error: BaseException) -> bool:
    """Whether `error` was raised by code that is neither nvemu's nor the standard library's."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return False
    name = traceback.tb_frame.f_code.co_filename
    if name.startswith((OURS, "<nvml", "<cu", "<frozen")):
        return False
    return not name.startswith(STANDARD) or "site-packages" in name


def report(function: str, error: BaseException) -> str:
    """Say that `function` failed inside nvemu; return the traceback."""
    return _tell(f"{function}: internal error, reported as UNKNOWN", error)


def blame(where: str, error: BaseException) -> str:
    """Say that a scenario's Python function failed; return the traceback."""
    return _tell(f"{where}: the scenario's function failed, the call answers UNKNOWN", error)


def _tell(what: str, error: BaseException) -> str:
    try:
        import traceback
    except Exception:  # the process has no file descriptor left, say
        say_once(f"{what}: {type(error).__name__}: {error}")
        return str(error)
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" ({os.path.basename(last[0].filename)}:{last[0].lineno})" if last else ""
    say_once(f"{what}: {type(error).__name__}: {error}{where}")
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))
