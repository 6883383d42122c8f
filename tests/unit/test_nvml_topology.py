"""Where GPUs are in the host: to one another, to CPUs, to memory; and what follows for CUDA."""

from __future__ import annotations

import os
from threading import Thread
from typing import Any

import pynvml
import pytest
from cuda_client import Client
from nvml_client import A100, H100, RTX_4090, T4, playing, refused

from emulator import Gpu
from emulator.cuda import _constants as constants

READ, WRITE, NVLINK, ATOMICS, PCI = range(5)  # nvmlGpuP2PCapsIndex_t; pynvml's are tuples

CPUS = os.cpu_count() or 1


def placed(bus_id: str, **topology: Any) -> Gpu:
    return Gpu(T4, pci_bus_id=bus_id, figures={"topology": topology})


def cpus(words: Any) -> set[int]:
    """The CPUs of a set that NVML put out."""
    bits = sum(int(word) << 64 * place for place, word in enumerate(words))
    return {cpu for cpu in range(bits.bit_length()) if bits >> cpu & 1}


class TestLevels:
    @pytest.mark.parametrize(
        ("one", "other", "level"),
        [
            ({"switches": ["a", "b"]}, {"switches": ["a", "b"]}, pynvml.NVML_TOPOLOGY_SINGLE),
            ({"switches": ["a", "b"]}, {"switches": ["a", "c"]}, pynvml.NVML_TOPOLOGY_MULTIPLE),
            ({"switches": ["a"]}, {"switches": ["a", "c"]}, pynvml.NVML_TOPOLOGY_MULTIPLE),
            ({"host_bridge": "x"}, {"host_bridge": "x"}, pynvml.NVML_TOPOLOGY_HOSTBRIDGE),
            ({"host_bridge": "x"}, {"host_bridge": "y"}, pynvml.NVML_TOPOLOGY_NODE),
            ({"numa_node": 2}, {"numa_node": 2}, pynvml.NVML_TOPOLOGY_NODE),
            ({"numa_node": 0}, {"numa_node": 1}, pynvml.NVML_TOPOLOGY_SYSTEM),
        ],
    )
    def test_the_nearest_thing_in_common(
        self, one: dict[str, Any], other: dict[str, Any], level: int
    ):
        with playing(placed("01:00", **one), placed("02:00", **other)) as (_, handles):
            assert pynvml.nvmlDeviceGetTopologyCommonAncestor(*handles) == level
            assert pynvml.nvmlDeviceGetTopologyCommonAncestor(*reversed(handles)) == level

    def test_without_a_word_gpus_have_host_bridges_of_their_own(self):
        with playing(Gpu(T4, count=3)) as (_, [one, other, third]):
            ancestor = pynvml.nvmlDeviceGetTopologyCommonAncestor
            assert ancestor(one, other) == pynvml.NVML_TOPOLOGY_NODE
            assert ancestor(one, one) == pynvml.NVML_TOPOLOGY_INTERNAL
            near = pynvml.nvmlDeviceGetTopologyNearestGpus(one, pynvml.NVML_TOPOLOGY_NODE)
            assert [pynvml.nvmlDeviceGetIndex(each) for each in near] == [1, 2]
            assert not pynvml.nvmlDeviceGetTopologyNearestGpus(third, pynvml.NVML_TOPOLOGY_SINGLE)

    def test_the_four_gpus_of_a_board_are_behind_its_switch(self):
        with playing(Gpu("a16", count=5)) as (_, handles):
            levels = [
                pynvml.nvmlDeviceGetTopologyCommonAncestor(handles[0], other)
                for other in handles[1:]
            ]
            single, node = pynvml.NVML_TOPOLOGY_SINGLE, pynvml.NVML_TOPOLOGY_NODE
            assert levels == [single, single, single, node]

    def test_those_of_a_virtual_machine_s_one_bus_share_it(self):
        with playing(placed("00:04.0"), placed("00:05.0"), placed("0001:00:04.0")) as (_, handles):
            ancestor = pynvml.nvmlDeviceGetTopologyCommonAncestor
            assert ancestor(*handles[:2]) == pynvml.NVML_TOPOLOGY_HOSTBRIDGE
            assert ancestor(*handles[1:]) == pynvml.NVML_TOPOLOGY_NODE


