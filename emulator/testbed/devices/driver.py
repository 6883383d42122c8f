"""What NVIDIA's kernel driver shows of itself: device nodes, /proc/driver/nvidia, its modules.

Formats are those of the driver's published sources, NVIDIA/open-gpu-kernel-modules,
kernel-open/nvidia: nv-procfs.c (version, information, registry, power and the READMEs), nv-reg.h
(params) and nv-caps.c (nvidia-caps), and of outputs that people published; those are named where
they are used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from itertools import chain

from ...machine import Device, Machine
from ...machine.drivers import branch
from ...machine.interrupts import interrupt
from .entry import NODE, Entries, over, text

__all__ = ["address", "files", "with_majors", "with_modules"]

#: Driver -> when its kernel module was built, as reports of /proc/driver/nvidia/version have it.
#: Of the other drivers none was found; a version without a date is printed, too, by modules that
#: distributions build (nix-community/nixGL, issue 121).
_BUILT = {
    "470.256.02": "Thu May  2 14:37:44 UTC 2024",
    "550.163.01": "Tue Apr  8 12:41:17 UTC 2025",
    "580.126.09": "Wed Jan  7 22:51:36 UTC 2026",
}

#: Addresses that a GPU reaches, in bits, from published `information` files: 47 for an L4
#: (canonical/snapd, pull request 14893) and earlier ones, 52 for an H100.
_DMA_BITS = {"HOPPER": 52}
_DMA_BITS_BEFORE = 47

#: The driver's parameters, none of them changed, in its order, with the first and the last branch
#: that has them. From nv-reg.h of 515, and from published files of 535 (nvidia-container-toolkit,
#: issue 115) and 580 (NVIDIA/k8s-test-infra, pull request 792): what came or went between two of
#: these is taken to have done so at the later one.
_PARAMETERS: tuple[tuple[str, int, int | None, int | None], ...] = (
    ("ResmanDebugLevel", 0xFFFFFFFF, None, None),
    ("RmLogonRC", 1, None, None),
    ("ModifyDeviceFiles", 1, None, None),
    ("DeviceFileUID", 0, None, None),
    ("DeviceFileGID", 0, None, None),
    ("DeviceFileMode", 0o666, None, None),
    ("InitializeSystemMemoryAllocations", 1, None, None),
    ("UsePageAttributeTable", 0xFFFFFFFF, None, None),
    ("EnableMSI", 1, None, None),
    ("RegisterForACPIEvents", 1, None, 534),
    ("EnablePCIeGen3", 0, None, None),
    ("MemoryPoolSize", 0, None, None),
    ("KMallocHeapMaxSize", 0, None, None),
    ("VMallocHeapMaxSize", 0, None, None),
    ("IgnoreMMIOCheck", 0, None, None),
    ("TCEBypassMode", 0, None, 579),
    ("EnableStreamMemOPs", 0, None, None),
    ("EnableUserNUMAManagement", 1, None, None),
    ("NvLinkDisable", 0, None, None),
    ("RmProfilingAdminOnly", 1, None, None),
    ("PreserveVideoMemoryAllocations", 0, None, None),
    ("EnableS0ixPowerManagement", 0, None, None),
    ("S0ixPowerManagementVideoMemoryThreshold", 256, None, None),
    ("DynamicPowerManagement", 3, None, None),
    ("DynamicPowerManagementVideoMemoryThreshold", 200, None, None),
    ("RegisterPCIDriver", 1, None, None),
    ("EnablePCIERelaxedOrderingMode", 0, None, None),
    ("EnableResizableBar", 0, 535, None),
    ("EnableGpuFirmware", 18, None, None),
    ("EnableGpuFirmwareLogs", 2, 515, None),
    ("RmNvlinkBandwidthLinkCount", 0, 580, None),
    ("EnableDbgBreakpoint", 0, None, None),
    ("OpenRmEnableUnsupportedGpus", 0, 515, None),
    ("DmaRemapPeerMmio", 1, 535, None),
    ("ImexChannelCount", 2048, 580, None),
    ("CreateImexChannel0", 0, 580, None),
    ("GrdmaPciTopoCheckOverride", 0, 580, None),
)
#: Those that are strings; all of them empty.
_STRINGS = (
    "RegistryDwords",
    "RegistryDwordsPerDevice",
    "RmMsg",
    "GpuBlacklist",
    "TemporaryFilePath",
    "ExcludedGpus",
)

_WARNINGS = """\
The NVIDIA graphics driver tries to detect potential problems
with the host system and warns about them using the system's
logging mechanisms. Important warning message are also logged
to dedicated text files in this directory.
"""
_PATCHES = """\
The NVIDIA graphics driver's kernel interface files can be
patched to improve compatibility with new Linux kernels or to
fix bugs in these files. When applied, each official patch
provides a short text file with a short description of itself
in this directory.
"""
_POWER = """\
Runtime D3 status:          Disabled by default
Video Memory:               Active

