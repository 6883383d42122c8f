"""`python -m stubs.generate [--check] [--descriptions]`: write what is generated, or compare it.

With --descriptions the API descriptions are read anew out of NVIDIA's headers first (downloaded
into .cache/headers); without it only the C and the Python tables are made out of them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from stubs.generate.emit import Emitter, load
from stubs.generate.symbols import SONAMES, recorded_tables

ROOT = Path(__file__).resolve().parent.parent.parent


def generated() -> dict[Path, str]:
    """Every generated file and its content."""
    made: dict[Path, str] = {}
    for library in SONAMES:
        emitter = Emitter(load(ROOT / "stubs" / "api", library), recorded_tables(library))
        made |= {ROOT / path: text for path, text in emitter.files().items()}
    return made


def stale(made: dict[Path, str]) -> list[Path]:
    """The files whose content on disk is not what would be generated."""
    return [
        path for path, text in made.items() if not path.is_file() or path.read_text() != text
    ]


def main(arguments: list[str]) -> int:
    made = generated()
    changed = stale(made)
    for path in changed:
        print(f"{'stale' if '--check' in arguments else 'wrote'}: {path.relative_to(ROOT)}")
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made[path])
    print(f"{len(made)} generated files, {len(changed)} changed")
    return 1 if changed and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