class TestAffinity:
    def test_one_node_has_all_cpus_of_the_host(self):
        with playing(T4) as (_, [handle]):
            assert cpus(pynvml.nvmlDeviceGetCpuAffinity(handle, 16)) == set(range(CPUS))
            assert list(pynvml.nvmlDeviceGetMemoryAffinity(handle, 2, 0)) == [1, 0]
            [near] = pynvml.nvmlSystemGetTopologyGpuSet(0)
            assert pynvml.nvmlDeviceGetIndex(near) == 0

    def test_several_nodes_share_them_out(self):
        gpus = [placed(f"0{node}:00", numa_node=node) for node in range(2)]
        with playing(*gpus) as (_, handles):
            sets = [cpus(pynvml.nvmlDeviceGetCpuAffinity(handle, 16)) for handle in handles]
            assert set.union(*sets) == set(range(CPUS))
            assert all(sets)
            assert CPUS == 1 or not set.intersection(*sets)

    def test_a_scenario_names_other_cpus(self):
        gpus = [
            placed("01:00", numa_node=3, socket=0, cpus="48-63,176-191"),
            placed("02:00", numa_node=1, socket=0, cpus="16-31"),
            placed("03:00", numa_node=5, socket=1, cpus="80-95", socket_nodes=[4, 5, 6, 7]),
        ]
        with playing(*gpus) as (_, [one, _, third]):
            own = {*range(48, 64), *range(176, 192)}
            within = pynvml.nvmlDeviceGetCpuAffinityWithinScope
            assert cpus(pynvml.nvmlDeviceGetCpuAffinity(one, 3)) == own
            assert cpus(within(one, 3, pynvml.NVML_AFFINITY_SCOPE_NODE)) == own
            assert cpus(within(one, 3, pynvml.NVML_AFFINITY_SCOPE_SOCKET)) == own | {*range(16, 32)}
            assert cpus(pynvml.nvmlDeviceGetCpuAffinity(one, 1)) == {*range(48, 64)}
            memory = pynvml.nvmlDeviceGetMemoryAffinity
            assert cpus(memory(one, 1, pynvml.NVML_AFFINITY_SCOPE_NODE)) == {3}
            assert cpus(memory(one, 1, pynvml.NVML_AFFINITY_SCOPE_SOCKET)) == {1, 3}
            assert cpus(memory(third, 1, pynvml.NVML_AFFINITY_SCOPE_SOCKET)) == {4, 5, 6, 7}
            near = [pynvml.nvmlDeviceGetIndex(h) for h in pynvml.nvmlSystemGetTopologyGpuSet(190)]
            assert near == [0]
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlSystemGetTopologyGpuSet(4000)

    def test_scopes_and_sizes_that_there_are_not(self):
        with playing(T4) as (_, [handle]):
            for call in (
                lambda: pynvml.nvmlDeviceGetCpuAffinityWithinScope(handle, 1, 2),
                lambda: pynvml.nvmlDeviceGetMemoryAffinity(handle, 1, 2),
                lambda: pynvml.nvmlDeviceGetCpuAffinity(handle, 0),
                lambda: pynvml.nvmlDeviceGetMemoryAffinity(handle, 0, 0),
            ):
                with refused("INVALID_ARGUMENT"):
                    call()

    def test_the_calling_thread_is_bound_and_no_other(self):
        first = min(os.sched_getaffinity(0))
        seen = []

        def bind(handle: object) -> None:
            pynvml.nvmlDeviceSetCpuAffinity(handle)
            seen.append(os.sched_getaffinity(0))
            pynvml.nvmlDeviceClearCpuAffinity(handle)
            seen.append(os.sched_getaffinity(0))

        with playing(placed("01:00", cpus=str(first))) as (_, [handle]):
            before = os.sched_getaffinity(0)
            thread = Thread(target=bind, args=[handle])
            thread.start()
            thread.join()
            assert seen == [{first}, before]
            assert os.sched_getaffinity(0) == before

    def test_cpus_that_the_host_has_not_bind_nobody(self):
        with playing(placed("01:00", cpus="9000")) as (_, [handle]), refused("UNKNOWN"):
            pynvml.nvmlDeviceSetCpuAffinity(handle)

    def test_only_memory_that_the_system_manages_is_a_node(self):
        with playing("gh200-96gb", T4) as (machine, handles):
            profiles = [device.profile for device in machine.devices]
            found = dict(zip(profiles, handles, strict=True))
            assert pynvml.nvmlDeviceGetNumaNodeId(found["gh200-96gb"]) == 1
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetNumaNodeId(found[T4])


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Client:
    """For a `with playing(...)` that follows."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    return Client()


def reach(cuda: Client, one: int, other: int) -> tuple[int, int]:
    """Whether CUDA has a device access another's memory, and do atomics there."""
    cuda.cuInit(0)
    atomics = cuda.integer("cuDeviceGetP2PAttribute", 3, one, other)
    return cuda.integer("cuDeviceCanAccessPeer", one, other), atomics


def statuses(handles: list[Any], one: int, other: int) -> list[int]:
    status = pynvml.nvmlDeviceGetP2PStatus
    return [status(handles[one], handles[other], index) for index in range(5)]


