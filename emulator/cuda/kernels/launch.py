"""A kernel's launch: checked when it is asked for, done in its stream's order.

What a launch does is the scenario's to say, by a Python function over the kernel's buffers
(`work.py`); without one it does nothing.
"""

from __future__ import annotations

import ctypes
from _struct import unpack_from
from ctypes import string_at

from .. import _constants as constants
from .. import _status as status
from ..error import CudaError
from ..streams.operation import Operation
from .function import NON_PORTABLE, function_at
from .work import do

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..library import Cuda
    from ..streams.stream import Stream
    from .function import Function

    Shape = tuple[int, int, int]

__all__ = [
    "LARGEST_CLUSTER",
    "PORTABLE_CLUSTER",
    "Launch",
    "arguments_of",
    "check",
    "check_cluster",
    "check_cooperative",
]

NULL_PAGE = 4096
MOST_EXTRA = 64  # words of an `extra` list, which ends by a zero

#: Blocks of a cluster: what every device with clusters has, and the most of all.
PORTABLE_CLUSTER, LARGEST_CLUSTER = 8, 16


class Launch(Operation):
    """A launch of a kernel with a copy of its arguments.

    Attributes:
        grid, block: in blocks, in threads.
        shared: bytes of dynamic shared memory of a block.
        arguments: the argument buffer, laid out as the kernel's parameters.
        stream: what traces call the stream that it was given to; "" in a graph, and untraced.
        attributes: the launch attributes that it was given, by number.
    """

    __slots__ = (
        *("_pointers", "_words", "arguments", "attributes", "block", "function", "grid", "shared"),
        "stream",
    )

    kind = constants.GRAPH_NODE_TYPE_KERNEL

    def __init__(
        self, function: Function, grid: Shape, block: Shape, shared: int, arguments: bytes
    ) -> None:
        self.function = function
        self.grid = grid
        self.block = block
        self.shared = shared
        self.arguments = arguments
        self.stream = ""
        self.attributes: dict[int, bytes] = {}
        self._words: Any = None
        self._pointers: Any = None

    def run(self) -> None:
        """Do what the scenario has for it."""
        do(self)

    @classmethod
    def from_params(cls, cuda: Cuda, params: Any) -> Launch:
        """The launch that a CUDA_KERNEL_NODE_PARAMS describes, checked.

        Raises:
            CudaError: what cuLaunchKernel answers to the same.
        """
        kernel = getattr(params, "kern", 0)
        function = function_at(cuda, params.func or kernel)
        grid = params.gridDimX, params.gridDimY, params.gridDimZ
        block = params.blockDimX, params.blockDimY, params.blockDimZ
        arguments = arguments_of(function, params.kernelParams, params.extra)
        check(function, grid, block, params.sharedMemBytes)
        return cls(function, grid, block, params.sharedMemBytes, arguments)

    def params(self) -> dict[str, int]:
        """The fields of a CUDA_KERNEL_NODE_PARAMS; its pointers are good as long as this is."""
        cuda = self.function.context.cuda
        if self._words is None:
            self._words = ctypes.create_string_buffer(self.arguments, len(self.arguments) or 1)
            start = ctypes.addressof(self._words)
            places = [start + parameter.offset for parameter in self.function.kernel.parameters]
            self._pointers = (ctypes.c_size_t * (len(places) or 1))(*places)
        axes = "XYZ"
        return {
            "func": cuda.handles("CUfunction").give(self.function),
            **{f"gridDim{axis}": size for axis, size in zip(axes, self.grid)},
            **{f"blockDim{axis}": size for axis, size in zip(axes, self.block)},
            "sharedMemBytes": self.shared,
            "kernelParams": ctypes.addressof(self._pointers) if self.arguments else 0,
            "extra": 0,
            "kern": 0,
            "ctx": 0,
        }

    def submit(self, stream: Stream) -> None:
        """Give it to a stream.

        Raises:
            CudaError: INVALID_HANDLE: the function is of another context than the stream.
        """
        context = self.function.context
        if context is not stream.context:
            raise CudaError(status.INVALID_HANDLE)
        self.function.is_loaded = True
        if context.cuda.observer is not None:
            self.stream = str(stream)
        stream.submit(self)


