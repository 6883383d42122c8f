"""Green contexts, and a device's multiprocessors divided into groups."""

from __future__ import annotations

from collections.abc import Iterator
from ctypes import byref, c_size_t, c_uint, c_ulonglong
from typing import Any

import pytest
from cuda_client import Client, refused

import emulator
from emulator import Gpu, Scenario
from emulator.cuda import _status as status
from emulator.cuda import api
from emulator.cuda.contexts.multiprocessors import Multiprocessors
from emulator.cuda.error import CudaError

SM = 1
SCENARIO = Scenario(gpus=[Gpu("h100-sxm5-80gb"), Gpu("a100-sxm4-80gb"), Gpu("t4")])
HOPPER, AMPERE, TURING = 0, 1, 2
IGNORE_COSCHEDULING, BACKFILL = 1, 1


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    with emulator.emulate(SCENARIO):
        client = Client()
        client.cuInit(0)
        yield client


def resource() -> Any:
    return api.types["CUdevResource"]()


def of(found: Any) -> tuple[int, int, int]:
    """SMs, least group, alignment."""
    sm = found._anonymous0.sm
    return sm.smCount, sm.minSmPartitionSize, sm.smCoscheduledAlignment


def whole(client: Client, device: int) -> Any:
    found = resource()
    client.cuDeviceGetDevResource(device, byref(found), SM)
    return found


def split(client: Client, source: Any, least: int, room: int = 64, flags: int = 0) -> Any:
    """The groups and the remainder."""
    groups = (api.types["CUdevResource"] * room)()
    number, rest = c_uint(room), resource()
    client.cuDevSmResourceSplitByCount(
        groups, byref(number), byref(source), byref(rest), flags, least
    )
    return list(groups[: number.value]), rest


def describe(client: Client, *resources: Any) -> c_size_t:
    array = (api.types["CUdevResource"] * len(resources))(*resources)
    return c_size_t(client.handle("cuDevResourceGenerateDesc", array, len(resources)))


def create(client: Client, device: int, least: int = 16) -> c_size_t:
    (group, *_), _ = split(client, whole(client, device), least)
    return c_size_t(client.handle("cuGreenCtxCreate", describe(client, group), device, 1))


@pytest.mark.parametrize(
    ("device", "expected"),
    [(HOPPER, (132, 8, 8)), (AMPERE, (108, 4, 2)), (TURING, (40, 2, 2))],
)
def test_all_of_a_device(client: Client, device: int, expected: tuple[int, int, int]) -> None:
    found = whole(client, device)
    assert found.type == SM
    assert of(found) == expected
    with refused("INVALID_RESOURCE_TYPE"):
        client.cuDeviceGetDevResource(device, byref(found), 0)


@pytest.mark.parametrize(
    ("device", "least", "flags", "sizes", "rest"),
    [
        (HOPPER, 16, 0, [16] * 8, 4),
        (HOPPER, 9, 0, [16] * 8, 4),
        (HOPPER, 0, 0, [8] * 16, 4),
        (HOPPER, 9, IGNORE_COSCHEDULING, [10] * 13, 2),
        (AMPERE, 1, 0, [4] * 27, 0),
        (AMPERE, 53, 0, [54] * 2, 0),
        (TURING, 3, 0, [4] * 10, 0),
    ],
)
def test_groups_are_rounded_up(
    client: Client, device: int, least: int, flags: int, sizes: list[int], rest: int
) -> None:
    groups, remainder = split(client, whole(client, device), least, flags=flags)
    assert [of(group)[0] for group in groups] == sizes
    assert (remainder.type, of(remainder)[0]) == ((SM, rest) if rest else (0, 0))


def test_fewer_groups_than_there_could_be(client: Client) -> None:
    groups, remainder = split(client, whole(client, HOPPER), 16, room=2)
    assert [of(group)[0] for group in groups] == [16, 16]
    assert of(remainder)[0] == 100
    number = c_uint(0)
    client.cuDevSmResourceSplitByCount(
        None, byref(number), byref(whole(client, HOPPER)), None, 0, 16
    )
    assert number.value == 8


