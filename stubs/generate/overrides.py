"""What people decided where the headers or inference do not suffice: api/overrides-*.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stubs.generate.declarations import Function, Parameter
from stubs.generate.paths import API

__all__ = ["Overrides", "load_overrides"]

_PROTOTYPE = re.compile(r"\s*(?P<returns>.+?)\s*\b\w+\((?P<parameters>.*)\)\s*", re.S)
_PARAMETER = re.compile(r"\s*(?P<type>.*?)\s*\b(?P<name>\w+)\s*", re.S)


@dataclass(frozen=True)
class Overrides:
    """The decisions for one library, by exported function name and by struct name."""

    functions: Mapping[str, Mapping[str, Any]]
    structs: Mapping[str, Mapping[str, Any]]
    privileged: Mapping[str, Any] = field(default_factory=dict)

    def prototypes(self) -> dict[str, Function]:
        """The prototypes of exported functions that no header declares."""
        return {
            name: _parse(entry["prototype"])
            for name, entry in self.functions.items()
            if "prototype" in entry
        }

    def applied(self, function: str, parameter: Mapping[str, Any]) -> dict[str, Any]:
        """A described parameter with a person's decision over it; the length "" takes it away."""
        decided = self.functions.get(function, {}).get("params", {}).get(parameter["name"], {})
        merged = {**parameter, **decided}
        if merged.get("length") == "":
            del merged["length"]
        return merged

    def is_privileged(self, function: str, documented: bool) -> bool:
        """Whether only root may call a function, where the header says so or does not."""
        if function in self.privileged.get("not", ()):
            return False
        return documented or function in self.privileged.get("also", ())

    def decides(self, name: str) -> bool:
        """Whether somebody looked at the releases' different declarations of a name."""
        outer = name.partition("__")[0]
        return any("reason" in self.structs.get(n, {}) for n in (name, outer)) or bool(
            self.functions.get(name, {}).get("reason")
        )

    def release_of(self, name: str) -> str | None:
        """The release that a struct has to be taken from; an inner one follows its outer one."""
        entry = self.structs.get(name) or self.structs.get(name.partition("__")[0], {})
        return entry.get("from")

    def lengths_of(self, name: str) -> Mapping[str, str]:
        """The lengths of what the pointers in a struct point at, by field."""
        lengths: Mapping[str, str] = self.structs.get(name, {}).get("lengths", {})
        return lengths


def load_overrides(library: str) -> Overrides:
    """Read the decisions for `nvml` or `cuda`."""
    read = tomllib.loads((API / f"overrides-{library}.toml").read_text(encoding="utf-8"))
    tables = (read.get(name, {}) for name in ("functions", "structs", "privileged"))
    return Overrides(*tables)


def _parse(prototype: str) -> Function:
    """Read a prototype as written in C, without array or function pointer parameters."""
    match = _PROTOTYPE.fullmatch(prototype)
    if match is None:
        raise ValueError(f"not a prototype: {prototype!r}")
    parts = map(_PARAMETER.fullmatch, match["parameters"].split(","))
    parameters = [Parameter(part["name"], part["type"]) for part in parts if part and part["type"]]
    return Function(match["returns"], tuple(parameters))
