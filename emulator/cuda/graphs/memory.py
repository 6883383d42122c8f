"""Memory that graphs allocate and free as they run.

A node that allocates has its address from the moment it is added; the memory is there from when the
node is run until a node, or the program, frees it. A device holds what graphs may need until
cuDeviceGraphMemTrim, also when the graphs are gone.
"""

from __future__ import annotations

import ctypes

# The C side of `collections`, which imports more.
from _collections import deque  # type: ignore[import-not-found]

from .. import _constants as constants
from .. import _status as status
from ..error import CudaError
from ..library import Cuda, api, implements
from ..memory.pool import Pool
from ..memory.space import Space
from ..streams.operation import Operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...machine import Device
    from ..memory.space import Block
    from ..streams.stream import Stream
    from .graph import Graph

__all__ = ["GraphMemory", "MemAlloc", "MemFree", "capture_allocation", "capture_free"]

PINNED, AT_DEVICE = constants.MEM_ALLOCATION_TYPE_PINNED, constants.MEM_LOCATION_TYPE_DEVICE

USED, USED_HIGH = constants.GRAPH_MEM_ATTR_USED_MEM_CURRENT, constants.GRAPH_MEM_ATTR_USED_MEM_HIGH
RESERVED = constants.GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT
RESERVED_HIGH = constants.GRAPH_MEM_ATTR_RESERVED_MEM_HIGH


class GraphMemory:
    """The memory of one device that graphs may allocate.

    Attributes:
        used_high: the most bytes used so far.
    """

    def __init__(self, cuda: Cuda, device: Device) -> None:
        self.cuda = cuda
        self.device = device
        self.used_high = 0
        self._pool = Pool(cuda, device)
        self._space = cuda.part(Space)
        self._blocks: dict[Block, bool] = {}  # whether it is allocated
        self._addresses: set[int] = set()  # theirs
        self._left: deque[Block] = deque()  # of nodes that are gone

    @property
    def used(self) -> int:
        """Bytes of graphs: what they free is theirs until it is trimmed, as the tests of
        cuda-python (test_cuda_graphMem_attr) and cuda.core (test_graph_memory_resource) hold."""
        return self._pool.reserved

    @property
    def reserved(self) -> int:
        """Bytes held of the device."""
        return self._pool.reserved

    @property
    def reserved_high(self) -> int:
        """The most bytes held of the device so far."""
        return self._pool.reserved_high

    def reserve(self, size: int) -> Block:
        """An address for a node; INVALID_VALUE for no bytes, OUT_OF_MEMORY."""
        with self.cuda.lock:
            self._clear()
            block = self._pool.allocate(size, None)
            self._space.remove(block)
            block.owner = self
            self._blocks[block] = False
            self._addresses.add(block.address)
            return block

    def has(self, address: int) -> bool:
        """Whether a node has this address."""
        return address in self._addresses

    def leave_node(self, block: Block) -> None:
        """The node of a block is gone; at any time, also while the lock is held."""
        self._left.append(block)

    def allocate(self, block: Block) -> None:
        """A node is run; INVALID_VALUE if its memory has not been freed since the last time."""
        with self.cuda.lock:
            if self._blocks[block]:
                raise CudaError(status.INVALID_VALUE)
            self._blocks[block] = True
            self._space.add(block)
            self.used_high = max(self.used, self.used_high)

    def is_allocated(self, block: Block) -> bool:
        """Whether its memory is there."""
        return self._blocks[block]

    def leave(self, block: Block) -> None:
        """The program is about to free a block in a stream's order."""

    def free(self, block: Block) -> None:
        """Free a block; INVALID_VALUE if it is not allocated."""
        with self.cuda.lock:
            if not self._blocks.get(block):
                raise CudaError(status.INVALID_VALUE)
            self._blocks[block] = False
            self._space.remove(block)

    def trim(self) -> None:
        """Give back to the device what no graph needs."""
        with self.cuda.lock:
            self._clear()
            self._pool.trim(0)

    def reset_high(self, attribute: int) -> None:
        """Let a high mark begin anew."""
        if attribute == USED_HIGH:
            self.used_high = self.used
        else:
            self._pool.reserved_high = self._pool.reserved

    def _clear(self) -> None:
        """Give back to the pool what nodes had that are gone; what is still allocated stays."""
        for _ in range(len(self._left)):
            block = self._left.popleft()
            if self._blocks.get(block):
                self._left.append(block)
            elif self._blocks.pop(block, None) is not None:
                self._addresses.discard(block.address)
                self._space.add(block)
                self._pool.free(block)

    def end(self) -> None:
        """Another scenario begins."""
        for block, allocated in self._blocks.items():
            if not allocated:
                self._space.add(block)
        self._blocks = {}
        self._pool.end()


