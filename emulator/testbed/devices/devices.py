"""Device nodes, /proc/driver/nvidia and PCI entries of a scenario's GPUs, for its programs alone.

    devices.json   what is shown: see `entry`, and `inside`, which puts it there
    stage/         an empty folder, on which that is put together in the programs' own namespace

They are those of the scenario's start: what changes later changes the libraries' answers only.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from glob import glob
from pathlib import Path
from typing import Any

from ...machine import Machine
from ...nvml import _status as status
from .. import program
from . import driver, inside, pci
from .entry import Entries
from .obstacles import explained

__all__ = ["Devices", "obstacle"]

#: What a system with NVIDIA's driver has; the scenario's stands in its place.
_DRIVERS = (
    "/dev/nvidia*",
    "/proc/driver/nvidia*",
    "/sys/bus/pci/drivers/nvidia*",
    "/sys/module/nvidia*",
)

#: Variables that are meant for the program's loader, not for that of the process before it.
_LOADER = ("LD_", "GLIBC_TUNABLES")


class Devices:
    """What a program and its children find in /dev, /proc and /sys, and nobody else.

    A program that is started so runs in a mount namespace of its own. For an ordinary user that
    needs a user namespace, in which files of other users seem to be nobody's, and programs that
    become another user (sudo) do not. Mounts over /proc have the kernel refuse a further /proc to
    who is not root, such as sandboxes within (bwrap, podman) want one. What is shown under /sys is
    no sysfs: libudev, which looks for that, does not take the GPUs for devices.

    Device nodes can be opened; every ioctl is refused with ENOTTY. Their mode is 0666, and their
    numbers are those of /dev/null, which stands in for them. Other devices of the system stay; an
    NVIDIA driver of the system, its nodes and its GPUs are not to be seen. A node that the system
    makes meanwhile (a disk is plugged in) does not appear.

    Args:
        folder: the testbed's.
        plan: the scenario, resolved.
    """

    def __init__(self, folder: Path, plan: Mapping[str, Any]) -> None:
        self.file = folder / "devices.json"
        self.stage = folder / "stage"
        self.machine = Machine({**plan, "changes": []})
        self.loaded = not any(map(_means_not_loaded, plan["faults"]))

    def lay_out(self) -> str | None:
        """Write down what is shown, and try it; what forbids it, None where nothing does."""
        self.stage.mkdir()
        hidden = [*_of_the_system(), *pci.places(self.machine)]
        spec = {"stage": str(self.stage), "hidden": hidden, "entries": self.entries()}
        self.file.write_text(json.dumps(spec), encoding="utf-8")
        found = obstacle(self.file)
        return found and f"the device nodes cannot be shown: {'; '.join(filter(None, found))}"

    def entries(self) -> Entries:
        """What stands where.

        Without the driver (nvmlInit answers DRIVER_NOT_LOADED, whatever happens) the GPUs are in
        their slots, and there is nothing else.
        """
        made = pci.files(self.machine, self.loaded)
        if not self.loaded:
            return made
        made |= driver.files(self.machine)
        made |= driver.with_majors(_read("/proc/devices"), self.machine.driver_version)
        if os.path.exists("/proc/modules"):  # not where the kernel has no modules
            made |= driver.with_modules(_read("/proc/modules"))
        return made

    def invocation(
        self, command: Sequence[str], environment: Mapping[str, str]
    ) -> tuple[list[str], dict[str, str]]:
        """The command and the environment that start a program among the devices.

        A file that turns out to be no program when it is started has its message printed, and the
        exit status of a `ProgramError`.

        Raises:
            ProgramError: there is no such program, or it is not executable.
        """
        path = program.find(command[0])
        _check(path)
        aside = {
            f"{inside.ASIDE}{name}" if name.startswith(_LOADER) else name: value
            for name, value in environment.items()
        }
        return [*_inside(self.file), path, *command], aside


def obstacle(spec: Path | None = None) -> tuple[str, str] | None:
    """Why what is written in a file cannot be shown, or nothing at all, and what to do about it;
    None where nothing is in the way."""
    nothing = json.dumps({"stage": "", "hidden": [], "entries": {}})
    command = _inside(spec or Path("/dev/stdin"))
    tried = subprocess.run(command, input=nothing, capture_output=True, text=True, check=False)
    if tried.returncode == 0:
        return None
    last = (tried.stderr.splitlines() or [f"it ended with {tried.returncode}"])[-1]
    number, _, step = last.partition(" ")
    return explained(int(number), step) if number.isdigit() else (last, "")


def _inside(spec: Path) -> list[str]:
    return [sys.executable, "-I", "-S", inside.__file__, str(spec)]


def _check(path: str) -> None:
    try:
        os.stat(path)
        if os.path.isdir(path) or not os.access(path, os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    except OSError as error:
        raise program.explained(path, error) from None


def _means_not_loaded(rule: Mapping[str, Any]) -> bool:
    """Whether a rule of a plan has every nvmlInit answer that the driver is not loaded."""
    if rule["library"] != "nvml" or "nvmlInit_v2" not in rule["functions"]:
        return False
    always = rule.keys() <= {"name", "library", "functions", "devices", "calls", "code"}
    return always and not rule["calls"] and rule.get("code") == status.DRIVER_NOT_LOADED


def _of_the_system() -> Iterator[str]:
    """Where the system has NVIDIA's driver and GPUs."""
    for pattern in _DRIVERS:
        yield from glob(pattern)
    yield from (device for device in glob("/sys/bus/pci/devices/*") if pci.is_gpu(Path(device)))


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8", errors="replace")
