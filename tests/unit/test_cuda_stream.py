"""Streams: their order, what they wait for, what can be asked of them."""

from __future__ import annotations

import ctypes
import threading
from ctypes import byref, c_int, c_size_t, c_uint, c_ulonglong, c_void_p

from cuda_client import Client, in_child, refused

import emulator
from emulator import Gpu, Machine, Scenario
from emulator.cuda import api

NON_BLOCKING = 1
LEGACY, PER_THREAD = c_void_p(1), c_void_p(2)
GEQ, EQ, AND, NOR = range(4)


def stream(client: Client, flags: int = 0) -> c_void_p:
    return c_void_p(client.handle("cuStreamCreate", flags))


def at(words: ctypes.Array[c_uint], index: int) -> c_size_t:
    return c_size_t(ctypes.addressof(words) + 4 * index)


def block(client: Client, stream: c_void_p, words: ctypes.Array[c_uint], index: int = 0) -> None:
    """Have a stream wait until a word is not zero."""
    client.cuStreamWaitValue32_v2(stream, at(words, index), 1, GEQ)


def write(
    client: Client, stream: c_void_p, words: ctypes.Array[c_uint], index: int, value: int = 7
) -> None:
    client.cuStreamWriteValue32_v2(stream, at(words, index), value, 0)


def is_idle(client: Client, stream: c_void_p | None) -> bool:
    status: int = client.library.cuStreamQuery(stream)
    assert status in {0, 600}
    return not status


def test_what_a_stream_is(client: Client) -> None:
    plain, other = stream(client), stream(client, NON_BLOCKING)
    with_priority = c_void_p(client.handle("cuStreamCreateWithPriority", 0, -100))
    numbers = set()
    for handle, flags, priority in ((plain, 0, 0), (other, 1, 0), (with_priority, 0, -5)):
        found_flags, found_priority, number = c_uint(), c_int(), c_ulonglong()
        client.cuStreamGetFlags(handle, byref(found_flags))
        client.cuStreamGetPriority(handle, byref(found_priority))
        client.cuStreamGetId(handle, byref(number))
        assert (found_flags.value, found_priority.value) == (flags, priority)
        numbers.add(number.value)
        context = c_size_t()
        client.cuStreamGetCtx(handle, byref(context))
        assert context.value == client.handle("cuCtxGetCurrent")
    assert len(numbers) == 3
    least, greatest = c_int(9), c_int(9)
    client.cuCtxGetStreamPriorityRange(byref(least), byref(greatest))
    assert (least.value, greatest.value) == (0, -5)
    with refused("INVALID_VALUE"):
        stream(client, 2)


def test_priorities_of_an_older_device(client: Client, machine: Machine) -> None:
    machine.devices[0].compute_capability = (6, 0)
    greatest = c_int()
    client.cuCtxGetStreamPriorityRange(None, byref(greatest))
    assert greatest.value == -1


def test_a_stream_that_is_destroyed_is_none(client: Client) -> None:
    handle = stream(client)
    client.cuStreamSynchronize(handle)
    client.cuStreamDestroy_v2(handle)
    for function in ("cuStreamQuery", "cuStreamSynchronize", "cuStreamDestroy_v2"):
        with refused("INVALID_HANDLE"):
            getattr(client, function)(handle)
    for default in (LEGACY, PER_THREAD):
        with refused("INVALID_HANDLE"):
            client.cuStreamDestroy_v2(default)


def test_streams_end_with_their_context(client: Client) -> None:
    context = c_size_t(client.handle("cuCtxCreate_v2", 0, 1))
    handle = stream(client)
    device = c_int(7)
    client.cuStreamGetDevice(handle, byref(device))
    assert device.value == 1
    client.cuCtxDestroy_v2(context)
    with refused("INVALID_HANDLE"):
        client.cuStreamQuery(handle)


def test_default_streams_need_a_context(client: Client) -> None:
    client.handle("cuCtxPopCurrent_v2")
    for default in (None, LEGACY, PER_THREAD):
        with refused("INVALID_CONTEXT"):
            client.cuStreamQuery(default)


