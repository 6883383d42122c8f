"""Contexts and the stacks that they are current on."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from ctypes import byref, c_int, c_size_t, c_uint

import pytest
from cuda_client import Client, in_child, refused

import emulator
from emulator import Fault, Gpu, Machine, Scenario
from emulator.cuda import api
from emulator.cuda.contexts.context import Context
from emulator.cuda.streams.schedule import Schedule


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    gpus = [Gpu("h100-sxm5-80gb", count=2, memory_used="10 GiB")]
    with emulator.emulate(Scenario(gpus=gpus)) as machine:
        yield machine


@pytest.fixture
def client(machine: Machine) -> Client:
    assert machine
    client = Client()
    client.cuInit(0)
    return client


def create(client: Client, device: int, flags: int = 0) -> c_size_t:
    return c_size_t(client.handle("cuCtxCreate_v2", flags, device))


def current(client: Client) -> int:
    return client.handle("cuCtxGetCurrent")


def state(client: Client, device: int) -> tuple[int, int]:
    flags, active = c_uint(), c_int()
    client.cuDevicePrimaryCtxGetState(device, byref(flags), byref(active))
    return flags.value, active.value


def test_without_a_context(client: Client) -> None:
    assert current(client) == 0
    for function in ("cuCtxGetDevice", "cuCtxGetFlags", "cuCtxPopCurrent_v2"):
        with refused("INVALID_CONTEXT"):
            client.handle(function)
    with refused("INVALID_CONTEXT"):
        client.cuCtxSynchronize()
    with refused("INVALID_CONTEXT"):
        client.cuMemGetInfo_v2(byref(c_size_t()), byref(c_size_t()))
    client.cuCtxSetCurrent(None)


def test_creating_makes_current_and_destroying_makes_the_one_before_current(
    client: Client,
) -> None:
    first, second = create(client, 0), create(client, 1)
    assert first.value != second.value
    assert current(client) == second.value
    assert client.integer("cuCtxGetDevice") == 1
    client.cuCtxDestroy_v2(second)
    assert current(client) == first.value
    assert client.integer("cuCtxGetDevice") == 0
    client.cuCtxDestroy_v2(first)
    assert current(client) == 0


def test_memory_of_the_current_device(client: Client, machine: Machine) -> None:
    create(client, 1)
    free, total = c_size_t(), c_size_t()
    client.cuMemGetInfo_v2(byref(free), byref(total))
    device = machine.devices[1]
    assert total.value == device.memory.total - device.memory.reserved
    assert total.value - free.value == (10 << 30) + device.context_memory
    client.cuMemGetInfo_v2(None, byref(total))
    client.cuMemGetInfo_v2(byref(free), None)
    client.cuMemGetInfo_v2(None, None)


def test_the_stack(client: Client) -> None:
    first, second = create(client, 0), create(client, 1)
    assert client.handle("cuCtxPopCurrent_v2") == second.value
    assert current(client) == first.value
    client.cuCtxPushCurrent_v2(second)
    client.cuCtxPushCurrent_v2(second)
    client.cuCtxPopCurrent_v2(None)
    assert current(client) == second.value
    client.cuCtxSetCurrent(first)
    assert [client.handle("cuCtxPopCurrent_v2") for _ in range(2)] == [first.value] * 2
    with refused("INVALID_CONTEXT"):
        client.handle("cuCtxPopCurrent_v2")


def test_setting_null_takes_only_the_top_off(client: Client) -> None:
    first, _ = create(client, 0), create(client, 1)
    client.cuCtxSetCurrent(None)
    assert current(client) == first.value
    client.cuCtxSetCurrent(None)
    assert current(client) == 0


def test_each_thread_has_its_own_stack(client: Client) -> None:
    context = create(client, 0)
    seen: list[int] = []

    def work() -> None:
        seen.append(current(client))
        client.cuCtxSetCurrent(context)
        seen.append(current(client))

    for _ in range(2):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert seen == [0, context.value] * 2
    assert current(client) == context.value


def test_a_context_that_another_thread_destroyed(client: Client) -> None:
    context = create(client, 0)
    thread = threading.Thread(target=client.cuCtxDestroy_v2, args=(context,))
    thread.start()
    thread.join()
    assert current(client) == context.value
    with refused("CONTEXT_IS_DESTROYED"):
        client.integer("cuCtxGetDevice")
    with refused("CONTEXT_IS_DESTROYED"):
        client.cuCtxDestroy_v2(context)
    assert client.handle("cuCtxPopCurrent_v2") == context.value
    with refused("CONTEXT_IS_DESTROYED"):
        client.cuCtxPushCurrent_v2(context)


def test_handles_that_are_none(client: Client) -> None:
    nonsense = c_size_t(0xDEAD000)
    for function in ("cuCtxPushCurrent_v2", "cuCtxSetCurrent", "cuCtxDestroy_v2"):
        with refused("INVALID_CONTEXT"):
            getattr(client, function)(nonsense)
    with refused("INVALID_VALUE"):
        client.cuCtxDestroy_v2(None)


def test_flags(client: Client) -> None:
    for flags in (0, 1, 2, 4, 8, 0xF8):
        create(client, 0, flags)
        assert client.get("cuCtxGetFlags", c_uint) == flags
    for flags in (3, 7, 0x100):
        with refused("INVALID_VALUE"):
            create(client, 0, flags)
    with refused("INVALID_DEVICE"):
        create(client, 2)


def test_forms_of_create(client: Client) -> None:
    versions = {
        client.handle("cuCtxCreate", 0, 0): 3010,
        client.handle("cuCtxCreate_v2", 0, 0): 3020,
        client.handle("cuCtxCreate_v3", None, 0, 0, 0): 3020,
        client.handle("cuCtxCreate_v4", None, 0, 0): 3020,
    }
    assert len(versions) == 4
    for context, expected in versions.items():
        version = c_uint()
        client.cuCtxGetApiVersion(c_size_t(context), byref(version))
        assert version.value == expected
    params = api.types["CUctxCreateParams"]()
    client.handle("cuCtxCreate_v4", byref(params), 0, 0)
    params.numExecAffinityParams = 1
    with refused("UNSUPPORTED_EXEC_AFFINITY"):
        client.handle("cuCtxCreate_v4", byref(params), 0, 0)
    with refused("UNSUPPORTED_EXEC_AFFINITY"):
        client.handle("cuCtxCreate_v3", ctypes.create_string_buffer(64), 1, 0, 0)


def test_a_device_that_is_closed_to_compute(client: Client, machine: Machine) -> None:
    machine.devices[0].compute_mode = "PROHIBITED"
    with refused("DEVICE_UNAVAILABLE"):
        create(client, 0)
    with refused("DEVICE_UNAVAILABLE"):
        client.handle("cuDevicePrimaryCtxRetain", 0)
    create(client, 1)


def test_the_primary_context_lives_while_it_is_retained(client: Client) -> None:
    assert state(client, 0) == (0, 0)
    context = client.handle("cuDevicePrimaryCtxRetain", 0)
    assert client.handle("cuDevicePrimaryCtxRetain", 0) == context
    assert current(client) == 0, "retaining makes nothing current"
    client.cuDevicePrimaryCtxRelease_v2(0)
    assert state(client, 0) == (0, 1)
    client.cuDevicePrimaryCtxRelease_v2(0)
    assert state(client, 0) == (0, 0)
    with refused("INVALID_CONTEXT"):
        client.cuDevicePrimaryCtxRelease_v2(0)
    assert client.handle("cuDevicePrimaryCtxRetain", 0) == context
    assert client.handle("cuDevicePrimaryCtxRetain", 1) != context


def test_a_reset_primary_context_stays_current_and_can_be_revived(client: Client) -> None:
    context = client.handle("cuDevicePrimaryCtxRetain", 0)
    client.cuCtxSetCurrent(c_size_t(context))
    client.cuDevicePrimaryCtxReset_v2(0)
    assert state(client, 0) == (0, 0)
    assert current(client) == context
    with refused("CONTEXT_IS_DESTROYED"):
        client.integer("cuCtxGetDevice")
    assert client.handle("cuDevicePrimaryCtxRetain", 0) == context
    assert client.integer("cuCtxGetDevice") == 0
    with refused("INVALID_CONTEXT"):
        client.cuCtxDestroy_v2(c_size_t(context))


def test_flags_of_a_primary_context(client: Client) -> None:
    client.cuDevicePrimaryCtxSetFlags_v2(0, 4)
    assert state(client, 0) == (4, 0)
    with refused("INVALID_VALUE"):
        client.cuDevicePrimaryCtxSetFlags_v2(0, 3)
    client.handle("cuDevicePrimaryCtxRetain", 0)
    with refused("PRIMARY_CONTEXT_ACTIVE"):
        client.cuDevicePrimaryCtxSetFlags(0, 1)
    client.cuDevicePrimaryCtxSetFlags_v2(0, 1)
    assert state(client, 0) == (1, 1)


def test_a_forked_child_has_no_contexts(client: Client) -> None:
    context = create(client, 0)
    assert in_child(lambda: str(current(client))) == "NOT_INITIALIZED"
    assert current(client) == context.value


def test_the_next_scenario_starts_without_contexts(client: Client) -> None:
    context = create(client, 0)
    with emulator.emulate(Scenario(gpus=[Gpu("t4")])):
        client.cuInit(0)
        assert current(client) == 0
        with refused("INVALID_CONTEXT"):
            client.cuCtxPushCurrent_v2(context)


def test_who_retains_a_primary_context_that_is_about_to_end_keeps_it(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread comes between the last release and the end."""
    client.handle("cuDevicePrimaryCtxRetain", 0)
    stop = Schedule.stop

    def retain_and_stop(schedule: Schedule, context: Context) -> None:
        thread = threading.Thread(target=client.handle, args=("cuDevicePrimaryCtxRetain", 0))
        thread.start()
        thread.join(30)
        assert not thread.is_alive()
        stop(schedule, context)

    monkeypatch.setattr(Schedule, "stop", retain_and_stop)
    client.cuDevicePrimaryCtxRelease_v2(0)
    monkeypatch.undo()
    assert state(client, 0) == (0, 1)
    client.cuDevicePrimaryCtxRelease_v2(0)
    assert state(client, 0) == (0, 0)


def test_a_stream_s_function_that_may_have_no_context_makes_and_ends_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    fault = Fault("cuEventCreate", returns="ILLEGAL_ADDRESS")
    with emulator.emulate(Scenario(gpus=[Gpu("t4")], faults=[fault])) as machine:
        client = Client()
        client.cuInit(0)
        context = create(client, 0)
        stream = c_size_t(client.handle("cuStreamCreate", 0))
        seen: list[int] = []
        library, out = client.library, c_size_t()

        @ctypes.CFUNCTYPE(None, ctypes.c_void_p)
        def work(_: object) -> None:
            seen.append(library.cuCtxCreate_v2(byref(out), 0, 0))
            seen.append(library.cuCtxDestroy_v2(context))
            seen.append(library.cuEventCreate(byref(out), 0))

        client.cuLaunchHostFunc(stream, work, None)
        client.cuStreamSynchronize(stream)
        assert [api.status_name(code) for code in seen] == [
            "NOT_PERMITTED",
            "NOT_PERMITTED",
            "ILLEGAL_ADDRESS",
        ]
        assert machine.ledger.held(machine.devices[0]) == machine.devices[0].context_memory
