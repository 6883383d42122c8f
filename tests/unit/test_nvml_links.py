"""NVLink and the fabric."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pynvml
import pytest
from cuda_client import Client
from nvml_client import A100, H100, RTX_4090, T4, playing, refused

from emulator import Gpu, Scenario, Testbed


class TestNvLink:
    def test_states_versions_and_far_ends(self):
        with playing(H100, A100) as (machine, handles):
            versions = (pynvml.NVML_NVLINK_VERSION_4_0, pynvml.NVML_NVLINK_VERSION_3_0)
            for device, handle, version in zip(machine.devices, handles, versions, strict=True):
                for number, link in enumerate(device.nvlinks):
                    assert pynvml.nvmlDeviceGetNvLinkState(handle, number) == 1
                    assert pynvml.nvmlDeviceGetNvLinkVersion(handle, number) == version
                    remote = pynvml.nvmlDeviceGetNvLinkRemotePciInfo(handle, number)
                    assert remote.busId == link.remote
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

    def test_each_error_counter_is_one_of_its_own(self):
        names = ("replay", "recovery", "crc", "crc_data", "ecc")
        row = {f"{name}_errors": number for number, name in enumerate(names, 1)}
        with playing(Gpu(H100, figures={"nvlinks": {"2": row}})) as (_, [handle]):
            counted = [pynvml.nvmlDeviceGetNvLinkErrorCounter(handle, 2, each) for each in range(5)]
            assert counted == [1, 2, 3, 4, 5]
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlDeviceGetNvLinkErrorCounter(handle, 2, pynvml.NVML_NVLINK_ERROR_COUNT)
            pynvml.nvmlDeviceResetNvLinkErrorCounters(handle, 2)
            assert not any(
                pynvml.nvmlDeviceGetNvLinkErrorCounter(handle, 2, each) for each in range(5)
            )

    def test_an_sli_bridge_is_for_graphics(self):
        pair = {"nvlinks": {"all": {"remote": "PAIR"}}}
        gpus = (Gpu(RTX_3090, count=2, figures=pair), H100)
        with playing(*gpus) as (machine, handles):
            by_name = {device.name: h for device, h in zip(machine.devices, handles, strict=True)}
            sli = pynvml.NVML_NVLINK_CAP_SLI_BRIDGE
            for name, expected in (("NVIDIA H100 80GB HBM3", 0), ("NVIDIA GeForce RTX 3090", 1)):
                capability = pynvml.nvmlDeviceGetNvLinkCapability
                assert capability(by_name[name], 0, sli) == expected
                assert capability(by_name[name], 0, pynvml.NVML_NVLINK_CAP_P2P_ATOMICS) == 1
                with refused("INVALID_ARGUMENT"):
                    capability(by_name[name], 0, pynvml.NVML_NVLINK_CAP_COUNT)


RTX_3090, V100, A100_PCIE, B200 = "rtx-3090", "v100-sxm2-16gb", "a100-pcie-80gb", "b200-180gb"


class TestBetweenGpus:
    def ends(self, handle: object, links: int) -> list[str]:
        return [
            pynvml.nvmlDeviceGetNvLinkRemotePciInfo(handle, link).busId for link in range(links)
        ]

    def test_a_bridge_joins_two_cards(self):
        figures = {"nvlinks": {"all": {"remote": "PAIR"}}}
        with playing(Gpu(A100_PCIE, count=4, figures=figures)) as (machine, handles):
            ids = [device.pci.bus_id for device in machine.devices]
            found = [self.ends(handle, 12) for handle in handles]
            assert found == [[ids[other]] * 12 for other in (1, 0, 3, 2)]
            info = pynvml.nvmlDeviceGetNvLinkRemotePciInfo(handles[0], 0)
            assert info.pciDeviceId == machine.devices[1].pci.device_id
            kind = pynvml.nvmlDeviceGetNvLinkRemoteDeviceType(handles[0], 0)
            assert kind == pynvml.NVML_NVLINK_DEVICE_TYPE_GPU

    def test_cards_without_one_have_links_that_are_down(self):
        with playing(Gpu(A100_PCIE, count=2)) as (_, [handle, _]):
            assert pynvml.nvmlDeviceGetNvLinkState(handle, 11) == 0
            assert pynvml.nvmlDeviceGetNvLinkCapability(handle, 11, 0) == 0
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetNvLinkRemoteDeviceType(handle, 11)

    def test_the_mesh_of_a_dgx_1(self):
        with playing(Gpu(V100, count=8)) as (machine, handles):
            ids = [device.pci.bus_id for device in machine.devices]
            assert self.ends(handles[0], 6) == [ids[n] for n in (1, 2, 3, 3, 4, 4)]

    def far_links(self, handle: object, links: int) -> list[int]:
        wanted = [(pynvml.NVML_FI_DEV_NVLINK_REMOTE_NVLINK_ID, link) for link in range(links)]
        return [each.value.uiVal for each in pynvml.nvmlDeviceGetFieldValues(handle, wanted)]

    def test_the_far_ends_have_numbers_of_their_own(self):
        """GPU0's links to GPU3 are its links 2 and 3, and GPU3's first ones."""
        with playing(Gpu(V100, count=8)) as (machine, handles):
            assert self.far_links(handles[0], 6) == [0, 0, 0, 1, 0, 1]
            for index, handle in enumerate(handles):
                for link, back in enumerate(self.far_links(handle, 6)):
                    other = int((machine.devices[index].nvlinks[link].remote or "")[3:])
                    assert machine.devices[other].nvlinks[back].remote == f"GPU{index}"

    def test_each_port_of_a_switch_is_one_link_s(self):
        with playing(Gpu(H100, count=8)) as (_, handles):
            ports = {
                end
                for handle in handles
                for end in zip(self.ends(handle, 18), self.far_links(handle, 18), strict=True)
            }
            assert len(ports) == 8 * 18

    def test_a_scenario_may_say_the_number(self):
        figures = {"nvlinks": {"0": {"remote_link": 46}, "1": {"active": False}}}
        with playing(Gpu(H100, figures=figures)) as (_, [handle]):
            wanted = [(pynvml.NVML_FI_DEV_NVLINK_REMOTE_NVLINK_ID, link) for link in (0, 1)]
            known, down = pynvml.nvmlDeviceGetFieldValues(handle, wanted)
            assert (known.nvmlReturn, known.value.uiVal) == (0, 46)
            assert down.nvmlReturn == pynvml.NVML_ERROR_NOT_SUPPORTED

    def test_places_of_the_board_that_are_empty(self):
        with playing(Gpu(V100, count=2)) as (machine, [one, _]):
            states = [pynvml.nvmlDeviceGetNvLinkState(one, link) for link in range(6)]
            assert states == [1, 0, 0, 0, 0, 0]
            assert self.ends(one, 1) == [machine.devices[1].pci.bus_id]

    def test_a_switch_that_the_host_does_not_see(self):
        with playing(B200) as (_, [handle]):
            info = pynvml.nvmlDeviceGetNvLinkRemotePciInfo(handle, 0)
            assert (info.busIdLegacy, info.domain) == ("FFFFFFF:FFFF:FF", 0xFFFFFFF)
            kind = pynvml.nvmlDeviceGetNvLinkRemoteDeviceType(handle, 0)
            assert kind == pynvml.NVML_NVLINK_DEVICE_TYPE_SWITCH


class TestUtilizationCounters:
    """Of products before Ampere: two a link, which clients set up, freeze and reset."""

    BYTES, PACKETS = pynvml.NVML_NVLINK_COUNTER_UNIT_BYTES, pynvml.NVML_NVLINK_COUNTER_UNIT_PACKETS

    def set_control(self, handle: object, units: int, reset: int = 0) -> None:
        control = pynvml.nvmlNvLinkUtilizationControl_t(units=units, pktfilter=0xFF)
        pynvml.nvmlDeviceSetNvLinkUtilizationControl(handle, 0, 1, control, reset)

    def test_they_count_what_goes_over_the_link(self):
        with playing(Gpu(V100, count=2)) as (machine, [handle, _]):
            read = pynvml.nvmlDeviceGetNvLinkUtilizationCounter
            link = machine.devices[0].nvlinks[0]
            link.data_rx, link.data_tx = 3, 5
            self.set_control(handle, self.BYTES)
            assert read(handle, 0, 1) == (3 << 10, 5 << 10)
            self.set_control(handle, self.PACKETS)
            assert pynvml.nvmlDeviceGetNvLinkUtilizationControl(handle, 0, 1).units == self.PACKETS
            assert read(handle, 0, 1) == (12, 20)
            assert read(handle, 0, 0) == (3 << 10, 5 << 10)

    def test_a_reset_begins_anew(self):
        with playing(Gpu(V100, count=2)) as (machine, [handle, _]):
            link = machine.devices[0].nvlinks[0]
            link.data_rx = link.data_tx = 8
            pynvml.nvmlDeviceResetNvLinkUtilizationCounter(handle, 0, 1)
            link.data_rx = 9
            assert pynvml.nvmlDeviceGetNvLinkUtilizationCounter(handle, 0, 1) == (1 << 10, 0)
            self.set_control(handle, self.BYTES, reset=1)
            assert pynvml.nvmlDeviceGetNvLinkUtilizationCounter(handle, 0, 1) == (0, 0)

    def test_what_passes_while_they_are_frozen_is_not_counted(self):
        with playing(Gpu(V100, count=2)) as (machine, [handle, _]):
            freeze = pynvml.nvmlDeviceFreezeNvLinkUtilizationCounter
            link = machine.devices[0].nvlinks[0]
            for rx, frozen, expected in ((1, 1, 1), (5, 0, 1), (7, 1, 3)):
                link.data_rx = rx
                freeze(handle, 0, 1, frozen)
                found = pynvml.nvmlDeviceGetNvLinkUtilizationCounter(handle, 0, 1)
                assert found == (expected << 10, 0)

    def test_they_grow_under_a_steady_load(self):
        with playing(Gpu(V100, count=2, load=100), clock="manual") as (machine, [handle, _]):
            machine.clock.advance(10)
            before = pynvml.nvmlDeviceGetNvLinkUtilizationCounter(handle, 0, 0)
            machine.clock.skip(10)  # as time goes by: nobody looks at the machine meanwhile
            after = pynvml.nvmlDeviceGetNvLinkUtilizationCounter(handle, 0, 0)
            assert after == (2 * before[0], 2 * before[1])
            pynvml.nvmlDeviceFreezeNvLinkUtilizationCounter(handle, 0, 0, 1)
            machine.clock.skip(10)
            assert pynvml.nvmlDeviceGetNvLinkUtilizationCounter(handle, 0, 0) == after

    def test_a_link_s_data_that_are_set_back(self):
        with playing(Gpu(V100, count=2)) as (machine, [handle, _]):
            link = machine.devices[0].nvlinks[0]
            link.data_rx = link.data_tx = 8
            pynvml.nvmlDeviceResetNvLinkUtilizationCounter(handle, 0, 1)
            link.data_rx = link.data_tx = 0
            assert pynvml.nvmlDeviceGetNvLinkUtilizationCounter(handle, 0, 1) == (0, 0)

    @pytest.mark.parametrize(("link", "counter"), [(0, 2), (36, 0)])
    def test_links_and_counters_that_there_are_not(self, link: int, counter: int):
        with playing(V100) as (_, [handle]), refused("INVALID_ARGUMENT"):
            pynvml.nvmlDeviceGetNvLinkUtilizationCounter(handle, link, counter)

    def test_later_products_have_none(self):
        with playing(A100) as (_, [handle]):
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetNvLinkUtilizationCounter(handle, 0, 0)
            with refused("NOT_SUPPORTED"):
                self.set_control(handle, self.BYTES)


#: What went over a link, as a program that starts now finds it, in KiB.
CARRIED = """
import pynvml
pynvml.nvmlInit()
wanted = [(pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, 0)]
[found] = pynvml.nvmlDeviceGetFieldValues(pynvml.nvmlDeviceGetHandleByIndex(0), wanted)
print(found.value.ullVal)
"""


def test_a_program_that_starts_later_counts_no_more_than_was_carried():
    def carried() -> int:
        command = [sys.executable, "-c", CARRIED]
        return int(subprocess.check_output(command, env=testbed.environment(), text=True))

    scenario = Scenario(gpus=[Gpu(V100, count=2, load=100)], clock="1000x")
    with Testbed(scenario) as testbed:
        testbed.control.set(0, load=0)
        before = carried()
        assert before > 0
        assert carried() == before


class TestSettings:
    def test_the_low_power_threshold(self):
        def set_threshold(handle: object, value: int) -> None:
            pynvml.nvmlDeviceSetNvLinkDeviceLowPowerThreshold(handle, value)

        with playing(H100, A100) as (machine, [h100, a100]):
            settings = machine.devices[0].nvlink
            set_threshold(h100, 8191)
            assert settings.low_power_threshold == 8191
            for outside in (0, 8192):
                with refused("INVALID_ARGUMENT"):
                    set_threshold(h100, outside)
            set_threshold(h100, pynvml.NVML_NVLINK_LOW_POWER_THRESHOLD_RESET)
            assert settings.low_power_threshold == settings.low_power_threshold_default
            with refused("NOT_SUPPORTED"):
                set_threshold(a100, 100)

    def test_the_machine_s_bandwidth_mode(self):
        with playing(H100, H100) as (machine, _):
            assert pynvml.nvmlSystemGetNvlinkBwMode() == 0
            pynvml.nvmlSystemSetNvlinkBwMode(3)
            assert pynvml.nvmlSystemGetNvlinkBwMode() == 3
            assert [device.nvlink.bandwidth_mode for device in machine.devices] == ["HALF"] * 2
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlSystemSetNvlinkBwMode(5)

    def test_it_stays_while_a_program_has_peers(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        with playing(H100, H100):
            cuda = Client()
            cuda.cuInit(0)
            contexts = [ctypes.c_size_t(cuda.handle("cuCtxCreate_v2", 0, n)) for n in range(2)]
            with refused("IN_USE"):
                pynvml.nvmlSystemSetNvlinkBwMode(3)
            cuda.cuCtxDestroy_v2(contexts[1])
            pynvml.nvmlSystemSetNvlinkBwMode(3)
            cuda.cuCtxDestroy_v2(contexts[0])

    def test_machines_before_hopper_have_none(self):
        with playing(A100), refused("NOT_SUPPORTED"):
            pynvml.nvmlSystemGetNvlinkBwMode()

    def test_it_is_for_root(self):
        with playing(H100, user="unprivileged"):
            for call in (
                pynvml.nvmlSystemGetNvlinkBwMode,
                lambda: pynvml.nvmlSystemSetNvlinkBwMode(1),
            ):
                with refused("NO_PERMISSION"):
                    call()

    def test_reduced_bandwidth(self):
        figures = {"nvlink": {"reduced_bandwidth_modes": [0, 4, 9]}}
        with playing(Gpu(B200, figures=figures), H100) as (_, [handle, h100]):
            supported = pynvml.c_nvmlNvlinkSupportedBwModes_v1_t()
            pynvml.nvmlDeviceGetNvlinkSupportedBwModes(handle, ctypes.byref(supported))
            assert list(supported.bwModes)[: supported.totalBwModes] == [0, 4, 9]
            for mode, best, expected in ((9, 0, (9, 0)), (9, 1, (0, 1))):
                wanted = pynvml.c_nvmlNvlinkSetBwMode_v1_t()
                wanted.bwMode, wanted.bSetBest = mode, best
                pynvml.nvmlDeviceSetNvlinkBwMode(handle, ctypes.byref(wanted))
                found = pynvml.c_nvmlNvlinkGetBwMode_v1_t()
                pynvml.nvmlDeviceGetNvlinkBwMode(handle, ctypes.byref(found))
                assert (found.bwMode, found.bIsBest) == expected
            wanted.bwMode, wanted.bSetBest = 5, 0
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlDeviceSetNvlinkBwMode(handle, ctypes.byref(wanted))
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetNvlinkSupportedBwModes(h100, ctypes.byref(supported))


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

    def test_nothing_of_the_client_s_memory_is_left_in_it(self):
        with playing(T4) as (_, [handle]):
            info = pynvml.c_nvmlGpuFabricInfo_v2_t()
            ctypes.memset(info.clusterUuid, 0xAA, ctypes.sizeof(info.clusterUuid))
            pynvml.nvmlDeviceGetGpuFabricInfoV(handle, ctypes.byref(info))
            assert not any(bytes(info.clusterUuid))

    def test_health_in_two_bits_each(self):
        fabric = {
            "degraded_bandwidth": True,
            "route_unhealthy": False,
            "incorrect_configuration": "NO_PARTITION",
            "global_manager_connected": True,
            "health_summary": "UNHEALTHY",
        }
        with playing(Gpu(H100, figures={"fabric": fabric})) as (_, [handle]):
            info = self.info(handle, 3)
            assert info.healthMask == 1 | 2 << 4 | 4 << 8 | 1 << 14
            assert info.healthSummary == pynvml.NVML_GPU_FABRIC_HEALTH_SUMMARY_UNHEALTHY

    def test_an_hgx_h100_says_nothing_of_its_health(self):
        with playing(H100) as (_, [handle]):
            info = self.info(handle, 3)
            assert (info.healthMask, info.healthSummary) == (0, 0)


def test_a_grace_module_is_joined_to_its_processor():
    with playing("gh200-96gb", H100, T4) as (machine, handles):
        found = {}
        for device, handle in zip(machine.devices, handles, strict=True):
            try:
                found[device.profile] = pynvml.nvmlDeviceGetC2cModeInfoV(handle).isC2cEnabled
            except pynvml.NVMLError_NotSupported:
                found[device.profile] = None
        assert found == {"gh200-96gb": 1, H100: 0, T4: None}
