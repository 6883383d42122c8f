"""Device memory of other processes: handles of 64 bytes that say where it is.

A handle has the process, its descriptor of the file behind the device, and which bytes of it. A
process that opens one reaches the file through /proc, sees by its identity that it is that one, and
by the ticket that the memory has not been freed. The memory counts where it was allocated.
"""

from __future__ import annotations

import ctypes
import os
from _struct import Struct

from ...api import NULL_PAGE
from .. import _constants as constants
from .. import _status as status
from ..contexts.context import Context
from ..library import Cuda, CudaError, implements
from ..processes import start_of
from .backing import POOL, File, Files
from .heap import BLOCK, rounded
from .location import Location
from .mapping import PAGE
from .pool import Pool
from .poolset import Pools
from .space import Block, Space
from .virtual import find_device, open_descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Opened"]

LAZY = constants.IPC_MEM_LAZY_ENABLE_PEER_ACCESS
FD = constants.MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR
SHARED = frozenset(("device", "module"))

#: magic, descriptor, process, ticket's slot and number, where in the extent the memory begins,
#: start of the process, file's inode, the extent's offset and size, the memory's size.
HANDLE = Struct("<4sIIIIIQQQQQ")
MAGIC = b"NVM1"

#: magic, ticket's slot and number, offset in the pool's file, size.
POINTER = Struct("<4sIIQQ")
POINTER_MAGIC = b"NVP1"


def _ticket(block: Block) -> int:
    """The slot that a block is known by, its number in it."""
    extent = block.extent
    if extent is None or not extent.file.is_open:
        raise CudaError(status.INVALID_VALUE)
    if block.slot < 0:
        block.slot = extent.file.issue(block.number)
    if block.slot < 0:
        raise CudaError(status.OUT_OF_MEMORY)
    return block.slot


