"""The checkup below the libraries: PCI, kernel module, device nodes, nvidia-smi, variables."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from checkup_machines import (
    HEALTHY_NODES,
    OPEN_KERNEL_LINE,
    VERSION,
    Driver,
    healthy_machine,
    lay_out_machine,
    named,
    refuse_opening,
    seen_elsewhere,
)
from test_loader_states import as_nobody_special

from emulator.checkup import Check, check, failed, nodes
from emulator.testbed.asking import Answer

GPU = "0000:01:00.0"
PCI, MODULE, NODES = "GPUs on the PCI bus", "kernel module", "device nodes"


@pytest.fixture
def driver(tmp_path: Path, compile_c: Callable[..., Path]) -> Driver:
    return Driver(tmp_path / "driver", compile_c)


def smi(
    folder: Path, version: str = VERSION, status: int = 0, said: str = "GPU 0: Tesla T4"
) -> None:
    """An nvidia-smi on the driver's PATH."""
    script = folder / "nvidia-smi"
    title = f"NVIDIA System Management Interface -- v{version}"
    script.write_text(
        f'#!/bin/sh\nif [ "$1" = -h ]; then echo "{title}"; else echo "{said}"; exit {status}; fi\n'
    )
    script.chmod(0o755)


def see(root: Path, environment: dict[str, str] | None = None) -> list[Check]:
    return check(root, environment or {}, limit=20)


class TestHardware:
    def test_gpu_with_its_driver_is_fine(self, tmp_path: Path) -> None:
        found = named(see(healthy_machine(tmp_path)), PCI)
        assert (found.state, found.text) == ("ok", "1 of NVIDIA, with its driver")
        assert found.details == (f"{GPU} (10de:1eb8): nvidia",)

    @pytest.mark.parametrize(
        ("holder", "words", "advice"),
        [
            ("nouveau", "has the driver nouveau", "blacklist nouveau"),
            ("vfio-pci", "has the driver vfio-pci", "virtual machines"),
            ("xdma", "has the driver xdma", "bind it to nvidia"),
            (None, "has no driver", "modprobe nvidia"),
        ],
    )
    def test_gpu_in_other_hands_is_a_failure(
        self, tmp_path: Path, holder: str | None, words: str, advice: str
    ) -> None:
        found = named(see(lay_out_machine(tmp_path, {GPU: holder})), PCI)
        assert found.state == "failed"
        assert f"{GPU} {words}" in found.text
        assert advice in found.next

    def test_one_of_two_gpus_in_other_hands_is_a_warning(self, tmp_path: Path) -> None:
        gpus = {GPU: "nvidia", "0000:02:00.0": "vfio-pci"}
        found = named(see(lay_out_machine(tmp_path, gpus, VERSION, HEALTHY_NODES)), PCI)
        assert found.state == "warning"
        assert "2 of NVIDIA; 0000:02:00.0 has the driver vfio-pci" in found.text

    def test_other_devices_are_no_gpus(self, tmp_path: Path) -> None:
        """The bridge is Intel's; an NVIDIA sound device is of another class."""
        root = lay_out_machine(tmp_path)
        sound = root / "sys/bus/pci/devices/0000:01:00.1"
        sound.mkdir()
        (sound / "vendor").write_text("0x10de\n")
        (sound / "class").write_text("0x040300\n")
        assert "no NVIDIA GPU" in named(see(root), PCI).text

    def test_libraries_without_hardware(self, tmp_path: Path, driver: Driver) -> None:
        driver.put("nvml", nvmlInit_v2="return 9;")
        found = see(lay_out_machine(tmp_path / "root"), driver.environment)
        assert "though its libraries are there" in named(found, PCI).text
        assert named(found, MODULE).state == "failed"
        assert "there is no GPU for it" in named(found, MODULE).text

    def test_bus_that_cannot_be_seen(self, tmp_path: Path) -> None:
        assert named(see(tmp_path), PCI).text == "not to be seen: there is no /sys/bus/pci here"

    def test_wsl_is_known(self, tmp_path: Path) -> None:
        root = lay_out_machine(tmp_path, nodes=["dxg"])
        found = see(root)
        assert [named(found, name).state for name in (PCI, MODULE, NODES)] == ["ok"] * 3
        assert named(found, "libcuda.so.1").state == "failed"

    def test_jetson_is_known(self, tmp_path: Path) -> None:
        root = lay_out_machine(tmp_path)
        (root / "proc/device-tree").mkdir()
        (root / "proc/device-tree/compatible").write_bytes(b"nvidia,p3737\0nvidia,tegra234\0")
        assert named(see(root), PCI).text.startswith("Jetson: ")


