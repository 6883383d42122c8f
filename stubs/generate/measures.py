"""Filling in the numbers that the compiler knows better: enumerators, macros, sizes, versions."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from stubs.generate.compiler import HeaderSet
from stubs.generate.declarations import Header

__all__ = ["evaluate", "measure"]

_STRUCT_VERSION = re.compile(r"NVML_STRUCT_VERSION\(\s*(\w+)\s*,\s*(\d+)\s*\)")
# Strings, floats, code, and names that CUDA puts together for its per-thread variants.
_NO_INTEGER = re.compile(r'["{;#\\]|\d\.\d|^__CUDA_API_PT')


def evaluate(header: Header, headers: HeaderSet, enumerators: Mapping[str, list[str]]) -> None:
    """Set the values of enumerators and macros, and the versions of structs.

    `enumerators` lists the names of every enum; those of nameless ones stand under "".
    """
    names = [name for listed in enumerators.values() for name in listed]
    macros = headers.macros()
    asked = {name: name for name in names} | _integer_macros(macros, names)
    values = headers.values(asked)
    named = {enum: listed for enum, listed in enumerators.items() if enum}
    header.enums = {enum: {n: values[n] for n in listed} for enum, listed in named.items()}
    members = {name for listed in named.values() for name in listed}
    header.constants = {name: value for name, value in values.items() if name not in members}
    for data, version in _STRUCT_VERSION.findall("\n".join(macros.values())):
        name = f"nvml{data}_v{version}_t"
        struct = header.structs.get(header.aliases.get(name, name))
        if struct:
            struct.version = int(version)


def measure(header: Header, headers: HeaderSet, in_place: Mapping[str, str]) -> None:
    """Set the size of every struct, as the compiler has it.

    `in_place` is how C refers to structs that are declared inside others.
    """
    asked = {name: f"sizeof({in_place.get(name, name)})" for name in header.structs}
    for name, size in headers.values(asked).items():
        header.structs[name].size = size


def _integer_macros(macros: Mapping[str, str], enumerators: Collection[str]) -> dict[str, str]:
    """Macros that can be integers, or other names of enumerators, but not of functions."""
    wanted = {}
    for name, body in macros.items():
        valued = body in enumerators or (body in macros and body != name)
        if body and not name.startswith("_") and (valued or not body.isidentifier()):
            wanted[name] = body
    return {name: body for name, body in wanted.items() if not _NO_INTEGER.search(body)}
