"""The keys of the NVML mock that are more than one figure: lists, bits, memory that failed."""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd
from typing import Any

from ...machine.words import WORDS
from ...nvml import _constants as constants
from ...nvml.links.fabric import CONFIGURATIONS, HEALTH
from ..yaml.node import Node
from .gathering import MOST_ROWS, Gathering, Row, number, rows, walk

__all__ = [
    "architecture_cores",
    "event_reasons",
    "fabric_health_mask",
    "performance_state",
    "power_profiles",
    "processes",
    "retired",
    "supported_clocks",
]

#: Compute capability -> FP32 cores of a multiprocessor (CUDA C++ Programming Guide, "Arithmetic
#: Instructions": results of a 32-bit floating-point operation per clock cycle).
CORES = {(6, 0): 64, (7, 0): 64, (7, 2): 64, (7, 5): 64, (8, 0): 64}
CORES_ELSE = 128


def architecture_cores(node: Node, found: Gathering) -> None:
    """The number of CUDA cores: whole multiprocessors of the architecture."""
    cores = node.integer(0, 1 << 24)
    each = CORES.get(tuple(found.value("compute_capability") or ()), CORES_ELSE)
    if cores % each:
        found.note(node, f"{cores} cores are no whole multiprocessors of {each}: as the profile")
    elif cores:
        found.tell(("processor", "multiprocessors"), cores // each, node)


def performance_state(node: Node, found: Gathering) -> None:
    """ "P0" to "P15"."""
    text = node.text().strip().upper()
    digits = text.removeprefix("P")
    if not (digits.isdecimal() and len(digits) < 3 and int(digits) < 16):
        raise node.error(f"expected a performance state such as 'P0', found {node.value!r}")
    found.tell(("performance_state",), int(digits), node)


# ---- clocks


def event_reasons(node: Node, found: Gathering) -> None:
    """What holds the clocks down, a flag each, and how long it has, in microseconds."""
    names = {name: name for name in WORDS["EventReason"]}
    names["display_clocks_setting"] = names.pop("display_clock_setting")
    flags = [key for key, flag in node.given().items() if key in names and flag.truth()]
    found.tell(("clocks", "event_reasons"), [names[key] for key in flags], node)
    walk(node, {**dict.fromkeys(names, _seen), "counters": _COUNTERS}, found)


def _seen(node: Node, found: Gathering) -> None:
    """A key that was looked at with others."""


def _counter(name: str) -> Row:
    def take(node: Node, found: Gathering) -> None:
        found.tell(("clocks", "event_counters", name), node.integer(0, 1 << 53) * 1000, node)

    return take


_COUNTERS = {
    f"{name}_us": _counter(name)
    for name in (
        *("sw_power_cap", "sync_boost", "sw_thermal_slowdown", "hw_thermal_slowdown"),
        "hw_power_brake_slowdown",
    )
}


def supported_clocks(node: Node, found: Gathering) -> None:
    """For each memory clock the graphics clocks: in a machine, from one to another in equal steps.

    The mock's own profiles leave most of the steps out; their greatest common divisor is what a
    driver has.
    """
    steps = []
    for row in node.list(MOST_ROWS):
        table = row.given()
        if "freq_mhz" not in table:
            raise row.error("expected a key 'freq_mhz', found none")
        clocks = sorted({each.integer(1, 1 << 20) for each in rows(table, "graphics_clocks")})
        if not clocks:
            found.note(row, "a memory clock without graphics clocks is left out")
            continue
        step = gcd(*(clock - clocks[0] for clock in clocks))
        if step and (clocks[-1] - clocks[0]) // step + 1 != len(clocks):
            text = f"the clocks between those that are listed are there too, in steps of {step} MHz"
            found.note(row, text)
        steps.append([table["freq_mhz"].integer(1, 1 << 20), clocks[-1], clocks[0], step])
    if steps:
        found.tell(("clocks", "steps"), sorted(steps, reverse=True), node)


# ---- what runs


def processes(node: Node, found: Gathering) -> None:
    """The processes: "C" is compute, "G" graphics; compute where nothing is said."""
    found.tell(("processes",), [_process(row, found) for row in node.list(MOST_ROWS)], node)


def _process(row: Node, found: Gathering) -> dict[str, Any]:
    table = row.given()
    if "pid" not in table:
        raise row.error("expected a key 'pid', found none")
    process: dict[str, Any] = {
        "pid": table["pid"].integer(0, (1 << 32) - 1),
        "name": table["name"].text() if "name" in table else "",
        "type": table["type"].text() if "type" in table else "C",
    }
    process["type"] = process["type"] or "C"
    if process["type"] not in WORDS["ProcessType"]:
        raise table["type"].error(f"expected 'C' or 'G', found {process['type']!r}")
    process["used_memory"] = number(table, "used_memory_mib", 1 << 40) << 20
    for key, name in (("sm_util", "utilization"), ("mem_util", "memory_utilization")):
        if key in table:
            process[name] = number(table, key, 100)
    for key, value in table.items():
        if key in ("enc_util", "dec_util") and value.integer():
            found.note(value, "a process has no share of its own of the encoder or decoder")
        elif key not in _PROCESS:
            found.note(value, "no key of this format that nvemu knows")
    return process


_PROCESS = (
    *("pid", "type", "name", "used_memory_mib", "sm_util", "mem_util", "enc_util", "dec_util"),
)


# ---- memory that failed


def retired(cause: str) -> Row:
    """The row of the pages that were retired: their addresses, and how many."""

    def take(node: Node, found: Gathering) -> None:
        table = node.given()
        pages = [each.integer() for each in rows(table, "addresses")]
        if "count" in table and table["count"].integer() != len(pages):
            text = f"pages are retired at an address each: there are {len(pages)}"
            found.note(table["count"], text)
        if pages:
            found.tell(("retired_pages", cause), pages, node)

    return take


# ---- fabric, power profiles


def fabric_health_mask(node: Node, found: Gathering) -> None:
    """The health as nvmlGpuFabricInfo_v2_t has it: two bits a condition, four for the setup."""
    mask = node.integer(0, (1 << 32) - 1)
    for name, shift in HEALTH.items():
        found.tell(("fabric", name), {1: True, 2: False}.get(mask >> shift & 3), node)
    place = mask >> constants.GPU_FABRIC_HEALTH_MASK_SHIFT_INCORRECT_CONFIGURATION & 15
    known = CONFIGURATIONS[place] if place < len(CONFIGURATIONS) else None
    found.tell(("fabric", "incorrect_configuration"), known, node)


def power_profiles(node: Node, found: Gathering) -> None:
    """Workload power profiles, by their numbers in nvml.h (NVML_POWER_PROFILE_*)."""
    names = WORDS["WorkloadProfile"]

    def named(table: Mapping[str, Node], key: str) -> list[str]:
        return [names[each.integer(0, len(names) - 1)] for each in rows(table, key)]

    supported = []
    for row in rows(node.given(), "supported"):
        table = row.given()
        if "id" not in table:
            raise row.error("expected a key 'id', found none")
        name = names[number(table, "id", len(names) - 1)]
        priority = number(table, "priority", (1 << 32) - 1)
        conflicts = named(table, "conflicts")
        supported.append({"name": name, "priority": priority, "conflicts": conflicts})
    found.tell(("power_profiles", "supported"), supported, node)
    found.tell(("power_profiles", "requested"), named(node.given(), "requested"), node)
