"""Device nodes, /proc/driver/nvidia and PCI entries, which only a testbed's programs see."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from emulator import Gpu, Scenario, Testbed
from emulator.machine import Machine
from emulator.plans import find_scenario, plan_of
from emulator.testbed import ProgramError, TestbedError, running
from emulator.testbed.devices import driver

ROOT = Path(__file__).resolve().parents[2]
SEEN = ("/dev", "/proc/driver", "/sys/bus/pci/devices", "/sys/bus/pci/drivers", "/sys/module")

TWO = Scenario(driver="550.163.01", gpus=(Gpu("t4", name="Tesla T4"), Gpu("h100-sxm5-80gb")))


@pytest.fixture(scope="module", autouse=True)
def _allowed() -> None:
    """Skip where namespaces are forbidden."""
    try:
        with Testbed(devices=True):
            pass
    except TestbedError as error:
        pytest.skip(str(error))


def start(testbed: Testbed, *command: str, **options: Any) -> subprocess.Popen[str]:
    argv, environment = testbed.invocation(command, options.pop("env", None))
    chosen = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    return subprocess.Popen(argv, env=environment, **chosen)


def said(testbed: Testbed, *command: str, **options: Any) -> str:
    with start(testbed, *command, **options) as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return str(output)


def python(testbed: Testbed, code: str, *arguments: str, **options: Any) -> Any:
    """What a Python program prints as JSON."""
    return json.loads(said(testbed, sys.executable, "-c", code, *arguments, **options))


def machine(scenario: Scenario | str) -> Machine:
    return Machine(plan_of(find_scenario(scenario)) | {"changes": []})


# ---- what programs see

LOOKS = """
import ctypes, fcntl, json, os, pynvml as n
n.nvmlInit()
found = []
for index in range(n.nvmlDeviceGetCount()):
    device = n.nvmlDeviceGetHandleByIndex(index)
    bus = n.nvmlDeviceGetPciInfo(device)
    address = bus.busIdLegacy.lower()
    with open(f"/proc/driver/nvidia/gpus/{address}/information") as file:
        lines = dict(map(str.strip, line.split(":", 1)) for line in file)
    attribute = lambda name: open(f"/sys/bus/pci/devices/{address}/{name}").read().strip()
    found.append({
        "model": [lines["Model"], n.nvmlDeviceGetName(device)],
        "uuid": [lines["GPU UUID"], n.nvmlDeviceGetUUID(device)],
        "bios": [lines["Video BIOS"], n.nvmlDeviceGetVbiosVersion(device)],
        "minor": [lines["Device Minor"], str(n.nvmlDeviceGetMinorNumber(device))],
        "device": [int(attribute("device") + attribute("vendor")[2:], 16), bus.pciDeviceId],
        "board": [int(attribute("subsystem_device") + attribute("subsystem_vendor")[2:], 16),
                  bus.pciSubSystemId],
        "width": [attribute("max_link_width"), str(n.nvmlDeviceGetMaxPcieLinkWidth(device))],
    })
    os.close(os.open(f"/dev/nvidia{lines['Device Minor']}", os.O_RDWR))
version = open("/proc/driver/nvidia/version").readline()
print(json.dumps([found, version, n.nvmlSystemGetDriverVersion(),
                  open("/sys/module/nvidia/version").read().strip()]))
