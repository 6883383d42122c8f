"""Settings of GPU core dumps: kept for the process and for each context, and never acted upon.

The process's settings may be read and set before cuInit. From then on the environment's variables
hold ("permanent precedence"), and a setting that one of them makes can no longer be set. A context
has the process's settings but for those that were set for it.

Sources: NVIDIA's driver API reference; CUDA-GDB's manual on the variables. Observed on the real
libraries of 550 and 555, which answer for the process without a GPU: a boolean is one byte and the
flags four, and no other size is taken; a text has up to 1024 bytes, and is refused to a buffer too
small for it; the texts are empty until cuInit.
"""

from __future__ import annotations

import ctypes
import os

from ..api import NULL_PAGE
from . import _status as status
from .devices.visible import environment
from .library import Cuda, CudaError, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from .contexts.context import Context

__all__ = ["Settings"]

ENABLE, HOST, LIGHTWEIGHT, USER_TRIGGER, FILE, PIPE, FLAGS = range(1, 8)
FLAGS_SINCE = 12050  # CUDA version
TEXT = 1024
SIZES = {FILE: TEXT, PIPE: TEXT, FLAGS: 4}  # the others: one byte
PROCESS_ONLY = (USER_TRIGGER, PIPE)

VARIABLES = {
    ENABLE: "CUDA_ENABLE_COREDUMP_ON_EXCEPTION",
    HOST: "CUDA_ENABLE_CPU_COREDUMP_ON_EXCEPTION",
    LIGHTWEIGHT: "CUDA_ENABLE_LIGHTWEIGHT_COREDUMP",
    USER_TRIGGER: "CUDA_ENABLE_USER_TRIGGERED_COREDUMP",
    FILE: "CUDA_COREDUMP_FILE",
    PIPE: "CUDA_COREDUMP_PIPE",
    FLAGS: "CUDA_COREDUMP_GENERATION_FLAGS",
}

# What CUDA_COREDUMP_GENERATION_FLAGS may name, separated by commas.
FLAG_NAMES = {
    "skip_nonrelocated_elf_images": 1,
    "skip_global_memory": 2,
    "skip_shared_memory": 4,
    "skip_local_memory": 8,
    "skip_abort": 16,
    "skip_constbank_memory": 32,
    "gzip_compress": 64,
}


class Settings:
    """The settings of the process, which a context's stand before.

    Attributes:
        values: what was set, by attribute.
    """

    def __init__(self, cuda: Cuda) -> None:
        self.cuda = cuda
        self.values: dict[int, bytes] = {}
        self._variables: Optional[dict[int, bytes]] = None  # read once CUDA is initialised

    @property
    def fixed(self) -> dict[int, bytes]:
        """What the environment has settled."""
        if not self.cuda.ready:
            return {}
        if self._variables is None:
            texts = {attribute: environment(name) for attribute, name in VARIABLES.items()}
            self._variables = {a: _parsed(a, text) for a, text in texts.items() if text is not None}
        return self._variables

    def value(self, attribute: int) -> bytes:
        """What holds where no context has a setting of its own."""
        if attribute in self.fixed:
            return self.fixed[attribute]
        found = self.values.get(attribute)
        return self._default(attribute) if found is None else found

    def _default(self, attribute: int) -> bytes:
        if attribute in (FILE, PIPE):
            name = "core.cuda" if attribute == FILE else "corepipe.cuda"
            host = os.uname().nodename
            return f"{name}.{host}.{os.getpid()}".encode() if self.cuda.ready else b""
        return bytes((attribute == HOST,)).ljust(SIZES.get(attribute, 1), b"\0")

    def end(self) -> None:
        """Nothing is held."""


class ContextSettings:
    """What was set for one context."""

    def __init__(self, context: Context) -> None:
        self.values: dict[int, bytes] = {}

    def end(self) -> None:
        """Nothing is held."""


def _parsed(attribute: int, text: str) -> bytes:
    """The value of a variable. The host's name and the process's number stand for %h and %p."""
    if attribute == FLAGS:
        names = text.replace(" ", "").split(",")
        return sum(FLAG_NAMES.get(name, 0) for name in {*names}).to_bytes(4, "little")
    if attribute in (FILE, PIPE):
        filled = text.replace("%h", os.uname().nodename).replace("%p", str(os.getpid()))
        return filled.encode()[: TEXT - 1]
    return b"\1" if text.strip() not in ("", "0") else b"\0"


def _size(cuda: Cuda, attribute: int) -> int:
    """The bytes of an attribute; INVALID_VALUE for one that this driver does not have."""
    last = FLAGS if cuda.machine.cuda_version >= FLAGS_SINCE else PIPE
    if not ENABLE <= attribute <= last:
        raise CudaError(status.INVALID_VALUE)
    return SIZES.get(attribute, 1)