def test_work_waits_for_a_value_in_memory(client: Client, words: ctypes.Array[c_uint]) -> None:
    waiting, free = stream(client), stream(client)
    block(client, waiting, words)
    write(client, waiting, words, 1)
    write(client, free, words, 2)
    assert not is_idle(client, waiting)
    assert is_idle(client, free)
    assert list(words[:3]) == [0, 0, 7]
    words[0] = 1
    client.cuStreamSynchronize(waiting)
    assert words[1] == 7
    assert is_idle(client, waiting)


def test_work_goes_on_without_a_call(client: Client, words: ctypes.Array[c_uint]) -> None:
    waiting = stream(client)
    block(client, waiting, words)
    write(client, waiting, words, 1)
    words[0] = 1
    pause = threading.Event()
    while not words[1]:
        pause.wait(0.001)


def test_comparisons(client: Client, words: ctypes.Array[c_uint]) -> None:
    waiting = stream(client)
    for comparison, value, unsatisfied, satisfied in (
        (GEQ, 5, 4, 6),
        (GEQ, 0xFFFFFFFF, 0xFFFFFFFE, 3),  # cyclic: 3 comes after
        (EQ, 5, 6, 5),
        (AND, 6, 1, 2),
        (NOR, 0xFFFFFFF0, 0x0F, 0x0E),
    ):
        words[0] = unsatisfied
        client.cuStreamWaitValue32_v2(waiting, at(words, 0), value, comparison)
        assert not is_idle(client, waiting)
        words[0] = satisfied
        client.cuStreamSynchronize(waiting)


def test_words_of_64_bits(client: Client, words: ctypes.Array[c_uint]) -> None:
    handle = stream(client)
    client.cuStreamWriteValue64_v2(handle, at(words, 2), c_ulonglong(3 << 40), 0)
    assert (words[2], words[3]) == (0, 3 << 8)
    client.cuStreamWaitValue64_v2(handle, at(words, 2), c_ulonglong(3 << 40), EQ)
    assert is_idle(client, handle)


def test_memory_operations_that_are_refused(client: Client, words: ctypes.Array[c_uint]) -> None:
    handle = stream(client)
    host = c_uint()
    for address in (c_size_t(at(words, 0).value + 2), c_size_t(0), c_size_t(0xDEAD0000)):
        with refused("INVALID_VALUE"):
            client.cuStreamWaitValue32_v2(handle, address, 1, 0)
    with refused("INVALID_VALUE"):
        client.cuStreamWriteValue32_v2(handle, c_size_t(ctypes.addressof(host)), 1, 0)
    with refused("INVALID_VALUE"):
        client.cuStreamWriteValue32_v2(handle, at(words, 0), 1, 2)
    with refused("NOT_SUPPORTED"):  # of the first version: off by default
        client.cuStreamWaitValue32(handle, at(words, 0), 1, 0)


def test_a_batch_of_memory_operations(client: Client, words: ctypes.Array[c_uint]) -> None:
    handle = stream(client)
    batch = (api.types["CUstreamBatchMemOpParams"] * 4)()
    for index, (operation, place) in enumerate(((2, 1), (1, 0), (2, 2), (6, 0))):
        batch[index].operation = operation
        if operation != 6:
            batch[index].writeValue.address = at(words, place).value
            batch[index].writeValue._anonymous0.value = 9
    client.cuStreamBatchMemOp_v2(handle, 4, batch, 0)
    assert list(words[:3]) == [0, 9, 0], "the first is done, the second waits"
    words[0] = 9
    client.cuStreamSynchronize(handle)
    assert words[2] == 9
    batch[0].operation = 77
    with refused("INVALID_VALUE"):
        client.cuStreamBatchMemOp_v2(handle, 1, batch, 0)
    with refused("INVALID_VALUE"):
        client.cuStreamBatchMemOp_v2(handle, 257, (type(batch[0]) * 257)(), 0)


def test_the_legacy_stream_waits_for_blocking_ones(
    client: Client, words: ctypes.Array[c_uint]
) -> None:
    blocking, other = stream(client), stream(client, NON_BLOCKING)
    block(client, blocking, words)
    write(client, LEGACY, words, 1)
    write(client, other, words, 2)
    assert not is_idle(client, LEGACY)
    assert not is_idle(client, None)
    assert list(words[1:3]) == [0, 7]
    words[0] = 1
    client.cuStreamSynchronize(None)
    assert words[1] == 7


