"""What watching costs: a program under `nvemu run`, `nvemu trace` and `nvemu doctor`.

The first argument is the number of calls that the program makes. Each way is measured in turn, and
what is printed are medians.
"""

from __future__ import annotations

import compileall
import os
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from million import ROOT, build

ROUNDS = 7
WAYS = {
    "run": ["run"],
    "run, searches watched": ["run", "--redirect"],
    "trace": ["trace", "--format", "jsonl", "-o", os.devnull],
    "doctor": ["doctor"],
}


def seconds(host: Path, way: list[str], calls: int) -> float:
    """How long the program takes one way."""
    counted = host.with_name("rows")
    program = [str(host), "1", "1", str(calls), str(counted)]
    command = [sys.executable, "-m", "emulator", *way, "--", *program]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    began = time.perf_counter()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
    taken = time.perf_counter() - began
    _, _, made = struct.unpack("3l", counted.read_bytes())
    if made != calls:
        sys.exit(f"{way}: {made} calls of {calls}")
    return taken


def main(calls: int) -> None:
    """Measure all ways, with that many calls and with none."""
    compileall.compile_dir(ROOT / "emulator", quiet=1)  # as pip leaves an installed package
    with tempfile.TemporaryDirectory() as folder:
        host = build(Path(folder))
        rows: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
        for _ in range(ROUNDS):
            for name, way in WAYS.items():
                rows[name].append((seconds(host, way, calls), seconds(host, way, 0)))
    base = median(full for full, _ in rows["run"])
    print(f"a C program of {calls} calls, from start to end:")
    for name, taken in rows.items():
        full, start = median(row[0] for row in taken), median(row[1] for row in taken)
        each = (full - start) / calls * 1e6
        print(f"  {name:22} {full:6.3f} s, {full / base:5.2f} x run; {each:6.2f} us a call")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