def arguments_of(function: Function, pointers: int, extra: int) -> bytes:
    """The argument buffer, out of `kernelParams` or `extra` in a client's memory.

    Raises:
        CudaError: INVALID_VALUE: both, none though there are parameters, or a null among them;
            LAUNCH_OUT_OF_RESOURCES: more than the kernel takes.
    """
    if pointers and extra:
        raise CudaError(status.INVALID_VALUE)
    if extra:
        return _from_extra(extra, function.argument_size)
    parameters = function.kernel.parameters
    if not parameters:
        return b""
    if pointers < NULL_PAGE:
        raise CudaError(status.INVALID_VALUE)
    places = (ctypes.c_size_t * len(parameters)).from_address(pointers)
    made = bytearray(function.argument_size)
    for parameter, place in zip(parameters, places):
        if place < NULL_PAGE:
            raise CudaError(status.INVALID_VALUE)
        end = parameter.offset + parameter.size
        made[parameter.offset : end] = string_at(place, parameter.size)
    return bytes(made)


def _from_extra(address: int, expected: int) -> bytes:
    """The buffer of a list of names and values that ends by CU_LAUNCH_PARAM_END."""
    buffer = size = 0
    for place in range(0, MOST_EXTRA, 2):
        name, value = unpack_from("<QQ", string_at(address + 8 * place, 8) + bytes(8))
        if name == constants.LAUNCH_PARAM_END:
            break
        (value,) = unpack_from("<Q", string_at(address + 8 * place + 8, 8))
        if name == constants.LAUNCH_PARAM_BUFFER_POINTER:
            buffer = value
        elif name == constants.LAUNCH_PARAM_BUFFER_SIZE and value >= NULL_PAGE:
            size = ctypes.c_size_t.from_address(value).value
        else:
            raise CudaError(status.INVALID_VALUE)
    if size < expected or (expected and buffer < NULL_PAGE):
        raise CudaError(status.INVALID_VALUE)
    if size > -(-expected // 16) * 16:  # callers round the size up
        raise CudaError(status.LAUNCH_OUT_OF_RESOURCES)
    return string_at(buffer, expected) if expected else b""


def check(function: Function, grid: Shape, block: Shape, shared: int) -> None:
    """Check that a function can be launched so.

    That zero and too large dimensions are INVALID_VALUE, at the call: probed on driver 590.48.01
    by lupinemachines/lupine, issue 439.

    Raises:
        CudaError: INVALID_VALUE: a dimension or a size that device or function do not have;
            LAUNCH_OUT_OF_RESOURCES: more registers than a block has; INVALID_CLUSTER_SIZE.
    """
    kernel = function.kernel
    limits = function.limits
    for size, most in zip(grid + block, limits.shape):
        if not 0 < size <= most:
            raise CudaError(status.INVALID_VALUE)
    threads = block[0] * block[1] * block[2]
    if threads > (kernel.max_threads or limits.threads) or threads > limits.threads:
        raise CudaError(status.INVALID_VALUE)
    if kernel.block not in (None, block) or shared > function.most_dynamic:
        raise CudaError(status.INVALID_VALUE)
    if threads > function.threads_by_registers:
        raise CudaError(status.LAUNCH_OUT_OF_RESOURCES)
    cluster = function.cluster
    if cluster is not None:
        check_cluster(function, grid, cluster)


def check_cluster(function: Function, grid: Shape, cluster: Shape) -> None:
    """Check that a grid can be launched in clusters.

    Raises:
        CudaError: INVALID_CLUSTER_SIZE: it does not divide the grid, is larger than the device or
            the function allows, or is not what the function was compiled for or set to.
    """
    own = function.cluster
    size = cluster[0] * cluster[1] * cluster[2]
    if size == 1 and own is None:
        return
    most = LARGEST_CLUSTER if function.attribute(NON_PORTABLE) else PORTABLE_CLUSTER
    most = min(most, function.kernel.max_cluster or most)
    if (
        not 0 < size <= most
        or not function.context.device.cuda_attribute("CLUSTER_LAUNCH")
        or own not in (None, cluster)
        or any(blocks % each for blocks, each in zip(grid, cluster))
    ):
        raise CudaError(status.INVALID_CLUSTER_SIZE)


def check_cooperative(function: Function, grid: Shape, block: Shape, shared: int) -> None:
    """Check that all blocks of a grid are on the device at once.

    Raises:
        CudaError: NOT_SUPPORTED: no such launches on the device; COOPERATIVE_LAUNCH_TOO_LARGE.
    """
    device = function.context.device
    if not device.cuda_attribute("COOPERATIVE_LAUNCH"):
        raise CudaError(status.NOT_SUPPORTED)
    threads = block[0] * block[1] * block[2]
    fitting = function.blocks(threads, shared)
    fitting *= device.cuda_attribute("MULTIPROCESSOR_COUNT") or 0
    if grid[0] * grid[1] * grid[2] > fitting:
        raise CudaError(status.COOPERATIVE_LAUNCH_TOO_LARGE)
