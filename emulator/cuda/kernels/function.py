"""Functions: a module's kernels, and what programs set of them."""

from __future__ import annotations

import ctypes

from .. import _constants as constants
from .. import _status as status
from ..error import CudaError
from .residency import blocks, shared_limit, threads_by_registers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional, Union

    from ...machine import Device
    from ..contexts.context import Context
    from ..library import Cuda
    from .image import Kernel
    from .kernel import Kernel as CodeKernel
    from .module import Module

__all__ = ["Function", "attribute", "function_at", "name_address", "settable"]

DYNAMIC = constants.FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
CARVEOUT = constants.FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT
MUST_BE_SET = constants.FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET
WIDTH = constants.FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH
HEIGHT = constants.FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT
DEPTH = constants.FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH
NON_PORTABLE = constants.FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED
POLICY = constants.FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE
CLUSTER = (WIDTH, HEIGHT, DEPTH)


class Limits:
    """What a context's device allows a launch: looked up once, as no device changes in that.

    Attributes:
        shape: a grid's axes in blocks, then a block's in threads.
        threads: of a block.
        shared: bytes of shared memory of a block whose function asks for no more.
    """

    __slots__ = ("shape", "shared", "threads")

    def __init__(self, context: Context) -> None:
        def figures(name: str) -> list[int]:
            return [context.device.cuda_attribute(name + axis) or 0 for axis in "XYZ"]

        self.shape = figures("MAX_GRID_DIM_") + figures("MAX_BLOCK_DIM_")
        self.threads = context.device.cuda_attribute("MAX_THREADS_PER_BLOCK") or 0
        self.shared = context.device.cuda_attribute("MAX_SHARED_MEMORY_PER_BLOCK") or 0

    def end(self) -> None:
        """The context ends."""


class Function:
    """A kernel in a context.

    Attributes:
        kernel: what its image says of it.
        settings: the attributes that a program has set.
        is_loaded: whether its code is on the device (lazy loading).
        argument_size: bytes of the buffer that holds all arguments.
        limits: what its device allows.
        old: what the calls before CUDA 4 prepare for its launch (`oldlaunches.py`); None else.
    """

    __slots__ = (
        *("_by_registers", "argument_size", "context", "is_loaded", "kernel"),
        *("limits", "module", "name", "old", "settings", "text"),
    )

    def __init__(self, module: Module, kernel: Kernel) -> None:
        self.module = module
        self.context: Context = module.context
        self.limits = module.context.part(Limits)
        self.kernel = kernel
        self.argument_size = kernel.argument_size
        self._by_registers = 0
        self.name = kernel.name
        self.settings: dict[int, int] = {}
        self.is_loaded = False
        self.old: Any = None
        self.text: Any = None

    def __str__(self) -> str:
        return f"kernel {self.name}"

    @property
    def threads_by_registers(self) -> int:
        """The most threads of a block that the registers suffice for."""
        if not self._by_registers:
            self._by_registers = threads_by_registers(self.context.device, self.kernel)
        return self._by_registers

    @property
    def most_dynamic(self) -> int:
        """The most bytes of dynamic shared memory that a block may have."""
        if DYNAMIC in self.settings:
            return self.settings[DYNAMIC]
        return max(self.limits.shared - self.kernel.shared, 0)

    @property
    def cluster(self) -> Optional[tuple[int, int, int]]:
        """The only cluster shape that it may be launched with; None for any.

        That what is set is checked when it is launched, the driver API reference says.
        """
        if self.kernel.cluster is not None or not self.settings:
            return self.kernel.cluster
        x, y, z = (self.settings.get(number, 0) for number in CLUSTER)
        return (x, y, z) if x or y or z else None

    def blocks(self, threads: int, dynamic: int) -> int:
        """The blocks of it that are on a multiprocessor at once; 0 where one cannot be launched.

        Shared memory that was not asked for by CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        counts as too much: cuda_occupancy.h, and what NVIDIA/cutlass, pull request 532, had to do.
        """
        if dynamic > self.most_dynamic:
            return 0
        return blocks(self.context.device, self.kernel, threads, dynamic)

    def attribute(self, number: int) -> int:
        """A CUfunction_attribute."""
        return attribute(self.kernel, self.context.device, self.settings, number)


