"""What moves or fails on its own in the NVML mock."""

from __future__ import annotations

from collections.abc import Mapping

from ...machine.load.load import DRIVEN
from ..yaml.node import Node
from .gathering import Gathering, number

__all__ = ["dynamic_power", "dynamic_temperature", "dynamic_utilization", "failure"]

#: What the mock varies beside the static readings: those that nvemu's load does not drive then.
_VARIED = (("utilization", "gpu"), ("utilization", "memory"))


def dynamic_utilization(node: Node, found: Gathering) -> None:
    """Percentages drawn anew for each call: a load that strays as far, anew each second."""
    table = node.given()
    least, most = (_percent(table, f"gpu_{end}") for end in ("min", "max"))
    pattern = table["pattern"].text() if "pattern" in table else "steady"
    quarter = max(most - least, 0) // 4
    low, high = {"idle": (least, least + quarter), "busy": (most - quarter, most)}.get(
        pattern, (least, max(least, most))
    )
    if pattern not in ("", "idle", "busy", "steady"):
        found.note(table["pattern"], f"{pattern!r}: it strays between the two ends all the time")
    found.tell(("load", "gpu"), (low + high) // 2, node)
    found.tell(("load", "jitter"), (high - low) // 2, node)
    ends = [_percent(table, f"memory_{end}") for end in ("min", "max")]
    found.tell(("load", "memory"), sum(ends) // 2, node)
    if ends[0] != ends[1]:
        found.note(node, "how busy the memory is goes with how busy the GPU is")
    still = [path for path in DRIVEN if path not in _VARIED]
    found.tell(("load", "pinned"), [".".join(path) for path in still], node)


def _percent(table: Mapping[str, Node], name: str) -> int:
    return min(number(table, name, (1 << 32) - 1), 100)


def dynamic_temperature(node: Node, found: Gathering) -> None:
    """The base stands for what strays around it."""
    table = node.given()
    if "base_c" in table:
        found.tell(("temperature", "gpu"), number(table, "base_c", 1000), node)
        found.note(node, "a temperature that moves follows a load in nvemu: it stands at its base")


def dynamic_power(node: Node, found: Gathering) -> None:
    """The base stands for what strays around it."""
    table = node.given()
    if "base_mw" in table:
        base = number(table, "base_mw", (1 << 32) - 1)
        for name in ("usage", "instant"):
            found.tell(("power", name), base, node)
        found.note(node, "a power draw that moves follows a load in nvemu: it stands at its base")


def failure(node: Node, found: Gathering) -> None:
    """How the GPU fails; at once, or by calls or chance, which the whole file says."""
    table = node.given()
    mode = table["mode"].text() if "mode" in table else "healthy"
    later = any(table[key].number() for key in ("after_calls", "probability") if key in table)
    if "xid" in table and mode != "healthy":
        found.note(table["xid"], "an Xid is a change of a scenario: [[change]] with xid")
    if mode in ("lost", "fallen_off_bus"):
        if later:
            found.note(node, "nvemu counts the calls of all getters, by process")
        else:
            found.tell(("failure",), "lost", node)
    elif mode == "ecc_uncorrectable":
        found.tell(("ecc", "volatile", "dram_uncorrectable"), 1, node)
        found.tell(("ecc", "aggregate", "dram_uncorrectable"), 1, node)
        found.note(node, "one error from the beginning on, where the mock counts calls")
    elif mode not in ("healthy", ""):
        found.note(node, f"the mock takes the mode {mode!r} for 'healthy', and so does nvemu")
