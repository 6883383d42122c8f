"""Python functions of a scenario, at work inside a call.

    def flaky(call):
        if call.number % 3 == 0:
            return "GPU_IS_LOST"              # a code by name or number
        if call.device == 1:
            return {"temp": 120}              # SUCCESS, and what is written
        return call.through()                 # the answer as it is without the fault

Its file is run here once, with what it imports of `emulator` standing for nothing: the host has its
own packages, and a scenario's declarations have done their work in the launcher.
"""

from __future__ import annotations

import builtins

from . import escape
from .outputs import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from ..machine import Machine
    from .call import Call
    from .faults import Rule
    from .session import Session

__all__ = ["Intercepted", "find", "run"]

_files: dict[str, dict[str, Any]] = {}


class Intercepted:
    """A call as a scenario's Python function sees it.

    Attributes:
        function: the C name.
        library: "nvml" or "cuda".
        number: which of the calls it is that the fault matches, from 1.
        device: index of the device that it is about; None when it names none.
        machine: the live machine.
    """

    def __init__(self, rule: Rule, call: Call, session: Session, answer: Callable[[], Any]) -> None:
        self.function = call.function.name
        self.library = call.library.api.name
        self.number = rule.count
        self.device: Optional[int] = call.device_index
        self.machine: Machine = session.machine
        self.status: Optional[int] = None
        self._call = call
        self._rooms = call.rooms()
        self._answer = answer

    @property
    def arguments(self) -> dict[str, Any]:
        """What the client put in, by C name; after `through`, what was put out, too."""
        return self._call.arguments(succeeded=self.status == 0)

    def through(self) -> int:
        """Make the call as it is without the fault; returns its status."""
        self.status = int(self._answer())
        return self.status

    def write(self, **values: Any) -> None:
        """Write to out-parameters, by C name: numbers, text, tables of fields, lists."""
        for name, value in values.items():
            write(self._call, name, value, self._rooms)


def run(what: Any, rule: Rule, call: Call, session: Session, answer: Callable[[], Any]) -> int:
    """Run a function of the scenario on a call and return the call's status.

    It returns a code by name or number; a dict of what to write, for SUCCESS; or None for what the
    call itself answered. What it raises is reported, and the call answers UNKNOWN.
    """
    intercepted = Intercepted(rule, call, session, answer)
    try:
        found = find(what)(intercepted)
        if found is None:
            return intercepted.through() if intercepted.status is None else intercepted.status
        if isinstance(found, dict):
            intercepted.write(**found)
            return 0
        return _code(found, call)
    except Exception as error:
        escape.blame(f"{call.function.name}, {rule.name}", error)
        session.failed(error)
        return call.library.api.codes.unknown


def _code(found: Any, call: Call) -> int:
    if isinstance(found, int):
        return int(found)
    api = call.library.api
    for name, code in api.types.members(api.status).items():
        if found in (name, api.short(name)):
            return code
    raise ValueError(f"expected a code of {api.name}, None or a dict, found {found!r}")


def find(what: Any) -> Callable[..., Any]:
    """The function itself, or the one of this [file, name]."""
    if callable(what):
        return what  # type: ignore[no-any-return]
    file, name = what
    if file not in _files:
        with open(file, "rb") as source:
            code = compile(source.read(), file, "exec")
        made: dict[str, Any] = {
            "__name__": "nvemu_scenario",
            "__file__": file,
            "__builtins__": {**vars(builtins), "__import__": _import},
        }
        exec(code, made)
        _files[file] = made
    return _files[file][name]  # type: ignore[no-any-return]


class _Nothing:
    """Stands for what a script takes of `emulator`: as a decorator it leaves functions alone."""

    def __getattr__(self, name: str) -> _Nothing:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        plain = len(arguments) == 1 and not options and isinstance(arguments[0], type(find))
        return arguments[0] if plain else self


def _import(name: str, *rest: Any) -> Any:
    if name.partition(".")[0] == "emulator":
        return _Nothing()
    return builtins.__import__(name, *rest)