class TestKernelModule:
    @pytest.mark.parametrize("version", [VERSION, "590.48", "470.256.02"])
    def test_version_is_read(self, tmp_path: Path, version: str) -> None:
        assert named(see(healthy_machine(tmp_path, version)), MODULE).text == f"nvidia {version}"

    def test_version_of_the_open_module_is_read(self, tmp_path: Path) -> None:
        root = lay_out_machine(
            tmp_path, {GPU: "nvidia"}, "555.58.02", HEALTHY_NODES, line=OPEN_KERNEL_LINE
        )
        found = named(see(root), MODULE)
        assert found.text == "nvidia 555.58.02"
        assert "Open Kernel Module" in found.details[0]

    def test_missing_beside_a_gpu_is_a_failure(self, tmp_path: Path) -> None:
        found = named(see(lay_out_machine(tmp_path, {GPU: None}, modules=["nouveau"])), MODULE)
        assert found.state == "failed"
        assert found.text == (
            "not loaded: there is no /proc/driver/nvidia/version, and the running kernel "
            "6.1.0-37-amd64 has none"
        )
        assert found.details == ("loaded: nouveau",)
        assert "headers" in found.next

    @pytest.mark.parametrize(
        "file", ["updates/dkms/nvidia.ko.xz", "extra/nvidia-current.ko", "x/nvidia-550.ko.zst"]
    )
    def test_module_that_is_there_is_to_be_loaded(self, tmp_path: Path, file: str) -> None:
        root = lay_out_machine(tmp_path, {GPU: None})
        folder = root / "lib/modules/6.1.0-37-amd64"
        folder.mkdir(parents=True)
        (folder / "modules.dep").write_text(
            f"kernel/drivers/video/fbdev/nvidia/nvidiafb.ko:\n{file}: kernel/drm.ko\n"
        )
        found = named(see(root), MODULE)
        assert found.details == (f"there to be loaded: {file}",)
        assert "modprobe nvidia" in found.next

    def test_secure_boot_is_named(self, tmp_path: Path) -> None:
        root = lay_out_machine(tmp_path, {GPU: None})
        folder, firmware = root / "lib/modules/6.1.0-37-amd64", root / "sys/firmware/efi/efivars"
        folder.mkdir(parents=True)
        (folder / "modules.dep").write_text("updates/dkms/nvidia.ko:\n")
        firmware.mkdir(parents=True)
        state = firmware / "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
        state.write_bytes(b"\6\0\0\0\1")
        assert "Secure Boot is on" in named(see(root), MODULE).text
        state.write_bytes(b"\6\0\0\0\0")
        assert "Secure Boot" not in named(see(root), MODULE).text

    def test_one_that_a_sandbox_hides_is_fine(self, tmp_path: Path, driver: Driver) -> None:
        """NVIDIA's own library counts GPUs: so there are some, and a module that answers."""
        driver.put("nvml")
        found = see(lay_out_machine(tmp_path / "sandbox"), driver.environment)
        assert "the libraries reach it" in named(found, MODULE).text
        assert named(found, MODULE).state == named(found, PCI).state == "ok"

    def test_missing_in_a_container_is_the_hosts(self, tmp_path: Path) -> None:
        root = lay_out_machine(tmp_path, {GPU: "nvidia"})
        (root / "run").mkdir()
        (root / "run/.containerenv").write_text("")
        assert "on the host" in named(see(root), MODULE).next

    def test_missing_without_a_gpu_is_fine(self, tmp_path: Path) -> None:
        found = named(see(lay_out_machine(tmp_path)), MODULE)
        assert (found.state, found.text) == ("ok", "not loaded, and nothing here needs it")


@pytest.fixture
def _a_driver_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = Answer((), "/dev/nvidia0", "did not come back in 3 s")
    monkeypatch.setattr(nodes, "ask", lambda *arguments: answer)


