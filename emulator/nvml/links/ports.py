"""The ports behind NVLinks: their counters and their registers ("PRM"), from Blackwell on.

Registers are asked for as NVIDIA's network devices are: an operation, then the register, each with
a type and a length, in network byte order (Linux, drivers/net/ethernet/mellanox/mlxsw/emad.h).
"""

from __future__ import annotations

from ...api import NULL_PAGE
from .. import _constants as constants
from .. import _status as status
from ..library import Nvml, NvmlError, api, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...machine import Device

__all__: list[str] = []

#: The generation of NVLink whose ports can be asked.
FIRST = 5

#: Lengths in bytes: of an operation, and of what precedes a register's bytes.
OPERATION, HEADER = 16, 4
OPERATION_TYPE, REGISTER_TYPE = 1, 3
QUERY, WRITE = 1, 2
RESPONSE = 0x80

#: What an operation came to.
DONE, UNKNOWN_BLOCK, NO_REGISTER, NO_METHOD, BAD_PARAMETER = 0, 3, 4, 6, 7

PREFIX = "PRM_COUNTER_ID_"
COUNTERS = {
    value: name[len(PREFIX) :] for name, value in vars(constants).items() if name.startswith(PREFIX)
}


def check_ports(device: Device) -> None:
    if not device.nvlinks or device.nvlinks[0].version < FIRST:
        raise NvmlError(status.NOT_SUPPORTED)


@implements("nvmlDeviceReadPRMCounters_v1")
def read_counters(device: Device, counter_list: Any) -> dict[str, int]:
    """Each entry has a status of its own; ports are numbered from 1, links from 0."""
    check_ports(device)
    if counter_list.numCounters and counter_list.counters < NULL_PAGE:
        raise NvmlError(status.INVALID_ARGUMENT)
    kind = api.types["nvmlPRMCounter_v1_t"] * counter_list.numCounters
    for entry in kind.from_address(counter_list.counters or 1):
        code, value = counter(device, entry.counterId, entry.inData.localPort)
        entry.counterValue.status = code
        entry.counterValue.outputType = constants.VALUE_TYPE_UNSIGNED_LONG_LONG
        entry.counterValue.outputValue.ullVal = value
    return {}  # all is written where the list points


def counter(device: Device, number: int, port: int) -> tuple[int, int]:
    name = COUNTERS.get(number) if number else None
    if name is None or not 1 <= port <= len(device.nvlinks):
        return status.INVALID_ARGUMENT, 0
    return status.SUCCESS, (device.nvlinks[port - 1].port_counters or {}).get(name, 0)


@implements("nvmlDeviceReadWritePRM_v1")
def read_write(nvml: Nvml, device: Device, buffer: Any) -> dict[str, Any]:
    """The answer is the request with what the register holds; what went wrong is told in it."""
    check_ports(device)
    size = buffer.dataSize
    if not OPERATION + HEADER <= size <= constants.PRM_DATA_MAX_SIZE:
        raise NvmlError(status.INVALID_ARGUMENT)
    answer = bytearray(buffer._anonymous0.inData[:size])
    with nvml.machine.exclusive():
        code = perform(nvml, device, answer)
    answer[2] = code
    answer[6] |= RESPONSE
    return {"status": code, "_anonymous0": {"outData": bytes(answer)}}


def perform(nvml: Nvml, device: Device, answer: bytearray) -> int:
    """Do what a request asks, in place; returns what it came to."""
    types = answer[0] >> 3, answer[OPERATION] >> 3
    if types != (OPERATION_TYPE, REGISTER_TYPE):
        return UNKNOWN_BLOCK
    start = OPERATION + HEADER
    end = OPERATION + 4 * (int.from_bytes(answer[OPERATION : OPERATION + 2], "big") & 0x7FF)
    if not start <= end <= len(answer):
        return BAD_PARAMETER
    registers, number = device.nvlink.registers or [], int.from_bytes(answer[4:6], "big")
    place = next((at for at, each in enumerate(registers) if each.number == number), None)
    if place is None:
        return NO_REGISTER
    method = answer[6] & 0x7F
    if method == QUERY:
        data = bytes.fromhex(registers[place].data)[: end - start]
        answer[start:end] = data.ljust(end - start, b"\0")
    elif method == WRITE:
        written = {str(place): {"data": answer[start:end].hex()}}
        nvml.machine.alter(device, {"nvlink": {"registers": written}})
    else:
        return NO_METHOD
    return DONE
