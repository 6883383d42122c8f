"""The cuLaunch functions, and those of CUDA 3 that prepare a launch piece by piece."""

from __future__ import annotations

from _struct import pack
from ctypes import string_at

from .. import _constants as constants
from .. import _status as status
from ..library import Cuda, CudaError, api, implements
from ..streams.stream import decode, default
from .function import function_at
from .launch import Launch, arguments_of, check, check_cluster, check_cooperative

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..arrays.texref import TextureReference
    from ..streams.stream import Stream
    from .function import Function

__all__: list[str] = []

MOST_ATTRIBUTES = 64
LARGEST_OLD_ARGUMENTS = 4096


def _launch(
    cuda: Cuda, f: int, shape: tuple[int, ...], h_stream: Stream, kernel_params: int, extra: int
) -> Launch:
    """A checked launch; `shape` is that of grid and block, and the dynamic shared memory."""
    function = function_at(cuda, f)
    if function.context is not h_stream.context:
        raise CudaError(status.INVALID_HANDLE)
    function.context.check()
    grid, block, shared = shape[:3], shape[3:6], shape[6]
    check(function, grid, block, shared)  # type: ignore[arg-type]
    arguments = arguments_of(function, kernel_params, extra)
    return Launch(function, grid, block, shared, arguments)  # type: ignore[arg-type]


@implements("cuLaunchKernel", raw=("f",))
def launch_kernel(  # noqa: PLR0913, PLR0917  (the C function's own)
    cuda: Cuda,
    f: int,
    grid_dim_x: int,
    grid_dim_y: int,
    grid_dim_z: int,
    block_dim_x: int,
    block_dim_y: int,
    block_dim_z: int,
    shared_mem_bytes: int,
    h_stream: Stream,
    kernel_params: int,
    extra: int,
) -> None:
    grid = grid_dim_x, grid_dim_y, grid_dim_z
    block = block_dim_x, block_dim_y, block_dim_z
    shape = *grid, *block, shared_mem_bytes
    _launch(cuda, f, shape, h_stream, kernel_params, extra).submit(h_stream)


@implements("cuLaunchCooperativeKernel", raw=("f",))
def launch_cooperative(  # noqa: PLR0913, PLR0917  (the C function's own)
    cuda: Cuda,
    f: int,
    grid_dim_x: int,
    grid_dim_y: int,
    grid_dim_z: int,
    block_dim_x: int,
    block_dim_y: int,
    block_dim_z: int,
    shared_mem_bytes: int,
    h_stream: Stream,
    kernel_params: int,
) -> None:
    grid = grid_dim_x, grid_dim_y, grid_dim_z
    block = block_dim_x, block_dim_y, block_dim_z
    shape = *grid, *block, shared_mem_bytes
    launch = _launch(cuda, f, shape, h_stream, kernel_params, 0)
    check_cooperative(launch.function, grid, block, shared_mem_bytes)
    launch.submit(h_stream)


def _shape(struct: Any) -> tuple[int, ...]:
    """Grid, block and dynamic shared memory, as all structs of launches call them."""
    grid = struct.gridDimX, struct.gridDimY, struct.gridDimZ
    return (*grid, struct.blockDimX, struct.blockDimY, struct.blockDimZ, struct.sharedMemBytes)


@implements("cuLaunchKernelEx", raw=("f", "config"))
def launch_kernel_ex(
    cuda: Cuda, config: int, f: int, kernel_params: int, extra: int, per_thread: bool
) -> None:
    if config < 4096:
        raise CudaError(status.INVALID_VALUE)
    struct = api.types["CUlaunchConfig"].from_address(config)
    stream = decode(cuda, struct.hStream, per_thread)
    launch = _launch(cuda, f, _shape(struct), stream, kernel_params, extra)
    _take_attributes(launch, struct)
    launch.submit(stream)


def _take_attributes(launch: Launch, config: Any) -> None:
    """Check a launch's attributes and keep them.

    Raises:
        CudaError: INVALID_VALUE: one that no header has; what clusters and cooperation answer.
    """
    count = config.numAttrs
    if count > MOST_ATTRIBUTES or (count and config.attrs < 4096):
        raise CudaError(status.INVALID_VALUE)
    kind = api.types["CUlaunchAttribute"]
    known = api.types.members("CUlaunchAttributeID").values()
    for attribute in (kind * count).from_address(config.attrs) if count else ():
        if attribute.id not in known:
            raise CudaError(status.INVALID_VALUE)
        if attribute.id == constants.LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
            cluster = attribute.value.clusterDim
            check_cluster(launch.function, launch.grid, (cluster.x, cluster.y, cluster.z))
        elif attribute.id == constants.LAUNCH_ATTRIBUTE_COOPERATIVE and attribute.value.cooperative:
            check_cooperative(launch.function, launch.grid, launch.block, launch.shared)
        launch.attributes[attribute.id] = bytes(attribute.value)


