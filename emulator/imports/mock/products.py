"""What the NVML mock tells that can only be told against the product: fans, thresholds, fabric."""

from __future__ import annotations

from collections.abc import Mapping

from ...machine.words import WORDS
from ...scenario import ScenarioError
from ...scenario.profiles import Profile, profile
from ..choosing import choose_profile
from ..facts import GpuFacts, Told
from ..yaml.node import Node
from .gathering import Gathering, absent, follows, number, part, walk

__all__ = ["finish"]


def finish(found: Gathering, node: Node, driver: str) -> None:
    """Tell what can only be told against the product: fans, thresholds, links that it has so.

    Raises:
        ScenarioFileError: a value is of the wrong type, or nothing says what product it is.
    """
    try:
        name, _ = choose_profile(GpuFacts(tuple(found.figures.values())))
    except ScenarioError as error:
        raise node.error(error.problem) from None
    product = profile(name)
    table = node.given()
    for name, tell in (("thermal", _margins), ("fabric", _fabric), ("memory", _memory)):
        if name in table:
            tell(found, table[name])
    if "fan" in table:
        _fans(found, table["fan"], product)
    if "gsp_firmware" in table:
        _gsp(found, table["gsp_firmware"], driver)
    _clocks(found, product, table.get("clocks"))
    if "topology" in table and ("topology", "numa_node") not in found.figures:
        found.note(
            table["topology"], "how far GPUs are apart follows from their places in the host"
        )


def _fans(found: Gathering, section: Node, product: Profile) -> None:
    table = section.given()
    if "count" not in table:
        return
    count = number(table, "count", 32)
    row = {}
    for key, name in (("speed_percent", "speed"), ("target_speed_percent", "target")):
        if key in table:
            row[name] = None if absent(table[key]) else _percent(table[key])
    if count and count == len(product.figures.get("fans") or ()):
        for name, value in row.items():
            found.tell(("fans", "all", name), value, section)
    else:
        found.tell(("fans",), [dict(row) for _ in range(count)], section)


def _percent(node: Node) -> int:
    digits = node.text().strip().removesuffix("%").strip()
    if not digits.isdecimal() or len(digits) > 3 or int(digits) > 255:
        raise node.error(f"expected a percentage such as '30', found {node.value!r}")
    return int(digits)


def _margins(found: Gathering, section: Node) -> None:
    """From Ada on the mock tells margins below the slowdown threshold, too ("T.Limit")."""
    architecture = found.value("architecture")
    limit = found.value("temperature", "slowdown")
    known = WORDS["Architecture"]
    if not limit or architecture not in known[known.index("ADA") : -1]:
        return
    for name, of in (("margin", "gpu"), ("shutdown_margin", "shutdown")):
        if (value := found.value("temperature", of)) is not None:
            found.tell(("temperature", name), limit - value, section)
    found.tell(("temperature", "slowdown_margin"), 0, section)
    if (value := found.value("temperature", "max_operating")) is not None:
        found.tell(("temperature", "max_operating_margin"), limit - value, section)


def _fabric(found: Gathering, section: Node) -> None:
    table = section.given()
    state = table["state"].text().upper() if "state" in table else ""
    state = "COMPLETED" if state in ("", "AUTO") else state
    if state not in WORDS["FabricState"]:
        raise table["state"].error(f"expected a state such as 'completed', found {state.lower()!r}")
    found.tell(("fabric", "state"), state, section)
    found.tell(("fabric", "status"), "SUCCESS", section)
    if "cluster_uuid" in table:
        digits = "".join(each for each in table["cluster_uuid"].text() if each in _HEX)
        digits = digits[:32].lower().ljust(32, "0")
        parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
        found.tell(("fabric", "cluster_uuid"), "-".join(parts), table["cluster_uuid"])
    _health(found, section, table)


_HEX = "0123456789abcdefABCDEF"
_CONDITIONS = ("degraded_bandwidth", "route_recovery", "route_unhealthy", "access_timeout_recovery")


def _health(found: Gathering, section: Node, table: Mapping[str, Node]) -> None:
    """The conditions, all clear where none is said; the summary follows from them."""
    if "health_mask" in table:
        return
    health = part(table, "health")
    if health:
        known = (*_CONDITIONS, "incorrect_configuration")
        walk(table["health"], dict.fromkeys(known, follows), found)
    faults = {}
    for name in _CONDITIONS:
        faults[name] = name in health and health[name].truth()
        found.tell(("fabric", name), faults[name], section)
    wrong = health["incorrect_configuration"].text() if "incorrect_configuration" in health else ""
    setup = wrong.upper() or "NONE"
    if setup not in WORDS["FabricConfiguration"]:
        at = health["incorrect_configuration"]
        raise at.error(f"expected a misconfiguration such as 'no_partition', found {wrong!r}")
    found.tell(("fabric", "incorrect_configuration"), setup, section)
    if found.value("fabric", "health_summary") is None:
        ill = any(faults[name] for name in _CONDITIONS[1:]) or setup != "NONE"
        limited = "LIMITED_CAPACITY" if faults["degraded_bandwidth"] else "HEALTHY"
        found.tell(("fabric", "health_summary"), "UNHEALTHY" if ill else limited, section)


def _gsp(found: Gathering, section: Node, driver: str) -> None:
    """GSP firmware is part of the driver and bears its version, unless it is told otherwise."""
    version = section.given().get("version")
    if version is not None and not absent(version) and version.text() != driver:
        found.tell(("gsp", "version"), version.text(), version)
    enabled = found.value("gsp", "enabled")
    if enabled is not None:
        found.tell(("gsp", "default"), enabled, section)


def _clocks(found: Gathering, product: Profile, section: Node | None) -> None:
    """The boost's ceiling is the highest clock; which state goes with which memory clock is not
    told, so that it stays as it is only where there are as many."""
    highest = found.value("clocks", "graphics", "max")
    if section is not None and highest:
        found.tell(("clocks", "graphics", "max_customer_boost"), highest, section)
    steps = found.figures.get(("clocks", "steps"))
    states = product.figures["clocks"].get("states")
    if steps is not None and states and len(states) != len(steps.value):
        found.figures["clocks", "states"] = Told(("clocks", "states"), None, where=steps.where)


def _memory(found: Gathering, section: Node) -> None:
    """Refuse more memory in use than there is; note what does not add up."""
    if "total_bytes" not in section.given():
        return
    total, reserved, used = (
        found.value("memory", name) or 0 for name in ("total", "reserved", "used")
    )
    if used + reserved > total:
        problem = f"expected at most {total} bytes reserved and in use, found {used + reserved}"
        raise section.error(problem)
    free = section.given().get("free_bytes")
    if free is not None and free.integer() != total - reserved - used:
        text = "what is free is what is neither reserved nor in use:"
        found.note(free, f"{text} {total - reserved - used} bytes")
