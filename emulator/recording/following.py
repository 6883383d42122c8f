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
from .caller import LIST, MAKE
from .calls import Question

__all__ = ["Caller", "CallerError", "Fatal"]

SECONDS = 60.0  # that a call may take: the first one may have to wake eight GPUs up
GRACE = 2.0  # that a child has to go
CRASHES = 3  # of one function, after which it is not called any more

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
        self.fatal: list[Fatal] = []

    def questions(self) -> list[Question]:
        """The calls that a recording makes of what is there.

        Raises:
            CallerError: it cannot be found out.
        """
        with tempfile.NamedTemporaryFile(prefix="nvemu-calls-") as file:
            while said := self._run(LIST, Path(file.name), 0):
                self._avoid(*said)
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
            while said := self._run(MAKE, Path(file.name), begin):
                number, function, ending = said
                call = calls[number]
                begin = number
                if function != call.function:  # one that had to be made before it
                    self._avoid(number, function, ending)
                    continue
                self.fatal.append(Fatal(call.text, ending))
                crashes[function] += 1
                if crashes[function] == CRASHES:
                    self._avoided.add(function)
                begin += 1

    def _avoid(self, number: int, function: str, ending: str) -> None:
        """Go on without a function; CallerError where it was none that ended the process."""
        if not function or function in self._avoided:
            raise CallerError(f"the process that makes the calls {ending}")
        self._avoided.add(function)
        self.fatal.append(Fatal(function, ending))

    def _run(self, mode: str, file: Path, begin: int) -> tuple[int, str, str] | None:
        """Run the program; None if it came to its end. Else which call it was at, the function that
        it called last (empty if it called none), and how it ended."""
        reading, writing = os.pipe()
        arguments = [mode, str(file), str(writing), str(begin), ",".join(sorted(self._avoided))]
        # Without this folder on its path: it may have a module of any name.
        command = [sys.executable, "-P", "-m", f"{__package__}.caller", *arguments]
        with os.fdopen(reading, "rb", buffering=0) as pipe, tempfile.TemporaryFile() as said:
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
            if status == 0:
                return None
            said.seek(0)
            number, _, function = last.partition(" ")
            ending = _ending(status, timed_out, self._seconds, said.read())
            return int(number or begin), function, ending

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


def _ending(status: int | None, timed_out: bool, seconds: float, said: bytes) -> str:
    if timed_out or status is None:
        return f"did not come back in {seconds:g} s"
    if status < 0:
        return f"was ended by {signal_name(-status)}"
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return f"ended its process with status {status}" + (f": {lines[-1]}" if lines else "")
