"""Looking for GPUs through NVML, with the client library that most Python programs use."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pynvml

from .findings import Failure, Finding, RefusedError, SeenGpu, collect, load, opened

__all__ = ["find"]

SONAME = "libnvidia-ml.so.1"
CODES = {
    value: name
    for name, value in vars(pynvml).items()
    if name.startswith("NVML_ERROR_") and isinstance(value, int)
}


def find() -> Finding:
    """What NVML shows in this process."""
    path = None
    try:
        load(SONAME)  # pynvml would not say why it cannot be loaded
        path = opened(SONAME)
        ask(pynvml.nvmlInit)
    except RefusedError as refusal:
        return Finding(SONAME, path, failure=refusal.failure)
    told = versions()
    try:
        return Finding(SONAME, path, **told, gpus=gpus())
    except RefusedError as refusal:
        return Finding(SONAME, path, **told, failure=refusal.failure)
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def ask(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of pynvml; RefusedError when NVML answers with an error."""
    try:
        return function(*arguments)
    except pynvml.NVMLError as error:
        name = CODES.get(error.value, "unknown code")
        raise RefusedError(Failure(function.__name__, name, text(error), error.value)) from None


def text(error: pynvml.NVMLError) -> str:
    """The library's own text for an error; pynvml's where there is no library to ask."""
    try:
        return str(pynvml.nvmlErrorString(error.value))
    except pynvml.NVMLError:
        return str(error)


def versions() -> dict[str, Any]:
    """The versions of the driver and of the CUDA that it supports."""
    found = collect(
        {
            "driver": partial(ask, pynvml.nvmlSystemGetDriverVersion),
            "cuda": partial(ask, pynvml.nvmlSystemGetCudaDriverVersion_v2),
        }
    )
    cuda = found.get("cuda")
    return {
        "driver": found.get("driver"),
        "cuda": None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
    }


def gpus() -> tuple[SeenGpu, ...]:
    """Every device that NVML counts."""
    return tuple(gpu(index) for index in range(ask(pynvml.nvmlDeviceGetCount)))


def gpu(index: int) -> SeenGpu:
    """One device; what it does not answer is in its failures."""
    try:
        handle = ask(pynvml.nvmlDeviceGetHandleByIndex, index)
    except RefusedError as refusal:
        return SeenGpu(index, failures={"index": refusal.failure})
    questions = {
        "name": lambda: ask(pynvml.nvmlDeviceGetName, handle),
        "uuid": lambda: ask(pynvml.nvmlDeviceGetUUID, handle),
        "bus_id": lambda: ask(pynvml.nvmlDeviceGetPciInfo, handle).busId,
        "memory_total": lambda: memory(handle).total,
        "memory_used": lambda: memory(handle).used,
        "compute_capability": lambda: "{}.{}".format(
            *ask(pynvml.nvmlDeviceGetCudaComputeCapability, handle)
        ),
    }
    return SeenGpu(index, **collect(questions))


def memory(handle: Any) -> Any:
    """Memory as nvidia-smi shows it: what the driver keeps for itself is not in use."""
    try:
        return ask(pynvml.nvmlDeviceGetMemoryInfo, handle, pynvml.nvmlMemory_v2)
    except RefusedError:
        return ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
