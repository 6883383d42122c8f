"""What a context is told about its resources: limits, cache and shared memory configuration.

Sources: NVIDIA's driver API reference, "Context Management" (which limits there are, on what); the
CUDA programming guide (512 KB of local memory a thread; no L2 cache set aside under MIG). That a
stack takes its size times the threads that a device can hold, out of the device's memory, is
measured in NVlabs/cuda-oxide, pull request 699. Defaults: `cudaDeviceGetLimit` in public reports.
"""

from __future__ import annotations

from .. import _constants as constants
from .. import _status as status
from ..library import Cuda, CudaError, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .context import Context

__all__ = ["Settings"]

DEFAULTS = {
    constants.LIMIT_STACK_SIZE: 1 << 10,
    constants.LIMIT_PRINTF_FIFO_SIZE: 1 << 20,
    constants.LIMIT_MALLOC_HEAP_SIZE: 8 << 20,
    constants.LIMIT_DEV_RUNTIME_SYNC_DEPTH: 2,
    constants.LIMIT_DEV_RUNTIME_PENDING_LAUNCH_COUNT: 2048,
    constants.LIMIT_MAX_L2_FETCH_GRANULARITY: 64,
    constants.LIMIT_PERSISTING_L2_CACHE_SIZE: 0,
}

# Limits of graphics contexts (CIG), which Linux does not have.
GRAPHICS = (
    constants.LIMIT_SHMEM_SIZE,
    constants.LIMIT_CIG_ENABLED,
    constants.LIMIT_CIG_SHMEM_FALLBACK_ENABLED,
)

LARGEST_STACK = 512 << 10  # bytes of local memory a thread
DEEPEST = 24  # of nested launches that may be waited for
LARGEST_FETCH = 128  # bytes

FOUR_BYTE_BANKS = constants.SHARED_MEM_CONFIG_FOUR_BYTE_BANK_SIZE


class Settings:
    """The settings of a context."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.limits = dict(DEFAULTS)
        self.cache = constants.FUNC_CACHE_PREFER_NONE
        self._stack = 0  # bytes of device memory that the stacks take beyond the context's own

    def check(self, limit: int) -> None:
        """UNSUPPORTED_LIMIT for one that the device does not have, INVALID_VALUE for no limit."""
        if limit not in self.limits:
            known = limit in GRAPHICS
            raise CudaError(status.UNSUPPORTED_LIMIT if known else status.INVALID_VALUE)
        device = self.context.device
        if limit == constants.LIMIT_DEV_RUNTIME_SYNC_DEPTH and device.compute_capability >= (9, 0):
            raise CudaError(status.UNSUPPORTED_LIMIT)
        if limit == constants.LIMIT_PERSISTING_L2_CACHE_SIZE and not self.persisting:
            raise CudaError(status.UNSUPPORTED_LIMIT)

    @property
    def persisting(self) -> int:
        """Bytes of L2 cache that can be set aside at most."""
        return self.context.device.cuda_attribute("MAX_PERSISTING_L2_CACHE_SIZE") or 0

    def set(self, limit: int, value: int) -> None:
        """Change a limit, within what the device can do."""
        self.check(limit)
        if limit == constants.LIMIT_STACK_SIZE:
            self._set_stack(value)
        most = {
            constants.LIMIT_DEV_RUNTIME_SYNC_DEPTH: DEEPEST,
            constants.LIMIT_MAX_L2_FETCH_GRANULARITY: LARGEST_FETCH,
            constants.LIMIT_PERSISTING_L2_CACHE_SIZE: self.persisting,
        }
        self.limits[limit] = min(value, most.get(limit, value))

    def _set_stack(self, size: int) -> None:
        if size > LARGEST_STACK:
            raise CudaError(status.INVALID_VALUE)
        device, ledger = self.context.device, self.context.cuda.machine.ledger
        threads = device.cuda_attribute("MAX_THREADS_PER_MULTIPROCESSOR") or 0
        more = max(size - DEFAULTS[constants.LIMIT_STACK_SIZE], 0)
        needed = more * threads * device.processor.multiprocessors
        with self.context.cuda.lock:
            if needed > self._stack and not ledger.take(device, needed - self._stack):
                raise CudaError(status.OUT_OF_MEMORY)
            if needed < self._stack:
                ledger.give(device, self._stack - needed)
            self._stack = needed

    def end(self) -> None:
        """Give the stacks' memory back."""
        self.context.cuda.machine.ledger.give(self.context.device, self._stack)
        self._stack = 0


def settings(cuda: Cuda) -> Settings:
    """The current context's."""
    return cuda.contexts.current().part(Settings)


@implements("cuCtxGetLimit")
def get_limit(cuda: Cuda, limit: int) -> int:
    found = settings(cuda)
    found.check(limit)
    return found.limits[limit]


@implements("cuCtxSetLimit")
def set_limit(cuda: Cuda, limit: int, value: int) -> None:
    settings(cuda).set(limit, value)


@implements("cuCtxGetCacheConfig")
def get_cache_config(cuda: Cuda) -> int:
    return settings(cuda).cache


@implements("cuCtxSetCacheConfig")
def set_cache_config(cuda: Cuda, config: int) -> None:
    settings(cuda).cache = config


# Since compute capability 5.0 banks are four bytes wide, whatever is asked for.
@implements("cuCtxGetSharedMemConfig")
def get_shared_memory_config(cuda: Cuda) -> int:
    cuda.contexts.current()
    return FOUR_BYTE_BANKS


@implements("cuCtxSetSharedMemConfig")
def set_shared_memory_config(cuda: Cuda, config: int) -> None:
    cuda.contexts.current()


@implements("cuCtxResetPersistingL2Cache")
def reset_persisting_cache(cuda: Cuda) -> None:
    if not settings(cuda).persisting:
        raise CudaError(status.NOT_SUPPORTED)


@implements("cuFlushGPUDirectRDMAWrites")
def flush_rdma_writes(cuda: Cuda, target: int, scope: int) -> None:
    """Nothing outside writes to emulated memory, so nothing is on its way."""
    device = cuda.contexts.current().device
    options = device.cuda_attribute("GPU_DIRECT_RDMA_FLUSH_WRITES_OPTIONS") or 0
    if not options & constants.FLUSH_GPU_DIRECT_RDMA_WRITES_OPTION_HOST:
        raise CudaError(status.NOT_SUPPORTED)
