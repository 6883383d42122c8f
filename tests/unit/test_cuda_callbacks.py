"""Functions of the program's that a stream calls, in Python and in C."""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable
from ctypes import c_int, c_size_t, c_uint, c_void_p
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from cuda_client import Client, StatusError, refused

from emulator import Gpu, Scenario
from emulator.cuda.streams import worker
from emulator.stubfiles import stub

DRIVER = "550.163.01"
HOST_FUNCTION = ctypes.CFUNCTYPE(None, c_void_p)
STREAM_CALLBACK = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_void_p)


def stream(client: Client) -> c_void_p:
    return c_void_p(client.handle("cuStreamCreate", 1))


def test_functions_are_called_in_order(client: Client) -> None:
    seen: list[int] = []
    function = HOST_FUNCTION(seen.append)
    handle = stream(client)
    for number in range(1, 101):
        client.cuLaunchHostFunc(handle, function, c_void_p(number))
    client.cuStreamSynchronize(handle)
    assert seen == list(range(1, 101))
    for missing in ("cuLaunchHostFunc", "cuStreamAddCallback"):
        with refused("INVALID_VALUE"):
            getattr(client, missing)(handle, None, None, 0)


def test_work_waits_for_a_function(client: Client) -> None:
    goes_on, other_done = threading.Event(), threading.Event()
    function = HOST_FUNCTION(lambda _: goes_on.wait() and None)
    word = c_uint.from_address(client.handle("cuMemAlloc_v2", 64))
    client.cuMemsetD32_v2(c_size_t(ctypes.addressof(word)), 0, 1)
    handle, other = stream(client), stream(client)
    client.cuLaunchHostFunc(handle, function, None)
    client.cuStreamWriteValue32_v2(handle, c_size_t(ctypes.addressof(word)), 7, 0)
    with refused("NOT_READY"):
        client.cuStreamQuery(handle)
    client.cuStreamQuery(other)
    assert word.value == 0
    goes_on.set()
    client.cuStreamSynchronize(handle)
    assert word.value == 7
    assert not other_done.is_set()


def test_the_program_may_hold_a_lock_of_its_own(client: Client) -> None:
    lock, done = threading.Lock(), threading.Event()

    def locked(_: object) -> None:
        with lock:
            done.set()

    function = HOST_FUNCTION(locked)
    with lock:
        client.cuLaunchHostFunc(None, function, None)
        assert not done.is_set()
    assert done.wait(60)


def test_a_function_may_not_call_cuda(client: Client) -> None:
    handle, mark = stream(client), c_void_p(client.handle("cuEventCreate", 0))
    calls: list[Callable[[], object]] = [
        lambda: client.handle("cuMemAlloc_v2", 64),
        lambda: client.handle("cuCtxGetCurrent"),
        lambda: client.handle("cuCtxCreate_v2", 0, 0),
        lambda: client.cuCtxSetCurrent(None),
        lambda: client.cuStreamSynchronize(handle),
        lambda: client.cuStreamQuery(None),
        lambda: client.cuEventSynchronize(mark),
        lambda: client.cuLaunchHostFunc(handle, function, None),
    ]
    seen: list[str] = []

    def work(_: object) -> None:
        for call in calls:
            try:
                call()
                seen.append("SUCCESS")
            except StatusError as error:
                seen.append(str(error))

    function = HOST_FUNCTION(work)
    client.cuLaunchHostFunc(handle, function, None)
    client.cuStreamSynchronize(handle)
    assert seen == ["NOT_PERMITTED"] * len(calls)


def test_callbacks_are_told_stream_and_status(client: Client) -> None:
    seen: list[tuple[int | None, int, int | None]] = []
    callback = STREAM_CALLBACK(lambda *arguments: seen.append(arguments))
    handle = stream(client)
    for word in (handle, c_void_p(1), c_void_p(2)):
        client.cuStreamAddCallback(word, callback, c_void_p(42), 0)
        client.cuStreamSynchronize(word)
    assert seen == [(handle.value, 0, 42), (1, 0, 42), (2, 0, 42)]
    with refused("INVALID_VALUE"):
        client.cuStreamAddCallback(handle, callback, None, 1)


def test_an_error_is_told_to_callbacks_and_ends_host_functions(client: Client) -> None:
    statuses: list[int] = []
    called: list[int] = []
    goes_on = threading.Event()
    wait = HOST_FUNCTION(lambda _: goes_on.wait() and None)
    callback = STREAM_CALLBACK(lambda _stream, status, _data: statuses.append(status))
    function = HOST_FUNCTION(called.append)
    handle = stream(client)
    context = c_size_t(client.handle("cuCtxGetCurrent"))
    client.handle("cuCtxCreate_v2", 0, 0)
    gone = c_size_t(client.handle("cuMemAlloc_v2", 64))
    client.cuCtxPushCurrent_v2(context)
    client.cuLaunchHostFunc(handle, wait, None)
    client.cuMemsetD32Async(gone, 1, c_size_t(1), handle)
    client.cuStreamAddCallback(handle, callback, None, 0)
    client.cuLaunchHostFunc(handle, function, c_void_p(1))
    client.handle("cuCtxPopCurrent_v2")
    client.cuCtxDestroy_v2(c_size_t(client.handle("cuCtxGetCurrent")))
    goes_on.set()
    with refused("ILLEGAL_ADDRESS"):
        client.cuStreamSynchronize(handle)
    assert statuses == [700]
    assert called == []


