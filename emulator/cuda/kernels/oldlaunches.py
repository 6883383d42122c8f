"""The functions of CUDA 3, by which a launch is prepared piece by piece and is the function's."""

from __future__ import annotations

from _struct import pack
from ctypes import string_at

from .. import _constants as constants
from .. import _status as status
from ..library import Cuda, CudaError, implements
from ..streams.stream import default
from .launch import Launch, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..arrays.texref import TextureReference
    from ..streams.stream import Stream
    from .function import Function

__all__: list[str] = []

LARGEST_ARGUMENTS = 4096


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
    if numbytes > LARGEST_ARGUMENTS:
        raise CudaError(status.INVALID_VALUE)
    _prepared(cuda, hfunc).size = numbytes


def _set(cuda: Cuda, function: Function, offset: int, data: bytes) -> None:
    end = offset + len(data)
    if offset < 0 or end > LARGEST_ARGUMENTS:
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
    if ptr < 4096 or numbytes > LARGEST_ARGUMENTS:
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