# Deprecated, and not in CUDA 13: each device's launch is one of its own here, as nothing that a
# kernel does spans devices.
@implements("cuLaunchCooperativeKernelMultiDevice")
def launch_on_many(cuda: Cuda, launch_params_list: Any, num_devices: int) -> None:
    launches = []
    for params in launch_params_list:
        stream = cuda.handles("CUstream").objects.get(params.hStream)
        if stream is None:  # default streams are not allowed (the reference's words)
            raise CudaError(status.INVALID_VALUE)
        launch = _launch(cuda, params.function, _shape(params), stream, params.kernelParams, 0)
        check_cooperative(launch.function, launch.grid, launch.block, launch.shared)
        launches.append((launch, stream))
    devices = [launch.function.context.device for launch, _ in launches]
    if len(set(map(id, devices))) != num_devices:
        raise CudaError(status.INVALID_VALUE)
    for launch, stream in launches:
        launch.submit(stream)


# ---- before CUDA 4: shape, size and arguments are the function's


class Prepared:
    """What the old functions have said of a function's next launch."""

    __slots__ = ("arguments", "block", "shared", "size")

    def __init__(self) -> None:
        self.block = (1, 1, 1)
        self.shared = 0
        self.size = 0
        self.arguments = bytearray()


def _prepared(cuda: Cuda, function: Function) -> Prepared:
    cuda.contexts.current()
    if function.old is None:
        function.old = Prepared()
    return function.old  # type: ignore[no-any-return]


@implements("cuFuncSetBlockShape")
def set_block_shape(cuda: Cuda, hfunc: Function, x: int, y: int, z: int) -> None:
    if min(x, y, z) < 1:
        raise CudaError(status.INVALID_VALUE)
    check(hfunc, (1, 1, 1), (x, y, z), 0)
    _prepared(cuda, hfunc).block = (x, y, z)


@implements("cuFuncSetSharedSize")
def set_shared_size(cuda: Cuda, hfunc: Function, bytes: int) -> None:  # noqa: A002  (the C name)
    check(hfunc, (1, 1, 1), (1, 1, 1), bytes)
    _prepared(cuda, hfunc).shared = bytes


@implements("cuParamSetSize")
def set_param_size(cuda: Cuda, hfunc: Function, numbytes: int) -> None:
    if numbytes > LARGEST_OLD_ARGUMENTS:
        raise CudaError(status.INVALID_VALUE)
    _prepared(cuda, hfunc).size = numbytes


def _set(cuda: Cuda, function: Function, offset: int, data: bytes) -> None:
    end = offset + len(data)
    if offset < 0 or end > LARGEST_OLD_ARGUMENTS:
        raise CudaError(status.INVALID_VALUE)
    arguments = _prepared(cuda, function).arguments
    arguments.extend(bytes(max(end - len(arguments), 0)))
    arguments[offset:end] = data


@implements("cuParamSeti")
def set_integer(cuda: Cuda, hfunc: Function, offset: int, value: int) -> None:
    _set(cuda, hfunc, offset, pack("<I", value))


@implements("cuParamSetf")
def set_float(cuda: Cuda, hfunc: Function, offset: int, value: float) -> None:
    _set(cuda, hfunc, offset, pack("<f", value))


@implements("cuParamSetv")
def set_bytes(cuda: Cuda, hfunc: Function, offset: int, ptr: int, numbytes: int) -> None:
    if ptr < 4096 or numbytes > LARGEST_OLD_ARGUMENTS:
        raise CudaError(status.INVALID_VALUE)
    _set(cuda, hfunc, offset, string_at(ptr, numbytes))


# Units other than the reference's own are not supported (the reference's words).
@implements("cuParamSetTexRef")
def set_texture(cuda: Cuda, hfunc: Function, texunit: int, h_tex_ref: TextureReference) -> None:
    _prepared(cuda, hfunc)
    if texunit != constants.PARAM_TR_DEFAULT:
        raise CudaError(status.INVALID_VALUE)


def _launch_prepared(cuda: Cuda, function: Function, grid: tuple[int, int], to: Stream) -> None:
    if min(grid) < 1:
        raise CudaError(status.INVALID_VALUE)
    prepared = _prepared(cuda, function)
    shape = *grid, 1
    check(function, shape, prepared.block, prepared.shared)
    expected = function.kernel.argument_size
    if prepared.size < expected:
        raise CudaError(status.INVALID_VALUE)
    arguments = bytes(prepared.arguments[:expected]).ljust(expected, b"\0")
    Launch(function, shape, prepared.block, prepared.shared, arguments).submit(to)


@implements("cuLaunch")
def launch_one(cuda: Cuda, f: Function) -> None:
    _launch_prepared(cuda, f, (1, 1), default(cuda, False))


@implements("cuLaunchGrid")
def launch_grid(cuda: Cuda, f: Function, grid_width: int, grid_height: int) -> None:
    _launch_prepared(cuda, f, (grid_width, grid_height), default(cuda, False))


@implements("cuLaunchGridAsync")
def launch_grid_async(
    cuda: Cuda, f: Function, grid_width: int, grid_height: int, h_stream: Stream
) -> None:
    _launch_prepared(cuda, f, (grid_width, grid_height), h_stream)