def test_a_function_may_wait_for_another_stream(client: Client) -> None:
    address = client.handle("cuMemAlloc_v2", 64)
    client.cuMemsetD32_v2(c_size_t(address), 0, 16)
    words = (c_uint * 2).from_address(address)
    calling, writing = stream(client), stream(client)
    entered, seen = threading.Event(), threading.Event()

    def wait(_: object) -> None:
        entered.set()
        while not words[1]:
            time.sleep(0.001)
        seen.set()

    function = HOST_FUNCTION(wait)
    client.cuLaunchHostFunc(calling, function, None)
    assert entered.wait(60)
    client.cuStreamWaitValue32_v2(writing, c_size_t(address), 1, 0)
    client.cuStreamWriteValue32_v2(writing, c_size_t(address + 4), 1, 0)
    words[0] = 1  # and no thread calls CUDA from here on
    done = seen.wait(60)
    words[1] = 1
    assert done


HOST = r"""
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/wait.h>

int cuInit(unsigned), cuCtxCreate_v2(void **, unsigned, int), cuCtxSetCurrent(void *);
int cuStreamCreate(void **, unsigned), cuStreamSynchronize(void *);
int cuLaunchHostFunc(void *, void (*)(void *), void *);
int cuStreamAddCallback(void *, void (*)(void *, int, void *), void *, unsigned);
int cuMemAllocHost_v2(void **, size_t);
int cuStreamWaitValue32_v2(void *, unsigned long long, unsigned, unsigned);

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int done, sum;

static void check(int status, const char *what)
{
    if (status) {
        printf("%s: %d\n", what, status);
        exit(1);
    }
}

static void count(void *data)
{
    pthread_mutex_lock(&mutex);
    sum += *(int *)data;
    done++;
    pthread_cond_broadcast(&condition);
    pthread_mutex_unlock(&mutex);
}

static void callback(void *stream, int status, void *data)
{
    if (!status)
        count(data);
}

static void await(int number)
{
    pthread_mutex_lock(&mutex);
    while (done < number)
        pthread_cond_wait(&condition, &mutex);
    pthread_mutex_unlock(&mutex);
}

static void *work(void *context)
{
    static int one = 1;
    void *stream;
    check(cuCtxSetCurrent(context), "cuCtxSetCurrent");
    check(cuStreamCreate(&stream, 1), "cuStreamCreate");
    for (int i = 0; i < 100; i++) {
        pthread_mutex_lock(&mutex); /* held while it is enqueued */
        check(cuLaunchHostFunc(stream, count, &one), "cuLaunchHostFunc");
        pthread_mutex_unlock(&mutex);
    }
    check(cuStreamAddCallback(stream, callback, &one, 0), "cuStreamAddCallback");
    return NULL;
}

static void forever(void *data)
{
    for (;;)
        pause();
}

int main(void)
{
    void *context, *stream, *memory;
    pthread_t threads[4];
    check(cuInit(0), "cuInit");
    check(cuCtxCreate_v2(&context, 0, 0), "cuCtxCreate");
    check(cuStreamCreate(&stream, 1), "cuStreamCreate");
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, work, context);
    await(404); /* no call of CUDA is under way */
    printf("sum %d\n", sum);
    fflush(stdout);

    if (!fork()) /* the child has no worker, and no CUDA */
        _exit(cuStreamSynchronize(NULL));
    int status;
    wait(&status);
    printf("child %d\n", WEXITSTATUS(status));

    check(cuMemAllocHost_v2(&memory, 4096), "cuMemAllocHost");
    volatile unsigned *word = memory;
    *word = 0;
    static int five = 5;
    check(cuStreamWaitValue32_v2(stream, (unsigned long long)memory, 1, 0), "cuStreamWaitValue32");
    check(cuLaunchHostFunc(stream, count, &five), "cuLaunchHostFunc");
    *word = 1;
    await(405);
    printf("sum %d\n", sum);

    check(cuStreamWaitValue32_v2(stream, (unsigned long long)memory, 2, 0), "cuStreamWaitValue32");
    check(cuLaunchHostFunc(stream, count, &five), "cuLaunchHostFunc");
    void *other;
    check(cuStreamCreate(&other, 1), "cuStreamCreate");
    check(cuLaunchHostFunc(other, forever, NULL), "cuLaunchHostFunc");
    return 0; /* with a function under way, and work that waits for ever */
}
"""


