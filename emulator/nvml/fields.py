"""nvmlDeviceGetFieldValues: a few hundred quantities by number.

A field without a reader in the table, and one whose quantity the device does not have, is
NOT_SUPPORTED by itself; the call succeeds.
"""

from __future__ import annotations

from . import _constants as constants
from . import _status as status
from .fieldtable import CLEARED, JOINT, READERS, SIGNED, UNSIGNED, UNSIGNED_LONG_LONG
from .library import Nvml, NvmlError, implements
from .links.fields import ALL_LINKS, links_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ..machine import Device

__all__: list[str] = []

#: Value type -> the member of the union that holds it.
MEMBERS = {UNSIGNED: "uiVal", UNSIGNED_LONG_LONG: "ullVal", SIGNED: "siVal"}


@implements("nvmlDeviceGetFieldValues")
def field_values(nvml: Nvml, device: Device, values: list[Any]) -> list[dict[str, Any]]:
    nvml.machine.settle(device)
    now = nvml.machine.clock.now() // 1000
    return [field_value(nvml, device, value, now) for value in values]


def field_value(nvml: Nvml, device: Device, asked: Any, now: int) -> dict[str, Any]:
    kind, reader = READERS.get(asked.fieldId, (UNSIGNED, None))
    value: Optional[int] = None
    code = status.NOT_SUPPORTED
    try:
        if device.nvml_functions is not None:
            pass  # Jetson's NVML has no field: nvidia-smi shows N/A where it asks for some
        elif reader:
            value = reader(device, asked.scopeId)
        elif asked.fieldId in JOINT:
            value = JOINT[asked.fieldId](nvml.machine.devices, device, asked.scopeId)
    except NvmlError as error:
        code = error.code
    if value is not None:
        code = status.SUCCESS
    answer = {"timestamp": now, "latencyUsec": 0, "valueType": kind, "nvmlReturn": code}
    return {**answer, "value": {MEMBERS[kind]: value or 0}}


@implements("nvmlDeviceClearFieldValues")
def clear_field_values(nvml: Nvml, device: Device, values: list[Any]) -> list[dict[str, Any]]:
    """The error counters of NVLinks can be cleared; one code a field."""
    return [{"nvmlReturn": cleared(nvml, device, value)} for value in values]


def cleared(nvml: Nvml, device: Device, asked: Any) -> int:
    figure, all_links = CLEARED.get(asked.fieldId, (None, False))
    if not 0 < asked.fieldId < constants.FI_MAX:
        return status.INVALID_ARGUMENT
    try:
        links = links_of(device, ALL_LINKS if all_links else asked.scopeId) if figure else []
    except NvmlError as error:
        return error.code
    if not links:
        return status.NOT_SUPPORTED
    places = [place for place, link in enumerate(device.nvlinks) if link in links]
    nvml.machine.alter(device, {"nvlinks": {str(place): {figure: 0} for place in places}})
    return status.SUCCESS
