"""Live control: changing what programs find while they run.

    with Testbed(scenario) as testbed:
        program = subprocess.Popen(command, env=testbed.environment())
        testbed.control.kill(1)                       # from its next call on
        testbed.control.set(0, temperature=95)
        hot = testbed.control.fail("nvmlDeviceGetTemperature", returns="TIMEOUT")
        testbed.control.clear(hot)

What it says goes to a journal in the testbed, which the programs' next calls see; to a scenario in
this very process it goes at once. A process that starts later does all of it in order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from .machine.clock import SECOND
from .runtime.journal import HEADER, Writer
from .scenario import Change, Fault, ScenarioError, changes, rules
from .scenario.hooks import portable
from .scenario.times import parse_duration
from .vocabulary import vocabulary

__all__ = ["Channel", "Control", "Journal", "JournalError"]

Entry = Mapping[str, Any]
Devices = int | str | Sequence[int | str] | None  # see `Change.device`

#: How the lines of faults begin in a journal.
_FAULT = re.compile(rb'^\{"t": \d+, "faults": ', re.M)


class JournalError(RuntimeError):
    """A testbed's journal is not as it was written."""


class Channel(Protocol):
    """Where live control is heard."""

    def send(self, make: Callable[[int], Entry]) -> Entry:
        """Have an entry of `emulator.runtime.session.Session.control` done.

        `make` is given how many of them added a fault so far, and no other comes between.
        """
        ...

    def entries(self) -> list[Entry]:
        """What was sent so far."""
        ...


class Control:
    """Changes what programs find, on a machine of which `gpus` are the plan's devices.

    Attributes:
        channel: where it is heard.
    """

    def __init__(self, gpus: list[dict[str, Any]], channel: Channel) -> None:
        self.gpus = gpus
        self.channel = channel

    def entries(self) -> list[Entry]:
        """What live control has said so far, in order."""
        return self.channel.entries()

    def set(self, device: Devices = None, **figures: Any) -> None:
        """Set figures of a device, of several in a list, or of all.

            control.set(0, temperature=95, memory={"used": "1 GiB"})

        Raises:
            ScenarioError: there is no such device or figure, or a value does not fit it.
        """
        self.change(Change(device=device, set=figures))

    def change(self, change: Change) -> None:
        """Make a change now: its times are not looked at.

        Raises:
            ScenarioError: there is no such device.
        """
        (resolved,) = changes([change], self.gpus)
        self.channel.send(lambda _: {"change": resolved})

    def kill(self, device: Devices) -> None:
        """Have a GPU fall off the bus."""
        self.set(device, failure="lost")

    def xid(self, device: Devices, number: int) -> None:
        """Have the driver report an Xid of a GPU to those who wait for its events.

        Raises:
            ScenarioError: there is no such device, or it is no such number.
        """
        self.change(Change(device=device, xid=number))

    def restore(self, device: Devices) -> None:
        """Have a GPU work again, whatever had become of it."""
        self.set(device, failure="N/A")

    def fail(self, fault: Fault | str, returns: str | int | None = None, **fields: Any) -> str:
        """Add a fault, before all there are: a `Fault`, or what one is made of.

        Returns:
            The name that it is cleared or released by.

        Raises:
            ScenarioError: the fault has a mistake; or it counts processes, which have started.
        """
        made = Fault(fault, returns=returns, **fields) if isinstance(fault, str) else fault
        if isinstance(made.process, int):
            problem = "expected the name of a process, as a later fault cannot count them; found"
            raise ScenarioError(f"{problem} {made.process}", key=("process",))
        resolved = rules([made], self.gpus, vocabulary())

        def entry(number: int) -> Entry:
            name = made.name or f"live[{number}]"
            return {"faults": [rule | {"name": name} for rule in resolved]}

        name: str = self.channel.send(entry)["faults"][0]["name"]
        return name

    def clear(self, name: str | None = None) -> None:
        """Drop the faults of a name, or all of them; calls that they block go on."""
        self.channel.send(lambda _: {"clear": name})

    def release(self, name: str | None = None) -> None:
        """Let go of the calls that the faults of a name, or all, block at this moment."""
        self.channel.send(lambda _: {"release": name})

    def advance(self, time: float | str) -> None:
        """Put the scenario's clock forward, by seconds or a time such as "1.5 min".

        Raises:
            ScenarioError: it is no time, or below zero.
        """
        seconds = parse_duration(time) / SECOND
        self.channel.send(lambda _: {"advance": seconds})


class Journal:
    """Live control of a testbed's programs, by its journal; see `emulator.runtime.journal`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Make an empty journal."""
        self.path.touch(mode=0o600)
        self.path.write_bytes(bytes(HEADER))

    def send(self, make: Callable[[int], Entry]) -> Entry:
        """Append an entry; the processes of the testbed do it before their next calls.

        Raises:
            JournalError: the journal is damaged.
        """
        with Writer(str(self.path)) as journal:
            entry = make(len(_FAULT.findall(self._written(journal))))
            journal.append(json.loads(json.dumps(entry, default=portable)))
        return entry

    def entries(self) -> list[Entry]:
        """What was sent so far.

        Raises:
            JournalError: the journal is damaged.
        """
        with Writer(str(self.path)) as journal:
            lines = self._written(journal).splitlines()
        try:
            return [json.loads(line) for line in lines]
        except ValueError as error:
            raise JournalError(f"{self.path} is damaged: {error}") from None

    @staticmethod
    def _written(journal: Writer) -> bytes:
        try:
            return journal.written()
        except EOFError:
            problem = f"{journal.path} is damaged: it is shorter than it was"
            raise JournalError(problem) from None
