"""A client of libcuda.so.1 for tests: an output is returned, a status that is not 0 is raised."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from ctypes import byref
from typing import Any

import pytest

from emulator.cuda import api

__all__ = ["Client", "StatusError", "in_child", "refused"]


class StatusError(Exception):
    """A CUresult that is not CUDA_SUCCESS; its text is the short name."""


def refused(status: str) -> pytest.RaisesExc[StatusError]:
    """A `with` block that a call must end with this status, by its short name."""
    return pytest.raises(StatusError, match=f"^{status}$")


class Client:
    """The libcuda that this process has loaded."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL("libcuda.so.1")

    def __getattr__(self, name: str) -> Callable[..., None]:
        """A function as it is in C; its status is checked."""
        function = getattr(self.library, name)

        def call(*arguments: Any) -> None:
            status = function(*arguments)
            if status:
                raise StatusError(api.status_name(status))

        return call

    def get(self, name: str, kind: Any, *arguments: Any) -> Any:
        """The value of a function whose first parameter is the output."""
        value = kind()
        getattr(self, name)(byref(value), *arguments)
        return value.value if hasattr(value, "value") else value

    def integer(self, name: str, *arguments: Any) -> int:
        """An output of type int."""
        return int(self.get(name, ctypes.c_int, *arguments))

    def size(self, name: str, *arguments: Any) -> int:
        """An output of type size_t."""
        return int(self.get(name, ctypes.c_size_t, *arguments))

    def handle(self, name: str, *arguments: Any) -> int:
        """An output that is a handle; 0 for NULL."""
        return int(self.get(name, ctypes.c_size_t, *arguments))

    def text(self, name: str, length: int, *arguments: Any) -> str:
        """A string that the function writes into `length` bytes of ours."""
        buffer = ctypes.create_string_buffer(length)
        getattr(self, name)(buffer, length, *arguments)
        return buffer.value.decode()

    def names(self) -> list[str]:
        """The names of all devices, in the order of their ordinals."""
        count = self.integer("cuDeviceGetCount")
        return [self.text("cuDeviceGetName", 64, device) for device in range(count)]


def in_child(call: Callable[[], str]) -> str:
    """What `call` returns, or the status it raises, in a forked child."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(write_end, call().encode())
        except StatusError as error:
            os.write(write_end, str(error).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with open(read_end, encoding="utf-8") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text