"""


def test_files_and_nvml_say_the_same() -> None:
    with Testbed(TWO, devices=True) as testbed:
        found, version, driver_version, module = python(testbed, LOOKS)
    assert len(found) == 2
    for device in found:
        assert all(in_file == in_nvml for in_file, in_nvml in device.values()), device
    assert f"Kernel Module  {driver_version}  " in version
    assert module == driver_version == "550.163.01"


def test_a_listing_has_the_scenarios_gpus_and_no_others() -> None:
    with Testbed(TWO, devices=True) as testbed:
        gpus = said(testbed, "ls", "/proc/driver/nvidia/gpus").split()
        nodes = said(testbed, "sh", "-c", "ls -d /dev/nvidia*").split()
        bound = said(testbed, "sh", "-c", "cd /sys/bus/pci/drivers/nvidia && ls -d *:*").split()
        vendors = said(testbed, "sh", "-c", "cat /sys/bus/pci/devices/*/vendor").split()
    own = [driver.address(device) for device in machine(TWO).devices]
    assert gpus == bound == own
    control = ["-caps", "-modeset", "-uvm", "-uvm-tools", "0", "1", "ctl"]
    assert nodes == [f"/dev/nvidia{name}" for name in control]
    assert vendors.count("0x10de") == 2


def test_a_node_can_be_opened_and_refuses_what_only_a_driver_can_do() -> None:
    code = """if True:
        import errno, fcntl, json, os, stat
        file = os.open("/dev/nvidia0", os.O_RDWR)
        try:
            fcntl.ioctl(file, 0xC0484601, bytes(72))
        except OSError as error:
            print(json.dumps([stat.S_ISCHR(os.fstat(file).st_mode), error.errno]))
    """
    with Testbed(devices=True) as testbed:
        assert python(testbed, code) == [True, errno.ENOTTY]


def test_what_the_system_has_stays() -> None:
    own = re.compile("nvidia.*")
    before = {folder: {n for n in os.listdir(folder) if not own.match(n)} for folder in SEEN}
    code = f"import json, os; print(json.dumps([os.listdir(folder) for folder in {SEEN}]))"
    with Testbed(devices=True) as testbed:
        inside = dict(zip(SEEN, map(set, python(testbed, code)), strict=True))
        written = said(testbed, "sh", "-c", "echo hello >/dev/null; head -c3 /dev/zero | wc -c")
    assert all(before[folder] <= inside[folder] for folder in SEEN)
    assert int(written) == 3


def test_children_and_theirs_see_it_and_pids_are_those_of_outside() -> None:
    with Testbed(devices=True) as testbed:
        assert said(testbed, "sh", "-c", "sh -c 'sh -c \"ls /dev/nvidiactl\"; true'; true")
        code = "import json, os; print(json.dumps([os.getpid(), os.readlink('/proc/self')]))"
        with start(testbed, sys.executable, "-c", code) as process:
            assert json.loads(process.communicate()[0]) == [process.pid, str(process.pid)]


def test_a_device_is_found_by_way_of_its_bus() -> None:
    device = machine("default").devices[0]
    address = driver.address(device)
    bus = address.rpartition(":")[0]
    with Testbed(devices=True) as testbed:
        real = said(testbed, "readlink", "-f", f"/sys/class/pci_bus/{bus}/../../{address}")
        listed = said(testbed, "readlink", "-f", f"/sys/bus/pci/devices/{address}")
        driven = said(testbed, "readlink", "-f", f"/sys/bus/pci/devices/{address}/driver/module")
        module = said(testbed, "readlink", "-e", "/sys/module/nvidia/drivers/pci:nvidia")
    assert real == listed == f"/sys/devices/pci{bus}/{address}\n"
    assert driven == "/sys/module/nvidia\n"
    assert module == "/sys/bus/pci/drivers/nvidia\n"


@pytest.mark.skipif(shutil.which("lspci") is None, reason="pciutils is not installed")
def test_lspci_shows_the_gpu_and_its_driver() -> None:
    with Testbed(devices=True) as testbed:
        shown = said(testbed, "lspci", "-k", "-nn", "-d", "10de:")
    assert "[0302]" in shown
    assert "[10de:1eb8] (rev a1)" in shown
    assert "Kernel driver in use: nvidia" in shown


def _bridges() -> list[str]:
    return sorted(os.listdir("/sys/class/pci_bus")) if os.path.isdir("/sys/class/pci_bus") else []


@pytest.mark.skipif("0000:00" not in _bridges(), reason="this machine has no bus 0000:00")
@pytest.mark.parametrize("taken", [False, True])
def test_a_gpu_on_a_bus_of_the_system_is_among_its_devices(taken: bool) -> None:
    folder = Path("/sys/devices/pci0000:00")
    there = sorted(path.name for path in folder.glob("0000:00:*"))
    address = there[-1] if taken else "0000:00:1e.0"
    if not taken and address in there:
        pytest.skip(f"{address} is taken")
    if not address.endswith(".0"):
        pytest.skip("the last device of the bus has several functions")
    scenario = Scenario(gpus=(Gpu("t4", pci_bus_id=address),))
    with Testbed(scenario, devices=True) as testbed:
        vendor = said(testbed, "cat", f"/sys/bus/pci/devices/{address}/vendor")
        inside = said(testbed, "sh", "-c", f"cd {folder} && ls -d 0000:00:*").split()
        linked = said(testbed, "readlink", "-f", f"/sys/class/pci_bus/0000:00/../../{address}")
        others = said(testbed, "cat", *(f"{folder}/{n}/vendor" for n in there if n != address))
    assert vendor == "0x10de\n"
    assert inside == sorted({*there, address})
    assert linked == f"{folder}/{address}\n"
    assert others == "".join((folder / n / "vendor").read_text() for n in there if n != address)


# ---- which of them there are


def test_without_the_driver_there_are_gpus_on_the_bus_and_nothing_else() -> None:
    address = driver.address(machine("driver-not-loaded").devices[0])
    with Testbed("driver-not-loaded", devices=True) as testbed:
        event = said(testbed, "cat", f"/sys/bus/pci/devices/{address}/uevent")
        others = said(
            testbed,
            "sh",
            "-c",
            "ls -d /dev/nvidia* /proc/driver/nvidia* /sys/module/nvidia* 2>/dev/null; true",
        )
    assert "PCI_ID=10DE:1EB8" in event
    assert "DRIVER=" not in event
    assert others == ""


def test_a_driver_without_gpus_has_its_control_node() -> None:
    with Testbed("no-devices", devices=True) as testbed:
        nodes = said(testbed, "sh", "-c", "ls -d /dev/nvidia*").split()
        assert "GCC version" in said(testbed, "cat", "/proc/driver/nvidia/version")
    assert "/dev/nvidiactl" in nodes
    assert "/dev/nvidia0" not in nodes


def test_an_unplugged_gpu_has_no_node() -> None:
    every = machine("seven-of-eight-gpus")
    with Testbed("seven-of-eight-gpus", devices=True) as testbed:
        nodes = said(testbed, "sh", "-c", "ls -d /dev/nvidia[0-9]*").split()
        gpus = said(testbed, "ls", "/proc/driver/nvidia/gpus").split()
    assert nodes == [f"/dev/nvidia{device.minor_number}" for device in every.plugged()]
    assert gpus == [driver.address(device) for device in every.plugged()]
    assert len(gpus) == 7


# ---- nobody else


def _outside() -> list[object]:
    folders = [sorted(os.listdir(folder)) for folder in SEEN]
    null = os.stat("/dev/null")
    return [*folders, Path("/proc/self/mountinfo").read_text(), null.st_mode, null.st_uid]


def test_nothing_is_seen_outside_meanwhile_and_afterwards() -> None:
    before = _outside()
    with Testbed(TWO, devices=True) as testbed:
        inside = start(testbed, "sh", "-c", "ls /dev/nvidia1; read line", stdin=subprocess.PIPE)
        with inside as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "/dev/nvidia1\n"
            assert _outside() == before
            other = subprocess.run(["ls", *SEEN], capture_output=True, text=True, check=True)
            assert "0000:3b:00.0" not in other.stdout or "0000:3b:00.0" in str(before)
            process.communicate("\n")
        assert os.listdir(testbed.folder / "stage") == []
        folder = testbed.folder
    assert not folder.exists()
    assert _outside() == before


def test_what_a_program_does_to_a_node_does_not_reach_the_system() -> None:
    before = _outside()
    with Testbed(devices=True) as testbed:
        changes = "chmod 600 /dev/nvidia0; rm -f /dev/nvidia0; : >/dev/left-behind"
        subprocess.run(
            (made := testbed.invocation(["sh", "-c", changes]))[0],
            env=made[1],
            check=False,
            stderr=subprocess.DEVNULL,
        )
    assert _outside() == before


def test_live_control_finds_the_program() -> None:
    code = "import pynvml; pynvml.nvmlInit(); print('ready', flush=True); input()"
    with (
        Testbed(devices=True) as testbed,
        start(testbed, sys.executable, "-c", code, stdin=subprocess.PIPE) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        found = running.find(testbed.folder)
        assert [each.pid for each in found.processes] == [process.pid]
        process.communicate("\n")


# ---- as without

ITSELF = """
import json, os, signal, sys
names = ("Uid", "Gid", "CapEff", "CapPrm", "CapAmb", "CapBnd", "SigBlk", "SigIgn", "Umask",
         "NoNewPrivs", "Seccomp")
