"""Which figures of a device make events, and which Xids come with them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from .device import Device

    Rule = Callable[[Any, Any], bool]

__all__ = ["KINDS", "RECOVERY_ACTIONS_SINCE", "XIDS", "differences", "look_at"]

#: An Xid -> the kinds of events that come with it. 48, 63, 64, 92: NVIDIA, "Xid Errors"; 94 and
#: 95: ROBUST_CHANNEL_(UN)CONTAINED_ERROR notify NV2080_NOTIFIERS_POISON_ERROR_(NON_)FATAL in
#: NVIDIA's open kernel modules, and NVIDIA/k8s-device-plugin, issue 1014, has the double-bit event
#: before the Xid.
KINDS = {
    48: ("double_bit_ecc",),
    63: ("dram_retirement",),
    64: ("dram_retirement_failure",),
    79: ("unavailable",),
    92: ("single_bit_ecc_storm",),
    94: ("double_bit_ecc", "non_fatal_poison"),
    95: ("double_bit_ecc", "fatal_poison"),
    154: ("recovery_action",),
}

#: What figures tell of -> the Xid that comes with it.
XIDS = {
    "double_bit_ecc": 48,
    "dram_retirement": 63,
    "dram_retirement_failure": 64,
    "lost": 79,
    "recovery_action": 154,
}

#: Xid 154, "GPU recovery action changed", is of drivers that have recovery actions.
RECOVERY_ACTIONS_SINCE = 570


def _differs(before: Any, after: Any) -> bool:
    return bool(before != after)


def _grew(before: Any, after: Any) -> bool:
    return before is not None and after is not None and bool(after > before)


def _began(before: Any, after: Any) -> bool:
    return bool(after and not before)


def _clocks(device: Device) -> tuple[int | None, ...]:
    clocks = device.clocks
    domains = (clocks.graphics, clocks.sm, clocks.memory, clocks.video)
    return tuple(domain.current for domain in domains)


def _repairs(device: Device) -> int | None:
    rows, pages = device.remapped_rows, device.retired_pages
    if rows.uncorrectable is not None:
        return rows.uncorrectable + (rows.correctable or 0)
    if pages.double_bit is not None:
        return len(pages.double_bit) + len(pages.single_bit or ())
    return None


#: Kind of event -> what it is about, and what of that, before and after, makes one.
WATCHED: tuple[tuple[str, Callable[[Device], Any], Rule], ...] = (
    ("lost", lambda device: device.failure == "lost", _began),
    ("unavailable", lambda device: device.failure in ("lost", "reset_required"), _began),
    ("unbound", lambda device: device.failure == "unplugged", _began),
    ("bound", lambda device: device.failure != "unplugged", _began),
    ("single_bit_ecc", lambda device: device.ecc.volatile.correctable, _grew),
    ("double_bit_ecc", lambda device: device.ecc.volatile.uncorrectable, _grew),
    ("dram_retirement", _repairs, _grew),
    ("dram_retirement_failure", lambda device: device.remapped_rows.failure, _began),
    ("recovery_action", lambda device: device.recovery_action, _differs),
    ("performance_state", lambda device: device.performance_state, _differs),
    ("clock", _clocks, _differs),
    ("power_source", lambda device: device.power.source, _differs),
    ("mig", lambda device: (device.mig.current, repr(device.mig.instances)), _differs),
)


def look_at(device: Device) -> list[Any]:
    """What the rules look at, in the order of `WATCHED`."""
    return [read(device) for _, read, _ in WATCHED]


def differences(before: list[Any], after: list[Any]) -> list[str]:
    """The kinds of events that a device's figures tell of, between two looks."""
    return [
        kind
        for (kind, _, rule), old, new in zip(WATCHED, before, after)
        if old != new and rule(old, new)
    ]