class Opened:
    """What a context has opened of other processes' memory."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._blocks: dict[bytes, Block] = {}
        self._counts: dict[Block, int] = {}

    def open(self, handle: bytes) -> Block:
        """The memory of a handle; that of one that is open already, once more.

        Raises:
            CudaError: INVALID_VALUE for no handle, or one whose memory is gone; INVALID_CONTEXT
                for one of this process; MAP_FAILED where it cannot be reached.
        """
        context = self._context
        with context.cuda.lock:
            known = self._blocks.get(handle)
            if known is None:
                known = self._blocks[handle] = self._map(handle)
                self._counts[known] = 0
                context.cuda.part(Space).add(known)
            self._counts[known] += 1
            return known

    def _map(self, handle: bytes) -> Block:
        magic, fd, pid, slot, number, inside, start, inode, offset, room, size = HANDLE.unpack(
            handle
        )
        if magic != MAGIC:
            raise CudaError(status.INVALID_VALUE)
        if pid == os.getpid():
            raise CudaError(status.INVALID_CONTEXT)
        if not start or start != start_of(pid):
            raise CudaError(status.INVALID_VALUE)
        context = self._context
        file = _reach(pid, fd, inode)
        if not (file.holds(slot, number) and file.reaches(offset + room) and inside + size <= room):
            file.close()
            raise CudaError(status.INVALID_VALUE)
        device = find_device(context.cuda, file)
        assert device is not None  # it is the file behind one
        extent = context.cuda.part(Files).map(file, offset, room, BLOCK)
        file.close()
        if extent is None:
            raise CudaError(status.MAP_FAILED)
        extent.ours = False
        address = extent.address + inside
        return Block(address, size, "ipc", device, context, self, extent=extent)

    def close(self, block: Block) -> None:
        """Close it once; the last time it is unmapped."""
        with self._context.cuda.lock:
            self._counts[block] -= 1
            if not self._counts[block]:
                self.free(block)

    def free(self, block: Block) -> None:
        """Unmap it, however often it is open."""
        with self._context.cuda.lock:
            del self._counts[block]
            for handle in [key for key, known in self._blocks.items() if known is block]:
                del self._blocks[handle]
            self._context.cuda.part(Space).remove(block)
            if block.extent is not None:
                block.extent.free()

    def end(self) -> None:
        """The context ends: so do its mappings."""
        for block in list(self._counts):
            self.free(block)


def _reach(process: int, descriptor: int, inode: int) -> File:
    """The file behind a descriptor of another process; it is opened only if it is the right one,
    as the process may have another thing there by now."""
    path = f"/proc/{process}/fd/{descriptor}"
    try:
        if os.stat(path).st_ino != inode:
            raise CudaError(status.INVALID_VALUE)
        return File.of(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except PermissionError:
        raise CudaError(status.MAP_FAILED) from None
    except (OSError, ValueError):
        raise CudaError(status.INVALID_VALUE) from None


# A pointer into an allocation stands for all of it: so UCX and others use it.
@implements("cuIpcGetMemHandle")
def get_handle(cuda: Cuda, dptr: int) -> dict[str, bytes]:
    cuda.contexts.current()
    block = cuda.part(Space).find(dptr)
    if block is None or block.kind not in SHARED or block.extent is None:
        raise CudaError(status.INVALID_VALUE)
    slot = _ticket(block)
    extent = block.extent
    identity = extent.file.identity
    assert identity is not None  # as it has a slot
    process = os.getpid()
    return {
        "reserved": HANDLE.pack(
            MAGIC,
            extent.file.fd,
            process,
            slot,
            block.number,
            block.address - extent.address,
            start_of(process),
            identity[1],
            extent.offset,
            extent.size,
            block.size,
        )
    }


@implements("cuIpcOpenMemHandle", "cuIpcOpenMemHandle_v2")
def open_handle(cuda: Cuda, handle: Any, flags: int) -> int:
    context = cuda.contexts.current()
    if flags != LAZY:
        raise CudaError(status.INVALID_VALUE)
    return context.part(Opened).open(ctypes.string_at(ctypes.addressof(handle), 64)).address


@implements("cuIpcCloseMemHandle")
def close_handle(cuda: Cuda, dptr: int) -> None:
    cuda.contexts.current()
    block = cuda.part(Space).at(dptr)
    if block.kind != "ipc":
        raise CudaError(status.INVALID_VALUE)
    block.owner.close(block)


# ---- pools


@implements("cuMemPoolExportToShareableHandle", raw=("handle_out",))
def export_pool(cuda: Cuda, handle_out: int, pool: Pool, handle_type: int, flags: int) -> None:
    if handle_out < NULL_PAGE or flags or handle_type != FD or pool.file is None or pool.imported:
        raise CudaError(status.INVALID_VALUE)
    pool.file.export(handle_out)


@implements("cuMemPoolImportFromShareableHandle")
def import_pool(cuda: Cuda, handle: int, handle_type: int, flags: int) -> Pool:
    if flags or handle_type != FD:
        raise CudaError(status.INVALID_VALUE)
    file = open_descriptor(handle, POOL)
    device = find_device(cuda, file)
    location = Location.of(cuda, device)
    pool = Pool(cuda, device, location=location, handle_types=FD, file=file, imported=True)
    return cuda.part(Pools).add(pool)


@implements("cuMemPoolExportPointer")
def export_pointer(cuda: Cuda, ptr: int) -> dict[str, Any]:
    block = cuda.part(Space).at(ptr)
    extent = block.extent
    pool = block.owner  # what graphs allocate is of none that can be exported
    if not isinstance(pool, Pool) or extent is None or not pool.handle_types or pool.imported:
        raise CudaError(status.INVALID_VALUE)
    slot = _ticket(block)
    offset = extent.offset + block.address - extent.address
    data = POINTER.pack(POINTER_MAGIC, slot, block.number, offset, block.size)
    return {"reserved": list(data.ljust(64, b"\0"))}


@implements("cuMemPoolImportPointer")
def import_pointer(cuda: Cuda, pool: Pool, share_data: Any) -> int:
    data = bytes(share_data.reserved)
    magic, slot, number, offset, size = POINTER.unpack_from(data)
    if magic != POINTER_MAGIC or not pool.imported or pool.file is None:
        raise CudaError(status.INVALID_VALUE)
    if not pool.file.is_open or not pool.file.holds(slot, number):
        raise CudaError(status.INVALID_VALUE)
    inside = offset % PAGE
    room = rounded(inside + size, PAGE)
    if not pool.file.reaches(offset - inside + room):
        raise CudaError(status.INVALID_VALUE)
    extent = cuda.part(Files).map(pool.file, offset - inside, room, BLOCK)
    if extent is None:
        raise CudaError(status.MAP_FAILED)
    extent.ours = False
    return pool.take_in(extent, extent.address + inside, size).address
