"""Kernels in graphs: their nodes' parameters, and what a scenario's function does."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ctypes import byref, c_float, c_int, c_size_t, c_uint64, c_void_p
from typing import Any

import pytest
from cuda_client import refused
from module_client import ModuleClient

from emulator import Emulation, Gpu, Kernel, Scenario
from emulator.cuda import api


def saxpy(launch: Any) -> None:
    n, a, x, y = launch.unpack("i", "f", "f*", "f*")
    for i in range(n):
        y[i] += a * x[i]


@pytest.fixture
def emulation(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulation]:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    kernels = [Kernel("saxpy", saxpy)]
    scenario = Scenario(gpus=[Gpu("h100-sxm5-80gb")], kernels=kernels)
    with Emulation(scenario, record=True) as emulation:
        yield emulation


@pytest.fixture
def client(emulation: Emulation) -> ModuleClient:
    assert emulation
    return ModuleClient()


def described(function: c_void_p, params: Any) -> Any:
    """A CUDA_KERNEL_NODE_PARAMS of one thread."""
    sizes = dict.fromkeys((f"{what}Dim{axis}" for what in ("grid", "block") for axis in "XYZ"), 1)
    made = api.types["CUDA_KERNEL_NODE_PARAMS"](**sizes)
    made.func, made.kernelParams = function.value, ctypes.addressof(params)
    return made


def ready(client: ModuleClient, graph: c_void_p) -> c_void_p:
    return c_void_p(client.handle("cuGraphInstantiateWithFlags", graph, c_uint64(0)))


def test_a_kernel_node(client: ModuleClient) -> None:
    function = client.function(client.load())
    params, y = client.saxpy()
    graph = c_void_p(client.handle("cuGraphCreate", 0))
    struct = described(function, params)
    node = c_void_p(
        client.handle("cuGraphAddKernelNode_v2", graph, None, c_size_t(0), byref(struct))
    )
    factor = ctypes.cast(params[1], ctypes.POINTER(c_float))
    factor[0] = 100.0  # the node has a copy of the arguments
    made = ready(client, graph)
    client.cuGraphLaunch(made, None)
    assert client.read_floats(y, 4) == [12, 14, 16, 18]
    client.cuGraphLaunch(made, None)
    assert client.read_floats(y, 4) == [14, 18, 22, 26]
    found = api.types["CUDA_KERNEL_NODE_PARAMS"]()
    client.cuGraphKernelNodeGetParams_v2(node, byref(found))
    assert (found.func, found.gridDimX, found.blockDimZ) == (function.value, 1, 1)
    factor[0] = 0.0
    client.cuGraphExecKernelNodeSetParams_v2(made, node, byref(struct))
    client.cuGraphLaunch(made, None)
    assert client.read_floats(y, 4) == [14, 18, 22, 26]
    struct.blockDimX = 4096
    for call in (
        lambda: client.cuGraphKernelNodeSetParams_v2(node, byref(struct)),
        lambda: client.cuGraphExecKernelNodeSetParams_v2(made, node, byref(struct)),
    ):
        with refused("INVALID_VALUE"):
            call()


def test_a_captured_launch(client: ModuleClient, emulation: Emulation) -> None:
    function = client.function(client.load())
    params, y = client.saxpy()
    stream, graph = c_void_p(client.handle("cuStreamCreate", 1)), c_void_p()
    client.cuStreamBeginCapture_v2(stream, 0)
    sizes = (1, 1, 1, 1, 1, 1)
    client.cuLaunchKernel(function, *sizes, 0, stream, params, None)
    client.cuStreamEndCapture(stream, byref(graph))
    assert client.read_floats(y, 4) == [10, 10, 10, 10]
    made = ready(client, graph)
    for _ in range(3):
        client.cuGraphLaunch(made, stream)
    client.cuStreamSynchronize(stream)
    assert client.read_floats(y, 4) == [16, 22, 28, 34]
    launches = [call for call in emulation.calls if call["function"] == "kernel saxpy"]
    assert len(launches) == 3


def test_attributes(client: ModuleClient) -> None:
    function = client.function(client.load())
    params, _ = client.saxpy()
    graph = c_void_p(client.handle("cuGraphCreate", 0))
    struct = described(function, params)
    first, second = (
        c_void_p(client.handle("cuGraphAddKernelNode_v2", graph, None, c_size_t(0), byref(struct)))
        for _ in range(2)
    )
    value = api.types["CUkernelNodeAttrValue"]()
    value.priority = -3
    client.cuGraphKernelNodeSetAttribute(first, 8, byref(value))
    client.cuGraphKernelNodeCopyAttributes(second, first)
    found = api.types["CUkernelNodeAttrValue"]()
    client.cuGraphKernelNodeGetAttribute(second, 8, byref(found))
    assert found.priority == -3
    with refused("INVALID_VALUE"):
        client.cuGraphKernelNodeGetAttribute(second, c_int(99), byref(found))
