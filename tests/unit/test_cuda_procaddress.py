"""cuGetProcAddress in both forms, called and compared with the dynamic linker's answers."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from collections.abc import Iterator
from ctypes import byref, c_int, c_size_t, c_uint64
from pathlib import Path
from typing import Any

import pytest
from cuda_client import Client, refused

import emulator
from emulator import Scenario, Testbed
from emulator.symbols import recorded_tables
from stubs.generate.emit_procaddress import proc_address_files
from stubs.generate.paths import API
from stubs.generate.procaddress import answering

ROOT = Path(__file__).resolve().parents[2]
RECORDED = json.loads((API / "procaddress.json").read_text(encoding="utf-8"))
FOUND, NOT_FOUND, TOO_OLD = 0, 1, 2


@pytest.fixture
def client() -> Iterator[Client]:
    with emulator.emulate(Scenario(gpus=[])):
        yield Client()


def exported(client: Client, symbol: str) -> int:
    return ctypes.cast(getattr(client.library, symbol), ctypes.c_void_p).value or 0


def old(client: Client, name: str, version: int, flags: int = 0) -> int:
    found = c_size_t(0x1234)
    try:
        client.cuGetProcAddress(name.encode(), byref(found), version, c_uint64(flags))
    finally:
        left_alone = found.value == 0x1234
    assert not left_alone
    return found.value


def new(client: Client, name: str, version: int, flags: int = 0) -> tuple[int, int]:
    found, outcome = c_size_t(0x1234), c_int(0x1234)
    arguments = (name.encode(), byref(found), version, c_uint64(flags), byref(outcome))
    client.cuGetProcAddress_v2(*arguments)
    return found.value, outcome.value


VERSIONS = {
    2000: "cuCtxCreate",
    3010: "cuCtxCreate",
    3020: "cuCtxCreate_v2",
    11039: "cuCtxCreate_v2",
    11040: "cuCtxCreate_v3",
    12050: "cuCtxCreate_v4",
    99999: "cuCtxCreate_v4",
    -1: "cuCtxCreate_v4",
}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_version_chooses(version: int, client: Client) -> None:
    address = exported(client, VERSIONS[version])
    assert old(client, "cuCtxCreate", version) == address
    assert new(client, "cuCtxCreate", version) == (address, FOUND)


def test_the_old_form_finds_itself_for_old_callers(client: Client) -> None:
    assert old(client, "cuGetProcAddress", 11030) == exported(client, "cuGetProcAddress")
    assert old(client, "cuGetProcAddress", 12000) == exported(client, "cuGetProcAddress_v2")


def test_the_flag_for_per_thread_streams(client: Client) -> None:
    assert old(client, "cuMemcpyHtoD", 12000, 0) == exported(client, "cuMemcpyHtoD_v2")
    assert old(client, "cuMemcpyHtoD", 12000, 1) == exported(client, "cuMemcpyHtoD_v2")
    for flags in (2, 3):
        per_thread = exported(client, "cuMemcpyHtoD_v2_ptds")
        assert old(client, "cuMemcpyHtoD", 12000, flags) == per_thread
        assert new(client, "cuMemcpyHtoD", 6050, flags) == (0, TOO_OLD)
        assert old(client, "cuInit", 2000, flags) == exported(client, "cuInit")


def test_what_is_not_there(client: Client) -> None:
    for name in ("cuNix", "", "cuinit", "cuCtxCreate_v2", "cudbgApiInit", "nvmlInit", "malloc"):
        assert new(client, name, 12000) == (0, NOT_FOUND)
        with refused("NOT_FOUND"):
            client.cuGetProcAddress(name.encode(), byref(c_size_t()), 12000, c_uint64(0))
    assert new(client, "cuInit", 1999) == (0, TOO_OLD)


def test_the_old_form_leaves_the_pointer_alone(client: Client) -> None:
    found = c_size_t(0x1234)
    with refused("NOT_FOUND"):
        client.cuGetProcAddress(b"cuNix", byref(found), 12000, c_uint64(0))
    assert found.value == 0x1234


@pytest.mark.parametrize("flags", [4, 8, 1 << 32, (1 << 64) - 1])
def test_other_flags(flags: int, client: Client) -> None:
    for name in ("cuInit", "cuNix"):
        with refused("INVALID_VALUE"):
            old(client, name, 12000, flags)
        with refused("INVALID_VALUE"):
            new(client, name, 12000, flags)


def test_nulls(client: Client) -> None:
    """The status may be null. A null name or pointer crashes the real library, not nvemu."""
    found = c_size_t(0x1234)
    client.cuGetProcAddress_v2(b"cuInit", byref(found), 12000, c_uint64(0), None)
    assert found.value == exported(client, "cuInit")
    client.cuGetProcAddress_v2(b"cuNix", byref(found), 12000, c_uint64(0), None)
    assert found.value == 0
    for arguments in ((None, byref(found)), (b"cuInit", None)):
        with refused("INVALID_VALUE"):
            client.cuGetProcAddress(*arguments, 12000, c_uint64(0))


def test_what_is_found_can_be_called(client: Client) -> None:
    function = ctypes.CFUNCTYPE(c_int, ctypes.POINTER(c_int))(
        old(client, "cuDriverGetVersion", 12000)
    )
    version = c_int()
    assert function(byref(version)) == 0
    assert version.value == 13000


PROGRAM = """
import ctypes, json, sys
library = ctypes.CDLL("libcuda.so.1")
names, versions, exported = json.load(sys.stdin)
symbols = {ctypes.cast(getattr(library, name), ctypes.c_void_p).value: name for name in exported}
answers = []
for name in names:
    for flags in (0, 2):
        for version in versions:
            found = ctypes.c_void_p()
            where = ctypes.byref(found), version, ctypes.c_uint64(flags)
            library.cuGetProcAddress(name.encode(), *where)
            answers.append(symbols.get(found.value))
