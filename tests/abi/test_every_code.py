"""Every return code that a header documents can be injected, and its caller sees it.

All pairs of function and code: of the newest driver in this process, before initialisation and
after it, where the trace has to name the fault that each code came from; of each older driver in a
C program, before or after, which has to find its memory as it was.
"""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

import pytest

from emulator import Emulation, Fault, Gpu, Scenario, Testbed
from emulator.machine import DRIVERS, NEWEST
from emulator.symbols import recorded_tables
from emulator.vocabulary import apis, documented

LIBRARIES = ("nvml", "cuda")
PHASES = ("before", "ready")

#: The older drivers, each in one phase by turns: a driver takes a second.
OLDER = list(zip((driver for driver in DRIVERS if driver != NEWEST), cycle(PHASES), strict=False))
GPUS = (Gpu("a100-sxm4-80gb"),)

#: Exported functions that return no status code: a text, and the debugger's back end.
WITHOUT_STATUS = {
    "nvml": {"nvmlErrorString"},
    "cuda": {
        *("cudbgApiAttach", "cudbgApiDetach", "cudbgApiInit", "cudbgGetAPI", "cudbgGetAPIVersion"),
        *("cudbgMain", "cudbgReportDriverApiError", "cudbgReportDriverInternalError"),
    },
}

#: What "ready" calls first, by library; these calls count for a fault on the same function.
INIT = {"nvml": "nvmlInit_v2", "cuda": "cuInit"}

#: The arguments of every call: a fault decides before anybody looks at them.
NOTHING = [ctypes.c_size_t(0)] * 12

#: Every rule is asked on every call: a scenario of all pairs would take quadratic time.
CHUNK = 300

Pair = tuple[str, str, int]


def pairs(library: str, driver: str) -> list[Pair]:
    """(library, function, code) of the functions that a driver exports."""
    exported = recorded_tables(library)[driver].of_type("FUNC")
    return [(library, name, code) for name in exported for code in documented(library, name)]


def chunks(all_pairs: Sequence[Pair]) -> Iterator[list[Pair]]:
    source = iter(all_pairs)
    return iter(lambda: list(islice(source, CHUNK)), [])


def faults(chunk: Sequence[Pair], phase: str) -> list[Fault]:
    """For each pair a fault on the call that will be its turn."""
    made = []
    calls = dict.fromkeys(INIT.values(), 1) if phase == "ready" else {}
    for library, name, code in chunk:
        calls[name] = calls.get(name, 0) + 1
        made.append(Fault(name, library=library, calls=calls[name], returns=code))
    return made


@pytest.fixture
def report(
    capsys: pytest.CaptureFixture[str], record_property: Callable[[str, object], None]
) -> Callable[[str], None]:
    """Prints a line whatever pytest captures, and has it in a report's XML."""

    def print_(line: str) -> None:
        record_property("injected", line)
        with capsys.disabled():
            print(f"\n{line}", end=" ")

    return print_


def summary(driver: str, phase: str, seen: Sequence[Pair]) -> str:
    counts = []
    for library in LIBRARIES:
        names = [name for of, name, _ in seen if of == library]
        if names:
            counts.append(f"{library} {len(names)} codes of {len(set(names))} functions")
    return f"{driver}, {phase}: {', '.join(counts)}"


@pytest.mark.parametrize(
    ("library", "function", "codes"),
    [
        ("nvml", "nvmlInit_v2", (0, 9, 4, 999)),
        ("nvml", "nvmlDeviceGetMemoryInfo_v2", (0, 1, 4, 2, 15, 3, 999)),
        ("nvml", "nvmlSystemRegisterEvents", (0, 1, 2, 25, 999, 3)),  # 3 is in the prose
        ("cuda", "cuInit", (0, 1, 101, 803, 804)),
        ("cuda", "cuMemAlloc_v2", (0, 4, 3, 201, 1, 2, 911)),
        ("cuda", "cuMemcpyHtoD_v2_ptds", (0, 4, 3, 201, 1)),
        ("nvml", "nvmlErrorString", ()),
    ],
)
def test_what_the_headers_say(library: str, function: str, codes: tuple[int, ...]) -> None:
    assert documented(library, function) == codes


@pytest.mark.parametrize(("library", "silent"), [("nvml", 6), ("cuda", 11)])
def test_where_they_do_not_say_it_may_be_any(library: str, silent: int) -> None:
    api = apis()[library]
    every = tuple(api.types.members(api.status).values())
    assert len([name for name in api.names if documented(library, name) == every]) == silent


def test_a_name_of_no_function_is_refused() -> None:
    with pytest.raises(LookupError, match="cuInit is not a function of nvml"):
        documented("nvml", "cuInit")


@pytest.mark.parametrize("library", LIBRARIES)
def test_only_these_return_no_status(library: str) -> None:
    exported = {n for table in recorded_tables(library).values() for n in table.of_type("FUNC")}
    assert {n for n in exported if not documented(library, n)} == WITHOUT_STATUS[library]


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("library", LIBRARIES)
def test_every_pair_in_this_process(
    library: str, phase: str, report: Callable[[str], None]
) -> None:
    expected = pairs(library, NEWEST)
    for chunk in chunks(expected):
        scenario = Scenario(driver=NEWEST, gpus=GPUS, faults=faults(chunk, phase))
        with Emulation(scenario, record=True) as emulation:
            loaded = ctypes.CDLL(apis()[library].soname)
            if phase == "ready":
                assert getattr(loaded, INIT[library])(0) == 0
                emulation.calls.clear()
            seen = [(library, name, getattr(loaded, name)(*NOTHING)) for _, name, _ in chunk]
            assert seen == chunk
            fired = [call["fault"] for call in emulation.calls]
            assert fired == [f"fault[{index}]" for index in range(len(chunk))]
    report(summary(NEWEST, phase, expected))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("client") / "return_codes"
    source = Path(__file__).with_name("return_codes.c")
    subprocess.run(["cc", "-O1", "-Wall", "-Werror", "-o", program, source, "-ldl"], check=True)
    return program


@pytest.mark.parametrize(("driver", "phase"), OLDER)
def test_every_pair_in_a_program(
    client: Path, driver: str, phase: str, report: Callable[[str], None]
) -> None:
    expected = [pair for library in LIBRARIES for pair in pairs(library, driver)]
    for chunk in chunks(expected):
        scenario = Scenario(driver=driver, gpus=GPUS, faults=faults(chunk, phase))
        with Testbed(scenario) as testbed:
            done = subprocess.run(
                [client, phase],
                input=spelled(chunk),
                env=testbed.environment(),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        assert (done.stdout, done.stderr, done.returncode) == (f"{len(chunk)}\n", "", 0)
    report(summary(driver, phase, expected))


def spelled(chunk: Sequence[Pair]) -> str:
    """The lines that the program reads."""
    return "".join(f"{library} {name} {code}\n" for library, name, code in chunk)
