"""Mapping memory into this process, by the C library: Python's mmap hides addresses.

Everything that is mapped here is out of a forked child's sight, as a device's memory is.
"""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

__all__ = [
    "NONE",
    "PAGE",
    "READ",
    "TOO_MUCH",
    "WRITE",
    "discard",
    "identity",
    "map_anonymous",
    "map_file",
    "map_over",
    "memory_file",
    "protect",
    "punch",
    "readable",
    "reserve",
    "reserve_low",
    "uncover",
    "unmap",
    "writable",
]

PAGE = os.sysconf("SC_PAGE_SIZE")
NONE, READ, WRITE = 0, 1, 2

SHARED, PRIVATE, FIXED, ANONYMOUS, NO_RESERVE = 0x1, 0x2, 0x10, 0x20, 0x4000
FIXED_NO_REPLACE = 0x100000
MFD_CLOEXEC = 1
KEEP_SIZE, PUNCH_HOLE = 1, 2  # FALLOC_FL_
MADV_REMOVE, MADV_DONTFORK, MADV_POPULATE_READ, MADV_POPULATE_WRITE = 9, 10, 22, 23
EINVAL = 22
FAILED = ctypes.c_size_t(-1).value
NOT_A_FILE = FAILED

#: No process has so many addresses.
TOO_MUCH = 1 << 57

#: From how many bytes on reading the list of mappings costs less than looking at every page:
#: 256 MiB are 65,536 pages at 30 to 90 ns each.
LARGE = 32 << 20

#: What a 32-bit device pointer can tell, and where the first of them is looked for: above where a
#: program that is not position-independent lies.
LOW_END, LOW_START, LOW_STEP = 1 << 32, 1 << 28, 2 << 20

_libc = ctypes.CDLL(None, use_errno=True)
_word = ctypes.c_size_t
_mmap = _libc.mmap
_mmap.argtypes = [_word, _word, ctypes.c_int, ctypes.c_int, _word, ctypes.c_int64]
_mmap.restype = _word
_munmap = _libc.munmap
_munmap.argtypes = [_word, _word]
_mprotect = _libc.mprotect
_mprotect.argtypes = [_word, _word, ctypes.c_int]
_fallocate = _libc.fallocate
_fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
_madvise = _libc.madvise
_madvise.argtypes = [_word, _word, ctypes.c_int]


def memory_file() -> int:
    """The descriptor of a new file without a name, in memory.

    By the C library: Pythons that are built for old systems have no os.memfd_create.

    Raises:
        OSError: there are no descriptors left.
    """
    fd = int(_libc.memfd_create(b"nvemu-device", MFD_CLOEXEC))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "memfd_create")
    return fd


def identity(fd: int) -> Optional[tuple[int, int]]:
    """The file behind a descriptor, unlike any other; None for none."""
    try:
        known = os.fstat(fd)
    except OSError:
        return None
    return known.st_dev, known.st_ino


