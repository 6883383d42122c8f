"""API descriptions: headers, symbol tables and overrides in, `stubs/api/<library>.json` out."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from emulator.symbols import SymbolTable, recorded_tables
from stubs.generate.declarations import Callback, Field, Header, Struct
from stubs.generate.directions import Directions
from stubs.generate.fetch import DEFAULT_CACHE, fetch_headers
from stubs.generate.headers import read_header
from stubs.generate.merge import MergedHeaders, disagreements, without_stream_suffix
from stubs.generate.overrides import Overrides, load_overrides
from stubs.generate.releases import LIBRARIES, PROFILER

__all__ = ["UndecidedError", "describe", "describe_headers", "read_headers", "write_json"]


class UndecidedError(ValueError):
    """Releases declare a prototype or a layout differently, and no override decides."""


# By the start of a name; the first that fits.
_STATUS = {"nvml": "nvmlReturn_t", "cudbg": "int", "cu": "CUresult"}
# NVML says of many queries, too, that they may be refused: of what others may see, or in general.
_NO_PERMISSION = "NVML_ERROR_NO_PERMISSION"
_CHANGING = re.compile(r"nvml(?!Init|System(Get|Register)|\w*?(Get|EventSet)[A-Z])\w+")
_VERSIONED = re.compile(r"(?P<stem>\w+)_v\d+_t")


def _is_for_root(name: str, errors: list[str]) -> bool:
    """Whether a function changes what only a privileged user may change."""
    return _NO_PERMISSION in errors and bool(_CHANGING.fullmatch(name))


def describe(library: str, cache: Path = DEFAULT_CACHE) -> dict[str, Any]:
    """The API description of `nvml` or `cuda`, out of every pinned release and recorded table."""
    return describe_headers(library, read_headers(library, cache), recorded_tables(library))


def read_headers(library: str, cache: Path = DEFAULT_CACHE) -> list[Header]:
    """Every pinned release of a library's headers, newest first."""
    for release in (*LIBRARIES[library], PROFILER):
        fetch_headers(release, cache)  # here, since the workers share the last one
    with ProcessPoolExecutor() as pool:
        return list(pool.map(partial(read_header, cache=cache), LIBRARIES[library]))


def describe_headers(
    library: str, headers: list[Header], tables: Mapping[str, SymbolTable]
) -> dict[str, Any]:
    """The same out of headers and tables that the caller has read."""
    overrides = load_overrides(library)
    _require_decisions(headers, overrides)
    merged = MergedHeaders(headers, overrides)
    functions = _Functions(library, merged, tables, overrides).described()
    enums = merged.merged("enums")
    structs = {name: _struct(s, overrides.lengths_of(name)) for name, s in merged.structs.items()}
    structs |= {n: {"alias": a} for n, a in merged.aliases.items() if a in structs}
    callbacks = {name: _callback(c) for name, c in merged.merged("callbacks").items()}
    handles = merged.merged("handles")
    handles |= {name: target for name, target in merged.aliases.items() if target in enums}
    return {
        "library": library,
        "headers": [header.release.label for header in headers],
        "handles": _mentioned(handles, functions, structs, callbacks),
        "callbacks": callbacks,
        "constants": merged.merged("constants"),
        "enums": enums,
        "structs": structs,
        "functions": functions,
    }


def json_text(value: object) -> str:
    """`value` as sorted, diffable JSON."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def write_json(path: Path, value: object) -> None:
    """Write JSON in one step, so that a reader never sees half of it."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json_text(value), encoding="utf-8")
    os.replace(unfinished, path)


def _require_decisions(headers: list[Header], overrides: Overrides) -> None:
    """Stop where releases declare a name differently and nobody has said which one is right."""
    undecided = [
        f"{name}: {form} in {', '.join(releases)}"
        for name, forms in disagreements(headers).items()
        if not overrides.decides(name)
        for form, releases in forms.items()
    ]
    if undecided:
        raise UndecidedError("releases disagree, and no override decides:\n" + "\n".join(undecided))


class _Functions:
    """Describes every function that a header declares or a recorded driver exports."""

    def __init__(
        self,
        library: str,
        merged: MergedHeaders,
        tables: Mapping[str, SymbolTable],
        overrides: Overrides,
    ) -> None:
        self.merged = merged
        self.tables = tables
        self.overrides = overrides
        self.structs = merged.structs_by_any_name()
        self.directions = Directions(library, self.structs)

    def described(self) -> dict[str, Any]:
        exported = {name for table in self.tables.values() for name in table.of_type("FUNC")}
        return {name: self._function(name) for name in exported | self.merged.functions.keys()}

    def _function(self, name: str) -> dict[str, Any]:
        function = self.merged.function(name)
        if function is None:
            status = next(code for prefix, code in _STATUS.items() if name.startswith(prefix))
            return {"returns": status, "since": self._since(name), "errors": [], "params": None}
        comments = self.merged.documentation(name)
        plain = without_stream_suffix(name)
        documented = next((c.codes for c in comments if c.codes), ())
        decided = self.overrides.functions.get(plain, {})
        errors = [*decided.get("errors", documented), *decided.get("more_errors", ())]
        privileged = self.overrides.is_privileged(plain, _is_for_root(name, errors))
        if privileged and _NO_PERMISSION not in errors:
            errors.append(_NO_PERMISSION)
        return {
            **({"privileged": True} if privileged else {}),
            "returns": function.returns,
            "since": self._since(name),
            "errors": errors,
            "params": [
                self.overrides.applied(plain, parameter) | self._versions(parameter["type"])
                for parameter in self.directions.of(name, function, comments)
            ],
        }

    def _since(self, name: str) -> str:
        for driver, table in self.tables.items():
            if name in table.symbols:
                return driver
        return f"header {self.merged.first_release(name)}"

    def _versions(self, spelled: str) -> dict[str, list[str]]:
        """The structs that a versioned parameter may point at: the caller's tag says which."""
        name = spelled.rstrip(" *")
        match = _VERSIONED.fullmatch(self.merged.aliases.get(name, name))
        if match is None or not _tagged(self.structs[name]):
            return {}
        family = [
            (struct.version, name)
            for name, struct in self.merged.structs.items()
            if name.startswith(f"{match['stem']}_v") and _tagged(struct)
        ]
        return {"versions": [name for _, name in sorted(family)]} if len(family) > 1 else {}


def _tagged(struct: Struct) -> bool:
    return struct.version is not None and struct.fields[0].name == "version"


def _struct(struct: Struct, lengths: Mapping[str, str]) -> dict[str, Any]:
    optional = {"version": struct.version, "align": struct.align, "lengths": dict(lengths) or None}
    return {
        "kind": struct.kind,
        "fields": [_field(member) for member in struct.fields],
        "size": struct.size,
    } | {key: value for key, value in optional.items() if value is not None}


def _field(member: Field) -> list[Any]:
    dimensions = None if member.dimensions is None else list(member.dimensions)
    cells: list[Any] = [member.name, member.type, dimensions]
    return cells if member.bits is None else [*cells, member.bits]


def _callback(callback: Callback) -> dict[str, Any]:
    return {"returns": callback.returns, "params": [[p.name, p.type] for p in callback.parameters]}


def _mentioned(handles: Mapping[str, str], *users: object) -> dict[str, str]:
    """Leave out what only the stand-ins for system headers define."""
    used = set(re.findall(r"\w+", str(users)))
    return {
        name: underlying
        for name, underlying in handles.items()
        if name in used or name.startswith(("CU", "cu", "nvml"))
    }