GPU Hardware Support:
 Video Memory Self Refresh: Not Supported
 Video Memory Off:          Not Supported

Power Limits:
 Default:                   N/A milliwatts
 GPU Boost:                 N/A milliwatts
"""

#: Capability -> its minor number and the mode of its file. What comes after is for MIG instances.
_CAPABILITIES = {"config": (1, 0o400), "monitor": (2, 0o444)}
#: The GPUs, GPU instances and compute instances that nv-caps.c counts with.
_MIG_GPUS, _MIG_INSTANCES, _MIG_COMPUTE = 32, 15, 8

#: The modules, newest first, as lsmod has them: size, references, by whom. Sizes are those that
#: somebody published (NixOS/nixpkgs, pull request 525475); the kernel decides.
_MODULES = {
    "nvidia_uvm": (2461696, 0, "-"),
    "nvidia_drm": (147456, 0, "-"),
    "nvidia_modeset": (2187264, 1, "nvidia_drm,"),
    "nvidia": (16297984, 2, "nvidia_uvm,nvidia_modeset,"),
}

#: The character devices' major number at NVIDIA (nvidia-modprobe-utils.c).
_MAJOR = 195
#: Drivers with a number that the kernel gives, in the order that they ask.
_DYNAMIC = ("nvidia-caps", "nvidia-uvm")


def files(machine: Machine) -> Entries:
    """What is in /dev, /proc/driver and /sys/module while the driver is loaded."""
    return _nodes(machine) | _driver(machine) | _capabilities() | _modules(machine.driver_version)


def address(device: Device) -> str:
    """A device's bus id as the kernel writes it: "0000:3b:00.0"."""
    pci = device.pci
    return f"{pci.domain:04x}:{pci.bus:02x}:{pci.device:02x}.0"


def _nodes(machine: Machine) -> Entries:
    names = ["nvidiactl", "nvidia-modeset", "nvidia-uvm", "nvidia-uvm-tools"]
    names += [f"nvidia-caps/nvidia-cap{minor}" for minor, _ in _CAPABILITIES.values()]
    names += [f"nvidia{device.minor_number}" for device in machine.plugged()]
    return {f"/dev/{name}": NODE for name in names}


def _driver(machine: Machine) -> Entries:
    own = {
        "version": _version(machine.driver_version),
        "params": _parameters(branch(machine.driver_version)),
        "registry": 'Binary: ""',
        "suspend": "suspend hibernate resume",
        "suspend_depth": "default modeset uvm",
        "warnings/README": _WARNINGS,
        "patches/README": _PATCHES,
    }
    for device in machine.plugged():
        folder = f"gpus/{address(device)}"
        own[f"{folder}/information"] = _information(device, interrupt(machine, device))
        own[f"{folder}/registry"] = 'Binary: ""'
        own[f"{folder}/power"] = _POWER
    return {f"/proc/driver/nvidia/{name}": text(content) for name, content in own.items()}


def _version(driver: str) -> str:
    built = _BUILT.get(driver, "")
    module = f"NVIDIA UNIX {os.uname().machine} Kernel Module  {driver}  {built}"
    return f"NVRM version: {module}\nGCC version:  {_compiler()}\n"


def _compiler() -> str:
    """The kernel's: a module is built with the same."""
    with open("/proc/version", encoding="utf-8", errors="replace") as file:
        said = file.read()
    found = re.search(r"\(\S*gcc\S* (\(.*?\)) ([\d.]+)", said)
    return f"gcc version {found[2]} {found[1]}" if found else ""


