"""What nvidia-smi prints when it has nothing else to say: that it failed, and with what.

The sentences are those of NVIDIA's nvidia-smi from 470 to 555 under faults of nvmlInit and of the
functions that find GPUs, and of public reports (`emulator/causes.py` has their addresses).
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from ...scenario import Fault
from ..facts import Facts, GpuFacts, Note, Told
from .answers import FAILURES, error_code

__all__ = ["Failed", "failed"]

_INIT = "nvmlInit*"
_HANDLES = "nvmlDeviceGetHandleBy*"

#: Where a product is not told, one that was there first must do.
_ANY = "Tesla T4"

_NOT_LOADED = "couldn't communicate with the NVIDIA driver"
_NO_LIBRARY = "couldn't find libnvidia-ml.so"
_NO_DEVICES = "No devices were found"
_INIT_FAILED = re.compile(r"Failed to initialize NVML: (.+)")
_HANDLE_FAILED = re.compile(
    r"Unable to determine the device handle for GPU\s*([0-9A-Fa-f:.]+): (.+?)(?:\.\s.*)?$",
    re.MULTILINE,
)
_VERSION = re.compile(r"NVML library version: (\d{3}(?:\.\d{1,4}){1,3})")


class Failed(Struct, frozen=True):
    """The machine on which nvidia-smi fails so.

    Attributes:
        facts: what is told of it.
        fields: others of the scenario's: what the dynamic loader finds.
    """

    facts: Facts
    fields: dict[str, Any] = {}


def failed(text: str) -> Failed | None:
    """Return the machine of which this is all that nvidia-smi printed; None if it is not that."""
    version = _VERSION.search(text)
    driver = version[1] if version else ""
    if _NO_LIBRARY in text:
        return Failed(Facts(driver, ()), {"loader": {"nvml": "absent"}})
    if _NOT_LOADED in text:
        return Failed(Facts(driver, (), faults=(_fault(_INIT, "DRIVER_NOT_LOADED"),)))
    if found := _INIT_FAILED.search(text):
        code = error_code(found[1].strip()) or "UNKNOWN"
        return Failed(Facts(driver, (), faults=(_fault(_INIT, code),)))
    if found := _HANDLE_FAILED.search(text):
        return Failed(_without_handle(driver, found[1], found[2].strip(), text, found.start()))
    if _NO_DEVICES in text:
        return Failed(Facts(driver, ()))
    return None


def _fault(function: str, code: str, device: int | None = None) -> Fault:
    return Fault(function, library="nvml", returns=code, device=device)


def _without_handle(driver: str, bus_id: str, error: str, text: str, at: int) -> Facts:
    """A machine with one GPU that cannot be had; which product it is nvidia-smi does not say."""
    where = f"line {text.count(chr(10), 0, at) + 1}"
    told = [Told(("name",), _ANY, where=where), Told(("pci_bus_id",), bus_id, where=where)]
    faults: tuple[Fault, ...] = ()
    if error in FAILURES:
        told.append(Told(("failure",), FAILURES[error], where=where))
    else:
        faults = (_fault(_HANDLES, error_code(error) or "UNKNOWN", 0),)
    note = Note(where, f"which product it is is not told: a {_ANY} stands for it, alone")
    return Facts(driver, (GpuFacts(tuple(told)),), faults=faults, notes=(note,))
