"""Calls that the machine's real library answers, in the place of handlers.

The real library is loaded into the program's process beside its stub, by its path. A call reaches
it with the C arguments as they came, and its result goes back as it is. Only two things are done
with an answer:

- A pointer that cuGetProcAddress gives is exchanged for the stub's function of the same name, since
  what is called through it would be seen by nobody.
- What devices are put out is remembered, so that traces say GPU-0 of them: see `realnames`.

What is not seen: calls through the tables of function pointers that cuGetExportTable, cudbgGetAPI
and nvmlInternalGetExportTable give, calls of functions that no recorded driver has, and reads and
writes of libcuda's variables for debuggers, which are the stub's. What the real libraries ask of
each other is seen as if the program had asked: NVML asks libcuda for its version.

What differs for the program: a library that it closes stays loaded, and calls that static
destructors make after its Python has ended are answered by the stub.
"""

from __future__ import annotations

import ctypes
import os

from ..api import NULL_PAGE
from .binding import prototype
from .exports import address_of, name_at
from .realnames import RealNames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from ..api import Function, Library
    from .realnames import After

__all__ = ["Forwarding"]

#: Its own names come first for it, not those of the stub that the program is linked with.
MODE = os.RTLD_NOW | os.RTLD_LOCAL | os.RTLD_DEEPBIND

#: Functions that give others, and which of their parameters points to the place for it.
GIVE_FUNCTIONS = {"cuGetProcAddress": 1, "cuGetProcAddress_v2": 1}


class Forwarding:
    """A real library at work behind a stub.

    Args:
        library: the API's state in this process; it is told of devices.
        path: the real library.

    Raises:
        OSError: it cannot be loaded.
    """

    def __init__(self, library: Library, path: str) -> None:
        self.library = library
        self.api = library.api
        self._path = path
        self._loaded = ctypes.CDLL(path, MODE)
        self._names = RealNames(library, self._loaded)

    def answer(self, function: Function) -> Callable[..., Any]:
        """What to call with the C arguments of a function.

        Raises:
            LookupError: the real library does not have it.
        """
        address = address_of(self._loaded, function.name)
        if not address:
            raise LookupError(f"{self._path} has no {function.name}")
        call = prototype(self.api, function)(address)
        after = self._after(function)
        if after is None:
            return call  # type: ignore[no-any-return]

        def forward(*words: Any) -> Any:
            status = call(*words)
            if status == 0:
                after(words)
            return status

        return forward

    def _after(self, function: Function) -> Optional[After]:
        place = GIVE_FUNCTIONS.get(function.name)
        if place is not None:
            return lambda words: self._exchange(words[place])
        return self._names.learner(function)

    def _exchange(self, put_out: int) -> None:
        """Have the pointer at an address point to the stub's function in place of the real one."""
        if put_out < NULL_PAGE:
            return
        pointer = ctypes.c_size_t.from_address(put_out)
        name = name_at(pointer.value)
        if name and address_of(self._loaded, name) == pointer.value:
            pointer.value = self.library.symbol_address(name) or pointer.value
