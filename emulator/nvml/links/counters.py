"""The two traffic counters of each NVLink that clients control: Pascal to Turing.

A packet carries up to 256 bytes, in flits of 16, one a cycle (NVIDIA's P100 white paper). Which
packets there are is not told apart: a counter of some kinds counts all.
"""

from __future__ import annotations

from .. import _constants as constants
from .. import _status as status
from ..library import Nvml, NvmlError, implements
from .links import link_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...machine import Device
    from ...machine.links.links import NvLink, UtilizationCounter

__all__: list[str] = []

#: nvmlNvLinkUtilizationCountUnits_t -> the machine's word, and the bytes of one.
UNITS = (("CYCLES", 16), ("PACKETS", 256), ("BYTES", 1))


def counter_of(
    nvml: Nvml, device: Device, link: int, counter: int
) -> tuple[NvLink, UtilizationCounter]:
    """A counter, and its link as it is by now."""
    nvml.machine.settle(device)
    found = link_of(device, link)
    if counter > 1:
        raise NvmlError(status.INVALID_ARGUMENT)
    if found.counters is None:
        raise NvmlError(status.NOT_SUPPORTED)
    return found, found.counters[counter]


def alter(nvml: Nvml, device: Device, link: int, counter: int, figures: dict[str, Any]) -> None:
    row = {str(link): {"counters": {str(counter): figures}}}
    nvml.machine.alter(device, {"nvlinks": row})


def amounts(link: NvLink, counter: UtilizationCounter) -> tuple[int, int]:
    """What a counter stands at, received and sent, in KiB."""
    if counter.frozen:
        return counter.rx, counter.tx
    received, sent = (link.data_rx or 0) - counter.rx_zero, (link.data_tx or 0) - counter.tx_zero
    return max(received, 0), max(sent, 0)  # a change may have set the link's back


def zeroed(link: NvLink) -> dict[str, int]:
    """The figures of a counter that begins anew."""
    return {"rx_zero": link.data_rx or 0, "tx_zero": link.data_tx or 0, "rx": 0, "tx": 0}


@implements("nvmlDeviceGetNvLinkUtilizationCounter")
def utilization(nvml: Nvml, device: Device, link: int, counter: int) -> tuple[int, int]:
    found, counts = counter_of(nvml, device, link, counter)
    size = dict(UNITS)[counts.units]
    received, sent = amounts(found, counts)
    return received * 1024 // size, sent * 1024 // size


@implements("nvmlDeviceGetNvLinkUtilizationControl")
def control(nvml: Nvml, device: Device, link: int, counter: int) -> dict[str, int]:
    _, counts = counter_of(nvml, device, link, counter)
    units = next(index for index, (word, _) in enumerate(UNITS) if word == counts.units)
    return {"units": units, "pktfilter": counts.packets}


@implements("nvmlDeviceSetNvLinkUtilizationControl")
def set_control(
    nvml: Nvml, device: Device, link: int, counter: int, control: Any, reset: int
) -> None:
    with nvml.machine.exclusive():
        found, _ = counter_of(nvml, device, link, counter)
        if (
            control.units >= len(UNITS)
            or control.pktfilter & ~constants.NVLINK_COUNTER_PKTFILTER_ALL
        ):
            raise NvmlError(status.INVALID_ARGUMENT)
        figures = {"units": UNITS[control.units][0], "packets": control.pktfilter}
        alter(nvml, device, link, counter, {**figures, **(zeroed(found) if reset else {})})


@implements("nvmlDeviceFreezeNvLinkUtilizationCounter")
def freeze(nvml: Nvml, device: Device, link: int, counter: int, freeze: int) -> None:
    """What passes while a counter is frozen is not counted later either."""
    with nvml.machine.exclusive():
        found, counts = counter_of(nvml, device, link, counter)
        if freeze > 1:
            raise NvmlError(status.INVALID_ARGUMENT)
        if bool(freeze) == counts.frozen:
            return
        received, sent = amounts(found, counts)
        figures = {"frozen": bool(freeze), "rx": received, "tx": sent}
        if not freeze:
            figures["rx_zero"] = (found.data_rx or 0) - received
            figures["tx_zero"] = (found.data_tx or 0) - sent
        alter(nvml, device, link, counter, figures)


@implements("nvmlDeviceResetNvLinkUtilizationCounter")
def reset(nvml: Nvml, device: Device, link: int, counter: int) -> None:
    with nvml.machine.exclusive():
        found, _ = counter_of(nvml, device, link, counter)
        alter(nvml, device, link, counter, zeroed(found))
