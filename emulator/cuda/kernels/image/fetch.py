"""Copying an image out of a client's memory, whose size only the image itself tells."""

from __future__ import annotations

from _struct import unpack_from

from ... import _status as status
from . import elf, fatbin
from .elf import malformed
from .error import ImageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional

    #: (address, size) -> the bytes there; None where some of them are not readable.
    Read = Callable[[int, int], Optional[bytes]]

__all__ = ["fetch"]

PAGE = 4096

#: An image that says it is larger than this is damaged.
LARGEST = 1 << 30

#: What PTX may begin with: a directive, a comment, or space.
BEGINNINGS = b"./ \t\r\n\v\f"


def fetch(read: Read, address: int) -> bytes:
    """The image at an address, whole.

    Raises:
        ImageError: INVALID_IMAGE: it is none, or goes on where nothing can be read.
    """
    magic = read(address, 4)
    if magic == fatbin.WRAPPER:
        (address,) = unpack_from("<Q", _exactly(read, address, 16), 8)
        magic = read(address, 4)
        if magic != fatbin.MAGIC:
            raise malformed("a fatbin's wrapper does not point to one")
    if magic == fatbin.MAGIC:
        return _exactly(read, address, fatbin.size(_exactly(read, address, fatbin.HEADER)))
    if magic == elf.MAGIC:
        return _exactly(read, address, _elf_size(read, address))
    return _text(read, address)


def _exactly(read: Read, address: int, size: int) -> bytes:
    data = read(address, size) if size <= LARGEST else None
    if data is None:
        raise malformed("the image goes on where there is no memory")
    return data


def _elf_size(read: Read, address: int) -> int:
    header = _exactly(read, address, elf.HEADER)
    (sections,) = unpack_from("<Q", header, 40)
    size, count = unpack_from("<HH", header, 58)
    if sections > LARGEST:
        raise malformed("section headers are outside the image")
    return elf.extent(header, _exactly(read, address + sections, size * count))


def _text(read: Read, address: int) -> bytes:
    """Text up to its final zero, page by page."""
    pieces: list[bytes] = []
    total = 0
    while total <= LARGEST:
        size = PAGE - address % PAGE
        piece = read(address, size)
        if piece is None:
            break
        end = piece.find(b"\0")
        pieces.append(piece if end < 0 else piece[:end])
        if end >= 0:
            return b"".join(pieces)
        if pieces[0][:1] not in BEGINNINGS:
            break
        address += size
        total += size
    raise ImageError(status.INVALID_IMAGE, UNKNOWN)


#: What a real driver writes into the log of a client (jax-ml/jax, issue 14438).
UNKNOWN = "error   : Binary format for key='0', ident='' is not recognized"
