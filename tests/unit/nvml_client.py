"""A client of libnvidia-ml.so.1 for tests: an unmodified pynvml on an emulated machine."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pynvml
import pytest

import emulator
from emulator import Gpu, Machine, Scenario
from emulator.nvml import api

__all__ = ["H100", "A100", "RTX_4090", "T4", "library", "playing", "refused"]

H100, A100, T4, RTX_4090 = "h100-sxm5-80gb", "a100-sxm4-80gb", "t4", "rtx-4090"


@contextmanager
def playing(*gpus: Gpu | str, **scenario: Any) -> Iterator[tuple[Machine, list[Any]]]:
    """Initialise NVML on a machine with `gpus`; gives the machine and the devices' handles."""
    chosen = [gpu if isinstance(gpu, Gpu) else Gpu(gpu) for gpu in gpus]
    with emulator.emulate(Scenario(gpus=chosen, **scenario)) as machine:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
        yield machine, [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
        pynvml.nvmlShutdown()


def refused(status: str) -> pytest.RaisesExc[pynvml.NVMLError]:
    """A `with` block that a call must end with this status, by its short name."""

    def same(error: pynvml.NVMLError) -> bool:
        return api.status_name(error.value) == status

    return pytest.raises(pynvml.NVMLError, check=same)


def library() -> Callable[..., Any]:
    """The library itself, for what pynvml does not call."""
    return ctypes.CDLL("libnvidia-ml.so.1")
