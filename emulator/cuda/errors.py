"""What CUresult codes are called and what they mean."""

from __future__ import annotations

import ctypes

from ..api import NULL_PAGE
from . import _errors
from . import _status as status
from .library import Cuda, CudaError, api, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

__all__: list[str] = []

_buffers: dict[str, Any] = {}  # clients keep the pointers and never free them


@implements("cuGetErrorName", anytime=True, raw=("error", "pStr"))
def error_name(cuda: Cuda, error: int, p_str: int) -> None:
    _answer(p_str, _name(error) if _is_known(cuda, error) else None)


@implements("cuGetErrorString", anytime=True, raw=("error", "pStr"))
def error_string(cuda: Cuda, error: int, p_str: int) -> None:
    _answer(p_str, _errors.TEXTS[error] if _is_known(cuda, error) else None)


def _is_known(cuda: Cuda, code: int) -> bool:
    """Which codes a driver knows is a matter of its version."""
    lacking = _errors.LACKING.get(cuda.machine.driver, ())
    return code in _errors.TEXTS and code not in lacking


def _name(code: int) -> str:
    names = api.types.members("CUresult")
    return next(name for name, value in names.items() if value == code)


def _answer(address: int, text: Optional[str]) -> None:
    """Write where the text is; for a code without one NULL, and INVALID_VALUE is returned."""
    if address < NULL_PAGE:  # here the real library crashes
        raise CudaError(status.INVALID_VALUE)
    pointer = ctypes.c_void_p.from_address(address)
    if text is None:
        pointer.value = None
        raise CudaError(status.INVALID_VALUE)
    if text not in _buffers:
        _buffers[text] = ctypes.create_string_buffer(text.encode())
    pointer.value = ctypes.addressof(_buffers[text])