def reserve(size: int, align: int = PAGE, hint: int = 0) -> int:
    """Addresses for `size` bytes, on a multiple of `align`, nothing behind them; 0: none left."""
    flags = PRIVATE | ANONYMOUS | NO_RESERVE
    room = size if align <= PAGE else size + align
    if room > TOO_MUCH:
        return 0
    address = _mmap(hint, size, NONE, flags, NOT_A_FILE, 0) if hint else FAILED
    if address != FAILED and address % align == 0:
        return int(address)
    if address != FAILED:
        _munmap(address, size)
    address = _mmap(0, room, NONE, flags, NOT_A_FILE, 0)
    if address == FAILED:
        return 0
    start: int = -(-address // align) * align
    if start > address:
        _munmap(address, start - address)
    if start + size < address + room:
        _munmap(start + size, address + room - start - size)
    return start


def reserve_low(size: int) -> int:
    """As `reserve`, on a multiple of 2 MiB and below 4 GiB; 0: no room there."""
    flags = PRIVATE | ANONYMOUS | NO_RESERVE | FIXED_NO_REPLACE
    for hint in range(LOW_START, LOW_END - size, LOW_STEP):
        address = _mmap(hint, size, NONE, flags, NOT_A_FILE, 0)
        if address == hint:
            return hint
        if address != FAILED:
            _munmap(address, size)
    return 0


def map_over(address: int, size: int, fd: int, offset: int, access: int = READ | WRITE) -> bool:
    """Map a file's bytes over reserved addresses; False if the system refuses."""
    flags = SHARED | FIXED | NO_RESERVE
    if _mmap(address, size, access, flags, fd, offset) == FAILED:
        return False
    _madvise(address, size, MADV_DONTFORK)
    return True


def map_file(size: int, fd: int, offset: int, align: int, low: bool = False) -> int:
    """Map a file's bytes somewhere; 0 if the system refuses."""
    address = reserve_low(size) if low else reserve(size, align)
    if address and not map_over(address, size, fd, offset):
        _munmap(address, size)
        return 0
    return address


def map_anonymous(size: int) -> int:
    """Fresh memory of this process, which a forked child has a copy of; 0 if there is none."""
    if size > TOO_MUCH:
        return 0
    flags = PRIVATE | ANONYMOUS | NO_RESERVE
    address = _mmap(0, size, READ | WRITE, flags, NOT_A_FILE, 0)
    return 0 if address == FAILED else int(address)


def uncover(address: int, size: int) -> None:
    """Take away what is mapped there; the addresses stay reserved."""
    _mmap(address, size, NONE, PRIVATE | ANONYMOUS | NO_RESERVE | FIXED, NOT_A_FILE, 0)


def unmap(address: int, size: int) -> None:
    """Give addresses back."""
    _munmap(address, size)


def protect(address: int, size: int, access: int) -> bool:
    """Say what may be done with mapped memory."""
    return bool(_mprotect(address, size, access) == 0)


def discard(address: int, size: int) -> None:
    """Give the bytes of a shared mapping back, in its file too."""
    _madvise(address, size, MADV_REMOVE)


def punch(fd: int, offset: int, size: int) -> None:
    """Give the bytes of a file's range back."""
    _fallocate(fd, KEEP_SIZE | PUNCH_HOLE, offset, size)


def readable(address: int, size: int) -> bool:
    """Whether a client's bytes are there to be read."""
    return _usable(address, size, MADV_POPULATE_READ)


def writable(address: int, size: int) -> bool:
    """Whether a client's bytes are there to be written."""
    return _usable(address, size, MADV_POPULATE_WRITE)


def _usable(address: int, size: int, advice: int) -> bool:
    """Have the pages made, as touching them would; that fails where touching them would kill."""
    if not size:
        return True
    start, end = address & -PAGE, address + size
    if address < PAGE or end > FAILED >> 1:
        return False
    letter = b"w" if advice == MADV_POPULATE_WRITE else b"r"
    if size >= LARGE and _allowed(address, end, letter, plain=True):
        return True
    if _madvise(start, end - start, advice) == 0:
        return True
    if ctypes.get_errno() != EINVAL:
        return False
    # A kernel before 5.14, memory of a device, or a mapping that forbids it.
    return _allowed(address, end, letter)


def _allowed(start: int, end: int, letter: bytes, plain: bool = False) -> bool:
    """Whether all mappings from `start` to `end` allow it, by what the system shows of them.

    `plain`: and they are private ones without a file, which have every page that they show.
    """
    with open("/proc/self/maps", "rb", buffering=1 << 16) as lines:
        for line in lines:
            span, access, rest = line.split(None, 2)
            first, _, last = span.partition(b"-")
            behind = int(last, 16)
            if behind <= start:
                continue
            if int(first, 16) > start or letter not in access:
                return False
            if plain and (access[3:] != b"p" or not _is_anonymous(rest)):
                return False
            start = behind
            if start >= end:
                return True
    return False


def _is_anonymous(rest: bytes) -> bool:
    """Whether a mapping is of no file nor the kernel's, by what follows its access in the list."""
    _, _, inode, *name = rest.split(None, 3)
    return inode == b"0" and not (name and name[0].startswith(b"[v"))
