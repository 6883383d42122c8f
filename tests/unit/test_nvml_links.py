"""NVLink, the fabric, and the topology of the machine."""

from __future__ import annotations

import ctypes
import os

import pynvml
from nvml_client import A100, H100, RTX_4090, T4, playing, refused

from emulator import Gpu


class TestNvLink:
    def test_states_versions_and_far_ends(self):
        with playing(H100, A100) as (machine, handles):
            versions = (pynvml.NVML_NVLINK_VERSION_4_0, pynvml.NVML_NVLINK_VERSION_3_0)
            for device, handle, version in zip(machine.devices, handles, versions, strict=True):
                for number, link in enumerate(device.nvlinks):
                    assert pynvml.nvmlDeviceGetNvLinkState(handle, number) == 1
                    assert pynvml.nvmlDeviceGetNvLinkVersion(handle, number) == version
                    remote = pynvml.nvmlDeviceGetNvLinkRemotePciInfo(handle, number)
                    assert remote.busId == link.remote_bus_id
                    kind = pynvml.nvmlDeviceGetNvLinkRemoteDeviceType(handle, number)
                    assert kind == pynvml.NVML_NVLINK_DEVICE_TYPE_SWITCH

    def test_an_hgx_h100_has_18_links_and_an_a100_12(self):
        with playing(H100, A100) as (_, [h100, a100]):
            assert pynvml.nvmlDeviceGetNvLinkState(h100, 17) == 1
            for handle, beyond in ((h100, 18), (a100, 12)):
                with refused("NOT_SUPPORTED"):
                    pynvml.nvmlDeviceGetNvLinkState(handle, beyond)
                with refused("INVALID_ARGUMENT"):
                    pynvml.nvmlDeviceGetNvLinkState(handle, 36)

    def test_a_link_that_is_down(self):
        with playing(H100) as (machine, [handle]):
            machine.devices[0].nvlinks[3].disconnect()
            assert pynvml.nvmlDeviceGetNvLinkState(handle, 3) == 0
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetNvLinkRemotePciInfo(handle, 3)

    def test_products_without_links(self):
        with playing(T4, RTX_4090) as (_, handles):
            for handle in handles:
                with refused("NOT_SUPPORTED"):
                    pynvml.nvmlDeviceGetNvLinkState(handle, 0)

    def test_errors_are_counted_by_link_and_reset(self):
        with playing(H100) as (machine, [handle]):
            machine.devices[0].nvlinks[1].replay_errors = 7
            replays = pynvml.NVML_NVLINK_ERROR_DL_REPLAY
            assert pynvml.nvmlDeviceGetNvLinkErrorCounter(handle, 1, replays) == 7
            pynvml.nvmlDeviceResetNvLinkErrorCounters(handle, 1)
            assert pynvml.nvmlDeviceGetNvLinkErrorCounter(handle, 1, replays) == 0


class TestFabric:
    def info(self, handle: object, version: int) -> object:
        info = (pynvml.c_nvmlGpuFabricInfo_v2_t, pynvml.c_nvmlGpuFabricInfo_v3_t)[version - 2]()
        pynvml.nvmlDeviceGetGpuFabricInfoV(handle, ctypes.byref(info))
        return info

    def test_an_hgx_h100_has_joined(self):
        with playing(H100) as (_, [handle]):
            for version in (2, 3):
                info = self.info(handle, version)
                assert info.state == pynvml.NVML_GPU_FABRIC_STATE_COMPLETED
                assert info.status == pynvml.NVML_SUCCESS

    def test_its_identity_is_the_device_s(self):
        fabric = {"cluster_uuid": "00112233-4455-6677-8899-aabbccddeeff", "clique_id": 5}
        with playing(Gpu(H100, figures={"fabric": fabric})) as (_, [handle]):
            info = self.info(handle, 3)
            assert bytes(info.clusterUuid).hex() == "00112233445566778899aabbccddeeff"
            assert info.cliqueId == 5

    def test_others_are_in_none(self):
        with playing(T4) as (_, [handle]):
            assert self.info(handle, 2).state == pynvml.NVML_GPU_FABRIC_STATE_NOT_SUPPORTED


class TestTopology:
    def test_gpus_are_on_one_node_behind_host_bridges_of_their_own(self):
        with playing(Gpu(T4, count=3)) as (_, [one, other, third]):
            ancestor = pynvml.nvmlDeviceGetTopologyCommonAncestor
            assert ancestor(one, other) == pynvml.NVML_TOPOLOGY_NODE
            assert ancestor(one, one) == pynvml.NVML_TOPOLOGY_INTERNAL
            near = pynvml.nvmlDeviceGetTopologyNearestGpus(one, pynvml.NVML_TOPOLOGY_NODE)
            assert [pynvml.nvmlDeviceGetIndex(each) for each in near] == [1, 2]
            assert not pynvml.nvmlDeviceGetTopologyNearestGpus(third, pynvml.NVML_TOPOLOGY_SINGLE)

    def test_they_are_near_all_cpus_of_the_host(self):
        with playing(T4) as (_, [handle]):
            words = pynvml.nvmlDeviceGetCpuAffinity(handle, 16)
            assert sum(word.bit_count() for word in map(int, words)) == os.cpu_count()
            assert list(pynvml.nvmlDeviceGetMemoryAffinity(handle, 2, 0)) == [1, 0]
            [near] = pynvml.nvmlSystemGetTopologyGpuSet(0)
            assert pynvml.nvmlDeviceGetIndex(near) == 0

    def test_peers(self):
        read, nvlink = 0, 2  # nvmlGpuP2PCapsIndex_t; pynvml's constants are tuples by mistake
        status = pynvml.nvmlDeviceGetP2PStatus
        with playing(Gpu(H100, count=2), Gpu(T4, count=2), Gpu(RTX_4090, count=2)) as (_, handles):
            h100s, t4s, rtx_4090s = handles[:2], handles[2:4], handles[4:]
            assert status(*h100s, nvlink) == status(*h100s, read) == pynvml.NVML_P2P_STATUS_OK
            assert status(*t4s, read) == pynvml.NVML_P2P_STATUS_OK
            assert status(*t4s, nvlink) == pynvml.NVML_P2P_STATUS_NOT_SUPPORTED
            assert status(*rtx_4090s, read) == pynvml.NVML_P2P_STATUS_NOT_SUPPORTED
