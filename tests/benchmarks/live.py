"""How soon live control reaches running programs: half of them in C, half in Python.

A first argument is the number of programs, a second the milliseconds between two of their calls.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from emulator import Gpu, Scenario, Testbed

HOSTS = Path(__file__).parent.parent / "unit"
ROUNDS = 11
SCENARIO = Scenario(gpus=[Gpu("t4", temperature=36)])


def main(programs: int, pause: int) -> None:
    """Print the delays of some changes, each with programs of its own."""
    with tempfile.TemporaryDirectory() as folder:
        compiled = f"{folder}/host"
        subprocess.run(["cc", "-O2", "-o", compiled, str(HOSTS / "live_host.c")], check=True)
        commands = ([compiled], [sys.executable, str(HOSTS / "live_host.py")])
        found = [delays(commands, programs, pause) for _ in range(ROUNDS)]
    worst = [max(late) for late, _, _ in found]
    print(f"{programs} programs, a call each {pause} ms, {os.cpu_count()} cores, {ROUNDS} changes")
    print(f"milliseconds until the last had it: median {median(worst):.2f}, most {max(worst):.2f}")
    every = sorted(delay for late, _, _ in found for delay in late)
    print(f"milliseconds until one had it: median {median(every):.2f}")
    lost = sum(other for _, _, other in found)
    print(f"calls: {sum(calls for _, calls, _ in found)}, lost or neither old nor new: {lost}")


def delays(
    commands: tuple[list[str], ...], programs: int, pause: int
) -> tuple[list[float], int, int]:
    """For each program the milliseconds after which it had a change; calls; and odd answers."""
    with Testbed(SCENARIO) as testbed:
        hosts = [
            subprocess.Popen(
                [*commands[number % len(commands)], "36", "95", str(pause)],
                env=testbed.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(programs)
        ]
        for host in hosts:
            assert host.stdout is not None
            host.stdout.readline()
        time.sleep(0.2)
        said = time.monotonic_ns()
        testbed.control.set(0, temperature=95)
        time.sleep(0.5)
        answers = [tuple(map(int, host.communicate()[0].split())) for host in hosts]
    calls, changed, other = zip(*answers, strict=True)
    return [(when - said) / 1e6 for when in changed], sum(calls), sum(other)


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    main(*given, *(16, 1)[len(given) :])
