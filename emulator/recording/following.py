"""Running the caller, which a driver may crash or hang: going on behind the call that did it."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from ..testbed import Testbed
from ..testbed.program import signal_name
from .caller import DONE, LIST, MAKE
from .calls import Question

__all__ = ["Caller", "CallerError", "Fatal"]

SECONDS = 60.0  # that a call may take: the first one may have to wake eight GPUs up
GRACE = 2.0  # that a child has to go
CRASHES = 3  # of one function, after which it is not called any more
HANGS = 5  # of all functions, after which none is: a driver that hangs takes a minute each time

#: What a process says on stderr whose calls cannot all be written down (`emulator.runtime.trace`).
LOST = "nvemu: the trace "

ROOT = Path(__file__).resolve().parents[2]


class CallerError(RuntimeError):
    """The calls could not be made at all."""


class Fatal(Struct, frozen=True):
    """A call that did not come back.

    Attributes:
        text: the call, or the function where only that is known.
        ending: what became of the process.
    """

    text: str
    ending: str

    def __str__(self) -> str:
        return f"{self.text} {self.ending}"


class Stop(Struct, frozen=True):
    """How the process that makes calls ended before its time.

    Attributes:
        number: of the call that it was at.
        function: what it called last; empty if it called nothing.
        ending: what became of it.
    """

    number: int
    function: str
    ending: str


class Caller:
    """Makes calls in the processes of a testbed.

    Args:
        testbed: what answers them; it is set up.
        seconds: how long a call may take.

    Attributes:
        fatal: the calls that did not come back.
    """

    def __init__(self, testbed: Testbed, seconds: float = SECONDS) -> None:
        self._testbed = testbed
        self._seconds = seconds
        self._avoided: set[str] = set()
        self._hangs = 0
        self.fatal: list[Fatal] = []

    def questions(self) -> list[Question]:
        """The calls that a recording makes of what is there.

        Raises:
            CallerError: it cannot be found out.
        """
        with tempfile.NamedTemporaryFile(prefix="nvemu-calls-") as file:
            while stop := self._run(LIST, Path(file.name), 0):
                self._avoid(stop)
                if self._hangs >= HANGS:
                    raise CallerError(f"the driver hangs: {self.fatal[-1]}, as others before")
            return msgspec.json.decode(Path(file.name).read_bytes(), type=list[Question])

    def make(self, calls: Sequence[Question]) -> None:
        """Make calls, in this order.

        Raises:
            CallerError: they cannot be made.
        """
        crashes: Counter[str] = Counter()
        begin = 0
        with tempfile.NamedTemporaryFile(prefix="nvemu-calls-") as file:
            Path(file.name).write_bytes(msgspec.json.encode(calls))
            while stop := self._run(MAKE, Path(file.name), begin):
                begin = stop.number
                call = calls[begin]
                if stop.function != call.function:  # one that had to be made before it
                    self._avoid(stop)
                else:
                    self.fatal.append(Fatal(call.text, stop.ending))
                    crashes[call.function] += 1
                    if crashes[call.function] == CRASHES:
                        self._avoided.add(call.function)
                    begin += 1
                if self._hangs >= HANGS and begin < len(calls):
                    number = len(calls) - begin
                    self.fatal.append(Fatal(f"{number} more calls", "were not made: they may hang"))
                    return

    def _avoid(self, stop: Stop) -> None:
        """Go on without a function; CallerError where it was none that ended the process."""
        if not stop.function or stop.function in self._avoided:
            raise CallerError(f"the calls cannot be made: what makes them {stop.ending}")
        self._avoided.add(stop.function)
        self.fatal.append(Fatal(stop.function, stop.ending))

    def _run(self, mode: str, file: Path, begin: int) -> Stop | None:
        """Run the program; None if it did all that it was to.

        Raises:
            CallerError: the calls that it made are not all in the trace.
        """
        reading, writing = os.pipe()
        arguments = [mode, str(file), str(writing), str(begin), ",".join(sorted(self._avoided))]
        # Without this folder on its path: it may have a module of any name.
        command = [sys.executable, "-P", "-m", f"{__package__}.caller", *arguments]
        # In memory: what is wrong may be that the disk is full.
        said = os.fdopen(os.memfd_create("said"), "w+b")
        with os.fdopen(reading, "rb", buffering=0) as pipe, said:
            try:
                child = subprocess.Popen(
                    command,
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    pass_fds=(writing,),
                )
            finally:
                os.close(writing)
            timed_out = True
            try:
                last, timed_out = _follow(pipe.fileno(), self._seconds)
            finally:
                status = _end(child, at_once=timed_out)
            said.seek(0)
            words = said.read().decode("utf-8", "replace").splitlines()
        lost = next((line for line in words if line.startswith(LOST)), "")
        if lost:
            raise CallerError(lost.removeprefix("nvemu: "))
        if last == DONE:
            return None
        number, _, function = last.partition(" ")
        hung = timed_out or status is None
        self._hangs += hung
        return Stop(int(number or begin), function, _ending(status, hung, self._seconds, words))

    def _environment(self) -> dict[str, str]:
        """The testbed's, in which CUDA sees all GPUs, numbered as NVML does."""
        made = self._testbed.environment()
        made.pop("CUDA_VISIBLE_DEVICES", None)
        path = os.pathsep.join(filter(None, (str(ROOT), made.get("PYTHONPATH"))))
        return made | {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "PYTHONPATH": path}


def _follow(descriptor: int, seconds: float) -> tuple[str, bool]:
    """The last whole line that is said until the end, and whether it took too long."""
    last, rest = b"", b""
    while True:
        if not select.select([descriptor], [], [], seconds)[0]:
            return last.decode(), True
        data = os.read(descriptor, 1 << 16)
        if not data:
            return last.decode(), False
        *lines, rest = (rest + data).split(b"\n")
        last = lines[-1] if lines else last


def _end(child: subprocess.Popen[bytes], at_once: bool) -> int | None:
    """The exit status of a child that has nothing more to say; None of one that cannot be ended."""
    for kill in (at_once, True):
        if kill:
            child.kill()
        with suppress(subprocess.TimeoutExpired):
            return child.wait(GRACE)
    return None  # it waits inside the kernel


def _ending(status: int | None, hung: bool, seconds: float, said: Sequence[str]) -> str:
    if hung or status is None:
        return f"did not come back in {seconds:g} s"
    if status < 0:
        return f"was ended by {signal_name(-status)}"
    return f"ended its process with status {status}" + (f": {said[-1]}" if said else "")
