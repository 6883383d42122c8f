"""NVML's own state: its declaration as an API, the count of inits, and the errors handlers raise.

nvmlInit counts: a library that was initialised twice is ready until the second nvmlShutdown.
"""

from __future__ import annotations

from ..api import Api, ApiError, Codes, Library
from ..machine.drivers import branch
from . import _functions
from . import _status as status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Mapping, Optional, Sequence

    from ..machine import Device, Machine

__all__ = ["Nvml", "NvmlError", "api", "implements", "implements_each"]

api = Api(
    name="nvml",
    soname="libnvidia-ml.so.1",
    status="nvmlReturn_t",
    prefix="NVML_",
    functions=_functions,
    handle_types=frozenset(
        (
            "nvmlDevice_t",
            "nvmlUnit_t",
            "nvmlEventSet_t",
            "nvmlGpuInstance_t",
            "nvmlComputeInstance_t",
            "nvmlGpmSample_t",
        )
    ),
    device_types=frozenset(("nvmlDevice_t",)),
    device_keys={"index": "index", "uuid": "uuid", "serial": "serial", "pciBusId": "pci"},
    codes=Codes(
        uninitialized=status.UNINITIALIZED,
        invalid_argument=status.INVALID_ARGUMENT,
        invalid_handle={},
        insufficient_size=status.INSUFFICIENT_SIZE,
        version_mismatch=status.ARGUMENT_VERSION_MISMATCH,
        no_permission=status.NO_PERMISSION,
        not_supported=status.NOT_SUPPORTED,
        unknown=status.UNKNOWN,
        failed={
            "lost": status.GPU_IS_LOST,
            "mig": status.NOT_SUPPORTED,  # a MIG device, in a function that takes none
            "reset_required": status.RESET_REQUIRED,
            "unplugged": status.GPU_IS_LOST,
        },
    ),
)
implements = api.implements

#: Modules, and single functions, for which nobody looks at the device itself: public reports show
#: name, UUID, memory and processes beside "[GPU requires reset]" for what is read off it.
KNOWING = (
    *("accounting", "board", "confidential", "device", "discovery", "licensing", "links.topology"),
    *("memory", "mig.mig", "modes", "processes", "refusals"),
)
KNOWN = ("nvmlDeviceGetPciInfo", "nvmlDeviceGetPciInfo_v2", "nvmlDeviceGetPciInfo_v3")


def implements_each(getters: Mapping[str, Callable[[Device], Any]]) -> None:
    """Answer each function of a table by its entry, which looks at the device alone."""
    for name, getter in getters.items():
        implements(name)(getter)


class NvmlError(ApiError):
    """An nvmlReturn_t to return, as in `raise NvmlError(status.GPU_IS_LOST)`."""


class Nvml(Library):
    """NVML in this process."""

    def __init__(self) -> None:
        self._found: list[Device] = []
        super().__init__(api)
        self.inits = 0

    @property
    def devices(self) -> list[Device]:
        """Those of the init, less what was removed since, and what was found again."""
        if not any(device.availability for device in self.machine.devices):
            return self._found
        return [
            device
            for device in self.machine.devices
            if device.availability == "REDISCOVERED"
            or (device in self._found and device.availability != "REMOVED")
        ]

    @devices.setter
    def devices(self, found: list[Device]) -> None:
        self._found = found

    def reset(self, machine: Machine, plan: Mapping[str, Any]) -> None:
        """Stand in front of `machine`, not initialised."""
        super().reset(machine, plan)
        self.inits = 0

    def init(self) -> None:
        """One nvmlInit. The first finds the devices."""
        if not self.ready:
            self.devices = self.machine.plugged()
        self.inits += 1
        self.ready = True

    def shutdown(self) -> None:
        """One nvmlShutdown. One too many succeeds, as in the real libraries (470 to 555)."""
        self.inits = max(self.inits - 1, 0)
        self.ready = self.inits > 0
        if not self.ready:
            self._end_sets()

    def _end_sets(self) -> None:
        """No event set outlives the last shutdown, nor one for which nothing was registered."""
        for kind in ("nvmlEventSet_t", "nvmlSystemEventSet_t"):
            handles = self.handles(kind)
            for made in list(handles.objects.values()):
                made.closed = True
                handles.drop(made)
        self.machine.hang_up()

    def early_checks(self, function: str) -> Iterable[tuple[Sequence[str], str, int, bool]]:
        """The real 470 and 525 say their version only after an init, the real 535 to 555 always."""
        if function == "nvmlSystemGetNVMLVersion" and branch(self.machine.driver) < 535:
            return (((), "=", status.UNINITIALIZED, False),)
        return ()

    def decoder(self, type_name: str, function: str) -> Optional[Callable[[int], Any]]:
        """Handles of MIG instances end with them, and few functions take a MIG device's."""
        from .mig.devices import decoder

        return decoder(self, type_name, function)

    def failures(self, function: str) -> Mapping[str, int]:
        """While a device needs a reset, the driver still says what it knows of it by itself."""
        codes = api.codes.failed
        if function not in KNOWN and api.modules.get(function) not in KNOWING:
            return codes
        return {failure: code for failure, code in codes.items() if failure != "reset_required"}

    def describe(self, obj: Any, value: int) -> str:
        """`GPU-0` for a device, `GPU-0/2/0` for a MIG device."""
        own: Optional[str] = getattr(obj, "trace_name", None)
        index = getattr(obj, "index", None)
        return own or (hex(value) if index is None else f"GPU-{index}")
