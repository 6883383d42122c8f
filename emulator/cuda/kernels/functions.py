"""The cuFunc functions: what a kernel is like, and how it is to run."""

from __future__ import annotations

from .. import _status as status
from ..library import Cuda, CudaError, implements
from .function import name_address, settable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .function import Function
    from .module import Module

__all__: list[str] = []


@implements("cuFuncGetAttribute")
def get_attribute(cuda: Cuda, attrib: int, hfunc: Function) -> int:
    _check(cuda, hfunc)
    if not hfunc.is_loaded:
        raise CudaError(status.FUNCTION_NOT_LOADED)
    return hfunc.attribute(attrib)


@implements("cuFuncSetAttribute")
def set_attribute(cuda: Cuda, hfunc: Function, attrib: int, value: int) -> None:
    _check(cuda, hfunc)
    settable(hfunc.kernel, hfunc.context.device, attrib, value)
    hfunc.settings[attrib] = value


def _check(cuda: Cuda, function: Function) -> None:
    cuda.contexts.current()
    function.context.check()


@implements("cuFuncGetModule")
def get_module(cuda: Cuda, hfunc: Function) -> Module:
    _check(cuda, hfunc)
    return hfunc.module


@implements("cuFuncGetName")
def get_name(hfunc: Function) -> int:
    return name_address(hfunc)


@implements("cuFuncGetParamInfo", nullable=("paramSize",))
def get_param_info(func: Function, param_index: int) -> tuple[int, int]:
    parameters = func.kernel.parameters
    if param_index >= len(parameters):
        raise CudaError(status.INVALID_VALUE)
    return parameters[param_index].offset, parameters[param_index].size


@implements("cuFuncGetParamCount")
def get_param_count(func: Function) -> int:
    return len(func.kernel.parameters)


@implements("cuFuncLoad")
def load(function: Function) -> None:
    function.context.check()
    function.is_loaded = True


@implements("cuFuncIsLoaded")
def is_loaded(function: Function) -> int:
    return int(function.is_loaded)


@implements("cuFuncSetCacheConfig", "cuFuncSetSharedMemConfig")
def prefer(cuda: Cuda, hfunc: Function) -> None:
    """Preferences, which no function tells again."""
    _check(cuda, hfunc)