def name_address(named: Union[Function, CodeKernel]) -> int:
    """Where the name of a function or of a library's kernel is, as long as the process lives."""
    if named.text is None:
        named.text = ctypes.create_string_buffer(named.name.encode())
    return ctypes.addressof(named.text)


READ: dict[int, Callable[[Kernel, Device], int]] = {
    constants.FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: lambda kernel, device: min(
        kernel.max_threads or 1 << 30, threads_by_registers(device, kernel)
    ),
    constants.FUNC_ATTRIBUTE_SHARED_SIZE_BYTES: lambda kernel, device: kernel.shared,
    constants.FUNC_ATTRIBUTE_CONST_SIZE_BYTES: lambda kernel, device: kernel.constant,
    constants.FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES: lambda kernel, device: kernel.local,
    constants.FUNC_ATTRIBUTE_NUM_REGS: lambda kernel, device: kernel.registers,
    constants.FUNC_ATTRIBUTE_PTX_VERSION: lambda kernel, device: kernel.ptx_version,
    constants.FUNC_ATTRIBUTE_BINARY_VERSION: lambda kernel, device: kernel.binary_version,
    constants.FUNC_ATTRIBUTE_CACHE_MODE_CA: lambda kernel, device: 0,
    DYNAMIC: lambda kernel, device: max(
        (device.cuda_attribute("MAX_SHARED_MEMORY_PER_BLOCK") or 0) - kernel.shared, 0
    ),
    CARVEOUT: lambda kernel, device: -1,
    MUST_BE_SET: lambda kernel, device: int(kernel.cluster is not None),
    **{
        number: lambda kernel, device, axis=axis: (kernel.cluster or (0, 0, 0))[axis]  # type: ignore[misc]
        for axis, number in enumerate(CLUSTER)
    },
    NON_PORTABLE: lambda kernel, device: 0,
    POLICY: lambda kernel, device: 0,
    constants.FUNC_ATTRIBUTE_DEVICE_NODE_UPDATE_SUPPORTED: lambda kernel, device: 0,
    constants.FUNC_ATTRIBUTE_SHARED_MEMORY_MODE: lambda kernel, device: 0,
}

#: The attributes that can be set, and between which values; None: what the device has.
BOUNDS = {
    DYNAMIC: None,
    CARVEOUT: (-1, 100),
    WIDTH: (0, (1 << 31) - 1),
    HEIGHT: (0, (1 << 31) - 1),
    DEPTH: (0, (1 << 31) - 1),
    NON_PORTABLE: (0, 1),
    POLICY: (0, 2),
}


def attribute(kernel: Kernel, device: Device, settings: dict[int, int], number: int) -> int:
    """An attribute of a kernel on a device, as it is set or by itself.

    Raises:
        CudaError: INVALID_VALUE: there is no such attribute.
    """
    if number in settings:
        return settings[number]
    read = READ.get(number)
    if read is None:
        raise CudaError(status.INVALID_VALUE)
    return read(kernel, device)


def settable(kernel: Kernel, device: Device, number: int, value: int) -> None:
    """Check that an attribute may be set to a value.

    Raises:
        CudaError: INVALID_VALUE: not this value, or it cannot be set at all; NOT_PERMITTED: the
            kernel was compiled for another cluster.
    """
    if number not in BOUNDS:
        raise CudaError(status.INVALID_VALUE)
    if number in CLUSTER and kernel.cluster is not None:
        raise CudaError(status.NOT_PERMITTED)
    bounds = BOUNDS[number] or (0, shared_limit(device) - kernel.shared)
    if not bounds[0] <= value <= bounds[1]:
        raise CudaError(status.INVALID_VALUE)


def function_at(cuda: Cuda, word: int) -> Function:
    """The function of a handle, which may be a CUkernel's: its function in the current context.

    Raises:
        CudaError: INVALID_HANDLE: it is neither; what `Contexts.current` raises.
    """
    found = cuda.handles("CUfunction").objects.get(word)
    if found is not None:
        return found  # type: ignore[no-any-return]
    kernel = cuda.handles("CUkernel").objects.get(word)
    if kernel is None:
        raise CudaError(status.INVALID_HANDLE)
    return kernel.function(cuda.contexts.current())  # type: ignore[no-any-return]
