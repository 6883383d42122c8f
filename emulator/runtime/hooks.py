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

import os
from _thread import get_ident

from ..api.answers import code_of
from ..scriptfile import ScriptFile
from . import escape
from .outputs import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Callable, Optional

    from ..machine import Machine
    from .call import Call
    from .faults import Rule
    from .session import Session

__all__ = ["Intercepted", "find", "is_ours", "run"]

#: Scripts that have run, by their files.
_scripts: dict[str, ScriptFile] = {}


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
        """Write to out-parameters, by C name: numbers, text, tables of fields, lists.

        Raises:
            ValueError: the function has no such out-parameter.
        """
        self._write(values)

    def _write(self, values: dict[str, Any]) -> None:
        known = [p.name for p in self._call.function.parameters or () if p.is_output]
        for name, value in values.items():
            if name not in known:
                problem = f"expected an out-parameter of {self.function}"
                raise ValueError(f"{problem} ({', '.join(known) or 'it has none'}), found {name!r}")
            write(self._call, name, value, self._rooms)

    def answer(self, found: Any) -> int:
        """The call's status, of what the scenario's function returned."""
        if found is None:
            return self.through() if self.status is None else self.status
        if isinstance(found, dict):
            self._write(found)
            return 0
        return _code(found, self._call)


def run(what: Any, rule: Rule, call: Call, session: Session, answer: Callable[[], Any]) -> int:
    """Run a function of the scenario on a call and return the call's status.

    It returns a code by name or number; a dict of what to write, for SUCCESS; or None for what the
    call itself answered. What it raises is reported, and the call answers UNKNOWN. Calls that it
    makes itself pass over its rule.
    """
    intercepted = Intercepted(rule, call, session, answer)
    try:
        rule.running.add(get_ident())
        return intercepted.answer(find(what)(intercepted))
    except (Exception, SystemExit) as error:
        if not is_ours(error, what):
            raise
        where = f"{call.function.name}, {rule.name}"
        said = "the scenario's function failed, the call answers UNKNOWN"
        escape.report(f"{where}: {said}", error)
        session.failed(error)
        return call.library.api.codes.unknown if _has_status(call) else 0
    finally:
        rule.running.discard(get_ident())


def _has_status(call: Call) -> bool:
    return call.function.returns == call.library.api.status


def _code(found: Any, call: Call) -> int:
    if not _has_status(call):
        raise ValueError(f"expected None, as the call returns no code, found {found!r}")
    api = call.library.api
    return code_of(api, found, f"expected a code of {api.name}, None or a dict")


def is_ours(error: BaseException, what: Any) -> bool:
    """Whether a scenario's function is to blame for `error`, not a signal handler of the host.

    Only of SystemExit it is asked: by whether a file of the scenario comes last on its way.
    """
    if not isinstance(error, SystemExit):
        return True
    if callable(what):
        files = {what.__code__.co_filename}
    else:
        script = _scripts.get(what[0])
        files = {str(module.__file__) for module in script.modules.values()} if script else set()
    last, step = "", error.__traceback__
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        last = last if file.startswith((escape.OURS, escape.STANDARD)) else file
        step = step.tb_next
    return not files or last in files  # without files the script has not run to its end


def find(what: Any) -> Callable[..., Any]:
    """The function itself, or the one of this [file, name]."""
    if callable(what):
        return what  # type: ignore[no-any-return]
    file, name = what
    if file not in _scripts:
        script = ScriptFile(file, _Nothing())
        with open(file, "rb") as source:
            script.run(source.read())
        _scripts.setdefault(file, script)  # of two threads, both get what the first has made
    return vars(_scripts[file].modules[""])[name]  # type: ignore[no-any-return]


class _Nothing:
    """Stands for what a script takes of `emulator`, and for all that comes of it.

    As a decorator it leaves functions alone. It has no elements, is 0 as a number and "" as text;
    calculated or compared with anything it stays what it is, which is true.
    """

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            return _public()
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        return self

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        plain = len(arguments) == 1 and not options and isinstance(arguments[0], type(find))
        return arguments[0] if plain else self

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __bool__(self) -> bool:
        return True

    def __str__(self) -> str:
        return ""

    def __format__(self, form: str) -> str:
        return ""

    def __mro_entries__(self, bases: Any) -> tuple[type, ...]:
        return ()  # it has been a base class

    __hash__ = object.__hash__


def _itself(self: _Nothing, *others: Any) -> _Nothing:
    return self


def _zero(self: _Nothing) -> int:
    return 0


BINARY = ["add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow"]
BINARY += ["lshift", "rshift", "and", "or", "xor"]
OTHERS = ["neg", "pos", "abs", "invert", "lt", "le", "eq", "ne", "gt", "ge", "getitem"]
for _name in [*BINARY, *("r" + _name for _name in BINARY), *OTHERS]:
    setattr(_Nothing, f"__{_name}__", _itself)
for _name in ("int", "index", "len"):
    setattr(_Nothing, f"__{_name}__", _zero)
_Nothing.__float__ = lambda self: 0.0  # type: ignore[attr-defined]


def _public() -> Any:
    """What `from emulator import *` gives; asked of the package's own text, which few scripts need.

    It runs apart: a host may have an `emulator` of its own, and this one is not to be imported.
    """
    file = os.path.join(escape.OURS, "__init__.py")
    made: dict[str, Any] = {"__name__": "emulator"}
    with open(file, "rb") as source:
        exec(compile(source.read(), file, "exec"), made)
    return made["__all__"]
