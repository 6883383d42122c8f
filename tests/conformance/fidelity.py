"""How faithful nvemu's own machines are: `fidelity.py [FILE...]` prints a line a recorded machine.

FILE is a capture (`nvemu record`), whose calls are made of the same machine with the figures of
nvemu's profiles; or the scenario of a published machine, each of whose figures is compared with its
profile's. Without FILE, all of tests/captures. `nvemu compare FILE` lists the differences.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from emulator.imports.captures.format import read  # noqa: E402
from emulator.imports.captures.naming import SUFFIX  # noqa: E402
from emulator.plans import find_scenario  # noqa: E402
from emulator.recording.bare import compare_figures  # noqa: E402
from emulator.recording.fidelity import compared, own_machine  # noqa: E402
from emulator.recording.report import figures_as_text, summary  # noqa: E402

__all__ = ["line", "shipped"]

FOLDER = ROOT / "tests" / "captures"


def shipped() -> list[Path]:
    """The recorded and published machines in the repository."""
    return sorted(path for path in FOLDER.rglob("*") if path.suffix in (SUFFIX, ".toml"))


def line(file: Path) -> str:
    """A machine's fidelity figure."""
    if file.suffix == SUFFIX:
        capture = read(file)
        comparison, _ = compared(capture, own_machine(capture))
        return summary(comparison)
    return figures_as_text(compare_figures(find_scenario(file))).splitlines()[-1]


def main(names: Sequence[str]) -> None:
    """Print a line for each file."""
    files = list(map(Path, names)) or shipped()
    width = max(len(file.stem) for file in files)
    for file in files:
        print(f"{file.stem.ljust(width)}  {line(file)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
