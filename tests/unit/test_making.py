"""Facts become scenarios: which profile, which driver, which figures are written."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.imports.choosing import choose_driver, choose_profile
from emulator.imports.facts import Facts, GpuFacts, Note, Told
from emulator.imports.making import scenario_of
from emulator.machine import DRIVERS, NEWEST
from emulator.plans import plan_of
from emulator.scenario import Scenario, ScenarioError, dumps, loads
from emulator.scenario.profiles import profile, profiles

UUID = "GPU-ee7954ec-da95-fd7a-ddfd-c6b32cc2f8aa"
MIB = 1 << 20


def gpu(**told: Any) -> GpuFacts:
    """Facts of figures by their paths, with "__" between the parts."""
    return GpuFacts(tuple(Told(tuple(path.split("__")), value) for path, value in told.items()))


def made(*gpus: GpuFacts, driver: str = "535.261.03", **more: Any) -> Scenario:
    return scenario_of(Facts(driver, gpus, **more)).scenario


class TestProfile:
    @pytest.mark.parametrize("name", profiles())
    def test_is_known_by_its_name(self, name: str) -> None:
        figures = profile(name).figures
        facts = gpu(name=figures["name"], memory__total=figures["memory"]["total"])
        assert choose_profile(facts) == (name, ())

    @pytest.mark.parametrize(
        ("told", "expected"),
        [("A100-SXM4-40GB", "a100-sxm4-40gb"), ("GeForce RTX 3090", "rtx-3090"), ("T4", "t4")],
    )
    def test_is_known_by_names_of_older_drivers(self, told: str, expected: str) -> None:
        assert choose_profile(gpu(name=told)) == (expected, ())

    def test_is_known_by_its_device_id_alone(self) -> None:
        assert choose_profile(gpu(pci__device_id=0x1EB810DE)) == ("t4", ())

    @pytest.mark.parametrize(("name", "device", "architecture", "brand", "size", "watts", "near"), [
        ("NVIDIA RTX 4500 Ada Generation", 0x27B1, "ADA", "NVIDIA_RTX", 24570, 210, "rtx-6000-ada"),
        ("NVIDIA GeForce RTX 4060 Ti", 0x2803, "ADA", "GEFORCE", 8188, 160, "rtx-4060"),
        ("NVIDIA L20", 0x26BA, "ADA", "NVIDIA", 46068, 275, "l40"),
        ("NVIDIA L2", 0x27B6, "ADA", "NVIDIA", 24570, 72, "l4"),
        ("NVIDIA H800", 0x2324, "HOPPER", "NVIDIA", 81559, 700, "h100-sxm5-80gb"),
        ("NVIDIA A800-SXM4-80GB", 0x20F3, "AMPERE", "NVIDIA", 81920, 400, "a100-sxm4-80gb"),
        ("NVIDIA A100-SXM-64GB", 0x20B3, "AMPERE", "NVIDIA", 65536, 400, "a100-sxm4-80gb"),
        ("NVIDIA GeForce RTX 3080 Ti Laptop GPU", 0x2420, "AMPERE", "GEFORCE", 16384, None,
         "rtx-3060-laptop"),
        ("NVIDIA RTX PRO 4000 Blackwell", 0x2C34, "BLACKWELL", "NVIDIA_RTX", 24467, 145,
         "rtx-pro-6000-blackwell"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", 0x2BB5, "BLACKWELL", "NVIDIA", 97887, 600,
         "rtx-pro-6000-blackwell"),
        ("NVIDIA GeForce RTX 5070 Ti", 0x2C05, None, None, 16303, 300, "rtx-5080"),
        ("NVIDIA Thor", None, "BLACKWELL", "NVIDIA", None, None, "jetson-agx-orin"),
        ("NVIDIA GeForce GTX 960M", 0x139B, "MAXWELL", "GEFORCE", 4096, None, "gtx-1050-ti"),
        ("Quadro M4000", 0x13F1, "MAXWELL", "QUADRO", 8192, 120, "quadro-p2000"),
        ("Tesla M60", 0x13F2, "MAXWELL", "TESLA", 8129, 150, "p4"),
        ("Tesla K80", 0x102D, "KEPLER", "TESLA", 11441, 149, "p100-pcie-16gb"),
        (None, 0x1B80, None, None, 8192, 180, "gtx-1070"),
    ])  # fmt: skip
    def test_of_an_unknown_product_is_the_nearest_with_a_note(  # noqa: PLR0917
        self,
        name: str | None,
        device: int | None,
        architecture: str | None,
        brand: str | None,
        size: int | None,
        watts: int | None,
        near: str,
    ) -> None:
        told = (
            Told(("name",), name, where="line 8"),
            Told(("pci", "device_id"), device and device << 16 | 0x10DE, where="line 9"),
            Told(("architecture",), architecture),
            Told(("brand",), brand),
            Told(("memory", "total"), size and size * MIB),
            Told(("power", "default_limit"), watts and watts * 1000),
        )
        chosen, notes = choose_profile(GpuFacts(tuple(t for t in told if t.value is not None)))
        assert chosen == near
        assert [note.where for note in notes] == ["line 8" if name else "line 9"]
        product = repr(name) if name else "the device id 0x1B8010DE"
        assert f"the catalogue has no {product}: what is not told is as with" in notes[0].text

    def test_needs_something_to_go_by(self) -> None:
        with pytest.raises(ScenarioError, match="product name or its PCI device id, found neither"):
            choose_profile(gpu(memory__total=1 << 30))


class TestDriver:
    @pytest.mark.parametrize(
        ("version", "expected"),
        [
            *((driver, driver) for driver in DRIVERS),
            ("535.183.01", "535.261.03"),
            ("550.54.15", "550.163.01"),
        ],
    )
    def test_of_a_known_branch(self, version: str, expected: str) -> None:
        assert choose_driver(version, 0) == (expected, ())

    @pytest.mark.parametrize(
        ("version", "expected"),
        [("418.87.00", "470.256.02"), ("510.47.03", "525.147.05"), ("570.86.10", "580.126.09")],
    )
    def test_of_another_branch_is_the_nearest_with_a_note(
        self, version: str, expected: str
    ) -> None:
        driver, notes = choose_driver(version, 0)
        assert driver == expected
        assert notes[0].text == f"driver {version} is not known: the nearest is {expected}"

    def test_supports_the_products(self) -> None:
        driver, notes = choose_driver("535.183.01", 555)
        assert driver == "555.58.02"
        assert "the first with these products is 555" in notes[0].text

    def test_that_is_not_told_is_the_newest(self) -> None:
        assert choose_driver("", 0) == (
            NEWEST,
            (Note("", f"no driver version is told: it is {NEWEST}"),),
        )

    def test_is_a_version(self) -> None:
        with pytest.raises(ScenarioError, match="expected a driver version such as"):
            choose_driver("N/A", 0)


class TestScenario:
    def test_has_only_the_figures_that_differ(self) -> None:
        facts = gpu(name="Tesla T4", uuid=UUID, power__limit=60000, power__max_limit=70000)
        made = scenario_of(Facts("535.261.03", (facts,)))
        (only,) = made.scenario.gpus
        assert (only.profile, only.name, only.uuid) == ("t4", None, UUID)
        assert only.figures == {"power": {"limit": 60000}}
        assert made.told == 2
        assert [(each.told.value, each.ours) for each in made.differences] == [(60000, 70000)]

    def test_has_all_figures_if_asked(self) -> None:
        facts = gpu(name="Tesla T4", power__limit=60000, power__max_limit=70000)
        made = scenario_of(Facts("535.261.03", (facts,)), whole=True)
        assert made.scenario.gpus[0].figures == {"power": {"limit": 60000, "max_limit": 70000}}
        assert len(made.differences) == 1

    def test_takes_a_figure_as_exactly_as_it_is_told(self) -> None:
        total = profile("h100-sxm5-80gb").figures["memory"]["reserved"]
        rounded = total // MIB * MIB
        told = Told(("memory", "reserved"), rounded, step=MIB)
        facts = GpuFacts((Told(("name",), "NVIDIA H100 80GB HBM3"), told))
        assert not made(facts).gpus[0].figures
        exact = GpuFacts((facts.told[0], Told(told.path, rounded)))
        assert made(exact).gpus[0].figures == {"memory": {"reserved": rounded}}

    def test_of_a_figure_told_twice_takes_the_last(self) -> None:
        facts = GpuFacts(
            (Told(("name",), "Tesla T4"), *(Told(("power", "limit"), 1000 * n) for n in (60, 65)))
        )
        assert made(facts).gpus[0].figures == {"power": {"limit": 65000}}

    def test_knows_what_a_product_does_not_have(self) -> None:
        facts = gpu(name="Tesla T4", serial=None, power__limit=None, fans=[])
        (only,) = made(facts).gpus
        assert (only.serial, only.figures) == ("N/A", {"power": {"limit": None}})
        (device,) = plan_of(made(facts))["gpus"]
        assert (device["serial"], device["power"]["limit"]) == (None, None)

    def test_changes_all_fans_or_makes_one(self) -> None:
        told = {"fans__all__speed": 41, "fans__all__target": 50}
        (card,) = plan_of(made(gpu(name="NVIDIA GeForce RTX 3090", **told)))["gpus"]
        assert [(fan["speed"], fan["target"]) for fan in card["fans"]] == [(41, 50)] * 2
        (card,) = plan_of(made(gpu(name="Tesla T4", **told)))["gpus"]
        assert card["fans"] == [{"speed": 41, "target": 50}]

    def test_reports_the_versions_that_are_told(self) -> None:
        scenario = made(gpu(name="Tesla T4"), driver="535.183.01", cuda="12.1")
        assert (scenario.driver, scenario.driver_version) == ("535.261.03", "535.183.01")
        plan = plan_of(scenario)
        assert (plan["driver_version"], plan["cuda"]) == ("535.183.01", 12010)

    def test_survives_being_written(self) -> None:
        facts = gpu(name="Tesla T4", uuid=UUID, memory__total=15109 * MIB, power__limit=61250)
        scenario = made(facts, driver="535.183.01", cuda="12.1")
        text = dumps(scenario)
        assert 'total = "15109 MiB"' in text
        assert 'limit = "61.25 W"' in text
        assert loads(text) == scenario

    def test_writes_ids_as_people_read_them(self) -> None:
        facts = gpu(name="Tesla T4", pci__subsystem_id=0x0A_1B_10_DE)
        assert "subsystem_id = 0x0A1B10DE" in dumps(made(facts))
        assert loads(dumps(made(facts))) == made(facts)

    def test_says_where_a_wrong_value_stands(self) -> None:
        told = Told(("power", "limit"), -5, where="line 44, power_limit")
        facts = GpuFacts((Told(("name",), "Tesla T4"), told))
        with pytest.raises(
            ScenarioError, match=r"power.limit: line 44, power_limit: expected 0 to"
        ):
            made(facts)

    @pytest.mark.parametrize(("path", "value", "key"), [
        (("mig", "instances"), [{"profile": "1g.36gb"}], "figures.mig.instances"),
        (("name",), "x" * 2000, "name"),
        (("memory", "used"), 20 << 30, "figures.memory"),
    ])  # fmt: skip
    def test_says_where_what_cannot_be_is_told(
        self, path: tuple[str, ...], value: Any, key: str
    ) -> None:
        known = (Told(("pci", "device_id"), 0x20B010DE), Told(("mig", "current"), True))
        small = Told(("memory", "total"), 10 << 30, where="line 7")
        facts = GpuFacts((*known, small, Told(path, value, where="line 7")))
        with pytest.raises(ScenarioError, match=rf"gpu\[1\]\.{key}: line 7: "):
            made(gpu(name="Tesla T4"), facts)

    def test_says_which_gpu_contradicts_itself(self) -> None:
        facts = gpu(name="Tesla T4", memory__used=20 << 30)
        with pytest.raises(ScenarioError, match=r"^gpu\[1\]\..*in use"):
            made(gpu(name="Tesla T4"), facts)

    def test_has_no_figure_that_nobody_knows(self) -> None:
        with pytest.raises(ScenarioError, match="no figure 'colour'"):
            made(gpu(name="Tesla T4", colour="green"))

    def test_says_once_that_a_product_is_not_known(self) -> None:
        facts = Facts("535.261.03", (gpu(name="NVIDIA X1"), gpu(name="NVIDIA X1")))
        (note,) = scenario_of(facts).notes
        assert "no 'NVIDIA X1'" in note.text

    def test_numbers_the_modules_as_they_are_told(self) -> None:
        boards = [gpu(name="NVIDIA H100 80GB HBM3", board__module_id=n) for n in (2, 4)]
        plan = plan_of(made(*boards, gpu(name="NVIDIA H100 80GB HBM3")))
        assert [device["board"]["module_id"] for device in plan["gpus"]] == [2, 4, 3]