def test_what_cannot_be_split(client: Client) -> None:
    source = whole(client, HOPPER)
    with refused("INVALID_VALUE"):
        split(client, source, 133)
    with refused("INVALID_VALUE"):
        split(client, source, 8, flags=4)
    (group, *_), remainder = split(client, source, 8, room=3)
    with refused("INVALID_RESOURCE_CONFIGURATION"):
        split(client, group, 8)
    assert len(split(client, remainder, 8)[0]) == 13
    with refused("INVALID_RESOURCE_TYPE"):
        split(client, resource(), 8)
    forged = resource()
    forged.type = SM
    with refused("INVALID_RESOURCE_CONFIGURATION"):
        split(client, forged, 8)


Group = api.types["CU_DEV_SM_RESOURCE_GROUP_PARAMS"]


@pytest.mark.parametrize(
    ("params", "sizes"),
    [
        ([Group(24, 4), Group(0, 2, 0, BACKFILL)], [24, 108]),
        ([Group(0)], [128]),
        ([Group(10, 2)], [10]),
        ([Group(128), Group(0)], [128, 0]),
        ([Group(130, 0, 0, BACKFILL)], [130]),
    ],
)
def test_groups_by_their_params(params: list[Any], sizes: list[int]) -> None:
    assert Multiprocessors(0, 9, 132).by_params(params) == sizes


@pytest.mark.parametrize(
    ("group", "code"),
    [
        (Group(9), status.INVALID_VALUE),
        (Group(8, 3), status.INVALID_VALUE),
        (Group(64, 64), status.INVALID_VALUE),
        (Group(8, 0, 0, 16), status.INVALID_VALUE),
        (Group(12), status.INVALID_RESOURCE_CONFIGURATION),
        (Group(136), status.INVALID_RESOURCE_CONFIGURATION),
        (Group(4, 8, 0, BACKFILL), status.INVALID_RESOURCE_CONFIGURATION),
    ],
)
def test_groups_that_cannot_be(group: Any, code: int) -> None:
    with pytest.raises(CudaError) as refusal:
        Multiprocessors(0, 9, 132).by_params([group])
    assert refusal.value.code == code


def test_a_green_context(client: Client) -> None:
    green = create(client, HOPPER)
    found = resource()
    client.cuGreenCtxGetDevResource(green, byref(found), SM)
    assert of(found)[0] == 16
    assert client.handle("cuCtxGetCurrent") == 0
    context = c_size_t(client.handle("cuCtxFromGreenCtx", green))
    client.cuCtxSetCurrent(context)
    assert client.integer("cuCtxGetDevice") == HOPPER
    client.cuCtxGetDevResource(context, byref(found), SM)
    assert of(found)[0] == 16
    with refused("INVALID_CONTEXT"):
        client.cuCtxDestroy_v2(context)


def test_it_keeps_the_primary_context_alive(client: Client) -> None:
    active, flags = c_uint(), c_uint()
    green = create(client, AMPERE)
    client.cuDevicePrimaryCtxGetState(AMPERE, byref(flags), byref(active))
    assert active.value == 1
    client.cuGreenCtxDestroy(green)
    client.cuDevicePrimaryCtxGetState(AMPERE, byref(flags), byref(active))
    assert active.value == 0
    with refused("CONTEXT_IS_DESTROYED"):
        client.cuGreenCtxDestroy(green)
    with refused("CONTEXT_IS_DESTROYED"):
        client.handle("cuCtxFromGreenCtx", green)


def test_memory_is_the_primary_contexts(client: Client) -> None:
    context = c_size_t(client.handle("cuDevicePrimaryCtxRetain", HOPPER))
    green = create(client, HOPPER)
    client.cuCtxSetCurrent(c_size_t(client.handle("cuCtxFromGreenCtx", green)))
    address = c_size_t(client.handle("cuMemAlloc_v2", 1 << 20))
    client.cuGreenCtxDestroy(green)
    client.cuCtxSetCurrent(context)
    client.cuMemsetD8_v2(address, 7, 1 << 20)
    client.cuMemFree_v2(address)


