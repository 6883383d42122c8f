"""Records this process's NVML as DCGM's `nvml_api_recorder.py` does, in the same format."""

from __future__ import annotations

from typing import Any

import pynvml

UINT = 1
SIMPLE = {
    "ComputeMode": None,
    "DisplayMode": None,
    "Brand": None,
    "PersistenceMode": None,
    "PerformanceState": None,
    "PowerUsage": None,
    "TotalEnergyConsumption": None,
    "PowerManagementLimit": None,
    "PowerManagementDefaultLimit": None,
    "EnforcedPowerLimit": None,
    "FanSpeed": None,
    "NumFans": None,
    "MaxPcieLinkGeneration": None,
    "CurrPcieLinkWidth": None,
    "CurrentClocksThrottleReasons": None,
    "Index": None,
    "MinorNumber": None,
    "MaxMigDeviceCount": None,
    "NumGpuCores": None,
    "MemoryBusWidth": None,
    "Architecture": None,
    "InforomImageVersion": None,
    "Name": None,
    "Serial": None,
    "BoardPartNumber": None,
    "UUID": None,
    "VbiosVersion": None,
    "SupportedMemoryClocks": None,
    "VirtualizationMode": None,
    "GpuInstanceId": None,
    "ComputeInstanceId": None,
    "PciInfo": (
        *("busIdLegacy", "domain", "bus", "device", "pciDeviceId", "pciSubSystemId", "busId"),
    ),
    "UtilizationRates": ("gpu", "memory"),
    "BAR1MemoryInfo": ("bar1Total", "bar1Free", "bar1Used"),
    "RowRemapperHistogram": ("max", "high", "partial", "low", "none"),
    "Attributes": (
        *("multiprocessorCount", "sharedCopyEngineCount", "sharedDecoderCount"),
        *("sharedEncoderCount", "sharedJpegCount", "sharedOfaCount", "gpuInstanceSliceCount"),
        *("computeInstanceSliceCount", "memorySizeMB"),
    ),
}
SEVERAL = {
    "CudaComputeCapability": ("major", "minor"),
    "EccMode": ("current", "pending"),
    "EncoderUtilization": ("utilization", "samplingPeriodUs"),
    "PowerManagementLimitConstraints": ("minLimit", "maxLimit"),
    "MigMode": ("currentMode", "pendingMode"),
    "RemappedRows": ("corrRows", "uncRows", "isPending", "failureOccurred"),
}
KEYED = {
    "ClockInfo": range(4),
    "MaxClockInfo": range(4),
    "InforomVersion": range(3),
    "Temperature": range(1),
    "TemperatureThreshold": range(4),
    "NvLinkState": range(4),
}
TWICE_KEYED = {"TotalEccErrors": (range(2), range(2)), "Clock": (range(2), range(2))}


def record() -> dict[str, Any]:
    """The whole file, of NVML in this process."""
    pynvml.nvmlInit()
    try:
        return _machine()
    finally:
        pynvml.nvmlShutdown()


def _machine() -> dict[str, Any]:
    count = pynvml.nvmlDeviceGetCount()
    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
    uuids = [pynvml.nvmlDeviceGetUUID(handle) for handle in handles]
    parts: dict[str, Any] = {"GpuInstance": {}, "MigDevice": {}}
    devices = {
        uuid: _device(handle, handles, uuids) | _divided(handle, uuid, parts)
        for handle, uuid in zip(handles, uuids, strict=True)
    }
    return {
        "Global": {
            "Count": _answer(lambda: count),
            "DriverVersion": _answer(pynvml.nvmlSystemGetDriverVersion),
            "NVMLVersion": _answer(pynvml.nvmlSystemGetNVMLVersion),
            "CudaDriverVersion": _answer(pynvml.nvmlSystemGetCudaDriverVersion),
            "CudaDriverVersion_v2": _answer(pynvml.nvmlSystemGetCudaDriverVersion_v2),
            "DeviceOrder": uuids,
        },
        "Device": devices,
        **parts,
        "vGPUType": {},
        "vGPUInstance": {},
        "ExcludedDevice": {},
        "ComputeInstance": {},
    }


