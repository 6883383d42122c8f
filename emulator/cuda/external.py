"""Memory and semaphores of other interfaces (Vulkan, Direct3D, NvSci): there are none to import.

What a file descriptor refers to is looked at, since a closed one is a mistake that can be told from
an honest one. The rest is what a driver says to an object that is not of its own making.
"""

from __future__ import annotations

import os

from . import _status as status
from .library import Cuda, CudaError, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__: list[str] = []

MEMORY_FLAGS = 1  # CUDA_EXTERNAL_MEMORY_DEDICATED
# Which kinds are file descriptors; the others are of Windows and of NvSci.
MEMORY_FILES = (1, 9)  # OPAQUE_FD, DMABUF_FD
SEMAPHORE_FILES = (1, 9)  # OPAQUE_FD, TIMELINE_SEMAPHORE_FD


def _refuse_file(descriptor: int) -> None:
    """INVALID_HANDLE to a descriptor that is not open; OPERATING_SYSTEM to what no driver made."""
    try:
        os.fstat(descriptor)
    except OSError:
        raise CudaError(status.INVALID_HANDLE) from None
    raise CudaError(status.OPERATING_SYSTEM)


@implements("cuImportExternalMemory")
def import_memory(cuda: Cuda, mem_handle_desc: Any) -> Any:
    cuda.contexts.current()
    desc = mem_handle_desc
    if not desc.size or desc.flags & ~MEMORY_FLAGS:
        raise CudaError(status.INVALID_VALUE)
    if desc.type in MEMORY_FILES:
        _refuse_file(desc.handle.fd)
    raise CudaError(status.INVALID_VALUE)


@implements("cuImportExternalSemaphore")
def import_semaphore(cuda: Cuda, sem_handle_desc: Any) -> Any:
    cuda.contexts.current()
    if sem_handle_desc.type in SEMAPHORE_FILES:
        _refuse_file(sem_handle_desc.handle.fd)
    raise CudaError(status.NOT_SUPPORTED)


# No handle of either kind exists: the handle's code comes before these are reached.
@implements(
    "cuDestroyExternalMemory",
    "cuDestroyExternalSemaphore",
    "cuExternalMemoryGetMappedBuffer",
    "cuExternalMemoryGetMappedMipmappedArray",
)
def without_handle() -> Any:
    raise CudaError(status.INVALID_HANDLE)


# Of an array of handles that is not empty each is none.
@implements("cuSignalExternalSemaphoresAsync", "cuWaitExternalSemaphoresAsync")
def without_semaphores(num_ext_sems: int) -> None:
    if num_ext_sems:
        raise CudaError(status.INVALID_HANDLE)
