"""Handles: what a client holds for an object of ours.

A handle is the address of real memory, padded and marked: nvidia-smi dereferences device handles,
and a debugger shows at once whose it is.
"""

from __future__ import annotations

import ctypes

# The C side of `collections`, which imports more.
from _collections import deque  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["NULL", "SIZE", "Handles"]

MAGIC = b"nvemu\0\0\0"
NULL = object()  # what a handler returns for a handle that is NULL; None is "not supported"
SIZE = 4096  # nvidia-smi 550 reads beyond the first kilobyte of a device


class Handles:
    """The handles of one type: address -> object and back.

    `objects` is the same dict for ever, also when the scenario is switched: bound functions look
    handles up in it directly. Memory is kept and given to the next scenario's objects, so an old
    handle is never a wild pointer.
    """

    __slots__ = ("_addresses", "_free", "_memory", "_size", "objects")

    def __init__(self, size: int = SIZE) -> None:
        """`size` is the bytes of memory behind a handle."""
        self.objects: dict[int, Any] = {}
        self._addresses: dict[int, int] = {}
        self._free: deque[int] = deque()
        self._memory: list[Any] = []
        self._size = size

    def give(self, obj: Any) -> int:
        """The handle of `obj`, the same one each time."""
        if obj is NULL:
            return 0
        address = self._addresses.get(id(obj))
        if address is None:
            address = self._free.popleft() if self._free else self._allocate()
            self._addresses[id(obj)] = address
            self.objects[address] = obj
        return address

    def name(self, value: int, obj: Any) -> None:
        """Let `value` be the handle of `obj`: for handles that are numbers, as CUdevice is."""
        self._addresses[id(obj)] = value
        self.objects[value] = obj

    def drop(self, obj: Any) -> None:
        """Forget `obj`: its handle is stale from here on."""
        address = self._addresses.pop(id(obj), 0)
        if self.objects.pop(address, None) is not None:
            self._free.append(address)  # reused last: a stale handle stays one for long

    def clear(self) -> None:
        """Forget all objects and reuse their memory, first handle first."""
        self.objects.clear()
        self._addresses.clear()
        self._free = deque(ctypes.addressof(block) for block in self._memory)

    def _allocate(self) -> int:
        block = ctypes.create_string_buffer(MAGIC, self._size)
        self._memory.append(block)
        return ctypes.addressof(block)
