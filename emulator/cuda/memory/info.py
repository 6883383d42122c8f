"""Memory of the current context's device."""

from __future__ import annotations

from ..library import Cuda, implements

__all__: list[str] = []

WORD = 0xFFFFFFFF  # the largest size that the 32-bit form of CUDA 2 can tell


# Either pointer may be NULL: OptiX does so, and driver 580.126.09 takes it (reported and measured
# in Project-HAMi/HAMi-core, pull request 322).
@implements("cuMemGetInfo_v2", nullable=("free", "total"))
def info(cuda: Cuda) -> tuple[int, int]:
    device = cuda.contexts.current().device
    return cuda.machine.ledger.free(device), device.memory.usable


@implements("cuMemGetInfo", nullable=("free", "total"))
def info_32(cuda: Cuda) -> tuple[int, int]:
    free, total = info(cuda)
    return min(free, WORD), min(total, WORD)
