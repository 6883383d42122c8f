"""Looking for GPUs through the CUDA driver, as the CUDA runtime does when a program starts.

No context is made: on a real GPU that takes long and hundreds of megabytes, so that the memory in
use, which CUDA tells only with a context, is left to NVML.
"""

from __future__ import annotations

import ctypes
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from .findings import Failure, Finding, RefusedError, SeenGpu, collect, load, opened

__all__ = ["find"]

SONAME = "libcuda.so.1"
COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_... of cuda.h
TEXT_SIZE = 256


def find() -> Finding:
    """What the CUDA driver shows in this process."""
    path = version = None
    try:
        driver = Driver(load(SONAME))
        path = opened(SONAME)
        version = collect({"cuda": driver.version}).get("cuda")
        driver.call("cuInit", 0)
        return Finding(SONAME, path, cuda=version, gpus=driver.gpus())
    except RefusedError as refusal:
        return Finding(SONAME, path, cuda=version, failure=refusal.failure)


class Driver:
    """The functions of libcuda that discovery needs."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function; RefusedError when it is missing or answers with an error."""
        function = getattr(self.library, name, None)
        if function is None:
            raise RefusedError(Failure(name, "function not found", f"not exported by {SONAME}"))
        code = function(*arguments)
        if code:
            described = self._text("cuGetErrorName", code) or "unknown code"
            text = self._text("cuGetErrorString", code) or ""
            raise RefusedError(Failure(name, described, text, code))

    def _text(self, name: str, code: int) -> str | None:
        text = ctypes.c_char_p()
        function = getattr(self.library, name, None)
        if function is None or function(code, ctypes.byref(text)) or text.value is None:
            return None
        return text.value.decode("utf-8", "replace")

    def _number(self, name: str, *arguments: Any, kind: type[Any] = ctypes.c_int) -> int:
        number = kind()
        self.call(name, ctypes.byref(number), *arguments)
        return int(number.value)

    def version(self) -> str:
        """The CUDA version that the driver supports: 12.4."""
        number = self._number("cuDriverGetVersion")
        return f"{number // 1000}.{number % 1000 // 10}"

    def gpus(self) -> tuple[SeenGpu, ...]:
        """Every device that CUDA counts."""
        return tuple(self.gpu(ordinal) for ordinal in range(self._number("cuDeviceGetCount")))

    def gpu(self, ordinal: int) -> SeenGpu:
        """One device; what it does not answer is in its failures."""
        try:
            device = self._number("cuDeviceGet", ordinal)
        except RefusedError as refusal:
            return SeenGpu(ordinal, failures={"index": refusal.failure})
        total = partial(self._number, "cuDeviceTotalMem_v2", device, kind=ctypes.c_size_t)
        questions: dict[str, Callable[[], Any]] = {
            "name": lambda: self._string("cuDeviceGetName", device),
            "uuid": lambda: self._uuid(device),
            "bus_id": lambda: self._string("cuDeviceGetPCIBusId", device),
            "memory_total": total,
            "compute_capability": lambda: self._compute_capability(device),
        }
        return SeenGpu(ordinal, **collect(questions))

    def _string(self, name: str, device: int) -> str:
        buffer = ctypes.create_string_buffer(TEXT_SIZE)
        self.call(name, buffer, TEXT_SIZE, device)
        return buffer.value.decode("utf-8", "replace")

    def _uuid(self, device: int) -> str:
        raw = ctypes.create_string_buffer(16)
        self.call("cuDeviceGetUuid", raw, device)
        return f"GPU-{uuid.UUID(bytes=raw.raw)}"

    def _compute_capability(self, device: int) -> str:
        attributes = (COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR)
        major, minor = (self._number("cuDeviceGetAttribute", a, device) for a in attributes)
        return f"{major}.{minor}"