def test_a_program_in_c(
    compile_c: Callable[..., Path], run_in: Callable[..., CompletedProcess[str]]
) -> None:
    scenario = Scenario(driver=DRIVER, gpus=[Gpu("t4")])
    program = compile_c(HOST, "-pthread", str(stub("cuda", DRIVER)))
    done = run_in(scenario, [program])
    assert (done.stdout, done.stderr) == ("sum 404\nchild 3\nsum 409\n", "")
    assert done.returncode == 0


ENDING = r"""
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef unsigned long long ptr;
int cuInit(unsigned), cuCtxCreate_v2(void **, unsigned, int), cuCtxDestroy_v2(void *);
int cuCtxSetCurrent(void *), cuStreamCreate(void **, unsigned), cuStreamSynchronize(void *);
int cuMemAlloc_v2(ptr *, size_t), cuMemAllocHost_v2(void **, size_t);
int cuMemcpyDtoDAsync_v2(ptr, ptr, size_t, void *), cuMemsetD32_v2(ptr, unsigned, size_t);
int cuStreamWaitValue32_v2(void *, ptr, unsigned, unsigned);

#define SIZE ((size_t)256 << 20)
static void *context, *stream;

static void check(int status, const char *what)
{
    if (status) {
        printf("%s: %d\n", what, status);
        exit(1);
    }
}

static void *wait_for_it(void *unused)
{
    check(cuCtxSetCurrent(context), "cuCtxSetCurrent");
    return (void *)(size_t)cuStreamSynchronize(stream);
}

int main(void)
{
    ptr from, to;
    void *memory, *status;
    pthread_t thread;
    check(cuInit(0), "cuInit");
    check(cuCtxCreate_v2(&context, 0, 0), "cuCtxCreate");
    check(cuStreamCreate(&stream, 1), "cuStreamCreate");
    check(cuMemAlloc_v2(&from, SIZE), "cuMemAlloc");
    check(cuMemAlloc_v2(&to, SIZE), "cuMemAlloc");
    check(cuMemsetD32_v2(from, 1, 64), "cuMemsetD32");
    check(cuMemAllocHost_v2(&memory, 4096), "cuMemAllocHost");
    volatile unsigned *word = memory;
    *word = 0;
    check(cuStreamWaitValue32_v2(stream, (ptr)memory, 1, 0), "cuStreamWaitValue32");
    for (int i = 0; i < 20; i++)
        check(cuMemcpyDtoDAsync_v2(to, from, SIZE, stream), "cuMemcpyDtoDAsync");
    pthread_create(&thread, NULL, wait_for_it, NULL);
    *word = 1;
    while (!*(volatile unsigned *)to) /* until the first copy is under way */
        usleep(100);
    check(cuCtxDestroy_v2(context), "cuCtxDestroy");
    pthread_join(thread, &status);
    puts("both"); /* its status depends on when it came */
    return 0;
}
"""


def test_a_context_ends_while_work_is_done_in_it(
    compile_c: Callable[..., Path], run_in: Callable[..., CompletedProcess[str]]
) -> None:
    program = compile_c(ENDING, "-pthread", str(stub("cuda", DRIVER)))
    done = run_in(Scenario(driver=DRIVER, gpus=[Gpu("t4")]), [program])
    assert (done.stdout, done.stderr, done.returncode) == ("both\n", "", 0)


AT_EXIT = """
import atexit, ctypes, sys
from ctypes import byref, c_void_p

cuda = ctypes.CDLL("libcuda.so.1")
context, seen = c_void_p(), []
assert cuda.cuInit(0) == cuda.cuCtxCreate_v2(byref(context), 0, 0) == 0
function = ctypes.CFUNCTYPE(None, c_void_p)(seen.append)


def last():
    statuses = cuda.cuLaunchHostFunc(None, function, c_void_p(7)), cuda.cuStreamSynchronize(None)
    print(statuses, seen)


atexit.register(last)
"""


def test_a_program_in_python_that_is_about_to_end(
    run_in: Callable[..., CompletedProcess[str]],
) -> None:
    done = run_in(Scenario(driver=DRIVER, gpus=[Gpu("t4")]), [sys.executable, "-c", AT_EXIT])
    assert (done.stdout, done.stderr, done.returncode) == ("(0, 0) [7]\n", "", 0)


def test_work_where_no_thread_can_be_started(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    seen: list[int] = []
    function = HOST_FUNCTION(seen.append)
    with monkeypatch.context() as patched:
        patched.setattr(worker, "start_new_thread", refuse)
        client.cuLaunchHostFunc(None, function, c_void_p(1))
        client.cuStreamSynchronize(None)
        assert seen == [1]
    client.cuLaunchHostFunc(None, function, c_void_p(2))
    client.cuStreamSynchronize(None)
    assert seen == [1, 2]
