"""MIG devices: what a GPU can be divided into, and what CUDA sees of it."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from ctypes import byref, c_size_t
from typing import Any

import pytest
from cuda_client import Client, refused

import emulator
from emulator import Change, Gpu, Machine, Scenario, ScenarioError
from emulator.machine.drivers import NEWEST
from emulator.machine.mig import gpuinstance
from emulator.machine.mig.products import PRODUCTS
from emulator.machine.mig.profiles import profiles as kinds
from emulator.machine.mig.profiles import whole
from emulator.plans import plan_of
from emulator.scenario import profiles
from emulator.testbed import running

A100, H100 = "a100-sxm4-80gb", "h100-sxm5-80gb"
MIB = 1 << 20


def divided(*instances: Any, product: str = A100, **fields: Any) -> Gpu:
    """A GPU in MIG mode; an instance is a profile's name or a table."""
    rows = [{"profile": each} if isinstance(each, str) else each for each in instances]
    return Gpu(product, figures={"mig": {"current": True, "instances": rows}}, **fields)


def machine_of(*gpus: Gpu, driver: str = NEWEST) -> Machine:
    return Machine(plan_of(Scenario(gpus=gpus, driver=driver)))


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AbstractContextManager[Machine]]:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return lambda *gpus: emulator.emulate(Scenario(gpus=gpus))


def started() -> Client:
    client = Client()
    client.cuInit(0)
    return client


