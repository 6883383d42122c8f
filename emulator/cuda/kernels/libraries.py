"""The cuLibrary functions: images that are loaded once for all contexts."""

from __future__ import annotations

from .. import _status as status
from ..library import Cuda, CudaError, implements
from .image import ImageError
from .jit import Options
from .kernel import CodeLibrary
from .modules import is_lazy, read_file, read_image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .kernel import Kernel
    from .module import Module

__all__: list[str] = []

LIBRARY_OPTIONS = 2  # CU_LIBRARY_NUM_OPTIONS

OPTIONS = ("jitOptions", "libraryOptions")
VALUES = ("jitOptionsValues", "libraryOptionValues")


def _load(cuda: Cuda, data: bytes, options: Options) -> CodeLibrary:
    library = CodeLibrary(cuda, data, options)
    options.finish()
    if not is_lazy(cuda):
        for context in cuda.contexts.alive():
            for function in library.module(context).functions.values():
                function.is_loaded = True
    return library


def _check_options(numbers: Any) -> None:
    if any(not 0 <= number < LIBRARY_OPTIONS for number in numbers or ()):
        raise CudaError(status.INVALID_VALUE)


@implements("cuLibraryLoadData", nullable=OPTIONS, raw=VALUES)
def load_data(
    cuda: Cuda, code: int, jit_options: Any, jit_options_values: int, library_options: Any
) -> CodeLibrary:
    _check_options(library_options)
    options = Options(jit_options, jit_options_values)
    try:
        return _load(cuda, read_image(code), options)
    except ImageError as error:
        raise options.refused(cuda, error) from None


@implements("cuLibraryLoadFromFile", nullable=OPTIONS, raw=VALUES)
def load_file(
    cuda: Cuda, file_name: str, jit_options: Any, jit_options_values: int, library_options: Any
) -> CodeLibrary:
    _check_options(library_options)
    options = Options(jit_options, jit_options_values)
    try:
        return _load(cuda, read_file(file_name), options)
    except ImageError as error:
        raise options.refused(cuda, error) from None


@implements("cuLibraryUnload")
def unload(cuda: Cuda, library: CodeLibrary) -> None:
    with cuda.lock:
        library.unload()


@implements("cuLibraryGetKernel")
def get_kernel(library: CodeLibrary, name: str) -> Kernel:
    found = library.kernels.get(name)
    if found is None:
        raise CudaError(status.NOT_FOUND)
    return found


@implements("cuLibraryGetKernelCount")
def kernel_count(lib: CodeLibrary) -> int:
    return len(lib.kernels)


@implements("cuLibraryEnumerateKernels")
def enumerate_kernels(num_kernels: int, lib: CodeLibrary) -> list[Kernel]:
    return list(lib.kernels.values())[:num_kernels]


@implements("cuLibraryGetModule")
def get_module(cuda: Cuda, library: CodeLibrary) -> Module:
    return library.module(cuda.contexts.current())


@implements("cuLibraryGetGlobal", nullable=("dptr", "bytes"))
def get_global(cuda: Cuda, library: CodeLibrary, name: str) -> tuple[int, int]:
    return library.module(cuda.contexts.current()).variable(name)


# Managed variables are one and the same for all contexts; which of the contexts has it is not told.
@implements("cuLibraryGetManaged", nullable=("dptr", "bytes"))
def get_managed(cuda: Cuda, library: CodeLibrary, name: str) -> tuple[int, int]:
    context = next(iter(cuda.contexts.alive()), None)
    if context is None:
        raise CudaError(status.NOT_FOUND)
    module = library.module(context)
    if name not in module.image.variables or not module.image.variables[name].managed:
        raise CudaError(status.NOT_FOUND)
    return module.variable(name)


# Unified function pointers are of systems that share page tables with the CPU; no code has any.
@implements("cuLibraryGetUnifiedFunction")
def get_unified_function(library: CodeLibrary, symbol: str) -> Any:
    raise CudaError(status.NOT_FOUND)