def test_blocking_streams_wait_for_the_legacy_one(
    client: Client, words: ctypes.Array[c_uint]
) -> None:
    blocking, other = stream(client), stream(client, NON_BLOCKING)
    block(client, LEGACY, words)
    for index, handle in enumerate((blocking, PER_THREAD, other)):
        write(client, handle, words, 1 + index)
    assert list(words[1:4]) == [0, 0, 7]
    words[0] = 1
    client.cuCtxSynchronize()
    client.cuStreamSynchronize(blocking)
    client.cuStreamSynchronize(PER_THREAD)
    assert list(words[1:4]) == [7, 7, 7]


def test_each_thread_has_a_default_stream(client: Client, words: ctypes.Array[c_uint]) -> None:
    context = c_size_t(client.handle("cuCtxGetCurrent"))
    block(client, PER_THREAD, words)
    idle: list[bool] = []

    def look() -> None:
        client.cuCtxSetCurrent(context)
        idle.append(is_idle(client, PER_THREAD))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert idle == [True]
    assert not is_idle(client, PER_THREAD)
    assert client.library.cuStreamQuery_ptsz(None) == 600
    words[0] = 1
    client.cuStreamSynchronize_ptsz(None)


def test_a_stream_of_another_context_waits_for_nothing_here(
    client: Client, words: ctypes.Array[c_uint]
) -> None:
    block(client, LEGACY, words)
    client.handle("cuCtxCreate_v2", 0, 1)
    assert is_idle(client, LEGACY)
    assert is_idle(client, stream(client))


def test_what_waits_in_a_destroyed_stream_is_done(
    client: Client, words: ctypes.Array[c_uint]
) -> None:
    handle = stream(client)
    block(client, handle, words)
    write(client, handle, words, 1)
    client.cuStreamDestroy_v2(handle)
    assert not is_idle(client, LEGACY)
    words[0] = 1
    client.cuStreamSynchronize(LEGACY)
    assert words[1] == 7


def test_what_waits_in_a_destroyed_context_is_not_done(
    client: Client, words: ctypes.Array[c_uint]
) -> None:
    context = c_size_t(client.handle("cuCtxCreate_v2", 0, 0))
    handle = stream(client)
    block(client, handle, words)
    write(client, handle, words, 1)
    client.cuCtxDestroy_v2(context)
    words[0] = 1
    client.cuStreamSynchronize(LEGACY)
    assert words[1] == 0


def test_memory_that_goes_under_a_wait_poisons_the_context(client: Client) -> None:
    handle = stream(client, NON_BLOCKING)
    context = c_size_t(client.handle("cuCtxCreate_v2", 0, 0))
    address = c_size_t(client.handle("cuMemAlloc_v2", 64))
    client.cuMemsetD32_v2(address, 0, 16)
    client.cuStreamWaitValue32_v2(handle, address, 1, 0)
    client.cuCtxDestroy_v2(context)
    with refused("ILLEGAL_ADDRESS"):
        client.cuStreamSynchronize(handle)
    with refused("ILLEGAL_ADDRESS"):
        client.handle("cuStreamCreate", 0)


def test_threads_that_share_a_stream_lose_nothing(
    client: Client, words: ctypes.Array[c_uint]
) -> None:
    handle = stream(client)
    context = c_size_t(client.handle("cuCtxGetCurrent"))
    block(client, handle, words)

    def work(index: int) -> None:
        client.cuCtxSetCurrent(context)
        for value in range(1, 101):
            write(client, handle, words, index, value)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(1, 9)]
    for thread in threads:
        thread.start()
    words[0] = 1
    for thread in threads:
        thread.join()
    client.cuStreamSynchronize(handle)
    assert list(words[1:9]) == [100] * 8


