"""The table of what is usually behind a code of init."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatch

import pytest

from emulator.causes import causes, code_name
from emulator.cuda import _status as cuda
from emulator.nvml import _status as nvml
from emulator.scenario import catalogue

STATUS = {
    "nvml": {name: code for name, code in vars(nvml).items() if isinstance(code, int)},
    "cuda": {name: code for name, code in vars(cuda).items() if isinstance(code, int)},
}
INITS = {"nvml": "nvmlInit_v2", "cuda": "cuInit"}
KNOWN = [
    (library, code)
    for library, codes in STATUS.items()
    for code in codes.values()
    if causes(library, code).text
]


def init_codes(scenario: str) -> Iterator[tuple[str, str, int]]:
    """Scenario, library and code of every fault of init."""
    for fault in catalogue.load(scenario).faults:
        patterns = [fault.function] if isinstance(fault.function, str) else fault.function
        for library, init in INITS.items():
            if fault.returns and any(fnmatch(init, pattern) for pattern in patterns):
                name = re.sub("^(NVML_ERROR|CUDA_ERROR)_", "", str(fault.returns))
                yield scenario, library, STATUS[library][name]


GALLERY = [row for name in catalogue.names().scenarios for row in init_codes(name)]


@pytest.mark.parametrize(("scenario", "library", "code"), GALLERY)
def test_every_reported_failure_of_init_has_causes(scenario: str, library: str, code: int) -> None:
    found = causes(library, code)
    assert found.text
    assert found.next
    assert found.origin


def test_gallery_has_many() -> None:
    assert len({row[1:] for row in GALLERY}) > 12


@pytest.mark.parametrize(
    ("library", "codes"),
    [
        ("nvml", [3, 4, 8, 9, 12, 15, 18, 999]),
        ("cuda", [3, 34, 35, 46, 100, 101, 205, 304, 802, 803, 804, 999]),
    ],
)
def test_codes_that_init_is_known_to_answer_are_there(library: str, codes: list[int]) -> None:
    assert all(causes(library, code).next for code in codes)


def test_code_of_the_runtime_has_the_runtimes_name() -> None:
    assert code_name("cuda", 35) == "cudaErrorInsufficientDriver"


@pytest.mark.parametrize(("library", "code"), KNOWN)
def test_an_entry_is_a_line_each_with_its_source(library: str, code: int) -> None:
    found = causes(library, code)
    assert STATUS[library][found.name] == code
    assert found.next
    assert "\n" not in found.text + found.next
    for source in found.origin:
        assert source in ("nvml.h", "cuda.h") or source.startswith("https://github.com/")
    assert found.origin


def test_success_has_no_causes() -> None:
    assert causes("nvml", 0).text == causes("cuda", 0).next == ""


def test_code_of_no_header_has_a_name_all_the_same() -> None:
    assert code_name("cuda", 4242) == "a code that no header has"
    assert causes("cuda", 4242).text == ""
