"""The budgets of docs/design.md, measured in one run and printed as ratios.

Each pair is measured in turn, A B A B, and the ratio is of the medians: the machine's speed may
drift, the ratio hardly does. A first argument multiplies the number of rounds.
"""

from __future__ import annotations

import compileall
import ctypes
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

import pynvml
from rich.console import Console
from rich.table import Table

import emulator
from emulator import Gpu, Scenario, Testbed

HERE = Path(__file__).parent
ROUNDS = 21 * (int(sys.argv[1]) if len(sys.argv) > 1 else 1)
EIGHT = Scenario(gpus=[Gpu("h100-sxm5-80gb", count=8)])
ISOLATED = [sys.executable, "-I", "-S", "-c"]
DISCOVERY = """
import pynvml
pynvml.nvmlInit()
for i in range(pynvml.nvmlDeviceGetCount()):
    h = pynvml.nvmlDeviceGetHandleByIndex(i)
    pynvml.nvmlDeviceGetName(h), pynvml.nvmlDeviceGetUUID(h), pynvml.nvmlDeviceGetMemoryInfo(h)
    pynvml.nvmlDeviceGetPciInfo(h), pynvml.nvmlDeviceGetCudaComputeCapability(h)
pynvml.nvmlShutdown()
"""


def medians(*measures: Callable[[], float], rounds: int = ROUNDS) -> list[float]:
    """The median of each measure, taken in turn."""
    taken = [[measure() for measure in measures] for _ in range(rounds)]
    return [median(column) for column in zip(*taken, strict=True)]


def seconds(action: Callable[[], object]) -> float:
    """How long one call of `action` takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def process(command: Sequence[str], env: Mapping[str, str] | None = None) -> Callable[[], float]:
    """Measures a process from start to end."""
    return lambda: seconds(lambda: subprocess.run(command, env=env, check=True, stdout=-3))


def compiled(source: str, folder: Path, *flags: str) -> Path:
    """A C file of this folder, compiled."""
    target = folder / Path(source).stem
    libraries = ["-ldl", "-lpthread"]
    subprocess.run(["cc", "-O2", *flags, "-o", target, HERE / source, *libraries], check=True)
    return target


def cold_host(folder: Path) -> tuple[float, float]:
    """A C host's whole life against starting Python with ctypes."""
    with Testbed(EIGHT) as testbed:
        host = process([str(compiled("cold.c", folder))], testbed.environment())
        python = process([*ISOLATED, "import ctypes"])
        ours, base = medians(host, python)
    return ours, base


def getters(folder: Path) -> dict[str, tuple[float, float]]:
    """One NVML getter from C, against a ctypes callback that does nothing but write one int."""
    loops = ctypes.CDLL(str(compiled("loops.c", folder, "-shared", "-fPIC")))
    prototype = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint))

    @prototype
    def bare(_device: object, value: Sequence[int]) -> int:
        value[0] = 42  # type: ignore[index]
        return 0

    with emulator.emulate(EIGHT):
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(7)
        getter = ctypes.CDLL("libnvidia-ml.so.1").nvmlDeviceGetPowerUsage
        results = {}
        for name in ("main_thread", "foreign_thread"):
            run = getattr(loops, name)
            run.restype = ctypes.c_double
            main = loops.main_thread
            main.restype = ctypes.c_double
            ours, base = medians(
                lambda run=run: run(getter, handle, 20_000) / 1e9,  # type: ignore[misc]
                lambda main=main: main(bare, handle, 20_000) / 1e9,  # type: ignore[misc]
            )
            results[name] = (ours, base)
        pynvml.nvmlShutdown()
    return results


def switch() -> float:
    """Entering and leaving a scenario of eight GPUs in this process."""

    def enter() -> None:
        with emulator.emulate(EIGHT):
            pass

    return medians(lambda: seconds(enter), rounds=ROUNDS * 10)[0]


def discovery() -> tuple[float, float]:
    """Full discovery of eight GPUs in this process, against the same in a fresh one."""
    code = compile(DISCOVERY, "discovery", "exec")

    def here() -> None:
        with emulator.emulate(EIGHT):
            exec(code, {})

    with Testbed(EIGHT) as testbed:
        fresh = process([sys.executable, "-c", DISCOVERY], testbed.environment())
        ours, base = medians(lambda: seconds(here), fresh)
    return ours, base


def imports() -> tuple[float, float]:
    """`import emulator` against `import ctypes, json`."""
    root = Path(emulator.__file__).parent.parent
    ours = process([*ISOLATED, f"import sys; sys.path.insert(0, {str(root)!r}); import emulator"])
    first, second = medians(ours, process([*ISOLATED, "import ctypes, json"]))
    return first, second


def figures() -> Iterator[tuple[str, float, float, float, bool]]:
    """What, our figure and its base in seconds, the budget for their ratio, and its sense."""
    with tempfile.TemporaryDirectory() as name:
        yield "cold C host / python -c 'import ctypes'", *cold_host(Path(name)), 1.5, True
        for thread, measured in getters(Path(name)).items():
            what = f"NVML getter from C, {thread.replace('_', ' ')} / bare callback"
            yield what, *measured, 3, True
    yield "switching scenario / 1 ms", switch(), 1e-3, 1, True
    here, fresh = discovery()
    yield "discovery of 8 GPUs, fresh process / in-process", fresh, here, 20, False
    yield "import emulator / import ctypes, json", *imports(), 2, True


def main() -> None:
    """Measure all and print the table."""
    # As pip leaves an installed package; in a source tree a foreign process writes no bytecode.
    compileall.compile_dir(Path(emulator.__file__).parent, quiet=1)
    table = Table("what", "measured", "against", "ratio", "budget", title="nvemu's budgets")
    for what, measured, base, budget, at_most in figures():
        ratio = measured / base
        inside = ratio <= budget if at_most else ratio >= budget
        mark = "" if inside else " [red]over[/red]"
        bound = f"at {'most' if at_most else 'least'} {budget:g}"
        table.add_row(what, unit(measured), unit(base), f"{ratio:.2f}{mark}", bound)
    Console(width=None if os.environ.get("COLUMNS") else 110).print(table)


def unit(value: float) -> str:
    """A time in the unit that suits it."""
    for scale, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if value >= scale:
            return f"{value / scale:.3g} {name}"
    return f"{value / 1e-9:.3g} ns"


if __name__ == "__main__":
    main()
