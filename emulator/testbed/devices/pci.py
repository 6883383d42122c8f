"""What the kernel's PCI core shows of the GPUs: /sys/devices, and what links there.

Files and formats are those of the kernel, Documentation/ABI/testing/sysfs-bus-pci and
drivers/pci/pci-sysfs.c. GPUs stand on a host bridge of their own bus, as NVML says of them (and
cloud machines show them); like there, the machine has one NUMA node with all CPUs.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from ...machine import Device, Machine
from ...machine.interrupts import interrupt
from ...machine.pci import LANE_RATE
from .driver import address
from .entry import Entries, binary, link, text

__all__ = ["files", "is_gpu", "places"]

#: NVIDIA's number as a vendor, and the class of display controllers: VGA 0300, 3D 0302.
_VENDOR, _DISPLAY = "0x10de", "0x03"
#: The revision in published `lspci` outputs of all products in the catalogue: "(rev a1)".
_REVISION = 0xA1
#: Memory decoding and bus mastering are on (PCI Local Bus Specification, command register).
_COMMAND = 0x0006
#: Lines of `resource`: BARs, ROM, SR-IOV BARs. Where they are mapped nothing is known.
_RESOURCES = 13


def is_gpu(entry: Path) -> bool:
    """Whether an entry of /sys/bus/pci/devices is an NVIDIA GPU."""
    vendor, kind = _attribute(entry / "vendor"), _attribute(entry / "class")
    return vendor == _VENDOR and kind.startswith(_DISPLAY)


def _attribute(attribute: Path) -> str:
    try:
        return attribute.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:  # the device has just gone
        return ""


def files(machine: Machine, loaded: bool) -> Entries:
    """The GPUs under /sys; `loaded` is whether the driver has taken them."""
    made: Entries = {}
    for device in machine.plugged():
        name, place = address(device), _place(device)
        said = _attributes(device, loaded) | {"irq": str(interrupt(machine, device))}
        made |= {f"{place}/{file}": text(value) for file, value in said.items()}
        made[f"{place}/config"] = binary(_config(device))
        made[f"{place}/subsystem"] = link("../../../bus/pci")
        made[f"/sys/bus/pci/devices/{name}"] = link(f"../../../{place.removeprefix('/sys/')}")
        made |= _bus(device)
        if loaded:
            made[f"{place}/driver"] = link("../../../bus/pci/drivers/nvidia")
            bound = f"../../../../{place.removeprefix('/sys/')}"
            made[f"/sys/bus/pci/drivers/nvidia/{name}"] = link(bound)
    if loaded:
        made["/sys/bus/pci/drivers/nvidia/module"] = link("../../../../module/nvidia")
        made["/sys/module/nvidia/drivers/pci:nvidia"] = link("../../../bus/pci/drivers/nvidia")
    return made


def places(machine: Machine) -> list[str]:
    """Where the GPUs are; what the system has there, another device, is not theirs."""
    links = [f"/sys/bus/pci/devices/{address(device)}" for device in machine.plugged()]
    return [*map(_place, machine.plugged()), *links]


def _bridge(device: Device) -> tuple[str, str]:
    """The folder of a device's host bridge, and the name of its bus."""
    bus = address(device).rpartition(":")[0]
    return f"/sys/devices/pci{bus}", bus


def _place(device: Device) -> str:
    return f"{_bridge(device)[0]}/{address(device)}"


def _bus(device: Device) -> Entries:
    """NCCL finds a device by way of its bus: /sys/class/pci_bus/0000:3b/../../0000:3b:00.0."""
    bridge, bus = _bridge(device)
    listed, bitmap = _cpus()
    return {
        f"{bridge}/pci_bus/{bus}/cpulistaffinity": text(listed),
        f"{bridge}/pci_bus/{bus}/cpuaffinity": text(bitmap),
        f"{bridge}/pci_bus/{bus}/device": link(f"../../../pci{bus}"),
        f"{bridge}/pci_bus/{bus}/subsystem": link("../../../../class/pci_bus"),
        f"/sys/class/pci_bus/{bus}": link(f"../../devices/pci{bus}/pci_bus/{bus}"),
    }


