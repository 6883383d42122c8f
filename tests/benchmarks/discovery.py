"""How many drawn scenarios a second a property test plays, and how many with a process for each.

An example is drawn, resolved, entered and left; in between pynvml looks for GPUs. A first argument
multiplies the number of examples. Exits with 1 below the budget.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import pynvml
from hypothesis import HealthCheck, Phase, given, settings

from emulator import Scenario, Testbed
from emulator.strategies import given_scenarios, scenarios

BUDGET = 500  # examples a second in one process
EXAMPLES = 3000 * (int(sys.argv[1]) if len(sys.argv) > 1 else 1)
PROCESSES = EXAMPLES // 100

DISCOVERY = """
import pynvml
try:
    pynvml.nvmlInit()
    for i in range(pynvml.nvmlDeviceGetCount()):
        h = pynvml.nvmlDeviceGetHandleByIndex(i)
        pynvml.nvmlDeviceGetName(h), pynvml.nvmlDeviceGetUUID(h), pynvml.nvmlDeviceGetMemoryInfo(h)
    pynvml.nvmlShutdown()
except (pynvml.NVMLError, UnicodeDecodeError):
    pass
"""
CODE = compile(DISCOVERY, "discovery", "exec")


def many(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Settings for so many examples, and nothing but examples."""
    return settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def in_process() -> float:
    """Examples a second in this process."""
    played = 0

    @many(EXAMPLES)
    @given_scenarios()
    def discover() -> None:
        nonlocal played
        played += 1
        exec(CODE, {"pynvml": pynvml})

    began = time.perf_counter()
    discover()
    return played / (time.perf_counter() - began)


def a_process_each() -> float:
    """Examples a second with a testbed and a process for each."""
    played = 0

    @many(PROCESSES)
    @given(scenarios())
    def discover(scenario: Scenario) -> None:
        nonlocal played
        played += 1
        with Testbed(scenario) as testbed:
            command = [sys.executable, "-c", DISCOVERY]
            subprocess.run(command, env=testbed.environment(), check=False, stderr=-3)

    began = time.perf_counter()
    discover()
    return played / (time.perf_counter() - began)


def main() -> int:
    """Measure both, and print the ratio."""
    in_process()  # the first pass imports, and writes bytecode
    here, there = in_process(), a_process_each()
    verdict = "" if here >= BUDGET else "  OVER"
    print(
        f"discovery under drawn scenarios, in-process: {here:.0f} examples/s"
        f" (budget: at least {BUDGET}){verdict}"
    )
    print(f"discovery under drawn scenarios, a process each: {there:.1f} examples/s")
    print(f"ratio: {here / there:.0f}")
    return here < BUDGET


if __name__ == "__main__":
    sys.exit(main())
