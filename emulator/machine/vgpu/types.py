"""vGPU types: into what virtual GPUs a product can be divided.

NVIDIA names a type by product, framebuffer in GiB and series: "NVIDIA A40-8Q", or, backed by a MIG
instance, by its compute slices too: "NVIDIA H100XM-1-10C". What a type has follows from its series
and its size, so little more than names is in a table.

Sources: NVIDIA's Virtual GPU Software User Guide (series, licences, how many fit); the
vgpuConfig.xml of driver 510.47.03 as published (framebuffer reservation, BAR1, displays, frame
rates); NVIDIA's open kernel modules (licence strings). `products` has the names.
"""

from __future__ import annotations

from ..figures import Figures
from ..mig.profiles import profiles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ..device import Device
    from ..figures import Bytes

__all__ = ["GSP_HEAP", "WITH_GSP", "VgpuType", "types_of"]

#: What a GPU can host at most, whatever the size: so many virtual functions it has.
MOST = 32

#: Class, displays, their resolution, frame rate limit, BAR1 in MiB, licences.
_QUADRO = "Quadro-Virtual-DWS,5.0;GRID-Virtual-WS,2.0;GRID-Virtual-WS-Ext,2.0"
SERIES = {
    "A": ("NVS", 1, (1280, 1024), 60, 256, "GRID-Virtual-Apps,3.0"),
    "B": ("NVS", 4, (5120, 2880), 45, 256, "GRID-Virtual-PC,2.0;" + _QUADRO),
    "C": ("Compute", 1, (4096, 2160), 60, 4096, "NVIDIA-vComputeServer,9.0;Quadro-Virtual-DWS,5.0"),
    "Q": ("Quadro", 4, (7680, 4320), 60, 256, _QUADRO),
}

#: A Q-series vGPU of 1 GiB and less drives smaller displays than its siblings.
SMALL_Q = (5120, 2880)

#: Static GSP heap of a type where the GPU hosts through GSP, from Ada on (L40-1Q, as published
#: in NVIDIA's open driver).
GSP_HEAP = 32 << 20
WITH_GSP = ("ADA", "HOPPER", "BLACKWELL")


class VgpuType(Figures):
    """A vGPU type. ``name`` ends in its framebuffer in GiB and its series, as in "NVIDIA A40-8Q".

    What is not given follows from the name: ``framebuffer``, ``max_instances``, how many fit on the
    GPU, and ``mig_profile``, the GPU instance's profile behind one that is backed by MIG, such as
    "1g.10gb"; ``max_per_gpu_instance`` of these share one where it is shared in time.
    ``subsystem_id`` is the PCI subsystem that a guest sees; ``id`` if not given.
    """

    __slots__ = (
        *("framebuffer", "id", "max_instances", "max_per_gpu_instance", "mig_profile", "name"),
        "subsystem_id",
    )

    name: str
    id: int
    subsystem_id: int | None
    framebuffer: Bytes | None
    max_instances: int | None
    max_per_gpu_instance: int | None
    mig_profile: str | None

    def __init__(self, table: Mapping[str, Any]) -> None:
        super().__init__(table)
        if self.framebuffer is None:
            self.framebuffer = max(self.gigabytes << 30, 512 << 20)
        if self.mig_profile is None:
            self.mig_profile = self._mig_profile()
        if self.subsystem_id is None:
            self.subsystem_id = self.id

    @property
    def _size(self) -> str:
        return self.name.rpartition("-")[2]

    @property
    def gigabytes(self) -> int:
        """The size in the name: 2 of "2B4"; 0 stands for half of one."""
        digits = self._size[: len(self._size) - len(self._size.lstrip("0123456789"))]
        return int(digits or 0)

    @property
    def series(self) -> str:
        """A, B, C or Q: for applications, PCs, computing and workstations."""
        return next((letter for letter in self._size if letter in SERIES), "Q")

    def _mig_profile(self) -> str | None:
        """The GPU instance's profile that it fills, where its name has compute slices."""
        slices = self.name.rpartition("-")[0].rpartition("-")[2]
        if not slices.isdigit():
            return None
        return f"{slices}g.{self.gigabytes}gb" + ("+me" if self._size.endswith("ME") else "")

    @property
    def kind(self) -> str:
        """The class: Quadro, NVS or Compute."""
        return SERIES[self.series][0]

    @property
    def heads(self) -> int:
        """Displays."""
        return SERIES[self.series][1]

    @property
    def resolution(self) -> tuple[int, int]:
        """Of each display, at most."""
        return SMALL_Q if self.series == "Q" and self.gigabytes < 2 else SERIES[self.series][2]

    @property
    def frame_rate_limit(self) -> int:
        """Frames a second."""
        return SERIES[self.series][3]

    @property
    def bar1(self) -> int:
        """MiB."""
        return SERIES[self.series][4]

    @property
    def license(self) -> str:
        """The licences that it runs with, any of them."""
        return SERIES[self.series][5]

    @property
    def reservation(self) -> int:
        """Bytes of its framebuffer that the host keeps: 64 MiB, and as much for each GiB."""
        return (64 << 20) + (self.framebuffer or 0) // 16


def types_of(device: Device) -> list[VgpuType]:
    """The types that a GPU can be divided into, in the driver's order, by subsystem id.

    They are those of its figures, or else of its product; none where NVIDIA has none for it.
    """
    if device.vgpu.types is not None:
        return _counted(device.vgpu.types, device.profile)
    ids = device.pci.device_id, device.pci.subsystem_id
    key = (*ids, device.profile)
    if key not in _KNOWN:
        _KNOWN[key] = _counted(_table(*ids), device.profile)
    return _KNOWN[key]


_KNOWN: dict[Any, list[VgpuType]] = {}


def _table(device_id: int, subsystem_id: int) -> list[VgpuType]:
    """The rows of a product's runs."""
    from .products import PRODUCTS

    device, subsystem = device_id >> 16, subsystem_id >> 16
    product = PRODUCTS.get((device, subsystem)) or PRODUCTS.get((device, 0)) or ("", ())
    rows = []
    for first_subsystem, first_id, types in product[1]:
        for at, size in enumerate(types.split()):
            number = first_id if first_id is not None else first_subsystem
            row = {"name": f"{product[0]}-{size}", "id": (number or 0) + at}
            row["subsystem_id"] = None if first_subsystem is None else first_subsystem + at
            rows.append(VgpuType(row))
    return rows


def _counted(found: list[VgpuType], product: str) -> list[VgpuType]:
    """The types that fit at all, in order, with how many: by memory, or as the MIG profile has
    it."""
    whole = max([each.gigabytes for each in found if each.mig_profile is None], default=0)
    known = profiles(product)
    for each in found:
        if each.max_instances is None:
            profile = known.get(each.mig_profile or "")
            if each.mig_profile is not None:
                each.max_instances = profile.most if profile else 0
            else:
                framebuffer = each.framebuffer or 1
                each.max_instances = min((whole << 30) // framebuffer, MOST)
    fitting = [each for each in found if each.max_instances]
    return sorted(fitting, key=lambda each: (each.subsystem_id, each.id))
