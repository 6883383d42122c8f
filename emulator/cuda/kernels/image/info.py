"""The attributes that NVIDIA's compiler writes into .nv.info sections.

Each is a byte for its form, a byte for what it is, and two bytes: the value itself, or how many
bytes of value follow. Names and numbers are those that `cuobjdump -elf` prints.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "CLUSTER",
    "FRAME_SIZE",
    "MAX_CLUSTER_RANK",
    "MAX_THREADS",
    "PARAMETER",
    "PARAMETER_V2",
    "REGISTERS",
    "REQUIRED_THREADS",
    "attributes",
    "LONG",
]

MAX_THREADS = 0x05  # x, y, z
REQUIRED_THREADS = 0x10  # x, y, z
FRAME_SIZE = 0x11  # symbol, bytes
PARAMETER = 0x17  # number and offset, size in the upper bits
REGISTERS = 0x2F  # symbol, count
CLUSTER = 0x3D  # x, y, z
MAX_CLUSTER_RANK = 0x3F
PARAMETER_V2 = 0x45  # number and offset, size as a word: for those of 16 KiB and more

LONG = 4  # the form whose value follows


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each attribute and the bytes of its value; ends at what is cut off."""
    place = 0
    while place + 4 <= len(data):
        form, what = data[place], data[place + 1]
        value = data[place + 2 : place + 4]
        place += 4
        if form == LONG:
            size = int.from_bytes(value, "little")
            if place + size > len(data):
                return
            value = data[place : place + size]
            place += size
        yield what, value
