"""A client of modules and launches for tests."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_float, c_int, c_size_t
from typing import Any

from cuda_client import Client
from device_images import image

__all__ = ["ModuleClient", "pointers"]


def pointers(*values: Any) -> Any:
    """`kernelParams` of ctypes values, which live as long as it."""
    made = (ctypes.c_void_p * max(len(values), 1))(*map(ctypes.addressof, values))
    made.values = values  # type: ignore[attr-defined]
    return made


class ModuleClient(Client):
    """A client with a context on the first device."""

    def __init__(self) -> None:
        super().__init__()
        self.cuInit(0)
        self.context = self.create(0)

    def create(self, device: int) -> c_size_t:
        """A new context, which is current then."""
        return c_size_t(self.handle("cuCtxCreate_v2", 0, device))

    def load(self, data: bytes | None = None) -> c_size_t:
        """A module; of the tests' own image without another."""
        return c_size_t(self.handle("cuModuleLoadData", image("ptx") if data is None else data))

    def function(self, module: c_size_t, name: str = "saxpy") -> c_size_t:
        """A function of a module."""
        return c_size_t(self.handle("cuModuleGetFunction", module, name.encode()))

    def variable(self, module: c_size_t, name: str) -> tuple[int, int]:
        """Address and size of a variable."""
        address, size = c_size_t(), c_size_t()
        self.cuModuleGetGlobal_v2(byref(address), byref(size), module, name.encode())
        return address.value, size.value

    def attribute(self, function: c_size_t, number: int) -> int:
        """A function's attribute."""
        return self.integer("cuFuncGetAttribute", number, function)

    def allocate(self, size: int) -> c_size_t:
        """Device memory."""
        return c_size_t(self.handle("cuMemAlloc_v2", c_size_t(size)))

    def floats(self, *values: float) -> c_size_t:
        """Device memory with numbers in it."""
        address = self.allocate(4 * len(values))
        data = (c_float * len(values))(*values)
        self.cuMemcpyHtoD_v2(address, data, c_size_t(4 * len(values)))
        return address

    def read_floats(self, address: c_size_t, count: int) -> list[float]:
        """Numbers in device memory."""
        data = (c_float * count)()
        self.cuMemcpyDtoH_v2(data, address, c_size_t(4 * count))
        return list(data)

    def launch(  # noqa: PLR0917  (most calls give one or two)
        self,
        function: c_size_t,
        params: Any = None,
        grid: tuple[int, int, int] = (1, 1, 1),
        block: tuple[int, int, int] = (32, 1, 1),
        shared: int = 0,
        stream: Any = None,
        extra: Any = None,
    ) -> None:
        """cuLaunchKernel."""
        self.cuLaunchKernel(function, *grid, *block, shared, stream, params, extra)

    def saxpy(self, count: int = 4) -> tuple[Any, c_size_t]:
        """Arguments of the tests' kernel, and where its result is."""
        x, y = self.floats(*range(1, count + 1)), self.floats(*[10.0] * count)
        return pointers(c_int(count), c_float(2), x, y), y