def test_streams_and_events(client: Client) -> None:
    green = create(client, HOPPER)
    stream = c_size_t(client.handle("cuGreenCtxStreamCreate", green, 1, 0))
    found = c_size_t()
    client.cuStreamGetGreenCtx(stream, byref(found))
    assert found.value == green.value
    with refused("INVALID_VALUE"):
        client.handle("cuGreenCtxStreamCreate", green, 0, 0)
    client.cuCtxSetCurrent(c_size_t(client.handle("cuCtxFromGreenCtx", green)))
    event = c_size_t(client.handle("cuEventCreate", 0))
    client.cuGreenCtxRecordEvent(green, event)
    client.cuEventSynchronize(event)
    client.cuGreenCtxWaitEvent(green, event)
    other = create(client, AMPERE)
    with refused("INVALID_HANDLE"):
        client.cuGreenCtxRecordEvent(other, event)
    client.handle("cuCtxCreate_v2", 0, 0)
    client.cuStreamGetGreenCtx(None, byref(found))
    assert found.value == 0


def test_ids_and_handles(client: Client) -> None:
    first, second = c_ulonglong(), c_ulonglong()
    green = create(client, HOPPER)
    if hasattr(client.library, "cuGreenCtxGetId"):
        client.cuGreenCtxGetId(green, byref(first))
        client.cuGreenCtxGetId(create(client, HOPPER), byref(second))
        assert 0 < first.value < second.value
    with refused("INVALID_CONTEXT"):
        client.cuGreenCtxDestroy(c_size_t(0xDEAD000))


def test_what_a_green_context_cannot_be_made_of(client: Client) -> None:
    (first, second), _ = split(client, whole(client, HOPPER), 16, room=2)
    (stranger, *_), _ = split(client, whole(client, HOPPER), 16)
    describe(client, first, second)
    with refused("INVALID_RESOURCE_CONFIGURATION"):
        describe(client, first, stranger)
    with refused("INVALID_DEVICE"):
        client.handle("cuGreenCtxCreate", describe(client, first), AMPERE, 1)
    with refused("INVALID_VALUE"):
        client.handle("cuGreenCtxCreate", describe(client, first), HOPPER, 0)


def test_one_from_before_its_device_failed_stays_failed_a_new_one_works() -> None:
    with emulator.emulate(Scenario(gpus=[Gpu("h100-sxm5-80gb")])) as machine:
        client = Client()
        client.cuInit(0)
        before = create(client, 0)
        machine.devices[0].failure = "lost"
        machine.devices[0].failure = None
        with refused("UNKNOWN"):
            client.handle("cuCtxFromGreenCtx", before)
        client.cuGreenCtxDestroy(before)
        client.cuCtxSetCurrent(c_size_t(client.handle("cuCtxFromGreenCtx", create(client, 0))))
        client.cuCtxSynchronize()


def test_an_error_is_the_primary_contexts() -> None:
    fault = emulator.Fault(function="cuCtxSynchronize", returns="ILLEGAL_ADDRESS", calls=1)
    with emulator.emulate(Scenario(gpus=[Gpu("h100-sxm5-80gb")], faults=[fault])):
        client = Client()
        client.cuInit(0)
        primary = c_size_t(client.handle("cuDevicePrimaryCtxRetain", 0))
        client.cuCtxSetCurrent(c_size_t(client.handle("cuCtxFromGreenCtx", create(client, 0))))
        with refused("ILLEGAL_ADDRESS"):
            client.cuCtxSynchronize()
        client.cuCtxSetCurrent(primary)
        with refused("ILLEGAL_ADDRESS"):
            client.integer("cuCtxGetDevice")