class TestDeviceNodes:
    def test_all_there(self, tmp_path: Path) -> None:
        found = named(see(healthy_machine(tmp_path)), NODES)
        assert (found.state, found.text) == ("ok", "3, all can be opened")
        assert found.details[1] == "/dev/nvidia0: can be opened"

    @pytest.mark.parametrize(
        ("nodes", "missing", "advice"),
        [
            (["nvidia0", "nvidia-uvm"], "/dev/nvidiactl", "nvidia-modprobe"),
            (["nvidiactl", "nvidia-uvm"], "/dev/nvidia0", "nvidia-modprobe"),
            (["nvidiactl", "nvidia0"], "/dev/nvidia-uvm", "nvidia-modprobe -u"),
            ([], "/dev/nvidiactl", "nvidia-modprobe -u"),
        ],
    )
    def test_missing_one_is_named(
        self, tmp_path: Path, nodes: list[str], missing: str, advice: str
    ) -> None:
        found = named(see(lay_out_machine(tmp_path, {GPU: "nvidia"}, VERSION, nodes)), NODES)
        assert found.state == "failed"
        assert f"there is no {missing}" in found.text
        assert advice in found.next

    def test_one_that_no_driver_answers_for(self, tmp_path: Path) -> None:
        root = healthy_machine(tmp_path)
        refuse_opening(root / "dev/nvidia-uvm")
        found = named(see(root), NODES)
        assert found.state == "failed"
        assert "/dev/nvidia-uvm cannot be opened: no such device or address" in found.text
        assert "modprobe nvidia" in found.next
        assert "/dev/nvidia0: can be opened" in found.details

    def test_left_over_without_a_gpu_is_a_warning(self, tmp_path: Path) -> None:
        root = lay_out_machine(tmp_path, nodes=["nvidiactl"])
        refuse_opening(root / "dev/nvidiactl")
        assert named(see(root), NODES).state == "warning"

    def test_one_that_this_user_may_not_open(self, tmp_path: Path) -> None:
        root = healthy_machine(tmp_path)
        (root / "dev/nvidia0").chmod(0)
        line = seen_elsewhere(root, NODES, {}, preexec=as_nobody_special)
        assert line["state"] == "failed"
        assert "/dev/nvidia0 cannot be opened: permission denied" in line["text"]
        assert "group" in line["next"]

    @pytest.mark.usefixtures("_a_driver_that_hangs")
    def test_opening_that_never_ends_is_told(self, tmp_path: Path) -> None:
        found = named(see(healthy_machine(tmp_path)), NODES)
        assert (found.state, found.text) == (
            "failed",
            "opening /dev/nvidia0 did not come back in 3 s",
        )
        assert "/dev/nvidiactl: not tried" in found.details

    def test_none_without_a_gpu_is_fine(self, tmp_path: Path) -> None:
        assert named(see(lay_out_machine(tmp_path)), NODES).state == "ok"


class TestVersions:
    def test_agree(self, tmp_path: Path, driver: Driver) -> None:
        driver.put("nvml")
        driver.put("cuda")
        smi(driver.folder)
        found = see(healthy_machine(tmp_path / "root"), driver.environment)
        line = named(found, "versions")
        assert line.state == "ok"
        assert line.text == f"NVML, CUDA, kernel module, nvidia-smi agree: {VERSION}"
        assert not failed(found)

    def test_libraries_newer_than_the_module(self, tmp_path: Path, driver: Driver) -> None:
        driver.put("nvml", nvmlInit_v2="return 18;")
        found = see(healthy_machine(tmp_path / "root", "535.261.03"), driver.environment)
        line = named(found, "versions")
        assert line.state == "failed"
        assert line.text.startswith(f"differ: NVML {VERSION}, kernel module 535.261.03; nvmlInit")
        assert "restart the machine" in line.next

    def test_libcuda_of_another_driver(self, tmp_path: Path, driver: Driver) -> None:
        driver.put("nvml")
        driver.put("cuda", version="560.35.03")
        line = named(see(healthy_machine(tmp_path / "root"), driver.environment), "versions")
        assert line.state == "failed"
        assert "CUDA 560.35.03" in line.text

    def test_libcuda_of_cuda_compat(self, tmp_path: Path, compile_c: Callable[..., Path]) -> None:
        compat = Driver(tmp_path / "compat", compile_c)
        compat.put("cuda", version="560.35.03")
        line = named(see(healthy_machine(tmp_path / "root"), compat.environment), "versions")
        assert line.state == "warning"
        assert "cuda-compat" in line.text
        assert "804" in line.next

    def test_nvidia_smi_of_another_driver(self, tmp_path: Path, driver: Driver) -> None:
        driver.put("nvml")
        smi(driver.folder, "535.261.03")
        line = named(see(healthy_machine(tmp_path / "root"), driver.environment), "versions")
        assert line.state == "warning"
        assert "nvidia-smi 535.261.03" in line.text

    def test_nothing_to_compare(self, tmp_path: Path) -> None:
        assert not [each for each in see(lay_out_machine(tmp_path)) if each.name == "versions"]


