"""Events: what they wait for and the times that they take."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Iterator
from ctypes import byref, c_float, c_size_t, c_uint, c_void_p

import pytest
from cuda_client import Client, refused

import emulator
from emulator import Gpu, Machine, Scenario
from emulator.cuda.streams.operation import Operation
from emulator.cuda.streams.stream import Stream

NON_BLOCKING = 1
BLOCKING_SYNC, DISABLE_TIMING, INTERPROCESS = 1, 2, 4


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with emulator.emulate(Scenario(gpus=[Gpu("a100-sxm4-80gb", count=2)])) as machine:
        yield machine


@pytest.fixture
def word(client: Client) -> c_uint:
    address = client.handle("cuMemAlloc_v2", 64)
    client.cuMemsetD32_v2(c_size_t(address), 0, 16)
    return c_uint.from_address(address)


def event(client: Client, flags: int = 0) -> c_void_p:
    return c_void_p(client.handle("cuEventCreate", flags))


def stream(client: Client, flags: int = NON_BLOCKING) -> c_void_p:
    return c_void_p(client.handle("cuStreamCreate", flags))


def block(client: Client, stream: c_void_p, word: c_uint) -> None:
    client.cuStreamWaitValue32_v2(stream, c_size_t(ctypes.addressof(word)), 1, 0)


def test_flags(client: Client) -> None:
    for flags in (0, 1, 2, 3, 6, 7):
        event(client, flags)
    for flags in (8, INTERPROCESS, INTERPROCESS | BLOCKING_SYNC):
        with refused("INVALID_VALUE"):
            event(client, flags)


def test_an_event_that_was_never_recorded_is_done(client: Client) -> None:
    fresh = event(client)
    client.cuEventQuery(fresh)
    client.cuEventSynchronize(fresh)
    client.cuStreamWaitEvent(stream(client), fresh, 0)


def test_an_event_is_done_when_the_work_before_it_is(client: Client, word: c_uint) -> None:
    mark, waiting = event(client), stream(client)
    client.cuEventRecord(mark, waiting)
    client.cuEventQuery(mark)
    block(client, waiting, word)
    client.cuEventQuery(mark)
    client.cuEventRecord(mark, waiting)
    with refused("NOT_READY"):
        client.cuEventQuery(mark)
    word.value = 1
    client.cuEventSynchronize(mark)
    client.cuEventQuery(mark)
    client.cuStreamQuery(waiting)


def test_a_stream_waits_for_an_event_as_it_was_then(client: Client, word: c_uint) -> None:
    mark, first, second = event(client), stream(client), stream(client)
    block(client, first, word)
    client.cuEventRecord(mark, first)
    client.cuStreamWaitEvent(second, mark, 0)
    client.cuEventRecord(mark, stream(client))  # elsewhere, and done: the wait is for the first
    client.cuEventQuery(mark)
    with refused("NOT_READY"):
        client.cuStreamQuery(second)
    word.value = 1
    client.cuStreamSynchronize(second)


def test_a_stream_waits_for_another_device(client: Client, word: c_uint) -> None:
    mark, first = event(client), stream(client)
    block(client, first, word)
    client.cuEventRecord(mark, first)
    context = c_size_t(client.handle("cuCtxCreate_v2", 0, 1))
    second = stream(client)
    client.cuStreamWaitEvent(second, mark, 0)
    with refused("NOT_READY"):
        client.cuStreamQuery(second)
    client.handle("cuCtxPopCurrent_v2")
    first_context = c_size_t(client.handle("cuCtxGetCurrent"))
    client.cuCtxDestroy_v2(first_context)  # what it waits for never comes
    client.cuCtxPushCurrent_v2(context)
    client.cuStreamSynchronize(second)


def test_elapsed_time_is_the_machines(client: Client, machine: Machine) -> None:
    machine.clock.rate = 0
    start, end = event(client), event(client, BLOCKING_SYNC)
    client.cuEventRecord(start, None)
    machine.clock.advance(1.5)
    client.cuEventRecord(end, None)
    assert client.get("cuEventElapsedTime", c_float, start, end) == 1500
    assert client.get("cuEventElapsedTime_v2", c_float, end, start) == -1500


def test_elapsed_times_that_are_refused(client: Client, word: c_uint) -> None:
    done, fresh, without = event(client), event(client), event(client, DISABLE_TIMING)
    client.cuEventRecord(done, None)
    client.cuEventRecord(without, None)
    for other in (fresh, without):
        for pair in ((done, other), (other, done)):
            with refused("INVALID_HANDLE"):
                client.get("cuEventElapsedTime", c_float, *pair)
    waiting = stream(client)
    block(client, waiting, word)
    client.cuEventRecord(fresh, waiting)
    with refused("NOT_READY"):
        client.get("cuEventElapsedTime", c_float, done, fresh)
    client.handle("cuCtxCreate_v2", 0, 1)
    elsewhere = event(client)
    client.cuEventRecord(elsewhere, None)
    with refused("INVALID_HANDLE"):
        client.get("cuEventElapsedTime", c_float, done, elsewhere)


def test_events_that_are_none(client: Client) -> None:
    gone = event(client)
    client.cuEventDestroy_v2(gone)
    with refused("INVALID_HANDLE"):
        client.cuEventDestroy_v2(gone)
    with refused("INVALID_HANDLE"):
        client.cuEventRecord(gone, None)
    here = event(client)
    with refused("INVALID_VALUE"):
        client.cuStreamWaitEvent(None, here, 2)
    with refused("INVALID_VALUE"):
        client.cuEventRecordWithFlags(here, None, 1)
    context = c_size_t(client.handle("cuCtxCreate_v2", 0, 1))
    with refused("INVALID_HANDLE"):  # of another context than the stream
        client.cuEventRecord(here, None)
    there = event(client)
    client.cuCtxDestroy_v2(context)
    with refused("INVALID_HANDLE"):
        client.cuEventQuery(there)


def test_another_thread_is_woken(client: Client, word: c_uint) -> None:
    mark, waiting = event(client, BLOCKING_SYNC), stream(client)
    block(client, waiting, word)
    client.cuEventRecord(mark, waiting)
    thread = threading.Thread(target=client.cuEventSynchronize, args=(mark,))
    thread.start()
    word.value = 1
    thread.join(60)
    assert not thread.is_alive()


def test_an_event_of_a_context(client: Client, word: c_uint) -> None:
    context = c_size_t(client.handle("cuCtxGetCurrent"))
    mark = event(client)
    client.cuCtxRecordEvent(context, mark)
    client.cuEventQuery(mark)
    waiting, other = stream(client), stream(client)
    block(client, waiting, word)
    client.cuCtxRecordEvent(context, mark)
    with refused("NOT_READY"):
        client.cuEventQuery(mark)
    client.cuStreamQuery(other)
    client.cuCtxWaitEvent(context, mark)
    for late in (other, None, stream(client), stream(client, 0)):
        client.cuStreamWriteValue32_v2(late, c_size_t(ctypes.addressof(word) + 4), 1, 0)
        with refused("NOT_READY"):
            client.cuStreamQuery(late)
    word.value = 1
    client.cuEventSynchronize(mark)
    client.cuStreamSynchronize(other)
    client.cuStreamSynchronize(None)
    client.cuStreamQuery(stream(client))


def test_elapsed_time_needs_no_more_than_was_recorded(client: Client) -> None:
    start, end = event(client), event(client)
    client.cuEventRecord(start, None)
    client.cuEventRecord(end, None)
    elapsed = c_float(-1)
    client.cuEventElapsedTime(byref(elapsed), start, end)
    assert elapsed.value >= 0


def test_a_thread_that_waits_while_the_event_is_being_recorded(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = event(client)
    waiter = threading.Thread(target=client.cuEventSynchronize, args=(mark,), daemon=True)
    submit = Stream.submit

    def late(stream: Stream, operation: Operation) -> None:
        """The event has its mark, and the work is not there yet."""
        waiter.start()
        while not stream.schedule.gates:
            time.sleep(0.001)
        submit(stream, operation)

    monkeypatch.setattr(Stream, "submit", late)
    client.cuEventRecord(mark, c_void_p(1))
    waiter.join(60)
    assert not waiter.is_alive()