def _get(
    cuda: Cuda, attribute: int, address: int, size_at: int, value: Callable[[], bytes]
) -> None:
    expected = _size(cuda, attribute)
    size = ctypes.c_size_t.from_address(size_at)
    if address < NULL_PAGE:
        size.value = expected
        return
    held = value()
    if attribute in (FILE, PIPE):
        if held and len(held) >= size.value:
            raise CudaError(status.INVALID_VALUE)
        held = held.ljust(min(size.value, TEXT), b"\0")
    elif size.value != expected:
        raise CudaError(status.INVALID_VALUE)
    ctypes.memmove(address, held, len(held))


def _set(cuda: Cuda, attribute: int, address: int, size_at: int, values: dict[int, bytes]) -> None:
    expected = _size(cuda, attribute)
    size = ctypes.c_size_t.from_address(size_at)
    if address < NULL_PAGE:
        size.value = expected
        return
    is_text = attribute in (FILE, PIPE)
    if size.value > expected or (size.value != expected and not is_text):
        raise CudaError(status.INVALID_VALUE)
    if attribute in cuda.part(Settings).fixed:
        raise CudaError(status.NOT_PERMITTED)
    data = ctypes.string_at(address, size.value)
    values[attribute] = data.partition(b"\0")[0] if is_text else data


@implements("cuCoredumpGetAttributeGlobal", anytime=True, raw=("size",))
def get_global(cuda: Cuda, attrib: int, value: int, size: int) -> None:
    _check(size)
    _get(cuda, attrib, value, size, lambda: cuda.part(Settings).value(attrib))


@implements("cuCoredumpSetAttributeGlobal", anytime=True, raw=("size",))
def set_global(cuda: Cuda, attrib: int, value: int, size: int) -> None:
    _check(size)
    _set(cuda, attrib, value, size, cuda.part(Settings).values)


@implements("cuCoredumpGetAttribute", anytime=True, raw=("size",))
def get(cuda: Cuda, attrib: int, value: int, size: int) -> None:
    context = _context(cuda, attrib, size)
    process = cuda.part(Settings)

    def held() -> bytes:
        own = None if attrib in process.fixed else context.part(ContextSettings).values.get(attrib)
        return process.value(attrib) if own is None else own

    _get(cuda, attrib, value, size, held)


@implements("cuCoredumpSetAttribute", anytime=True, raw=("size",))
def set_(cuda: Cuda, attrib: int, value: int, size: int) -> None:
    context = _context(cuda, attrib, size)
    if attrib in PROCESS_ONLY:
        raise CudaError(status.INVALID_VALUE)
    _set(cuda, attrib, value, size, context.part(ContextSettings).values)


def _check(size: int) -> None:
    if size < NULL_PAGE:
        raise CudaError(status.INVALID_VALUE)


def _context(cuda: Cuda, attribute: int, size: int) -> Context:
    """The current context; the attribute is looked at before cuInit is asked for."""
    _check(size)
    _size(cuda, attribute)
    if not cuda.ready:
        raise CudaError(status.NOT_INITIALIZED)
    return cuda.contexts.current()


class Callback:
    """A function that is to be called when a dump starts or is complete; none ever is made."""

    def __init__(self, function: int, user_data: int, when: str) -> None:
        self.function = function
        self.user_data = user_data
        self.when = when


def _register(function: int, user_data: int, when: str) -> Callback:
    if function < NULL_PAGE:
        raise CudaError(status.INVALID_VALUE)
    return Callback(function, user_data, when)


@implements("cuCoredumpRegisterStartCallback", nullable=("callbackOut",))
def on_start(callback: int, user_data: int) -> Callback:
    return _register(callback, user_data, "start")


@implements("cuCoredumpRegisterCompleteCallback", nullable=("callbackOut",))
def on_complete(callback: int, user_data: int) -> Callback:
    return _register(callback, user_data, "complete")


@implements("cuCoredumpDeregisterStartCallback", raw=("callback",))
def not_on_start(cuda: Cuda, callback: int) -> None:
    _deregister(cuda, callback, "start")


@implements("cuCoredumpDeregisterCompleteCallback", raw=("callback",))
def not_on_complete(cuda: Cuda, callback: int) -> None:
    _deregister(cuda, callback, "complete")


def _deregister(cuda: Cuda, handle: int, when: str) -> None:
    handles: Any = cuda.handles("CUcoredumpCallbackHandle")
    registered = handles.objects.get(handle)
    if registered is None or registered.when != when:
        raise CudaError(status.INVALID_VALUE)
    handles.drop(registered)
