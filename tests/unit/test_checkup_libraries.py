"""The checkup of the two libraries: which file is found and why, whose it is, whether it works."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from checkup_machines import (
    VERSION,
    Driver,
    healthy_machine,
    lay_out_machine,
    named,
    seen_elsewhere,
    system_has,
)
from test_loader_states import as_nobody_special

from emulator import Testbed
from emulator.checkup import Check, check, failed
from emulator.checkup.kinds import REAL, Kind, kind
from emulator.checkup.search import candidates
from emulator.stubfiles import SONAMES, stub, stub_driver
from emulator.testbed import damage
from emulator.testbed.asking import ask

pytestmark = pytest.mark.skipif(
    any(map(system_has, SONAMES.values())),
    reason="NVIDIA's driver is installed here: nothing of it can be absent",
)

NVML, CUDA = SONAMES["nvml"], SONAMES["cuda"]
INITS = {"nvml": "nvmlInit_v2", "cuda": "cuInit"}


@pytest.fixture
def driver(tmp_path: Path, compile_c: Callable[..., Path]) -> Driver:
    return Driver(tmp_path / "driver", compile_c)


@pytest.fixture
def see(tmp_path: Path) -> Callable[..., list[Check]]:
    """`see(environment, root=None)`: the checkup of a healthy machine."""

    def see(environment: Mapping[str, str], root: Path | None = None) -> Any:
        return check(root or healthy_machine(tmp_path / "root"), environment, limit=20)

    return see


class TestWhoseItIs:
    @pytest.mark.parametrize("library", SONAMES)
    def test_nvidias_is_known_by_version_and_functions(
        self, driver: Driver, see: Callable[..., list[Check]], library: str
    ) -> None:
        path = driver.put(library)
        found = named(see(driver.environment), SONAMES[library])
        assert found.state == "ok"
        assert found.text == f"{path} (LD_LIBRARY_PATH): NVIDIA's, of driver {VERSION}"

    def test_version_is_read_where_the_name_has_none(
        self, driver: Driver, see: Callable[..., list[Check]]
    ) -> None:
        path = driver.put("cuda")
        path.resolve().rename(path.with_name("other.so"))
        path.unlink()
        path.symlink_to("other.so")
        assert f"of driver {VERSION}" in named(see(driver.environment), CUDA).text

    @pytest.mark.parametrize("library", SONAMES)
    @pytest.mark.parametrize("older", ["470.256.02", "580.126.09"])
    def test_stub_of_nvemu_is_known_by_its_note(
        self, tmp_path: Path, see: Callable[..., list[Check]], library: str, older: str
    ) -> None:
        copy = tmp_path / SONAMES[library]
        copy.write_bytes(stub(library, older).read_bytes())
        assert stub_driver(copy) == older
        found = named(see({"LD_LIBRARY_PATH": str(tmp_path)}), SONAMES[library])
        assert f"a stub of nvemu, of driver {older}" in found.text
        assert found.state == "warning"  # this machine has a GPU of its own, which it hides

    def test_stub_of_nvemu_is_fine_without_hardware(
        self, tmp_path: Path, see: Callable[..., list[Check]]
    ) -> None:
        with Testbed("default") as testbed:
            found = see(testbed.environment(), lay_out_machine(tmp_path / "bare"))
        assert named(found, CUDA).state == "ok"
        assert named(found, "cuInit").text == "works, CUDA 13.0, 1 device"

    def test_stub_without_a_testbed_says_so(
        self, tmp_path: Path, see: Callable[..., list[Check]]
    ) -> None:
        environment = {"LD_LIBRARY_PATH": str(stub("cuda", VERSION).parent)}
        found = named(see(environment, lay_out_machine(tmp_path / "bare")), "cuInit")
        assert found.state == "failed"
        assert "; the stub says: nvemu: no testbed" in found.text
        assert "nvemu run" in found.next

    def test_shim_is_told_what_it_lacks(
        self, driver: Driver, see: Callable[..., list[Check]]
    ) -> None:
        driver.put("nvml", version=None, functions=["nvmlInit_v2", "nvmlDeviceGetCount_v2"])
        found = named(see(driver.environment), NVML)
        assert found.state == "warning"
        assert "not NVIDIA's: no driver version in it, lacks " in found.text
        assert "nvemu symbols diff" in found.next

    def test_shim_with_a_version_is_one_all_the_same(
        self, driver: Driver, see: Callable[..., list[Check]]
    ) -> None:
        driver.put("nvml", functions=["nvmlInit_v2"])
        assert "not NVIDIA's: lacks " in named(see(driver.environment), NVML).text

    def test_stub_of_the_toolkit_is_no_driver(
        self, tmp_path: Path, compile_c: Callable[..., Path], see: Callable[..., list[Check]]
    ) -> None:
        (tmp_path / "lib64").mkdir()
        toolkit = Driver(tmp_path / "lib64" / "stubs", compile_c)
        toolkit.put("cuda", version=None, cuInit="return 34;")
        found = see(toolkit.environment)
        assert named(found, CUDA).state == "failed"
        assert "the CUDA toolkit's stub" in named(found, CUDA).text
        assert "answers 34 (STUB_LIBRARY)" in named(found, "cuInit").text
        variable = f"LD_LIBRARY_PATH={toolkit.folder}"
        assert named(found, variable).state == "warning"

    @pytest.mark.skipif("NVEMU_REAL_DRIVERS" not in os.environ, reason="no real drivers here")
    def test_nvidias_own_are_nvidias(self, tmp_path: Path) -> None:
        for path in sorted(Path(os.environ["NVEMU_REAL_DRIVERS"]).glob("*/lib*.so.1")):
            unnamed = tmp_path / path.name
            unnamed.write_bytes(path.read_bytes())
            library = next(name for name, soname in SONAMES.items() if soname == path.name)
            for file in (path, unnamed):
                assert kind(library, file) == Kind(
                    REAL, f"NVIDIA's, of driver {path.parent.name}", path.parent.name
                )


#: State of the first file -> what is in it, and what a checkup says of it.
REFUSED = {
    "empty": (damage.EMPTY, "stops the search, an empty file", "file too short"),
    "text": (damage.not_elf(), "stops the search, no ELF file", "invalid ELF header"),
    "short": (b"\x7fELF\2", "stops the search, too short for a library", "file too short"),
    "32-bit": (damage.wrong_class(), "is passed over, for 32-bit programs", "wrong ELF class"),
}


class TestWhatTheLoaderFinds:
    @pytest.mark.parametrize("state", REFUSED)
    def test_refused_file_is_named_with_the_reason(
        self, tmp_path: Path, see: Callable[..., list[Check]], state: str
    ) -> None:
        content, reason, words = REFUSED[state]
        (tmp_path / CUDA).write_bytes(content)
        found = named(see({"LD_LIBRARY_PATH": str(tmp_path)}), CUDA)
        assert found.state == "failed"
        assert f"{tmp_path / CUDA} {reason}" in found.text
        assert words in found.text
        assert str(tmp_path / CUDA) in found.next

    @pytest.mark.parametrize("state", REFUSED)
    def test_explanation_agrees_with_the_loader(
        self, tmp_path: Path, driver: Driver, state: str
    ) -> None:
        """A refused file in front of a good one: stopped or passed over, as glibc does it."""
        good = driver.put("cuda")
        (tmp_path / CUDA).write_bytes(REFUSED[state][0])
        environment = {"LD_LIBRARY_PATH": f"{tmp_path}:{driver.folder}"}
        first, second, *_ = candidates(CUDA, environment, tmp_path)
        said = ask(["cuda", CUDA], environment, 20).result("dlopen")
        assert second.verdict == "taken"
        assert said.get("path") == (str(good) if first.verdict == "passed over" else None)

    def test_all_places_are_listed_in_the_loaders_order(
        self, tmp_path: Path, driver: Driver, see: Callable[..., list[Check]]
    ) -> None:
        driver.put("cuda")
        (tmp_path / "wrong").mkdir()
        (tmp_path / "wrong" / CUDA).write_bytes(damage.wrong_class())
        path = f"{tmp_path}/none:{tmp_path}/wrong:{driver.folder}"
        found = named(see({"LD_LIBRARY_PATH": path}), CUDA)
        assert found.state == "ok"
        assert found.details[:3] == (
            f"{tmp_path}/none/{CUDA} (LD_LIBRARY_PATH): not there",
            f"{tmp_path}/wrong/{CUDA} (LD_LIBRARY_PATH): passed over, "
            "for 32-bit programs (wrong ELF class)",
            f"{driver.folder}/{CUDA} (LD_LIBRARY_PATH): taken",
        )
        assert all("(default folder)" in line for line in found.details[3:])
        assert len(found.details) > 3

    def test_cache_of_ldconfig_is_read(self, tmp_path: Path, driver: Driver) -> None:
        driver.put("cuda")
        (tmp_path / "etc").mkdir()
        configuration = tmp_path / "ld.so.conf"
        configuration.write_text(f"{driver.folder}\n")
        cache = tmp_path / "etc/ld.so.cache"
        ldconfig = ["/sbin/ldconfig", "-X", "-f", configuration, "-C", cache]
        subprocess.run(ldconfig, check=True, capture_output=True)
        first, *_ = candidates(CUDA, {}, tmp_path)
        assert (first.path, first.how) == (f"{driver.folder}/{CUDA}", "ld.so.cache")
        assert first.verdict == "taken"

    @pytest.mark.parametrize("content", [b"", b"glibc-ld.so.cache1.1", b"\0" * 100])
    def test_damaged_cache_has_nothing(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc/ld.so.cache").write_bytes(content)
        assert {each.how for each in candidates(CUDA, {}, tmp_path)} == {"default folder"}

    def test_broken_link_is_named_with_its_target(
        self, tmp_path: Path, see: Callable[..., list[Check]]
    ) -> None:
        (tmp_path / NVML).symlink_to("libnvidia-ml.so.1.gone")
        found = named(see({"LD_LIBRARY_PATH": str(tmp_path)}), NVML)
        assert found.state == "failed"
        assert "a link to libnvidia-ml.so.1.gone, which is not there" in found.text

    def test_missing_dependency_is_named(
        self, driver: Driver, see: Callable[..., list[Check]], compile_c: Callable[..., Path]
    ) -> None:
        needed = compile_c("", "-shared", "-Wl,-soname,libnvrm_gpu.so")
        driver.put("cuda", flags=("-Wl,--no-as-needed", str(needed)))
        found = named(see(driver.environment), CUDA)
        assert found.state == "failed"
        assert f"{driver.folder}/{CUDA} cannot be loaded: libnvrm_gpu.so" in found.text
        assert "ldd" in found.next

    def test_unreadable_file_is_named(self, tmp_path: Path) -> None:
        (tmp_path / CUDA).write_bytes(stub("cuda", VERSION).read_bytes())
        (tmp_path / CUDA).chmod(0)
        environment = {"LD_LIBRARY_PATH": str(tmp_path)}
        line = seen_elsewhere(tmp_path, CUDA, environment, preexec=as_nobody_special)
        assert line["state"] == "failed"
        words = f"{tmp_path / CUDA} is passed over, may not be read by this user: "
        assert line["text"].startswith(words)

    def test_absence_is_a_failure_where_there_is_a_gpu(
        self, see: Callable[..., list[Check]]
    ) -> None:
        found = named(see({}), CUDA)
        assert found.state == "failed"
        assert found.text.startswith("not found: libcuda.so.1: cannot open shared object file")
        assert "install NVIDIA's driver" in found.next

    def test_absence_is_expected_where_there_is_none(
        self, tmp_path: Path, see: Callable[..., list[Check]]
    ) -> None:
        found = see({}, lay_out_machine(tmp_path / "bare"))
        assert named(found, CUDA).state == named(found, NVML).state == "warning"
        assert not failed(found)

    def test_absence_in_a_container_is_its_start(
        self, tmp_path: Path, see: Callable[..., list[Check]]
    ) -> None:
        root = healthy_machine(tmp_path / "container")
        (root / ".dockerenv").write_text("")
        assert "with compute in NVIDIA_DRIVER_CAPABILITIES" in named(see({}, root), CUDA).next

    def test_loader_is_believed_where_it_does_otherwise(
        self, driver: Driver, see: Callable[..., list[Check]]
    ) -> None:
        other = driver.put("cuda")
        found = named(see({"LD_PRELOAD": str(other)}), CUDA)
        assert found.text.startswith(
            f"{other} (by LD_PRELOAD, LD_AUDIT, a RUNPATH or glibc-hwcaps)"
        )
        assert found.details[-1] == (
            f"by the search path nothing would be found; the loader took {other}, and it decides"
        )


class TestInit:
    def test_says_what_the_libraries_say_of_themselves(
        self, driver: Driver, see: Callable[..., list[Check]]
    ) -> None:
        for library in SONAMES:
            driver.put(library)
        found = see(driver.environment)
        assert named(found, "nvmlInit_v2").text == f"works, driver {VERSION}, CUDA 12.4, 2 devices"
        assert named(found, "cuInit").text == "works, CUDA 12.4, 2 devices"
        assert not failed(each for each in found if each.name in (*SONAMES.values(), "versions"))

    @pytest.mark.parametrize(
        ("library", "code", "name", "advice"),
        [
            ("nvml", 4, "NO_PERMISSION", "ls -l /dev/nvidia*"),
            ("nvml", 9, "DRIVER_NOT_LOADED", "modprobe nvidia"),
            ("nvml", 999, "UNKNOWN", "restart the container"),
            ("cuda", 3, "NOT_INITIALIZED", "uvm_disable_hmm"),
            ("cuda", 802, "SYSTEM_NOT_READY", "nvidia-fabricmanager"),
            ("cuda", 4242, "a code that no header has", "dmesg"),
        ],
    )
    def test_code_is_given_with_causes_and_advice(
        self,
        driver: Driver,
        see: Callable[..., list[Check]],
        library: str,
        code: int,
        name: str,
        advice: str,
    ) -> None:
        driver.put(library, **{INITS[library]: f"return {code};"})
        found = named(see(driver.environment), INITS[library])
        assert found.state == "failed"
        assert found.text.startswith(f"answers {code} ({name})")
        assert advice in found.next
        assert any("usually" in line for line in found.details) == (code != 4242)

    def test_librarys_own_text_is_quoted(
        self, driver: Driver, see: Callable[..., list[Check]]
    ) -> None:
        driver.put("nvml", nvmlInit_v2="return 9;")
        driver.put("cuda", cuInit="return 205;")
        found = see(driver.environment)
        assert ": Driver Not Loaded" in named(found, "nvmlInit_v2").text
        assert ": the text of a code" in named(found, "cuInit").text

    @pytest.mark.parametrize(
        ("body", "ending"),
        [
            ("raise(SIGSEGV);", "was ended by SIGSEGV"),
            ("abort();", "was ended by SIGABRT"),
            ("exit(0);", "ended its process with status 0"),
            ("_exit(3);", "ended its process with status 3"),
        ],
    )
    @pytest.mark.parametrize("library", SONAMES)
    def test_crash_is_told_with_the_function_it_was_in(
        self,
        driver: Driver,
        see: Callable[..., list[Check]],
        library: str,
        body: str,
        ending: str,
    ) -> None:
        driver.put(library, **{INITS[library]: body})
        found = named(see(driver.environment), INITS[library])
        assert (found.state, found.text) == ("failed", f"{INITS[library]} {ending}")

    def test_crash_after_init_is_told_too(
        self, driver: Driver, see: Callable[..., list[Check]]
    ) -> None:
        driver.put("cuda", cuDeviceGetCount="raise(SIGBUS);")
        found = named(see(driver.environment), "cuInit")
        assert found.text == "cuDeviceGetCount was ended by SIGBUS"

    def test_library_that_crashes_when_it_is_loaded(
        self, tmp_path: Path, compile_c: Callable[..., Path], see: Callable[..., list[Check]]
    ) -> None:
        source = (
            "#include <signal.h>\n"
            "__attribute__((constructor)) static void start(void) { raise(SIGILL); }"
        )
        compile_c(source, "-shared").rename(tmp_path / CUDA)
        found = named(see({"LD_LIBRARY_PATH": str(tmp_path)}), CUDA)
        assert found.state == "failed"
        assert found.text.startswith("loading it was ended by SIGILL")

    def test_library_without_init(self, driver: Driver, see: Callable[..., list[Check]]) -> None:
        path = driver.put("cuda", functions=["cuDriverGetVersion"])
        assert named(see(driver.environment), "cuInit").text == f"{path} has no cuInit"

    def test_no_device_is_a_failure_where_there_is_a_gpu(
        self, driver: Driver, see: Callable[..., list[Check]]
    ) -> None:
        driver.put("nvml", nvmlDeviceGetCount_v2="*(int *)code = 0; return 0;")
        found = named(see(driver.environment), "nvmlInit_v2")
        assert found.state == "failed"
        assert found.text.endswith(", 0 devices")
        assert "RmInitAdapter" in found.next

    def test_count_that_fails(self, driver: Driver, see: Callable[..., list[Check]]) -> None:
        driver.put("nvml", nvmlDeviceGetCount_v2="return 15;")
        found = named(see(driver.environment), "nvmlInit_v2")
        assert "but nvmlDeviceGetCount_v2 -> 15 (GPU_IS_LOST)" in found.text

    @pytest.mark.parametrize("value", ["", "-1", "NoDevFiles", "2", "7,0"])
    def test_cuda_visible_devices_is_blamed(
        self, driver: Driver, see: Callable[..., list[Check]], value: str
    ) -> None:
        """There are two GPUs, says NVML; the variable names none of them first."""
        driver.put("nvml")
        driver.put("cuda", cuInit="return 100;")
        found = see(driver.environment | {"CUDA_VISIBLE_DEVICES": value})
        blamed = named(found, "cuInit")
        assert blamed.text.endswith(f"; CUDA_VISIBLE_DEVICES={value} hides all GPUs from CUDA")
        assert blamed.next == "unset CUDA_VISIBLE_DEVICES"

    @pytest.mark.parametrize("value", ["0", "1", "0,1", "GPU-1234", "MIG-1"])
    def test_cuda_visible_devices_is_not_blamed(
        self, driver: Driver, see: Callable[..., list[Check]], value: str
    ) -> None:
        driver.put("nvml")
        driver.put("cuda", cuInit="return 100;")
        found = see(driver.environment | {"CUDA_VISIBLE_DEVICES": value})
        assert "CUDA_VISIBLE_DEVICES" not in named(found, "cuInit").text

    def test_missing_module_is_what_is_behind_it(
        self, tmp_path: Path, driver: Driver, see: Callable[..., list[Check]]
    ) -> None:
        driver.put("nvml", nvmlInit_v2="return 9;")
        root = lay_out_machine(tmp_path / "unloaded", {"0000:01:00.0": None})
        found = named(see(driver.environment, root), "nvmlInit_v2")
        assert found.text.endswith("; the kernel module is not loaded")
        assert not found.details

    def test_another_version_is_what_is_behind_it(
        self, tmp_path: Path, driver: Driver, see: Callable[..., list[Check]]
    ) -> None:
        driver.put("nvml", nvmlInit_v2="return 18;")
        found = named(
            see(driver.environment, healthy_machine(tmp_path / "old", "535.261.03")), "nvmlInit_v2"
        )
        assert found.text.endswith(
            f"the library is of driver {VERSION}, the kernel module of 535.261.03"
        )
        assert "restart the machine" in found.next


#: Scenario of the gallery -> the line of the checkup that names its failure, and words of it.
GALLERY = {
    "driver-not-loaded": ("nvmlInit_v2", "answers 9 (DRIVER_NOT_LOADED): Driver Not Loaded"),
    "library-version-mismatch": ("cuInit", "answers 803 (SYSTEM_DRIVER_MISMATCH)"),
    "init-crashes": ("nvmlInit_v2", "nvmlInit_v2 was ended by SIGSEGV"),
    "init-hangs": ("cuInit", "cuInit did not come back in 5 s; the driver or the GPU hangs"),
    "library-empty": ("libcuda.so.1", "stops the search, an empty file"),
    "library-broken-symlink": ("libnvidia-ml.so.1", "which is not there"),
    "no-devices": ("cuInit", "answers 100 (NO_DEVICE)"),
    "hidden-by-cuda-visible-devices": ("cuInit", "CUDA_VISIBLE_DEVICES=-1 hides all GPUs"),
}


@pytest.mark.parametrize("scenario", GALLERY)
def test_failure_of_the_gallery_is_named(scenario: str, tmp_path: Path) -> None:
    """As a program on the scenario's machine would find it."""
    name, words = GALLERY[scenario]
    with Testbed(scenario) as testbed:
        found = named(check(healthy_machine(tmp_path), testbed.environment(), limit=5), name)
    assert found.state == "failed"
    assert words in f"{found.text}; {found.next}"
