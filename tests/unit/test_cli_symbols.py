"""`nvemu symbols`: a library's exports beside those that a driver is known to have."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from emulator.stubfiles import stub
from emulator.symbols import DRIVERS, TABLES, SymbolTable, difference, load_table, read_library

Nvemu = Callable[..., subprocess.CompletedProcess[str]]
Compile = Callable[..., Path]

FLAGS = ("-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1")


def source(table: SymbolTable) -> str:
    """A C source of a library with these symbols."""
    functions = (f"int {name}(void) {{ return 0; }}" for name in table.of_type("FUNC"))
    return "\n".join(functions)


@pytest.fixture
def nvml() -> SymbolTable:
    return load_table(TABLES / "libnvidia-ml.so.535.261.03.tsv")


class TestDiff:
    @pytest.mark.parametrize("library", ["nvml", "cuda"])
    def test_a_stub_is_equal_to_its_driver(self, nvemu: Nvemu, library: str) -> None:
        done = nvemu("symbols", "diff", stub(library, "535.261.03"), "--driver", "535.261.03")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith("of driver 535.261.03\nno difference\n")

    def test_missing_extra_and_changed_are_told(
        self, nvemu: Nvemu, compile_c: Compile, nvml: SymbolTable
    ) -> None:
        text = source(nvml).replace("int nvmlInit(void) { return 0; }", "int mine(void);")
        text += "\nint mine(void) { return 1; }"
        text = text.replace("int nvmlInit_v2(void) { return 0; }", "long nvmlInit_v2[2] = {1};")
        text += "\n#pragma weak nvmlShutdown"
        done = nvemu("symbols", "diff", compile_c(text, *FLAGS), "--driver", "535.261.03")
        assert done.returncode == 1
        assert done.stdout.splitlines()[1:] == [
            "missing: nvmlInit",
            "extra: mine",
            "changed: nvmlInit_v2: expected GLOBAL FUNC, is GLOBAL OBJECT, 16 bytes",
            "changed: nvmlShutdown: expected GLOBAL FUNC, is WEAK FUNC",
            "1 missing, 1 extra, 2 changed",
        ]

    def test_another_soname_is_a_difference(
        self, nvemu: Nvemu, compile_c: Compile, nvml: SymbolTable
    ) -> None:
        library = compile_c(source(nvml), "-shared", "-fPIC", "-Wl,-soname,libother.so.1")
        done = nvemu("symbols", "diff", library, "--driver", "535.261.03")
        assert done.returncode == 1
        assert done.stdout.splitlines()[1:] == [
            "soname: expected libnvidia-ml.so.1, is libother.so.1",
            "0 missing, 0 extra, 0 changed, another SONAME",
        ]

    def test_against_another_file(self, nvemu: Nvemu) -> None:
        old, new = stub("nvml", "470.256.02"), stub("nvml", "550.163.01")
        done = nvemu("symbols", "diff", new, "--against", old)
        assert done.stdout.startswith(f"{new}: 350 symbols, compared with {old}\n")
        assert "extra: nvmlDeviceGetMemoryInfo_v2\n" in done.stdout
        table = TABLES / "libnvidia-ml.so.550.163.01.tsv"
        assert nvemu("symbols", "diff", new, "--against", table).returncode == 0

    def test_other_architectures_are_read_alike(self, nvemu: Nvemu, tmp_path: Path) -> None:
        header = bytearray(stub("cuda", "550.163.01").read_bytes())
        header[18:20] = (183).to_bytes(2, "little")  # e_machine: EM_AARCH64
        (tmp_path / "libcuda.so.550.163.01").write_bytes(header)
        assert nvemu("symbols", "diff", tmp_path / "libcuda.so.550.163.01").returncode == 0


class TestGuessingTheDriver:
    def test_by_the_name_of_the_file_behind_the_links(self, nvemu: Nvemu, tmp_path: Path) -> None:
        shutil.copy(stub("cuda", "535.261.03"), tmp_path / "libcuda.so.525.147.05")
        (tmp_path / "libcuda.so.1").symlink_to("libcuda.so.525.147.05")
        done = nvemu("symbols", "diff", tmp_path / "libcuda.so.1")
        title = done.stdout.splitlines()[0]
        assert title.endswith("with libcuda.so.1 of driver 525.147.05 (by its file's name)")
        assert done.returncode == 1

    @pytest.mark.parametrize("driver", ["470.256.02", "555.58.02", "580.126.09"])
    def test_by_its_symbols(self, nvemu: Nvemu, driver: str) -> None:
        title, verdict = nvemu("symbols", "diff", stub("nvml", driver)).stdout.splitlines()
        assert title.endswith(f"driver {driver} (the nearest by its symbols, 100% alike)")
        assert verdict == "no difference"

    def test_of_a_version_that_is_not_recorded(self, nvemu: Nvemu, tmp_path: Path) -> None:
        shutil.copy(stub("nvml", "555.58.02"), tmp_path / "libnvidia-ml.so.560.35.03")
        title = nvemu("symbols", "diff", tmp_path / "libnvidia-ml.so.560.35.03").stdout
        assert "driver 555.58.02 (the nearest by its symbols, 100% alike; 560.35.03 is" in title

    def test_of_a_library_without_a_soname(
        self, nvemu: Nvemu, compile_c: Compile, nvml: SymbolTable
    ) -> None:
        done = nvemu("symbols", "diff", compile_c(source(nvml), "-shared", "-fPIC"))
        assert "libnvidia-ml.so.1 of driver 535.261.03 (the nearest" in done.stdout


class TestErrors:
    @pytest.mark.parametrize(
        ("content", "complaint"),
        [
            (b"text", "is not an ELF library, or is damaged: Magic number does not match"),
            (b"", "is not an ELF library, or is damaged"),
            (b"\x7fELF\x02\x01\x01", "is not an ELF library, or is damaged"),
        ],
    )
    def test_what_is_no_library(
        self, nvemu: Nvemu, tmp_path: Path, content: bytes, complaint: str
    ) -> None:
        (tmp_path / "file").write_bytes(content)
        done = nvemu("symbols", "diff", tmp_path / "file")
        assert done.stderr.startswith(f"nvemu: {tmp_path}/file {complaint}")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)

    def test_a_damaged_library(self, nvemu: Nvemu, tmp_path: Path) -> None:
        whole = stub("nvml", "550.163.01").read_bytes()
        (tmp_path / "file").write_bytes(whole[: len(whole) // 20])
        done = nvemu("symbols", "diff", tmp_path / "file")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)

    def test_an_unrelated_library(self, nvemu: Nvemu, compile_c: Compile) -> None:
        done = nvemu("symbols", "diff", compile_c("int f(void) { return 0; }", "-shared", "-fPIC"))
        assert done.returncode == 2
        assert "has no symbol in common with libnvidia-ml.so.1 or libcuda.so.1" in done.stderr

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (["diff", "/no/such/file"], "'/no/such/file' does not exist"),
            (["diff", "/"], "'/' is a directory"),
            (["diff"], "missing argument 'LIBRARY'"),
            (["diff", "/bin/sh", "--driver", "1"], "found '1'; known: 470.256.02"),
            (["list", "--driver", "550"], "did you mean '550.163.01'?"),
            (["diff", "/bin/sh", "--driver", "550.163.01", "--against", "/bin/sh"], "exclude"),
            (["list", "/bin/sh", "--driver", "550.163.01"], "exclude"),
        ],
    )
    def test_mistakes_in_the_arguments(
        self, nvemu: Nvemu, arguments: list[str], complaint: str
    ) -> None:
        done = nvemu("symbols", *arguments)
        assert complaint in done.stderr
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)


class TestList:
    def test_of_nothing_is_what_is_recorded(self, nvemu: Nvemu) -> None:
        rows = nvemu("symbols", "list").stdout.splitlines()
        assert "libnvidia-ml.so.1\t535.261.03\t332 symbols" in rows
        assert len(rows) == 2 * len(DRIVERS)

    def test_of_a_driver_is_both_libraries(self, nvemu: Nvemu) -> None:
        rows = nvemu("symbols", "list", "--driver", "550.163.01").stdout.splitlines()
        assert "libnvidia-ml.so.1\tnvmlInit_v2\tFUNC\tGLOBAL\t-" in rows
        assert "libcuda.so.1\tcuInit\tFUNC\tGLOBAL\t-" in rows
        assert len(rows) == 350 + 656

    def test_of_a_file(self, nvemu: Nvemu, compile_c: Compile) -> None:
        library = compile_c("int f(void) { return 0; } long d[4] = {1};", *FLAGS)
        assert nvemu("symbols", "list", library).stdout == (
            "libnvidia-ml.so.1\td\tOBJECT\tGLOBAL\t32\nlibnvidia-ml.so.1\tf\tFUNC\tGLOBAL\t-\n"
        )


def test_every_recorded_table_is_its_stubs(nvml: SymbolTable) -> None:
    assert not difference(nvml, read_library(stub("nvml", "535.261.03")))
