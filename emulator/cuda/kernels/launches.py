"""The cuLaunch functions."""

from __future__ import annotations

from .. import _constants as constants
from .. import _status as status
from ..library import Cuda, CudaError, api, implements
from ..streams.stream import decode
from .function import function_at
from .launch import Launch, arguments_of, check, check_cluster, check_cooperative

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..streams.stream import Stream

__all__: list[str] = []

MOST_ATTRIBUTES = 64


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


@implements("cuLaunchKernel", raw=("f",), given={"is_cooperative": 0})
@implements("cuLaunchCooperativeKernel", raw=("f",), given={"extra": 0, "is_cooperative": 1})
def launch_kernel(  # noqa: PLR0913, PLR0917  (the C functions' own)
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
    is_cooperative: int,
) -> None:
    grid = grid_dim_x, grid_dim_y, grid_dim_z
    block = block_dim_x, block_dim_y, block_dim_z
    shape = *grid, *block, shared_mem_bytes
    launch = _launch(cuda, f, shape, h_stream, kernel_params, extra)
    if is_cooperative:
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
