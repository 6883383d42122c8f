"""The cuOccupancy functions: what of a kernel fits on a device at once."""

from __future__ import annotations

import ctypes

from .. import _status as status
from .._constants import LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
from ..library import Cuda, CudaError, api, implements
from .function import DYNAMIC, NON_PORTABLE, function_at
from .launch import LARGEST_CLUSTER, PORTABLE_CLUSTER, check_cluster
from .residency import shared_room

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from ...machine import Device
    from .function import Function

__all__: list[str] = []

FLAGS = (0, 1)  # CU_OCCUPANCY_DEFAULT, _DISABLE_CACHING_OVERRIDE

#: `size_t (*)(int blockSize)`: how much dynamic shared memory a block of a size takes.
SIZE_OF_BLOCK = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_int)


def _function(cuda: Cuda, word: int) -> Function:
    cuda.contexts.current()
    return function_at(cuda, word)


@implements("cuOccupancyMaxActiveBlocksPerMultiprocessor", raw=("func",))
def max_active_blocks(cuda: Cuda, func: int, block_size: int, dynamic_smem_size: int) -> int:
    return max_active_blocks_with_flags(cuda, func, block_size, dynamic_smem_size, 0)


@implements("cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags", raw=("func",))
def max_active_blocks_with_flags(
    cuda: Cuda, func: int, block_size: int, dynamic_smem_size: int, flags: int
) -> int:
    function = _function(cuda, func)
    if block_size <= 0 or flags not in FLAGS:
        raise CudaError(status.INVALID_VALUE)
    return function.blocks(block_size, dynamic_smem_size)


@implements("cuOccupancyMaxPotentialBlockSize", raw=("func",))
def max_potential_block_size(
    cuda: Cuda,
    func: int,
    block_size_to_dynamic_smem_size: int,
    dynamic_smem_size: int,
    block_size_limit: int,
) -> tuple[int, int]:
    return max_potential_block_size_with_flags(
        cuda, func, block_size_to_dynamic_smem_size, dynamic_smem_size, block_size_limit, 0
    )


@implements("cuOccupancyMaxPotentialBlockSizeWithFlags", raw=("func",))
def max_potential_block_size_with_flags(
    cuda: Cuda,
    func: int,
    block_size_to_dynamic_smem_size: int,
    dynamic_smem_size: int,
    block_size_limit: int,
    flags: int,
) -> tuple[int, int]:
    """The grid that fills the device, and the block size by which most threads are on it."""
    function = _function(cuda, func)
    if block_size_limit < 0 or flags not in FLAGS:
        raise CudaError(status.INVALID_VALUE)
    size_of: Callable[[int], int] = lambda size: dynamic_smem_size  # noqa: E731
    if block_size_to_dynamic_smem_size:
        size_of = SIZE_OF_BLOCK(block_size_to_dynamic_smem_size)
    device = function.context.device
    most = device.cuda_attribute("MAX_THREADS_PER_BLOCK") or 0
    limit = min(most, function.kernel.max_threads or most, block_size_limit or most)
    best, size, fitting = 0, 0, 0
    for candidate in _candidates(limit, device.cuda_attribute("WARP_SIZE") or 32):
        count = function.blocks(candidate, size_of(candidate))
        if count * candidate > best:
            best, size, fitting = count * candidate, candidate, count
        if best == device.cuda_attribute("MAX_THREADS_PER_MULTIPROCESSOR"):
            break
    return fitting * (device.cuda_attribute("MULTIPROCESSOR_COUNT") or 0), size


def _candidates(limit: int, warp: int) -> list[int]:
    """Block sizes to try, the largest first: the limit itself, then whole warps."""
    whole = range(-(-limit // warp) * warp, 0, -warp)
    return [min(size, limit) for size in whole]


@implements("cuOccupancyAvailableDynamicSMemPerBlock", raw=("func",))
def available_shared_memory(cuda: Cuda, func: int, num_blocks: int, block_size: int) -> int:
    """The most dynamic shared memory by which so many blocks are still on a multiprocessor.

    Not more than the function may have as it is set: an RTX 5050 tells 48896 bytes for a block with
    256 of its own (ROCm/rocm-systems, pull request 899).
    """
    function = _function(cuda, func)
    kernel, device = function.kernel, function.context.device
    if num_blocks <= 0 or block_size <= 0 or function.blocks(block_size, 0) < num_blocks:
        raise CudaError(status.INVALID_VALUE)
    step = shared_room(device, 1) - shared_room(device, 0) or 1
    room = (device.cuda_attribute("MAX_SHARED_MEMORY_PER_MULTIPROCESSOR") or 0) // num_blocks
    reserved = device.cuda_attribute("RESERVED_SHARED_MEMORY_PER_BLOCK") or 0
    free = room // step * step - reserved - kernel.shared
    return max(min(free, function.most_dynamic), 0)


def _config(function: Function, config: Any) -> tuple[tuple[int, int, int], int, int]:
    """The cluster, the threads of a block and the dynamic shared memory of a CUlaunchConfig."""
    cluster = function.cluster or (1, 1, 1)
    if config.numAttrs and config.attrs >= 4096:
        attributes = (api.types["CUlaunchAttribute"] * config.numAttrs).from_address(config.attrs)
        for attribute in attributes:
            if attribute.id == LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
                dim = attribute.value.clusterDim
                cluster = dim.x, dim.y, dim.z
    return cluster, config.blockDimX * config.blockDimY * config.blockDimZ, config.sharedMemBytes


@implements("cuOccupancyMaxActiveClusters", raw=("func",))
def max_active_clusters(cuda: Cuda, func: int, config: Any) -> int:
    """Clusters lie within a group of multiprocessors (GPC); of those nothing is known but that a
    largest cluster fits, so the count is what fits on groups of that many."""
    function, device, (cluster, threads, shared) = _clustered(cuda, func, config)
    size = cluster[0] * cluster[1] * cluster[2]
    check_cluster(function, cluster, cluster)
    if shared > function.attribute(DYNAMIC):
        raise CudaError(status.INVALID_VALUE)
    fitting = function.blocks(threads, shared)
    groups, rest = divmod(device.cuda_attribute("MULTIPROCESSOR_COUNT") or 0, LARGEST_CLUSTER)
    return groups * (LARGEST_CLUSTER * fitting // size) + rest * fitting // size


@implements("cuOccupancyMaxPotentialClusterSize", raw=("func",))
def max_potential_cluster_size(cuda: Cuda, func: int, config: Any) -> int:
    function, _, (_, threads, shared) = _clustered(cuda, func, config)
    if not function.blocks(threads, shared):
        return 0
    most = LARGEST_CLUSTER if function.attribute(NON_PORTABLE) else PORTABLE_CLUSTER
    return min(most, function.kernel.max_cluster or most)


def _clustered(
    cuda: Cuda, word: int, config: Any
) -> tuple[Function, Device, tuple[tuple[int, int, int], int, int]]:
    context = cuda.contexts.current()
    function = function_at(cuda, word)
    if not context.device.cuda_attribute("CLUSTER_LAUNCH"):
        raise CudaError(status.INVALID_CLUSTER_SIZE)
    found = _config(function, config)
    if not found[1]:
        raise CudaError(status.INVALID_VALUE)
    return function, context.device, found
