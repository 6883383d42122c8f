"""What NVLinks lead to: by the profile, by a scenario, by a change; and where GPUs hang."""

from __future__ import annotations

from typing import Any

import pytest

import emulator
from emulator import Change, Gpu, Machine, Scenario, ScenarioError
from emulator.machine.words import WORDS
from emulator.nvml import _status as status

A100_PCIE, V100, H100 = "a100-pcie-80gb", "v100-sxm2-16gb", "h100-sxm5-80gb"


def machine(*gpus: Gpu, **scenario: Any) -> Machine:
    with emulator.emulate(Scenario(gpus=gpus, **scenario)) as made:
        return made


def linked(profile: str = A100_PCIE, **nvlinks: Any) -> Gpu:
    return Gpu(profile, figures={"nvlinks": nvlinks})


class TestWiring:
    def test_by_number_range_and_all(self):
        there = {"all": {"remote": "GPU1"}, "0-3": {"remote": "05:00"}, "11": {"active": False}}
        back = {"4-11": {"remote": "GPU0"}}
        one, other = machine(linked(**there), linked(**back)).devices
        assert [link.remote for link in one.nvlinks] == ["05:00"] * 4 + ["GPU1"] * 8
        assert [link.remote_type for link in one.nvlinks[3:5]] == ["SWITCH", "GPU"]
        assert [link.active for link in one.nvlinks] == [True] * 11 + [False]
        assert [link.active for link in other.nvlinks] == [False] * 4 + [True] * 7 + [False]

    def test_a_list_is_of_whole_links(self):
        row = {"version": 5, "speed": 50000, "remote": "GPU1", "replay_errors": 3}
        back = {**row, "remote": "GPU0"}
        one, _ = machine(
            *(Gpu("t4", figures={"nvlinks": [row_of_one]}) for row_of_one in (row, back))
        ).devices
        [link] = one.nvlinks
        assert (link.version, link.speed, link.replay_errors, link.crc_errors) == (5, 50000, 3, 0)

    @pytest.mark.parametrize(
        ("gpus", "message"),
        [
            ([linked(all={"remote": "GPU1"})], "expected another GPU"),
            ([linked(all={"remote": "GPU0"})], "expected another GPU"),
            ([linked(all={"remote": "PAIR"})], "expected another GPU"),
            ([linked(all={"remote": "GPU1"}), Gpu(A100_PCIE)], "which has 0 back"),
            ([linked(**{"12": {"active": False}})], "one of its 12 links"),
            ([linked("t4", all={"active": False})], "the product has no NVLinks"),
        ],
    )
    def test_what_cannot_be(self, gpus: list[Gpu], message: str):
        with pytest.raises(ScenarioError, match=message):
            machine(*gpus)

    @pytest.mark.parametrize(
        ("nvlinks", "message"),
        [
            ({"first": {"active": False}}, "'all', a number or a range"),
            ({"0": {"remote": "GPU"}}, "text such as 'GPU1'"),
            ({"0": {"remotes": "GPU1"}}, "no figure 'remotes'"),
            ([{"remote": "GPU1"}], "expected a figure 'speed'|expected a figure 'version'"),
        ],
    )
    def test_what_is_no_link(self, nvlinks: Any, message: str):
        with pytest.raises(ScenarioError, match=message):
            Gpu(A100_PCIE, figures={"nvlinks": nvlinks})


