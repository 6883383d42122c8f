"""cuInit, and which devices a process sees after it."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cuda_client import Client, in_child, refused

import emulator
from emulator import Gpu, Machine, Scenario

MIXED = Scenario(gpus=[Gpu("t4"), Gpu("h100-sxm5-80gb", count=2), Gpu("rtx-4090")])


@pytest.fixture(autouse=True)
def _all_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")


@pytest.fixture
def machine() -> Iterator[Machine]:
    with emulator.emulate(MIXED) as machine:
        yield machine


@pytest.mark.usefixtures("machine")
def test_nothing_works_before_init() -> None:
    client = Client()
    with refused("NOT_INITIALIZED"):
        client.integer("cuDeviceGetCount")
    assert client.integer("cuDriverGetVersion") == 13000


@pytest.mark.usefixtures("machine")
def test_init_takes_no_flags_and_may_be_repeated() -> None:
    client = Client()
    for flags in (1, 2, 0x80000000):
        with refused("INVALID_VALUE"):
            client.cuInit(flags)
    with refused("NOT_INITIALIZED"):
        client.integer("cuDeviceGetCount")
    for _ in range(3):
        client.cuInit(0)
    with refused("INVALID_VALUE"):
        client.cuInit(1)
    assert client.integer("cuDeviceGetCount") == 4


def test_no_gpu() -> None:
    with emulator.emulate(Scenario(gpus=[])):
        client = Client()
        for _ in range(2):
            with refused("NO_DEVICE"):
                client.cuInit(0)
        with refused("NOT_INITIALIZED"):
            client.integer("cuDeviceGetCount")


@pytest.mark.usefixtures("machine")
def test_a_forked_child_cannot_use_what_its_parent_initialised() -> None:
    client = Client()
    client.cuInit(0)

    def count() -> str:
        return str(client.integer("cuDeviceGetCount"))

    def init() -> str:
        client.cuInit(0)
        return "initialised"

    assert in_child(count) == "NOT_INITIALIZED"
    assert in_child(init) == "NOT_INITIALIZED"
    assert in_child(lambda: in_child(init)) == "NOT_INITIALIZED"
    assert in_child(lambda: str(client.integer("cuDriverGetVersion"))) == "13000"
    assert count() == "4"


@pytest.mark.usefixtures("machine")
def test_a_child_forked_before_init_is_a_process_like_any_other() -> None:
    def count() -> str:
        client = Client()
        client.cuInit(0)
        return str(client.integer("cuDeviceGetCount"))

    assert in_child(count) == "4"
    assert count() == "4"


def test_a_child_of_a_failed_init_fails_in_its_own_way() -> None:
    with emulator.emulate(Scenario(gpus=[])):
        client = Client()

        def init() -> str:
            client.cuInit(0)
            return "initialised"

        assert in_child(init) == "NO_DEVICE"
        with refused("NO_DEVICE"):
            client.cuInit(0)
        assert in_child(init) == "OPERATING_SYSTEM"


def test_the_order_of_devices(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [device.name for device in machine.devices]
    client = Client()
    client.cuInit(0)
    assert client.names() == names
    monkeypatch.delenv("CUDA_DEVICE_ORDER")
    assert client.names() == names, "settled at cuInit"
    with emulator.emulate(MIXED):
        client.cuInit(0)
        fastest = client.names()
    assert sorted(fastest) == sorted(names)
    assert fastest[0] == "NVIDIA GeForce RTX 4090"
    assert fastest[-1] == "Tesla T4"


# What is made visible of devices 0 to 3, whose UUIDs begin as listed. The cases with text after a
# number, repeated and mixed entries are those of PyTorch's tests of its own count.
UUIDS = ["GPU-ab000000", "GPU-ab100000", "GPU-abc10000", "GPU-cd000000"]
VISIBLE = {
    "": [],
    "0": [0],
    "2,0": [2, 0],
    "3, 1": [3, 1],
    "-1": [],
    "0,-1,2": [0],
    "0,7,2": [0],
    "1,x,2": [1],
    "1gpu2,2ampere": [1, 2],
    "1," + "9" * 5000: [1],
    "0" * 30 + "2": [2],
    "+1": [1],
    "0,0": [],
    "1,2,1": [],
    ",0": [],
    "none": [],
    "NoDevFiles": [],
    "GPU-cd": [3],
    "GPU-cd000000-0000-0000-0000-000000000000": [3],
    "GPU-abc,GPU-ab1": [2, 1],
    "GPU-ab": [],
    "GPU-cd,GPU-ab,GPU-abc": [3],
    "GPU-cd,GPU-cd": [],
    "GPU-cd,GPU-cd0": [],
    "GPU-cd,1": [3],
    "GPU-CD": [],
    "1,GPU-cd": [1],
    "MIG-cd": [],
}


@pytest.mark.parametrize("value", VISIBLE)
def test_visible_devices(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rest = "-0000-0000-0000-000000000000"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    with emulator.emulate(Scenario(gpus=[Gpu("t4", count=4)])) as machine:
        for device, uuid in zip(machine.devices, UUIDS, strict=True):
            device.uuid = uuid + rest
        client = Client()
        if VISIBLE[value]:
            client.cuInit(0)
            buses = [device.pci.bus for device in machine.devices]
            count = client.integer("cuDeviceGetCount")
            shown = [client.integer("cuDeviceGetAttribute", 33, device) for device in range(count)]
            assert [buses.index(bus) for bus in shown] == VISIBLE[value]
        else:
            with refused("NO_DEVICE"):
                client.cuInit(0)


def test_the_environment_is_the_one_at_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """A C program may call setenv: Python's copy of the environment would not know."""
    libc = ctypes.CDLL(None)
    with emulator.emulate(Scenario(gpus=[Gpu("t4", count=4)])):
        libc.setenv(b"CUDA_VISIBLE_DEVICES", b"1,2", 1)
        try:
            client = Client()
            client.cuInit(0)
            assert client.integer("cuDeviceGetCount") == 2
        finally:
            libc.unsetenv(b"CUDA_VISIBLE_DEVICES")


LAST_CALL = """
import ctypes, os, sys

class Late:
    def __init__(self):
        self.cuda = ctypes.CDLL("libcuda.so.1")
        self.cuda.cuInit(0)
        self.function = getattr(self.cuda, sys.argv[1])
        self.out = ctypes.c_void_p()

    def __del__(self, byref=ctypes.byref, write=os.write):
        write(1, b"%d" % self.function(byref(self.out), 0, 0, 0, 0))

late = Late()
"""


@pytest.mark.parametrize("function", ["cuGraphCreate", "cuEventCreate", "cuModuleLoad"])
def test_a_first_call_when_python_is_ending(run_in: Callable[..., Any], function: str) -> None:
    """By then nothing can be imported."""
    done = run_in(Scenario(gpus=[Gpu("t4")]), [sys.executable, "-c", LAST_CALL, function])
    assert (done.stdout, done.stderr) == ("4", "")  # DEINITIALIZED
