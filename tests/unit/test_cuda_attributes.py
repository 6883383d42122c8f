"""Every attribute of every product: a value that the header's words allow."""

from __future__ import annotations

import pytest

from emulator import Gpu, Machine, Scenario
from emulator.cuda import api
from emulator.cuda.devices.attributes import MAX, PREFIX
from emulator.machine.drivers import DRIVERS, NEWEST
from emulator.plans import plan_of
from emulator.scenario.profiles import profiles

#: Attributes by number, each with all its names.
NAMES: dict[int, list[str]] = {}
for name, number in api.types.members("CUdevice_attribute").items():
    NAMES.setdefault(number, []).append(name.removeprefix(PREFIX))


@pytest.fixture(scope="module", params=profiles())
def machine(request: pytest.FixtureRequest) -> Machine:
    return Machine(plan_of(Scenario(gpus=[Gpu(request.param)])))


def value(machine: Machine, number: int) -> int | None:
    device = machine.devices[0]
    found = (device.cuda_attribute(name) for name in NAMES[number])
    return next((each for each in found if each is not None), None)


def test_none_is_unknown_that_the_newest_driver_has(machine: Machine) -> None:
    last = MAX[DRIVERS[NEWEST]]
    known = [number for number in NAMES if number < last]
    assert len(known) > 140
    assert [NAMES[number] for number in known if value(machine, number) is None] == []


def test_sizes_are_above_zero(machine: Machine) -> None:
    words = (
        *("MAXIMUM_TEX", "MAXIMUM_SUR", "MAX_THREADS", "MAX_BLOCK", "MAX_GRID"),
        *("_COUNT", "CLOCK_RATE", "WIDTH"),
    )
    for number, names in NAMES.items():
        if any(word in names[0] for word in words) and value(machine, number) is not None:
            assert (value(machine, number) or 0) > 0, names
    assert value(machine, 1) == 1024


def test_what_says_whether_is_0_or_1(machine: Machine) -> None:
    for number, names in NAMES.items():
        if names[0].endswith("_SUPPORTED") and "ALGORITHM" not in names[0]:
            assert value(machine, number) in (0, 1, None), names


def test_figures_that_go_together(machine: Machine) -> None:
    device = machine.devices[0]

    def figure(name: str) -> int:
        found = device.cuda_attribute(name)
        assert found is not None
        return found

    shared = figure("MAX_SHARED_MEMORY_PER_MULTIPROCESSOR")
    optin = figure("MAX_SHARED_MEMORY_PER_BLOCK_OPTIN")
    most = optin + figure("RESERVED_SHARED_MEMORY_PER_BLOCK")
    # Before Volta a block cannot have all of it.
    assert most == shared if device.compute_capability >= (7, 0) else most < shared
    assert figure("MAX_SHARED_MEMORY_PER_BLOCK") <= optin
    assert figure("MAX_THREADS_PER_MULTIPROCESSOR") % figure("WARP_SIZE") == 0
    assert figure("MAX_PERSISTING_L2_CACHE_SIZE") <= figure("L2_CACHE_SIZE")
    assert bool(figure("CLUSTER_LAUNCH")) == (device.compute_capability >= (9, 0))
