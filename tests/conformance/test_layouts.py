"""NVML's structs: size and place of each field, beside nvidia-ml-py and a C compiler.

The compiler needs NVIDIA's headers, which NVEMU_HEADERS names the folder of (nox -s oracle).
"""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path
from typing import Any

import pynvml
import pytest
from layouts import compiled, fields

from emulator.nvml import _types, api
from stubs.generate.overrides import load_overrides
from stubs.generate.releases import NVML

HEADERS = os.environ.get("NVEMU_HEADERS", "")

#: What nvidia-ml-py calls otherwise than nvml.h.
RENAMED = {
    "c_metricInfo_t": "nvmlGpmMetric_t__metricInfo",
    "c_nvmlDeviceAttributes": "nvmlDeviceAttributes_t",
    "c_nvmlEncoderSession_t": "nvmlEncoderSessionInfo_t",
    "c_nvmlFBCSession_t": "nvmlFBCSessionInfo_t",
    "c_nvmlGpuDynamicPstatesUtilization_t": "nvmlGpuDynamicPstatesInfo_t__utilization",
    "c_nvmlGpuThermalSensor_t": "nvmlGpuThermalSettings_t__sensor",
    "c_nvmlPerfMetricControllerSampleData_t": "nvmlPerfMetricControllerSample_t__data",
    "c_nvmlProcessInfo_v3_t": "nvmlProcessInfo_v2_t",
    "c_nvmlRowRemapperHistogramValues": "nvmlRowRemapperHistogramValues_t",
    "c_nvmlUnrepairableMemory_v1_t": "nvmlUnrepairableMemoryStatus_v1_t",
    "c_nvmlVgpuSchedDataWithARR_t": "nvmlVgpuSchedulerParams_t__vgpuSchedDataWithARR",
    "c_nvmlVgpuSchedData_t": "nvmlVgpuSchedulerParams_t__vgpuSchedData",
    "c_nvmlVgpuSchedSetDataWithARR_t": "nvmlVgpuSchedulerSetParams_t__vgpuSchedDataWithARR",
    "c_nvmlVgpuSchedSetData_t": "nvmlVgpuSchedulerSetParams_t__vgpuSchedData",
}

#: Where nvidia-ml-py departs from the newest header, and why that is so.
DEPARTS = {
    "nvmlGpmMetricsGet_t": "its array is as long as the newest header's; ours is the shortest",
    "nvmlGpuFabricInfoV_t": "it is version 2, the header's version 3",
    "nvmlUnrepairableMemoryStatus_v1_t": "it has a version before the flag, the header has none",
    "nvmlGridLicensableFeature_t": "without product and expiry, as before any pinned header",
    "nvmlGridLicensableFeatures_t": "made of such features",
    "nvmlVgpuMetadata_t": "its opaque data are 256 bytes longer, in place of a flexible array",
    "nvmlVgpuPgpuMetadata_t": "its opaque data are 256 bytes longer, in place of a flexible array",
}


def of_pynvml() -> dict[str, Any]:
    """The structs that nvidia-ml-py declares and nvml.h, too, by the header's name."""
    found = {}
    for name, kind in vars(pynvml).items():
        if isinstance(kind, type) and issubclass(kind, (ctypes.Structure, ctypes.Union)):
            known = RENAMED.get(name, name.removeprefix("c_"))
            if known in _types.NAMES or known in _types.STRUCTS:
                found[known] = kind
    return found


def places(kind: Any) -> list[int]:
    """The struct's size and where its fields lie; how they are called is another matter."""
    return [ctypes.sizeof(kind), *sorted({0, *(at for _, at in fields(kind))})]


@pytest.mark.parametrize("name", sorted(of_pynvml()))
def test_nvidias_bindings_lay_out_a_struct_as_we_do(name: str) -> None:
    assert (places(of_pynvml()[name]) == places(api.types[name])) is (name not in DEPARTS)


def test_nvidias_bindings_were_read() -> None:
    assert len(of_pynvml()) > 150


@pytest.mark.skipif(not HEADERS, reason="NVEMU_HEADERS names no folder of headers (nox -s oracle)")
def test_a_c_compiler_lays_out_every_struct_as_we_do(tmp_path: Path) -> None:
    known, pinned = described(), load_overrides("nvml").release_of
    left = dict(known)
    for release in NVML:  # each struct by the newest header that has it, or the one it is from
        header = Path(HEADERS, release.folder, "nvml.h")
        names = set(re.findall(r"\w+", header.read_text(encoding="utf-8", errors="replace")))
        here = [n for n in left if n in names and pinned(n) in (None, release.label)]
        for name, found in compiled({n: left[n] for n in here}, header, tmp_path).items():
            assert found == layout(known[name]), (release.label, name)
            del left[name]
    assert left == {}


def described() -> dict[str, Any]:
    """Every struct that nvml.h has a name for, as the package makes it of its row."""
    return {name: api.types[name] for name in _types.STRUCTS if "__" not in name}


def layout(kind: Any) -> dict[str, int]:
    return {"": ctypes.sizeof(kind), **dict(fields(kind))}
