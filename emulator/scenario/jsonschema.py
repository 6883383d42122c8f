"""A JSON Schema of the TOML: what editors complete, explain and mark as wrong.

Descriptions come from the docstrings of ``schema``; figures, words, units and bounds from the
tables that the checks use. What nvemu takes is valid. What depends on several keys at once (the
index of a GPU that the scenario does not have, a code of the other library) is valid, too, and left
to ``nvemu scenarios validate``.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence

from msgspec import NODEFAULT, Struct
from msgspec.structs import fields as fields_of

from ..machine import DRIVERS
from ..machine.words import WORDS
from . import calls, checks, loader, times
from .fields import (
    CHANGES,
    CORRUPTIONS,
    EFFECTS,
    LARGEST_XID,
    LONGEST_KERNEL_NAME,
    LONGEST_NAME,
    LONGEST_PATH,
    LONGEST_SERIAL,
)
from .jsonfigures import Growths, Tree, quantity
from .jsonshapes import (
    Schema,
    any_of,
    array,
    descriptions,
    integer,
    one_or_more,
    pattern,
    prose,
    record,
    ref,
    table,
    text,
    words,
)
from .loader import Loader
from .profiles import profiles
from .schema import Change, Fault, Gpu, Kernel, Scenario
from .vocabulary import Vocabulary

__all__ = ["json_schema"]


def json_schema(vocabulary: Vocabulary) -> Schema:
    """Return the schema (draft 2020-12) of a scenario's TOML file.

    Args:
        vocabulary: the names that faults may use.
    """
    figures, growths = Tree(), Growths()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nvemu scenario",
        **_struct(Scenario, _SCENARIO),
        "$defs": {
            "gpu": _struct(Gpu, _GPU),
            "fault": _struct(Fault, _FAULT) | _any_key(EFFECTS),
            "change": _struct(Change, _CHANGE) | _any_key(CHANGES),
            "kernel": _struct(Kernel, _KERNEL),
            "copy": _copy(),
            "profile": words(profiles()),
            "device": any_of({"type": "integer", "minimum": 0}, ref("profile"), _UUID),
            "function": _function(vocabulary),
            "code": _code(vocabulary),
            "signal": _signal(),
            "figures": figures.device(),
            "changed": figures.device_with_shortcuts(),
            "grown": growths.device_with_shortcuts(),
            **figures.definitions,
            **growths.definitions,
        },
    }


def _struct(kind: type[Struct], keys: Mapping[str, Schema]) -> Schema:
    said = descriptions(kind)
    properties = {}
    for field in fields_of(kind):
        default = {} if field.default in (NODEFAULT, None, ()) else {"default": field.default}
        described = {"description": said[field.name]}
        properties[field.encode_name] = keys[field.name] | described | default
    required = [field.encode_name for field in fields_of(kind) if field.required]
    return {"description": prose(kind, 1), **record(properties), "required": required}


def _any_key(keys: Sequence[str]) -> Schema:
    return any_of(*({"required": [key]} for key in keys))


def _copy() -> Schema:
    """The state of one copy of a library: a word, or a table with details."""
    details: list[Schema] = [
        {"if": {"required": [detail]}, "then": _state(state)}
        for detail, state in loader.DETAILS.items()
    ]
    details += [
        {"if": _state(state), "then": {"required": [detail]}}
        for state, (detail, _) in loader.REQUIRED.items()
    ]
    return any_of(words(loader.STATES), _struct(Loader, _LOADER) | {"allOf": details})


def _state(state: str) -> Schema:
    return {"properties": {"state": {"const": state}}, "required": ["state"]}


def _function(vocabulary: Vocabulary) -> Schema:
    groups = {"enum": list(vocabulary.groups), "description": "all such functions"}
    names = {"enum": sorted(name for known in vocabulary.functions.values() for name in known)}
    glob = {"type": "string", "pattern": r"[*?\[]", "examples": ["nvmlInit*", "cuMem*"]}
    return any_of(groups, names, glob)


def _code(vocabulary: Vocabulary) -> Schema:
    names: set[str] = set()
    for library, codes in vocabulary.codes.items():
        for prefix in ("", *vocabulary.prefixes[library]):
            names |= {name.removeprefix(prefix) for name in codes}
    numbers = {number for codes in vocabulary.codes.values() for number in codes.values()}
    return any_of({"enum": sorted(names)}, {"enum": sorted(numbers)}, _SMALL_LETTERS)


def _signal() -> Schema:
    names = {entry.name for entry in signal.Signals}
    names |= {name.removeprefix("SIG") for name in names}
    numbers = {int(entry) for entry in signal.Signals}
    return any_of({"enum": sorted(names)}, {"enum": sorted(numbers)}, _SMALL_LETTERS)


# ---- kinds of values

#: Names of codes and signals may be in small letters; these are not looked up.
_SMALL_LETTERS: Schema = {"type": "string", "pattern": "[a-z]"}

_NUMBER = r"\d+(\.\d+)?"
_TIME = rf"\s*{_NUMBER}\s*({'|'.join(times.UNITS)})?\s*"
_DURATION = any_of({"type": "number", "minimum": 0}, pattern(_TIME, "200 ms", "30 s", "1.5 min"))
_CALLS = any_of(
    {"type": "integer", "minimum": 1},
    pattern(calls.RANGE.pattern, "2-4", "3-"),
    pattern(calls.EVERY.pattern, "every 3"),
)
_WHO = any_of(integer(1, (1 << 31) - 1), text(1))
_HOOK = pattern(r".*\.py:[^\W\d]\w*", "answers.py:temperature")
_UUID = pattern(checks.UUID.pattern)
_DRIVER: Schema = {"enum": list(DRIVERS)}
_BOOLEAN: Schema = {"type": "boolean"}
_ADDRESS = pattern("https://.*")
_NAME: Schema = {"minLength": 1}
_VARIABLE = _NAME | {"not": {"pattern": rf"^({'|'.join(checks.RESERVED)})|="}}
_COPIES = any_of(ref("copy"), array(ref("copy"), minItems=1, maxItems=loader.MOST_COPIES))

# ---- field by field; what they mean is in the docstrings of `schema`

_GPU: dict[str, Schema] = {
    "profile": ref("profile"),
    "count": integer(1, checks.MOST_GPUS),
    "name": text(1, LONGEST_NAME),
    "uuid": _UUID,
    "serial": text(1, LONGEST_SERIAL),
    "pci_bus_id": pattern(checks.BUS_ID.pattern, "00000000:19:00.0"),
    "memory_total": quantity("bytes"),
    "memory_used": quantity("bytes"),
    "temperature": quantity("celsius"),
    "power_usage": quantity("milliwatts"),
    "load": any_of(quantity("percent", most=100), ref("figures.Load")),
    "utilization": quantity("percent", most=100),
    "failure": {"enum": list(WORDS["Failure"])},
    "figures": ref("figures"),
}

_FAULT: dict[str, Schema] = {
    "function": one_or_more(ref("function")),
    "returns": ref("code"),
    "library": {"enum": ["nvml", "cuda"]},
    "device": one_or_more(ref("device")),
    "process": _WHO,
    "thread": _WHO,
    "time": pattern(rf"{_TIME}-({_TIME})?\s*", "10 s-20 s", "30 s-"),
    "after": one_or_more(ref("function")),
    "calls": one_or_more(_CALLS),
    "probability": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    "seed": integer(-(1 << 63), (1 << 63) - 1),
    "delay": _DURATION,
    "block": _BOOLEAN,
    "signal": ref("signal"),
    "exit": integer(0, 255),
    "run": _HOOK,
    "writes": table({}, _NAME),
    "corrupt": table({"enum": list(CORRUPTIONS)}, _NAME),
    "name": text(),
}

_CHANGE: dict[str, Schema] = {
    "at": _DURATION,
    "every": _DURATION,
    "until": _DURATION,
    "device": one_or_more(ref("device")),
    "set": ref("changed"),
    "add": ref("grown"),
    "xid": integer(1, LARGEST_XID),
    "run": _HOOK,
}

_KERNEL: dict[str, Schema] = {
    "name": text(1, LONGEST_KERNEL_NAME),
    "run": _HOOK,
}

_LOADER: dict[str, Schema] = {
    "state": words(loader.STATES),
    "symbols": one_or_more(text(1)),
    "driver": _DRIVER,
    "needs": pattern("[^/]+", "libnvrm_gpu.so"),
}

_SCENARIO: dict[str, Schema] = {
    "name": text(),
    "description": text(),
    "origin": any_of(_ADDRESS, array(_ADDRESS)),
    "sees": text(),
    "driver": _DRIVER,
    "driver_version": pattern(checks.VERSION.pattern, "550.54.15"),
    "cuda_version": pattern(checks.CUDA_VERSION.pattern, "12.4"),
    "clock": any_of({"enum": ["wall", "manual"]}, pattern(rf"{_NUMBER}x", "60x")),
    "loader": record({"nvml": _COPIES, "cuda": _COPIES}),
    "environment": table(text(), _VARIABLE),
    "user": {"enum": list(WORDS["User"])},
    "gpus": array(ref("gpu")),
    "faults": array(ref("fault")),
    "changes": array(ref("change")),
    "kernels": array(ref("kernel")),
    "capture": text(1, LONGEST_PATH),
    "strict": _BOOLEAN,
}
