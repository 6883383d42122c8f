"""What is written down to be shown of a machine's devices, and what is said where it cannot be."""

from __future__ import annotations

import shlex
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from emulator import Gpu, Scenario
from emulator.machine import Machine
from emulator.plans import find_scenario, plan_of
from emulator.testbed.devices import driver, pci

ROOT = Path(__file__).resolve().parents[2]

TWO = Scenario(driver="550.163.01", gpus=(Gpu("t4"), Gpu("h100-sxm5-80gb")))


def machine(scenario: Scenario | str) -> Machine:
    return Machine(plan_of(find_scenario(scenario)) | {"changes": []})


# ---- single files


def test_the_majors_are_free_and_sorted() -> None:
    listing = (
        "Character devices:\n  1 mem\n195 nvidia-frontend\n254 ndctl\n510 nvidia-uvm\n\n"
        "Block devices:\n  7 loop\n"
    )
    [(path, (_, made))] = driver.with_majors(listing, "550.163.01").items()
    assert path == "/proc/devices"
    assert made == (
        "Character devices:\n  1 mem\n195 nvidia\n195 nvidiactl\n252 nvidia-uvm\n253 nvidia-caps\n"
        "254 ndctl\n\nBlock devices:\n  7 loop\n"
    )
    [(_, made)] = driver.with_majors(listing, "535.261.03").values()
    assert "195 nvidia-frontend\n252" in made


def test_the_modules_stand_before_the_systems() -> None:
    [(_, made)] = driver.with_modules("nvidia 1 0 - Live 0x0\next4 2 1 - Live 0x0\n").values()
    names = [line.split()[0] for line in made.splitlines()]
    assert names == ["nvidia_uvm", "nvidia_drm", "nvidia_modeset", "nvidia", "ext4"]
    assert all(len(line.split()) in (6, 7) for line in made.splitlines())


def test_the_configuration_space_agrees_with_the_attributes() -> None:
    files = pci.files(machine(TWO), loaded=True)
    for path, (kind, content) in files.items():
        if kind != "binary":
            continue
        header = bytes.fromhex(content)
        place = path.removesuffix("/config")
        vendor, device = struct.unpack_from("<HH", header)
        revision, interface, low, high = struct.unpack_from("<BBBB", header, 8)
        assert files[f"{place}/vendor"] == ("text", f"{vendor:#06x}\n")
        assert files[f"{place}/device"] == ("text", f"{device:#06x}\n")
        assert files[f"{place}/revision"] == ("text", f"{revision:#04x}\n")
        assert files[f"{place}/class"] == ("text", f"0x{high:02x}{low:02x}{interface:02x}\n")


def test_capabilities_are_numbered_as_the_driver_does() -> None:
    """The number behind the last is fabric-imex-mgmt's, nvidia-cap4323 in a published listing
    (kubernetes-sigs/dra-driver-nvidia-gpu, pull request 304)."""
    _, minors = driver.files(machine("default"))["/proc/driver/nvidia-caps/mig-minors"]
    lines = minors.splitlines()
    assert lines[:5] == [
        "config 1",
        "monitor 2",
        "gpu0/gi0/access 3",
        "gpu0/gi0/ci0/access 4",
        "gpu0/gi0/ci1/access 5",
    ]
    assert lines[-1] == "gpu31/gi14/ci7/access 4322"


# ---- where it is forbidden

FORBIDDEN = f"""if True:
    import sys; sys.path.insert(0, {str(ROOT)!r})
    from emulator import Testbed
    from emulator.testbed import TestbedError
    try:
        with Testbed(devices=True) as testbed:
            print(open("/proc/self/status").read().partition("CapBnd:")[2].split()[0], flush=True)
            sys.exit(testbed.run(["grep", "CapBnd", "/proc/self/status"]))
    except TestbedError as error:
        print(error)
"""


def in_namespace(*before: str, bounded: Sequence[str] = ()) -> str:
    """What FORBIDDEN says as root of a new user namespace, after shell commands there."""
    if not (shutil.which("unshare") and shutil.which("setpriv")):
        pytest.skip("util-linux is not installed")
    python = shlex.join([*bounded, sys.executable, "-c", FORBIDDEN])
    script = "; ".join([*before, f"exec {python}"])
    done = subprocess.run(
        ["unshare", "-Ur", "sh", "-ec", script], capture_output=True, text=True, check=False
    )
    if done.stderr.startswith("unshare:"):
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return done.stdout


WITHOUT = ("setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin")


@pytest.mark.parametrize("setting", ["max_user_namespaces", "max_mnt_namespaces"])
def test_a_limit_on_namespaces_is_named(setting: str) -> None:
    told = in_namespace(f"echo 0 >/proc/sys/user/{setting}", bounded=WITHOUT)
    assert told.count("\n") == 1
    assert f"user.{setting} is 0" in told
    assert f"sysctl -w user.{setting}=" in told


def test_root_without_the_capability_takes_a_user_namespace_and_gains_nothing() -> None:
    outside, inside = in_namespace(bounded=WITHOUT).splitlines()
    assert inside.split()[1] == outside


#: A filter that answers unshare with EPERM: <linux/seccomp.h>, <linux/filter.h>.
SECCOMP = """if True:
    import ctypes, os, struct
    number = {"x86_64": 272, "aarch64": 97}[os.uname().machine]
    words = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (6, 0, 0, 0x50001), (6, 0, 0, 0x7FFF0000)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *word) for word in words))
    filter = struct.pack("HxxxxxxQ", len(words), ctypes.addressof(code))
    program = ctypes.create_string_buffer(filter)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, program) == 0
"""


def test_a_seccomp_filter_is_told_as_that_of_a_container() -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{SECCOMP}\n{FORBIDDEN}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    if "kernel." not in done.stdout and "user." not in done.stdout:
        assert "seccomp" in done.stdout
        assert "--cap-add SYS_ADMIN" in done.stdout
