"""cuGetProcAddress: from a base name, a CUDA version and flags to a function of this cuda.

One rule, the same in all recorded drivers (see stubs/generate/procaddress.py, which checks it
against the real ones): a base name such as `cuMemAlloc` has a list of symbols, each from some
CUDA version on; the newest answers that this driver exports and the caller's version reaches.
With flag 2 (per-thread default stream) the list is that of the `_ptds` and `_ptsz` variants,
where the name has any. Versioned names (`cuMemAlloc_v2`) are not known.

The old form says NOT_FOUND and leaves the pointer alone. The new one succeeds, writes NULL and a
status: not found, or found only for newer versions.
"""

from __future__ import annotations

from . import _procaddress
from . import _status as status
from .library import Cuda, CudaError, api, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

__all__: list[str] = []

PER_THREAD = 2
FLAGS = 3  # 3 is as 2
NEWEST = 0xFFFFFFFF


@implements("cuGetProcAddress", anytime=True)
def proc_address(cuda: Cuda, symbol: str, cuda_version: int, flags: int) -> int:
    address, _ = _find(cuda, symbol, cuda_version, flags)
    if not address:
        raise CudaError(status.NOT_FOUND)
    return address


@implements("cuGetProcAddress_v2", anytime=True, nullable=("symbolStatus",))
def proc_address_v2(cuda: Cuda, symbol: str, cuda_version: int, flags: int) -> tuple[int, int]:
    return _find(cuda, symbol, cuda_version, flags)


def _find(cuda: Cuda, name: str, version: int, flags: int) -> tuple[int, int]:
    """The address, 0 for none, and the CUdriverProcAddressQueryResult."""
    if flags & ~FLAGS:
        raise CudaError(status.INVALID_VALUE)
    version &= NEWEST  # compared unsigned: -1 is newer than all
    outcome = "SYMBOL_NOT_FOUND"
    address = 0
    for since, symbol in _symbols(name, bool(flags & PER_THREAD)):
        found = cuda.symbol_address(symbol)
        if found and since <= version:
            address, outcome = found, "SUCCESS"
        elif found and not address:
            outcome = "VERSION_NOT_SUFFICIENT"
    results = api.types.members("CUdriverProcAddressQueryResult")
    return address, results["CU_GET_PROC_ADDRESS_" + outcome]


def _symbols(name: str, per_thread: bool) -> Iterator[tuple[int, str]]:
    """The symbols of a base name, oldest first, each with the version that it is from."""
    row = _procaddress.PER_THREAD.get(name) if per_thread else None
    for entry in (row or _procaddress.LEGACY.get(name, "")).split():
        since, mark, suffix = entry.partition("_")
        yield int(since), name + mark + suffix
