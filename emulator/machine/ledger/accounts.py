"""Accounting of a device: what each process used of it in its life, and after its end."""

from __future__ import annotations

from ..processes import shares

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..device import Device
    from ..machine import Machine
    from ..processes import Process

__all__ = ["Account", "accounts", "close"]


class Account:
    """What is known of one process.

    Attributes:
        pid: its id.
        started: when, in nanoseconds of the scenario's clock since its start.
        ended: the same; None while it runs.
        max_memory: the most bytes it had; None: not known.
        utilization: of the device, in percent; None on a product without the figure.
        memory_utilization: the same of the memory.
    """

    __slots__ = ("ended", "max_memory", "memory_utilization", "pid", "started", "utilization")

    def __init__(
        self,
        pid: int,
        started: int,
        ended: int | None,
        max_memory: int | None,
        utilization: int | None,
        memory_utilization: int | None,
    ) -> None:
        self.pid = pid
        self.started = started
        self.ended = ended
        self.max_memory = max_memory
        self.utilization = utilization
        self.memory_utilization = memory_utilization


def accounts(machine: Machine, device: Device) -> list[Account]:
    """The accounts of a device, those that are closed first, in the order of their ends.

    There are as many as the device's buffer holds: a new one goes over the oldest. Of two of one
    process id the later one is known.
    """
    closed = [Account(*entry) for entry in machine.ledger.closed(device)]
    closed += [
        Account(
            *(row.pid, row.started or 0, row.ended or 0, row.max_memory),
            *(row.utilization, row.memory_utilization),
        )
        for row in device.accounting.ended
    ]
    closed.sort(key=lambda account: account.ended or 0)
    running = [*device.processes, *machine.ledger.processes(device)]
    found: dict[int, Account] = {}
    for account in [*closed, *_open(device, running)]:
        found.pop(account.pid, None)  # the later one takes a place of its own
        found[account.pid] = account
    most = device.accounting.buffer_size or 0
    return list(found.values())[-most:] if most else []


def _open(device: Device, running: Iterable[Process]) -> list[Account]:
    """The accounts of processes that run."""
    use = device.utilization
    known = list(running)
    return [
        Account(
            *(process.pid, process.started or 0, None, _most(process)),
            None if use.gpu is None else share["gpu"],
            None if use.memory is None else share["memory"],
        )
        for process, share in zip(known, shares(device, known))
    ]


def _most(process: Process) -> int | None:
    if process.max_memory is None or process.used_memory is None:
        return process.max_memory if process.used_memory is None else process.used_memory
    return max(process.max_memory, process.used_memory)


def close(device: Device, before: list[Process], now: int) -> None:
    """Close the accounts of a scenario's processes that are not there any more."""
    from ..modes import EndedProcess

    there = {process.pid for process in device.processes}
    ended = [
        EndedProcess({**{name: getattr(account, name) for name in account.__slots__}, "ended": now})
        for account in _open(device, before)
        if account.pid not in there
    ]
    device.accounting.ended = [*device.accounting.ended, *ended]
