"""What the machine's /dev, /proc and /sys say about NVIDIA's hardware and kernel module.

They are read below a root folder, so that a whole machine can be laid out in one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..testbed.devices import pci

__all__ = ["Facts", "Gpu", "read"]

_CONTAINERS = (".dockerenv", "run/.containerenv")
_NODES = ("nvidiactl", "nvidia[0-9]*", "nvidia-uvm")


@dataclass(frozen=True)
class Gpu:
    """An NVIDIA GPU on the PCI bus: its address, PCI device number and driver, None for none."""

    address: str
    device: str
    driver: str | None

    def __str__(self) -> str:
        return f"{self.address} (10de:{self.device}): {self.driver or 'no driver'}"


@dataclass(frozen=True)
class Facts:
    """What was found.

    `gpus` is None where the PCI bus cannot be seen. `kernel` is the version of the kernel module at
    work, out of `kernel_line`; `modules` are those of NVIDIA and nouveau that are loaded; `nodes`
    are the device nodes; `platform` is "WSL", "Jetson" or "". `release` is that of the running
    kernel, `module_files` the files of the kernel module that it has.
    """

    gpus: tuple[Gpu, ...] | None
    kernel: str | None
    kernel_line: str
    modules: tuple[str, ...]
    nodes: tuple[Path, ...]
    platform: str
    container: bool
    release: str
    module_files: tuple[str, ...]
    secure_boot: bool

    @property
    def has_hardware(self) -> bool:
        """Whether an NVIDIA GPU is here, on whatever bus."""
        return bool(self.gpus or self.platform)

    @property
    def wants_driver(self) -> bool:
        """Whether NVIDIA's driver ought to be at work here."""
        return bool(self.has_hardware or self.kernel_line)


def read(root: Path) -> Facts:
    """What a machine says whose folders are below `root`."""
    line = _first_line(root / "proc/driver/nvidia/version")
    version = re.search(r"Kernel Module\D*?(?: for \S+)?\s+(\d+\.\d+(?:\.\d+)?)", line)
    release = _first_line(root / "proc/sys/kernel/osrelease")
    nodes = [path for pattern in _NODES for path in sorted((root / "dev").glob(pattern))]
    return Facts(
        gpus=_gpus(root / "sys/bus/pci/devices"),
        kernel=version[1] if version else None,
        kernel_line=line,
        modules=_modules(root / "proc/modules"),
        nodes=tuple(nodes),
        platform=_platform(root),
        container=any((root / name).exists() for name in _CONTAINERS),
        release=release,
        module_files=_module_files(root / "lib/modules" / release / "modules.dep"),
        secure_boot=_secure_boot(root / "sys/firmware/efi/efivars"),
    )


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip()
    except OSError:
        return ""


def _gpus(folder: Path) -> tuple[Gpu, ...] | None:
    if not folder.is_dir():
        return None
    devices = sorted(folder.iterdir())
    return tuple(_gpu(device) for device in devices if pci.is_gpu(device))


def _gpu(device: Path) -> Gpu:
    link = device / "driver"
    driver = link.readlink().name if link.is_symlink() else None
    return Gpu(device.name, _first_line(device / "device").removeprefix("0x"), driver)


def _modules(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()
    names = (line.split(" ", 1)[0] for line in lines)
    return tuple(sorted(name for name in names if name.startswith(("nvidia", "nouveau", "nova"))))


def _module_files(dependencies: Path) -> tuple[str, ...]:
    """The files of the module nvidia that depmod has listed; Debian calls it nvidia-current."""
    try:
        text = dependencies.read_text(encoding="utf-8")
    except OSError:
        return ()
    return tuple(re.findall(r"^(\S*/nvidia(?:-current|-\d[^/]*)?\.ko[.a-z0-9]*):", text, re.M))


def _secure_boot(variables: Path) -> bool:
    """What the firmware says: four bytes of attributes, then 1 where Secure Boot is on."""
    try:
        return any(file.read_bytes()[4:] == b"\1" for file in variables.glob("SecureBoot-*"))
    except OSError:
        return False


def _platform(root: Path) -> str:
    if (root / "dev/dxg").exists():
        return "WSL"
    compatible = root / "proc/device-tree/compatible"
    try:
        return "Jetson" if b"nvidia,tegra" in compatible.read_bytes() else ""
    except OSError:
        return ""
