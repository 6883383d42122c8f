"""The groups of a device's figures, each in the module that is loaded when it is first asked for.

Most clients ask for a name, a memory size and little else; loading every module would take longer
than the rest of a cold start, and building every group of eight devices longer than all of it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["GROUPS", "build", "modules"]

#: Group -> the module, and in it what builds the group from the plan's table of that name.
GROUPS = {
    "accounting": ("modes", "Accounting"),
    "bar1": ("memory", "Region"),
    "board": ("board", "Board"),
    "c2c": ("links.nvlink", "C2c"),
    "capture": ("engines", "CaptureSessions"),
    "clocks": ("clocks", "Clocks"),
    "confidential": ("confidential", "Confidential"),
    "cuda": ("cuda", "attributes"),
    "dram_encryption": ("confidential", "DramEncryption"),
    "ecc": ("ecc", "Ecc"),
    "encoder": ("engines", "Encoder"),
    "fabric": ("links.fabric", "Fabric"),
    "fans": ("thermal", "fans"),
    "gsp": ("board", "Gsp"),
    "inforom": ("board", "Inforom"),
    "licensing": ("licensing", "Licensing"),
    "load": ("load.load", "Load"),
    "memory": ("memory", "Memory"),
    "memory_limits": ("memory", "limits"),
    "mig": ("modes", "Mig"),
    "nvlink": ("links.nvlink", "LinkSettings"),
    "nvlinks": ("links.links", "nvlinks"),
    "pci": ("pci", "Pci"),
    "platform": ("board", "Platform"),
    "power": ("power", "Power"),
    "power_profiles": ("powerprofiles", "PowerProfiles"),
    "power_smoothing": ("smoothing", "PowerSmoothing"),
    "processes": ("processes", "processes"),
    "processor": ("engines", "Processor"),
    "protected_memory": ("memory", "Region"),
    "remapped_rows": ("ecc", "RemappedRows"),
    "retired_pages": ("ecc", "RetiredPages"),
    "temperature": ("thermal", "Temperature"),
    "topology": ("links.topology", "Topology"),
    "utilization": ("engines", "Utilization"),
    "vgpu": ("vgpu.vgpu", "Vgpu"),
}


def build(group: str, table: Any) -> Any:
    """Return a group of figures, built from the plan's table; an absent table has no figures."""
    module, builder = GROUPS[group]
    return getattr(_load(module), builder)(table or {})


def modules() -> list[Any]:
    """Return all modules with groups, loaded: for what must know every figure."""
    return [_load(module) for module, _ in GROUPS.values()]


def _load(module: str) -> Any:
    # Not importlib, which costs as much to import as half of this package.
    return __import__(module, globals(), None, ["__all__"], 1)