class TestNvidiaSmi:
    def test_what_it_lists(self, tmp_path: Path, driver: Driver) -> None:
        smi(driver.folder)
        found = named(see(healthy_machine(tmp_path / "root"), driver.environment), "nvidia-smi")
        assert found.state == "ok"
        assert found.text == f"{driver.folder}/nvidia-smi, version {VERSION}"
        assert found.details == ("GPU 0: Tesla T4",)

    def test_what_it_says_when_it_fails(self, tmp_path: Path, driver: Driver) -> None:
        smi(driver.folder, status=9, said="NVIDIA-SMI has failed")
        found = named(see(healthy_machine(tmp_path / "root"), driver.environment), "nvidia-smi")
        assert found.state == "failed"
        assert found.text.endswith(f"version {VERSION}, exits with 9: NVIDIA-SMI has failed")

    def test_one_that_cannot_be_run(self, tmp_path: Path, driver: Driver) -> None:
        (driver.folder / "nvidia-smi").write_bytes(b"\x7fELF")
        (driver.folder / "nvidia-smi").chmod(0o755)
        found = named(see(healthy_machine(tmp_path / "root"), driver.environment), "nvidia-smi")
        assert found.state == "failed"
        assert "Exec format error" in found.text

    def test_absent(self, tmp_path: Path) -> None:
        assert named(see(healthy_machine(tmp_path / "a")), "nvidia-smi").state == "warning"
        assert named(see(lay_out_machine(tmp_path / "b")), "nvidia-smi").state == "ok"


class TestVariables:
    @pytest.mark.parametrize(
        ("name", "value", "state", "words"),
        [
            ("CUDA_VISIBLE_DEVICES", "", "warning", "hides all GPUs from CUDA"),
            ("CUDA_VISIBLE_DEVICES", "-1", "warning", "hides all GPUs from CUDA"),
            ("CUDA_VISIBLE_DEVICES", "0,1", "ok", "these GPUs only"),
            ("NVIDIA_VISIBLE_DEVICES", "void", "warning", "gives the container no GPU"),
            ("NVIDIA_VISIBLE_DEVICES", "all", "ok", "the container runtime gives"),
            ("NVIDIA_DRIVER_CAPABILITIES", "all", "ok", "the container runtime gives"),
            ("LD_LIBRARY_PATH", "/usr/local/cuda/lib64/stubs", "warning", "link with"),
            ("LD_LIBRARY_PATH", "/nowhere:/tmp", "ok", "not there: /nowhere"),
            ("LD_AUDIT", "/nowhere/audit.so", "ok", "every search of the loader"),
        ],
    )
    def test_is_explained(
        self, tmp_path: Path, name: str, value: str, state: str, words: str
    ) -> None:
        found = named(see(healthy_machine(tmp_path), {name: value}), f"{name}={value}")
        assert found.state == state
        assert words in found.text

    @pytest.mark.parametrize(
        ("capabilities", "words"),
        [("utility", "without libcuda.so.1"), ("compute", "without libnvidia-ml.so.1 and")],
    )
    def test_capabilities_of_a_container(
        self, tmp_path: Path, capabilities: str, words: str
    ) -> None:
        root = healthy_machine(tmp_path)
        (root / ".dockerenv").write_text("")
        variable = "NVIDIA_DRIVER_CAPABILITIES"
        found = named(see(root, {variable: capabilities}), f"{variable}={capabilities}")
        assert found.state == "warning"
        assert words in found.text

    def test_container_that_asked_and_was_given_none(self, tmp_path: Path) -> None:
        root = lay_out_machine(tmp_path, {GPU: "nvidia"}, VERSION)
        (root / ".dockerenv").write_text("")
        name = "NVIDIA_VISIBLE_DEVICES"
        found = named(see(root, {name: "all"}), f"{name}=all")
        assert found.state == "failed"
        assert "--gpus all" in found.next

    def test_those_that_are_not_set_have_no_line(self, tmp_path: Path) -> None:
        assert not [each for each in see(healthy_machine(tmp_path)) if "=" in each.name]


def test_machine_without_anything_of_nvidias_has_not_failed(tmp_path: Path) -> None:
    """What nvemu is for: a laptop, a CI runner."""
    assert not failed(see(lay_out_machine(tmp_path), {"PATH": os.defpath}))