def _answer(call: Any, *args: Any, shape: Any = None) -> dict[str, Any]:
    try:
        value = call(*args)
    except pynvml.NVMLError as error:
        return {"FunctionReturn": error.value}
    if shape is not None:
        value = shape(value)
    return {"FunctionReturn": 0, "ReturnValue": value}


def _fields(names: Any) -> Any:
    return names and (lambda value: {name: getattr(value, name) for name in names})


def _device(handle: Any, handles: list[Any], uuids: list[str]) -> dict[str, Any]:
    get = {name: getattr(pynvml, f"nvmlDeviceGet{name}") for name in (*SIMPLE, *SEVERAL, *KEYED)}
    found: dict[str, Any] = {
        name: _answer(get[name], handle, shape=_fields(names)) for name, names in SIMPLE.items()
    }
    for name, names in SEVERAL.items():

        def named(values: Any, names: Any = names) -> dict[str, Any]:
            return dict(zip(names, values, strict=True))

        found[name] = _answer(get[name], handle, shape=named)
    for name, keys in KEYED.items():
        found[name] = {key: _answer(get[name], handle, key) for key in keys}
    for name, (first, second) in TWICE_KEYED.items():
        call = getattr(pynvml, f"nvmlDeviceGet{name}")
        found[name] = {a: {b: _answer(call, handle, a, b) for b in second} for a in first}
    found["OnSameBoard"] = {
        uuid: _answer(pynvml.nvmlDeviceOnSameBoard, handle, other)
        for uuid, other in zip(uuids, handles, strict=True)
    }
    found["MemoryInfo"] = _answer(
        lambda: pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2),
        shape=_fields(("total", "free", "used", "reserved", "version")),
    )
    found["ComputeRunningProcesses"] = _answer(
        pynvml.nvmlDeviceGetComputeRunningProcesses, handle, shape=_processes
    )
    found["FieldValues"] = _field_values(handle)
    return found


def _processes(rows: Any) -> list[dict[str, Any]]:
    names = ("computeInstanceId", "gpuInstanceId", "pid", "usedGpuMemory")
    return [{name: getattr(row, name) for name in names} for row in rows]


def _field_values(handle: Any) -> dict[str, Any]:
    names = ("fieldId", "scopeId", "timestamp", "latencyUsec", "valueType", "nvmlReturn")
    members = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal")

    def shape(values: Any) -> dict[int, Any]:
        rows = {}
        for value in values:
            row = {name: getattr(value, name) for name in names}
            member = members[value.valueType] if value.valueType < len(members) else "uiVal"
            rows[value.fieldId] = {**row, "value": getattr(value.value, member)}
        return rows

    return _answer(pynvml.nvmlDeviceGetFieldValues, handle, list(range(1, 100)), shape=shape)


def _divided(handle: Any, uuid: str, parts: dict[str, Any]) -> dict[str, Any]:
    """The MIG devices of a device, and what its GPU instances are."""
    try:
        count = pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)
    except pynvml.NVMLError:
        return {}
    uuids = []
    for index in range(count):
        try:
            device = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
        except pynvml.NVMLError:
            continue
        mig = pynvml.nvmlDeviceGetUUID(device)
        uuids.append(mig)
        parts["MigDevice"][mig] = _device(device, [], [])
        number = pynvml.nvmlDeviceGetGpuInstanceId(device)
        instance = pynvml.nvmlDeviceGetGpuInstanceById(handle, number)
        info = pynvml.nvmlGpuInstanceGetInfo(instance)
        parts["GpuInstance"][f"{uuid}_{number}"] = {
            "Info": {
                "FunctionReturn": 0,
                "ReturnValue": {
                    "device": uuid,
                    "id": info.id,
                    "profileId": info.profileId,
                    "placement": {"start": info.placement.start, "size": info.placement.size},
                },
            }
        }
    return {"MigDeviceUUID": uuids}