class TestChanges:
    def test_single_links_change(self):
        change = Change(
            at="0 s",
            set={"nvlinks": {"3": {"active": False}}},
            add={"nvlinks": {"all": {"replay_errors": 2}, "5-6": {"crc_errors": 1}}},
        )
        [device] = machine(Gpu(H100), changes=[change]).devices
        down = [number for number, link in enumerate(device.nvlinks) if not link.active]
        assert down == [3]
        assert [link.replay_errors for link in device.nvlinks] == [2] * 18
        assert sum(link.crc_errors or 0 for link in device.nvlinks) == 2

    def test_a_link_goes_down_at_both_ends(self):
        change = Change(at="0 s", device=0, set={"nvlinks": {"1-3": {"active": False}}})
        devices = machine(Gpu(V100, count=8), changes=[change]).devices
        down = [
            [number for number, link in enumerate(device.nvlinks) if not link.active]
            for device in devices
        ]
        assert down == [[1, 2, 3], [], [0], [0, 1], [], [], [], []]

    def test_a_link_that_is_led_elsewhere_leaves_others_alone(self):
        gone = {"nvlinks": {"0": {"remote": "GPU1", "active": False}}}
        change = Change(at="0 s", device=0, set=gone)
        first, second = machine(Gpu(H100, count=2), changes=[change]).devices
        assert [first.nvlinks[0].active, first.nvlinks[1].active] == [False, True]
        assert all(link.active for link in second.nvlinks)

    def test_links_that_a_product_has_not_do_not_change(self):
        change = Change(at="0 s", set={"nvlinks": {"0-40": {"active": False}}})
        h100, t4 = machine(Gpu(H100), Gpu("t4"), changes=[change]).devices
        assert len(h100.nvlinks) == 18
        assert t4.nvlinks == []

    def test_a_link_that_was_down_leads_where_it_did(self):
        changes = [
            Change(at="0 s", set={"nvlinks": {"all": {"active": active}}})
            for active in (False, True)
        ]
        [device] = machine(Gpu(H100), changes=changes).devices
        assert [link.remote_type for link in device.nvlinks] == ["SWITCH"] * 18


class TestTopology:
    def test_a_profile_says_what_is_at_its_bus_ids(self):
        [known] = machine(Gpu("gh200-96gb")).devices
        [elsewhere] = machine(Gpu("gh200-96gb", pci_bus_id="44:00")).devices
        assert (known.topology.memory_node, elsewhere.topology.memory_node) == (1, None)

    def test_a_scenario_says_otherwise(self):
        figures = {"topology": {"memory_node": 9}}
        [device] = machine(Gpu("gh200-96gb", figures=figures)).devices
        assert (device.topology.numa_node, device.topology.memory_node) == (0, 9)

    @pytest.mark.parametrize(
        "figures",
        [
            {"numa_node": -1},
            {"numa_node": 1 << 40},
            {"socket_nodes": [0, -3]},
            {"memory_node": 2000},
        ],
    )
    def test_what_is_no_node(self, figures: dict[str, Any]):
        with pytest.raises(ScenarioError, match="an integer from 0 to 1023"):
            Gpu("t4", figures={"topology": figures})

    @pytest.mark.parametrize("cpus", ["a", "1-", "1,,2", "", "0x3"])
    def test_what_is_no_list_of_cpus(self, cpus: str):
        with pytest.raises(ScenarioError, match="text such as '0-15,32-47'"):
            Gpu("t4", figures={"topology": {"cpus": cpus}})


def test_what_is_no_status_of_a_fabric() -> None:
    known = {name for name, number in vars(status).items() if isinstance(number, int)}
    assert set(WORDS["FabricStatus"]) == known
    with pytest.raises(ScenarioError, match="expected one of its words"):
        Gpu(H100, figures={"fabric": {"status": "NOPE"}})


@pytest.mark.parametrize("version", [0, 7])
def test_what_is_no_generation_of_nvlink(version: int) -> None:
    with pytest.raises(ScenarioError, match="an integer from 1 to 6"):
        Gpu(H100, figures={"nvlinks": {"0": {"version": version}}})


def test_nothing_is_counted_below_zero() -> None:
    with pytest.raises(ScenarioError, match="0 or more"):
        Gpu(H100, figures={"nvlinks": {"0": {"replay_errors": -3}}})
    less = Change(add={"nvlinks": {"0": {"replay_errors": -3}}}, at="1 s")
    assert less.add == {"nvlinks": {"0": {"replay_errors": -3}}}


def test_what_is_no_cluster() -> None:
    with pytest.raises(ScenarioError, match="text such as '00112233-"):
        Gpu(H100, figures={"fabric": {"cluster_uuid": "mine"}})
