"""Which device a real library's handle stands for: the library itself is asked.

A device, a MIG device and an instance of one get the names that they have with nvemu's own library
("GPU-0", "GPU-0/2/0"), so that traces and captures of both can be compared. CUDA's devices are
numbered as NVML's, by their place on the bus, where the driver tells that of all of them.
"""

from __future__ import annotations

import ctypes
import os

from ..api import NULL_PAGE
from . import convert

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from ..api import Function, Library, Parameter

    #: What is done with the C arguments of a call that succeeded.
    After = Callable[[tuple[Any, ...]], None]

__all__ = ["RealNames"]

#: Where the driver lists the GPUs, by their places on the bus.
GPUS = "/proc/driver/nvidia/gpus"

#: Bytes that the text of a place on the bus takes: cuda.h leaves it to the client.
BUS_ID = 32


class Named:
    """What stands behind a real handle, of which just the name is known, and the GPU's number."""

    __slots__ = ("index", "trace_name")

    def __init__(self, index: int, trace_name: str = "") -> None:
        self.index = index
        self.trace_name = trace_name or f"GPU-{index}"


class RealNames:
    """Learns names from the calls that programs make of a real library.

    Args:
        library: the API's state in this process; it is told of devices.
        loaded: the real library.
    """

    def __init__(self, library: Library, loaded: Any) -> None:
        self._library = library
        self._api = library.api
        self._loaded = loaded
        self._namers: dict[str, Callable[[int], Optional[Named]]] = {
            "CUdevice": self._cuda_device,
            "nvmlComputeInstance_t": self._compute_instance,
            "nvmlDevice_t": self._device,
            "nvmlGpuInstance_t": self._gpu_instance,
        }

    def learner(self, function: Function) -> Optional[After]:
        """What is to be done after a call of a function that succeeded; None for nothing."""
        if function.name == "cuInit":
            return lambda words: self._learn_all()
        parameters = function.parameters or ()
        puts_out = [
            (place, parameter)
            for place, parameter in enumerate(parameters)
            if parameter.is_output and parameter.type in self._namers
        ]
        if not puts_out:
            return None

        def learn(words: tuple[Any, ...]) -> None:
            for place, parameter in puts_out:
                for handle in self._put_out(parameter, parameters, words, words[place]):
                    self._learn(parameter.type, handle)

        return learn

    def _put_out(
        self, parameter: Parameter, parameters: tuple[Parameter, ...], words: Any, address: int
    ) -> list[int]:
        """The handles that a parameter points to."""
        kind = self._api.types[parameter.type]
        if address < NULL_PAGE:
            return []
        if not parameter.length:
            return [kind.from_address(address).value]
        number = next((w for p, w in zip(parameters, words) if p.name == parameter.counts), 0)
        count = convert.int_at(number) if number >= NULL_PAGE else 0
        return list((kind * count).from_address(address))

    def _learn_all(self) -> None:
        """A program may use a device of CUDA by its number, and never ask for it."""
        count = self._ask("cuDeviceGetCount", result=ctypes.c_int())
        for ordinal in range(count or 0):
            self._learn("CUdevice", ordinal)

    def _learn(self, kind: str, handle: int) -> Optional[Named]:
        """The name of a handle, asked anew each time: it may have become another's."""
        found = self._namers[kind](handle)
        known = self._library.handles(kind).objects.get(handle)
        if found is not None and getattr(known, "trace_name", None) != found.trace_name:
            self._library.handles(kind).name(handle, found)
        return found

    # ---- asking the real library

    def _ask(self, name: str, *arguments: Any, result: Any) -> Any:
        """What a function puts out by its last parameter; None where it has failed."""
        call = getattr(self._loaded, name, None)
        if call is None or call(*arguments, ctypes.byref(result)):
            return None
        return result if isinstance(result, ctypes.Structure) else result.value

    def _number(self, name: str, handle: int) -> Any:
        return self._ask(name, ctypes.c_void_p(handle), result=ctypes.c_uint())

    def _device(self, handle: int) -> Optional[Named]:
        if self._number("nvmlDeviceIsMigDeviceHandle", handle):
            return self._mig_device(handle)
        index = self._number("nvmlDeviceGetIndex", handle)
        return None if index is None else Named(index)

    def _mig_device(self, handle: int) -> Optional[Named]:
        ask = "nvmlDeviceGetDeviceHandleFromMigDeviceHandle"
        parent = self._ask(ask, ctypes.c_void_p(handle), result=ctypes.c_void_p())
        gpu = self._device(parent) if parent else None
        ids = [
            self._number(name, handle)
            for name in ("nvmlDeviceGetGpuInstanceId", "nvmlDeviceGetComputeInstanceId")
        ]
        if gpu is None or None in ids:
            return None
        return Named(gpu.index, "/".join([gpu.trace_name, *map(str, ids)]))

    def _gpu_instance(self, handle: int) -> Optional[Named]:
        info = self._info("nvmlGpuInstanceGetInfo", "nvmlGpuInstanceInfo_t", handle)
        gpu = self._device(info.device) if info is not None else None
        return None if gpu is None else Named(gpu.index, f"{gpu.trace_name}/{info.id}")

    def _compute_instance(self, handle: int) -> Optional[Named]:
        info = self._info("nvmlComputeInstanceGetInfo_v2", "nvmlComputeInstanceInfo_t", handle)
        within = self._gpu_instance(info.gpuInstance) if info is not None else None
        return None if within is None else Named(within.index, f"{within.trace_name}/{info.id}")

    def _info(self, name: str, struct: str, handle: int) -> Any:
        return self._ask(name, ctypes.c_void_p(handle), result=self._api.types[struct]())

    def _cuda_device(self, ordinal: int) -> Named:
        text = ctypes.create_string_buffer(BUS_ID)
        call = getattr(self._loaded, "cuDeviceGetPCIBusId", None)
        if call is None or call(text, BUS_ID, ordinal):
            return Named(ordinal)
        places = sorted(_places())
        place = _place(text.value.decode())
        return Named(places.index(place) if place in places else ordinal)


def _places() -> list[tuple[int, ...]]:
    try:
        return list(map(_place, os.listdir(GPUS)))
    except (OSError, ValueError):
        return []


def _place(bus_id: str) -> tuple[int, ...]:
    """Domain, bus and device of `0000:3b:00.0`, as numbers to sort by."""
    return tuple(int(part, 16) for part in bus_id.partition(".")[0].split(":"))
