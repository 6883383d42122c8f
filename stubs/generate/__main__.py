"""`python -m stubs.generate COMMAND`: what nox's sessions run.

files [--check] [--descriptions]   write what is generated, or fail where it differs from that;
                                   with --descriptions out of NVIDIA's headers (downloaded), else
                                   out of the API descriptions as they are committed
symbols CACHE                      record the symbol tables from Debian's packages and fail where
                                   one differs from what is committed
drivers CACHE                      fetch the real libraries and nvidia-smi of the five drivers
programs CACHE                     fetch monitors that are no Python packages: nvtop, btop
answers CACHE                      record what the real libcuda answers without a GPU: to
                                   cuGetProcAddress, for each error code, and before cuInit
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from emulator.symbols import SONAMES, recorded_tables
from stubs.generate import before_init, debian, emit, errors
from stubs.generate.describe import describe, json_text, write_json
from stubs.generate.emit_procaddress import proc_address_files
from stubs.generate.fetch import DEFAULT_CACHE
from stubs.generate.from_headers import write_tables
from stubs.generate.paths import API
from stubs.generate.procaddress import record_proc_addresses
from stubs.generate.programs import fetch_programs

ROOT = Path(__file__).resolve().parent.parent.parent


def generated(descriptions: dict[str, dict[str, Any]]) -> dict[Path, str]:
    """Every generated file and its content."""
    made: dict[Path, str] = {}
    for library, description in descriptions.items():
        files = emit.Emitter(description, recorded_tables(library)).files()
        made |= {ROOT / path: text for path, text in files.items()}
    return made | {ROOT / path: text for path, text in proc_address_files().items()}


def write_files(check: bool, read_headers: bool) -> int:
    """Write the generated files; or, to check, only tell which are stale."""
    files = {library: API / f"{library}.json" for library in SONAMES}
    if read_headers:
        write_tables()
        texts = {library: json_text(describe(library)) for library in SONAMES}
    else:
        texts = {library: path.read_text(encoding="utf-8") for library, path in files.items()}
    made = generated({library: json.loads(text) for library, text in texts.items()})
    made |= {path: texts[library] for library, path in files.items()}
    changed = [p for p, text in made.items() if not p.is_file() or p.read_text() != text]
    for path in changed:
        print(f"{'stale' if check else 'wrote'}: {path.relative_to(ROOT)}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made[path], encoding="utf-8")
    print(f"{len(made)} generated files, {len(changed)} changed")
    return 1 if changed and check else 0


def check_symbols(cache: Path) -> int:
    """Compare the committed tables with those of Debian's packages."""
    changed = debian.changed_tables(cache)
    for driver, difference in changed.items():
        print(f"{driver}: {difference}")
    print(f"{len(debian.RECORDED)} drivers read, {len(changed)} tables differ")
    return 1 if changed else 0


def fetch_drivers(cache: Path) -> int:
    """Have every driver's libraries and nvidia-smi in the cache."""
    for driver in debian.RECORDED:
        print(debian.fetch_driver(driver, cache))
    return 0


def fetch_monitors(cache: Path) -> int:
    """Have the monitors in the cache; print the folder in which they are started."""
    print(fetch_programs(cache))
    return 0


def record(cache: Path) -> int:
    """Write what was recorded from the real libcuda anew."""
    write_json(API / "procaddress.json", record_proc_addresses(cache, DEFAULT_CACHE))
    errors.write(*errors.record(cache))
    before_init.write(before_init.record(cache))
    return 0


def main(arguments: list[str]) -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="python -m stubs.generate")
    commands = parser.add_subparsers(dest="command")
    files = commands.add_parser("files")
    files.add_argument("--check", action="store_true")
    files.add_argument("--descriptions", action="store_true")
    cached = {
        "symbols": check_symbols,
        "drivers": fetch_drivers,
        "programs": fetch_monitors,
        "answers": record,
    }
    for name in cached:
        commands.add_parser(name).add_argument("cache", type=Path)
    chosen = parser.parse_args(arguments or ["files"])
    if chosen.command == "files":
        return write_files(chosen.check, chosen.descriptions)
    return cached[chosen.command](chosen.cache)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
