"""Our libraries beside the real ones of five drivers: `oracle.py DRIVERS`.

DRIVERS is the folder of the real libraries, `<driver version>/libcuda.so.1`, as `python -m
stubs.generate drivers` lays them out. Each is asked everything that it answers without a GPU
(witness.py), and so is ours where no driver is loaded. Prints what was asked and what came of it,
then each difference; the exit status is 1 if there is one that differences.py does not explain.

A call that the real library does not survive is counted and not imitated: ours must return.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from differences import reason_for  # noqa: E402
from witness import DIED, TOPICS  # noqa: E402

from emulator import Scenario, Testbed  # noqa: E402
from emulator.plans import find_scenario  # noqa: E402
from emulator.symbols import SONAMES  # noqa: E402
from stubs.generate.debian import RECORDED  # noqa: E402

__all__ = ["Comparison", "compare"]

WITNESS = Path(__file__).with_name("witness.py")
SECONDS = 300  # after which a witness hangs
CORES = 2


@dataclass
class Comparison:
    """What two libraries answered about one topic.

    Attributes:
        asked: how many answers the real one gave.
        died: the calls that it did not survive.
        explained: by call, why ours answers otherwise.
        different: by call, both answers, where no reason is known.
    """

    asked: int = 0
    died: list[str] = field(default_factory=list)
    explained: dict[str, str] = field(default_factory=dict)
    different: dict[str, str] = field(default_factory=dict)


def compare(drivers: Path, driver: str, library: str, topic: str) -> Comparison:
    """Ask the real library and ours, which stands where that driver is not loaded."""
    soname = SONAMES[library]
    real = ask(drivers / driver / soname, library, topic, os.environ)
    with Testbed(without_driver(library, driver, topic)) as testbed:
        ours = ask(testbed.libraries / soname, library, topic, testbed.environment())
    return compared(driver, dict(cells(real)), dict(cells(ours)))


def without_driver(library: str, driver: str, topic: str) -> Scenario:
    """The machine that ours stands on. A fault answers cuInit before cuInit looks at anything."""
    if (library, topic) == ("cuda", "initialisation"):
        return Scenario(driver=driver, gpus=[])
    return msgspec.structs.replace(find_scenario("driver-not-loaded"), driver=driver)


def ask(path: Path, library: str, topic: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """What the library at a path answers about a topic of its witness."""
    with tempfile.TemporaryDirectory() as folder:  # some functions of the real one write files
        done = subprocess.run(
            [sys.executable, str(WITNESS), library, str(path), topic],
            env={**environment, "PYTHONPATH": str(ROOT)},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"{path}, {topic}: {done.stderr}")
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


def cells(answers: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Single answers: those of a call that is made in many ways, each with its way."""
    for call, answer in answers.items():
        if isinstance(answer, dict):
            yield from ((f"{call} {way}", single) for way, single in answer.items())
        else:
            yield call, answer


def compared(driver: str, real: Mapping[str, Any], ours: Mapping[str, Any]) -> Comparison:
    """Cell by cell; a call that only one of them was asked is a difference."""
    comparison = Comparison(asked=len(real))
    comparison.died = [call for call, answer in real.items() if answer == DIED]
    for call in {**real, **ours}:
        expected, answer = real.get(call, "not asked"), ours.get(call, "not asked")
        if answer not in (DIED, "not asked") and expected in (answer, DIED):
            continue
        reason = reason_for(call, driver)
        if reason and answer != DIED:
            comparison.explained[call] = reason
        else:
            comparison.different[call] = f"real {expected}, ours {answer}"
    return comparison


Row = tuple[str, str, str]  # driver, library, topic


def main(folder: str) -> int:
    """Compare everything; 1 when something differs that has no reason."""
    rows = [(d, lib, topic) for d in RECORDED for lib in SONAMES for topic in TOPICS[lib]]
    with ThreadPoolExecutor(CORES) as pool:
        done = pool.map(lambda row: compare(Path(folder).resolve(), *row), rows)
        found = dict(zip(rows, done, strict=True))
    print(table(found))
    print(grouped("the real one crashes", found, lambda c: dict.fromkeys(c.died, "not imitated")))
    print(grouped("explained", found, lambda comparison: comparison.explained))
    print(grouped("DIFFERENT", found, lambda comparison: comparison.different))
    different = sum(len(comparison.different) for comparison in found.values())
    print(f"{sum(comparison.asked for comparison in found.values())} answers")
    print(f"{different} differences")
    return 1 if different else 0


def table(found: Mapping[Row, Comparison]) -> str:
    """A line for each driver, library and topic."""
    heads = ("driver", "library", "topic", "asked", "differ", "explained", "crashes")
    lines = [heads]
    for row, one in found.items():
        counts = (one.asked, len(one.different), len(one.explained), len(one.died))
        lines.append((*row, *map(str, counts)))
    return "\n".join(
        f"{driver:11} {library:7} {topic:14}" + "".join(f"{count:>10}" for count in counts)
        for driver, library, topic, *counts in lines
    )


def grouped(
    title: str, found: Mapping[Row, Comparison], what: Callable[[Comparison], Mapping[str, str]]
) -> str:
    """A line for each call, with the driver branches where it is so."""
    branches: dict[tuple[str, str], dict[str, None]] = {}
    for (driver, _, _), comparison in found.items():
        for call, text in what(comparison).items():
            branches.setdefault((call, text), {})[driver.partition(".")[0]] = None
    lines = [f"  {call} [{' '.join(where)}]: {text}" for (call, text), where in branches.items()]
    return "\n".join([f"{title}: {len(lines) or 'none'}", *sorted(lines)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
