"""Symbol tables: reading libraries, keeping tables, comparing them, and what they record."""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from emulator.symbols import (
    DRIVERS,
    SONAMES,
    Symbol,
    SymbolTable,
    difference,
    load_table,
    read_library,
    recorded_tables,
    save_table,
    table_path,
)
from stubs.generate.debian import RECORDED, fetch_driver
from stubs.generate.from_headers import BEFORE
from stubs.generate.merge import base_name
from stubs.generate.paths import API
from stubs.generate.procaddress import answering

SOURCE = """
int shown(void) { return 0; }
__attribute__((weak)) int weak(void) { return 0; }
__attribute__((visibility("hidden"))) int hidden(void) { return 0; }
static int local(void) { return 0; }
long data[4] = {1};
extern int undefined(void);
int caller(void) { return undefined() + local(); }
"""


def table(*symbols: Symbol, soname: str = "libcuda.so.1") -> SymbolTable:
    return SymbolTable(soname, {symbol.name: symbol for symbol in symbols})


class TestReadingLibraries:
    @pytest.fixture
    def library(self, tmp_path: Path) -> Path:
        path = tmp_path / "library.so"
        flags = ["-shared", "-fPIC", "-nostdlib", "-Wl,-soname,libthing.so.3"]
        command = ["cc", "-x", "c", *flags, "-o", str(path), "-"]
        subprocess.run(command, input=SOURCE, text=True, check=True)
        return path

    def test_defined_dynamic_symbols_are_the_table(self, library: Path) -> None:
        assert read_library(library).symbols == {
            "shown": Symbol("shown", "FUNC"),
            "weak": Symbol("weak", "FUNC", binding="WEAK"),
            "caller": Symbol("caller", "FUNC"),
            "data": Symbol("data", "OBJECT", size=32),
        }

    def test_the_soname_is_the_libraries_own(self, library: Path) -> None:
        assert read_library(library).soname == "libthing.so.3"

    def test_section_headers_are_not_needed(self, library: Path) -> None:
        subprocess.run(["strip", "--strip-all", str(library)], check=True)
        assert read_library(library).of_type("FUNC") == ["caller", "shown", "weak"]


class TestKeepingTables:
    def test_what_was_saved_is_loaded(self, tmp_path: Path) -> None:
        kept = table(
            Symbol("f", "FUNC"), Symbol("w", "FUNC", "WEAK"), Symbol("d", "OBJECT", size=8)
        )
        save_table(kept, tmp_path / "t.tsv", "1.2.3", "made up\nfor this test")
        assert load_table(tmp_path / "t.tsv") == kept
        head = (tmp_path / "t.tsv").read_text().splitlines()[:4]
        assert head[2:] == ["# source: made up", "# source: for this test"]

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [("# soname: a.so.1\nname FUNC\n", "t.tsv:2: expected name, type"), ("", "no line")],
    )
    def test_a_broken_table_says_where(self, tmp_path: Path, text: str, complaint: str) -> None:
        (tmp_path / "t.tsv").write_text(text)
        with pytest.raises(ValueError, match=complaint):
            load_table(tmp_path / "t.tsv")

    def test_files_are_named_after_library_and_driver(self) -> None:
        assert (
            table_path("libnvidia-ml.so.1", "550.163.01").name == "libnvidia-ml.so.550.163.01.tsv"
        )


class TestDifferences:
    def test_none_is_falsy(self) -> None:
        same = table(Symbol("f", "FUNC"))
        assert not difference(same, same)

    def test_missing_extra_and_changed_are_told_apart(self) -> None:
        old = table(Symbol("gone", "FUNC"), Symbol("grown", "OBJECT", size=4))
        new = table(Symbol("come", "FUNC"), Symbol("grown", "OBJECT", size=8))
        found = difference(old, new)
        assert (found.missing, found.extra) == (("gone",), ("come",))
        assert [(a.size, b.size) for a, b in found.changed] == [(4, 8)]
        assert "missing: gone" in str(found)

    def test_another_soname_is_a_difference(self) -> None:
        assert difference(table(), table(soname="libcuda.so.2"))


