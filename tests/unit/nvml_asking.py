"""Calling functions of NVML that pynvml does not have, or has in another form."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from emulator.nvml import api

__all__ = ["Handle", "asked", "code", "field", "library", "struct", "text", "uint", "uint64"]

Handle = Any
uint, uint64 = ctypes.c_uint, ctypes.c_ulonglong

KEPT: dict[bytes, Any] = {}  # what structs point at


def library() -> Any:
    return ctypes.CDLL("libnvidia-ml.so.1")


def struct(kind: str, **fields: Any) -> Any:
    """A struct of NVML's, with its version's tag if it has one."""
    made = api.types[kind](**fields)
    if hasattr(made, "version"):
        made.version = api.types.tag(kind)
    return made


def code(function: str, *arguments: Any) -> str:
    """What a function answers, by its short name; structs go by address."""
    words = [ctypes.byref(a) if isinstance(a, ctypes.Structure) else a for a in arguments]
    return api.status_name(getattr(library(), function)(*words))


def text(value: bytes) -> Any:
    return ctypes.addressof(KEPT.setdefault(value, ctypes.create_string_buffer(value)))


def asked(function: str, *kinds: Any, before: tuple[Any, ...] = ()) -> Callable[[Handle], Any]:
    """What a getter puts out, one value or several; its code, as text, where it is refused."""

    def read(handle: Handle) -> Any:
        outs = [kind() for kind in kinds]
        code = getattr(library(), function)(handle, *before, *map(ctypes.byref, outs))
        values = [out.value for out in outs]
        return api.status_name(code) if code else values[0] if len(values) == 1 else values

    return read


def field(function: str, kind: str, name: str, **fields: Any) -> Callable[[Handle], Any]:
    """A field of the struct that a getter fills."""

    def read(handle: Handle) -> Any:
        made = struct(kind, **fields)
        code = getattr(library(), function)(handle, ctypes.byref(made))
        value = getattr(made, name)
        value = value.decode() if isinstance(value, bytes) else value
        return api.status_name(code) if code else value

    return read
