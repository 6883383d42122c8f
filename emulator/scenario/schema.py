"""What users write: a scenario, its GPUs and its faults. Immutable; the same in TOML and Python.

    Scenario(
        gpus=[Gpu("h100-sxm5-80gb", count=2, memory_used="10 GiB")],
        faults=[Fault("nvmlDeviceGetTemperature", device=1, calls="3-", returns="GPU_IS_LOST")],
    )

What one value alone can have wrong is refused here, at construction; what depends on profiles, on
the other GPUs or on the APIs' names is refused by ``resolve``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import force_setattr

from ..machine import NEWEST
from . import fields
from .errors import ScenarioError

__all__ = ["Fault", "Gpu", "Scenario"]


class Gpu(Struct, frozen=True, repr_omit_defaults=True, forbid_unknown_fields=True):
    """GPUs of one product: a profile, how many, and what is different about them.

    Attributes:
        profile: a name of the catalogue, such as "h100-sxm5-80gb".
        count: how many alike. ``uuid``, ``serial`` and ``pci_bus_id`` belong to a single GPU.
        name: product name; the profile's if not given.
        uuid: "GPU-" and a UUID; made up if not given, the same in every run.
        serial: board serial number; made up if not given, where the product has one.
        pci_bus_id: "00000000:19:00.0"; where such servers have it if not given.
        memory_total: bytes, or a size such as "40 GiB".
        memory_used: bytes, or a size such as "512 MiB".
        temperature: of the GPU, in degrees Celsius.
        power_usage: milliwatts, or a power such as "312.5 W".
        utilization: of the GPU, in percent.
        figures: any other figure of the profile, in tables as the profile has them.

    Raises:
        ScenarioError: a value is of the wrong type or out of range.
    """

    profile: str
    count: int = 1
    name: str | None = None
    uuid: str | None = None
    serial: str | None = None
    pci_bus_id: str | None = None
    memory_total: int | str | None = None
    memory_used: int | str | None = None
    temperature: int | str | None = None
    power_usage: int | str | None = None
    utilization: int | str | None = None
    figures: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fields.normalize(self, fields.GPU)
        fields.check_single(self)
        fields.check_once(self)


class Fault(Struct, frozen=True, repr_omit_defaults=True, forbid_unknown_fields=True):
    """A rule: these functions, on this device, at these calls, answer this code.

    Attributes:
        function: exact name, glob ("nvmlInit*"), or a list of them.
        returns: name of a code with or without its prefix ("GPU_IS_LOST",
            "CUDA_ERROR_NO_DEVICE"), or its number.
        library: "nvml" or "cuda", where the functions and the code do not say it.
        device: index or UUID; any device if not given.
        calls: a number from 1 on, a range "2-4" or "3-", or a list of them; every call if not
            given. Calls are counted for each rule and each process.

    Raises:
        ScenarioError: a value is of the wrong type or out of range.
    """

    function: str | Sequence[str]
    returns: str | int
    library: str | None = None
    device: int | str | None = None
    calls: int | str | Sequence[int | str] | None = None

    def __post_init__(self) -> None:
        fields.normalize(self, fields.FAULT)


class Scenario(Struct, frozen=True, repr_omit_defaults=True, forbid_unknown_fields=True, dict=True):
    """What a program that looks for GPUs shall find.

    Attributes:
        name: what traces and reports call it; the file's name if read from a file.
        description: one line for a reader.
        driver: driver version, one of ``emulator.machine.DRIVERS``.
        gpus: the GPUs in NVML's order; none at all is a machine without GPUs.
        faults: in order: the first that fires decides.
        strict: whether a call of a function without a handler is an error of the test.

    Raises:
        ScenarioError: a value is of the wrong type or out of range.
    """

    name: str = ""
    description: str = ""
    driver: str = NEWEST
    gpus: Sequence[Gpu] = field(default=(), name="gpu")
    faults: Sequence[Fault] = field(default=(), name="fault")
    strict: bool = False

    def __post_init__(self) -> None:
        fields.normalize(self, fields.SCENARIO)
        for name, kind in (("gpus", Gpu), ("faults", Fault)):
            force_setattr(self, name, fields.members(getattr(self, name), kind, name))

    def locate(self, error: ScenarioError) -> ScenarioError:
        """Give an error about this scenario the file and line it was read from, if any."""
        source = self.__dict__.get("source")
        return error if source is None else source.locate(error)