def _attributes(device: Device, loaded: bool) -> dict[str, str]:
    pci, (listed, bitmap) = device.pci, _cpus()
    made = {
        "vendor": f"{_low(pci.device_id):#06x}",
        "device": f"{_high(pci.device_id):#06x}",
        "subsystem_vendor": f"{_low(pci.subsystem_id):#06x}",
        "subsystem_device": f"{_high(pci.subsystem_id):#06x}",
        "class": f"{_class(device):#08x}",
        "revision": f"{_REVISION:#04x}",
        "numa_node": "-1",
        "local_cpulist": listed,
        "local_cpus": bitmap,
        "enable": str(int(loaded)),
        "power_state": "D0",
        "modalias": _modalias(device),
        "uevent": _uevent(device, loaded),
        "resource": "\n".join([" ".join([f"0x{0:016x}"] * 3)] * _RESOURCES),
    }
    return made | {name: said for name, said in _link(device).items() if said is not None}


def _link(device: Device) -> dict[str, str | None]:
    pci = device.pci
    return {
        "current_link_speed": _speed(pci.current_generation),
        "current_link_width": _said(pci.current_width),
        "max_link_speed": _speed(pci.device_max_generation),
        "max_link_width": _said(pci.max_width),
    }


def _speed(generation: int | None) -> str | None:
    """As pci_speed_string() in drivers/pci/probe.c: "8.0 GT/s PCIe"."""
    rate = LANE_RATE.get(generation or 0)
    return None if rate is None else f"{rate / 1000:.1f} GT/s PCIe"


def _said(figure: int | None) -> str | None:
    return None if figure is None else str(figure)


def _uevent(device: Device, loaded: bool) -> str:
    pci = device.pci
    lines = ["DRIVER=nvidia"] if loaded else []
    lines += [
        f"PCI_CLASS={_class(device):X}",
        f"PCI_ID={_low(pci.device_id):04X}:{_high(pci.device_id):04X}",
        f"PCI_SUBSYS_ID={_low(pci.subsystem_id):04X}:{_high(pci.subsystem_id):04X}",
        f"PCI_SLOT_NAME={address(device)}",
        f"MODALIAS={_modalias(device)}",
    ]
    return "\n".join(lines)


def _modalias(device: Device) -> str:
    pci = device.pci
    own = f"v{_low(pci.device_id):08X}d{_high(pci.device_id):08X}"
    board = f"sv{_low(pci.subsystem_id):08X}sd{_high(pci.subsystem_id):08X}"
    return f"pci:{own}{board}bc{pci.base_class:02X}sc{pci.sub_class:02X}i00"


def _config(device: Device) -> bytes:
    """The header of the configuration space: 64 bytes, which is what ordinary users may read."""
    pci = device.pci
    header = bytearray(64)
    struct.pack_into("<HHHH", header, 0, *_halves(pci.device_id), _COMMAND, 0)
    struct.pack_into("<BBBB", header, 8, _REVISION, 0, pci.sub_class, pci.base_class)
    struct.pack_into("<HH", header, 0x2C, *_halves(pci.subsystem_id))
    return bytes(header)


def _class(device: Device) -> int:
    return device.pci.base_class << 16 | device.pci.sub_class << 8


def _low(number: int) -> int:
    return number & 0xFFFF


def _high(number: int) -> int:
    return number >> 16


def _halves(number: int) -> tuple[int, int]:
    return _low(number), _high(number)


def _cpus() -> tuple[str, str]:
    """The system's CPUs as a list ("0-39") and as the kernel writes a bitmap ("ff,ffffffff")."""
    last = (os.cpu_count() or 1) - 1
    words = ["f" * 8] * ((last + 1) // 32)
    if rest := (last + 1) % 32:
        words.insert(0, f"{(1 << rest) - 1:x}")
    return f"0-{last}" if last else "0", ",".join(words)