class TestPartitions:
    def test_each_has_a_place_and_ids_that_follow_from_it(self):
        [device] = machine_of(divided("1g.10gb", "3g.40gb", "2g.20gb")).devices
        found = [(each.label, each.gpu_instance.id) for each in device.partitions]
        assert found == [("3g.40gb", 1), ("2g.20gb", 5), ("1g.10gb", 13)]

    def test_seven_of_the_smallest(self):
        [device] = machine_of(divided(*["1g.10gb"] * 7)).devices
        assert [each.gpu_instance.id for each in device.partitions] == list(range(7, 14))
        assert {each.memory.total for each in device.partitions} == {9728 * MIB}
        assert {each.processor.multiprocessors for each in device.partitions} == {14}

    def test_compute_instances_share_a_gpu_instance(self):
        row = {"profile": "3g.40gb", "compute": [{"slices": 1}, {"slices": 2}]}
        [device] = machine_of(divided(row)).devices
        one, two = device.partitions
        assert (one.label, two.label) == ("1c.3g.40gb", "2c.3g.40gb")
        assert (one.id, two.id) == (0, 1)
        assert one.memory is two.memory
        assert [each.processor.multiprocessors for each in (one, two)] == [14, 28]

    def test_uuids_are_of_version_5_the_same_each_time_or_given(self):
        gpu = divided("1g.10gb", "1g.10gb")
        first, again = (machine_of(gpu).devices[0].partitions for _ in range(2))
        assert [each.uuid for each in first] == [each.uuid for each in again]
        assert first[0].uuid != first[1].uuid
        assert first[0].uuid[18] == "5"
        uuid = "MIG-01234567-89ab-5def-8123-456789abcdef"
        [device] = machine_of(divided({"profile": "1g.10gb", "compute": [{"uuid": uuid}]})).devices
        assert device.partitions[0].uuid == uuid

    def test_what_it_does_not_have_of_its_own_is_the_gpu_s(self):
        [device] = machine_of(divided("1g.10gb")).devices
        [partition] = device.partitions
        assert partition.pci is device.pci
        assert partition.compute_capability == (8, 0)
        device.failure = "lost"
        assert partition.failure == "lost"

    def test_the_largest_leaves_room_for_the_others(self):
        """The user guide's 3-2-1-1 geometry."""
        [device] = machine_of(divided("3g.40gb", "2g.20gb", "1g.10gb", "1g.10gb")).devices
        found = [(each.label, each.gpu_instance.id) for each in device.partitions]
        assert found == [("3g.40gb", 2), ("2g.20gb", 3), ("1g.10gb", 9), ("1g.10gb", 10)]

    @pytest.mark.parametrize("product", [A100, H100])
    def test_the_whole_is_no_more_than_the_gpu(self, product: str):
        [device] = machine_of(divided("7g.80gb", product=product)).devices
        assert device.partitions[0].memory.total <= device.memory.usable

    def test_without_the_mode_there_are_none(self):
        [device] = machine_of(Gpu(A100)).devices
        assert device.partitions == []

    def test_places_and_ids_may_be_given(self):
        rows = [
            {"profile": "1g.10gb", "start": 2},
            {"profile": "3g.40gb", "id": 1, "compute": [{"slices": 1, "start": 2, "id": 4}]},
        ]
        [device] = machine_of(divided(*rows)).devices
        found = [(each.ids, each.gpu_instance.start, each.start) for each in device.partitions]
        assert found == [((1, 4), 4, 2), ((9, 0), 2, 0)]

    def test_of_what_stays_object_and_seat_stay(self):
        [device] = machine_of(divided("2g.20gb", "1g.10gb")).devices
        before = {each.ids: (each, each.place) for each in device.partitions}
        device.mig.instances = [{"profile": "1g.10gb"}]  # type: ignore[list-item]
        [partition] = device.partitions
        assert before[partition.ids] == (partition, partition.place)

    def test_threads_that_look_at_once_find_the_same_objects(self, monkeypatch):
        """What one thread found is what its handles stand for, also if others were looking."""
        [device] = machine_of(divided("1g.10gb")).devices
        looking, found = threading.Barrier(2), []

        def build(*args: Any) -> Any:
            with suppress(threading.BrokenBarrierError):  # nobody else is there, as it should be
                looking.wait(0.2)
            return really(*args)

        really = gpuinstance.instances
        monkeypatch.setattr(gpuinstance, "instances", build)
        threads = [
            threading.Thread(target=lambda: found.append(device.partitions)) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found[0] == found[1] == device.partitions

    def test_one_that_is_gone_is_lost(self):
        [device] = machine_of(divided("1g.10gb")).devices
        [partition] = device.partitions
        assert partition.failure is None
        device.mig.instances = []
        assert partition.failure == "lost"

    def test_a_change_can_make_instances(self):
        [device] = machine_of(divided("1g.10gb")).devices
        device.mig.instances = [{"profile": "7g.80gb"}]  # type: ignore[list-item]
        assert [each.label for each in device.partitions] == ["7g.80gb"]

    @pytest.mark.parametrize("product", PRODUCTS)
    def test_the_tables_are_consistent(self, product: str):
        profiles = PRODUCTS[product]
        slices = max(profile.size for profile in profiles)
        for profile in profiles:
            assert all(start + profile.size <= slices for start in profile.starts)
            assert 1 <= profile.most <= len(profile.starts)
            assert profile.memory * slices < 1.2 * profiles[-1].memory * profile.size


@pytest.mark.parametrize(
    ("gpu", "problem"),
    [
        (lambda: divided("1g.5gb"), "no MIG profile '1g.5gb': a100-sxm4-80gb has 1g.10gb, 1g.10g"),
        (lambda: divided("1g.10gb", product="t4"), "t4 has no MIG profiles"),
        (lambda: divided("3g.40gb", "3g.40gb", "1g.10gb"), "no room for"),
        (lambda: divided(*["1g.10gb+me"] * 2), "at most 1 of 1g.10gb\\+me, found 2"),
        (lambda: divided({"profile": "2g.20gb", "start": 1}), "start at 0, 2, 4, found 1"),
        (lambda: divided(*[{"profile": "1g.10gb", "start": 1}] * 2), "no room for"),
        (lambda: divided("1g.10gb", {"profile": "1g.10gb", "id": 13}), "ids of their own"),
        (
            lambda: divided({"profile": "2g.20gb", "compute": [{"slices": 1, "start": 2}]}),
            "side by side in the 2 slices",
        ),
        (lambda: divided({"profile": "3g.40gb", "compute": [{"slices": 2}] * 2}), "3 in all"),
        (
            lambda: divided({"profile": "3g.40gb", "compute": [{"uuid": "MIG-1"}]}),
            "'MIG-' and a UUID",
        ),
        (
            lambda: Gpu(A100, figures={"mig": {"instances": [{"profile": "1g.10gb"}]}}),
            "MIG is off",
        ),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_written(gpu: Callable[[], Gpu], problem: str):
    with pytest.raises(ScenarioError, match=problem) as caught:
        plan_of(Scenario(gpus=[gpu()]))
    assert "gpu[0].figures.mig.instances" in str(caught.value)


def test_two_gpus_do_not_share_a_uuid():
    uuid = "MIG-01234567-89ab-5def-8123-456789abcdef"
    gpu = divided({"profile": "1g.10gb", "compute": [{"uuid": uuid}]}, count=2)
    with pytest.raises(ScenarioError, match=f"one of its own, found '{uuid}' again"):
        plan_of(Scenario(gpus=[gpu]))


@pytest.mark.parametrize("gpu", [0, 1])
def test_a_change_to_what_cannot_be_is_refused_where_it_is_written(gpu: int):
    rows = [{"profile": "7g.80gb"}, {"profile": "1g.10gb"}]
    change = Change(device=gpu, at="1 s", set={"mig": {"instances": rows}})
    with pytest.raises(ScenarioError, match="no room for") as caught:
        plan_of(Scenario(gpus=[divided("1g.10gb", count=2)], changes=[change]))
    assert "change[0].set.mig.instances" in str(caught.value)
    with emulator.Testbed(Scenario(gpus=[divided("1g.10gb", count=2)])) as testbed:
        control = running.find(str(testbed.folder)).control
        with pytest.raises(ScenarioError, match="no room for"):
            control.set(gpu, mig={"instances": rows})


class TestCuda:
    def test_one_of_each_gpu_instance_is_a_device(self, play):
        with play(divided("1g.10gb", "2g.20gb"), Gpu(H100)) as machine:
            names = started().names()
            a100, h100 = machine.devices
            assert names == [h100.name, *(f"{a100.name} MIG {x}" for x in ("2g.20gb", "1g.10gb"))]

    def test_of_compute_instances_that_share_one_the_first(self, play):
        with play(divided({"profile": "3g.40gb", "compute": [{"slices": 1}, {"slices": 2}]})):
            assert started().names() == ["NVIDIA A100-SXM4-80GB MIG 1c.3g.40gb"]

    def test_without_instances_there_is_no_device(self, play):
        with play(divided()), refused("NO_DEVICE"):
            started()

    def test_it_is_chosen_by_its_uuid_or_a_beginning_of_it(self, play, monkeypatch):
        with play(divided("1g.10gb", "2g.20gb")) as machine:
            partition = machine.devices[0].partitions[1]
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", partition.uuid[:13])
            assert started().names() == [partition.name]

    def test_it_is_chosen_by_the_gpu_s_uuid_and_its_ids(self, play, monkeypatch):
        with play(divided("1g.10gb", "2g.20gb")) as machine:
            [device] = machine.devices
            two = device.partitions[1]
            name = "MIG-{}/{}/{}".format(device.uuid, *two.ids)
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", name)
            assert started().names() == [two.name]

    def test_the_gpu_s_uuid_names_no_device(self, play, monkeypatch):
        with play(divided("1g.10gb")) as machine:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", machine.devices[0].uuid)
            with refused("NO_DEVICE"):
                started()

    def test_what_it_is(self, play):
        with play(divided("1g.10gb")) as machine:
            [device] = machine.devices
            [partition] = device.partitions
            client = started()
            assert client.size("cuDeviceTotalMem_v2", 0) == 9728 * MIB
            assert client.integer("cuDeviceGetAttribute", 16, 0) == 14  # multiprocessors
            first, second = (ctypes.create_string_buffer(16) for _ in range(2))
            client.cuDeviceGetUuid(first, 0)
            client.cuDeviceGetUuid_v2(second, 0)
            assert first.raw.hex() == device.uuid[4:].replace("-", "")
            assert second.raw.hex() == partition.uuid[4:].replace("-", "")

    def test_its_memory_is_its_limit(self, play):
        with play(divided("1g.10gb", "1g.10gb")) as machine:
            client = started()
            context = client.handle("cuCtxCreate_v2", 0, 0)
            free, total = c_size_t(), c_size_t()
            client.cuMemGetInfo_v2(byref(free), byref(total))
            [device] = machine.devices
            assert total.value - free.value == 14 * 4 * MIB
            with refused("OUT_OF_MEMORY"):
                client.handle("cuMemAlloc_v2", c_size_t(free.value + 1))
            client.handle("cuMemAlloc_v2", c_size_t(free.value))
            assert machine.ledger.held(device.partitions[1]) == 0
            assert machine.ledger.held(device) == total.value
            [process] = machine.ledger.processes(device)
            assert (process.gpu_instance, process.compute_instance) == (11, 0)
            client.cuCtxDestroy_v2(c_size_t(context))
            assert machine.ledger.held(device) == 0

    def test_no_peer_access(self, play):
        with play(divided("1g.10gb", "1g.10gb")):
            assert started().integer("cuDeviceCanAccessPeer", 0, 1) == 0


class TestBeforeR570:
    """By the functions themselves: a process has one driver version."""

    def names(self, monkeypatch, *gpus: Gpu, value: str | None = None) -> list[str]:
        from emulator.cuda.devices import visible

        variables = {"CUDA_VISIBLE_DEVICES": value, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        monkeypatch.setattr(visible, "environment", variables.get)
        found = visible.visible_devices(machine_of(*gpus, driver="535.261.03"))
        return [getattr(device, "label", device.name) for device in found]

    def test_one_compute_instance_in_all_and_no_whole_gpu(self, monkeypatch):
        gpus = Gpu(A100), divided("1g.10gb", "2g.20gb"), divided("3g.40gb")
        assert self.names(monkeypatch, *gpus) == ["2g.20gb"]

    def test_an_index_counts_gpus(self, monkeypatch):
        gpus = divided("1g.10gb", "1g.10gb"), Gpu(A100)
        assert self.names(monkeypatch, *gpus, value="0") == ["1g.10gb"]
        assert self.names(monkeypatch, *gpus, value="1") == ["NVIDIA A100-SXM4-80GB"]

    def test_of_several_uuids_the_first(self, monkeypatch):
        gpu = divided("1g.10gb", "2g.20gb")
        uuids = [each.uuid for each in machine_of(gpu).devices[0].partitions]
        assert self.names(monkeypatch, gpu, value=",".join(reversed(uuids))) == ["1g.10gb"]


@pytest.mark.parametrize("name", profiles.profiles())
def test_what_a_product_is_divided_into_is_the_product(name: str):
    figures = profiles.profile(name).figures
    most = figures.get("mig", {}).get("max_instances")
    if most is not None:
        everything = whole(kinds(name))
        total = figures["memory"]["total"]
        assert most == everything.slices
        assert 0.9 * total < everything.memory <= total
        assert everything.multiprocessors <= figures["processor"]["multiprocessors"]
