"""Checkpoints of processes: each process that uses the GPUs runs, and none can be stopped.

A driver checkpoints a process with the help of CRIU and its own thread in it. Neither is emulated:
the state is told, everything else is refused as by a driver without checkpoint support.
"""

from __future__ import annotations

import os

from . import _status as status
from .library import Cuda, CudaError, implements

__all__: list[str] = []

RUNNING = 0  # CU_PROCESS_STATE_RUNNING


def _check(cuda: Cuda, pid: int) -> None:
    """INVALID_VALUE for a process that does not use CUDA."""
    devices = cuda.machine.plugged()
    users = [p.pid for device in devices for p in cuda.machine.ledger.processes(device)]
    if pid not in (os.getpid(), *users):
        raise CudaError(status.INVALID_VALUE)


@implements("cuCheckpointProcessGetState")
def get_state(cuda: Cuda, pid: int) -> int:
    _check(cuda, pid)
    return RUNNING


# The arguments of these may be NULL, and are not looked at.
@implements("cuCheckpointProcessLock", raw=("args",))
def lock(cuda: Cuda, pid: int) -> None:
    _check(cuda, pid)
    raise CudaError(status.NOT_SUPPORTED)


@implements("cuCheckpointProcessGetRestoreThreadId")
def restore_thread(cuda: Cuda, pid: int) -> int:
    _check(cuda, pid)
    raise CudaError(status.NOT_SUPPORTED)


@implements(
    "cuCheckpointProcessCheckpoint",
    "cuCheckpointProcessRestore",
    "cuCheckpointProcessUnlock",
    raw=("args",),
)
def not_locked(cuda: Cuda, pid: int) -> None:
    """What a process must be locked for, or further on."""
    _check(cuda, pid)
    raise CudaError(status.ILLEGAL_STATE)


@implements("cuCheckpointOperationComplete", raw=("handle",))
def complete() -> None:
    """No operation is under way."""
    raise CudaError(status.INVALID_VALUE)