class TestRecordedTables:
    def test_no_driver_drops_what_an_older_one_exported_but_for_these(self) -> None:
        dropped = {
            (old, name)
            for library in ("nvml", "cuda")
            for (old, older), (_, newer) in pairwise(recorded_tables(library).items())
            for name in difference(older, newer).missing
        }
        assert dropped == {
            ("525.147.05", "nvmlDeviceCcuGetStreamState"),
            ("525.147.05", "nvmlDeviceCcuSetStreamState"),
            ("525.147.05", "nvmlRetry_NvRmControl"),
        }

    @pytest.mark.parametrize("library", ["nvml", "cuda"])
    def test_every_symbol_is_plain(self, library: str) -> None:
        symbols = [s for t in recorded_tables(library).values() for s in t.symbols.values()]
        assert {(s.binding, s.visibility) for s in symbols} == {("GLOBAL", "DEFAULT")}
        assert all((s.type == "OBJECT") == (s.size is not None) for s in symbols)

    def test_counts(self) -> None:
        counts = [len(t.symbols) for t in recorded_tables("nvml").values()]
        assert counts == [255, 312, 332, 350, 354, 402, 439]
        functions = [len(t.of_type("FUNC")) for t in recorded_tables("cuda").values()]
        assert functions == [532, 583, 600, 636, 643, 682, 733]

    @pytest.mark.parametrize("library", ["nvml", "cuda"])
    def test_one_from_headers_has_all_of_the_one_before(self, library: str) -> None:
        tables = recorded_tables(library)
        for driver, before in BEFORE.items():
            assert tables[before].symbols.items() < tables[driver].symbols.items()
            assert "from headers" in table_path(SONAMES[library], driver).read_text()

    def test_versions_are_of_their_driver(self) -> None:
        cuda = recorded_tables("cuda")
        assert "cuGetProcAddress_v2" not in cuda["470.256.02"].symbols
        assert "cuGetProcAddress_v2" in cuda["525.147.05"].symbols

    def test_an_unknown_driver_is_named_with_the_known_ones(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"no driver 1.2; known are 470.256.02"):
            fetch_driver("1.2", tmp_path)

    def test_what_can_be_fetched_is_recorded(self) -> None:
        assert set(RECORDED) <= set(DRIVERS)


@cache
def proc_addresses() -> dict[str, Any]:
    return json.loads((API / "procaddress.json").read_text(encoding="utf-8"))


@cache
def cuda_tables() -> dict[str, SymbolTable]:
    return recorded_tables("cuda")


def answer(driver: str, name: str, version: int, per_thread: bool = False) -> str | None:
    """What the table says cuGetProcAddress finds."""
    exported = cuda_tables()[driver].symbols
    legacy = proc_addresses()["legacy"].get(name, {})
    variants = proc_addresses()["per_thread"].get(name, legacy)
    return answering(variants if per_thread else legacy, exported, version)


class TestProcAddresses:
    @pytest.mark.parametrize(
        ("driver", "name", "version", "per_thread", "symbol"),
        [
            ("550.163.01", "cuMemAlloc", 2000, False, "cuMemAlloc"),
            ("550.163.01", "cuMemAlloc", 3020, False, "cuMemAlloc_v2"),
            ("550.163.01", "cuMemAlloc", 12040, True, "cuMemAlloc_v2"),
            ("550.163.01", "cuMemAlloc_v2", 12040, False, None),
            ("550.163.01", "cuMemcpyHtoD", 12040, True, "cuMemcpyHtoD_v2_ptds"),
            ("550.163.01", "cuMemcpyHtoD", 6050, True, None),
            ("550.163.01", "cuGetProcAddress", 11080, False, "cuGetProcAddress"),
            ("550.163.01", "cuGetProcAddress", 12000, False, "cuGetProcAddress_v2"),
            ("470.256.02", "cuGetProcAddress", 12000, False, "cuGetProcAddress"),
            ("550.163.01", "cuCtxCreate", 12050, False, "cuCtxCreate_v3"),
            ("555.58.02", "cuCtxCreate", 12050, False, "cuCtxCreate_v4"),
            ("580.126.09", "cuEventElapsedTime", 12080, False, "cuEventElapsedTime_v2"),
            ("580.126.09", "cuNoSuchFunction", 13000, False, None),
        ],
    )
    def test_known_answers(
        self, driver: str, name: str, version: int, per_thread: bool, symbol: str | None
    ) -> None:
        assert answer(driver, name, version, per_thread) == symbol

    def test_only_base_names_are_answered(self) -> None:
        found = proc_addresses()
        assert all(base_name(name) == name for name in [*found["legacy"], *found["per_thread"]])

    def test_a_name_leads_to_its_own_versions(self) -> None:
        for kind in ("legacy", "per_thread"):
            for name, symbols in proc_addresses()[kind].items():
                assert {base_name(symbol) for symbol in symbols} == {name}

    def test_every_exported_function_is_accounted_for(self) -> None:
        found = proc_addresses()
        answered = {s for k in ("legacy", "per_thread") for row in found[k].values() for s in row}
        exported = {s for t in recorded_tables("cuda").values() for s in t.of_type("FUNC")}
        assert answered | set(found["unanswered"]) == exported
        assert set(found["unobserved"]) <= set(recorded_tables("cuda")["615.71"].symbols)

    def test_newer_versions_have_higher_numbers(self) -> None:
        for kind in ("legacy", "per_thread"):
            for name, symbols in proc_addresses()[kind].items():
                order = sorted(symbols, key=symbols.__getitem__)
                numbers = [int((re.findall(r"_v(\d+)", s) or ["1"])[0]) for s in order]
                assert numbers == sorted(set(numbers)), name
