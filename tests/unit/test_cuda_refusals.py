"""What a machine without a display or other interfaces says to a CUDA program."""

from __future__ import annotations

import os
from collections.abc import Iterator
from ctypes import byref, c_int, c_size_t, c_uint, create_string_buffer
from pathlib import Path

import pytest
from cuda_client import Client, refused

import emulator
from emulator import Gpu, Scenario
from emulator.cuda import api


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with emulator.emulate(Scenario(gpus=[Gpu("t4", count=2)])):
        client = Client()
        client.cuInit(0)
        yield client


@pytest.fixture
def context(client: Client) -> int:
    return client.handle("cuCtxCreate_v2", 0, 0)


def test_without_opengl(client: Client, context: int) -> None:
    with refused("INVALID_GRAPHICS_CONTEXT"):
        client.cuGLGetDevices_v2(byref(c_uint()), create_string_buffer(16), 4, 1)
    with refused("INVALID_GRAPHICS_CONTEXT"):
        client.handle("cuGraphicsGLRegisterBuffer", 1, 0)
    for function in ("cuGraphicsUnregisterResource", "cuGraphicsResourceSetMapFlags_v2"):
        with refused("INVALID_HANDLE"):
            getattr(client, function)(create_string_buffer(64), 0)


def test_the_context_comes_first(client: Client) -> None:
    with refused("INVALID_CONTEXT"):
        client.cuGLInit()
    with refused("INVALID_CONTEXT"):
        client.cuProfilerStart()


def test_without_egl_and_vdpau(client: Client, context: int) -> None:
    with refused("INVALID_HANDLE"):
        client.handle("cuEGLStreamConsumerConnect", create_string_buffer(8))
    with refused("INVALID_VALUE"):
        client.integer("cuVDPAUGetDevice", 1, None)


def test_profiler(client: Client, context: int) -> None:
    client.cuProfilerStart()
    client.cuProfilerStop()
    with refused("NOT_SUPPORTED"):
        client.cuProfilerInitialize(b"in", b"out", 1)


def test_external_memory(client: Client, context: int, tmp_path: Path) -> None:
    desc = api.types["CUDA_EXTERNAL_MEMORY_HANDLE_DESC"]()
    desc.type, desc.size, desc.handle.fd = 1, 4096, 1 << 20
    with refused("INVALID_HANDLE"):
        client.handle("cuImportExternalMemory", byref(desc))
    desc.handle.fd = os.open(tmp_path, os.O_RDONLY)
    with refused("OPERATING_SYSTEM"):
        client.handle("cuImportExternalMemory", byref(desc))
    os.close(desc.handle.fd)
    desc.size = 0
    with refused("INVALID_VALUE"):
        client.handle("cuImportExternalMemory", byref(desc))
    with refused("INVALID_HANDLE"):
        client.cuDestroyExternalMemory(create_string_buffer(64))


def test_external_semaphores(client: Client, context: int) -> None:
    desc = api.types["CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC"]()
    desc.type = 4
    with refused("NOT_SUPPORTED"):
        client.handle("cuImportExternalSemaphore", byref(desc))
    desc.type, desc.handle.fd = 9, -1
    with refused("INVALID_HANDLE"):
        client.handle("cuImportExternalSemaphore", byref(desc))
    semaphores = (c_size_t * 2)()
    params = create_string_buffer(1024)
    with refused("INVALID_HANDLE"):
        client.cuSignalExternalSemaphoresAsync(semaphores, params, 2, None)


def test_processes_run_and_cannot_be_stopped(client: Client, context: int) -> None:
    state = c_int(7)
    client.cuCheckpointProcessGetState(os.getpid(), byref(state))
    assert state.value == 0
    with refused("INVALID_VALUE"):
        client.cuCheckpointProcessGetState(1, byref(state))
    with refused("NOT_SUPPORTED"):
        client.cuCheckpointProcessLock(os.getpid(), None)
    with refused("ILLEGAL_STATE"):
        client.cuCheckpointProcessRestore(os.getpid(), None)


def test_multicast_is_not_for_this_device(client: Client, context: int) -> None:
    prop = api.types["CUmulticastObjectProp"](2, 2 << 20, 0, 0)
    with refused("NOT_SUPPORTED"):
        client.size("cuMulticastGetGranularity", byref(prop), 0)


def test_tensor_maps_are_not_for_this_device(client: Client, context: int) -> None:
    with refused("NOT_SUPPORTED"):
        client.cuTensorMapReplaceAddress(create_string_buffer(256), create_string_buffer(64))
