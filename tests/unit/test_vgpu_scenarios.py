"""vGPU hosts and guests as scenarios: what is refused at once, and what all processes see."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pynvml
import pytest
from nvml_client import A100, H100, RTX_4090, T4, playing
from vgpu_host import RUNNING, host, instances

from emulator import Change, Gpu, Scenario, ScenarioError, Testbed
from emulator.plans import plan_of

UUID = "5a1b7cf6-6c0e-4a3a-9d3b-0f2c7b1f5e10"


def error(gpu: Gpu, **scenario: Any) -> str:
    """What is wrong with a scenario."""
    with pytest.raises(ScenarioError) as caught:
        plan_of(Scenario(gpus=[gpu], **scenario))
    return str(caught.value)


def mig_host(*types: str, profiles: tuple[str, ...] = (), **mig: Any) -> Gpu:
    rows = [{"profile": profile} for profile in profiles]
    table = {
        "virtualization_mode": "HOST_VGPU",
        "mig": {"instances": rows, **mig},
        "vgpu": {"instances": [{"type": name} for name in types]},
    }
    return Gpu(A100, figures=table)


class TestRefused:
    def test_where_there_is_no_host(self):
        gpu = Gpu(T4, figures={"vgpu": {"instances": [{"type": "GRID T4-8Q"}]}})
        assert error(gpu) == (
            "gpu[0].figures.vgpu.instances: expected no vGPUs, as the GPU hosts none: "
            "set virtualization_mode = 'HOST_VGPU'"
        )

    def test_a_type_that_the_product_does_not_have(self):
        problem = error(host("GRID T4-8Q", "NVIDIA A40-8Q"))
        assert problem.startswith(
            "gpu[0].figures.vgpu.instances[1].type: no vGPU type 'NVIDIA A40-8Q': t4 has GRID T4-1B"
        )
        assert "GRID T4-8C" in problem

    def test_a_product_that_has_none(self):
        problem = error(host("GRID T4-8Q", product=RTX_4090))
        assert "rtx-4090 has no vGPU types" in problem

    def test_more_than_fit(self):
        problem = error(host(*["GRID T4-8Q"] * 3))
        assert "expected at most 2 of GRID T4-8Q, found more" in problem

    def test_several_sizes(self):
        problem = error(host("GRID T4-8Q", "GRID T4-4Q"))
        assert "expected vGPUs of one size" in problem
        assert "set heterogeneous = true" in problem

    def test_sizes_that_do_not_fit_together(self):
        problem = error(host("GRID T4-16Q", "GRID T4-1Q", heterogeneous=True))
        assert "no room for GRID T4-1Q beside GRID T4-16Q" in problem

    def test_a_placement_that_is_taken(self):
        rows = [{"type": "GRID T4-8Q", "placement": 0}, {"type": "GRID T4-4Q", "placement": 4}]
        problem = error(host(*rows, heterogeneous=True))
        assert "expected a free placement of GRID T4-4Q (8, 12), found 4" in problem

    def test_mixed_sizes_before_driver_550(self):
        problem = error(host("GRID T4-8Q", heterogeneous=True), driver="535.261.03")
        assert "sizes are mixed from Turing and driver 550 on" in problem

    def test_a_mig_backed_type_without_its_gpu_instance(self):
        assert "as MIG is off" in error(mig_host("GRID A100DX-1-10C"))
        wrong = mig_host("GRID A100DX-1-10C", profiles=("3g.40gb",), current=True)
        assert "no free GPU instance of profile 1g.10gb" in error(wrong)
        twice = mig_host(*["GRID A100DX-1-10C"] * 2, profiles=("1g.10gb",), current=True)
        assert "no free GPU instance of profile 1g.10gb" in error(twice)

    def test_a_type_that_is_not_mig_backed_in_mig_mode(self):
        gpu = mig_host("GRID A100DX-40C", profiles=("1g.10gb",), current=True)
        assert "only MIG-backed types run then" in error(gpu)

    @pytest.mark.parametrize(
        ("figures", "problem"),
        [
            ({"uuid": "GPU-1"}, "instances[0].uuid: expected a UUID, found 'GPU-1'"),
            ({"id": 0}, "instances[0].id: expected a number of 32 bits above 0, found 0"),
            ({"used_memory": "9 GiB"}, "instances[0].used_memory: expected at most 8 GiB in use"),
            ({"license": "EXPIRED"}, "instances[0].license: expected one of"),
        ],
    )
    def test_figures_of_a_vgpu(self, figures: dict[str, Any], problem: str):
        with pytest.raises(ScenarioError) as caught:
            plan_of(Scenario(gpus=[host({**RUNNING, **figures})]))
        assert problem in str(caught.value)

    @pytest.mark.parametrize(
        ("figures", "problem"),
        [
            ({"types": [{"name": "X", "id": 1}]}, "types[0].name: expected a name that ends in a"),
            ({"types": [{"name": "X-8Q", "id": 0}]}, "types[0].id: expected a number of 32 bits"),
            (
                {"types": [{"name": name, "id": 1} for name in ("X-8Q", "X-4Q")]},
                "types[0].id: expected a number of 32 bits above 0, and of its own; found 1",
            ),
            (
                {"scheduler": {"frequency": 1 << 40}},
                "scheduler.frequency: expected an integer from 63 to 960",
            ),
            (
                {"gpu_instances": [{"id": 1, "scheduler": {"timeslice": 1}}]},
                "scheduler.timeslice: expected an integer from 1000000 to 30000000",
            ),
        ],
    )
    def test_figures_of_a_host(self, figures: dict[str, Any], problem: str):
        with pytest.raises(ScenarioError) as caught:
            plan_of(Scenario(gpus=[host(**figures)]))
        assert problem in str(caught.value)

    def test_a_change_to_a_type_that_there_is_not(self):
        rows = [{"type": "GRID T4-9Q"}]
        change = Change(at="1 s", set={"vgpu": {"instances": rows}})
        with pytest.raises(ScenarioError, match="no vGPU type 'GRID T4-9Q': t4 has") as caught:
            plan_of(Scenario(gpus=[host()], changes=[change]))
        assert str(caught.value).startswith("change[0].set.vgpu.instances[0].type: ")

    def test_two_that_share_an_identity(self):
        problem = error(host({**RUNNING, "uuid": UUID}, {**RUNNING, "uuid": UUID}))
        assert f"instances[1].uuid: expected one of its own, found '{UUID}' again" in problem

    @pytest.mark.parametrize(("name", "value"), [("id", 7), ("uuid", UUID), ("mdev_uuid", UUID)])
    def test_two_gpus_whose_vgpus_share_one(self, name: str, value: int | str):
        gpu = host({**RUNNING, name: value})
        with pytest.raises(ScenarioError, match="one of its own") as caught:
            plan_of(Scenario(gpus=[gpu, gpu]))
        assert str(caught.value).startswith(f"gpu[1].figures.vgpu.instances[0].{name}: ")


class TestProducts:
    """Each product of the catalogue whose types NVIDIA publishes."""

    @pytest.mark.parametrize(
        ("product", "name", "count"),
        [
            (T4, "GRID T4-1Q", 16),
            ("p40", "GRID P40-1Q", 24),
            ("p100-pcie-16gb", "GRID P100-4Q", 4),
            ("v100-pcie-32gb", "GRID V100D-1Q", 32),
            ("quadro-rtx-6000", "GRID RTX6000-3Q", 8),
            (A100, "GRID A100DX-4C", 20),
            ("a16", "NVIDIA A16-1B", 16),
            ("a40", "NVIDIA A40-1Q", 32),
            ("rtx-a6000", "NVIDIA RTXA6000-2B", 24),
            ("l4", "NVIDIA L4-1Q", 24),
            ("l40s", "NVIDIA L40S-1B", 32),
            (H100, "NVIDIA H100XM-20C", 4),
            ("h100-nvl-94gb", "NVIDIA H100L-15C", 6),
            ("h200-sxm-141gb", "NVIDIA H200X-28C", 5),
        ],
    )
    def test_is_filled_with_as_many_as_the_user_guide_has(
        self, product: str, name: str, count: int
    ):
        with playing(host(*[name] * count, product=product)) as (_, [handle]):
            assert len(instances(handle)) == count
        assert f"expected at most {count}" in error(host(*[name] * (count + 1), product=product))


def test_a_vm_starts_and_ends_in_the_course_of_time():
    started = Change(at="10 s", set={"vgpu": {"instances": [RUNNING]}})
    ended = Change(at="20 s", set={"vgpu": {"instances": []}})
    with playing(host(), changes=[started, ended], clock="manual") as (machine, [handle]):
        counts = []
        for _ in range(3):
            counts.append(len(instances(handle)))
            machine.clock.advance(10)
        assert counts == [0, 1, 0]


def asked(gpus: list[Gpu], code: str, driver: str = "580.126.09") -> str:
    """What a program prints that is run with pynvml, initialised, and the first GPU's handle."""
    start = "import ctypes, pynvml as n\nn.nvmlInit()\nh = n.nvmlDeviceGetHandleByIndex(0)\n"
    with Testbed(Scenario(gpus=gpus, driver=driver, user="root")) as testbed:
        output = ""
        for part in code.split("---\n"):
            done = subprocess.run(
                [sys.executable, "-c", start + part],
                env=testbed.environment(),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            output += done.stdout + done.stderr
    return output


class TestProcesses:
    def test_what_one_sets_another_sees(self):
        code = """\
n.nvmlDeviceSetVgpuHeterogeneousMode(h, 1)
---
print(n.nvmlDeviceGetVgpuHeterogeneousMode(h))
"""
        assert asked([host()], code) == "1\n"

    def test_also_of_a_vgpu(self):
        code = """\
v, = n.nvmlDeviceGetActiveVgpus(h)
n.nvmlVgpuInstanceSetEncoderCapacity(v, 25)
---
v, = n.nvmlDeviceGetActiveVgpus(h)
print(n.nvmlVgpuInstanceGetEncoderCapacity(v))
"""
        assert asked([host(RUNNING)], code) == "25\n"


class TestDrivers:
    def test_before_525_only_whole_gpus_are_several_in_a_vm(self):
        code = "print([n.nvmlVgpuTypeGetMaxInstancesPerVm(each) for each in (233, 234)])\n"
        assert asked([host()], code, driver="470.256.02") == "[1, 16]\n"
        assert asked([host()], code, driver="525.147.05") == "[16, 16]\n"

    def test_550_mixes_sizes(self):
        code = "print(n.nvmlDeviceGetVgpuHeterogeneousMode(h))\n"
        assert asked([host()], code, driver="550.163.01") == "0\n"

    def test_the_scheduler_s_second_version(self):
        code = """\
state = n.c_nvmlVgpuSchedulerState_v2_t()
state.engineId, state.schedulerPolicy, state.avgFactor, state.frequency = 1, 2, 20, 100
n.nvmlDeviceSetVgpuSchedulerState_v2(h, state)
state.engineId = 9
try:
    n.nvmlDeviceSetVgpuSchedulerState_v2(h, state)
except n.NVMLError as error:
    print(error.value)
info = n.c_nvmlVgpuSchedulerStateInfo_v2_t()
info.engineId = 1
n.nvmlDeviceGetVgpuSchedulerState_v2(h, info)
print(info.schedulerPolicy, info.avgFactor, info.timeslice)
"""
        assert asked([host()], code, driver="615.71") == "2\n2 0 0\n"

    def test_without_gsp_no_vgpu_stays(self):
        code = """\
print(len(n.nvmlDeviceGetActiveVgpus(h)))
n.nvmlDeviceVgpuForceGspUnload(h)
print(n.nvmlDeviceGetActiveVgpus(h))
try:
    n.nvmlDeviceVgpuForceGspUnload(h)
except n.NVMLError as error:
    print(error.value)
"""
        gpu = host("NVIDIA H100XM-80C", product=H100)
        assert asked([gpu], code, driver="615.71") == "1\n[]\n3\n"


def test_a_guest_has_its_vgpu_s_name_and_memory():
    figures = {"virtualization_mode": "VGPU", "memory": {"reserved": "576 MiB"}}
    with playing(Gpu(T4, name="GRID T4-8Q", memory_total="8 GiB", figures=figures)) as (
        _,
        [handle],
    ):
        assert pynvml.nvmlDeviceGetName(handle) == "GRID T4-8Q"
        assert pynvml.nvmlDeviceGetVirtualizationMode(handle) == 2
        assert pynvml.nvmlDeviceGetMemoryInfo(handle).total == 8 << 30
