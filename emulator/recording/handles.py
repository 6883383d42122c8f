"""Handles of devices by the names that traces give them: `GPU-0`, `GPU-0/2/0` for a MIG device."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any, Protocol
from uuid import UUID

__all__ = ["NamedHandles"]

NAME = re.compile(r"GPU-([0-9]{1,4})(?:/[0-9]{1,4}/[0-9]{1,4})?")

#: Stands for a MIG device whose name is still to be found out.
NAMELESS = "?"


class Asker(Protocol):
    """A client, as far as it is needed here."""

    def begin(self, library: str) -> None:
        """Initialise a library once."""

    def ask(self, library: str, name: str, output: str, **inputs: Any) -> Any:
        """One output of a call; None where it fails."""


class NamedHandles:
    """The handles that a client's libraries give out, each looked up when it is first needed."""

    def __init__(self, client: Asker) -> None:
        self._client = client
        self._known: dict[tuple[str, str], int] = {}

    def find(self, kind: str, name: str) -> int:
        """The handle of a type that a trace names so; LookupError where there is none."""
        if (kind, name) not in self._known:
            self._client.begin("cuda" if kind == "CUdevice" else "nvml")
            found = self._found(kind, name)
            if found is None:
                raise LookupError(f"there is no {name}")
            self._known[kind, name] = found
        return self._known[kind, name]

    def _found(self, kind: str, name: str) -> int | None:
        fits = NAME.fullmatch(name)
        if fits is None:
            return None
        index = int(fits[1])
        if kind == "CUdevice":
            return self.cuda_devices.get(name)
        if kind != "nvmlDevice_t":
            return None
        if name != f"GPU-{index}":
            return self.mig_devices(f"GPU-{index}").get(name)
        found: int | None = self._nvml("nvmlDeviceGetHandleByIndex_v2", "device", index=index)
        return found

    def _nvml(self, function: str, output: str, **inputs: Any) -> Any:
        return self._client.ask("nvml", function, output, **inputs)

    def _cuda(self, function: str, output: str, **inputs: Any) -> Any:
        return self._client.ask("cuda", function, output, **inputs)

    # ---- NVML

    @cached_property
    def gpus(self) -> list[str]:
        """The names of NVML's GPUs."""
        count = self._nvml("nvmlDeviceGetCount_v2", "deviceCount") or 0
        return [f"GPU-{index}" for index in range(count)]

    def mig_devices(self, gpu: str) -> dict[str, int]:
        """The MIG devices of a GPU, named after their instances."""
        found: dict[str, int] = {}
        most = self._nvml("nvmlDeviceGetMaxMigDeviceCount", "count", device=gpu) or 0
        for index in range(most):
            asked = {"device": gpu, "index": index}
            handle = self._nvml("nvmlDeviceGetMigDeviceHandleByIndex", "migDevice", **asked)
            name = None if handle is None else self._mig_name(gpu, handle)
            if name is not None:
                found[name] = self._known["nvmlDevice_t", name] = handle
        return found

    def _mig_name(self, gpu: str, handle: int) -> str | None:
        self._known["nvmlDevice_t", NAMELESS] = handle
        ids = [
            self._nvml(f"nvmlDeviceGet{which}InstanceId", "id", device=NAMELESS)
            for which in ("Gpu", "Compute")
        ]
        return None if None in ids else "/".join(map(str, (gpu, *ids)))

    def bus_id(self, device: str) -> str | None:
        """The PCI address that NVML gives a device."""
        for version in ("_v3", "_v2", ""):
            found = self._nvml("nvmlDeviceGetPciInfo" + version, "pci", device=device)
            if found is not None:
                return str(found.busId.decode())
        return None

    # ---- CUDA

    @cached_property
    def cuda_devices(self) -> dict[str, int]:
        """CUDA's devices, by the names that NVML's have.

        They are the same where their UUIDs are, or their PCI addresses. In MIG mode CUDA counts
        other devices than NVML does.
        """
        self._client.begin("nvml")
        names = self._names_by_identity()
        found: dict[str, int] = {}
        for ordinal in range(self._cuda("cuDeviceGetCount", "count") or 0):
            device = self._cuda("cuDeviceGet", "device", ordinal=ordinal)
            if device is not None:
                keys = (self._cuda_uuid(device), self._cuda_bus_id(device))
                name = next((names[key] for key in keys if key in names), f"GPU-{ordinal}")
                found.setdefault(name, device)
        return found

    def _names_by_identity(self) -> dict[str, str]:
        """UUID without what stands before it, or PCI address -> name; of a GPU before its parts."""
        names: dict[str, str] = {}
        for device in (*self.gpus, *(mig for gpu in self.gpus for mig in self.mig_devices(gpu))):
            uuid = self._nvml("nvmlDeviceGetUUID", "uuid", device=device) or ""
            names.setdefault(uuid.removeprefix("MIG-").removeprefix("GPU-"), device)
            names.setdefault(self.bus_id(device) or "", device)
        return names

    def _cuda_uuid(self, device: int) -> str:
        for function in ("cuDeviceGetUuid_v2", "cuDeviceGetUuid"):
            found = self._cuda(function, "uuid", dev=device)
            if found is not None:
                return str(UUID(bytes=bytes(found)))
        return "none"

    def _cuda_bus_id(self, device: int) -> str:
        """As NVML writes it, with a domain of eight digits."""
        text = self._cuda("cuDeviceGetPCIBusId", "pciBusId", dev=device) or "none"
        return text.upper().rjust(len("00000000:00:00.0"), "0")
