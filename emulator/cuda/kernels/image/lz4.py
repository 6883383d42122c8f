"""LZ4 blocks, by the public description of the format (lz4_Block_format.md)."""

from __future__ import annotations

from .elf import malformed

__all__ = ["decompress"]

LEAST_MATCH = 4


def decompress(data: bytes, size: int) -> bytes:
    """The `size` bytes that a block holds.

    Raises:
        ImageError: INVALID_IMAGE: it is no such block.
    """
    made = bytearray()
    place = 0
    try:
        while len(made) < size:
            token = data[place]
            literals, place = _length(data, place + 1, token >> 4)
            if place + literals > len(data):
                raise IndexError
            made += data[place : place + literals]
            place += literals
            if len(made) >= size:
                break
            distance = data[place] | data[place + 1] << 8
            length, place = _length(data, place + 2, token & 15)
            _repeat(made, distance, length + LEAST_MATCH)
    except IndexError:
        raise malformed("compressed code is damaged") from None
    if len(made) != size:
        raise malformed("compressed code is of another size than its entry says")
    return bytes(made)


def _length(data: bytes, place: int, length: int) -> tuple[int, int]:
    """A length whose first four bits are known, and the place behind it."""
    more = 255 if length == 15 else 0
    while more == 255:
        more = data[place]
        place += 1
        length += more
    return length, place


def _repeat(made: bytearray, distance: int, length: int) -> None:
    """Append bytes from `distance` back, which may come into being meanwhile."""
    start = len(made) - distance
    if not distance or start < 0:
        raise IndexError
    piece = made[start : start + length]
    made += (piece * (length // len(piece) + 1))[:length]
