"""Writing what cuGetProcAddress finds: the package's table, out of stubs/api/procaddress.json."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import wrap

from stubs.generate.emit import NOTICE, literal
from stubs.generate.paths import API

__all__ = ["proc_address_files"]


def proc_address_files(folder: Path = API) -> dict[str, str]:
    """Path from the repository's root -> content."""
    recorded = json.loads((folder / "procaddress.json").read_text(encoding="utf-8"))
    tables = {key: rows(recorded[key]) for key in ("legacy", "per_thread")}
    parts = [
        _head(recorded["drivers"], recorded["unobserved"]),
        literal("LEGACY", tables["legacy"]),
        literal("PER_THREAD", tables["per_thread"]),
    ]
    return {"emulator/cuda/_procaddress.py": "\n".join(parts)}


def rows(answers: Mapping[str, Mapping[str, int]]) -> dict[str, str]:
    """By base name: `since` and the symbol's suffix, oldest first, as in `2000 3020_v2`."""
    return {name: _row(name, symbols) for name, symbols in sorted(answers.items())}


def _row(name: str, symbols: Mapping[str, int]) -> str:
    entries = []
    for symbol, since in sorted(symbols.items(), key=lambda item: item[1]):
        if not symbol.startswith(name):
            raise ValueError(f"{symbol} is no version of {name}")
        entries.append(f"{since}{symbol[len(name) :]}")
    return " ".join(entries)


def _head(drivers: Iterable[str], unobserved: Iterable[str]) -> str:
    text = (
        f"Observed on the real libraries {', '.join(drivers)}, which all follow one table. Of "
        "later drivers there was none to ask: their symbols are from their symbol tables, and the "
        "versions from cudaTypedefs.h. These are: " + ", ".join(unobserved) + "."
    )
    lines = [f'"""{NOTICE}', "", *wrap(text, 99, break_long_words=False), '"""', ""]
    return "\n".join(lines)