class TestPeers:
    """NVML and CUDA say the same."""

    OK, CNS, GNS, NS = (
        pynvml.NVML_P2P_STATUS_OK,
        pynvml.NVML_P2P_STATUS_CHIPSET_NOT_SUPPORED,
        pynvml.NVML_P2P_STATUS_GPU_NOT_SUPPORTED,
        pynvml.NVML_P2P_STATUS_NOT_SUPPORTED,
    )

    @pytest.mark.parametrize(
        ("gpus", "expected", "access"),
        [
            ([H100, H100], [OK] * 5, (1, 1)),
            ([T4, T4], [OK, OK, NS, NS, OK], (1, 0)),
            ([RTX_4090, RTX_4090], [CNS, CNS, NS, NS, CNS], (0, 0)),
            (["rtx-5090", "rtx-5090"], [GNS, GNS, NS, NS, GNS], (0, 0)),
            (["gtx-1080-ti", "gtx-1080-ti"], [OK, OK, NS, NS, OK], (1, 0)),
            ([T4, A100], [NS] * 5, (0, 0)),
        ],
    )
    def test_products(
        self, cuda: Client, gpus: list[str], expected: list[int], access: tuple[int, int]
    ):
        with playing(*gpus) as (_, handles):
            assert statuses(handles, 0, 1) == expected
            assert reach(cuda, 0, 1) == access

    def test_a_bridge_s_other_card(self, cuda: Client):
        figures = {"nvlinks": {"all": {"remote": "PAIR"}}}
        gpus = Gpu("rtx-3090", count=4, figures=figures)
        with playing(gpus) as (machine, handles):
            assert statuses(handles, 0, 1) == [self.OK] * 4 + [self.CNS]
            assert statuses(handles, 1, 2) == [self.CNS, self.CNS, self.NS, self.NS, self.CNS]
            assert (reach(cuda, 0, 1), reach(cuda, 1, 2)) == ((1, 1), (0, 0))
            machine.alter(machine.devices[0], {"nvlinks": {"all": {"active": False}}})
            assert statuses(handles, 0, 1)[NVLINK] == self.NS
            assert reach(cuda, 0, 1) == (0, 0)

    def test_a_gpu_that_is_not_on_the_fabric_yet_is_reached_over_pci_express(self, cuda: Client):
        with playing(H100, H100) as (machine, handles):
            cuda.cuInit(0)
            machine.devices[1].fabric.state = "IN_PROGRESS"
            assert statuses(handles, 0, 1) == [self.OK, self.OK, self.NS, self.NS, self.OK]
            assert reach(cuda, 0, 1) == (1, 0)

    def test_partitions_of_a_fabric(self):
        with playing(H100, H100) as (machine, handles):
            machine.devices[1].fabric.clique_id = 7
            assert statuses(handles, 0, 1)[NVLINK] == self.NS

    def test_a_gpu_that_mig_divides_reaches_none(self, cuda: Client):
        mig = Gpu(H100, figures={"mig": {"current": True}})
        with playing(Gpu(H100, count=2), mig) as (_, handles):
            assert statuses(handles, 0, 1) == [0, 0, 0, 0, 0]
            assert statuses(handles, 0, 2) == statuses(handles, 2, 1) == [5] * 5
            assert reach(cuda, 0, 1) == (1, 1)

    def test_a_scenario_forbids_it(self, cuda: Client):
        off = {"topology": {"peer_access": "DISABLED_BY_REGKEY"}}
        with playing(T4, Gpu(T4, figures=off)) as (_, handles):
            assert statuses(handles, 0, 1)[READ] == pynvml.NVML_P2P_STATUS_DISABLED_BY_REGKEY
            assert statuses(handles, 1, 0)[WRITE] == pynvml.NVML_P2P_STATUS_DISABLED_BY_REGKEY
            assert reach(cuda, 0, 1) == (0, 0)

    def test_indices_that_there_are_not(self):
        with playing(T4, T4) as (_, [one, other]):
            for index in (5, 6):
                with refused("INVALID_ARGUMENT"):
                    pynvml.nvmlDeviceGetP2PStatus(one, other, index)


def test_cuda_knows_the_nodes(cuda: Client):
    gpu = Gpu(T4, figures={"topology": {"numa_node": 1, "memory_node": 4}})
    with playing(gpu):
        cuda.cuInit(0)
        names = (constants.DEVICE_ATTRIBUTE_HOST_NUMA_ID, constants.DEVICE_ATTRIBUTE_NUMA_ID)
        assert [cuda.integer("cuDeviceGetAttribute", name, 0) for name in names] == [1, 4]
