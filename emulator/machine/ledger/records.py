"""Records in memory that processes share, one of each process, which die with it.

The memory is a file: a header, then records of one size, then what is to outlive them. Who has a
record holds a lock of the kernel's (fcntl) for it, which goes however the process ends; a record
whose lock is free counts nothing and is used again. One more lock is the mutex. The locks are on
bytes that lie behind the file's end, so that they are found whatever the file holds.

A process loses its locks when it closes any descriptor of the file, so it has just one. A host that
closes descriptors it does not know (as daemons do) is found out by a look at ours before each use.
The memory is mapped by libc, because Python's mmap makes a second descriptor.
"""

from __future__ import annotations

import ctypes
import os
from _struct import pack, unpack
from _thread import RLock
from binascii import crc32
from errno import EACCES, EDEADLK, ENOENT, EPERM, EROFS
from fcntl import F_GETLK, F_SETLK, F_SETLKW, F_UNLCK, F_WRLCK, fcntl
from time import sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

__all__ = ["MOST", "Records"]

#: So many processes can have a record at once. The file is sparse: only what is used costs memory.
MOST = 4096

WORD = 8
MAGIC = int.from_bytes(b"nvledger", "little")
HEADER = 8  # words
CLAIMED, STAMP, LAYOUT = 0, 1, 2  # words of the header; so many records may be in use
LOCKS = 1 << 40  # the mutex's byte; the records' follow
LOCK = "hhqqi4x"  # struct flock on 64-bit Linux: type, whence, start, length, process

#: Of a folder that is gone, or another user's: nothing can be shared there, and nothing is wrong.
ELSEWHERE = (ENOENT, EACCES, EPERM, EROFS)

AGAIN = 1e-4  # seconds until a lock is asked for again that seemed to be a deadlock

READ_WRITE, SHARED = 3, 1  # PROT_READ | PROT_WRITE, MAP_SHARED


