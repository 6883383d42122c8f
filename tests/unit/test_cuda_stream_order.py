"""Whatever programs do with streams and events, work comes in the order that CUDA promises."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from ctypes import c_size_t, c_uint, c_void_p

from cuda_client import Client
from hypothesis import given, settings
from hypothesis import strategies as st

import emulator
from emulator import Gpu, Scenario

LEGACY, BLOCKING, OTHER_BLOCKING, FREE = range(4)
EVENTS = 2

HOST_FUNCTION = ctypes.CFUNCTYPE(None, c_void_p)

ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["call", "record", "wait", "call", "write", "block", "thread"]),
        st.integers(LEGACY, FREE),
        st.integers(0, EVENTS - 1),
    ),
    min_size=5,
    max_size=30,
)


def call(function: Callable[..., None], *arguments: int) -> None:
    """Call it here."""
    function(*arguments)


def run_in_thread(function: Callable[..., None], *arguments: int) -> None:
    """Call it in a thread of its own."""
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    thread.join()


class Model:
    """What must come before what: for each stream and event the work that its next step follows."""

    def __init__(self) -> None:
        self.streams: list[set[int]] = [set() for _ in range(4)]
        self.events: list[set[int]] = [set() for _ in range(EVENTS)]
        self.before: dict[int, set[int]] = {}

    def enter(self, stream: int) -> None:
        """The legacy stream follows the blocking ones, and they follow it."""
        others = {LEGACY: (BLOCKING, OTHER_BLOCKING), FREE: ()}.get(stream, (LEGACY,))
        for other in others:
            self.streams[stream] |= self.streams[other]

    def work(self, stream: int, number: int) -> None:
        self.enter(stream)
        self.before[number] = set(self.streams[stream])
        self.streams[stream].add(number)

    def record(self, stream: int, event: int) -> None:
        self.enter(stream)
        self.events[event] = set(self.streams[stream])

    def wait(self, stream: int, event: int) -> None:
        self.enter(stream)
        self.streams[stream] |= self.events[event]


@settings(max_examples=150)
@given(st.sampled_from([BLOCKING, OTHER_BLOCKING, FREE]), ACTIONS)
def test_order(blocked: int, drawn: list[tuple[str, int, int]]) -> None:
    """One stream is blocked and has work when the rest begins."""
    actions = [("block", blocked, 0), ("call", blocked, 0), ("record", blocked, 0), *drawn]
    model, done = Model(), list[int]()
    function = HOST_FUNCTION(done.append)
    with emulator.emulate(Scenario(gpus=[Gpu("t4")])):
        client = Client()
        client.cuInit(0)
        context = c_size_t(client.handle("cuCtxCreate_v2", 0, 0))
        streams = [c_void_p(1), *(c_void_p(client.handle("cuStreamCreate", f)) for f in (0, 0, 1))]
        events = [c_void_p(client.handle("cuEventCreate", 0)) for _ in range(EVENTS)]
        address = client.handle("cuMemAlloc_v2", 4096)
        client.cuMemsetD32_v2(c_size_t(address), 0, c_size_t(1024))
        words = (c_uint * 1024).from_address(address)

        def launch(stream: int, number: int) -> None:
            client.cuCtxSetCurrent(context)
            client.cuLaunchHostFunc(streams[stream], function, c_void_p(number))

        for number, (action, stream, event) in enumerate(actions, 1):
            place = c_size_t(address + 4 * number)
            if action == "block":
                model.enter(stream)
                client.cuStreamWaitValue32_v2(streams[stream], c_size_t(address), 1, 0)
            elif action == "record":
                model.record(stream, event)
                client.cuEventRecord(events[event], streams[stream])
            elif action == "wait":
                model.wait(stream, event)
                client.cuStreamWaitEvent(streams[stream], events[event], 0)
            elif action == "write":
                model.enter(stream)
                client.cuStreamWriteValue32_v2(streams[stream], place, number, 0)
            else:
                model.work(stream, number)
                caller = run_in_thread if action == "thread" else call
                caller(launch, stream, number)
        words[0] = 1
        client.cuCtxSynchronize()
        written = [n for n, (action, *_) in enumerate(actions, 1) if action == "write"]
        assert [words[number] for number in written] == written
    assert sorted(done) == sorted(model.before)
    places = {number: place for place, number in enumerate(done)}
    for number, before in model.before.items():
        assert all(places[other] < places[number] for other in before)
