"""What a C compiler makes of the structs of NVML's headers, and where each field lies."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["compiled", "fields", "program"]

Layout = dict[str, int]
"""Of a struct: "" -> its size, "value.ullVal" -> where that field lies, in bytes."""


def fields(kind: Any, base: int = 0, path: str = "") -> Iterator[tuple[str, int]]:
    """Each field of a ctypes struct, with those of the structs in it, and where it lies.

    Fields of a struct without a name count as the outer one's. Bit-fields have no place, and
    neither have the elements of an array beside the first.
    """
    for name, declared, *bits in kind._fields_:
        if bits:
            continue
        at = base + getattr(kind, name).offset
        here = path if name.startswith("_anonymous") else f"{path}.{name}".lstrip(".")
        if here != path:
            yield here, at
        if isinstance(declared, type) and issubclass(declared, (ctypes.Structure, ctypes.Union)):
            yield from fields(declared, at, here)


def program(structs: Mapping[str, Any]) -> str:
    """C that prints the layout of each struct as the header has it: name, field, number."""
    lines = ["#include <stddef.h>", "#include <stdio.h>", "#include <nvml.h>", "int main(void) {"]
    for name, kind in structs.items():
        lines.append(f'    printf("{name}  %zu\\n", sizeof({name}));')
        lines += [
            f'    printf("{name} {path} %zu\\n", offsetof({name}, {path}));'
            for path, _ in fields(kind)
        ]
    return "\n".join([*lines, "    return 0;", "}", ""])


def compiled(structs: Mapping[str, Any], header: Path, work: Path) -> dict[str, Layout]:
    """The layouts by the C compiler; CalledProcessError where a struct or a field is not there."""
    source, binary = work / "layouts.c", work / "layouts"
    source.write_text(program(structs), encoding="utf-8")
    subprocess.run(["cc", f"-I{header.parent}", "-o", binary, source], check=True)
    printed = subprocess.run([binary], check=True, capture_output=True, text=True).stdout
    layouts: dict[str, Layout] = {}
    for line in printed.splitlines():
        name, path, number = line.split(" ")
        layouts.setdefault(name, {})[path] = int(number)
    return layouts