class Records:
    """The records of a file, each of `width` words; the first is not 0 where there is a record.

    Args:
        path: of the file, made if need be; empty for memory that only forked children share.
        more: so many words follow the records, which stay when processes die.
        layout: what the words mean: records of another layout are not understood.
        say: told once, in a line, when the file is of no use.

    Attributes:
        words: the header and the records. The first word is 0 while there are no records.
        pid: of the process that this is.
        tail: where among the words those begin that follow the records.
        bury_one: told where a dead process's record begins, under the mutex, before it is cleared.
    """

    def __init__(
        self, path: str, width: int, more: int, layout: str, say: Callable[[str], object]
    ) -> None:
        self.width = width
        self.tail = HEADER + MOST * width
        self.bury_one: Callable[[int], object] = int
        self._more = more
        self._path = path
        self._layout = crc32(layout.encode(), width + more) or 1
        self._say = say
        self._bytes = WORD * (self.tail + more)
        self._nothing = memoryview(bytes(WORD * width)).cast("Q")
        self._file: Optional[int] = None
        self._identity: tuple[int, int] = (0, 0)
        self._lock = RLock()
        self._depth = 0
        self._mine: Optional[int] = None
        self.pid = os.getpid()
        self.words: memoryview
        self._open()

    # ---- the file

    def _open(self) -> None:
        """Take the file, or anonymous memory in its place."""
        self._mine = None
        try:
            if self._path and self._take(self._named()):
                return
        except OSError as error:  # on a file system without locks, say
            if error.errno not in ELSEWHERE:
                self._say(f"what processes hold is not shared, {self._path}: {error.strerror}")
        self._path = ""
        try:
            self._take(os.memfd_create("nvemu-ledger", os.MFD_CLOEXEC))
        except OSError as error:
            self._say(f"what processes hold is not shared: {error.strerror}")
            self._file = None
            self.words = memoryview(bytearray(self._bytes)).cast("Q")
            self.words[LAYOUT] = self._layout

    def _named(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _take(self, file: int) -> bool:
        """Use a file from here on; False, and it is closed, if others use it otherwise."""
        try:
            known = os.fstat(file)
            self._file, self._identity = file, (known.st_dev, known.st_ino)
            self._acquire()
            if known.st_size < self._bytes:
                os.ftruncate(file, self._bytes)
            self.words = _mapped(file, self._bytes)
            ready = self._is_ready()
            self._release()
        except BaseException:
            self._depth = 0
            self.close()
            raise
        if not ready:
            self.close()
        return ready

    def _is_ready(self) -> bool:
        """See to the header, under the mutex."""
        words = self.words
        claimed, stamp, layout = words[: LAYOUT + 1]
        if self._is_sound():
            return True
        damaged = stamp != MAGIC or claimed > MOST
        if damaged and (stamp or layout or claimed):
            self._say_damaged()
        elif not damaged and self._locked(1, MOST):
            self._say(f"{self._path} is in use for other GPUs: what processes hold is not shared")
            return False
        words[CLAIMED] = 0  # who has a record sees at its next look that it is gone
        if stamp or layout:
            words[self.tail :] = memoryview(bytes(WORD * self._more)).cast("Q")
        words[LAYOUT], words[STAMP] = self._layout, MAGIC
        return True

    def _is_sound(self) -> bool:
        """Whether the header is as it must be."""
        claimed, stamp, layout = self.words[: LAYOUT + 1]
        return (stamp, layout) == (MAGIC, self._layout) and claimed <= MOST

    def _say_damaged(self) -> None:
        path = self._path or "the ledger"
        self._say(f"{path} is damaged: what processes hold is counted anew")

    def check(self) -> None:
        """See whether this process is a new one; whether the file is as it was, else begin again.

        This process's record may be gone then.
        """
        with self._lock:
            if os.getpid() != self.pid:  # a fork's child: the record is its parent's
                self.pid, self._mine = os.getpid(), None
            if self._file is None or self._depth:  # in the middle of what was begun with a look
                return
            known = _state(self._file)
            ours = known is not None and known[:2] == self._identity
            if known and ours and known[2] >= self._bytes and self._is_sound():
                if known[3] or not self._is_replaceable():
                    self._check_mine()
                    return
            elif ours:
                self._say_damaged()
            self.close()
            self._open()

    def _is_replaceable(self) -> bool:
        """Whether a file that was removed can be made anew: its folder may be gone with it."""
        return bool(self._path) and os.path.isdir(os.path.dirname(self._path))

    def _check_mine(self) -> None:
        """Let go of this process's record if it is no longer one: the file was written anew."""
        mine, words = self._mine, self.words
        if mine is not None and (mine >= words[CLAIMED] or words[self.base(mine)] != self.pid):
            self._mine = None
            self._set(F_SETLK, F_UNLCK, 1 + mine)

    def close(self) -> None:
        """Let go of the file and of all locks; the memory stays for those who have a view of it."""
        file, self._file = self._file, None
        if file is not None and (_state(file) or ())[:2] == self._identity:
            os.close(file)

    __del__ = close

    def renew_lock(self) -> None:
        """In a fork's child, forget a lock that another thread of the parent holds."""
        self._lock = RLock()
        self._depth = 0

    # ---- locks

    def __enter__(self) -> None:
        """Hold the mutex, against other processes and other threads. Reentrant."""
        self._lock.acquire()
        try:
            if not self._depth:
                self.check()
            self._acquire()
        except BaseException:
            self._lock.release()
            raise

    def __exit__(self, *_: object) -> None:
        try:
            self._release()
        finally:
            self._lock.release()

    def _acquire(self) -> None:
        if not self._depth:
            self._set(F_SETLKW, F_WRLCK, 0)
        self._depth += 1

    def _release(self) -> None:
        self._depth -= 1
        if not self._depth:
            self._set(F_SETLK, F_UNLCK, 0)

    def _set(self, command: int, kind: int, place: int) -> None:
        """Set or free a lock. The kernel takes a process for one thread: if another thread waits
        for a lock of the host's own, it may see a deadlock here where there is none."""
        asked = pack(LOCK, kind, os.SEEK_SET, LOCKS + place, 1, 0)
        while self._file is not None:
            try:
                fcntl(self._file, command, asked)
                return
            except OSError as error:
                if error.errno != EDEADLK:
                    raise
                sleep(AGAIN)

    def _locked(self, place: int, count: int = 1) -> bool:
        """Whether another process holds a lock on one of `count` bytes."""
        if self._file is None:
            return False
        asked = pack(LOCK, F_WRLCK, os.SEEK_SET, LOCKS + place, count, 0)
        return unpack(LOCK, fcntl(self._file, F_GETLK, asked))[0] != F_UNLCK  # type: ignore[no-any-return]

    # ---- records

    @property
    def claimed(self) -> int:
        """So many records, from the first on, have been in use."""
        return min(self.words[CLAIMED], MOST)

    def column(self, place: int, claimed: int) -> memoryview:
        """A word of each of the first `claimed` records."""
        return self.words[HEADER + place : HEADER + claimed * self.width : self.width]

    def base(self, index: int) -> int:
        """Where among the words a record begins."""
        return HEADER + index * self.width

    def is_mine(self, index: int) -> bool:
        """Whether a record is this process's."""
        return index == self._mine

    def lives(self, index: int) -> bool:
        """Whether the process is there that a record is of."""
        return index == self._mine or self._locked(1 + index)

    def bury(self) -> None:
        """Clear the records of the dead, under the mutex."""
        words, claimed = self.words, self.claimed
        for index in range(claimed):
            base = self.base(index)
            if words[base] and not self.lives(index):
                self.bury_one(base)
                words[base + 1 : base + self.width] = self._nothing[1:]
                words[base] = 0  # last: until then it is a record, if we end here
        while claimed and not words[self.base(claimed - 1)]:
            claimed -= 1
        words[CLAIMED] = claimed

    def mine(self) -> Optional[int]:
        """Where this process's record begins; None while it has none."""
        return None if self._mine is None else self.base(self._mine)

    def claim(self) -> Optional[int]:
        """Take a record for this process, under the mutex; None, once said, where all are taken.

        It has this process's id as its first word, and nothing else.
        """
        self.bury()
        words, claimed = self.words, self.claimed
        index = self._free()
        if index is None:
            self._say(f"{MOST} processes hold memory, and no more can: one is refused")
            return None
        self._set(F_SETLK, F_WRLCK, 1 + index)
        base = self.base(index)
        words[base : base + self.width] = self._nothing
        words[base] = self.pid
        words[CLAIMED] = max(claimed, index + 1)
        self._mine = index
        return base

    def _free(self) -> Optional[int]:
        """The first that nobody has; whose record went with the file may still hold the lock."""
        for index, start in enumerate(self.column(0, MOST)):
            if (index >= self.claimed or not start) and not self._locked(1 + index):
                return index
        return None


def _state(file: int) -> Optional[tuple[int, int, int, int]]:
    """What file a descriptor is of, by device and number, its size, and how many names it has;
    None if of none."""
    try:
        known = os.fstat(file)
    except OSError:
        return None
    return known.st_dev, known.st_ino, known.st_size, known.st_nlink


def _mapped(file: int, size: int) -> memoryview:
    """The words of a file in memory, shared."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [
        *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int),
        *(ctypes.c_int, ctypes.c_int, ctypes.c_long),
    ]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    address = libc.mmap(None, size, READ_WRITE, SHARED, file, 0)
    if address == ctypes.c_void_p(-1).value:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))

    def unmap(self: ctypes.Array[ctypes.c_char]) -> None:
        munmap(address, size)

    munmap = libc.munmap
    mapping: Any = type("Mapping", (ctypes.c_char * size,), {"__del__": unmap})
    return memoryview(mapping.from_address(address)).cast("B").cast("Q")
