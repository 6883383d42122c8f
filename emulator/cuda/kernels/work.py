"""What a kernel does here: the scenario's Python function for it, or nothing.

def saxpy(launch):
    n, a, x, y = launch.unpack("I", "f", "f*", "f*")
    for i in range(n):
        y[i] += a * x[i]
"""

from __future__ import annotations

import ctypes
import time
from _struct import calcsize, unpack_from

from ...api.answers import code_of
from .. import _status as status
from ..error import CudaError
from ..memory.mapping import READ, WRITE
from ..memory.space import Space
from .mangling import fits, plain_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Optional

    from ...machine import Machine
    from ..library import Cuda
    from .image import Parameter
    from .launch import Launch

__all__ = ["KernelLaunch", "Kernels", "do"]

EXPECTED = "expected a code of cuda or None"
LETTERS = "?bBcdefhHiIlLnNqQ"  # types of `struct` that stand for one number


class KernelLaunch:
    """A launch as a scenario's Python function sees it.

    Attributes:
        name: the kernel's, as the image has it.
        grid: blocks in x, y and z.
        block: threads of a block in x, y and z.
        shared: bytes of dynamic shared memory of each block.
        device: index of the device.
        machine: the live machine.
        arguments: the bytes of each argument.
        parameters: (offset, size) of each in the argument buffer.
    """

    def __init__(self, launch: Launch) -> None:
        kernel = launch.function.kernel
        context = launch.function.context
        self.name = kernel.name
        self.grid = launch.grid
        self.block = launch.block
        self.shared = launch.shared
        self.device: int = context.device.index
        self.machine: Machine = context.cuda.machine
        self.parameters = [(each.offset, each.size) for each in kernel.parameters]
        self.arguments = _split(launch.arguments, kernel.parameters)
        self._space = context.cuda.part(Space)

    def __repr__(self) -> str:
        return f"<launch of {self.name}, grid {self.grid}, block {self.block}>"

    def unpack(self, *types: str) -> tuple[Any, ...]:
        """The arguments by type, letters as in `struct`: "I", "f"; "f*" for a pointer.

        A pointer becomes a memoryview of that type over the device's memory, from there to the end
        of its allocation; a null pointer becomes None. Whoever writes to it writes to the device.

        Raises:
            ValueError: the kernel has other parameters.
            CudaError: ILLEGAL_ADDRESS: there is no memory where a pointer points to.
        """
        if len(types) != len(self.arguments):
            problem = f"expected {len(self.arguments)} types for the parameters of {self.name}"
            raise ValueError(f"{problem}, found {len(types)}")
        return tuple(self._value(index, kind) for index, kind in enumerate(types))

    def memory(self, address: int, kind: str = "B", count: Optional[int] = None) -> memoryview:
        """The device's memory at an address, as `unpack` gives it; `count` elements of it.

        Raises:
            CudaError: ILLEGAL_ADDRESS: there is no memory, or less of it.
        """
        size = calcsize(kind)
        block = self._space.find(address)
        room = 0 if block is None else (block.address + block.size - address) // size
        wanted = room if count is None else count
        if block is None or not block.access & READ or not 0 < wanted <= room:
            raise CudaError(status.ILLEGAL_ADDRESS)
        view = memoryview((ctypes.c_ubyte * (wanted * size)).from_address(address))
        typed = view.cast("B") if kind == "B" else view.cast("B").cast(kind)  # type: ignore[call-overload]
        return typed if block.access & WRITE else typed.toreadonly()

    def _value(self, index: int, kind: str) -> Any:
        data = self.arguments[index]
        letter = kind[:-1] if kind.endswith("*") else kind
        if len(letter) != 1 or letter not in LETTERS:
            raise ValueError(f"expected types such as 'f' and 'f*', found {kind!r}")
        size = calcsize("P" if kind.endswith("*") else letter)
        if size != len(data):
            problem = f"parameter {index} of {self.name} has {len(data)} bytes"
            raise ValueError(f"{problem}, and {kind!r} has {size}")
        if not kind.endswith("*"):
            return unpack_from(letter, data)[0]
        (address,) = unpack_from("P", data)
        return self.memory(address, letter) if address else None


def _split(data: bytes, parameters: Sequence[Parameter]) -> list[bytes]:
    return [data[each.offset : each.offset + each.size] for each in parameters]


class Kernels:
    """The scenario's functions for kernels, found by name once."""

    def __init__(self, cuda: Cuda) -> None:
        self._rules: Sequence[dict[str, Any]] = cuda.plan.get("kernels", ())
        self._known: dict[str, Any] = {}
        self._missed: set[str] = set()

    def find(self, name: str) -> Any:
        """What the plan has under `run` for a kernel; None for nothing."""
        if name not in self._known:
            self._known[name] = next(
                (rule["run"] for rule in self._rules if fits(rule["name"], name)), None
            )
        return self._known[name]

    def miss(self, cuda: Cuda, name: str) -> None:
        """Say once that a kernel has no function; a strict scenario fails on it."""
        if name in self._missed:
            return
        self._missed.add(name)
        plain = plain_name(name)
        how = f'@kernel("{plain}") in a scenario\'s script gives it a function'
        mangled = "" if plain == name else f" ({name})"
        cuda.say_once(f"kernel {plain} does nothing: {how}{mangled}")
        if cuda.plan.get("strict"):
            cuda.miss(f"kernel {name}")

    def end(self) -> None:
        """Another scenario begins."""


def do(launch: Launch) -> None:
    """Do a launch and record it.

    Raises:
        CudaError: what its context answers from here on: the code that the function returned by
            name or number; LAUNCH_FAILED if it failed.
    """
    cuda = launch.function.context.cuda
    kernels = cuda.part(Kernels)
    what = kernels.find(launch.function.name)
    began = time.time_ns() if cuda.observer is not None else 0
    code: int = status.SUCCESS
    if what is None:
        kernels.miss(cuda, launch.function.name)
    else:
        code = _run(cuda, launch, what)
    if began:
        cuda.note(str(launch.function), _record(launch, what is not None), code, began)
    if code:
        raise CudaError(code)


def _run(cuda: Cuda, launch: Launch, what: Any) -> int:
    text = f"{launch.function}: the scenario's function failed, and the context with it"
    try:
        function = cuda.find_function(what)
        found = cuda.contexts.closed(function, KernelLaunch(launch))
        return status.SUCCESS if found is None else code_of(cuda.api, found, EXPECTED)
    except CudaError as error:
        return error.code
    except (Exception, SystemExit) as error:
        if not cuda.blames(text, what, error):
            raise
        return status.LAUNCH_FAILED


def _record(launch: Launch, is_done: bool) -> dict[str, Any]:
    kernel = launch.function.kernel
    record: dict[str, Any] = {
        "grid": list(launch.grid),
        "block": list(launch.block),
        "shared": launch.shared,
        "stream": launch.stream,
        "arguments": [_shown(data) for data in _split(launch.arguments, kernel.parameters)],
    }
    return record if is_done else {**record, "does": "nothing"}


def _shown(data: bytes) -> Any:
    """An argument as a number if it can be one, else its bytes."""
    if len(data) in (1, 2, 4):
        return int.from_bytes(data, "little")
    return hex(int.from_bytes(data, "little")) if len(data) == 8 else data.hex()
