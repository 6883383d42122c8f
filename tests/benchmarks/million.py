"""A long trace: 4 processes of 8 threads under `nvemu trace`, one of them killed in the middle.

The first argument is how many calls there are at least. Prints how many there were, how long they
took beside the same program under `nvemu run`, and whatever is not as it must be: lines that are no
JSON, records that are missing or out of a thread's order. The exit status is 1 if anything is.
"""

from __future__ import annotations

import json
import os
import shlex
import struct
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
HOST = ROOT / "tests/unit/trace_host.c"
PROCESSES, THREADS = 4, 8
ASKED = "nvmlDeviceGetHandleByIndex_v2"


class Thread(NamedTuple):
    """What a thread of the program counted itself."""

    pid: int
    tid: int
    calls: int


def main(calls: int) -> int:
    """Print the measurements; whether anything was wrong."""
    each = -(-calls // ((PROCESSES - 1) * THREADS))  # without the process that is killed
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(folder)
        plain = timed(folder, ["run"], each)
        traced = timed(folder, ["trace", "--format", "jsonl", "-o", str(folder / "trace")], each)
        threads, wrong = check(folder, each)
    made = sum(thread.calls for thread in threads)
    killed = threads[-THREADS:]
    print(f"{PROCESSES} processes of {THREADS} threads, {os.cpu_count()} cores: {made} calls")
    print(f"the killed process made {sum(thread.calls for thread in killed)} of {each * THREADS}")
    print(f"run: {plain:.2f} s, trace: {traced:.2f} s, ratio {traced / plain:.1f}")
    print(f"trace: {made / traced:.0f} calls a second")
    print(*wrong or ["complete, and in order for each thread; every line is JSON"], sep="\n")
    return int(bool(wrong))


def build(folder: Path) -> Path:
    """The program, compiled in a folder."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    flags = ["-O2", "-D_GNU_SOURCE", "-pthread"]
    subprocess.run([*compiler, *flags, str(HOST), "-o", str(folder / "host")], check=True)
    return folder / "host"


def timed(folder: Path, how: list[str], each: int) -> float:
    """Seconds that the program takes under an `nvemu` command."""
    command = [sys.executable, "-m", "emulator", *how, "--", str(folder / "host")]
    arguments = [PROCESSES, THREADS, each, folder / "rows", "kill"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    began = time.monotonic()
    subprocess.run([*command, *map(str, arguments)], check=True, env=environment)
    return time.monotonic() - began


def check(folder: Path, each: int) -> tuple[list[Thread], list[str]]:
    """What the threads counted, and what is wrong with the trace."""
    threads = [Thread(*row) for row in struct.iter_unpack("3l", (folder / "rows").read_bytes())]
    with (folder / "trace").open(encoding="utf-8") as trace:
        recorded = indices(trace)
    killed = threads[-1].pid
    wrong = [
        f"{thread.pid}: {thread.calls} calls of {each}"
        for thread in threads
        if thread.pid != killed and thread.calls != each
    ]
    if threads[-THREADS].calls != each // 2:
        wrong.append("the last process was not killed in the middle")
    for thread in threads:
        wrong += faults(thread, recorded[thread.pid, thread.tid], thread.pid == killed)
    return threads, wrong


def indices(trace: Iterator[str]) -> dict[tuple[int, int], list[int]]:
    """For each thread, by process and number, the index that each of its calls asked for."""
    recorded = defaultdict(list)
    for line in trace:
        record = json.loads(line)
        if record["function"] == ASKED:
            recorded[record["pid"], record["tid"]].append(record["arguments"]["index"])
    return recorded


def faults(thread: Thread, asked: list[int], killed: bool) -> list[str]:
    """What is wrong with a thread's records.

    One that was killed may have had a call recorded that did not come back to it any more, or a
    call under way that has no whole record.
    """
    found = []
    if asked != list(range(len(asked))):
        found.append(f"{thread.pid}, {thread.tid}: not in order")
    if not thread.calls <= len(asked) <= thread.calls + killed:
        found.append(f"{thread.pid}, {thread.tid}: {len(asked)} records of {thread.calls} calls")
    return found


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
