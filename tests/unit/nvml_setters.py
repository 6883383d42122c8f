"""NVML's setters, one row each: on which GPU, what is set, what is asked afterwards.

As a program it plays the table's rows on the machine that it finds, whose GPUs are the rows', and
prints what came of each as JSON: the value before, the setter's code, the value after. Asked to
watch, it has initialised NVML before another process of this program sets everything.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pynvml
from nvml_asking import Handle, asked, field, library, struct, text, uint, uint64

from emulator.nvml import api

__all__ = ["SETTERS", "Setter"]


@dataclass(frozen=True)
class Setter:
    """`function` is called with what `given` makes of a handle; `read` shows `expected` then."""

    function: str
    gpu: str
    given: Callable[[Handle], tuple[Any, ...]]
    read: Callable[[Handle], Any]
    expected: Any
    figures: dict[str, Any] | None = None

    def set(self, handle: Handle) -> int:
        """Call it; NVML's code."""
        code: int = getattr(library(), self.function)(*self.given(handle))
        return code


def device(*values: Any) -> Callable[[Handle], tuple[Any, ...]]:
    """The handle, then values; structs go by address."""

    def given(handle: Handle) -> tuple[Any, ...]:
        return (handle, *map(passed, values))

    return given


def system(*values: Any) -> Callable[[Handle], tuple[Any, ...]]:
    """Values alone, of what concerns the whole machine."""
    return lambda handle: tuple(map(passed, values))


def address(*values: Any) -> Callable[[Handle], tuple[Any, ...]]:
    """The GPU's PCI address, then values."""
    return lambda handle: (ctypes.byref(pynvml.nvmlDeviceGetPciInfo(handle)), *values)


def passed(value: Any) -> Any:
    return ctypes.byref(value) if isinstance(value, ctypes.Structure) else value


def key_rotation(handle: Handle) -> Any:
    made = struct("nvmlConfComputeGetKeyRotationThresholdInfo_v1_t")
    code = library().nvmlSystemGetConfComputeKeyRotationThresholdInfo(ctypes.byref(made))
    return api.status_name(code) if code else made.attackerAdvantage


A100, H100, T4 = "a100-sxm4-80gb", "h100-sxm5-80gb", "t4"
RTX_4090, RTX_5090 = "rtx-4090", "rtx-5090"
GIB = 1 << 30

ERRORS = {"ecc": {"volatile": {"dram_correctable": 3}}}
HOST = {"virtualization_mode": "HOST_VSGA"}
CONFIDENTIAL = {"confidential": {"enabled": True, "accepting": False}}


def drained(handle: Handle) -> Any:
    out = uint()
    pci = pynvml.nvmlDeviceGetPciInfo(handle)
    code = library().nvmlDeviceQueryDrainState(ctypes.byref(pci), ctypes.byref(out))
    return api.status_name(code) if code else out.value