def test_attributes(client: Client) -> None:
    first, second = stream(client), stream(client)
    value = api.types["CUstreamAttrValue"]()
    client.cuStreamGetAttribute(first, 3, byref(value))
    assert value.syncPolicy == 1
    value.syncPolicy = 4
    client.cuStreamSetAttribute(first, 3, byref(value))
    value.syncPolicy = 9
    with refused("INVALID_VALUE"):
        client.cuStreamSetAttribute(first, 3, byref(value))
    value.accessPolicyWindow.num_bytes = 4096
    client.cuStreamSetAttribute(first, 1, byref(value))
    client.cuStreamCopyAttributes(second, first)
    client.cuStreamGetAttribute(second, 3, byref(value))
    assert value.syncPolicy == 4
    client.cuStreamGetAttribute(second, 1, byref(value))
    assert value.accessPolicyWindow.num_bytes == 4096
    for function in ("cuStreamGetAttribute", "cuStreamSetAttribute"):
        with refused("INVALID_VALUE"):
            getattr(client, function)(first, 4, byref(value))


def test_attaching_managed_memory(client: Client, words: ctypes.Array[c_uint]) -> None:
    managed = c_size_t(client.handle("cuMemAllocManaged", c_size_t(4096), 1))
    handle = stream(client)
    client.cuStreamAttachMemAsync(handle, managed, c_size_t(0), 4)
    client.cuStreamAttachMemAsync(handle, managed, c_size_t(4096), 1)
    for address, length, flags in ((managed, 8, 4), (managed, 0, 3), (at(words, 0), 0, 1)):
        with refused("INVALID_VALUE"):
            client.cuStreamAttachMemAsync(handle, address, c_size_t(length), flags)


def test_a_forked_child_does_not_wait(client: Client, words: ctypes.Array[c_uint]) -> None:
    block(client, LEGACY, words)
    assert in_child(lambda: str(is_idle(client, None))) == ""
    assert in_child(lambda: str(client.cuStreamSynchronize(None))) == "NOT_INITIALIZED"
    words[0] = 1
    client.cuStreamSynchronize(None)


def test_the_next_scenario_starts_without_pending_work(
    client: Client, words: ctypes.Array[c_uint]
) -> None:
    handle = stream(client)
    block(client, handle, words)
    with emulator.emulate(Scenario(gpus=[Gpu("t4")])):
        client.cuInit(0)
        client.handle("cuCtxCreate_v2", 0, 0)
        assert is_idle(client, LEGACY)
        with refused("INVALID_HANDLE"):
            client.cuStreamQuery(handle)


def reserved(client: Client) -> int:
    """Bytes that the device's pool holds."""
    pool, value = c_size_t(client.handle("cuDeviceGetDefaultMemPool", 0)), c_ulonglong()
    client.cuMemPoolGetAttribute(pool, 5, byref(value))  # RESERVED_MEM_CURRENT
    return value.value


def test_waiting_gives_back_what_pools_do_not_need(client: Client) -> None:
    event = c_void_p(client.handle("cuEventCreate", 0))
    for wait in (
        lambda: client.cuStreamSynchronize(None),
        client.cuCtxSynchronize,
        lambda: client.cuEventSynchronize(event),
    ):
        address = c_size_t(client.handle("cuMemAllocAsync", c_size_t(1 << 20), None))
        client.cuMemFreeAsync(address, None)
        assert reserved(client) >= 1 << 20
        wait()
        assert reserved(client) == 0


def test_waiting_for_a_context_that_is_named(client: Client) -> None:
    first = c_size_t(client.handle("cuCtxGetCurrent"))
    word = c_uint.from_address(client.handle("cuMemAlloc_v2", 64))
    client.cuMemsetD32_v2(c_size_t(ctypes.addressof(word)), 0, 16)
    waiting = c_void_p(client.handle("cuStreamCreate", 1))
    client.cuStreamWaitValue32_v2(waiting, c_size_t(ctypes.addressof(word)), 1, 0)
    second = c_size_t(client.handle("cuCtxCreate_v2", 0, 0))
    client.cuCtxSynchronize_v2(None)
    thread = threading.Thread(target=client.cuCtxSynchronize_v2, args=(first,))
    thread.start()
    word.value = 1
    thread.join(60)
    assert not thread.is_alive()
    client.cuStreamQuery(waiting)
    client.cuCtxDestroy_v2(second)
    with refused("CONTEXT_IS_DESTROYED"):
        client.cuCtxSynchronize_v2(second)
    client.cuCtxSetCurrent(None)
    client.cuCtxSynchronize_v2(first)
    with refused("INVALID_CONTEXT"):
        client.cuCtxSynchronize_v2(None)
