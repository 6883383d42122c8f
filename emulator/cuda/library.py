"""The CUDA driver's own state: its declaration as an API, the devices it shows, its contexts."""

from __future__ import annotations

from _thread import RLock

from ..api import Api, Codes, Library
from ..machine.drivers import branch
from . import _before_init, _functions
from . import _status as status
from .contexts.context import STICKY, Contexts, Parts
from .devices.visible import visible_devices
from .error import CudaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Callable, Optional

    from ..machine import Machine

__all__ = ["Cuda", "CudaError", "api", "implements"]

# Suffixes of the functions whose default stream is the calling thread's own.
PER_THREAD = ("_ptds", "_ptsz")

# Handles in whose place another word is INVALID_VALUE: all that the reference has for them.
GRAPHS = ("CUgraph", "CUgraphNode", "CUgraphExec", "CUgraphConditionalHandle", "CUuserObject")

# What programs hold handles of, beside devices and contexts.
HANDLES = (
    *("CUarray", "CUmipmappedArray", "CUtexref", "CUsurfref", "CUtexObject", "CUsurfObject"),
    *("CUmodule", "CUfunction", "CUlibrary", "CUkernel", "CUlinkState"),
    *GRAPHS,
    *("CUstream", "CUevent", "CUmemoryPool", "CUmemGenericAllocationHandle"),
    *("CUexternalMemory", "CUexternalSemaphore", "CUgraphicsResource", "CUeglStreamConnection"),
    *("CUgreenCtx", "CUdevResourceDesc", "CUcoredumpCallbackHandle", "CUlogsCallbackHandle"),
    *("CUasyncCallbackHandle", "CUcheckpointOperationHandle"),
)

api = Api(
    name="cuda",
    soname="libcuda.so.1",
    status="CUresult",
    prefix="CUDA_",
    functions=_functions,
    handle_types=frozenset(("CUdevice", "CUcontext", *HANDLES)),
    device_types=frozenset(("CUdevice",)),
    device_keys={"ordinal": "index", "pciBusId": "pci"},
    codes=Codes(
        uninitialized=status.NOT_INITIALIZED,
        invalid_argument=status.INVALID_VALUE,
        invalid_handle={
            **dict.fromkeys(HANDLES, status.INVALID_HANDLE),
            **dict.fromkeys(GRAPHS, status.INVALID_VALUE),
            "CUdevice": status.INVALID_DEVICE,
            "CUcontext": status.INVALID_CONTEXT,
            "CUgreenCtx": status.INVALID_CONTEXT,
        },
        insufficient_size=status.INVALID_VALUE,
        version_mismatch=status.INVALID_VALUE,
        no_permission=status.NOT_PERMITTED,
        not_supported=status.NOT_SUPPORTED,
        unknown=status.UNKNOWN,
        failed={},
    ),
    truncates_text=True,
    handle_size=64,
    variants=PER_THREAD,
)
implements = api.implements

# From this driver version on the real cuInit fails with OPERATING_SYSTEM in the child of a process
# whose own cuInit failed; earlier ones fail as in the parent (observed on 470 to 555, no GPU).
FAILS_AFTER_FORK = 550


class Cuda(Library, Parts):
    """The CUDA driver in this process."""

    def __init__(self) -> None:
        Library.__init__(self, api)
        Parts.__init__(self)
        self.lock = RLock()  # held over what several threads must not do at once
        self.contexts = Contexts(self)
        self._init_code = status.SUCCESS  # what a forked child's cuInit is bound to answer

    def reset(self, machine: Machine, plan: Mapping[str, Any]) -> None:
        """Stand in front of `machine`, not initialised, without contexts."""
        if self.ready:
            self.contexts.end()
        self.end_parts()
        super().reset(machine, plan)
        self.contexts = Contexts(self)
        self._init_code = status.SUCCESS

    def init(self) -> None:
        """cuInit: once is enough, and a forked child cannot use its parent's.

        Which devices are visible, and in what order, is settled here, once: the environment is
        read on the first cuInit, as the real library does.

        Raises:
            CudaError: NO_DEVICE without a visible GPU; UNKNOWN when one is lost or must be reset;
                NOT_INITIALIZED in a forked child.
        """
        if self._init_code:
            raise CudaError(self._init_code)
        if self.ready:
            return
        self.asked = True
        devices = visible_devices(self.machine)
        if not devices:
            raise CudaError(status.NO_DEVICE)
        if any(device.failure for device in devices):
            raise CudaError(status.UNKNOWN)
        self.devices = devices
        for ordinal, device in enumerate(devices):
            self.handles("CUdevice").name(ordinal, device)
        self.ready = True

    def forked(self) -> None:
        """The child of a process that used CUDA cannot."""
        if self.ready:
            self._init_code = status.NOT_INITIALIZED
        elif self.asked and branch(self.machine.driver) >= FAILS_AFTER_FORK:
            self._init_code = self._init_code or status.OPERATING_SYSTEM
        self.ready = False
        self.lock = RLock()
        for part in self._parts.values():
            if hasattr(part, "forked"):
                part.forked()
        self._parts = {}
        self.contexts = Contexts(self)  # the parent's are not this process's to end

    def failed_with(self, function: str, code: int) -> None:
        """An error that a context does not survive stays the current one's; cuInit was called."""
        self.asked = self.asked or function == "cuInit"
        if code in STICKY and self.ready:
            self.contexts.fail(code)

    def decoder(self, type_name: str, function: str) -> Optional[Callable[[int], Any]]:
        """Streams have names of their own for the default ones."""
        if type_name != "CUstream":
            return None
        from .streams.stream import decode

        per_thread = function.endswith(PER_THREAD)
        return lambda word: decode(self, word, per_thread)

    def constants(self, function: str) -> dict[str, str]:
        """`per_thread`: whether the default stream is the calling thread's own."""
        return {"per_thread": str(function.endswith(PER_THREAD))}

    def early_checks(self, function: str) -> list[tuple[list[str], str, int, bool]]:
        """What the real library of this driver looks at first, as recorded from it."""
        row = ""
        for driver, changed in _before_init.CHECKS.items():
            row = changed.get(function, row)
            if driver == self.machine.driver:
                break
        checks = (check.partition("~" if "~" in check else "=") for check in row.split())
        return [
            (names.split("&") if names else [], mark, int(code), code[0] == "+")
            for names, mark, code in checks
        ]

    def describe(self, obj: Any, value: int) -> str:
        """`GPU-0` for a device, `GPU-0/2/0` for a MIG device; of a context its handle, too."""
        own: Optional[str] = getattr(obj, "trace_name", None)
        index = getattr(obj, "index", None)
        if own or index is not None:
            return own or f"GPU-{index}"
        return hex(value) if obj is None else f"{hex(value)} ({obj})"