SETTERS = (
    Setter(
        "nvmlDeviceSetPersistenceMode",
        T4,
        device(1),
        asked("nvmlDeviceGetPersistenceMode", uint),
        1,
    ),
    Setter("nvmlDeviceSetComputeMode", T4, device(3), asked("nvmlDeviceGetComputeMode", uint), 3),
    Setter(
        "nvmlDeviceSetEccMode", T4, device(0), asked("nvmlDeviceGetEccMode", uint, uint), [1, 0]
    ),
    Setter(
        "nvmlDeviceClearEccErrorCounts",
        T4,
        device(0),
        asked("nvmlDeviceGetTotalEccErrors", uint64, before=(0, 0)),
        0,
        ERRORS,
    ),
    Setter(
        "nvmlDeviceSetAPIRestriction",
        T4,
        device(0, 0),
        asked("nvmlDeviceGetAPIRestriction", uint, before=(0,)),
        0,
    ),
    Setter(
        "nvmlDeviceSetVirtualizationMode",
        T4,
        device(3),
        asked("nvmlDeviceGetVirtualizationMode", uint),
        3,
        HOST,
    ),
    Setter(
        "nvmlDeviceSetApplicationsClocks",
        T4,
        device(5001, 585),
        asked("nvmlDeviceGetApplicationsClock", uint, before=(0,)),
        585,
        {"clocks": {"graphics": {"application": 1590}}},
    ),
    Setter(
        "nvmlDeviceSetPowerManagementLimit",
        T4,
        device(65_000),
        asked("nvmlDeviceGetPowerManagementLimit", uint),
        65_000,
    ),
    Setter(
        "nvmlDeviceSetPowerManagementLimit_v2",
        T4,
        device(struct("nvmlPowerValue_v2_t", powerScope=0, powerValueMw=66_000)),
        asked("nvmlDeviceGetPowerManagementLimit", uint),
        66_000,
    ),
    Setter(
        "nvmlGpmSetStreamingEnabled",
        H100,
        device(1),
        asked("nvmlGpmQueryIfStreamingEnabled", uint),
        1,
    ),
    Setter(
        "nvmlDeviceSetClockOffsets",
        RTX_4090,
        device(struct("nvmlClockOffset_v1_t", type=0, pstate=0, clockOffsetMHz=150)),
        asked("nvmlDeviceGetGpcClkVfOffset", ctypes.c_int),
        150,
    ),
    Setter(
        "nvmlDeviceSetFanSpeed_v2",
        RTX_4090,
        device(0, 70),
        asked("nvmlDeviceGetTargetFanSpeed", uint, before=(0,)),
        70,
    ),
    Setter(
        "nvmlDeviceSetFanControlPolicy",
        RTX_4090,
        device(0, 1),
        asked("nvmlDeviceGetFanControlPolicy_v2", uint, before=(0,)),
        1,
    ),
    Setter(
        "nvmlDeviceSetTemperatureThreshold",
        RTX_4090,
        device(5, ctypes.byref(ctypes.c_int(80))),
        asked("nvmlDeviceGetTemperatureThreshold", uint, before=(5,)),
        80,
    ),
    Setter(
        "nvmlDeviceSetGpcClkVfOffset",
        RTX_4090,
        device(100),
        asked("nvmlDeviceGetGpcClkVfOffset", ctypes.c_int),
        100,
    ),
    Setter(
        "nvmlDeviceSetMemClkVfOffset",
        RTX_4090,
        device(200),
        asked("nvmlDeviceGetMemClkVfOffset", ctypes.c_int),
        200,
    ),
    Setter(
        "nvmlDeviceSetMigMode",
        A100,
        device(1, ctypes.byref(uint())),
        asked("nvmlDeviceGetMigMode", uint, uint),
        [1, 1],
    ),
    Setter(
        "nvmlDeviceSetAccountingMode", T4, device(1), asked("nvmlDeviceGetAccountingMode", uint), 1
    ),
    Setter(
        "nvmlDeviceSetHostname_v1",
        RTX_5090,
        device(struct("nvmlHostname_v1_t", value=b"node-7")),
        field("nvmlDeviceGetHostname_v1", "nvmlHostname_v1_t", "value"),
        "node-7",
    ),
    Setter(
        "nvmlDeviceSetDramEncryptionMode",
        RTX_5090,
        device(struct("nvmlDramEncryptionInfo_t", encryptionState=1)),
        lambda handle: list(pynvml.nvmlDeviceGetDramEncryptionMode(handle)),
        [0, 1],
    ),
    Setter(
        "nvmlDeviceSetMemoryLimits_v1",
        T4,
        device(
            struct("nvmlSetMemoryLimits_v1_t", nameSpace=text(b"/"), softLimit=1, hardLimit=GIB)
        ),
        field(
            "nvmlDeviceGetMemoryLimits_v1",
            "nvmlGetMemoryLimits_v1_t",
            "hardLimit",
            nameSpace=text(b"/"),
        ),
        GIB,
    ),
    Setter(
        "nvmlDeviceSetConfComputeUnprotectedMemSize",
        H100,
        device(uint64(1 << 20)),
        field(
            "nvmlDeviceGetConfComputeMemSizeInfo",
            "nvmlConfComputeMemSizeInfo_t",
            "unprotectedMemSizeKib",
        ),
        1 << 20,
        CONFIDENTIAL,
    ),
    Setter(
        "nvmlSystemSetConfComputeKeyRotationThresholdInfo",
        H100,
        system(struct("nvmlConfComputeSetKeyRotationThresholdInfo_v1_t", maxAttackerAdvantage=61)),
        key_rotation,
        61,
        CONFIDENTIAL,
    ),
    Setter(
        "nvmlSystemSetConfComputeGpusReadyState",
        H100,
        system(1),
        lambda handle: pynvml.nvmlSystemGetConfComputeGpusReadyState(),
        1,
        CONFIDENTIAL,
    ),
    Setter("nvmlDeviceModifyDrainState", T4, address(1), drained, 1),
)


def main(what: str) -> None:
    pynvml.nvmlInit()
    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(len(SETTERS))]
    rows = list(zip(SETTERS, handles, strict=True))
    before = [setter.read(handle) for setter, handle in rows]
    codes: list[Any] = [None] * len(rows)
    if what == "watch":
        subprocess.run([sys.executable, __file__, "set"], check=True, stdout=subprocess.DEVNULL)
    else:
        codes = [setter.set(handle) for setter, handle in rows]
    after = [setter.read(handle) for setter, handle in rows]
    print(json.dumps(list(zip(before, codes, after, strict=True))))


if __name__ == "__main__":
    main(sys.argv[1])
