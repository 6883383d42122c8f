"""The cuKernel functions: kernels of libraries, by device where it matters."""

from __future__ import annotations

from .. import _status as status
from ..library import Cuda, CudaError, implements
from .function import name_address, settable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...machine import Device
    from .function import Function
    from .image import Parameter
    from .kernel import CodeLibrary, Kernel

__all__: list[str] = []


@implements("cuKernelGetFunction")
def get_function(cuda: Cuda, kernel: Kernel) -> Function:
    return kernel.function(cuda.contexts.current())


@implements("cuKernelGetLibrary")
def get_library(kernel: Kernel) -> CodeLibrary:
    return kernel.library


@implements("cuKernelGetName")
def get_name(hfunc: Kernel) -> int:
    return name_address(hfunc)


@implements("cuKernelGetAttribute")
def get_attribute(attrib: int, kernel: Kernel, dev: Device) -> int:
    return kernel.attribute(dev, attrib)


@implements("cuKernelSetAttribute")
def set_attribute(attrib: int, val: int, kernel: Kernel, dev: Device) -> None:
    settable(kernel.description(dev), dev, attrib, val)
    kernel.settings.setdefault(dev, {})[attrib] = val


@implements("cuKernelSetCacheConfig")
def prefer(kernel: Kernel, dev: Device) -> None:
    """A preference, which no function tells again."""
    kernel.description(dev)


def _parameters(kernel: Kernel) -> list[Parameter]:
    """Those of any image: they are the same source for all devices."""
    return list(kernel.any_description().parameters)


@implements("cuKernelGetParamInfo", nullable=("paramSize",))
def get_param_info(kernel: Kernel, param_index: int) -> tuple[int, int]:
    parameters = _parameters(kernel)
    if param_index >= len(parameters):
        raise CudaError(status.INVALID_VALUE)
    return parameters[param_index].offset, parameters[param_index].size


@implements("cuKernelGetParamCount")
def get_param_count(kernel: Kernel) -> int:
    return len(_parameters(kernel))