class GraphMemories:
    """The memory for graphs of each device."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self._by_device: dict[Device, GraphMemory] = {}

    def of(self, device: Device) -> GraphMemory:
        """A device's."""
        with self._cuda.lock:
            known = self._by_device.get(device)
            if known is None:
                known = self._by_device[device] = GraphMemory(self._cuda, device)
        return known

    def have(self, address: int) -> bool:
        """Whether a node has this address."""
        return any(memory.has(address) for memory in self._by_device.values())

    def end(self) -> None:
        """Another scenario begins."""
        for memory in self._by_device.values():
            memory.end()


class MemAlloc(Operation):
    """Allocate memory at the address that the node has had from the beginning."""

    __slots__ = ("block", "memory")

    kind = constants.GRAPH_NODE_TYPE_MEM_ALLOC

    def __init__(self, memory: GraphMemory, size: int) -> None:
        self.memory = memory
        self.block = memory.reserve(size)

    def __del__(self) -> None:
        block = getattr(self, "block", None)  # none, if there was no memory
        if block is not None:
            self.memory.leave_node(block)

    @property
    def is_allocated(self) -> bool:
        """Whether its memory is there."""
        return self.memory.is_allocated(self.block)

    @classmethod
    def from_params(cls, cuda: Cuda, params: Any) -> MemAlloc:
        """Of a CUDA_MEM_ALLOC_NODE_PARAMS; its address is written there.

        Raises:
            CudaError: INVALID_VALUE: it is to be shared, or on no device; OUT_OF_MEMORY.
        """
        pool = params.poolProps
        if pool.allocType != PINNED or pool.handleTypes or pool.location.type != AT_DEVICE:
            raise CudaError(status.INVALID_VALUE)
        device = cuda.handles("CUdevice").objects.get(pool.location.id)
        if device is None:
            raise CudaError(status.INVALID_VALUE)
        made = cls(cuda.part(GraphMemories).of(device), params.bytesize)
        params.dptr = made.block.address
        return made

    def params(self) -> Any:
        """It as a CUDA_MEM_ALLOC_NODE_PARAMS."""
        params = api.types["CUDA_MEM_ALLOC_NODE_PARAMS"]()
        params.poolProps.allocType = PINNED
        params.poolProps.location.type = AT_DEVICE
        params.poolProps.location.id = self.memory.cuda.devices.index(self.memory.device)
        params.bytesize = self.block.size
        params.dptr = self.block.address
        return params

    def run(self) -> None:
        """Allocate it."""
        self.memory.allocate(self.block)


class MemFree(Operation):
    """Free memory that a node has allocated."""

    __slots__ = ("address", "space")

    kind = constants.GRAPH_NODE_TYPE_MEM_FREE

    def __init__(self, cuda: Cuda, address: int) -> None:
        """INVALID_VALUE for "an address that was not returned by an allocation node"."""
        if not cuda.part(GraphMemories).have(address):
            raise CudaError(status.INVALID_VALUE)
        self.address = address
        self.space = cuda.part(Space)

    def enter(self, graph: Graph) -> None:
        """INVALID_VALUE for freeing "an allocation twice in the same graph"."""
        if self.address in graph.freed:
            raise CudaError(status.INVALID_VALUE)
        graph.freed.add(self.address)

    def run(self) -> None:
        """Free it; INVALID_VALUE if it is not there."""
        block = self.space.at(self.address)
        block.owner.free(block)


def capture_allocation(stream: Stream, size: int) -> int:
    """The address of memory that the graph under capture allocates."""
    context = stream.context
    node = MemAlloc(context.cuda.part(GraphMemories).of(context.device), size)
    stream.submit(node)
    return node.block.address


def capture_free(stream: Stream, address: int) -> None:
    """Have the graph under capture free memory."""
    stream.submit(MemFree(stream.context.cuda, address))


@implements("cuDeviceGetGraphMemAttribute", raw=("value",))
def get_attribute(cuda: Cuda, device: Device, attr: int, value: int) -> None:
    if not value:
        raise CudaError(status.INVALID_VALUE)
    memory = cuda.part(GraphMemories).of(device)
    found = {
        USED: memory.used,
        USED_HIGH: memory.used_high,
        RESERVED: memory.reserved,
        RESERVED_HIGH: memory.reserved_high,
    }
    ctypes.c_uint64.from_address(value).value = found[attr]


@implements("cuDeviceSetGraphMemAttribute", raw=("value",))
def set_attribute(cuda: Cuda, device: Device, attr: int, value: int) -> None:
    """Only the high marks can be set, and only to zero."""
    if attr not in (USED_HIGH, RESERVED_HIGH) or not value:
        raise CudaError(status.INVALID_VALUE)
    if ctypes.c_uint64.from_address(value).value:
        raise CudaError(status.INVALID_VALUE)
    cuda.part(GraphMemories).of(device).reset_high(attr)


@implements("cuDeviceGraphMemTrim")
def trim(cuda: Cuda, device: Device) -> None:
    cuda.part(GraphMemories).of(device).trim()