def _parameters(driver: int) -> str:
    lines = [
        f"{name}: {value}\n"
        for name, value, first, last in _PARAMETERS
        if (first or driver) <= driver <= (last or driver)
    ]
    return "".join([*lines, *(f'{name}: ""\n' for name in _STRINGS)])


def _information(device: Device, irq: int) -> str:
    bits = _DMA_BITS.get(device.architecture, _DMA_BITS_BEFORE)
    lines = [
        f"Model: \t\t {device.name}",
        f"IRQ:   \t\t {irq}",
        f"GPU UUID: \t {device.uuid}",
        f"Video BIOS: \t {device.board.vbios_version or '??.??.??.??.??'}",
        "Bus Type: \t PCIe",
        f"DMA Size: \t {bits} bits",
        f"DMA Mask: \t {(1 << bits) - 1:#x}",
        f"Bus Location: \t {address(device)}",
        f"Device Minor: \t {device.minor_number}",
    ]
    if device.gsp.version is not None:
        lines.append(f"GPU Firmware: \t {device.gsp.version}")
    return "\n".join([*lines, "GPU Excluded:\t No"])


def _capabilities() -> Entries:
    made = {"/proc/driver/nvidia-caps/mig-minors": text("\n".join(_minors()))}
    made["/proc/driver/nvidia-caps/nvlink-minors"] = text("fabric-mgmt 0")
    for name, (minor, mode) in _CAPABILITIES.items():
        said = f"DeviceFileMinor: {minor}\nDeviceFileMode: {mode}\nDeviceFileModify: 1\n"
        made[f"/proc/driver/nvidia/capabilities/mig/{name}"] = text(said)
    return made


def _minors() -> Iterator[str]:
    """The capabilities with their minor numbers, in the order that nv-caps.c counts them."""
    yield from (f"{name} {minor}" for name, (minor, _) in _CAPABILITIES.items())
    instances = (
        f"gpu{gpu}/gi{instance}" for gpu in range(_MIG_GPUS) for instance in range(_MIG_INSTANCES)
    )
    computes = [f"/ci{compute}" for compute in range(_MIG_COMPUTE)]
    names = (f"{each}{compute}/access" for each in instances for compute in ("", *computes))
    for minor, name in enumerate(names, len(_CAPABILITIES) + 1):
        yield f"{name} {minor}"


def _modules(driver: str) -> Entries:
    made: Entries = {}
    for name, (_, references, _) in _MODULES.items():
        said = {"version": driver, "initstate": "live", "refcnt": str(references), "taint": "OE"}
        made |= {f"/sys/module/{name}/{file}": text(value) for file, value in said.items()}
    return made


def with_modules(modules: str) -> Entries:
    """/proc/modules with the driver's in it, given what the system has there."""
    own = (
        f"{name} {size} {references} {users} Live 0x{0:016x} (OE)\n"
        for name, (size, references, users) in _MODULES.items()
    )
    others = (line for line in modules.splitlines(True) if not line.startswith("nvidia"))
    return {"/proc/modules": over("".join(chain(own, others)))}


def with_majors(devices: str, driver: str) -> Entries:
    """/proc/devices with the driver's lines in it, given what the system has there.

    Before 550 the nodes were nvidia-frontend's (nvidia-container-toolkit, issue 324).
    """
    head, blank, blocks = devices.partition("\n\n")
    title, *lines = (line for line in head.splitlines() if " nvidia" not in line)
    rows = [(int(line.split()[0]), line) for line in lines]
    frontend = ("nvidia-frontend",) if branch(driver) < 550 else ("nvidia", "nvidiactl")
    own = [(_MAJOR, name) for name in frontend]
    own += zip(_free_majors({major for major, _ in rows}), _DYNAMIC, strict=False)
    rows += [(major, f"{major:3d} {name}") for major, name in own]
    rows.sort(key=lambda row: row[0])
    return {"/proc/devices": over("\n".join([title, *(line for _, line in rows)]) + blank + blocks)}


def _free_majors(taken: Iterable[int]) -> Iterator[int]:
    """In the order that the kernel gives them away (fs/char_dev.c, find_dynamic_major)."""
    order = chain(range(254, 233, -1), range(511, 383, -1))
    return (major for major in order if major not in taken)