status = dict(line.rstrip().split(":", 1) for line in open("/proc/self/status"))
status = {name: status[name] for name in names}
environment = sorted(open("/proc/self/environ", "rb").read().split(b"\\0"))
arguments = open("/proc/self/cmdline", "rb").read()
files = sorted(os.listdir("/proc/self/fd"))
print(json.dumps([status, os.getcwd(), os.getsid(0), os.getpgrp(), files,
                  [each.hex() for each in environment], arguments.hex()]))
"""


@pytest.mark.parametrize("base", [None, {}, {"LC_ALL": "C", "LD_BIND_NOW": "", "ODD": "a\n=b"}])
def test_a_program_is_started_as_without(base: dict[str, str] | None) -> None:
    made = []
    arguments = ("", "two words", "line\nbreak", "caf\xe9", os.fsdecode(b"\xff\xfe"))
    for devices in (False, True):
        with Testbed(devices=devices) as testbed:
            report = json.dumps(python(testbed, ITSELF, *arguments, env=base, umask=0o027))
            made.append(report.replace(str(testbed.folder).encode().hex(), "TESTBED"))
    assert made[0] == made[1]


def test_the_loader_is_told_what_is_meant_for_the_program_by_it_alone(tmp_path: Path) -> None:
    """Each process says that it cannot preload the library: the one before the program does not."""
    with Testbed(devices=True) as testbed:
        environment = {**os.environ, "LD_PRELOAD": str(tmp_path / "none.so")}
        with start(testbed, "true", env=environment) as process:
            errors = process.communicate()[1]
    assert errors.count("cannot be preloaded") == 1


@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", -signal.SIGTERM), ("kill -9 $$", -9)],
)
def test_its_end_is_its_own(script: str, status: int) -> None:
    with Testbed(devices=True) as testbed:
        assert testbed.run(["sh", "-c", script]) == status


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGUSR1])
def test_signals_reach_it(number: signal.Signals) -> None:
    with (
        Testbed(devices=True) as testbed,
        start(testbed, "sh", "-c", "echo ready; exec cat", stdin=subprocess.PIPE) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(60) == -number


def test_it_reads_what_comes_in() -> None:
    with (
        Testbed(devices=True) as testbed,
        start(testbed, "tr", "a-z", "A-Z", stdin=subprocess.PIPE) as process,
    ):
        assert process.communicate("all of it\n" * 10_000)[0] == "ALL OF IT\n" * 10_000


def test_it_has_the_terminal() -> None:
    code = """if True:
        import json, os, sys
        file = os.open("/dev/tty", os.O_RDWR)
        print(json.dumps([os.ttyname(0), os.isatty(file), os.tcgetpgrp(file) == os.getpgrp()]))
    """
    with Testbed(devices=True) as testbed:
        argv, environment = testbed.invocation([sys.executable, "-c", code])
        child, terminal = pty.fork()
        if child == 0:
            os.execve(argv[0], argv, environment)
        with open(terminal, "rb", buffering=0) as file:
            output = b""
            while not output.endswith(b"\n"):
                output += file.read(1000)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    name, is_terminal, is_foreground = json.loads(output)
    assert name.startswith("/dev/pts/")
    assert is_terminal
    assert is_foreground


@pytest.mark.parametrize(
    ("name", "status"), [("./nowhere", 127), ("no-such-program-anywhere", 127), ("/", 126)]
)
def test_no_such_program(name: str, status: int) -> None:
    with Testbed(devices=True) as testbed, pytest.raises(ProgramError) as raised:
        testbed.run([name])
    with Testbed() as testbed, pytest.raises(ProgramError) as without:
        testbed.run([name])
    assert raised.value.status == status
    assert str(raised.value) == str(without.value)


def test_no_program_at_all_is_said_by_the_process_that_was_to_become_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "text"
    path.write_text("neither #! nor ELF\n")
    path.chmod(0o755)
    with Testbed(devices=True) as testbed:
        assert testbed.run([str(path)]) == 126
    with Testbed() as testbed, pytest.raises(ProgramError) as without:
        testbed.run([str(path)])
    assert capfd.readouterr().err == f"nvemu: {without.value}\n"


def test_a_temporary_folder_below_dev(monkeypatch: pytest.MonkeyPatch) -> None:
    if not os.access("/dev/shm", os.W_OK) or os.statvfs("/dev/shm").f_flag & os.ST_NOEXEC:
        pytest.skip("/dev/shm is not for programs")
    monkeypatch.setattr("tempfile.tempdir", "/dev/shm")
    with Testbed(devices=True) as testbed:
        listed = said(testbed, "ls", "/dev/nvidia0", str(testbed.folder / "stage"))
        assert "/dev/nvidia0\n" in listed
        assert "null" not in listed


def test_a_testbed_within_a_testbed() -> None:
    inner = f"""if True:
        import sys; sys.path.insert(0, {str(ROOT)!r})
        from emulator import Testbed
        with Testbed("seven-of-eight-gpus", devices=True) as testbed:
            look = "ls -d /dev/nvidia[0-9]*; ls /proc/driver/nvidia/gpus"
            sys.exit(testbed.run(["sh", "-c", look]))
    """
    with Testbed(TWO, devices=True) as testbed:
        listed = said(testbed, sys.executable, "-c", inner).split()
    every = machine("seven-of-eight-gpus").plugged()
    nodes = [f"/dev/nvidia{device.minor_number}" for device in every]
    assert listed == [*nodes, *map(driver.address, every)]


# ---- from the command line


@pytest.mark.parametrize("command", ["run", "trace", "doctor"])
def test_the_commands(nvemu: Any, command: str) -> None:
    options = (command, "--devices", "--gpus", "t4:2")
    done = nvemu(*options, "--", "sh", "-c", "ls -d /dev/nvidia[0-9]; ls /proc/driver/nvidia/gpus")
    nodes = ["/dev/nvidia0", "/dev/nvidia1", "0000:3b:00.0", "0000:5e:00.0"]
    assert done.stdout.splitlines()[:4] == nodes
    assert nvemu(*options, "--", "nvemu-no-such-program").returncode == 127
