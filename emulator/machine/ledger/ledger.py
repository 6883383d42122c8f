"""What the processes of a machine hold of its devices: bytes and contexts; and what they held.

Each process has a record (see `records`) with a seat for each device: what it holds there. A device
that can be divided has more seats, one for each instance that it may be divided into. What all
processes hold of a device is the sum over the records of those that live: one that is killed gives
back everything at once. To take something is to look at the sum and to write one's own record under
the records' mutex; to give back is to write one's own record. Where a device keeps accounts, what a
process held is noted behind the records when its last context ends, or when it is found dead.
"""

from __future__ import annotations

import os
from _thread import RLock
from time import time_ns

from .book import BOOK, append, clear, entries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Callable, Optional, Protocol

    from ..device import Device
    from ..engines import Utilization
    from ..memory import Memory
    from ..modes import Accounting
    from ..processes import Process
    from .book import Closed
    from .records import Records

    class Seated(Protocol):
        """A device, or an instance of one."""

        index: int
        accounting: Accounting
        compute_mode: str
        memory: Memory
        processes: list[Process]
        utilization: Utilization

        @property
        def place(self) -> int:
            """Which of the device's seats is its own: the first is the whole device's."""

        @property
        def places(self) -> Sequence[int]:
            """Which of the device's seats hold its memory."""

        def instance(self, place: int) -> Optional[tuple[int, int]]:
            """The ids of the instances that have a seat."""


__all__ = ["Ledger", "TakenError"]

#: Words of a record: the process id, when it came (nanoseconds since the epoch), its name, and from
#: SEATS on the seats.
SINCE, NAME, SEATS = 1, 2, 34
NAME_SIZE = 8 * (SEATS - NAME)

#: Words of a seat: bytes, contexts, the most bytes there ever were, and when the first of the
#: contexts was made (as the ledger's `now` has it).
SEAT = 4
BYTES, CONTEXTS, MOST_BYTES, BEGAN = range(SEAT)


class TakenError(Exception):
    """The device is in a mode in which one process has it to itself, and another has it."""


