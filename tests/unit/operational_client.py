"""Calls of the GPU Operational Events of nvml.h 13.5, which pynvml does not have; prints JSON.

Of its arguments each is a step: `subscribe:LEVEL:SEVERITY` of GPU 0, `register:TYPES`, `wait`,
`contexts`, `xid:INDEX`, `data:INDEX:ROOM`, `nowhere`, `info:INDEX`; `line` waits for a line of
input. The results are a list of one element each.
"""

from __future__ import annotations

import ctypes
import json
import sys
from ctypes import byref, c_char, c_uint, c_ulonglong, c_ushort, c_void_p
from typing import Any

nvml = ctypes.CDLL("libnvidia-ml.so.1")
device, made, uuid = c_void_p(), c_void_p(), ctypes.create_string_buffer(96)


class Config(ctypes.Structure):
    _fields_ = (("uuid", c_char * 96), ("minLogLevel", c_uint), ("minSeverity", c_uint))


class Wait(ctypes.Structure):
    _fields_ = (
        *(("timeoutMs", c_uint), ("dataType", c_uint), ("uuid", c_char * 96)),
        ("sourceModule", c_char * 16),
        *((name, c_ulonglong) for name in ("eventType", "eventData", "groupCursor")),
        *((name, c_ulonglong) for name in ("instanceId", "timestampUsec", "traceId")),
        *((name, c_uint) for name in ("gpuInstanceId", "computeInstanceId", "severity")),
        *((name, c_uint) for name in ("categoryId", "moduleEventCode", "scope", "originator")),
        *((name, c_uint) for name in ("moduleInstance", "chipletId", "logLevel", "attributes")),
        *(("groupCperSize", c_uint), ("groupAttributes", c_uint)),
        *(("groupSize", ctypes.c_ubyte), ("groupIndex", ctypes.c_ubyte)),
    )


class Info(ctypes.Structure):
    _fields_ = (
        *((name, c_uint) for name in ("index", "kind", "source", "size")),
        ("version", c_ushort),
    )


class Data(ctypes.Structure):
    _fields_ = (("data", c_void_p), ("index", c_uint), ("size", c_uint))


def subscribe(level: int, severity: int) -> int:
    config = Config(uuid.value, level, severity)
    return nvml.nvmlEventSetRegisterGpuOperationalEvents_v1(made, byref(config))


def register(types: int) -> int:
    return nvml.nvmlDeviceRegisterEvents(device, c_ulonglong(types), made)


def wait() -> Any:
    params = Wait(timeoutMs=300)
    code = nvml.nvmlEventSetWait_v3(made, byref(params))
    if code:
        return code
    found = {name: getattr(params, name) for name, _ in Wait._fields_}
    assert found.pop("uuid") == uuid.value
    assert found.pop("timestampUsec")
    return {**found, "sourceModule": found["sourceModule"].decode()}


def contexts() -> Any:
    count = c_uint()
    code = nvml.nvmlEventSetGetContextCount_v1(made, byref(count))
    return [code, count.value]


def xid(index: int) -> Any:
    pair = (c_uint * 2)(index, 0)
    return [nvml.nvmlEventSetGetGpuOperationalEventContextLegacyXid_v1(made, pair), pair[1]]


def info(index: int) -> Any:
    params = Info(index)
    code = nvml.nvmlEventSetGetContextInfo_v1(made, byref(params))
    return [code, params.kind, params.size, params.version]


def data(index: int, room: int) -> Any:
    payload = (ctypes.c_ubyte * 16)()
    params = Data(ctypes.addressof(payload) if room else None, index, room)
    code = nvml.nvmlEventSetGetContextData_v1(made, byref(params))
    return [code, params.size, bytes(payload[:4]).hex()]


def nowhere() -> int:
    """A context's data, to where no memory is."""
    return nvml.nvmlEventSetGetContextData_v1(made, byref(Data(8, 0, 4)))


def line() -> str:
    print("ready", flush=True)
    return sys.stdin.readline().strip()


def main(*steps: str) -> None:
    assert not nvml.nvmlInit_v2()
    assert not nvml.nvmlDeviceGetHandleByIndex_v2(0, byref(device))
    assert not nvml.nvmlDeviceGetUUID(device, uuid, 96)
    assert not nvml.nvmlEventSetCreate(byref(made))
    found = []
    for step in steps:
        name, *numbers = step.split(":")
        found.append(globals()[name](*map(int, numbers)))
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
