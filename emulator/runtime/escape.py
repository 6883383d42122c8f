"""What nvemu says in a host process, and what it does with an exception it did not mean."""

from __future__ import annotations

import os

TYPE_CHECKING = False

__all__ = ["is_foreign", "report", "say", "say_once", "told"]

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


def report(what: str, error: BaseException) -> None:
    """Say once what went wrong, with the error and the line where it happened.

    With no more than the least work: it may be on every call, with no stack, memory or file
    descriptor left.
    """
    step, where = error.__traceback__, ""
    while step is not None:
        where = f" ({os.path.basename(step.tb_frame.f_code.co_filename)}:{step.tb_lineno})"
        step = step.tb_next
    say_once(f"{what}: {type(error).__name__}: {' '.join(str(error).split())}{where}")


def told(error: BaseException) -> str:
    """The traceback of an exception, for the trace: without the halves of surrogate pairs that a
    file's name brings, as not all readers of JSON take them."""
    import traceback

    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return text.encode("utf-8", "backslashreplace").decode()