class Ledger:
    """Bytes and contexts that processes hold, by device.

    Args:
        devices: the machine's; those of a plan, none is added later.

    Attributes:
        folder: that the processes of a machine share; empty: only forked children share it.
        say_once: told in a line, each but once, what is wrong with the file.
        now: the time, in nanoseconds since the scenario's start.
    """

    def __init__(self, devices: Sequence[Device]) -> None:
        self.folder = ""
        self.say_once: Callable[[str], object] = str
        self.now: Callable[[], int] = time_ns
        self._devices = devices
        self._first: list[int] = []  # the first of each device's seats
        self._mine: list[int] = []  # what this process's record has from SEATS on
        self._pid = 0
        self._records: Optional[Records] = None
        self._lock = RLock()

    def open(self) -> Records:
        """The records, opened when first asked for."""
        with self._lock:
            if self._records is None:
                from .records import Records  # here, as most processes hold nothing

                count = 0
                for device in self._devices:
                    self._first.append(count)
                    count += len(device.places)
                self._mine = [0] * (SEAT * count)
                path = self.folder and self.folder + "/ledger"
                layout = " ".join(device.uuid for device in self._devices)
                books = len(self._devices) * BOOK
                self._records = Records(path, SEATS + SEAT * count, books, layout, self.say_once)
                self._records.bury_one = self._bury_one
            return self._records

    def renew_lock(self) -> None:
        """In a fork's child, forget locks that other threads of the parent hold."""
        self._lock = RLock()
        if self._records is not None:
            self._records.renew_lock()

    def _look(self) -> Optional[Records]:
        """The records as they are now; this process's is there again if it was lost. None while
        nobody has held anything."""
        records = self._records
        if records is None:
            if self._is_new():
                return None
            records = self.open()
        records.check()
        if records.mine() is None and records.pid == self._pid and any(self._mine):
            with records:
                self._record(records)
        return records

    def _is_new(self) -> bool:
        """Whether no process has opened the file: most never do, and opening costs time."""
        try:
            return not self.folder or not os.stat(self.folder + "/ledger").st_size
        except OSError:  # nor could it be shared
            return True

    # ---- what is held

    def held(self, device: Seated) -> int:
        """Bytes that all live processes hold of a device.

        What one gives and another takes in the middle of the sum may be in it twice; where that
        comes to more than there is, it is made anew while nobody takes.
        """
        records = self._look()
        if records is None or not records.claimed:
            return 0
        held = sum(map(self._sum, self._columns(device)))
        if held > device.memory.usable:
            with records:
                held = sum(map(self._sum, self._columns(device)))
        return held

    def used(self, device: Seated) -> int:
        """Bytes of a device in use: what the scenario says, and what processes hold."""
        return min(_said(device) + self.held(device), device.memory.usable)

    def free(self, device: Seated) -> int:
        """Bytes of a device that a process can still take."""
        return device.memory.usable - self.used(device)

    def processes(self, device: Seated) -> list[Process]:
        """The live processes that have a context on a device, each with its bytes there.

        Those of an instance are its own, though others have a part of its memory.
        """
        records = self._look()
        if records is None or not records.claimed:
            return []
        return [
            self._process(records.base(index), column, device.instance(place))
            for place, column in zip(device.places, self._columns(device))
            if device.place in (0, place)
            for index in self._live(column + CONTEXTS)
        ]

    def _process(self, base: int, column: int, ids: Optional[tuple[int, int]]) -> Process:
        from ..processes import Process

        words = self.open().words
        name = words[base + NAME : base + SEATS].tobytes().partition(b"\0")[0]
        gpu_instance, compute_instance = ids or (None, None)
        return Process(
            {
                "pid": words[base],
                "name": name.decode("utf-8", "replace"),
                "type": "C",
                "used_memory": words[base + column],
                "max_memory": words[base + column + MOST_BYTES],
                "started": words[base + column + BEGAN],
                "gpu_instance": gpu_instance,
                "compute_instance": compute_instance,
            }
        )

    def _column(self, device: Seated) -> int:
        """Where in a record the seat begins that this process has on a device."""
        return SEATS + SEAT * (self._first[device.index] + device.place)

    def _columns(self, device: Seated) -> list[int]:
        """The same of all that are part of a device, or share its memory."""
        return [SEATS + SEAT * (self._first[device.index] + place) for place in device.places]

    def _sum(self, column: int) -> int:
        records = self.open()
        return sum(records.words[records.base(index) + column] for index in self._live(column))

    def _live(self, column: int) -> list[int]:
        """The live records in which a word is not 0; those of the dead are cleared."""
        records = self.open()
        marked = [i for i, word in enumerate(records.column(column, records.claimed)) if word]
        if not marked:
            return []
        live = [index for index in marked if records.lives(index)]
        if len(live) < len(marked):
            with records:
                records.bury()
        return live

    # ---- taking and giving

    def take(self, device: Seated, size: int) -> bool:
        """Let this process hold `size` bytes more; False, and nothing done, if there is no room."""
        return self._take(device, size, 0)

    def give(self, device: Seated, size: int) -> None:
        """Give bytes back."""
        self._give(device, size, 0)

    def enter(self, device: Seated, size: int) -> bool:
        """Take the memory of a context, which makes this process one of the device's.

        Raises:
            TakenError: another process has the device, whose compute mode allows one.
        """
        return self._take(device, size, 1)

    def leave(self, device: Seated, size: int) -> None:
        """Give back a context's memory."""
        self._give(device, size, 1)

    def _take(self, device: Seated, size: int, contexts: int) -> bool:
        records = self._records or self.open()
        with records:
            base = self._record(records)
            if contexts and device.compute_mode.startswith("EXCLUSIVE"):
                self._check_alone(records, device)
            if base is None or not self._fits(records, device, size):
                return False
            self._write(records, base, self._column(device), size, contexts)
            return True

    def _check_alone(self, records: Records, device: Seated) -> None:
        """Raise TakenError if another process computes on a device, there or in the scenario."""
        others = any("C" in process.type for process in device.processes)
        for column in self._columns(device):
            others = others or not all(map(records.is_mine, self._live(column + CONTEXTS)))
        if others:
            raise TakenError

    def _give(self, device: Seated, size: int, contexts: int) -> None:
        records = self._records or self.open()
        records.check()
        base = records.mine()
        if base is None:
            with records:
                base = self._record(records)
        if base is not None:
            column = self._column(device)
            last = contexts and records.words[base + column + CONTEXTS] <= contexts
            if last and device.accounting.enabled:
                with records:
                    self._close(base, column, device)
            self._write(records, base, column, -size, -contexts)

    def _fits(self, records: Records, device: Seated, size: int) -> bool:
        """Whether there is room; only if there is none with them are the dead looked for."""
        room = device.memory.usable - _said(device) - size
        claimed = records.claimed
        columns = [records.column(column, claimed) for column in self._columns(device)]
        return sum(map(sum, columns)) <= room or self.held(device) <= room

    def _write(self, records: Records, base: int, column: int, size: int, contexts: int) -> None:
        with self._lock:
            mine, seat = self._mine, column - SEATS
            if contexts > 0 and not mine[seat + CONTEXTS]:
                mine[seat + MOST_BYTES], mine[seat + BEGAN] = 0, self.now()
            mine[seat + BYTES] = max(mine[seat + BYTES] + size, 0)
            mine[seat + CONTEXTS] = max(mine[seat + CONTEXTS] + contexts, 0)
            mine[seat + MOST_BYTES] = max(mine[seat + MOST_BYTES], mine[seat + BYTES])
            for place in range(SEAT):
                records.words[base + column + place] = mine[seat + place]

    # ---- what was held

    def bury(self) -> None:
        """Note what the dead held, and clear their records."""
        records = self._look()
        if records is not None and records.claimed:
            with records:
                records.bury()

    def closed(self, device: Device) -> list[Closed]:
        """The accounts of a device that are closed, oldest first."""
        self.bury()
        records = self._look()
        return [] if records is None else entries(records.words, self._book(records, device.index))

    def forget(self, device: Device) -> None:
        """Clear the closed accounts of a device."""
        self.bury()
        records = self._look()
        if records is not None:
            with records:
                clear(records.words, self._book(records, device.index))

    def _bury_one(self, base: int) -> None:
        """Close the accounts of a dead process, whose record begins at `base`."""
        words = self.open().words
        for device, first in zip(self._devices, self._first):
            for place in device.places if device.accounting.enabled else ():
                column = SEATS + SEAT * (first + place)
                if words[base + column + CONTEXTS]:
                    self._close(base, column, device)

    def _close(self, base: int, column: int, device: Seated) -> None:
        """Note what a process held, under the mutex: of the device's utilisation, an equal part."""
        records = self.open()
        words = records.words
        seat = words[base + column : base + column + SEAT]
        contexts = records.column(column + CONTEXTS, records.claimed)
        sharers = len(device.processes) + sum(map(bool, contexts))
        used = (device.utilization.gpu, device.utilization.memory)
        parts = [None if use is None else use // max(sharers, 1) for use in used]
        entry = (words[base], seat[BEGAN], self.now(), seat[MOST_BYTES], *parts)
        append(words, self._book(records, device.index), entry)

    @staticmethod
    def _book(records: Records, index: int) -> int:
        """Where among the words a device's closed accounts are."""
        return records.tail + index * BOOK

    # ---- this process's record

    def _record(self, records: Records) -> Optional[int]:
        """Where this process's record begins: made, under the mutex, if there is none."""
        base = records.mine()
        if base is None:
            if records.pid != self._pid:  # in a fork's child: it is the parent that holds these
                self._pid, self._mine = records.pid, [0] * len(self._mine)
            base = records.claim()
            if base is not None:
                records.words[base + SINCE] = time_ns()
                name = _program()[: NAME_SIZE - 1].ljust(NAME_SIZE, b"\0")
                records.words[base + NAME : base + SEATS] = memoryview(name).cast("Q")
                for place, word in enumerate(self._mine, base + SEATS):
                    records.words[place] = word
        return base


def _said(device: Seated) -> int:
    """Bytes that are in use by what the scenario says: no fewer than its processes have."""
    listed = device.processes
    if not listed:
        return device.memory.used
    ids = device.instance(device.place)  # None: a whole GPU; an instance's share memory
    those = [each for each in listed if ids is None or each.gpu_instance == ids[0]]
    return max(device.memory.used, sum(each.used_memory or 0 for each in those))


def _program() -> bytes:
    """What this program was called as; nvidia-smi shows processes by that."""
    try:
        with open("/proc/self/cmdline", "rb", buffering=0) as file:
            return file.read(NAME_SIZE).partition(b"\0")[0]
    except OSError:
        return b""
