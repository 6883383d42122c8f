"""A scenario's script at work as a module of its own, beside all that the process has imported.

Stdlib only: the launcher runs scripts by it, and so do the programs that play them.
"""

from __future__ import annotations

import builtins
import os
import sys
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

__all__ = ["ScriptFile"]

Module = type(sys)


class ScriptFile:
    """A script and the files beside it that it imports.

    These files come before modules of the same name, as for a script that Python runs, but stay
    among themselves: the process keeps what it has imported by that name, or imports later.

    Attributes:
        file: the script's absolute path.
        modules: what the script's own files are, by the names that it imports them by; the script
            itself by "".
    """

    def __init__(self, file: str, emulator: Any | None = None) -> None:
        """`emulator` is what the script finds by this name; None is the package itself."""
        self.file = os.path.abspath(file)
        self.modules: dict[str, ModuleType] = {}
        self._emulator = emulator
        self._begun: dict[tuple[str, int], ModuleType] = {}  # by name and the thread that runs it

    def run(self, text: str | bytes) -> dict[str, Any]:
        """Run the script, whose text this is, and return its names."""
        return vars(self._run("", self.file, text))

    def _run(self, name: str, file: str, text: str | bytes) -> ModuleType:
        # Known to sys.modules, as dataclasses and pickle look there; by a name that is no other's.
        place = "nvemu_scenario:" + os.path.splitext(file)[0].replace(".", "_")
        module = self._begun[name, get_ident()] = sys.modules[place] = Module(place)
        module.__file__ = file
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": self._import}
        try:
            exec(compile(text, file, "exec", dont_inherit=True), vars(module))
        finally:
            del self._begun[name, get_ident()]
        return self.modules.setdefault(name, module)  # of two threads, both get what is first done

    def _import(
        self, name: str, made: Any = None, local: Any = None, names: Any = (), level: int = 0
    ) -> Any:
        is_emulator = level == 0 and name.partition(".")[0] == "emulator"
        if is_emulator and self._emulator is not None:
            return self._emulator
        file = os.path.join(os.path.dirname(self.file), name + ".py")
        is_own = name not in sys.builtin_module_names and os.path.isfile(file)
        if is_emulator or level or "." in name or not is_own:
            return builtins.__import__(name, made, local, names, level)
        known = self.modules.get(name) or self._begun.get((name, get_ident()))
        if known is not None:
            return known
        with open(file, "rb") as source:
            text = source.read()
        return self._run(name, file, text)