json.dump(answers, sys.stdout)
"""


def asked(driver: str, names: list[str], versions: list[int]) -> list[Any]:
    table = recorded_tables("cuda")[driver].of_type("FUNC")
    with Testbed(Scenario(driver=driver, gpus=[])) as testbed:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            input=json.dumps([names, versions, table]),
            env=testbed.environment(),
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stderr == ""
    answers: list[Any] = json.loads(done.stdout)
    return answers


@pytest.mark.parametrize("driver", ["470.256.02", "550.163.01", "580.126.09", "615.71"])
def test_every_name_in_other_drivers(driver: str) -> None:
    versions = [1000, 3010, 6050, 7000, 11020, 11040, 12000, 12020, 12050, 12080, 13000, 13050]
    legacy: dict[str, dict[str, int]] = RECORDED["legacy"]
    per_thread: dict[str, dict[str, int]] = RECORDED["per_thread"]
    exports = frozenset(recorded_tables("cuda")[driver].of_type("FUNC"))
    expected = [
        answering(table, exports, version)
        for name in legacy
        for table in (legacy[name], per_thread.get(name, legacy[name]))
        for version in versions
    ]
    assert asked(driver, list(legacy), versions) == expected


def test_the_newest_driver_reaches_all_that_it_exports() -> None:
    """What no library was asked for has its versions from the headers: all of it is there."""
    table = recorded_tables("cuda")["615.71"]
    reached = {
        symbol for kind in ("legacy", "per_thread") for s in RECORDED[kind].values() for symbol in s
    }
    missing = {name for name in table.of_type("FUNC") if name not in reached}
    assert missing == {name for name in RECORDED["unanswered"] if name in table.symbols}


def test_the_packages_table_is_up_to_date() -> None:
    for path, text in proc_address_files().items():
        assert (ROOT / path).read_text(encoding="utf-8") == text
