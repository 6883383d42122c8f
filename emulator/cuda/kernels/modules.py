"""The cuModule functions: loading images into the current context, finding what they hold."""

from __future__ import annotations

from ctypes import string_at

from .. import _constants as constants
from .. import _status as status
from ..devices.visible import environment
from ..library import Cuda, CudaError, implements
from ..memory import mapping
from .image import Image, ImageError, fetch, load
from .jit import Options
from .module import Module, Modules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ..arrays.texref import SurfaceReference, TextureReference
    from ..contexts.context import Context
    from .function import Function

__all__ = ["is_lazy", "read_client", "read_file", "read_image"]

WORD = 0xFFFFFFFF  # the largest device pointer of CUDA before 3.2

#: The CUDA version from which on modules are loaded lazily (the programming guide, "Lazy Loading").
LAZY_FROM = 12020


def is_lazy(cuda: Cuda) -> bool:
    """Whether kernels are loaded when they are first asked for."""
    said = environment("CUDA_MODULE_LOADING")
    if said in ("LAZY", "EAGER"):
        return said == "LAZY"
    return cuda.machine.cuda_version >= LAZY_FROM


def read_client(address: int, size: int) -> Optional[bytes]:
    """Bytes of a client's memory; None where there is none."""
    return string_at(address, size) if mapping.readable(address, size) else None


def read_image(address: int) -> bytes:
    """The image at an address of the client; ImageError."""
    if not address:
        raise CudaError(status.INVALID_VALUE)
    return fetch(read_client, address)


def read_file(path: str) -> bytes:
    """The bytes of a file.

    Raises:
        CudaError: FILE_NOT_FOUND: it cannot be read.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except (OSError, ValueError):  # ValueError: what is no path
        raise CudaError(status.FILE_NOT_FOUND) from None


def _load(cuda: Cuda, data: bytes, options: Options) -> Module:
    context = cuda.contexts.current()
    image = load(data, options.target(cuda, context.device))
    return _place(context, image, options)


def _place(context: Context, image: Image, options: Options) -> Module:
    with context.cuda.lock:
        module = context.part(Modules).load(image)
    if not is_lazy(context.cuda):
        for function in module.functions.values():
            function.is_loaded = True
    options.finish()
    return module


@implements("cuModuleLoadData")
def load_data(cuda: Cuda, image: int) -> Module:
    return load_data_with_options(cuda, image, None, 0)


@implements("cuModuleLoadDataEx", nullable=("options",), raw=("optionValues",))
def load_data_with_options(cuda: Cuda, image: int, options: Any, option_values: int) -> Module:
    cuda.contexts.current()
    chosen = Options(options, option_values)
    try:
        return _load(cuda, read_image(image), chosen)
    except ImageError as error:
        raise chosen.refused(cuda, error) from None


@implements("cuModuleLoadFatBinary")
def load_fat_binary(cuda: Cuda, fat_cubin: int) -> Module:
    return load_data_with_options(cuda, fat_cubin, None, 0)


@implements("cuModuleLoad")
def load_file(cuda: Cuda, fname: str) -> Module:
    cuda.contexts.current()
    chosen = Options(None, 0)
    try:
        return _load(cuda, read_file(fname), chosen)
    except ImageError as error:
        raise chosen.refused(cuda, error) from None


# A library's module is the library's to unload (the driver API reference, cuModuleUnload).
@implements("cuModuleUnload")
def unload(cuda: Cuda, hmod: Module) -> None:
    _check(cuda, hmod)
    if hmod.library is not None:
        raise CudaError(status.NOT_PERMITTED)
    with cuda.lock:
        hmod.context.part(Modules).unload(hmod)


def _check(cuda: Cuda, module: Module) -> None:
    """Modules are used while a context is current, not necessarily their own."""
    cuda.contexts.current()
    module.context.check()


@implements("cuModuleGetFunction")
def get_function(cuda: Cuda, hmod: Module, name: str) -> Function:
    _check(cuda, hmod)
    return hmod.function(name)


@implements("cuModuleGetGlobal_v2", nullable=("dptr", "bytes"))
def get_global(cuda: Cuda, hmod: Module, name: str) -> tuple[int, int]:
    _check(cuda, hmod)
    return hmod.variable(name)


@implements("cuModuleGetGlobal", nullable=("dptr", "bytes"))
def get_global_32(cuda: Cuda, hmod: Module, name: str) -> tuple[int, int]:
    """The form of CUDA 2: contexts that cuCtxCreate of that age made have such addresses."""
    address, size = get_global(cuda, hmod, name)
    if address > WORD:
        raise CudaError(status.INVALID_VALUE)
    return address, size


@implements("cuModuleGetTexRef")
def get_texture_reference(cuda: Cuda, hmod: Module, name: str) -> TextureReference:
    _check(cuda, hmod)
    if name not in hmod.textures:
        raise CudaError(status.NOT_FOUND)
    return hmod.textures[name]


@implements("cuModuleGetSurfRef")
def get_surface_reference(cuda: Cuda, hmod: Module, name: str) -> SurfaceReference:
    _check(cuda, hmod)
    if name not in hmod.surfaces:
        raise CudaError(status.NOT_FOUND)
    return hmod.surfaces[name]


@implements("cuModuleGetFunctionCount")
def function_count(mod: Module) -> int:
    mod.context.check()
    return len(mod.functions)


@implements("cuModuleEnumerateFunctions")
def enumerate_functions(mod: Module, num_functions: int) -> list[Function]:
    mod.context.check()
    return list(mod.functions.values())[:num_functions]


@implements("cuModuleGetLoadingMode")
def loading_mode(cuda: Cuda) -> int:
    return constants.MODULE_LAZY_LOADING if is_lazy(cuda) else constants.MODULE_EAGER_LOADING
