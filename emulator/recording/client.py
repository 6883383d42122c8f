"""A client of both libraries, which makes calls that are given as a capture has them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ..api import Api, Function
from ..imports.deriving.asked import INITS
from ..vocabulary import apis
from .handles import NamedHandles
from .memory import MORE, NEWEST, Arguments

__all__ = ["Answer", "Client"]

Inputs = Mapping[str, Any]


class Answer:
    """What a call returned, and its outputs by C name."""

    __slots__ = ("_arguments", "code")

    def __init__(self, code: int, arguments: Arguments) -> None:
        self.code = code
        self._arguments = arguments

    def __getitem__(self, name: str) -> Any:
        """A number, a text, a list, or a struct with its fields as attributes."""
        return self._arguments.put_out(name)


class Client:
    """NVML and CUDA as the dynamic loader finds them.

    A library that it does not find has no functions.

    Args:
        avoided: functions that are not called.
        announce: is told the name of each function before it is called.

    Attributes:
        handles: the devices, by their names in traces.
    """

    def __init__(
        self,
        avoided: Collection[str] = (),
        announce: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._avoided = avoided
        self._announce = announce
        self._apis = apis()
        self._loaded = {name: _load(api.soname) for name, api in self._apis.items()}
        self._begun: set[str] = set()
        self.handles = NamedHandles(self)

    def has(self, library: str, function: str) -> bool:
        """Whether the library exports a function, and it may be called."""
        return function not in self._avoided and hasattr(self._loaded[library], function)

    def call(self, library: str, name: str, inputs: Inputs) -> Answer:
        """Make one call, with another version of its struct, or more room, where it asks for it.

        Raises:
            LookupError: the library has no such function, or there is no object of such a name.
            ValueError: the inputs are not such as this function has.
        """
        if not self.has(library, name):
            raise LookupError(f"there is no {name}")
        api = self._apis[library]
        function = api.find(name)
        if name == INITS[library][0]:
            self._begun.add(library)
        version = NEWEST
        more = 1
        while True:
            made = Arguments(api, function, inputs, self.handles.find, version, more)
            self._announce(name)
            code = self._target(api, function)(*made.words)
            if code == api.codes.version_mismatch and version + 1 < made.versions:
                version += 1
            elif code == api.codes.insufficient_size and more == 1:
                more = MORE
            else:
                return Answer(code, made)

    def ask(self, library: str, name: str, output: str, **inputs: Any) -> Any:
        """One output of a call; None where it fails or cannot be made."""
        try:
            answer = self.call(library, name, inputs)
        except LookupError:
            return None
        return answer[output] if answer.code == 0 else None

    def begin(self, library: str) -> None:
        """Initialise a library once, whatever comes of it."""
        init = INITS[library][0]  # a call with a handle is made behind it
        if library not in self._begun and self.has(library, init):
            self.call(library, init, {"Flags": 0} if library == "cuda" else {})

    def _target(self, api: Api, function: Function) -> Any:
        target = getattr(self._loaded[api.name], function.name)
        if target.argtypes is None:
            target.restype = ctypes.c_int
            target.argtypes = [
                ctypes.c_size_t if parameter.is_pointer else api.types[parameter.type]
                for parameter in function.parameters or ()
            ]
        return target


def _load(soname: str) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(soname)
    except OSError:
        return None
