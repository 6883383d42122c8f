"""Which check each field of what users write must pass, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import force_setattr

from ..machine.words import WORDS
from . import checks, loader
from .checks import Check
from .errors import ScenarioError, format_key
from .figures import SHORTCUTS, added_figures, changed_figures, has_figure
from .times import parse_duration, parse_rate, parse_span
from .tree import check as check_figures

__all__ = [
    "CHANGE",
    "CHANGES",
    "CORRUPTIONS",
    "EFFECTS",
    "FAULT",
    "GPU",
    "KERNEL",
    "LARGEST_XID",
    "LONGEST_KERNEL_NAME",
    "LONGEST_NAME",
    "LONGEST_PATH",
    "LONGEST_SERIAL",
    "SCENARIO",
    "check_effect",
    "check_once",
    "check_single",
    "members",
    "normalize",
]

#: NVML has room for this many characters and a final zero (NVML_DEVICE_SERIAL_BUFFER_SIZE in
#: nvml.h). Names may be longer than NVML_DEVICE_NAME_V2_BUFFER_SIZE: clients are to meet that.
LONGEST_NAME, LONGEST_SERIAL = 1000, 29

#: nvml.h: an event's data is 999 for an unknown Xid.
LARGEST_XID = 999

#: Linux takes no longer one (PATH_MAX in linux/limits.h, less its NUL).
LONGEST_PATH = 4095

#: Mangled names of templates grow long.
LONGEST_KERNEL_NAME = 4096


def normalize(struct: Struct, table: Mapping[str, Check]) -> None:
    """Replace each field by what its check makes of it; an error gets the field as its key."""
    name = ""
    try:  # one for all fields: tests draw scenarios by the thousand
        for name, check in table.items():
            force_setattr(struct, name, check(getattr(struct, name)))
    except ScenarioError as error:
        raise error.within(name) from None


def members(values: object, kind: type, key: str) -> tuple[Any, ...]:
    """Return the GPUs or faults of a scenario as a tuple."""
    if not isinstance(values, (list, tuple)):
        raise ScenarioError(f"expected a list of {kind.__name__}, found {values!r}", key=(key,))
    for index, value in enumerate(values):
        if not isinstance(value, kind):
            problem = f"expected a {kind.__name__}, found {value!r}"
            raise ScenarioError(problem, key=(key, index))
    return tuple(values)


def check_single(gpu: Any) -> None:
    """Refuse what only one GPU can have when there are several."""
    for name in ("uuid", "serial", "pci_bus_id"):
        if gpu.count > 1 and getattr(gpu, name) is not None:
            problem = f"expected a GPU with count = 1, as no two share one; found {gpu.count}"
            raise ScenarioError(problem, key=(name,))


def load(value: Any) -> Any:
    """Check a load: a percentage, or a table of the figures of one."""
    if not isinstance(value, Mapping):
        return checks.utilization(value)
    checked: dict[str, Any] = check_figures({"load": dict(value)})["load"]
    return checked


def check_once(gpu: Any) -> None:
    """Refuse a figure that is given twice: as a field and among the figures."""
    if gpu.load is not None and gpu.utilization is not None:
        raise ScenarioError("expected either load or utilization, found both", key=("load",))
    for name, path in SHORTCUTS.items():
        if getattr(gpu, name) is not None and has_figure(gpu.figures, path):
            problem = f"expected either {name} or {format_key(('figures', *path))}, found both"
            raise ScenarioError(problem, key=(name,))


def check_effect(struct: Struct, effects: Sequence[str]) -> None:
    """Refuse a fault or change by which nothing would happen."""
    values = [getattr(struct, name) for name in effects]
    if all(value is None or value is False or value == {} for value in values):  # 0 is a code
        raise ScenarioError(
            f"expected something to happen, one of {', '.join(effects)}; found none"
        )


GPU: dict[str, Check] = {
    "profile": checks.text,
    "count": checks.count,
    "name": checks.optional(checks.short(LONGEST_NAME)),
    "uuid": checks.optional(checks.uuid),
    "serial": checks.optional(checks.short(LONGEST_SERIAL)),
    "pci_bus_id": checks.optional(checks.bus_id),
    "memory_total": checks.optional(checks.quantity("bytes")),
    "memory_used": checks.optional(checks.quantity("bytes")),
    "temperature": checks.optional(checks.quantity("celsius")),
    "power_usage": checks.optional(checks.quantity("milliwatts")),
    "load": checks.optional(load),
    "utilization": checks.optional(checks.utilization),
    "failure": checks.optional(checks.word(WORDS["Failure"])),
    "figures": check_figures,
}

#: What can become of a value that a call puts out -> whether of text, and whether of numbers.
CORRUPTIONS = {
    "max": (False, True),
    "min": (False, True),
    "zero": (True, True),
    "random": (True, True),
    "larger": (False, True),
    "truncated": (True, False),
    "unterminated": (True, False),
}

#: What a fault can do, in the order in which it is done.
EFFECTS = ("delay", "block", "signal", "exit", "run", "returns", "writes", "corrupt")

FAULT: dict[str, Check] = {
    "function": checks.functions,
    "returns": checks.code,
    "library": checks.optional(checks.library),
    "device": checks.optional(checks.device),
    "process": checks.optional(checks.who("process")),
    "thread": checks.optional(checks.who("thread")),
    "time": checks.optional(checks.parsed(parse_span)),
    "after": checks.optional(checks.functions),
    "calls": checks.calls,
    "probability": checks.optional(checks.probability),
    "seed": checks.integer(-(1 << 63), (1 << 63) - 1),
    "delay": checks.optional(checks.parsed(parse_duration)),
    "block": checks.boolean,
    "signal": checks.optional(checks.signal_name),
    "exit": checks.optional(checks.integer(0, 255)),
    "run": checks.optional(checks.hook),
    "writes": checks.table(checks.plain),
    "corrupt": checks.table(checks.word(CORRUPTIONS)),
    "name": checks.text,
}

#: What a change can do.
CHANGES = ("set", "add", "xid", "run")

CHANGE: dict[str, Check] = {
    "at": checks.parsed(parse_duration),
    "every": checks.optional(checks.period),
    "until": checks.optional(checks.parsed(parse_duration)),
    "device": checks.optional(checks.device),
    "set": changed_figures,
    "add": added_figures,
    "xid": checks.optional(checks.integer(1, LARGEST_XID)),
    "run": checks.optional(checks.hook),
}

KERNEL: dict[str, Check] = {
    "name": checks.short(LONGEST_KERNEL_NAME),
    "run": checks.hook,
}

SCENARIO: dict[str, Check] = {
    "name": checks.text,
    "description": checks.description,
    "origin": checks.origin,
    "sees": checks.description,
    "driver": checks.driver,
    "driver_version": checks.optional(checks.version),
    "cuda_version": checks.optional(checks.cuda_version),
    "clock": checks.parsed(parse_rate),
    "loader": loader.check,
    "environment": checks.environment,
    "user": checks.optional(checks.word(WORDS["User"])),
    "capture": checks.optional(checks.short(LONGEST_PATH)),
    "strict": checks.boolean,
}
