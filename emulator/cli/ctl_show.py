"""A running testbed, for people and as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..machine import Device
from ..machine.clock import SECOND
from ..machine.ledger.ledger import Ledger
from ..runtime.faults import Rule
from ..scenario.fields import CHANGES
from ..testbed.running import RunningTestbed
from ..vocabulary import apis

__all__ = ["as_data", "as_text", "brief", "listed", "seconds"]

MIB = 1 << 20
MANY = 3  # functions of a rule that are named one by one
MOST = 20  # faults, and lines of the journal, that are shown to people


def brief(testbed: RunningTestbed) -> dict[str, Any]:
    """What identifies a testbed."""
    return {
        "id": testbed.id,
        "folder": str(testbed.folder),
        "scenario": testbed.scenario,
        "launcher": testbed.launcher,
        "started": testbed.started,
        "processes": [process._asdict() for process in testbed.processes],
    }


def listed(testbeds: Sequence[RunningTestbed], now: int) -> str:
    """A line for each testbed."""
    rows = [("ID", "SCENARIO", "LAUNCHER", "AGE", "PROCESSES", "FOLDER")]
    for each in testbeds:
        age = f"{max(now - each.started, 0) // SECOND} s"
        names = ", ".join(f"{pid} {name}" for pid, name in each.processes)
        rows.append(
            (each.id, each.scenario or "-", str(each.launcher), age, names or "-", str(each.folder))
        )
    return table(rows)


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows of cells, each column as wide as it must be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


def as_data(testbed: RunningTestbed) -> dict[str, Any]:
    """The machine as programs find it now, for JSON: times in nanoseconds, sizes in bytes."""
    machine, plan = testbed.session.machine, testbed.plan
    return brief(testbed) | {
        "driver": machine.driver_version,
        "cuda": machine.cuda_version,
        "clock": {"rate": plan["clock"]["rate"], "elapsed": machine.clock.elapsed()},
        "devices": [_figures(device, machine.ledger) for device in machine.devices],
        "faults": [_rule(rule) for rule in testbed.session.observer.faults.rules],
        "journal": testbed.control.entries(),
    }


def _figures(device: Device, ledger: Ledger) -> dict[str, Any]:
    return {
        "index": device.index,
        "name": device.name,
        "uuid": device.uuid,
        "bus_id": device.pci.bus_id,
        "failure": device.failure,
        "memory": {"total": device.memory.total, "used": ledger.used(device)},
        "processes": [
            {"pid": process.pid, "name": process.name, "memory": process.used_memory}
            for process in ledger.processes(device)
        ],
        "temperature": device.temperature.gpu,
        "utilization": device.utilization.gpu,
        "power_usage": device.power.usage,
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "library": rule.library,
        "functions": sorted(rule.functions),
        "devices": rule.devices,
        "calls": rule.calls,
        "code": rule.code,
        "effects": rule.effects,
    }


def as_text(testbed: RunningTestbed) -> str:
    """The machine as programs find it now: a few lines, the GPUs, the faults, what was said."""
    machine = testbed.session.machine
    clock = f"{seconds(machine.clock.elapsed())} since the start{_rate(machine.clock.rate)}"
    lines = [
        f"testbed   {testbed.folder}, launcher {testbed.launcher}",
        f"scenario  {testbed.scenario or '-'}",
        f"driver    {machine.driver_version}",
        f"clock     {clock}",
        *(f"process   {pid} {name}" for pid, name in testbed.processes),
        *_section(
            [
                ("GPU", "NAME", "STATE", "MEMORY", "TEMP", "UTIL", "POWER"),
                *(_device_row(device, machine.ledger) for device in machine.devices),
            ]
        ),
    ]
    holders = [row for device in machine.devices for row in _holders(device, machine.ledger)]
    if holders:
        lines += _section([("GPU", "PROCESS", "HOLDS", "NAME"), *holders])
    rules = testbed.session.observer.faults.rules
    if rules:
        rows = [("FAULT", "CALLS OF", "WHICH", "WHAT"), *map(_rule_row, rules[:MOST])]
        lines += [*_section(rows), *_more(len(rules))]
    entries = testbed.control.entries()
    if entries:
        lines += ["", "SAID SO FAR", *_more(len(entries)), *map(_entry, entries[-MOST:])]
    return "\n".join(lines)


def _more(count: int) -> list[str]:
    return [f"... and {count - MOST} more: see --json"] if count > MOST else []


def _section(rows: Sequence[tuple[str, ...]]) -> list[str]:
    return ["", *table(rows).splitlines()]


def _rate(rate: float) -> str:
    if rate == 1:
        return ""
    return f", {rate:g} times as fast" if rate else ", by hand"


def seconds(nanoseconds: int) -> str:
    """A time in seconds, for people."""
    return f"{nanoseconds / SECOND:.1f} s"


def _holders(device: Device, ledger: Ledger) -> list[tuple[str, ...]]:
    """The programs that have a context on a device, and what each holds there."""
    return [
        (
            str(device.index),
            str(process.pid),
            f"{(process.used_memory or 0) // MIB} MiB",
            process.name,
        )
        for process in ledger.processes(device)
    ]


def _device_row(device: Device, ledger: Ledger) -> tuple[str, ...]:
    return (
        str(device.index),
        device.name,
        device.failure or "works",
        f"{ledger.used(device) // MIB} of {device.memory.total // MIB} MiB",
        _quantity(device.temperature.gpu, 1, "C"),
        _quantity(device.utilization.gpu, 1, "%"),
        _quantity(device.power.usage, 1000, "W"),
    )


def _quantity(figure: int | None, factor: int, unit: str) -> str:
    return "N/A" if figure is None else f"{figure / factor:g} {unit}"


def _rule_row(rule: Rule) -> tuple[str, ...]:
    names = sorted(rule.functions)
    functions = ", ".join(names) if len(names) <= MANY else f"{len(names)} of {rule.library}"
    which = [] if rule.devices is None else [f"GPU {', '.join(map(str, rule.devices)) or 'none'}"]
    which += [_numbers(*entry) for entry in rule.calls]
    for key in ("process", "thread", "time", "after", "probability"):
        if getattr(rule, key):
            which.append(key)
    what = list(rule.effects)
    if rule.code is not None:
        what.append(apis()[rule.library].status_name(rule.code))
    return rule.name, functions, ", ".join(which) or "all", ", ".join(what)


def _numbers(first: int, last: int | None, step: int) -> str:
    if step > 1:
        return f"every {step}"
    if last == first:
        return f"call {first}"
    return f"calls {first}-{'' if last is None else last}"


def _entry(entry: Any) -> str:
    """One line of the journal: what was done, and to what."""
    ((key, value),) = ((key, value) for key, value in entry.items() if key != "t")
    if key == "faults":
        return f"  fail {', '.join(dict.fromkeys(rule['name'] for rule in value))}"
    if key == "advance":
        return f"  advance {value:g} s"
    if key == "change":
        devices = ",".join(map(str, value["devices"]))
        done = {part: value[part] for part in CHANGES if part in value}
        return f"  change GPU {devices}: " + ", ".join(f"{k} {v}" for k, v in done.items())
    return f"  {key} {value or 'all'}"
