"""What a machine is found to have: what the arguments of calls are taken from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from ..imports.deriving.processes import LISTS
from ..nvml import _constants as constants
from .client import Client

__all__ = ["FoundMachine"]


class FoundMachine:
    """The devices that a client finds, and what each has. Asked once, in whatever order."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._lists: dict[tuple[str, ...], list[int]] = {}
        for library in ("nvml", "cuda"):
            client.begin(library)

    def ask(self, function: str, output: str, **inputs: Any) -> Any:
        """One output of an NVML function; None where it fails."""
        return self.client.ask("nvml", function, output, **inputs)

    @cached_property
    def ordinals(self) -> int:
        """How many devices CUDA has."""
        return self.client.ask("cuda", "cuDeviceGetCount", "count") or 0

    def devices(self, library: str) -> list[str]:
        """The devices of a library, by their names in traces."""
        if library == "cuda":
            return list(self.client.handles.cuda_devices)
        return self.client.handles.gpus

    @cached_property
    def mig_devices(self) -> list[str]:
        """All MIG devices, by their names in traces."""
        found: list[str] = []
        for device in self.devices("nvml"):
            found += self.client.handles.mig_devices(device)
        return found

    def number(self, function: str, output: str, **inputs: Any) -> int:
        """How many there are of something; 0 where that cannot be said."""
        return self.ask(function, output, **inputs) or 0

    def listed(self, function: str, output: str, device: str) -> list[int]:
        """What a device lists, each once."""
        key = (function, device)
        if key not in self._lists:
            found = self.ask(function, output, device=device) or ()
            self._lists[key] = list(dict.fromkeys(found))
        return self._lists[key]

    def links(self, device: str) -> int:
        """How many NVLinks a device has: those whose state it knows."""
        states = (
            self.ask("nvmlDeviceGetNvLinkState", "isActive", device=device, link=link)
            for link in range(constants.NVLINK_MAX_LINKS)
        )
        return sum(state is not None for state in states)

    def processes(self, device: str) -> list[int]:
        """The ids of processes that run on a device."""
        found: dict[int, None] = {}
        for functions in LISTS.values():
            for name in functions:
                listed = self.ask(name, "infos", device=device)
                if listed is not None:
                    found |= dict.fromkeys(info.pid for info in listed)
                    break
        return list(found)

    def instance_profiles(self, device: str) -> list[int]:
        """The ids of the GPU instance profiles that a device has."""
        infos = (
            self.ask("nvmlDeviceGetGpuInstanceProfileInfo", "info", device=device, profile=profile)
            for profile in range(constants.GPU_INSTANCE_PROFILE_COUNT)
        )
        return [info.id for info in infos if info is not None]

    def texts(self, function: str, output: str) -> list[str]:
        """What each device says of itself."""
        found = (self.ask(function, output, device=name) for name in self.devices("nvml"))
        return [text for text in found if text]

    def bus_ids(self) -> list[str]:
        """The devices' PCI addresses."""
        return list(filter(None, map(self.client.handles.bus_id, self.devices("nvml"))))

    def over_devices(self, function: str, output: str) -> Sequence[int]:
        """What all devices list, each once."""
        found: dict[int, None] = {}
        for device in self.devices("nvml"):
            found |= dict.fromkeys(self.listed(function, output, device))
        return list(found)

    def over_processes(self) -> Iterable[int]:
        """The ids of the processes of all devices."""
        found: dict[int, None] = {}
        for device in self.devices("nvml"):
            found |= dict.fromkeys(self.processes(device))
        return found
