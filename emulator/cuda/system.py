"""Initialisation and version of the CUDA driver, and its private tables."""

from __future__ import annotations

import ctypes

from . import _status as status
from .library import Cuda, CudaError, implements

__all__: list[str] = []


# The flags are looked at before anything else, in a forked child too (observed on 470 to 555).
@implements("cuInit", anytime=True)
def init(cuda: Cuda, flags: int) -> None:
    if flags:
        raise CudaError(status.INVALID_VALUE)
    cuda.init()


@implements("cuDriverGetVersion", anytime=True)
def driver_version(cuda: Cuda) -> int:
    return cuda.machine.cuda_version


@implements("cuGetExportTable", anytime=True, raw=("ppExportTable",))
def export_table(pp_export_table: int) -> None:
    """Private tables are undocumented and part of how NVIDIA's own libraries know the driver.

    None is emulated: each is answered as the real driver answers for an id that it does not
    know, a null pointer and INVALID_VALUE, with or without cuInit.
    """
    if pp_export_table:
        ctypes.c_void_p.from_address(pp_export_table).value = None
    raise CudaError(status.INVALID_VALUE)
